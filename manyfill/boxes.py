"""Rectangles in pixels of a photo, and the smallest one around what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]  # (H,W,3) RGB; of 8 or 16 bits: photos.photo.Pixels


class Box(NamedTuple):
    """A rectangle in pixels of the photo."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column to the right."""
        return self.left + self.width

    @property
    def part(self) -> tuple[slice, slice]:
        """Index of the rectangle in an (H,W,...) array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, pixels: int, within: Box) -> Box:
        """As many pixels larger on every side, cut to `within`."""
        top, left = max(self.top - pixels, within.top), max(self.left - pixels, within.left)
        bottom, right = min(self.bottom + pixels, within.bottom), min(self.right + pixels, within.right)
        return Box(top, left, bottom - top, right - left)

    def shared(self, other: Box) -> Box | None:
        """The common part of two rectangles, None where there is none."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(top, left, bottom - top, right - left) if bottom > top and right > left else None

    def tiles(self, side: int) -> Iterator[Box]:
        """Cut into pieces of at most `side` x `side`."""
        for top in range(self.top, self.bottom, side):
            for left in range(self.left, self.right, side):
                yield Box(top, left, min(side, self.bottom - top), min(side, self.right - left))

    def inside(self, other: Box) -> Box:
        """The same rectangle, counted from the corner of `other`."""
        return Box(self.top - other.top, self.left - other.left, self.height, self.width)


def whole(hole: Bools) -> Box:
    """All of a picture."""
    return Box(0, 0, *hole.shape)


def tight(hole: Bools, box: Box) -> Box | None:
    """The smallest box around what is missing in `box`, None where nothing is."""
    part = hole[box.part]
    rows = np.flatnonzero(part.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(part[rows[0] : rows[-1] + 1].any(axis=0))
    return Box(
        box.top + int(rows[0]),
        box.left + int(columns[0]),
        int(rows[-1] - rows[0]) + 1,
        int(columns[-1] - columns[0]) + 1,
    )


def around(one: Box, other: Box) -> Box:
    """The smallest box that holds both."""
    top, left = min(one.top, other.top), min(one.left, other.left)
    return Box(top, left, max(one.bottom, other.bottom) - top, max(one.right, other.right) - left)
