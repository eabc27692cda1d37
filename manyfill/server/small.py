"""Fills made small, no whole one in memory: the photo is shrunk as it lies, then what was filled, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Box
from manyfill.checking import Check, go_on
from manyfill.completer import Completion, spread
from manyfill.photos import Photo

TILE = 256  # pixels of the small picture's tiles, at most
Cut = tuple[int, int]  # where a tile begins: in the photo, in the small picture


def size_of(photo: Photo, side: int) -> tuple[int, int]:
    """Width and height of the photo with its longer side at most `side` pixels."""
    share = min(1.0, side / max(photo.width, photo.height))
    return max(1, round(photo.width * share)), max(1, round(photo.height * share))


def shrunk(photo: Photo, side: int) -> Photo:
    """The photo at 8 bits, its longer side at most `side` pixels, without metadata but its colour profile."""
    size = size_of(photo, side)
    alpha = None if photo.alpha is None else _small(photo.alpha, size)
    return Photo(_small(photo.pixels, size), alpha=alpha, mode=photo.mode, icc=photo.icc)


def shrunk_fill(fill: Completion, side: int) -> Photo:
    """`shrunk` of the fill's photo, of which no whole is made: memory goes with a tile."""
    small = shrunk(fill.source, side)
    pixels = small.pixels.copy() if np.shares_memory(small.pixels, fill.source.pixels) else small.pixels
    touched = [patch.box for patch in fill.patches]
    for box, there in _tiles(fill.source, (small.width, small.height)):
        if any(box.shared(one) is not None for one in touched):
            pixels[there.part] = _small(fill.pixels(box), (there.width, there.height))
    return replace(small, pixels=pixels)


def shrunk_spread(fills: list[Completion], side: int, *, check: Check = go_on) -> NDArray[np.float32]:
    """Where the fills of a photo disagree, in [0,1], as small as `shrunk`; `check()` is called before each tile."""
    first = fills[0]
    width, height = size_of(first.source, side)
    found = np.zeros((height, width), np.float32)
    for box, there in _tiles(first.source, (width, height)):
        check()
        if first.hole[box.part].any():
            values = spread(fills, box)
            found[there.part] = cv2.resize(values, (there.width, there.height), interpolation=cv2.INTER_AREA)
    return found


def _small(array: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H,W[,3]) at 8 bits; `size`: width and height."""
    if size != array.shape[1::-1]:
        array = np.asarray(cv2.resize(array, size, interpolation=cv2.INTER_AREA))
    return array if array.dtype == np.uint8 else ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _tiles(photo: Photo, size: tuple[int, int]) -> Iterator[tuple[Box, Box]]:
    """Boxes of the photo and what they are of the small picture; `size`: its width and height."""
    downs, acrosses = _cuts(photo.height, size[1]), _cuts(photo.width, size[0])
    for (top, small_top), (bottom, small_bottom) in pairwise(downs):
        for (left, small_left), (right, small_right) in pairwise(acrosses):
            yield (
                Box(top, left, bottom - top, right - left),
                Box(small_top, small_left, small_bottom - small_top, small_right - small_left),
            )


def _cuts(length: int, small: int) -> list[Cut]:
    """Where a side is cut into tiles: where pixels of both pictures begin together, as nearly as can be."""
    scale = length / small

    def off(at: int) -> float:
        return abs(at * scale - round(at * scale))

    cuts = [(0, 0)]
    while small - cuts[-1][1] > TILE:
        last = cuts[-1][1]
        best = min(range(last + TILE, last + TILE // 2, -1), key=off)
        cuts.append((round(best * scale), best))
    return [*cuts, (length, small)]
