"""Thin holes: what is thin, and that they are continued, not smeared."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from manyfill.boxes import Bools
from manyfill.plain.thin import DEPTH, mend, thin

Pixels = NDArray[np.float32]


def psnr(a: Pixels, b: Pixels) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2) + 1e-12))


def line(height: int, width: int, thickness: int) -> Bools:
    hole = np.zeros((height, width), np.uint8)
    cv2.line(hole, (0, height // 4), (width, 3 * height // 4), 1, thickness)
    return hole > 0


def specks(height: int, width: int) -> Bools:
    hole = np.zeros((height, width), bool)
    hole[::9, ::9] = True
    return hole


@pytest.mark.parametrize("hole", [line(120, 150, 1), line(120, 150, 4), specks(150, 200)])
def test_lines_and_specks_are_thin(hole: Bools) -> None:
    assert (thin(hole) == hole).all()


def test_a_bulky_hole_is_not_thin_but_a_wire_that_leaves_it_is() -> None:
    hole = np.zeros((120, 200), bool)
    hole[40:80, 20:70] = True
    hole[60, 70:180] = hole[38:40, 40:44] = True  # and a ragged edge
    found = thin(hole)
    assert not found[:, :70].any()
    assert found[60, 90:180].all()


def test_thin_is_the_same_in_tiles_as_in_one_piece() -> None:
    rng = np.random.default_rng(0)
    hole = cv2.dilate((rng.random((150, 170)) < 0.004).astype(np.uint8), np.ones((9, 5), np.uint8)) > 0
    whole = thin(hole)
    assert whole.any() and (hole & ~whole).any()
    assert (thin(hole, tile=40) == whole).all()


def test_at_the_border_nothing_beyond_the_photo_is_known() -> None:
    hole = np.zeros((60, 60), bool)
    hole[:5] = True
    assert not thin(hole).any()  # five rows deep, known on one side only
    hole[3:] = hole[:, 2:] = False
    assert thin(hole).all() == hole.all()


@pytest.mark.parametrize("thickness", [1, 3, 4])
def test_a_line_through_a_pattern_keeps_the_pattern(thickness: int) -> None:
    y, x = np.mgrid[:120, :150]
    stripes = np.repeat(((x + y) % 6 < 3)[..., None], 3, 2).astype(np.float32) * 0.6 + 0.2
    hole = line(120, 150, thickness)
    assert float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5).max()) <= DEPTH
    filled = mend(np.where(hole[..., None], np.float32(np.nan), stripes), hole, hole)
    assert psnr(filled, stripes[hole]) > 25
    smeared = cv2.inpaint((stripes * 255).astype(np.uint8), hole.astype(np.uint8), 3, cv2.INPAINT_TELEA) / 255
    assert psnr(filled, stripes[hole]) > psnr(smeared[hole], stripes[hole]) + 5


def test_a_gradient_stays_a_gradient() -> None:
    y, x = np.mgrid[:90, :120].astype(np.float32)
    ramp = np.stack([0.2 + x / 300, 0.3 + y / 200, 0.8 - x / 400], 2)
    hole = line(90, 120, 3) | specks(90, 120)
    assert np.abs(mend(ramp, hole, hole) - ramp[hole]).max() < 0.5 / 255


def test_where_hardly_anything_is_known_values_are_finite() -> None:
    hole = np.ones((20, 20), bool)
    hole[4, 4] = False
    filled = mend(np.full((20, 20, 3), 0.4, np.float32), hole, hole)
    np.testing.assert_allclose(filled, 0.4, atol=1e-3)
