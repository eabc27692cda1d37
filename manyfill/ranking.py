"""Which fills to show, and in which order: score, drop near-twins, pick, and where the fills disagree.

Scores are higher = better. Pictures here are (H,W,3) numpy arrays, holes (H,W) bool.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

CRITIC_SIDE = 128  # least side in pixels of what a critic scores
THUMBNAIL = 48  # side in pixels at which two fills are compared: structure and colour, not grain
TWINS = 0.35  # nearer than this share of the median distance between the fills: the same picture for the eye


def critic_score(critic: nn.Module, completed: Tensor) -> float:
    """Mean raw score of the critic's map for a completed picture (1,3,H,W) in [0,1], as PICNet's authors rank.

    A picture smaller than CRITIC_SIDE is enlarged: a critic that halves five times sees nothing in it.
    """
    with torch.inference_mode():
        shorter = min(completed.shape[-2:])
        if shorter < CRITIC_SIDE:
            size = [side * CRITIC_SIDE // shorter for side in completed.shape[-2:]]
            completed = F.interpolate(completed, size=size, mode="bilinear", align_corners=False)
        return float(critic(completed).float().mean())


def seam_score(completed: NDArray[np.float32], hole: NDArray[np.bool_]) -> float:
    """Minus the mean gradient jump across the hole's edge, for (H,W,3) in [0,1]; 0 without an edge, never positive.

    For each known pixel p beside a missing pixel q, along rows and columns: |(q - p) - ((p - p') + (q' - q)) / 2|,
    where p' and q' are the next ones outwards and inwards. An edge or a gradient that runs on across the border costs
    nothing; a step costs its height. Pairs whose p' is missing or whose q' is known are left out.
    """
    total, count = 0.0, 0
    for axis in (0, 1):
        picture, missing = np.moveaxis(completed, axis, 0), np.moveaxis(hole, axis, 0)
        for x, m in ((picture, missing), (picture[::-1], missing[::-1])):
            at = np.nonzero(~m[:-3] & ~m[1:-2] & m[2:-1] & m[3:])
            before, p, q, after = (x[k : len(x) - 3 + k][at] for k in range(4))
            total += float(np.abs((q - p) - ((p - before) + (after - q)) / 2).sum(dtype=np.float64))
            count += 3 * len(at[0])
    return -total / count if count else 0.0


def thumbnail(picture: NDArray[Any], hole: NDArray[np.bool_], side: int = THUMBNAIL) -> NDArray[np.float32]:
    """What a fill looks like from afar: its hole pixels (h,w,3) in [0,1], averaged over side x side cells, flat.

    The root mean square difference of two thumbnails of the same hole is their distance.
    """
    height, width = hole.shape
    size = (min(width, side), min(height, side))
    weight = np.asarray(cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA))
    shown = np.asarray(picture, np.float32) * hole[..., None]
    mean = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA)) / np.maximum(weight, 1e-6)[..., None]
    share = np.sqrt(weight / max(float(weight.sum()), 1e-6))
    return np.asarray(mean * share[..., None] / np.sqrt(3), np.float32).ravel()


def distances(thumbnails: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Distance of each pair of fills, (M,M), in [0,1]."""
    apart = np.zeros((len(thumbnails), len(thumbnails)))
    for i, one in enumerate(thumbnails):
        for j, other in enumerate(thumbnails[:i]):
            apart[i, j] = apart[j, i] = np.linalg.norm(one - other)
    return apart


def pick(scores: Sequence[float | None], apart: NDArray[np.float64], n: int) -> list[int]:
    """Indices of n fills, best first.

    Where more were drawn than are asked for, a fill that is a near-twin of a better one (nearer than TWINS times the
    median distance of all pairs) is passed over, unless there would be too few without it. Equal scores keep the
    order drawn.
    """
    order = sorted(range(len(scores)), key=lambda i: (-_number(scores[i]), i))
    if len(order) <= n:
        return order
    limit = TWINS * float(np.median(apart[np.triu_indices(len(order), 1)]))
    kept: list[int] = []
    for index in order:
        if all(apart[index, other] > limit for other in kept):
            kept.append(index)
    chosen = set((kept + [index for index in order if index not in kept])[:n])
    return [index for index in order if index in chosen]


def _number(score: float | None) -> float:
    return float("-inf") if score is None or np.isnan(score) else score


def uncertainty(pictures: Sequence[NDArray[Any]], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Where the fills disagree: (H,W) in [0,1], 0 outside the hole and for a single fill.

    Standard deviation over the fills (H,W,3), root mean square over the channels, times 2: 1 where half of the fills
    are black and half are white.
    """
    spread = np.zeros(hole.shape, np.float32)
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if not len(rows) or len(pictures) < 2:
        return spread
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    mean = np.zeros((*hole[part].shape, 3), np.float64)
    squares = np.zeros_like(mean)
    for count, picture in enumerate(pictures, start=1):  # Welford: one picture in memory at a time
        view = picture[part]
        value = view / np.iinfo(view.dtype).max if view.dtype.kind in "iu" else view.astype(np.float64)
        step = value - mean
        mean += step / count
        squares += step * (value - mean)
    spread[part] = np.sqrt(squares.mean(-1) / len(pictures)) * 2 * hole[part]
    return spread.clip(0, 1)
