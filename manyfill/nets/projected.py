"""A critic on frozen features (Sauer et al., Projected GANs Converge Faster, 2021), whose eyes need no training.

Maps of ImageNet's EfficientNet-Lite0 are mixed by random convolutions that never change, across channels and from
coarse to fine; a small critic looks at each scale. Photos and fills are first shifted, relit and partly covered, at
random (Zhao et al., Differentiable Augmentation, 2020), or a small set of photos would be known by heart.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets.blocks import SpectralConv2d, conv
from manyfill.nets.perceptual import EfficientNetLite0

if TYPE_CHECKING:
    from manyfill.nets.discriminators import CriticConfig

CHANNELS = (24, 40, 112)  # of the maps of EfficientNet-Lite0 at 1/4, 1/8 and 1/16 of the side
LEAK = 0.2
SHIFT = 1 / 8  # of the side
COVER = 1 / 2  # of the side: a grey square


class Eyes(EfficientNetLite0):
    """The last map of each scale from 1/4 to 1/16."""

    count = 3
    stages = (2, 4, 10)  # type: ignore[assignment]


class ProjectedCritic(nn.Module):
    """Raw scores (B,3,H/16,W/16) of a picture (B,3,H,W) in [0,1], one channel a scale; only `heads` are trained."""

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        self.config = config
        self.features = Eyes()
        widths = [min(config.width * 2**level, config.max_width) for level in range(len(CHANNELS))]
        self.mix_channels = nn.ModuleList(
            nn.Conv2d(seen, wide, 1, bias=False) for seen, wide in zip(CHANNELS, widths, strict=True)
        )
        self.mix_scales = nn.ModuleList(  # from the next coarser scale
            nn.Conv2d(coarse, fine, 3, padding=1, bias=False) for fine, coarse in pairwise(widths)
        )
        for projection in (*self.mix_channels, *self.mix_scales):
            nn.init.kaiming_normal_(projection.weight, nonlinearity="linear")
            projection.requires_grad_(False)
        self.heads = nn.ModuleList(
            _head(widths[level:], config.max_width, spectral=config.spectral_norm) for level in range(len(widths))
        )
        self.numbers: tuple[int, int] | None = None

    def move(self, seed: int, first: int) -> None:
        """In training, what happens to row i of a batch before it is looked at depends on (seed, first + i) alone."""
        self.numbers = (seed, first)

    def seen(self, hole: Tensor) -> Tensor:
        """The hole (B,1,H,W) as far as it is seen, moved as its picture is before it is looked at."""
        draws = self._altered(hole)
        return hole if draws is None else _moved(hole, draws)

    def _altered(self, x: Tensor) -> Tensor | None:
        """In training the draws (B,7) for these rows."""
        if not self.training or self.numbers is None:
            return None
        seed, first = self.numbers
        return torch.tensor([_draws(seed, first + row) for row in range(len(x))]).to(x.device)

    def forward(self, image: Tensor) -> Tensor:
        draws = self._altered(image)
        if draws is not None:
            image = augmented(image, draws)
        mixed = [mix(seen) for mix, seen in zip(self.mix_channels, self.features(image), strict=True)]
        for level in reversed(range(len(mixed) - 1)):
            coarser = self.mix_scales[level](mixed[level + 1])
            coarser = F.interpolate(coarser, size=mixed[level].shape[-2:], mode="bilinear", align_corners=False)
            mixed[level] = mixed[level] + coarser
        return torch.cat([head(seen) for head, seen in zip(self.heads, mixed, strict=True)], 1)


def _head(widths: list[int], most: int, *, spectral: bool) -> nn.Sequential:
    """Halvings down to 1/16 of the picture's side, one convolution more, a score for each place."""
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        halve = SpectralConv2d(narrow, wide, 4, 2, 1) if spectral else nn.Conv2d(narrow, wide, 4, 2, 1)
        layers += [halve, nn.LeakyReLU(LEAK)]
    layers += [conv(widths[-1], most, 3, 1, spectral=spectral), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers, conv(most, 1, 3, 1, spectral=spectral))


def _draws(seed: int, number: int) -> list[float]:
    """Seven numbers, uniform in [0,1)."""
    draw = random.Random(repr((seed, number, "seen")))
    return [draw.random() for _ in range(7)]


def augmented(image: Tensor, draws: Tensor) -> Tensor:
    """Pictures (B,3,H,W) in [0,1] as DiffAugment alters them; draws (B,7), uniform in [0,1). Differentiable.

    Brightness within +-1/2 (in [-1,1] units), saturation 0 to 2, contrast 1/2 to 3/2; then a shift by up to SHIFT of
    the side and a square of COVER of the side, both showing mid-grey.
    """
    x = 2 * image - 1
    brightness, saturation, contrast = (part.view(-1, 1, 1, 1).to(x.dtype) for part in draws.T[:3])
    x = x + brightness - 0.5
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * 2 * saturation + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (contrast + 0.5) + mean
    shown: Tensor = (_moved(x, draws) + 1) / 2
    return shown


def _moved(x: Tensor, draws: Tensor) -> Tensor:
    """Maps (B,C,H,W) shifted, and 0 outside and in a square."""
    down, right, top, left = draws.T[3:]
    height, width = x.shape[-2:]
    rows, columns = (torch.arange(size, device=x.device) for size in (height, width))
    farthest = (round(SHIFT * height), round(SHIFT * width))
    moved = [
        positions + ((2 * most + 1) * where).long()[:, None] - most
        for positions, most, where in zip((rows, columns), farthest, (down, right), strict=True)
    ]  # (B,H), (B,W): where each row and column comes from
    inside = [(place >= 0) & (place < size) for place, size in zip(moved, (height, width), strict=True)]
    taken = [place.clamp(0, size - 1) for place, size in zip(moved, (height, width), strict=True)]
    x = x.gather(2, taken[0][:, None, :, None].expand_as(x)).gather(3, taken[1][:, None, None, :].expand_as(x))

    covered = []
    for positions, size, where in zip((rows, columns), (height, width), (top, left), strict=True):
        length = round(COVER * size)
        middle = ((size + 1) * where).long()[:, None]
        covered.append((positions >= middle - length // 2) & (positions < middle - length // 2 + length))
    seen = inside[0][:, :, None] & inside[1][:, None] & ~(covered[0][:, :, None] & covered[1][:, None])
    shown: Tensor = x * seen[:, None]
    return shown
