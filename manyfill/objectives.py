"""What is minimised: networks, image and hole in; named, unweighted terms out.

An objective runs the networks once (`forward`), then gives the critics' terms and the generator's terms of that run.
Whatever is random comes in as `noise`, so that a step can be repeated exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from manyfill import losses
from manyfill.nets import Prediction
from manyfill.nets.dfnet import DFNet
from manyfill.nets.perceptual import Features
from manyfill.nets.picnet import Normal, PICNet

Terms = dict[str, Tensor]


class Nets(nn.Module):
    """Everything that a training run holds: the completion network, its critics by name, frozen features."""

    def __init__(self, net: nn.Module, critics: Mapping[str, nn.Module], features: Features | None = None) -> None:
        super().__init__()
        self.net = net
        self.critics = nn.ModuleDict(critics)
        self.features = features


class Objective(Protocol):
    """What the training step needs."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Factor of every generator term; terms of weight 0 are not computed."""

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of all generator terms that it knows: a weight of another name is a mistake."""

    @property
    def samples(self) -> bool:
        """Whether it trains networks that sample; else those that give one fill."""

    @property
    def critics(self) -> tuple[str, ...]:
        """Names of the critics that it trains."""

    @property
    def feature_terms(self) -> tuple[str, ...]:
        """Names of the terms that need the feature network."""

    def noise_shape(self, net: Any, size: int) -> tuple[int, ...] | None:
        """Shape of the noise that one picture consumes."""

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Any:
        """Run the networks once."""

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Any) -> Terms:
        """The critics' losses on detached completions; empty without critics."""

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Any) -> Terms:
        """The network's losses."""


