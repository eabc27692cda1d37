"""What PICNet's rivals share: one path, one critic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from manyfill import losses
from manyfill.nets import Prediction
from manyfill.nets.latent import Normal
from manyfill.nets.picnet import PICNet
from manyfill.objectives.objective import Nets, Terms, complete
from manyfill.objectives.terms import critic_terms


@dataclass(frozen=True)
class SinglePathOutputs:
    """One run of a strategy with one path."""

    prior: Normal  # p_phi(z | I_m)
    pictures: list[Prediction]  # coarse to fine
    posterior: Normal | None = None  # CVAE only
    mix: Tensor | None = None  # (B,1,1,1) in [0,1], for wgan-gp
    truths: Tensor | None = None  # (B,truths,3,S,S), what the hole may have held; deterministic only


@dataclass(frozen=True, kw_only=True)
class SinglePath:
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
            missing = losses.resize_corners(hole, *size)
            truths = [image] if out.truths is None else list(out.truths.unbind(1))
            for target in (losses.resize_corners(truth, *size) for truth in truths):
                known_only = 1 - missing if visible_only else None
                whole.append(2 * losses.l1(picture.image, target, known_only) / len(truths))
                inside.append(2 * losses.l1_inside(picture.image, target, missing) / len(truths))
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
