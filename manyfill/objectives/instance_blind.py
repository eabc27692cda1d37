"""PICNet's rival that is never shown what the hole held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from torch import Tensor

from manyfill.nets.picnet import PICNet
from manyfill.objectives.objective import Nets, Terms
from manyfill.objectives.single_path import SinglePath, SinglePathOutputs
from manyfill.objectives.terms import kl_to_size_prior, take_mix


@dataclass(frozen=True, kw_only=True)
class InstanceBlind(SinglePath):
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
        noise, mix = take_mix(noise, self.gan)
        assert noise is not None, "the instance-blind strategy samples: it needs noise"
        net = cast(PICNet, nets.net)
        encoded = net.encode(image, hole)
        pictures = net.generate(encoded.prior.sample(noise), encoded, noise)
        return SinglePathOutputs(encoded.prior, pictures, mix=mix)

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: SinglePathOutputs) -> Terms:
        """The KL of the prior, appearance of the visible pixels, and what else has a weight."""
        kl = kl_to_size_prior(out.prior, hole, as_in_paper=self.kl_as_in_paper)
        visible_only = not self.whole_appearance
        return {"kl": kl} | self._picture_terms(nets, image, hole, out, visible_only=visible_only)
