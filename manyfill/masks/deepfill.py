"""DeepFill v2's masks (Yu et al. 2019): brush strokes, a box, both."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from manyfill.masks.drawing import Canvas, as_hole, blank, line, mean_side, thickness, whole


def box(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One box of 3/8 to 1/2 of each axis, anywhere: DeepFill v2's training box (128 px at 256, shrunk by I[0,16]
    per side).

    Scaled with each axis.
    """
    canvas = blank(height, width)
    span = []
    for length in (height, width):
        side = max(1, length // 2)
        start = whole(rng, 0, length - side)
        shrink = whole(rng, 0, length / 16)
        span.append((start + shrink, max(start + shrink + 1, start + side - shrink)))
    (top, bottom), (left, right) = span
    canvas[top:bottom, left:right] = 1
    return as_hole(canvas)


def deepfill_stroke(canvas: Canvas, width_px: int, rng: np.random.Generator) -> None:
    """Draw one brush stroke of DeepFill v2 (Yu et al. 2019, released code): a zig-zag of 4 to 11 segments around 2
    pi / 5.
    """
    height, width = canvas.shape
    mean_angle, angle_range = 2 * math.pi / 5, 2 * math.pi / 15
    low = mean_angle - rng.uniform(0, angle_range)
    high = mean_angle + rng.uniform(0, angle_range)
    reach = math.hypot(height, width) / 8
    x, y = float(rng.integers(0, width)), float(rng.integers(0, height))
    for segment in range(whole(rng, 4, 11)):
        angle = rng.uniform(low, high)
        if segment % 2 == 0:
            angle = 2 * math.pi - angle
        length = min(max(rng.normal(reach, reach / 2), 0.0), 2 * reach)
        end_x = min(max(x + length * math.cos(angle), 0.0), float(width))
        end_y = min(max(y + length * math.sin(angle), 0.0), float(height))
        line(canvas, (x, y), (end_x, end_y), width_px)
        x, y = end_x, end_y


def flipped(canvas: Canvas, rng: np.random.Generator) -> Canvas:
    """Flip along either axis with probability one half."""
    down, across = rng.random(2) < 0.5
    return np.ascontiguousarray(canvas[:: -1 if down else 1, :: -1 if across else 1])


def strokes(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One to three brush strokes of DeepFill v2 (Yu et al. 2019). Mean ratio .15.

    Brush width U(12,40) is pixels at 256 upstream; here it scales with the side, as the segments already do.
    Upstream's random flips are lost (the flipped copy is thrown away); we flip, as was meant. OpenCV's round caps
    stand for the discs at the joints.
    """
    canvas = blank(height, width)
    scale = mean_side(height, width) / 256
    for _ in range(whole(rng, 1, 3)):
        deepfill_stroke(canvas, thickness(int(rng.uniform(12, 40)) * scale), rng)
    return as_hole(flipped(canvas, rng))


def strokes_and_box(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """`strokes` or-ed with `box`: the training mask of DeepFill v2's released code (one per sample here, one per
    batch there).
    """
    brushed, boxed = strokes(height, width, rng), box(height, width, rng)
    return torch.from_numpy(np.maximum(brushed.numpy(), boxed.numpy()))