def complete(prediction: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """completed = hole * prediction + known * image, at the prediction's size."""
    size = prediction.shape[-2:]
    image, hole = losses.resize_plain(image, *size), losses.resize_plain(hole, *size)
    return hole * prediction + (1 - hole) * image


def critic_terms(
    name: str, critic: nn.Module, image: Tensor, picture: Tensor, gan: str, mix: Tensor | None = None
) -> Terms:
    """One critic's losses on photos and on pictures that it is to tell from them; the pictures get no gradient.

    For wgan-gp also `penalty_NAME`, the gradient penalty times its lambda at `mix` (B,1,1,1) of the way from picture to
    photo. It stands in for spectral norm: with both, gradients stay far below 1 for long; use
    CriticConfig(spectral_norm=False).
    """
    picture = picture.detach()
    terms = {f"critic_{name}": losses.gan_discriminator(critic(image), critic(picture), gan)}
    if gan == "wgan-gp":
        assert mix is not None, "the gradient penalty needs a share of the photo for each picture"
        penalty = losses.gradient_penalty(critic, image, picture, mix)
        terms[f"penalty_{name}"] = losses.GRADIENT_PENALTY * penalty
    return terms


def _take_mix(noise: Tensor | None, gan: str) -> tuple[Tensor | None, Tensor | None]:
    """For wgan-gp the noise's last channel makes `mix`, uniform in [0,1]; what is left is the latent's."""
    if gan != "wgan-gp":
        return noise, None
    assert noise is not None, "wgan-gp needs noise to mix photos and pictures"
    return noise[:, :-1], torch.special.ndtr(noise[:, -1:, :1, :1])


def kl_to_size_prior(normal: Normal, hole: Tensor, *, as_in_paper: bool) -> Tensor:
    """Mean KL between a latent's distribution and N_m = N(0, sigma^2(n) I), wider for larger holes (Zheng et al. 2019).

    The paper's direction is KL(normal || N_m), the release's KL(N_m || normal).
    """
    std = losses.latent_prior_std((1 - hole).mean((1, 2, 3))).view(-1, 1, 1, 1).expand_as(normal.std)
    zero = torch.zeros_like(std)
    pair = (normal.mean, normal.std, zero, std) if as_in_paper else (zero, std, normal.mean, normal.std)
    return losses.kl_normal(*pair).mean()


@dataclass(frozen=True)
class DualPathOutputs:
    """One run of both paths."""

    prior: Normal  # p_phi(z | I_m)
    posterior: Normal  # q_psi(z | I_c)
    reconstructive: list[Prediction]  # coarse to fine, from the posterior's sample
    generative: list[Prediction]  # coarse to fine, from the prior's sample
    is_mean: Tensor  # (B,1,1,1), 1 where the generative path decoded the prior's mean; those come first
    centre: list[Tensor] | None = None  # what the mean would have given the others, without gradient, coarse to fine
    mix: Tensor | None = None  # (B,1,1,1) in [0,1], for wgan-gp


@dataclass(frozen=True, kw_only=True)
class DualPath:
    """PICNet's objective (Zheng et al. 2019, eq. 5), both paths; terms beyond the paper have weight 0 by default.

    Appearance terms are in the paper's [-1,1] units. The first KL follows the release, KL(N_m || q); `kl_as_in_paper`
    turns it round. Ours, for the flagship: `hole_rec` is the reconstruction's error in the hole alone, so that the
    latent has much to say; `mean_share` of the pictures decode the prior's mean on the generative path, where `mean`
    compares the hole with the truth (samples stay free); `feature_rec` and `feature_mean` are perceptual terms of the
    reconstruction and of the mean; `style_gen` compares Gram statistics only, so that it cannot collapse the samples;
    `spread` asks samples to differ and `palette` to do so in the photo's own colours (see `_spread`, `_palette`).
    `least_std` is added to both distributions' deviations in the KL terms (root of the sum of squares): a latent that
    is surer than that makes the KL of an unusual crop astronomic.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: {
            "kl_rec": 80.0,  # alpha_KL = 20, times 4 scales
            "kl_gen": 80.0,
            "appearance_rec": 20.0,
            "appearance_gen": 20.0,
            "adversarial_rec": 1.0,
            "adversarial_gen": 1.0,
        }
    )
    gan: str = "lsgan"
    kl_as_in_paper: bool = False
    composite_for_critic: bool = False  # the paper's critic sees the raw output; ours the completed picture
    mean_share: float = 0.0
    spread_share: float = 0.4
    least_std: float = 0.0
    plain_resize: bool = False  # targets of the coarser scales by pixel areas; as published: corner to corner
    samples: ClassVar[bool] = True
    feature_terms: ClassVar[tuple[str, ...]] = ("feature_rec", "feature_mean", "style_gen")
    terms: ClassVar[tuple[str, ...]] = (
        *("kl_rec", "kl_gen", "appearance_rec", "appearance_gen", "adversarial_rec", "adversarial_gen"),
        *("hole_rec", "mean", "spread", "palette", *feature_terms),
    )

    @property
    def critics(self) -> tuple[str, ...]:
        """The critics whose adversarial term has a weight."""
        pairs = {"gen": "adversarial_gen", "rec": "adversarial_rec"}
        return tuple(name for name, term in pairs.items() if self.weights.get(term))

    def noise_shape(self, net: PICNet, size: int) -> tuple[int, ...]:
        """Noise of the posterior, then of the prior, stacked on the channel axis; for wgan-gp one channel more."""
        channels, height, width = net.noise_shape(size, size)
        return (2 * channels + (self.gan == "wgan-gp"), height, width)

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> DualPathOutputs:
        """Both paths in one pass of the encoder and one of the generator."""
        noise, mix = _take_mix(noise, self.gan)
        assert noise is not None, "the dual path samples: it needs noise"
        net = cast(PICNet, nets.net)
        posterior_noise, prior_noise = noise.chunk(2, 1)
        batch = image.shape[0]
        means = round(self.mean_share * batch)
        is_mean = (torch.arange(batch, device=image.device) < means).to(image.dtype).view(-1, 1, 1, 1)

        encoded, posterior = net.infer(image, hole)
        z = torch.cat([posterior.sample(posterior_noise), encoded.prior.sample(prior_noise * (1 - is_mean))])
        pictures = net.generate(z, encoded.twice())
        centre = None
        if self.weights.get("spread"):
            with torch.no_grad():
                sampled = encoded.rows(slice(means, None))
                centre = [picture.image for picture in net.generate(sampled.prior.mean, sampled)]
        return DualPathOutputs(
            encoded.prior,
            posterior,
            [_rows(p, slice(None, batch)) for p in pictures],
            [_rows(p, slice(batch, None)) for p in pictures],
            is_mean,
            centre,
            mix,
        )

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        """img_d and img_d_rec."""
        terms: Terms = {}
        for name, picture in self._judged(image, hole, out).items():
            terms |= critic_terms(name, nets.critics[name], image, picture, self.gan, out.mix)
        return terms

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        """KL, appearance and adversarial terms of both paths, and ours where they have a weight."""
        known = 1 - hole
        q, p = (self._unsure(normal) for normal in (out.posterior, out.prior))
        fixed = (q.mean.detach(), q.std.detach())
        terms = {
            "kl_rec": kl_to_size_prior(q, hole, as_in_paper=self.kl_as_in_paper),
            "kl_gen": losses.kl_normal(*fixed, p.mean, p.std).mean(),
            "appearance_rec": torch.zeros((), device=image.device),
            "appearance_gen": torch.zeros((), device=image.device),
        }
        for rec, gen in zip(out.reconstructive, out.generative, strict=True):
            size = rec.image.shape[-2:]
            target, visible = self._resized(image, *size), self._resized(known, *size)
            terms["appearance_rec"] = terms["appearance_rec"] + 2 * losses.l1(rec.image, target)
            terms["appearance_gen"] = terms["appearance_gen"] + 2 * losses.l1(gen.image, target, visible)
            if self.weights.get("hole_rec"):
                terms["hole_rec"] = terms.get("hole_rec", 0) + 2 * losses.l1_inside(rec.image, target, 1 - visible)
            if self.weights.get("mean"):
                inside = (1 - visible) * out.is_mean
                terms["mean"] = terms.get("mean", 0) + 2 * losses.l1_inside(gen.image, target, inside)
        judged = self._judged(image, hole, out)
        if "gen" in judged:
            terms["adversarial_gen"] = losses.gan_generator(nets.critics["gen"](judged["gen"]), self.gan)
        if "rec" in judged:  # feature matching on the critic's last map
            critic = nets.critics["rec"]
            terms["adversarial_rec"] = ((critic(judged["rec"]) - critic(image)) ** 2).mean()
        if out.centre is not None:
            terms["spread"] = self._spread(image, hole, out)
        if self.weights.get("palette"):
            terms["palette"] = self._palette(image, hole, out)
        return terms | self._feature_terms(nets, image, hole, out)

    def _resized(self, x: Tensor, height: int, width: int) -> Tensor:
        return (losses.resize_plain if self.plain_resize else losses.resize_corners)(x, height, width)

    def _unsure(self, normal: Normal) -> Normal:
        return (
            Normal(normal.mean, torch.hypot(normal.std, normal.std.new_tensor(self.least_std)))
            if self.least_std
            else normal
        )

    def _spread(self, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Tensor:
        """How far samples are from straying from the mean as far as the truth does, on the two coarsest scales.

        After mode seeking (Mao et al. 2019), but calibrated: `spread_share` of the mean's own error is the goal, so
        that samples differ where the answer is open and agree where it is not.
        """
        assert out.centre is not None, "the spread term needs the mean's pictures"
        sampled = out.is_mean.flatten() == 0
        total = torch.zeros((), device=image.device)
        for centre, picture in list(zip(out.centre, out.generative, strict=True))[:2]:
            size = centre.shape[-2:]
            truth = self._resized(image, *size)[sampled]
            inside = self._resized(hole, *size)[sampled]
            area = 3 * inside.sum((1, 2, 3)).clamp(min=1)
            strayed = ((picture.image[sampled] - centre).abs() * inside).sum((1, 2, 3)) / area
            wanted = self.spread_share * ((truth - centre).abs() * inside).sum((1, 2, 3)) / area
            total = total + 2 * (wanted - strayed).abs().mean()
        return total

    def _palette(self, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Tensor:
        """Mean distance of each sampled colour in the hole to its photo's nearest known one, on two coarse scales.

        What stands in a hole may be anything, but rarely in a colour that the photo has nowhere.
        """
        total = torch.zeros((), device=image.device)
        sampled = out.is_mean.flatten() == 0
        image, hole = image[sampled], hole[sampled]
        for picture in out.generative[:2]:
            size = picture.image.shape[-2:]
            colours = self._resized(image, *size).flatten(2).transpose(1, 2)  # (B, N, 3)
            unknown = self._resized(hole, *size).flatten(1)  # (B, N)
            drawn = picture.image[sampled].flatten(2).transpose(1, 2)
            apart = torch.cdist(drawn.float(), colours.float(), p=1) / 3
            nearest = (apart + 4 * (unknown > 0.01).float()[:, None]).amin(2)  # over 1: nothing is known
            weight = unknown * (nearest <= 1).float()
            total = total + 2 * (nearest * weight).sum() / weight.sum().clamp(min=1)
        return total

    def _judged(self, image: Tensor, hole: Tensor, out: DualPathOutputs) -> dict[str, Tensor]:
        finest = {"gen": out.generative[-1].image, "rec": out.reconstructive[-1].image}
        if self.composite_for_critic:
            finest = {name: complete(picture, image, hole) for name, picture in finest.items()}
        return {name: finest[name] for name in self.critics}

    def _feature_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        wanted = [name for name in self.feature_terms if self.weights.get(name)]
        if not wanted:
            return {}
        assert nets.features is not None, f"{wanted} need a feature network"
        with torch.no_grad():
            truth = nets.features(losses.resize_plain(image, *out.generative[-1].image.shape[-2:]))
        terms: Terms = {}
        if "feature_rec" in wanted:
            rec = nets.features(complete(out.reconstructive[-1].image, image, hole))
            terms["feature_rec"] = losses.perceptual(rec, truth)
        if "feature_mean" in wanted or "style_gen" in wanted:
            gen = nets.features(complete(out.generative[-1].image, image, hole))
            if "style_gen" in wanted:
                terms["style_gen"] = losses.style(gen, truth)
            if "feature_mean" in wanted:
                mean = int(out.is_mean.sum())
                terms["feature_mean"] = losses.perceptual([f[:mean] for f in gen], [f[:mean] for f in truth])
        return terms


@dataclass(frozen=True)
class SinglePathOutputs:
    """One run of a strategy with one path."""

    prior: Normal  # p_phi(z | I_m)
    pictures: list[Prediction]  # coarse to fine
    posterior: Normal | None = None  # CVAE only
    mix: Tensor | None = None  # (B,1,1,1) in [0,1], for wgan-gp


@dataclass(frozen=True, kw_only=True)
class _SinglePath:
    """What the rivals of the dual path share: one path, one critic; the networks are those of the dual path.

    `appearance` is summed over scales, in the paper's [-1,1] units. Terms beyond the paper have weight 0 by default:
    `hole` is the same in the hole alone; `feature` a perceptual term of the completed picture, `style` its Gram
    statistics.
    """

    weights: Mapping[str, float]
    gan: str = "lsgan"
    composite_for_critic: bool = False  # the paper's critic sees the raw output; ours the completed picture
    samples: ClassVar[bool] = True
    feature_terms: ClassVar[tuple[str, ...]] = ("feature", "style")
    terms: ClassVar[tuple[str, ...]] = ("kl", "appearance", "hole", "adversarial", *feature_terms)

    @property
    def critics(self) -> tuple[str, ...]:
        """One critic, where its term has a weight."""
        return ("gen",) if self.weights.get("adversarial") else ()

    def noise_shape(self, net: PICNet, size: int) -> tuple[int, ...] | None:
        """The latent's noise; for wgan-gp one channel more."""
        channels, height, width = net.noise_shape(size, size)
        return (channels + (self.gan == "wgan-gp"), height, width)

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: SinglePathOutputs) -> Terms:
        """The critic's loss."""
        if not self.critics:
            return {}
        return critic_terms("gen", nets.critics["gen"], image, self._judged(image, hole, out), self.gan, out.mix)

    def _picture_terms(
        self, nets: Nets, image: Tensor, hole: Tensor, out: SinglePathOutputs, *, visible_only: bool = False
    ) -> Terms:
        """Appearance on every scale, and what else has a weight."""
        whole, inside = [], []
        for picture in out.pictures:
            size = picture.image.shape[-2:]
            target, missing = losses.resize_corners(image, *size), losses.resize_corners(hole, *size)
            whole.append(2 * losses.l1(picture.image, target, 1 - missing if visible_only else None))
            inside.append(2 * losses.l1_inside(picture.image, target, missing))
        terms = {"appearance": torch.stack(whole).sum(), "hole": torch.stack(inside).sum()}
        if visible_only:
            del terms["hole"]
        if self.critics:
            terms["adversarial"] = losses.gan_generator(nets.critics["gen"](self._judged(image, hole, out)), self.gan)
        if self.weights.get("feature") or self.weights.get("style"):
            assert nets.features is not None, "the feature and style terms need a feature network"
            with torch.no_grad():
                truth = nets.features(image)
            drawn = nets.features(complete(out.pictures[-1].image, image, hole))
            if self.weights.get("feature"):
                terms["feature"] = losses.perceptual(drawn, truth)
            if self.weights.get("style"):
                terms["style"] = losses.style(drawn, truth)
        return terms

    def _judged(self, image: Tensor, hole: Tensor, out: SinglePathOutputs) -> Tensor:
        finest = out.pictures[-1].image
        return complete(finest, image, hole) if self.composite_for_critic else finest


