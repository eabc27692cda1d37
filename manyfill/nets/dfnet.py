"""DFNet (Hong et al., Deep Fusion Network for Image Completion, ACM MM 2019): a U-Net with fusion blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets import Prediction
from manyfill.nets.fusion import FusionBlock, shrink
from manyfill.nets.near import Area, coarser, cut, needed_boxes, put, shifted


@dataclass(frozen=True, kw_only=True)
class DFNetConfig:
    """Enough to rebuild the network; the defaults are the published one."""

    size: int = 512  # side in pixels it is trained for
    width: int = 64  # channels after the first stage
    max_width: int = 512
    kernels: tuple[int, ...] = (7, 5, 5, 3, 3, 3, 3, 3)  # of the encoder's stages, each of which halves the picture
    fusion_levels: tuple[int, ...] = (0, 1, 2, 3, 4, 5)  # level k has 1/2^k of the picture's side; 0, or none at all
    alpha_channels: int = 3
    upsampling: str = "nearest"  # or "bilinear", "deconv"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernels", tuple(self.kernels))
        object.__setattr__(self, "fusion_levels", tuple(sorted(set(self.fusion_levels))))
        if self.fusion_levels and (self.fusion_levels[0] != 0 or self.fusion_levels[-1] >= len(self.kernels)):
            raise ValueError(
                f"fusion_levels {self.fusion_levels} must hold 0 and stay below {len(self.kernels)} levels, or be empty"
            )

    def encoder_width(self, level: int) -> int:
        """Channels of the input of encoder stage `level`: 4 (masked photo and known mask), then doubling."""
        return 4 if level == 0 else min(self.width * 2 ** (level - 1), self.max_width)


class SameConv2d(nn.Conv2d):
    """Stride-2 convolution with the released asymmetric zero padding: (k-2)//2 left, top; one more right, bottom."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=2)
        before = (kernel_size - 2) // 2
        after = kernel_size - 2 - before
        self.pads = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads))


