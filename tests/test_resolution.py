"""Windows around holes, resampling there and back, and closed seams."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import block_reduce
from skimage.transform import downscale_local_mean

from manyfill.resolution import (
    Bools,
    Box,
    Floats,
    Window,
    _continue,
    _mirror,
    _shrink_hole,
    carry_detail,
    close_seam,
    continue_outwards,
    enlarge,
    fill_smoothly,
    from_net,
    net_size,
    plan,
    shrink,
    shrink_hole,
    to_net,
    turns,
)


def boxes_hole(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Bools:
    hole = np.zeros((height, width), bool)
    for top, left, rows, columns in boxes:
        hole[top : top + rows, left : left + columns] = True
    return hole


def window_of(height: int, width: int, working_size: int, multiple: int) -> Window:
    box = Box(0, 0, height, width)
    return Window(box, box, *net_size(height, width, working_size, multiple))


def covered(windows: list[Window], hole: Bools) -> Bools:
    seen = np.zeros_like(hole)
    for window in windows:
        seen[window.core.part] = True
    return seen & hole


@st.composite
def holes(draw: st.DrawFn) -> Bools:
    height, width = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    hole = np.zeros((height, width), np.uint8)
    for _ in range(draw(st.integers(0, 6))):
        ends = [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(2)]
        if rng.random() < 0.5:
            cv2.line(hole, ends[0], ends[1], 1, int(rng.integers(1, 20)))
        else:
            cv2.rectangle(hole, ends[0], ends[1], 1, -1)
    return hole > 0


# ── windows ───────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── there and back ────────────────────────────────────────────────────────────────────────────────────────────────


def test_at_the_photos_own_pixels_nothing_is_resampled() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    window = window_of(64, 64, 64, 32)
    image, hole = to_net(pixels, np.zeros((64, 64), bool), window)
    assert torch.equal(image[0].permute(1, 2, 0), torch.from_numpy(pixels / np.float32(255)))
    assert not hole.any()
    part = Box(3, 5, 20, 30)
    assert (np.rint(from_net(image, window, part) * 255) == pixels[part.part]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gradient_survives_the_way_there_and_back(dtype: type) -> None:
    rows, columns = np.mgrid[0:150, 0:210]
    ramp = np.stack([rows / 150, columns / 210, (rows + columns) / 360], 2)
    pixels = np.rint(ramp * np.iinfo(dtype).max).astype(dtype)
    for working_size in (64, 512):
        window = window_of(150, 210, working_size, 32)
        image, _ = to_net(pixels, np.zeros((150, 210), bool), window)
        back = from_net(image, window, window.box)
        error = np.abs(back - ramp)
        assert error[4:-4, 4:-4].max() < 0.004  # one step of the 8 bit average
        assert error.max() < 0.02  # half a large pixel at the border, where there is nothing to interpolate towards


@pytest.mark.parametrize("size", [(100, 140), (20, 28)])
def test_resampling_agrees_with_pillow(size: tuple[int, int]) -> None:
    drawn = np.random.default_rng(0).random((40, 56)).astype(np.float32)
    window = Window(Box(0, 0, *size), Box(0, 0, *size), (40, 56), (40, 56))
    ours = from_net(torch.from_numpy(drawn)[None, None], window, window.box)[..., 0]
    theirs = np.asarray(Image.fromarray(drawn).resize(size[::-1], Image.Resampling.BICUBIC)).clip(0, 1)
    assert np.abs(ours - theirs).max() < 1e-5  # the same kernel in float32


def test_a_part_is_the_same_as_cut_from_the_whole() -> None:
    picture = torch.rand(1, 3, 64, 96)
    window = Window(Box(10, 20, 130, 210), Box(10, 20, 130, 210), (59, 96), (64, 96))
    whole, part = from_net(picture, window, window.box), from_net(picture, window, Box(31, 47, 50, 60))
    assert np.abs(whole[21:71, 27:87] - part).max() < 1e-6  # summation order only


@given(holes(), st.integers(0, 1000))
@settings(max_examples=40)
def test_what_lies_under_the_hole_cannot_leak(hole: Bools, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*hole.shape, 3), np.uint8)
    other = np.where(hole[..., None], rng.integers(0, 256, pixels.shape, np.uint8), pixels)
    window = window_of(*hole.shape, 64, 32)
    image, missing = to_net(pixels, hole, window)
    assert image.shape == (1, 3, *window.padded) and missing.shape == (1, 1, *window.padded)
    assert torch.equal(image, to_net(other, hole, window)[0])
    assert not (image * missing).any() and float(image.min()) >= 0 and float(image.max()) <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10**6))
@settings(max_examples=60)
def test_any_touched_pixel_is_missing(length: int, count: int, seed: int) -> None:
    hole = np.random.default_rng(seed).random((length, 3)) < 0.2
    small = _shrink_hole(hole, (count, 3))
    for row in range(count):
        touched = [r for r in range(length) if r * count < (row + 1) * length and (r + 1) * count > row * length]
        assert (small[row] == hole[touched].any(0)).all()


@pytest.mark.parametrize(("inner", "padded"), [(5, 5), (5, 8), (7, 9), (2, 9), (3, 40), (1, 4)])
def test_padding_is_reflection(inner: int, padded: int) -> None:
    before = (padded - inner) // 2
    line = np.arange(inner)
    expected = np.pad(line, (before, padded - inner - before), mode="reflect" if inner > 1 else "edge")
    assert (line[_mirror(inner, padded)] == expected).all()


# ── detail ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 5), st.sampled_from([np.uint8, np.uint16, np.float32]))
@settings(max_examples=25)
def test_shrinking_is_the_mean_of_blocks(height: int, width: int, factor: int, dtype: type) -> None:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    picture = (np.random.default_rng(height).random((height, width, 3)) * top).astype(dtype)
    small = shrink(lambda above, below: picture[above:below], (height, width), factor)
    filled_up = np.pad(picture / top, ((0, -height % factor), (0, -width % factor), (0, 0)), "edge")
    np.testing.assert_allclose(small, downscale_local_mean(filled_up, (factor, factor, 1)), atol=0.51 / 255)
    hole = picture[..., 0] > 0.9 * top
    missing = block_reduce(hole, (factor, factor), np.max)
    assert (shrink_hole(hole, factor) == missing).all() and missing.shape == small.shape[:2]


def test_few_rows_are_asked_for_at_a_time_and_each_once() -> None:
    asked: list[tuple[int, int]] = []

    def rows(top: int, bottom: int) -> Floats:
        asked.append((top, bottom))
        return np.full((bottom - top, 2000, 3), 0.5, np.float32)

    small = shrink(rows, (3001, 2000), 3)
    assert small.shape == (1001, 667, 3) and np.abs(small - 0.5).max() < 1e-6
    assert [top for top, _ in asked[1:]] == [bottom for _, bottom in asked[:-1]] and asked[-1][1] == 3001
    assert max(bottom - top for top, bottom in asked) * 2000 <= 2**20


def test_an_enlarged_part_is_the_same_as_cut_from_the_whole() -> None:
    small = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    whole = enlarge(small, 4, Box(0, 0, 80, 120))
    np.testing.assert_allclose(enlarge(small, 4, Box(13, 21, 30, 40)), whole[13:43, 21:61], atol=1e-6)
    ramp = np.broadcast_to(np.arange(30, dtype=np.float32)[None, :, None], (20, 30, 3))
    inner = enlarge(np.ascontiguousarray(ramp), 4, Box(40, 40, 1, 40))[0, :, 0]
    np.testing.assert_allclose(np.diff(inner), 0.25, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 3])
def test_detail_comes_along_from_where_the_fill_was_taken(factor: int) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48 * factor, 60 * factor, 3)).astype(np.uint8)
    seen = shrink(lambda top, bottom: photo[top:bottom], photo.shape[:2], factor)
    y, x = np.mgrid[:48, :60]
    sources = ((y - 10).clip(0) * 60 + (x - 20).clip(0)).astype(np.int32)  # all from up and left
    drawn = seen.reshape(-1, 3)[sources]
    ones = np.ones((48, 60), np.float32)
    at, shift = Box(20 * factor, 30 * factor, 15 * factor, 12 * factor), (10 * factor, 20 * factor)
    taken = photo[at.top - shift[0] : at.bottom - shift[0], at.left - shift[1] : at.right - shift[1]] / 255
    np.testing.assert_allclose(carry_detail(photo, seen, drawn, sources, ones, factor, at), taken, atol=1e-5)
    soft = enlarge(drawn, factor, at)
    assert np.abs(soft - taken).mean() > 0.1  # what would be there without
    for nothing in ((sources, 0 * ones), (np.full_like(sources, -1), ones)):
        np.testing.assert_array_equal(carry_detail(photo, seen, drawn, *nothing, factor, at), soft)


@given(st.integers(0, 50), st.integers(1, 70), st.integers(1, 70), st.integers(1, 40))
def test_tiles_cover_a_box_once(top: int, height: int, width: int, side: int) -> None:
    count = np.zeros((top + height, 5 + width), int)
    for tile in Box(top, 5, height, width).tiles(side):
        assert max(tile.height, tile.width) <= side
        count[tile.part] += 1
    assert (count[top:, 5:] == 1).all() and count.sum() == height * width


# ── seams ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_constant_offset_vanishes_at_the_edge_and_fades_inwards() -> None:
    photo = np.full((96, 128, 3), 0.6, np.float32)
    hole = boxes_hole(96, 128, (20, 30, 60, 64))
    closed = close_seam(photo - 0.2, photo, hole, reach=12)
    assert (closed[~hole] == (photo - 0.2)[~hole]).all()
    row = closed[50, 30:62, 0]
    assert abs(row[0] - 0.6) < 0.02
    assert (np.diff(row) < 1e-4).all()
    assert abs(row[-1] - 0.4) < 0.06  # 30 pixels in from two sides: 4 exp(-30 / 12) of the step at most


def test_without_decay_a_constant_offset_vanishes_everywhere() -> None:
    photo = np.random.default_rng(0).random((70, 90, 3)).astype(np.float32)
    hole = boxes_hole(70, 90, (0, 30, 40, 50))
    closed = close_seam(photo - 0.1, photo, hole, reach=float("inf"))
    assert np.abs(closed - photo)[hole].max() < 1e-4


def test_a_fill_that_fits_is_left_alone() -> None:
    photo = np.random.default_rng(0).random((50, 60, 3)).astype(np.float32)
    hole = boxes_hole(50, 60, (10, 20, 15, 15))
    assert (close_seam(photo, photo, hole) == photo).all()


@pytest.mark.parametrize("hole", [np.zeros((20, 30), bool), np.ones((20, 30), bool)])
def test_empty_and_full_holes_have_no_seam(hole: Bools) -> None:
    fill = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    assert (close_seam(fill, np.zeros_like(fill), hole) == fill).all()


@given(holes())
@settings(max_examples=30)
def test_any_hole_gives_finite_values_within_the_step(hole: Bools) -> None:
    fill = np.full((*hole.shape, 3), 0.3, np.float32)
    closed = close_seam(fill, np.full_like(fill, 0.7), hole)
    assert closed.min() >= 0.3 - 1e-4 and closed.max() <= 0.7 + 1e-4


def test_what_was_drawn_is_continued_a_few_pixels_outwards() -> None:
    hole = boxes_hole(40, 50, (10, 10, 20, 20))
    values = np.where(hole[..., None], 0.3, np.full((40, 50, 3), 0.9)).astype(np.float32)
    continued = continue_outwards(values, hole)
    assert np.abs(continued[5:35, 5:35] - 0.3).max() < 1e-5
    assert (continued[:, 40:] == values[:, 40:]).all() and (continued[hole] == values[hole]).all()


def test_a_smooth_fill_continues_the_rim_and_reads_nothing_under_the_hole() -> None:
    hole = boxes_hole(40, 50, (10, 10, 20, 20))
    photo = np.full((40, 50, 3), 0.3, np.float32)
    photo[hole] = 1
    assert np.abs(fill_smoothly(photo, hole) - 0.3).max() < 1e-4


@pytest.mark.parametrize("screen", [0.0, 1 / 10**2])
def test_the_correction_solves_the_screened_laplace_equation(screen: float) -> None:
    height, width = 40, 52
    rows, columns = np.mgrid[0:height, 0:width]
    free = (rows - 20) ** 2 + (columns - 26) ** 2 < 16**2
    values = np.sin(columns / 9) + rows / 40
    index = np.arange(height * width).reshape(height, width)
    matrix = scipy.sparse.lil_matrix((height * width,) * 2)
    right = np.zeros(height * width)
    for r, c in zip(rows.ravel(), columns.ravel(), strict=True):
        here = index[r, c]
        if free[r, c]:
            matrix[here, here] = 4 + screen
            for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                matrix[here, index[r + dr, c + dc]] = -1
        else:
            matrix[here, here] = 1
            right[here] = values[r, c]
    exact = scipy.sparse.linalg.spsolve(matrix.tocsr(), right).reshape(height, width)
    held = np.repeat((values * ~free)[..., None], 3, 2).astype(np.float32)
    ours = _continue(held, (~free).astype(np.float32), screen)[..., 0]
    assert np.abs(ours - exact).max() < 0.03 * np.ptp(
        values
    )  # a few sweeps a level, not a solver: no eye sees the rest
