"""DFNet's objective: structure on coarse levels, texture on fine ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from torch import Tensor

from manyfill import losses
from manyfill.nets import Prediction
from manyfill.nets.dfnet import DFNet
from manyfill.objectives.objective import Nets, Terms


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
