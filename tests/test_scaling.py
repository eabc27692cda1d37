"""Resampling there and back, and the detail on top."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import holes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import block_reduce
from skimage.transform import downscale_local_mean

from manyfill.boxes import Bools, Box
from manyfill.scaling import _mirror, carry_detail, enlarge, from_net, read_for, shrink, shrink_hole, to_net
from manyfill.seams import Floats
from manyfill.windows import Window, net_size, shrink_hole_to


def window_of(height: int, width: int, working_size: int, multiple: int) -> Window:
    box = Box(0, 0, height, width)
    return Window(box, box, *net_size(height, width, working_size, multiple))


def test_at_the_photos_own_pixels_nothing_is_resampled() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    window = window_of(64, 64, 64, 32)
    image, hole = to_net(pixels, np.zeros((64, 64), bool), window)
    assert torch.equal(image[0].permute(1, 2, 0), torch.from_numpy(pixels / np.float32(255)))
    assert not hole.any()
    part = Box(3, 5, 20, 30)
    assert (np.rint(from_net(image, window, part) * 255) == pixels[part.part]).all()


@given(st.integers(1, 90), st.integers(1, 90), st.data())
@settings(max_examples=60)
def test_nothing_is_read_beyond_what_a_part_needs(height: int, width: int, data: st.DataObject) -> None:
    window = window_of(height, width, 32, 16)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    part = Box(top, left, data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left)))
    first, start, last, end = read_for(window, part)
    drawn = torch.rand(1, 3, *window.padded, generator=torch.Generator().manual_seed(height))
    other = torch.zeros_like(drawn)
    other[..., first:last, start:end] = drawn[..., first:last, start:end]
    assert (from_net(drawn, window, part) == from_net(other, window, part)).all()


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
    small = shrink_hole_to(hole, (count, 3))
    for row in range(count):
        touched = [r for r in range(length) if r * count < (row + 1) * length and (r + 1) * count > row * length]
        assert (small[row] == hole[touched].any(0)).all()


@pytest.mark.parametrize(("inner", "padded"), [(5, 5), (5, 8), (7, 9), (2, 9), (3, 40), (1, 4)])
def test_padding_is_reflection(inner: int, padded: int) -> None:
    before = (padded - inner) // 2
    line = np.arange(inner)
    expected = np.pad(line, (before, padded - inner - before), mode="reflect" if inner > 1 else "edge")
    assert (line[_mirror(inner, padded)] == expected).all()


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


def test_a_part_is_drawn_from_the_pixels_near_it_and_no_others() -> None:
    window = window_of(1500, 2000, 256, 32)
    rng = np.random.default_rng(0)
    picture = torch.from_numpy(rng.random((1, 3, *window.padded), np.float32))
    part = Box(300, 500, 100, 120)
    whole = from_net(picture, window, window.box)[part.part]
    far = torch.full_like(picture, torch.nan)  # what is read, even with no weight, shows
    top, left = (
        round(at * inner / length) for at, inner, length in zip((300, 500), window.inner, (1500, 2000), strict=True)
    )
    near = (slice(None), slice(None), slice(top - 4, top + 26), slice(left - 4, left + 26))
    far[near] = picture[near]
    assert np.allclose(from_net(far, window, part), whole, atol=1e-6)
