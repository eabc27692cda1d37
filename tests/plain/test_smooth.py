"""Smooth ground: flat colours and skies go on exactly, texture is left alone."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from manyfill.boxes import Bools, whole
from manyfill.plain import smooth


def box(height: int, width: int, top: int, left: int, bottom: int, right: int) -> Bools:
    hole = np.zeros((height, width), bool)
    hole[top:bottom, left:right] = True
    return hole


def filled(pixels: NDArray[Any], hole: Bools, grid: int = smooth.GRID) -> NDArray[np.float64] | None:
    """At source depth, not rounded; None where a part is not smooth."""
    out = pixels.astype(np.float64)
    for at, own in smooth.parts(hole):
        found = smooth.ground(pixels, hole, at, own, grid=grid)
        if found is None:
            return None
        for tile, fill in smooth.fill(found, pixels, own, 64):
            painted = own[tile.inside(at).part]
            out[tile.part][painted] = fill[painted] * float(np.iinfo(pixels.dtype).max)
    return out


def sky(height: int, width: int) -> NDArray[np.float64]:
    y, x = np.mgrid[:height, :width] / height
    return np.stack([70 + 90 * y, 120 + 80 * y + 10 * x, 205 + 35 * y - 20 * y * y], 2)


@pytest.mark.parametrize("colour", [(0, 177, 64), (128, 0, 128), (255, 140, 0)])
def test_an_object_on_a_flat_colour_leaves_that_colour(colour: tuple[int, int, int]) -> None:
    pixels = np.full((300, 480, 3), colour, np.uint8)
    pixels[20:281, 20:121] = 245
    cv2.circle(pixels, (400, 90), 50, (250, 200, 40), -1)
    pixels[90:211, 180:321] = 30
    found = filled(pixels, hole := box(300, 480, 84, 174, 216, 326))
    assert found is not None
    assert np.abs(found - colour)[hole].max() < 0.01


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_clear_sky_goes_on_without_a_stain(depth: Any, noise: float) -> None:
    scale = np.iinfo(depth).max / 255
    true = sky(500, 750) * scale
    grain = np.random.default_rng(5).normal(0, noise, true.shape) * scale
    pixels = np.rint(true + grain).clip(0, np.iinfo(depth).max).astype(depth)
    hole = box(500, 750, 150, 250, 330, 480)
    pixels[154:326, 254:476] = 30
    found = filled(pixels, hole)
    assert found is not None
    low = np.abs(cv2.blur(found, (15, 15)) - cv2.blur(true, (15, 15)))[hole]
    assert low.max() < 1.0 * scale
    if noise:  # and it is as grainy as the photo
        assert 0.8 < (found - true)[hole].std() / (noise * scale) < 1.2
    else:  # no bands: neighbours differ as the sky does
        assert np.abs(found - true)[hole].max() < 0.75 * scale
        assert np.abs(np.diff(found[150:330, 300, 0], 2)).max() < 0.05 * scale


def test_texture_edges_and_holes_without_a_rim_are_not_smooth() -> None:
    rng, hole = np.random.default_rng(0), box(120, 160, 40, 50, 80, 100)
    grass = rng.integers(60, 120, (120, 160, 3), dtype=np.uint8)
    horizon = np.where(np.arange(120)[:, None, None] < 60, 90, np.full((120, 160, 3), 150)).astype(np.uint8)
    waves = (120 + 12 * np.sin(np.mgrid[:120, :160][0] / 3))[..., None].repeat(3, 2).astype(np.uint8)
    for pixels in (grass, horizon, waves):
        assert filled(pixels, hole) is None
    assert filled(grass, np.ones((120, 160), bool)) is None


def test_a_few_stray_pixels_at_the_rim_do_not_matter() -> None:
    pixels, hole = np.full((120, 160, 3), (10, 90, 200), np.uint8), box(120, 160, 40, 50, 80, 100)
    pixels[36, 60:64] = 255
    found = filled(pixels, hole)
    assert found is not None and np.abs(found - (10, 90, 200))[hole].max() < 1


def test_a_rim_on_one_side_is_continued_by_a_plane_at_most() -> None:
    y, x = np.mgrid[:200, :300]
    plane = np.stack([60 + 0.3 * y, 200 - 0.2 * x, np.full((200, 300), 90.0)], 2)
    pixels, hole = np.rint(plane).astype(np.uint8), box(200, 300, 0, 0, 200, 120)
    found = filled(pixels, hole)
    assert found is not None
    assert np.abs(found - plane)[hole].max() < 5  # a hundred pixels beyond what eight bits say
    at, own = next(smooth.parts(hole))
    ground = smooth.ground(pixels, hole, at, own)
    assert ground is not None and len(ground.terms) == 3


def test_parts_are_told_apart_and_cover_the_hole() -> None:
    rng = np.random.default_rng(1)
    hole = cv2.dilate((rng.random((130, 170)) < 0.003).astype(np.uint8), np.ones((7, 5), np.uint8)) > 0
    for cells in (smooth.CELLS, 500):
        seen = np.zeros(hole.shape, int)
        for at, own in smooth.parts(hole, cells=cells):
            assert at.shared(whole(hole)) == at
            seen[at.part] += own
        assert (seen == hole).all()


def test_a_large_ground_is_worked_on_in_cells() -> None:
    true = sky(300, 400)
    hole = box(300, 400, 60, 80, 240, 320)
    found = filled(np.rint(true).astype(np.uint8), hole, grid=3000)
    assert found is not None and np.abs(found - true)[hole].max() < 1
