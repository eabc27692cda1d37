"""What is done to a selection once it is found, against truths that are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pictures import ball, overlap

from manyfill.photos import to_8_bits
from manyfill.selection.shapes import TILE, feathered, grown, reduced, refined, rim


def disc(height: int, width: int, at: tuple[int, int], radius: int) -> np.ndarray:  # type: ignore[type-arg]
    return cv2.circle(np.zeros((height, width), np.uint8), at, radius, 1, -1).astype(bool)


def test_a_photo_is_reduced_to_eight_bits_and_never_enlarged() -> None:
    deep = np.full((100, 300, 3), 0xABCD, np.uint16)
    small = reduced(deep, 60)
    assert small.shape == (20, 60, 3) and small.dtype == np.uint8 and (small == 0xAB).all()
    assert reduced(deep[:20, :30], 60).shape == (20, 30, 3)
    assert reduced(deep[:1], 10).shape == (1, 10, 3)  # never without a row
    assert np.array_equal(to_8_bits(np.array([0, 255], np.uint8)), [0, 255])


@pytest.mark.parametrize("at", [(200, 110), (TILE, 110)])
def test_a_coarse_outline_goes_to_the_photos_own_also_where_tiles_meet(at: tuple[int, int]) -> None:
    pixels, truth = ball(240, TILE + 200, at=at, radius=50)
    blocks = cv2.resize(truth.astype(np.float32), (pixels.shape[1] // 8, 30), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(blocks, truth.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0.5
    found = refined(pixels, blocks)
    assert found.shape == truth.shape and overlap(found, truth) > 0.97 > overlap(enlarged, truth)


def test_all_nothing_and_a_speck_stay_what_they_are() -> None:
    pixels, _ = ball()
    assert refined(pixels, np.ones((60, 80), np.float32)).all()
    assert not refined(pixels, np.zeros((60, 80), np.float32)).any()
    speck = np.zeros((240, 320), np.float32)
    speck[10, 10] = 1  # the guided filter makes nothing of it
    assert np.argwhere(refined(pixels, speck)).tolist() == [[10, 10]]


def test_growing_and_shrinking_go_by_so_many_pixels_and_leave_their_argument() -> None:
    hole = disc(100, 120, (60, 50), 20)
    before = hole.copy()
    for by in (-5, 0, 5):
        there = grown(hole, by)
        assert abs(there.sum() - np.pi * (20 + by) ** 2) < 0.1 * there.sum()
        assert (there >= hole if by >= 0 else there <= hole).all()
    assert not grown(hole, -30).any()
    assert not grown(np.zeros((5, 5), bool), -1).any()
    assert np.array_equal(hole, before)


def test_an_edge_is_soft_on_either_side_and_elsewhere_all_or_nothing() -> None:
    hole = disc(100, 120, (60, 50), 20)
    hard, soft = feathered(hole, 0), feathered(hole, 6)
    assert np.array_equal(hard, np.where(hole, 255, 0)) and soft.dtype == np.uint8
    assert soft[50, 60] == 255 and soft[50, 0] == 0
    assert 0 < soft[50, 60 + 24] < 128 <= soft[50, 60 + 17] < 255
    assert overlap(soft >= 128, hole) > 0.97
    assert not feathered(np.zeros((9, 9), bool), 3).any()


def test_a_rim_is_a_share_of_the_longer_side_and_never_nothing() -> None:
    assert (rim(6000, 0.006), rim(100, 0.006), rim(100, 0.006, least=1)) == (36, 2, 1)


@pytest.mark.parametrize("pixels", [40, 120])
def test_a_wide_edge_costs_no_more_and_is_as_soft(pixels: int) -> None:
    hole = disc(700, 901, (450, 340), 200)
    exact = cv2.GaussianBlur(np.where(hole, 255.0, 0.0), (0, 0), pixels / 2, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(feathered(hole, pixels).astype(float) - exact).max() < 4
