"""Dust and scratches: how much is found over real photos, by the tool that measures it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import tooling

from manyfill import photos
from manyfill.errors import BadMask
from manyfill.selection import Selection, Selector
from manyfill.selection.dust import TILE, Search, candidates, find_dust

ROOT = Path(__file__).parents[2]
PHOTOS = sorted((ROOT / "benchmarks/photos").glob("*.jpg"))


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return tooling.load("measure_dust")


def test_nine_tenths_of_the_dust_are_found_and_little_else(tool: ModuleType) -> None:
    """In corners of all photos of the benchmark, grass and a mesh tunnel among them; docs/select.md has the whole."""
    recall, precision = tool.rates(tool.measure(PHOTOS, enlarge=2, seed=7, most=500))
    assert recall >= 0.9 and precision >= 0.8


def test_almost_nothing_is_found_on_clean_photos() -> None:
    for path in PHOTOS:
        clean = cv2.resize(photos.read(path).pixels, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)[:500, :500]
        assert find_dust(np.ascontiguousarray(clean)).mean() < 1e-3, path.name


@pytest.mark.parametrize("bright", [True, False])
def test_a_speck_that_touches_a_twig_is_looked_at_without_the_twig(bright: bool) -> None:
    """Further down it is one piece with it, and no classifier could select the one without the other."""
    specks = ((120, 84), (200, 164), (250, 206))
    twig, truth = np.zeros((2, 300, 400), np.float32)
    cv2.line(twig, (80, 40), (300, 260), 1, 5)
    for x, y in specks:
        cv2.circle(truth, (x, y), 2, 1, -1)
    pixels = 0.4 * smooth() + 20 + 110 * cv2.GaussianBlur(twig, (0, 0), 2.5)[..., None]
    pixels[truth > 0] = 250
    there = candidates(np.uint8(np.clip(pixels if bright else 255 - pixels, 0, 255)), Search(), bright=bright)
    cores = [int(there.labels[y, x]) for x, y in specks]
    assert len({0, *cores}) == 4 and all(there.areas[core - 1] <= truth.sum() / 3 for core in cores)


def test_the_measure_counts_what_it_says(tool: ModuleType) -> None:
    truth = np.zeros((20, 20), bool)
    truth[5, 5:15] = True
    nothing, everything = np.zeros_like(truth), np.ones_like(truth)
    assert tool.rates(np.array([tool.score(truth, truth)])) == (1, 1)
    assert tool.rates(np.array([tool.score(nothing, truth)])) == (0, 0)
    assert tool.rates(np.array([tool.score(everything, truth)])) == (1, 14 * 5 / 400)


def smooth(height: int = 300, width: int = 400) -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    base = cv2.GaussianBlur(rng.normal(0, 60, (height, width, 3)), (0, 0), 25) * 8 + 110
    return np.clip(base + rng.normal(0, 1.5, base.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("bright", [True, False])
def test_specks_and_scratches_are_found_pale_and_dark_and_clean_scans_have_none(bright: bool) -> None:
    pixels, truth = smooth(), np.zeros((300, 400), np.uint8)
    assert not find_dust(pixels).any()
    with pytest.raises(BadMask, match="no dust and no scratches"):
        Selector().select(photos.read(pixels), Selection(dust=True))
    for x, y in ((50, 60), (200, 220), (333, 40)):
        cv2.circle(truth, (x, y), 2, 1, -1)
    cv2.line(truth, (120, 10), (130, 280), 1, 2)
    pixels[truth > 0] = 240 if bright else 15
    found = find_dust(pixels)
    assert found[truth > 0].mean() > 0.95
    assert not found[cv2.dilate(truth, np.ones((7, 7), np.uint8)) == 0].any()
    hole = Selector().select(photos.read(pixels.astype(np.uint16) * 257), Selection(dust=True)).hole
    assert hole[truth > 0].all()


def test_tiles_find_what_lies_across_their_borders() -> None:
    pixels = smooth(160, TILE + 200)
    pixels[80:82, 300 : TILE + 150] = 245
    assert find_dust(pixels)[80:82, 300 : TILE + 150].mean() > 0.95


def test_a_panorama_is_not_scaled_by_its_length() -> None:
    """Its filters would else grow with the square of that, and what they look for with it."""
    pixels = np.full((90, 15_000, 3), 110, np.uint8)
    cv2.circle(pixels, (7000, 40), 2, (240, 240, 240), -1)
    pixels = cv2.add(pixels, np.random.default_rng(0).integers(0, 5, pixels.shape, dtype=np.uint8))
    found = find_dust(pixels)
    assert found[40, 7000] and np.count_nonzero(found) < 100
