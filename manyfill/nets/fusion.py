"""The fusion block (Hong et al. 2019): a learned alpha blends what the network drew into the photo.

raw   = sigmoid(M(features))                 C_k
alpha = sigmoid(A([photo_k, raw]))           alpha_k
fused = alpha * raw + (1 - alpha) * photo_k  the blend B
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets import Prediction


def shrink(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, no antialiasing, corners not aligned: the resize inside DFNet's fusion blocks and losses."""
    if x.shape[-2:] == (height, width):
        return x
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


class FusionBlock(nn.Module):
    """M, A and B of the DFNet paper.

    `to_raw` maps features to three channels before the sigmoid: a 1x1 convolution in DFNet, PICNet's own output head in
    the flagship. As published, A sees the shrunken masked photo and the raw picture only; with `sees_hole` also the
    shrunken hole, so that a black photo and a black hole differ.
    """

    def __init__(self, to_raw: nn.Module, *, alpha_channels: int = 3, width: int = 32, sees_hole: bool = False) -> None:
        super().__init__()
        self.to_raw = to_raw
        self.sees_hole = sees_hole
        self.to_alpha = nn.Sequential(
            nn.Conv2d(7 if sees_hole else 6, width, 1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, alpha_channels, 3, padding=1),
            nn.BatchNorm2d(alpha_channels),
            nn.LeakyReLU(0.2),
            nn.Conv2d(alpha_channels, alpha_channels, 1),
        )

    def forward(self, features: Tensor, masked: Tensor, hole: Tensor) -> Prediction:
        """Features (B,C,h,w), masked photo (B,3,H,W) with black holes and hole (B,1,H,W) at full size, to (h,w)."""
        height, width = features.shape[-2:]
        photo = shrink(masked, height, width)  # (B, 3, h, w)
        raw = torch.sigmoid(self.to_raw(features))  # (B, 3, h, w)
        seen = [photo, raw, shrink(hole, height, width)] if self.sees_hole else [photo, raw]
        alpha = torch.sigmoid(self.to_alpha(torch.cat(seen, 1)))  # (B, 1|3, h, w)
        return Prediction(alpha * raw + (1 - alpha) * photo, alpha, raw)
