"""What the generators draw with: a canvas, whole numbers by chance, lines that scale with the side."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MaskFn = Callable[[int, int, np.random.Generator], Tensor]  # (height, width, rng) -> (1,1,H,W)
Canvas = NDArray[np.uint8]  # (H,W), 1 = hole


def blank(height: int, width: int) -> Canvas:
    """Nothing missing yet."""
    assert height >= 1 and width >= 1, f"a hole of {height}x{width} pixels cannot be drawn"
    return np.zeros((height, width), np.uint8)


def as_hole(canvas: Canvas) -> Tensor:
    """A canvas as a hole (1,1,H,W)."""
    return torch.from_numpy(canvas.astype(np.float32))[None, None]


def whole(rng: np.random.Generator, low: float, high: float) -> int:
    """I[low, high]: a whole number, both ends included."""
    low_int = int(low)
    return int(rng.integers(low_int, max(low_int, int(high)), endpoint=True))


def mean_side(height: int, width: int) -> float:
    """Side of the square with the same area."""
    return math.sqrt(height * width)


def thickness(pixels: float) -> int:
    """A pen's width in whole pixels, at least one."""
    return max(1, round(pixels))


def line(canvas: Canvas, start: tuple[float, float], end: tuple[float, float], thickness: int) -> None:
    """Draw a segment with round caps from (x, y) to (x, y)."""
    cv2.line(canvas, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1, thickness)
