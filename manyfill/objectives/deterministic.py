"""PICNet's rival without sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, cast

from torch import Tensor

from manyfill.nets.picnet import PICNet
from manyfill.objectives.objective import Nets, Terms
from manyfill.objectives.single_path import SinglePath, SinglePathOutputs
from manyfill.objectives.terms import take_mix


@dataclass(frozen=True, kw_only=True)
class Deterministic(SinglePath):
    """The rival without sampling (Zheng et al. 2019, fig. 2a): the prior's mean is decoded and compared with the truth.

    A quick start for the encoder and decoder of the sampling networks. With several `truths` of each hole (labels of
    `manyfill label`) appearance and hole are compared with all of them: what is learnt is their median.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"appearance": 20.0, "adversarial": 1.0})
    truths: int = 1  # of each hole, that a step is shown
    terms: ClassVar[tuple[str, ...]] = ("appearance", "hole", "adversarial", *SinglePath.feature_terms)

    def noise_shape(self, net: PICNet, size: int) -> tuple[int, ...] | None:
        """None: deterministic; but wgan-gp draws where it looks."""
        return (1, 1, 1) if self.gan == "wgan-gp" else None

    def forward(
        self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None, truths: Tensor | None = None
    ) -> SinglePathOutputs:
        """The fill of the prior's mean."""
        _, mix = take_mix(noise, self.gan)
        net = cast(PICNet, nets.net)
        encoded = net.encode(image, hole)
        return SinglePathOutputs(encoded.prior, net.generate(encoded.prior.mean, encoded), mix=mix, truths=truths)

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: SinglePathOutputs) -> Terms:
        """Appearance over the whole picture, and what else has a weight."""
        return self._picture_terms(nets, image, hole, out)
