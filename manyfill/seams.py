"""Seams: what is known beside a hole, continued into it smoothly, so that a fill joins the photo without a step.

Pictures are (h,w,3) float32 in [0,1], holes (h,w) bool.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, tight

Floats = NDArray[np.float32]

_CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
_RING = 2  # known pixels this near the hole say what the fill must join up with
_SWEEPS = 8


def close_seam(fill: Floats, photo: Floats, hole: Bools, *, reach: float | None = None) -> Floats:
    """Fill (h,w,3) with its colour pulled to the photo's at the edge of the hole (h,w); outside nothing changes.

    The difference photo - fill, averaged along the known rim, is continued into the hole by the screened Laplace
    equation (seamless cloning, Perez et al. 2003, with the decay of Bhat et al. 2008): it closes the step at the edge
    and fades over `reach` pixels (default: a quarter of the hole's longer side; infinity: a membrane, no decay). A
    few sweeps per level of a pyramid, coarse to fine, so that the cost is linear in the pixels. Where nothing is
    known, the fill comes back unchanged.
    """
    box = tight(hole, Box(0, 0, *hole.shape))
    if box is None or hole.all():
        return fill.copy()
    reach = max(4.0, max(box.height, box.width) / 4) if reach is None else reach
    view = box.grown(4 * _RING, Box(0, 0, *hole.shape))
    missing = hole[view.part]
    distance = cv2.distanceTransform(missing.astype(np.uint8) ^ 1, cv2.DIST_L2, 3)
    near = (~missing & (distance <= 3 * _RING)).astype(np.float32)
    step = (photo[view.part] - fill[view.part]) * near[..., None]
    # The rim's own texture is not a seam: average along it before it is carried inwards.
    blurred, weight = cv2.GaussianBlur(step, (0, 0), _RING), cv2.GaussianBlur(near, (0, 0), _RING)
    rim = (~missing & (distance <= _RING)).astype(np.float32)
    step = np.asarray(blurred / np.maximum(weight, 1e-6)[..., None] * rim[..., None], np.float32)
    corrected = fill.copy()
    corrected[view.part] += hang(step, rim, 1 / reach**2) * missing[..., None]
    return corrected


def continue_outwards(values: Floats, hole: Bools, *, sigma: float = _RING) -> Floats:
    """Values (h,w,C) of the hole (h,w) continued to the known pixels beside it: weighted means, `sigma` in pixels.

    Beyond some three sigma, where nothing of the hole can be felt, and in the hole itself the values stay.
    """
    inside = hole.astype(np.float32)
    weight = np.asarray(cv2.GaussianBlur(inside, (0, 0), sigma))
    mean = np.asarray(cv2.GaussianBlur(values * inside[..., None], (0, 0), sigma)) / np.maximum(weight, 1e-6)[..., None]
    return np.asarray(np.where((hole | (weight < 1e-4))[..., None], values, mean), np.float32)


def fill_smoothly(photo: Floats, hole: Bools) -> Floats:
    """Photo (h,w,3) with the hole filled by a membrane that hangs from its rim; black where nothing is known."""
    hung = close_seam(np.zeros_like(photo), photo, hole, reach=float("inf"))
    return np.where(hole[..., None], hung, photo)


def hang(values: Floats, given: Floats, screen: float) -> Floats:
    """Solve (laplace - screen) x = 0 with x = values where `given` is 1; no flow through the border."""
    height, width = given.shape
    if min(height, width) > 2:
        coarse = (-(-height // 2), -(-width // 2))
        weight = _halve(given)
        sums = _halve(values * given[..., None])
        above = np.asarray(sums / np.maximum(weight, 1e-6)[..., None], np.float32)
        guess = hang(above, (weight > 0).astype(np.float32), 4 * screen)
        x = np.asarray(cv2.resize(guess, (2 * coarse[1], 2 * coarse[0]), interpolation=cv2.INTER_LINEAR))
        x = x[:height, :width].reshape(values.shape)
    else:
        mean = (values * given[..., None]).sum((0, 1)) / max(float(given.sum()), 1e-6)
        x = np.broadcast_to(mean, values.shape).astype(np.float32)
    fixed = given[..., None]
    held = values * fixed
    free = (1 - fixed) / np.float32(4 + screen)
    for _ in range(_SWEEPS):
        around = np.asarray(cv2.filter2D(x, -1, _CROSS, borderType=cv2.BORDER_REPLICATE))
        x = held + free * around.reshape(values.shape)
    return np.asarray(x, np.float32)


def _halve(x: Floats) -> Floats:
    """Mean of 2x2 blocks, the last row and column counted with what they have."""
    height, width = x.shape[:2]
    padded = cv2.copyMakeBorder(x, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT, value=[0, 0, 0, 0])
    size = (-(-width // 2), -(-height // 2))
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32).reshape(
        *size[::-1], *x.shape[2:]
    )
