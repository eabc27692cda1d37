"""Terms that several objectives have: those of a critic, and a latent's distance to the size prior."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill import losses
from manyfill.nets.latent import Normal
from manyfill.objectives.objective import Terms


def critic_terms(
    name: str,
    critic: nn.Module,
    image: Tensor,
    picture: Tensor,
    gan: str,
    mix: Tensor | None = None,
    hole: Tensor | None = None,
) -> Terms:
    """One critic's losses on photos and on pictures that it is to tell from them; the pictures get no gradient.

    With a `hole` (B,1,H,W) its places alone count (`share_missing`).
    For wgan-gp also `penalty_NAME`, the gradient penalty times its lambda at `mix` (B,1,1,1) of the way from picture to
    photo. It stands in for spectral norm: with both, gradients stay far below 1 for long; use
    CriticConfig(spectral_norm=False).
    """
    picture = picture.detach()
    real, fake = critic(image), critic(picture)
    terms = {f"critic_{name}": losses.gan_discriminator(real, fake, gan, share_missing(critic, hole, fake))}
    if gan == "wgan-gp":
        assert mix is not None, "the gradient penalty needs a share of the photo for each picture"
        penalty = losses.gradient_penalty(critic, image, picture, mix)
        terms[f"penalty_{name}"] = losses.GRADIENT_PENALTY * penalty
    return terms


def share_missing(critic: Any, hole: Tensor | None, scores: Tensor) -> Tensor | None:
    """How much of the hole (B,1,H,W) lies at each place of a critic's scores (B,C,h,w): (B,1,h,w); None without one."""
    if hole is None:
        return None
    height, width = scores.shape[-2:]
    return F.adaptive_avg_pool2d(critic.seen(hole), (height, width))


def take_mix(noise: Tensor | None, gan: str) -> tuple[Tensor | None, Tensor | None]:
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
