"""Outpainting: sides of the picture are missing."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from manyfill.masks.drawing import as_hole, blank, whole


def border(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """Outpainting: one to four sides of the picture are missing, 5 to 40 % of an axis in all. Our own."""
    canvas = blank(height, width)
    sides = rng.permutation(4)[: whole(rng, 1, 4)]
    for axis, length in enumerate((height, width)):
        missing = [int(side) // 2 for side in sides if side % 2 == axis]  # 0: top or left, 1: bottom or right
        for far in missing:
            depth = min(max(1, round(length * rng.uniform(0.05, 0.4) / len(missing))), length)
            where = slice(length - depth, length) if far else slice(0, depth)
            canvas[(where, slice(None)) if axis == 0 else (slice(None), where)] = 1
    return as_hole(canvas)
