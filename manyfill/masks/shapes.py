"""Object-like shapes: what a user paints to remove a thing."""

from __future__ import annotations

import math

import cv2
import numpy as np
from torch import Tensor

from manyfill.masks.drawing import as_hole, blank, whole


def blobs(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One to three smooth, object-like shapes that cover about 3 to 50 %. Our own: what a user paints to remove a
    thing.

    A shape is a closed curve around a random centre: an ellipse of aspect 1 to 2.5, turned, its radius modulated by
    harmonics 2 to 7 with amplitudes that fall as 1/k, like the silhouettes of things.
    """
    canvas = blank(height, width)
    count = whole(rng, 1, 3)
    share = math.exp(rng.uniform(math.log(0.03), math.log(0.5))) / count  # of the picture, per shape
    phi = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    harmonics = np.arange(2, 8)
    for _ in range(count):
        radius = math.sqrt(share * rng.uniform(0.5, 1.5) * height * width / math.pi)
        aspect = math.sqrt(rng.uniform(1, 2.5))
        amplitude = rng.normal(0, 0.28, 6) / harmonics
        wave = 1 + (amplitude * np.cos(np.outer(phi, harmonics) + rng.uniform(0, 2 * math.pi, 6))).sum(axis=1)
        across, along = radius * aspect * wave * np.cos(phi), radius / aspect * wave * np.sin(phi)
        turn = rng.uniform(0, math.pi)
        x = rng.uniform(0.1, 0.9) * width + across * math.cos(turn) - along * math.sin(turn)
        y = rng.uniform(0.1, 0.9) * height + across * math.sin(turn) + along * math.cos(turn)
        cv2.fillPoly(canvas, [np.stack([x, y], axis=1).round().astype(np.int32)], 1)
    return as_hole(canvas)
