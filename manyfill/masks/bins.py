"""Strokes with a hole ratio in a given bin, in place of the NVIDIA irregular mask test set."""

from __future__ import annotations

import math
from functools import partial

import cv2
import numpy as np
from torch import Tensor

from manyfill.errors import BadMask
from manyfill.masks.deepfill import deepfill_stroke, flipped
from manyfill.masks.dfnet import dfnet_stroke
from manyfill.masks.drawing import MaskFn, as_hole, blank, mean_side, thickness, whole
from manyfill.masks.holes import BINS


def _binned(bin_index: int, height: int, width: int, rng: np.random.Generator) -> Tensor:
    """Draw strokes of DeepFill v2 or DFNet until the ratio lies in bin `bin_index` (0 to 5); see `binned`."""
    low, high = BINS[bin_index]
    pixels = height * width
    least, most = math.floor(low * pixels) + 1, math.floor(high * pixels + 1e-9)  # hole pixels: low < ratio <= high
    if low * pixels >= least or least > most:
        raise BadMask(
            f"{height}x{width} pixels cannot have a hole ratio over {low:g} and up to {high:g}. Use a larger size."
        )
    side = mean_side(height, width)
    target = whole(rng, least, most)  # every ratio in the bin is about as likely
    bound = min(most, target + pixels // 50)
    brush = side * math.exp(rng.uniform(math.log(0.015), math.log(0.12)))
    deepfill = rng.random() < 0.5
    guarded = rng.random() < 0.5
    guard_y, guard_x = (int(length * 50 / 512) if guarded else 0 for length in (height, width))
    inside = (slice(guard_y, height - guard_y), slice(guard_x, width - guard_x))
    inner = np.zeros((height - 2 * guard_y, width - 2 * guard_x), np.uint8)
    count = 0
    for _ in range(200):
        if count >= target:
            break
        proposal = np.zeros_like(inner)
        if deepfill:
            deepfill_stroke(proposal, thickness(brush), rng)
            proposal = flipped(proposal, rng)
        else:
            dfnet_stroke(proposal, whole(rng, 4, 12), thickness(brush), rng)
        proposal |= inner
        area = int(np.count_nonzero(proposal))
        if area <= bound:
            inner, count = proposal, area
        else:
            brush = max(1.0, 0.7 * brush)  # overshoot: rejected, the next stroke is finer
    if count < target:  # the rest is grown from the edge of what is there, nearest pixels first
        if count == 0:
            inner[rng.integers(0, inner.shape[0]), rng.integers(0, inner.shape[1])] = 1
        distance = cv2.distanceTransform(1 - inner, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        inner.reshape(-1)[np.argsort(distance, axis=None, kind="stable")[:target]] = 1
    canvas = blank(height, width)
    canvas[inside] = inner
    return as_hole(canvas)


def binned(bin_index: int) -> MaskFn:
    """Generator whose hole ratio always lies in `BINS[bin_index]`, low < ratio <= high, evenly spread over the bin.

    Strokes of DeepFill v2 or DFNet with a brush log-uniform in .015 to .12 of the side are added until the ratio is
    reached; strokes that overshoot are rejected and the brush made finer. Half of the holes keep 50/512 of the side
    away from the border. Stands for the NVIDIA irregular mask test set, whose licence is unknown. Raises BadMask
    where no such hole exists (a few pixels).
    """
    assert 0 <= bin_index < len(BINS), f"bin {bin_index}: there are {len(BINS)}, counted from 0"
    return partial(_binned, bin_index)
