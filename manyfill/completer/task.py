"""What to fill and how: the photo, its hole, what each fill draws from, and pixels as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manyfill.boxes import Bools, tight, whole
from manyfill.checking import Check, go_on
from manyfill.completer.portions import Portions
from manyfill.photos import Photo
from manyfill.seams import Floats
from manyfill.views import View, view_of

if TYPE_CHECKING:
    from manyfill.completer.completion import Completion

TINT = 2 / 255  # channels of a grey photo may differ by so much: JPEG rounds
STRAY = 1e-3  # share of its pixels that may be coloured: a hot pixel, a date stamp's rim

Progress = Callable[[str, int, int], None]  # (stage, done, total)
Preview = Callable[["Completion", int, int], None]  # (unfinished fill, step, steps), coarse to fine


@dataclass(frozen=True)
class Noise:
    """What a fill draws from: its own seed alone, or a seed that it stays near."""

    diversity: float  # scale
    near: int | None
    step: float  # 0..1

    def draw(self, shape: tuple[int, ...], seed: int, number: int, *, plain_start: bool = False) -> Tensor:
        """(1,*shape), on the CPU, from the seeds and the window's number alone.

        `plain_start`: seed 0 has no noise, as its view is the plain one (views.py); so it is the likeliest fill.
        """

        def of(seed: int) -> Tensor:
            return torch.zeros(1, *shape) if plain_start and seed == 0 else normal(shape, seed, number)

        noise = of(seed)
        if self.near is not None:  # two standard normals on a circle: their mixture is a standard normal again
            noise = self.step * noise + (1 - self.step**2) ** 0.5 * of(self.near)
        return noise * self.diversity

    def view(self, seed: int) -> View:
        """How a seed has a network that has one answer shown the photo."""
        return view_of(seed, diversity=self.diversity, near=self.near, step=self.step)


@dataclass(frozen=True, eq=False)
class Task:
    """What to fill, and how."""

    photo: Photo
    hole: Bools  # to be filled
    blind: Bools | None  # fully transparent: neither seen nor touched
    band: int
    noise: Noise
    neutral: bool = False  # the photo is grey around the hole, whatever it is stored as
    check: Check = go_on
    portions: Portions = Portions()

    def to_depth(self, fill: NDArray[Any]) -> NDArray[Any]:
        """A fill at the photo's depth, rounded; grey where the photo is."""
        return to_depth(fill, self.photo, neutral=self.neutral)


def see_through(photo: Photo, hole: Bools, *, fill_transparent: bool) -> tuple[Photo, Bools, Bools | None]:
    """Photo, hole and unseen pixels, once the photo's transparency has had its say."""
    if photo.alpha is None:
        return photo, hole, None
    if fill_transparent and hole.any():
        alpha = photo.alpha.copy()
        alpha[hole] = np.iinfo(alpha.dtype).max
        photo = replace(photo, alpha=alpha)
    blind = np.asarray(photo.alpha == 0)
    return (photo, hole & ~blind, blind) if blind.any() else (photo, hole, None)


def normal(shape: tuple[int, ...], seed: int, number: int) -> Tensor:
    """Standard normal noise (1,*shape), on the CPU, of a window's number."""
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(derive_seed(seed, number)))


def derive_seed(seed: int, *numbers: int) -> int:
    """63 bits that depend on all of the seed and the numbers."""
    return int(np.random.SeedSequence([seed % 2**64, *numbers]).generate_state(1, np.uint64)[0]) >> 1


def as_float(pixels: NDArray[Any]) -> Floats:
    """Pixels of 8 or 16 bits as [0,1]."""
    return (pixels / np.float32(np.iinfo(pixels.dtype).max)).astype(np.float32, copy=False)


def is_neutral(pixels: NDArray[Any], unknown: Bools, hole: Bools) -> bool:
    """Whether the known pixels (H,W,3) near the hole (H,W) are grey, but for a few that may be anything."""
    box = tight(hole, whole(hole))
    if box is None:
        return False
    known = tinted = 0
    tint = TINT * np.iinfo(pixels.dtype).max
    for tile in box.grown(max(64, min(box.height, box.width)), whole(hole)).tiles(512):
        red, green, blue = np.moveaxis(pixels[tile.part], -1, 0)
        seen = ~unknown[tile.part]
        apart = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
        known += int(np.count_nonzero(seen))
        tinted += int(np.count_nonzero(seen & (apart > tint)))
        if tinted > STRAY * hole.size:
            return False
    return known > 0 and tinted <= STRAY * known


def to_depth(fill: NDArray[Any], photo: Photo, *, neutral: bool = False) -> NDArray[Any]:
    """To source depth, rounded; grey photos get grey fills (Rec. 601 luma, as Pillow converts)."""
    if neutral or photo.mode in ("L", "LA"):
        luma = fill @ np.array([0.299, 0.587, 0.114], np.float32)
        fill = np.broadcast_to(luma[..., None], fill.shape)
    highest = np.iinfo(photo.pixels.dtype).max
    return np.asarray(np.rint(np.clip(fill, 0, 1) * np.float32(highest)).astype(photo.pixels.dtype))