@dataclass(frozen=True, kw_only=True)
class Deterministic(_SinglePath):
    """The rival without sampling (Zheng et al. 2019, fig. 2a): the prior's mean is decoded and compared with the truth.

    A quick start for the encoder and decoder of the sampling networks.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"appearance": 20.0, "adversarial": 1.0})
    terms: ClassVar[tuple[str, ...]] = ("appearance", "hole", "adversarial", *_SinglePath.feature_terms)

    def noise_shape(self, net: PICNet, size: int) -> tuple[int, ...] | None:
        """None: deterministic; but wgan-gp draws where it looks."""
        return (1, 1, 1) if self.gan == "wgan-gp" else None

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> SinglePathOutputs:
        """The fill of the prior's mean."""
        _, mix = _take_mix(noise, self.gan)
        net = cast(PICNet, nets.net)
        encoded = net.encode(image, hole)
        return SinglePathOutputs(encoded.prior, net.generate(encoded.prior.mean, encoded), mix=mix)

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: SinglePathOutputs) -> Terms:
        """Appearance over the whole picture, and what else has a weight."""
        return self._picture_terms(nets, image, hole, out)


@dataclass(frozen=True, kw_only=True)
class CVAE(_SinglePath):
    """The rival with a posterior that is tied to the prior alone (Sohn et al. 2015; Zheng et al. 2019, fig. 2b, eq. 1).

    log p(I_c | I_m) >= -KL(q_psi(z | I_c, I_m) || p_phi(z | I_m)) + E_q[log p_theta(I_c | z, I_m)]

    In training z comes from q, and the whole picture is compared with the truth; a fill samples p. Both distributions
    are free to meet anywhere: with one truth per condition the samples become alike, which is what the paper shows. The
    paper's variant was never released. Here q has the dual path's posterior head, on the features of hidden and visible
    pixels added, as the generator adds those of the visible ones to z; weights as the release's for the other terms.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: {"kl": 80.0, "appearance": 20.0, "adversarial": 1.0}  # 80: alpha_KL = 20, 4 scales
    )

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> SinglePathOutputs:
        """A fill from the posterior's sample."""
        noise, mix = _take_mix(noise, self.gan)
        assert noise is not None, "a CVAE samples: it needs noise"
        net = cast(PICNet, nets.net)
        both = net.encoder(torch.cat([net.see(image, hole), net.see(image, 1 - hole)]))  # I_m, then I_c
        visible, hidden = ([feature.chunk(2)[i] for feature in both] for i in range(2))
        encoded = net.gather(visible, image, hole)
        posterior = net.encoder.infer_posterior(hidden[-1] + visible[-1])
        return SinglePathOutputs(encoded.prior, net.generate(posterior.sample(noise), encoded), posterior, mix)

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: SinglePathOutputs) -> Terms:
        """KL(q || p), which moves both; appearance over the whole picture; what else has a weight."""
        q, p = out.posterior, out.prior
        assert q is not None, "these are not the outputs of a CVAE"
        kl = losses.kl_normal(q.mean, q.std, p.mean, p.std).mean()
        return {"kl": kl} | self._picture_terms(nets, image, hole, out)


