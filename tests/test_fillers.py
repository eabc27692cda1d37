"""The classical fillers: what they draw, that known pixels stay, and that they go the way of every model."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import manyfill
from manyfill import photos
from manyfill.errors import ManyfillError
from manyfill.fillers import FILLERS, RADIUS

QUICK = ["telea", "ns", "mean", "biharmonic"]


def photo(height: int = 24, width: int = 33, seed: int = 0) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def box(height: int, width: int) -> NDArray[np.bool_]:
    hole = np.zeros((height, width), bool)
    hole[height // 4 : height // 2, width // 3 : 2 * width // 3] = True
    return hole


@pytest.mark.parametrize("name", FILLERS)
def test_known_pixels_stay_and_the_hole_is_never_looked_at(name: str) -> None:
    pixels, hole = photo(), box(24, 33)
    filled = FILLERS[name](pixels, hole, 3)
    assert filled.dtype == np.uint8 and filled.shape == pixels.shape
    assert (filled[~hole] == pixels[~hole]).all()
    other = pixels.copy()
    other[hole] = 255 - other[hole]
    assert (FILLERS[name](other, hole, 3) == filled).all()


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1), st.sampled_from(QUICK))
def test_any_picture_with_any_hole_is_filled(height: int, width: int, seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    hole = rng.random((height, width)) < rng.random()
    filled = FILLERS[name](pixels, hole)
    assert filled.shape == pixels.shape and filled.dtype == np.uint8
    assert (filled[~hole] == pixels[~hole]).all()


@pytest.mark.parametrize("name", FILLERS)
def test_nothing_known_gives_grey_and_nothing_missing_gives_the_picture(name: str) -> None:
    pixels = photo()
    assert (FILLERS[name](pixels, np.ones((24, 33), bool)) == 128).all()
    assert (FILLERS[name](pixels, np.zeros((24, 33), bool)) == pixels).all()


@pytest.mark.parametrize(("name", "method"), [("telea", cv2.INPAINT_TELEA), ("ns", cv2.INPAINT_NS)])
def test_opencv_draws_what_it_draws_alone(name: str, method: int) -> None:
    pixels, hole = photo(), box(24, 33)
    theirs = cv2.inpaint(pixels, hole.astype(np.uint8) * 255, RADIUS, method)
    assert (FILLERS[name](pixels, hole)[hole] == theirs[hole]).all()


def test_the_mean_is_that_of_the_known_pixels() -> None:
    pixels = np.array([[[10, 0, 7], [20, 1, 7], [99, 99, 99]]], np.uint8)
    filled = FILLERS["mean"](pixels, np.array([[False, False, True]]))
    assert filled[0, 2].tolist() == [15, 0, 7]  # 0.5 is rounded to the even neighbour


def test_biharmonic_continues_a_ramp() -> None:
    ramp = np.broadcast_to(np.arange(0, 160, 5, dtype=np.uint8)[None, :, None], (32, 32, 3)).copy()
    filled = FILLERS["biharmonic"](ramp, box(32, 32))
    assert np.abs(filled.astype(int) - ramp).max() <= 1


@pytest.mark.parametrize("name", ["patchmatch", "pypatchmatch"])
def test_patches_continue_a_pattern_that_smooth_fillers_lose(name: str) -> None:
    rows, columns = np.mgrid[:96, :96]
    pixels = np.where(((rows // 4 + columns // 4) % 2)[..., None] > 0, 200, 60).astype(np.uint8).repeat(3, 2)
    hole = np.zeros((96, 96), bool)
    hole[40:56, 40:56] = True
    wrong = [
        float(np.abs(FILLERS[which](pixels, hole)[hole].astype(int) - pixels[hole]).mean()) for which in (name, "ns")
    ]
    assert wrong[0] < 0.5 * wrong[1]


@pytest.mark.parametrize("name", ["patchmatch", "pypatchmatch"])
def test_the_seed_decides_the_answer(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[20:44, 20:44] = True
    first = FILLERS[name](pixels, hole, 1)
    assert FILLERS[name].seeded
    assert (FILLERS[name](pixels, hole, 1) == first).all()
    assert (FILLERS[name](pixels, hole, 2) != first).any()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "patchmatch", None)
    with pytest.raises(ManyfillError, match="pip install pypatchmatch"):
        FILLERS["pypatchmatch"](photo(), box(24, 33))
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(ManyfillError, match="pip install scikit-image"):
        FILLERS["biharmonic"](photo(), box(24, 33))


def test_names_and_hashes_tell_fillers_apart() -> None:
    assert len({filler.sha256 for filler in FILLERS.values()}) == len(FILLERS)
    assert all(filler.version for filler in FILLERS.values())
    assert all(name == filler.name for name, filler in FILLERS.items())


# ── in place of a network ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_filler_is_loaded_by_name_and_keeps_16_bits_and_alpha() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (24, 33, 4), dtype=np.uint16)
    pixels[..., 3] = 65535
    pixels[:3, :3, 3] = 0
    hole = box(24, 33)
    (fill,) = manyfill.load("ns").complete(pixels, hole)
    assert fill.array.dtype == np.uint16
    assert (fill.array[~hole] == pixels[~hole]).all()
    assert (fill.array[..., 3] == pixels[..., 3]).all()
    eight = np.rint(pixels[..., :3] / 257).astype(np.uint8)
    blind = pixels[..., 3] == 0
    assert (fill.array[hole][:, :3] == FILLERS["ns"](eight, hole | blind)[hole].astype(np.uint16) * 257).all()


def test_one_answer_where_there_is_no_seed_and_several_where_there_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[20:44, 20:44] = True
    assert len(manyfill.load("telea").complete(pixels, hole, n=3)) == 1
    completer = manyfill.load("pypatchmatch")
    fills = completer.complete(pixels, hole, n=3, seed=5)
    assert len({fill.array.tobytes() for fill in fills}) == 3
    (again,) = completer.complete(pixels, hole, seed=fills[1].seed)
    assert (again.array == fills[1].array).all()


def test_far_parts_of_a_large_photo_are_not_read() -> None:
    pixels = photo(1200, 2600)
    hole = np.zeros((1200, 2600), bool)
    hole[600:620, 100:130] = True
    elsewhere = pixels.copy()
    elsewhere[:, 1300:] = 0
    first, second = (manyfill.load("mean").complete(p, hole)[0].array[hole] for p in (pixels, elsewhere))
    assert (first == second).all()


def test_grey_photos_stay_grey() -> None:
    grey = Image.fromarray(photo()).convert("L")
    (fill,) = manyfill.load("telea").complete(grey, box(24, 33))
    assert photos.to_pil(fill.photo).mode == "L"


def test_a_blend_outside_the_hole_is_refused() -> None:
    with pytest.raises(ManyfillError, match="does not blend"):
        manyfill.load("telea").complete(photo(), box(24, 33), band=2)
