"""Loss terms as pure functions: tensors in, one scalar out.

Images are (B,3,H,W) in [0,1], holes (B,1,H,W) with 1 = missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

GANS = ("lsgan", "hinge", "logistic", "wgan-gp")
GRADIENT_PENALTY = 10.0  # lambda of WGAN-GP (Gulrajani et al. 2017)


def resize_corners(x: Tensor, height: int, width: int) -> Tensor:
    """PICNet's pyramid: bilinear with aligned corners (Zheng et al. 2019, release)."""
    if x.shape[-2:] == (height, width):
        return x
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=True)


def resize_plain(x: Tensor, height: int, width: int) -> Tensor:
    """DFNet's pyramid: bilinear, corners not aligned, no antialiasing (Hong et al. 2019, release)."""
    if x.shape[-2:] == (height, width):
        return x
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


def l1(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference over all elements; `weight` (B,1,H,W) multiplies both sides, as in L_app^g."""
    difference = (prediction - target).abs()
    return difference.mean() if weight is None else (difference * weight).mean()


def l1_inside(prediction: Tensor, target: Tensor, region: Tensor) -> Tensor:
    """Mean absolute difference over the pixels of a region (B,1,H,W); 0 where the region is empty."""
    total = ((prediction - target).abs() * region).sum()
    return total / (region.sum() * prediction.shape[1]).clamp(min=1)


def own_spread(truths: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """How far several truths of a hole stray from their mean, and how many distinct ones there are; (B,) each.

    truths (B,K,3,H,W), region (B,1,H,W). Mean absolute deviation over the region, times sqrt(n / (n - 1)), as the mean
    is their own; a truth that is there twice counts once. 0 where there is one.
    """
    flat = truths.flatten(2)
    same = (flat[:, :, None] == flat[:, None]).all(-1)  # (B,K,K)
    weight = 1 / same.sum(-1)  # (B,K)
    distinct = weight.sum(1)
    share = (weight / distinct[:, None])[:, :, None, None, None]
    mean = (share * truths).sum(1, keepdim=True)
    inside = region[:, None]
    area = (truths.shape[2] * region.sum((1, 2, 3))).clamp(min=1)
    strayed = (share * (truths - mean).abs() * inside).sum((1, 2, 3, 4)) / area
    return strayed * (distinct / (distinct - 1).clamp(min=1)).sqrt() * (distinct > 1.5), distinct.round()


def kl_normal(mean1: Tensor, std1: Tensor, mean2: Tensor, std2: Tensor) -> Tensor:
    """Element-wise KL(N(mean1, std1^2) || N(mean2, std2^2)), same shape as the inputs."""
    return torch.log(std2 / std1) + (std1**2 + (mean1 - mean2) ** 2) / (2 * std2**2) - 0.5


def latent_prior_std(known_ratio: Tensor) -> Tensor:
    """Standard deviation of the hole-size-dependent prior N(0, sigma^2(n) I), per picture.

    1 / (1 + exp(8 (v - 0.8))) for a share v of known pixels: the release's form; the paper only says that it grows with
    the hole.
    """
    return 1 / (1 + torch.exp(8 * (known_ratio - 1e-5 - 0.8)))


def _over_places(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over all places (B,C,h,w), or weighted by `weight` (B,1,h,w); 0 where all of it is 0."""
    if weight is None:
        return values.mean()
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp(min=1e-6)


def gan_discriminator(real: Tensor, fake: Tensor, kind: str = "lsgan", weight: Tensor | None = None) -> Tensor:
    """The critic's loss on raw scores (B,C,h,w) of photos and of (detached) completions; `weight` (B,1,h,w) of places.

    `kind` is lsgan, hinge, logistic or wgan-gp; the last, E[D(fake)] - E[D(real)] (Gulrajani et al. 2017, eq. 3), needs
    `gradient_penalty` beside it. As in PICNet's release the two sides of lsgan, hinge and wgan-gp are averaged, not
    added as in the papers that hinge and wgan-gp are from: half of theirs, beside a whole penalty.
    """
    if kind == "lsgan":
        return (_over_places((real - 1) ** 2, weight) + _over_places(fake**2, weight)) / 2
    if kind == "hinge":
        return (_over_places(F.relu(1 - real), weight) + _over_places(F.relu(1 + fake), weight)) / 2
    if kind == "wgan-gp":
        return (_over_places(fake, weight) - _over_places(real, weight)) / 2
    assert kind == "logistic", f"no GAN loss {kind!r}: lsgan, hinge, logistic, wgan-gp"
    return _over_places(F.softplus(-real), weight) + _over_places(F.softplus(fake), weight)


def gan_generator(fake: Tensor, kind: str = "lsgan", weight: Tensor | None = None) -> Tensor:
    """What the generator minimises on the critic's raw scores of its completions; L_ad^g for lsgan.

    Scores are (B,C,h,w); `weight` (B,1,h,w) of their places, none: all alike.
    """
    if kind == "lsgan":
        return _over_places((fake - 1) ** 2, weight)
    if kind in ("hinge", "wgan-gp"):
        return -_over_places(fake, weight)
    assert kind == "logistic", f"no GAN loss {kind!r}: lsgan, hinge, logistic, wgan-gp"
    return _over_places(F.softplus(-fake), weight)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """E[(|grad D(x)| - 1)^2] at x = mix * real + (1 - mix) * fake (Gulrajani et al. 2017, eq. 3), without its lambda.

    `mix` (B,1,1,1), uniform in [0,1], is one share per picture; real and fake (B,3,H,W) get no gradient. D of a picture
    is the mean of its patches' scores. Always in float32. Attention runs by plain matrix products here, as the quick
    kernels of `scaled_dot_product_attention` cannot be differentiated twice.
    """
    with torch.autocast(real.device.type, enabled=False), sdpa_kernel(SDPBackend.MATH):
        x = torch.lerp(fake.detach().float(), real.detach().float(), mix.float()).requires_grad_()
        scores = critic(x).flatten(1).mean(1)
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        length: Tensor = (gradient.flatten(1).square().sum(1) + 1e-16).sqrt()  # differentiable at zero
    return ((length - 1) ** 2).mean()


def gram(features: Tensor) -> Tensor:
    """Gram matrices (B,C,C) of feature maps (B,C,H,W), over c*h*w (Hong et al. 2019)."""
    flat = features.flatten(2).float()
    return flat @ flat.transpose(1, 2) / flat[0].numel()


def perceptual(prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Sum over layers of the mean absolute difference of feature maps: L_per (Hong et al. 2019)."""
    return torch.stack([l1(a, b) for a, b in zip(prediction, target, strict=True)]).sum()


def style(prediction: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Sum over layers of the mean absolute difference of Gram matrices: L_sty (Hong et al. 2019)."""
    return torch.stack([l1(gram(a), gram(b)) for a, b in zip(prediction, target, strict=True)]).sum()


def total_variation(image: Tensor, weight: Tensor | None = None) -> Tensor:
    """L_tv (Hong et al. 2019): |backward differences down and across, added before the absolute value|, zero padded.

    `weight` (B,1,H,W) multiplies it; the release hands in the known mask.
    """
    padded = F.pad(image, (1, 0, 1, 0))
    difference = padded[..., :-1, 1:] + padded[..., 1:, :-1] - 2 * image
    return difference.abs().mean() if weight is None else (difference * weight).abs().mean()