@dataclass(frozen=True, kw_only=True)
class InstanceBlind(_SinglePath):
    """The rival that is never shown what the hole held (Zheng et al. 2019, fig. 2c).

    z comes from p_phi(z | I_m), held to N_m = N(0, sigma^2(n) I); appearance counts at visible pixels only, the hole is
    left to the critic: unstable, says the paper. With `whole_appearance` the hole's truth counts, too, and sampling is
    soon ignored; that is `train_paths one` of the release. KL in the release's direction, KL(N_m || p), unless
    `kl_as_in_paper`.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: {"kl": 80.0, "appearance": 20.0, "adversarial": 1.0}  # 80: alpha_KL = 20, 4 scales
    )
    kl_as_in_paper: bool = False
    whole_appearance: bool = False

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> SinglePathOutputs:
        """A fill from the prior's sample."""
        noise, mix = _take_mix(noise, self.gan)
        assert noise is not None, "the instance-blind strategy samples: it needs noise"
        net = cast(PICNet, nets.net)
        encoded = net.encode(image, hole)
        return SinglePathOutputs(encoded.prior, net.generate(encoded.prior.sample(noise), encoded), mix=mix)

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: SinglePathOutputs) -> Terms:
        """The KL of the prior, appearance of the visible pixels, and what else has a weight."""
        kl = kl_to_size_prior(out.prior, hole, as_in_paper=self.kl_as_in_paper)
        visible_only = not self.whole_appearance
        return {"kl": kl} | self._picture_terms(nets, image, hole, out, visible_only=visible_only)


