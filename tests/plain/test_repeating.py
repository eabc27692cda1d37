"""What repeats itself exactly goes on in phase; what does not is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box
from manyfill.plain.repeating import repeat


def halftone(height: int, width: int, pitch: float, degrees: float, tone: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A print in dots: (H,W,3), their size by `tone` (H,W)."""
    y, x = np.mgrid[:height, :width]
    turn = np.deg2rad(degrees)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    screen = (np.cos(2 * np.pi * u / pitch) + np.cos(2 * np.pi * v / pitch)) / 4 + 0.5
    ink = 1 / (1 + np.exp(-(screen - (1 - tone)) / 0.06))
    return np.rint(255 * (1 - 0.9 * ink[..., None] * (1.0, 0.8, 0.4))).astype(np.uint8)


def hole_of(height: int, width: int) -> tuple[Bools, Box]:
    box = Box(height // 3, width // 3, height // 4, width // 4)
    hole = np.zeros((height, width), bool)
    hole[box.part] = True
    return hole, box


@pytest.mark.parametrize(("pitch", "degrees"), [(6.0, 45.0), (8.0, 45.0), (5.3, 30.0)])
@pytest.mark.parametrize("graded", [False, True])
def test_a_halftone_print_keeps_its_phase(pitch: float, degrees: float, graded: bool) -> None:
    tone = 0.45 + (0.1 * np.mgrid[:300, :360][1] / 360 if graded else np.zeros((300, 360)))
    pixels = halftone(300, 360, pitch, degrees, tone)
    hole, box = hole_of(300, 360)
    painted = pixels.copy()
    painted[hole] = 0
    fill = repeat(painted, hole, box, hole[box.part])
    assert fill is not None
    error = fill * 255 - pixels[box.part]
    assert -10 * np.log10((error**2).mean() / 255**2) >= 20


@pytest.mark.parametrize("kind", ["noise", "smooth", "photo"])
def test_what_does_not_repeat_is_left_alone(kind: str) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (150, 180, 3), dtype=np.uint8)
    if kind == "smooth":
        pixels = np.full_like(pixels, 90)
    if kind == "photo":  # waves of many lengths
        y, x = np.mgrid[:150, :180]
        waves = sum(np.sin(x * rng.normal(0, 0.3) + y * rng.normal(0, 0.3) + k) / (k + 1) for k in range(9))
        pixels = np.rint(127 + 30 * np.repeat(waves[..., None], 3, 2)).clip(0, 255).astype(np.uint8)
    hole, box = hole_of(150, 180)
    assert repeat(pixels, hole, box, hole[box.part]) is None


def test_a_part_that_cannot_be_copied_whole_is_left_alone() -> None:
    pixels = halftone(120, 120, 6, 45, np.full((120, 120), 0.5))
    hole = np.zeros((120, 120), bool)
    hole[10:110, 10:110] = True
    assert repeat(pixels, hole, Box(10, 10, 100, 100), hole[10:110, 10:110]) is None
