"""MI-GAN (Sargsyan et al., ICCV 2023): a deterministic inpainting network, here as the trunk of `adapter.py`.

Written from the published architecture; the weights are the authors' and are never part of this package (`manyfill
fetch migan`). Inside, pictures are in [-1,1] and `known` = 1 - hole. Level 0 is the finest, at full size; each level
below has half its side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets import Prediction
from manyfill.nets.traits import Traits

LEAK, GAIN, LIMIT = 0.2, 2**0.5, 256.0  # act(x) = clip(sqrt(2) LeakyReLU(x), +-256), as in StyleGAN2
"""The gain stands in the weights (`trunks.migan_state`): LeakyReLU(sqrt(2) x) is the same."""
DEEPEST = 4  # pixels, side of the deepest map for a picture of the size that it was trained at
TAKES = {"torch": 300, "openvino-f32": 800, "openvino-bf16": 600}  # MiB to draw at 512 pixels


@dataclass(frozen=True, kw_only=True)
class MIGANConfig:
    """Enough to rebuild the network; the defaults are the published 512-pixel generator."""

    size: int = 512  # side in pixels that it was trained at; the noise is stored for this size
    width: int = 64  # channels at full size
    max_width: int = 512
    working: int = 512  # side in pixels of the squares that it is shown

    def __post_init__(self) -> None:
        if self.size < 2 * DEEPEST or self.size & (self.size - 1):
            raise ValueError(f"size is {self.size}; expected a power of two, {2 * DEEPEST} or more")
        if self.working % self.multiple:
            raise ValueError(f"working is {self.working}; expected a multiple of {self.multiple}")

    @property
    def traits(self) -> Traits:
        """Squares alone; as good in bfloat16 (docs/adapters.md). Memory as measured at 512 (docs/large_photos.md)."""
        share = (self.working / 512) ** 2
        takes = {engine: round(share * mib) << 20 for engine, mib in TAKES.items()}
        return Traits(square=True, bf16=True, takes=takes)

    @property
    def levels(self) -> int:
        """Maps of the pyramid, from full size to DEEPEST."""
        return (self.size // DEEPEST).bit_length()

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return self.size // DEEPEST

    def channels(self, level: int) -> int:
        """Of the features at `level`, 0 = full size."""
        return int(min(self.width * 2**level, self.max_width))


class Encoded(NamedTuple):
    """What the synthesis needs of a photo."""

    skips: list[Tensor]  # level by level, finest first: (B,C_k,H/2^k,W/2^k)
    deepest: Tensor  # (B,C,H/128,W/128) for the published network
    masked: Tensor  # (B,3,H,W) in [0,1], black holes
    hole: Tensor  # (B,1,H,W)


class Modulation(Protocol):
    """What an adapter does to the synthesis: features (B,C,h,w) of a level, once its skip has been added, to others."""

    def __call__(self, features: Tensor, level: int) -> Tensor: ...


def act(x: Tensor) -> Tensor:
    """clip(LeakyReLU(x), +-256); the gain is in the weights before it."""
    return F.leaky_relu(x, LEAK).clamp_(-LIMIT, LIMIT)


def double(x: Tensor) -> Tensor:
    """Twice the side, by the fixed filter [1,3,3,1]/4 over zeros between the pixels; zeros beyond the border.

    Inside that is bilinear interpolation; with a border of zeros it is so everywhere.
    """
    return F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear", align_corners=False)[..., 2:-2, 2:-2]


def halve(x: Tensor) -> Tensor:
    """Half the side, by the fixed filter [1,3,3,1]/8, channel by channel."""
    line = x.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    channels = x.shape[1]
    return F.conv2d(x, torch.outer(line, line).expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


class SeparableConv(nn.Module):
    """3x3 depth-wise convolution, act, 1x1 convolution; half or twice the side in between; noise; act."""

    noise: Tensor | None

    def __init__(self, in_channels: int, out_channels: int, *, halves: bool = False, noise: int = 0) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.halves = halves
        self.register_buffer("noise", torch.zeros(noise, noise) if noise else None)

    def forward(self, x: Tensor, *, twice: bool = False) -> Tensor:
        x = act(self.depthwise(x))
        if self.halves:
            x = halve(x)
        x = self.pointwise(x)
        if twice:
            x = double(x)
        if self.noise is not None:
            x = x + _tiled(self.noise, *x.shape[-2:]).to(x.dtype)
        return act(x)


def _tiled(noise: Tensor, height: int, width: int) -> Tensor:
    """The stored constant (R,R) for a map of another size: repeated, its first rows and columns."""
    rows, columns = (torch.arange(side, device=noise.device) % noise.shape[0] for side in (height, width))
    return noise[rows][:, columns]


class EncoderLevel(nn.Module):
    """Two separable convolutions; the first one's result is the skip, the second halves, but not at the deepest."""

    def __init__(self, channels: int, deeper: int, *, last: bool) -> None:
        super().__init__()
        self.conv1 = SeparableConv(channels, channels)
        self.conv2 = SeparableConv(channels, deeper, halves=not last)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.conv1(x)
        return skip, self.conv2(skip)