@dataclass(frozen=True, kw_only=True)
class StructureTexture:
    """DFNet's objective (Hong et al. 2019).

    Reconstruction on the structure levels; perceptual, style and TV on the texture levels. TV acts on the prediction;
    `tv_as_released` computes it on the target instead, a constant without gradient, as the release does.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: {"reconstruction": 6.0, "perceptual": 0.1, "style": 240.0, "tv": 0.1}
    )
    structure_levels: tuple[int, ...] = (0, 1, 2, 3, 4, 5)  # 0 = finest
    texture_levels: tuple[int, ...] = (0, 1, 2)
    tv_as_released: bool = False
    critics: ClassVar[tuple[str, ...]] = ()
    samples: ClassVar[bool] = False
    feature_terms: ClassVar[tuple[str, ...]] = ("perceptual", "style")
    terms: ClassVar[tuple[str, ...]] = ("reconstruction", *feature_terms, "tv")

    def noise_shape(self, net: DFNet, size: int) -> None:
        """None: deterministic."""

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> list[Prediction]:
        """Predictions, finest first."""
        net = cast(DFNet, nets.net)
        return net.generate(net.encode(image, hole))[::-1]

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: list[Prediction]) -> Terms:
        """No critics in DFNet."""
        return {}

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: list[Prediction]) -> Terms:
        """L_rec over structure levels, L_per, L_sty and L_tv over texture levels; whole picture, no hole weighting."""
        targets = [losses.resize_plain(image, *p.image.shape[-2:]) for p in out]
        rec = [losses.l1(out[k].image, targets[k]) for k in self.structure_levels if k < len(out)]
        terms = {"reconstruction": torch.stack(rec).mean()}
        texture = [k for k in self.texture_levels if k < len(out)]
        if self.weights.get("perceptual") or self.weights.get("style"):
            assert nets.features is not None, "perceptual and style terms need a feature network"
            per, sty = [], []
            for k in texture:
                with torch.no_grad():
                    truth = nets.features(targets[k])
                drawn = nets.features(out[k].image)
                per.append(losses.perceptual(drawn, truth))
                if self.weights.get("style"):
                    sty.append(losses.style(drawn, truth))
            terms["perceptual"] = torch.stack(per).mean()
            if sty:
                terms["style"] = torch.stack(sty).mean()
        if self.weights.get("tv"):
            tv = []
            for k in texture:
                picture = targets[k] if self.tv_as_released else out[k].image
                tv.append(losses.total_variation(picture, losses.resize_plain(1 - hole, *picture.shape[-2:])))
            terms["tv"] = torch.stack(tv).mean()
        return terms


def _rows(prediction: Prediction, rows: slice) -> Prediction:
    return Prediction(*(None if x is None else x[rows] for x in prediction[:3]))  # type: ignore[arg-type]
