"""The photo at several scales, each half of the one before it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Box, tight, whole
from manyfill.checking import Check
from manyfill.texture.kernels import PATCH, RADIUS
from manyfill.texture.search import Search

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Level:
    """The photo at one scale."""

    image: Pixels  # (h, w, 3), 0 in the hole
    hole: Mask  # (h, w)
    valid: Mask  # (h, w): a patch here is fully known
    usable: Mask  # (h, w): the middle of a patch here is known; what is missing of it is never copied
    touched: Mask  # (h, w): a patch here touches the hole
    scarce: bool  # so few patches are whole that those which miss something are needed


def surroundings(hole: Mask) -> Box:
    """The box of the hole with as much again on every side, at least 256 pixels."""
    box = tight(hole, whole(hole))
    assert box is not None, "an empty hole has no surroundings"
    return box.grown(max(256, box.height, box.width), whole(hole))


def level_of(image: Pixels, hole: Mask, search: Search) -> Level | None:
    """None if no patch is known at this scale."""
    h, w = hole.shape
    if min(h, w) < PATCH:
        return None
    near = cv2.dilate(hole.astype(np.uint8), np.ones((PATCH, PATCH), np.uint8), borderValue=0).astype(bool)
    inside = np.zeros((h, w), bool)
    inside[RADIUS : h - RADIUS, RADIUS : w - RADIUS] = True
    valid = inside & ~near
    if not valid.any():
        return None
    seen = np.where(hole[..., None], np.float32(0), image).astype(np.float32)
    usable = inside & ~hole
    scarce = int(valid.sum()) < search.whole * int(usable.sum())
    return Level(seen, hole, valid, usable, near & inside, scarce)


def levels_of(image: Pixels, hole: Mask, search: Search, check: Check) -> list[Level]:
    """Halve while the picture is large, the hole is thick and enough patches stay known; fine to coarse."""
    check()
    level = level_of(image, hole, search)
    if level is None:
        return []
    levels = [level]
    while hole.size > search.working or (min(hole.shape) >= search.side and thickness(hole) >= search.thick):
        check()
        h, w = hole.shape[0] // 2, hole.shape[1] // 2
        even = np.s_[: 2 * h, : 2 * w]
        known = resize((~hole[even]).astype(np.float32), h, w)
        hole = known < search.kept
        small = resize(levels[-1].image[even], h, w) / np.maximum(known, np.float32(search.kept))[..., None]
        level = level_of(small.astype(np.float32), hole, search)
        if level is None or not hole.any() or (int(level.usable.sum()) < search.least and hole.size < search.working):
            break
        levels.append(level)
    return levels


def thickness(hole: Mask) -> float:
    """Radius in pixels of the largest disc in the hole; what lies beyond the picture is known."""
    return float(cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 3).max())


def halve(x: Pixels, shape: tuple[int, int]) -> Pixels:
    """One scale down, to a size."""
    h, w = shape
    return resize(x[: 2 * h, : 2 * w], h, w)


def double(x: Pixels, shape: tuple[int, int]) -> Pixels:
    """One scale up, to a size that is at most one pixel more than twice this one."""
    h, w = x.shape[:2]
    wide = cv2.resize(x, (2 * w, 2 * h), interpolation=cv2.INTER_LINEAR)
    below, beside = shape[0] - 2 * h, shape[1] - 2 * w
    return np.asarray(cv2.copyMakeBorder(wide, 0, below, 0, beside, cv2.BORDER_REPLICATE), np.float32)


def blur_known(level: Level, sigma: float) -> Pixels:
    """Known pixels continued into the hole as weighted means, `sigma` pixels wide; what is known is blurred, too."""
    known = (~level.hole).astype(np.float32)
    near, total = blur(level.image, sigma), blur(known, sigma)[..., None]
    far, far_total = blur(level.image, 4 * sigma), blur(known, 4 * sigma)[..., None]
    low = (near + 1e-3 * far + 1e-9) / (total + 1e-3 * far_total + 1e-9)
    return low.astype(np.float32)


def resize(x: Pixels, height: int, width: int, how: int = cv2.INTER_AREA) -> Pixels:
    """To another size; means of areas unless said otherwise."""
    return np.asarray(cv2.resize(x, (width, height), interpolation=how), np.float32)


def blur(x: Pixels, sigma: float) -> Pixels:
    """Gaussian, `sigma` in pixels; the border goes on as it is."""
    return np.asarray(cv2.GaussianBlur(x, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
