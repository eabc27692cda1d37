"""DFNet's masks (Hong et al. 2019): thin poly-lines."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from manyfill.masks.drawing import Canvas, as_hole, blank, line, whole


def dfnet_stroke(canvas: Canvas, segments: int, width_px: int, rng: np.random.Generator) -> None:
    """Draw one stroke of DFNet's generator in unit coordinates."""
    height, width = canvas.shape
    x, y = rng.uniform(0.25, 0.75, 2)
    angle = 0.0
    for segment in range(segments):
        angle = math.pi - angle + rng.uniform(-0.75 * math.pi, 0.75 * math.pi)
        if segment % 2 == 0:
            angle = 2 * math.pi - angle
        length = rng.uniform(0.1, 0.3)
        end_x = min(max(x + length * math.cos(angle), 0.0), 1.0)
        end_y = min(max(y + length * math.sin(angle), 0.0), 1.0)
        line(canvas, (x * width, y * height), (end_x * width, end_y * height), width_px)
        x, y = end_x, end_y


def free_form(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One to five thin poly-lines with 10 to 40 vertices in all: DFNet's generator (Hong et al. 2019), brush 2 % of
    the short side.

    Drawn once, not rejected: mean ratio .083. The authors keep masks between .1 and .2: `within(free_form, 0.1,
    0.2)`.
    """
    canvas = blank(height, width)
    vertices, count = whole(rng, 10, 40), whole(rng, 1, 5)
    for _ in range(count):
        dfnet_stroke(canvas, vertices // count, max(1, int(0.02 * min(height, width))), rng)
    return as_hole(canvas)
