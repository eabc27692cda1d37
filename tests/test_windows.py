"""Windows around holes: what they cover, how many, and what is left for each."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn import boxes_hole, holes
from hypothesis import given, settings
from hypothesis import strategies as st

from manyfill.boxes import Bools, Box
from manyfill.windows import STRETCH, Window, net_size, plan, squared, turns


def window_of(height: int, width: int, working_size: int, multiple: int) -> Window:
    box = Box(0, 0, height, width)
    return Window(box, box, *net_size(height, width, working_size, multiple))


def covered(windows: list[Window], hole: Bools) -> Bools:
    seen = np.zeros_like(hole)
    for window in windows:
        seen[window.core.part] = True
    return seen & hole


@given(holes(), st.sampled_from([(32, 32), (64, 16), (48, 8)]))
@settings(max_examples=60)
def test_windows_cover_the_hole_and_fit_photo_and_network(hole: Bools, sizes: tuple[int, int]) -> None:
    working_size, multiple = sizes
    windows = plan(hole, working_size=working_size, multiple=multiple)
    assert (covered(windows, hole) == hole).all()
    for window in windows:
        box, core = window.box, window.core
        assert box.top >= 0 and box.left >= 0 and box.bottom <= hole.shape[0] and box.right <= hole.shape[1]
        assert core.shared(box) == core
        assert all(
            side % multiple == 0 and side >= inner for side, inner in zip(window.padded, window.inner, strict=True)
        )
        assert max(window.padded) <= 2 * working_size + multiple
        assert not window.native or max(box.height, box.width) >= min(working_size, *hole.shape)


def test_a_hole_that_fits_is_seen_at_the_photos_own_pixels() -> None:
    (window,) = plan(boxes_hole(600, 900, (200, 300, 100, 90)), working_size=256, multiple=32)
    assert window.core == Box(200, 300, 100, 90)
    assert window.native and window.inner == window.padded == (256, 256)
    assert abs(window.box.top + 128 - 250) <= 1 and abs(window.box.left + 128 - 345) <= 1


def test_a_hole_larger_than_the_working_size_gets_one_window_that_is_scaled_down() -> None:
    (window,) = plan(boxes_hole(3000, 4000, (1000, 1500, 1000, 1000)), working_size=256, multiple=32)
    assert window.box == Box(500, 1000, 2000, 2000)  # the hole is half of the side
    assert window.inner == window.padded == (256, 256)


def test_windows_are_shifted_inwards_at_the_border() -> None:
    (window,) = plan(boxes_hole(600, 900, (0, 850, 60, 50)), working_size=256, multiple=32)
    assert window.box == Box(0, 644, 256, 256)


def test_a_small_photo_is_enlarged_to_the_working_size() -> None:
    (window,) = plan(boxes_hole(40, 30, (3, 3, 5, 5)), working_size=64, multiple=16)
    assert window.box == Box(0, 0, 40, 30)
    assert window.inner == (64, 48) and window.padded == (64, 48)


def test_one_pixel_is_a_photo() -> None:
    (window,) = plan(np.ones((1, 1), bool), working_size=64, multiple=16)
    assert window.box == window.core == Box(0, 0, 1, 1) and window.padded == (64, 64)


def test_a_scratch_across_a_panorama_is_cut_into_windows_at_full_detail() -> None:
    hole = np.zeros((3000, 20000), np.uint8)
    cv2.line(hole, (0, 100), (19999, 2900), 1, 5)
    windows = plan(hole > 0, working_size=256, multiple=32)
    assert (covered(windows, hole > 0) == (hole > 0)).all()
    assert 80 <= len(windows) <= 256
    assert all(window.native for window in windows)


def test_neighbouring_strokes_share_a_window_and_distant_ones_do_not() -> None:
    near = boxes_hole(1000, 1000, (100, 100, 20, 20), (130, 180, 20, 20), (180, 90, 9, 40))
    assert len(plan(near, working_size=256, multiple=32)) == 1
    far = boxes_hole(1000, 1000, (100, 100, 20, 20), (800, 800, 20, 20))
    assert [window.core for window in plan(far, working_size=256, multiple=32)] == [
        Box(100, 100, 20, 20),
        Box(800, 800, 20, 20),
    ]


def test_a_speck_far_away_does_not_shrink_the_window_of_a_large_hole() -> None:
    hole = boxes_hole(3000, 3000, (200, 200, 600, 600), (2900, 2900, 5, 5))
    assert max(window.box.height for window in plan(hole, working_size=256, multiple=32)) == 1200


@pytest.mark.parametrize("size", [(6000, 9000), (20_000, 3), (1, 20_000)])
def test_a_scratch_across_a_photo_of_any_shape_has_small_windows(size: tuple[int, int]) -> None:
    height, width = size
    hole = np.zeros(size, np.uint8)
    cv2.line(hole, (0, 0), (width - 1, height - 1), 1, 2)
    scratch = hole > 0
    windows = plan(scratch, working_size=64, multiple=32)
    assert 64 < len(windows) <= 256
    assert (covered(windows, scratch) == scratch).all()
    assert max(max(window.box.height, window.box.width) for window in windows) <= 300


def test_dust_everywhere_makes_coarser_windows_rather_than_more() -> None:
    dust = np.random.default_rng(0).random((1500, 1500)) < 1e-3
    for limit in (10, 40):
        windows = plan(dust, working_size=64, multiple=32, limit=limit)
        assert len(windows) <= limit and (covered(windows, dust) == dust).all()


def test_an_empty_hole_needs_no_window_and_a_full_one_one() -> None:
    assert plan(np.zeros((50, 70), bool), working_size=64, multiple=32) == []
    (window,) = plan(np.ones((500, 700), bool), working_size=64, multiple=32)
    assert window.core == window.box == Box(0, 0, 500, 700)


def test_net_size_keeps_the_aspect_and_the_area() -> None:
    for height, width in ((300, 300), (500, 2000), (4000, 3000), (100, 9000), (255, 257)):
        inner, padded = net_size(height, width, 256, 32)
        assert max(inner) <= 512 and inner[0] * inner[1] <= 1.05 * 256**2
        if min(inner) > 16:
            assert inner[0] / inner[1] == pytest.approx(height / width, rel=0.05)
        assert min(padded) >= 128  # a strip is padded: critics and attention need some height


def test_a_square_is_filled_by_stretching_the_shorter_side_twice_at_most() -> None:
    for (height, width), expected in {
        (512, 512): (512, 512),
        (512, 910): (512, 512),
        (900, 500): (512, 512),
        (100, 300): (round(100 * STRETCH * 512 / 300), 512),
        (3000, 1000): (512, round(1000 * STRETCH * 512 / 3000)),
        (90, 50): (512, 512),
    }.items():
        window = squared(window_of(height, width, 512, 128), 512)
        assert (window.inner, window.padded) == (expected, (512, 512)), (height, width)


@given(holes(), st.sampled_from([(32, 32), (64, 16), (48, 8)]))
@settings(max_examples=60)
def test_each_missing_pixel_is_one_windows_own_and_windows_blend_only_into_what_is_filled(
    hole: Bools, sizes: tuple[int, int]
) -> None:
    windows = plan(hole, working_size=sizes[0], multiple=sizes[1])
    filled = np.zeros_like(hole)
    for window, turn in zip(windows, turns(windows, hole), strict=True):
        assert turn.window is window and turn.box.shared(window.box) == turn.box
        own = np.zeros_like(hole)
        own[turn.box.part] = turn.own
        assert own.any() and not (own & filled).any() and (own <= hole).all()
        again = np.zeros_like(hole)
        if turn.again is not None:
            again[turn.box.part] = turn.again
        assert (again <= filled).all()
        reach = cv2.distanceTransform((~own).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[again]
        assert not len(reach) or reach.max() <= window.overlap + 1  # the chamfer distance is not exact
        assert (turn.missing == (hole & ~filled | again)[window.box.part]).all()
        filled |= own
    assert (filled == hole).all()


def test_the_share_of_a_window_falls_smoothly_across_its_overlap() -> None:
    hole = boxes_hole(64, 400, (28, 0, 6, 400))
    windows = plan(hole, working_size=64, multiple=32)
    _, turn, *_ = turns(windows, hole)
    whole = Box(0, 0, turn.box.height, turn.box.width)
    ones, zeros = (np.full((whole.height, whole.width, 3), value, np.float32) for value in (1, 0))
    share = turn.blend(ones, zeros, whole)[2, :, 0]
    assert turn.again is not None and turn.again[2, 0] and share[0] < 0.1 and (share[turn.own[2]] == 1).all()
    assert (np.diff(share) >= 0).all() and np.diff(share).max() < 0.25
    tile = Box(1, 3, 4, 9)
    assert (turn.blend(ones[:4, :9], zeros[:4, :9], tile)[1, :, 0] == share[3:12]).all()