class EncoderStage(nn.Module):
    """conv, batch norm, ReLU; the first stage is the convolution alone."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, first: bool) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, out_channels, kernel_size)
        self.norm = None if first else nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x if self.norm is None else F.relu(self.norm(x))


class DecoderStage(nn.Module):
    """Upsample, join the skip, conv, batch norm, LeakyReLU(0.2)."""

    def __init__(self, deep: int, skip: int, out_channels: int, upsampling: str) -> None:
        super().__init__()
        if upsampling == "deconv":
            self.up: nn.Module = nn.ConvTranspose2d(deep, deep, 2, stride=2)
        else:
            self.up = nn.Upsample(scale_factor=2, mode=upsampling)
        self.conv = nn.Conv2d(deep + skip, out_channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = torch.cat([self.up(x), skip], 1)
        return F.leaky_relu(self.norm(self.conv(x)), 0.2)


class Encoded(NamedTuple):
    """What the decoder needs of a photo."""

    skips: list[Tensor]  # inputs of the encoder stages, finest first
    deepest: Tensor
    masked: Tensor  # (B,3,H,W) in [0,1], black holes
    hole: Tensor  # (B,1,H,W)


class DFNet(nn.Module):
    """The published network; `decode` is deterministic.

    Without any fusion level it is the ablation: the same U-Net with a plain head for the one picture at full size.
    """

    draws_near = True  # see `decode_near`

    def __init__(self, config: DFNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or DFNetConfig()
        levels = len(self.config.kernels)
        widths = [self.config.encoder_width(level) for level in range(levels + 1)]
        self.encoder = nn.ModuleList(
            EncoderStage(widths[k], widths[k + 1], self.config.kernels[k], first=k == 0) for k in range(levels)
        )
        self.decoder = nn.ModuleList(
            DecoderStage(widths[k + 1], widths[k], widths[k], self.config.upsampling) for k in range(levels)
        )
        self.fusion = nn.ModuleDict(
            {
                str(k): FusionBlock(nn.Conv2d(widths[k], 3, 1), alpha_channels=self.config.alpha_channels)
                for k in self.config.fusion_levels
            }
        )
        self.plain = None if self.config.fusion_levels else nn.Conv2d(widths[0], 3, 1)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return int(2 ** len(self.config.kernels))

    @property
    def working_size(self) -> int:
        """Side in pixels of the squares that the network was made for."""
        return self.config.size

    def noise_shape(self, height: int, width: int) -> None:
        """None: one photo, one fill."""

    def encode(self, image: Tensor, hole: Tensor) -> Encoded:
        """Visible pixels of image (B,3,H,W) in [0,1] to the encoder's pyramid."""
        known = 1 - hole
        masked = image * known
        x = torch.cat([masked, known], 1)  # (B, 4, H, W)
        skips = []
        for stage in self.encoder:
            skips.append(x)
            x = stage(x)
        return Encoded(skips, x, masked, hole)

    def generate(self, encoded: Encoded, near: Tensor | None = None) -> list[Prediction]:
        """Pictures at every fusion level, coarse to fine; with `near` (levels + 1, 4) those boxes of each alone."""
        pictures = []
        x = encoded.deepest
        for k in reversed(range(len(self.decoder))):
            skip, photo, hole = encoded.skips[k], encoded.masked, encoded.hole
            if near is None:
                x = self.decoder[k](x, skip)  # (B, width_k, H/2^k, W/2^k)
            else:
                height, width = skip.shape[-2:]
                span = 2 * near[k + 1]
                x = cut(self.decoder[k](x, cut(skip, span)), shifted(near[k], span))
                photo, hole = (cut(shrink(each, height, width), near[k]) for each in (photo, hole))
            if k in self.config.fusion_levels:
                pictures.append(self.fusion[str(k)](x, photo, hole))
        if self.plain is not None:
            pictures.append(Prediction(torch.sigmoid(self.plain(x))))
        return pictures

    def decode(self, encoded: Encoded, noise: Tensor | None = None) -> Prediction:
        """The one fill; noise is ignored."""
        pictures = self.generate(encoded)
        return pictures[-1]._replace(scales=tuple(picture.image for picture in pictures[:-1]))

    def boxes_near(self, area: Area, height: int, width: int) -> Tensor:
        """What `draw_near` needs to know of an area of a picture."""
        halo = 2 if self.config.upsampling == "bilinear" else 1  # the 3x3 convolution, and what bilinear reads
        return needed_boxes(area, height, width, len(self.decoder), halo)

    def draw_near(self, encoded: Encoded, near: Tensor) -> Prediction:
        """The boxes `near` alone of each picture."""
        pictures = self.generate(encoded, near)
        return pictures[-1]._replace(scales=tuple(picture.image for picture in pictures[:-1]))

    def put_near(self, drawn: Prediction, masked: Tensor, near: Tensor, area: Area) -> Prediction:
        """What `draw_near` drew of `area`, at its place: image and raw are the masked photo elsewhere, alpha is 0."""
        boxes = near.tolist()
        scales = []
        for picture, level in zip(drawn.scales, reversed(self.config.fusion_levels[1:]), strict=True):
            photo = shrink(masked, masked.shape[2] >> level, masked.shape[3] >> level)
            scales.append(put(picture, boxes[level], coarser(area, level), photo))
        image = put(drawn.image, boxes[0], area, masked)
        if drawn.alpha is None or drawn.raw is None:
            return Prediction(image)
        nothing = torch.zeros_like(masked[:, : drawn.alpha.shape[1]])
        alpha, raw = put(drawn.alpha, boxes[0], area, nothing), put(drawn.raw, boxes[0], area, masked)
        return Prediction(image, alpha, raw, tuple(scales))

    def decode_near(self, encoded: Encoded, area: Area) -> Prediction:
        """`decode` for an area (top, left, bottom, right) alone: there the same, in a fraction of the time."""
        near = self.boxes_near(area, *encoded.hole.shape[-2:])
        return self.put_near(self.draw_near(encoded, near), encoded.masked, near, area)

    def forward(self, image: Tensor, hole: Tensor) -> Prediction:
        """encode, then decode."""
        return self.decode(self.encode(image, hole))
