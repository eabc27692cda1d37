"""Photos of simple things whose truth is known."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


def ball(
    height: int = 240, width: int = 320, *, at: tuple[int, int] = (200, 110), radius: int = 50
) -> tuple[Any, Bools]:
    """A red ball on a green lawn with some noise, and where it is."""
    rng = np.random.default_rng(0)
    pixels = np.empty((height, width, 3), np.float64)
    pixels[:] = (70, 130, 60)
    truth = cv2.circle(np.zeros((height, width), np.uint8), at, radius, 1, -1).astype(bool)
    pixels[truth] = (200, 50, 40)
    pixels += rng.normal(0, 5, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), truth


def overlap(found: Bools, truth: Bools) -> float:
    """Intersection over union."""
    return float((found & truth).sum() / max(1, (found | truth).sum()))
