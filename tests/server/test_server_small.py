"""Fills made small: the same as of the whole, and no whole in memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from manyfill import photos
from manyfill.boxes import Box
from manyfill.completer import Completion, uncertainty
from manyfill.completer.completion import Patch
from manyfill.server.pictures import Finished, heat_map
from manyfill.server.small import shrunk, shrunk_fill, shrunk_spread


def filled(height: int, width: int, box: Box, *, dtype: type = np.uint8, seed: int = 0) -> Completion:
    rng = np.random.default_rng(seed)
    small = np.random.default_rng(5).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(dtype)
    pixels = pixels * (257 if dtype is np.uint16 else 1)
    hole = np.zeros((height, width), bool)
    hole[box.part] = True
    fill = rng.integers(0, np.iinfo(dtype).max + 1, (box.height, box.width, 3), dtype)
    photo = photos.read(pixels)
    return Completion(photo, seed, None, hole, (Patch(box, fill, np.ones((box.height, box.width), bool)),))


@pytest.mark.parametrize("size", [(700, 900), (701, 1403), (2000, 333), (64, 50), (1, 900)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_it_is_the_whole_fill_made_small(size: tuple[int, int], dtype: type) -> None:
    height, width = size
    box = Box(height // 3, width // 4, max(1, height // 3), width // 2)
    fill = filled(height, width, box, dtype=dtype)
    before = fill.source.pixels.copy()
    ours, whole = shrunk_fill(fill, 640), shrunk(fill.photo, 640)
    assert ours.pixels.shape == whole.pixels.shape
    apart = np.abs(ours.pixels.astype(int) - whole.pixels)
    assert apart.max() <= 12 and apart.mean() < 0.3  # noise: a hundredth of a pixel is some of it
    assert np.array_equal(fill.source.pixels, before)
    others = [fill, filled(height, width, box, dtype=dtype, seed=1)]
    spread = uncertainty(others)
    wanted = cv2.resize(spread, ours.pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk_spread(others, 640) - wanted).max() < 0.05


def test_previews_of_a_large_photo_take_a_fraction_of_its_memory() -> None:
    fill = filled(6000, 6000, Box(1000, 1500, 400, 500))
    fills = [fill, replace(fill, seed=1)]
    tracemalloc.start()
    assert Finished(fill).preview().width == 1600
    heat_map(fills)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < fill.source.pixels.nbytes * 0.5, peak  # a copy of it alone is more
