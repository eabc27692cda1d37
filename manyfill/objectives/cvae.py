"""PICNet's rival with a posterior tied to the prior alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from manyfill import losses
from manyfill.nets.picnet import PICNet
from manyfill.objectives.objective import Nets, Terms
from manyfill.objectives.single_path import SinglePath, SinglePathOutputs
from manyfill.objectives.terms import take_mix


@dataclass(frozen=True, kw_only=True)
class CVAE(SinglePath):
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
        noise, mix = take_mix(noise, self.gan)
        assert noise is not None, "a CVAE samples: it needs noise"
        net = cast(PICNet, nets.net)
        both = net.encoder(torch.cat([net.see(image, hole), net.see(image, 1 - hole)]))  # I_m, then I_c
        visible, hidden = ([feature.chunk(2)[i] for feature in both] for i in range(2))
        encoded = net.gather(visible, image, hole)
        posterior = net.encoder.infer_posterior(hidden[-1] + visible[-1])
        pictures = net.generate(posterior.sample(noise), encoded, noise)
        return SinglePathOutputs(encoded.prior, pictures, posterior, mix)

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: SinglePathOutputs) -> Terms:
        """KL(q || p), which moves both; appearance over the whole picture; what else has a weight."""
        q, p = out.posterior, out.prior
        assert q is not None, "these are not the outputs of a CVAE"
        kl = losses.kl_normal(q.mean, q.std, p.mean, p.std).mean()
        return {"kl": kl} | self._picture_terms(nets, image, hole, out)