class SynthesisLevel(nn.Module):
    """Double, add the skip, convolve; `to_picture` is added to the doubled picture of the level below."""

    def __init__(self, deeper: int, channels: int, side: int, *, first: bool) -> None:
        super().__init__()
        noise = 0 if first else side
        self.conv1 = SeparableConv(deeper, channels, noise=noise)
        self.conv2 = SeparableConv(channels, channels, noise=noise)
        self.to_picture = nn.Conv2d(channels, 3, 1)
        self.first = first

    def enter(self, x: Tensor, skip: Tensor) -> Tensor:
        """The features of the level below at this level, with the skip."""
        features: Tensor = self.conv1(x, twice=not self.first) + skip
        return features


class MIGAN(nn.Module):
    """The generator behind the interface of `CompletionNet`; one photo, one fill."""

    def __init__(self, config: MIGANConfig | None = None) -> None:
        super().__init__()
        self.config = config or MIGANConfig()
        last = self.config.levels - 1
        widths = [self.config.channels(level) for level in range(last + 1)]
        self.from_picture = nn.Conv2d(4, widths[0], 1)
        self.encoder = nn.ModuleList(
            EncoderLevel(widths[k], widths[min(k + 1, last)], last=k == last) for k in range(last + 1)
        )
        self.synthesis = nn.ModuleList(
            SynthesisLevel(widths[min(k + 1, last)], widths[k], self.config.size >> k, first=k == last)
            for k in range(last + 1)
        )

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return self.config.multiple

    @property
    def working_size(self) -> int:
        """Side in pixels of the squares that the network is shown."""
        return self.config.working

    def noise_shape(self, height: int, width: int) -> None:
        """None: one photo, one fill."""

    def encode(self, image: Tensor, hole: Tensor) -> Encoded:
        """Visible pixels of image (B,3,H,W) in [0,1] to the encoder's pyramid."""
        known = 1 - hole
        x = act(self.from_picture(torch.cat([known - 0.5, (2 * image - 1) * known], 1)))  # (B, 64, H, W)
        skips = []
        for level in self.encoder:
            skip, x = level(x)  # half the side
            skips.append(skip)
        return Encoded(skips, x, image * known, hole)

    def draw_level(
        self, k: int, x: Tensor, picture: Tensor | None, encoded: Encoded, modulate: Modulation | None = None
    ) -> tuple[Tensor, Tensor]:
        """One level of the synthesis: features and picture of level k + 1 to those of level k, the picture in [-1,1].

        At the deepest level x is `encoded.deepest` and there is no picture yet. Pictures are not clipped.
        """
        level = self.synthesis[k]
        x = level.enter(x, encoded.skips[k])  # type: ignore[operator]
        if modulate is not None:
            x = modulate(x, k)
        x = level.conv2(x)  # type: ignore[operator]
        drawn: Tensor = level.to_picture(x)  # type: ignore[operator]
        return x, drawn if picture is None else drawn + double(picture)

    def synthesise(self, encoded: Encoded, modulate: Modulation | None = None) -> list[Tensor]:
        """Pictures in [-1,1], not clipped, of every level, coarse to fine."""
        x, picture, pictures = encoded.deepest, None, []
        for k in reversed(range(len(self.synthesis))):
            x, picture = self.draw_level(k, x, picture, encoded, modulate)
            pictures.append(picture)
        return pictures

    def decode(self, encoded: Encoded, noise: Tensor | None = None) -> Prediction:
        """The one fill; noise is ignored."""
        pictures = self.synthesise(encoded)
        coarse = tuple(_to_unit(picture) for picture in pictures[-4:-1])
        return Prediction(_to_unit(pictures[-1]), scales=coarse)

    def forward(self, image: Tensor, hole: Tensor) -> Prediction:
        """encode, then decode."""
        return self.decode(self.encode(image, hole))


def _to_unit(picture: Tensor) -> Tensor:
    return ((picture + 1) / 2).clamp(0, 1)
