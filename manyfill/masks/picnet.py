"""PICNet's three kinds of masks (Zheng et al. 2019): the centre, boxes, lines."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from manyfill.masks.drawing import as_hole, blank, line, mean_side, thickness, whole


def center(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """Middle half of each axis: 25 % hole. PICNet's mask type 0 and the papers' centre-hole protocol."""
    canvas = blank(height, width)
    canvas[height // 4 : max(height // 4 + 1, 3 * height // 4), width // 4 : max(width // 4 + 1, 3 * width // 4)] = 1
    return as_hole(canvas)


def boxes(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One to five rectangles: PICNet's random regular mask (its mask type 1). Relative to each axis; mean ratio .30."""
    canvas = blank(height, width)
    count = whole(rng, 1, 5)
    for _ in range(count):
        span = []
        for length in (height, width):
            start = whole(rng, 0, length - length / (count + 1))
            span.append((start, start + whole(rng, length / (count + 7), length - start)))
        (top, bottom), (left, right) = span
        canvas[top:bottom, left:right] = 1
    return as_hole(canvas)


def lines(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """16 to 64 lines, discs and ellipse arcs: PICNet's random irregular mask (its mask type 2). Mean ratio .53.

    Thickness and radius I[4,20] are pixels at 256 upstream; here they scale with the side. Upstream needs square
    pictures of 64 pixels or more and mixes up the axes; here any size works and x runs along the width.
    """
    canvas = blank(height, width)
    scale = mean_side(height, width) / 256
    for _ in range(whole(rng, 16, 64)):
        kind = rng.random()
        x, y = whole(rng, 1, width), whole(rng, 1, height)
        pen = thickness(whole(rng, 4, 20) * scale)
        if kind < 0.6:
            line(canvas, (x, y), (whole(rng, 1, width), whole(rng, 1, height)), pen)
        elif kind < 0.8:
            cv2.circle(canvas, (x, y), pen, 1, -1)
        else:
            axes = (whole(rng, 1, width), whole(rng, 1, height))
            turn, begin, end = (whole(rng, 3, 180) for _ in range(3))
            cv2.ellipse(canvas, (x, y), axes, turn, begin, end, 1, pen)
    return as_hole(canvas)
