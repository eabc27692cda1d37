"""What is done to a selection once it is found: outlines at the photo's own edges, grown, shrunk, feathered."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill import masks, photos
from manyfill.boxes import Bools, Box, tight, whole
from manyfill.checking import Check, go_on

TILE = 1024  # side in pixels of what is refined at a time: memory does not go with the photo
BLURRED = 8.0  # pixels: twice as wide a blur, and more, is applied at a smaller scale
SMOOTHING = 1e-4  # the guided filter's epsilon: contrasts below a hundredth are no edges
Floats = NDArray[np.float32]


def reduced(pixels: NDArray[Any], longest: int) -> NDArray[np.uint8]:
    """The photo (H,W,3) of 8 or 16 bits at a size whose longer side is `longest` at most, 8 bits."""
    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    return resized(pixels, max(1, round(height * scale)), max(1, round(width * scale)))


def resized(pixels: NDArray[Any], height: int, width: int) -> NDArray[np.uint8]:
    """The photo (H,W,3) of 8 or 16 bits at another size, 8 bits."""
    way = cv2.INTER_AREA if height * width < pixels.shape[0] * pixels.shape[1] else cv2.INTER_LINEAR
    return photos.to_8_bits(cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=way))


def refined(pixels: NDArray[Any], coarse: Floats, *, check: Check = go_on) -> Bools:
    """A coarse selection (h,w) in [0,1], at the photo's size (H,W) and with its outline at the photo's edges.

    A guided filter (He et al., ECCV 2010) with the photo's luma as its guide, tile by tile where there is an outline;
    `check()` is called before each.
    """
    height, width = pixels.shape[:2]
    scale = max(height / coarse.shape[0], width / coarse.shape[1], 1.0)
    radius = max(2, round(2.5 * scale))
    found = np.zeros((height, width), bool)
    for tile in whole(found).tiles(TILE):
        check()
        seen = tile.grown(2 * radius, whole(found))
        soft = _part_enlarged(coarse, seen, (height, width))
        if soft.max() <= 0.5 or soft.min() > 0.5:
            found[tile.part] = soft.min() > 0.5
            continue
        sharp = _guided(_luma(pixels[seen.part]), soft, radius)
        found[tile.part] = sharp[tile.inside(seen).part] > 0.5
    if not found.any() and coarse.max() > 0.5:  # too small to have an outline of its own
        found = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST) > 0.5
    return np.asarray(found)


def _part_enlarged(coarse: Floats, box: Box, size: tuple[int, int]) -> Floats:
    """What `box` of the photo sees of a coarse map that covers all of it, bilinearly."""
    down, across = coarse.shape[0] / size[0], coarse.shape[1] / size[1]
    rows = (np.arange(box.top, box.bottom, dtype=np.float32) + 0.5) * down - 0.5
    columns = (np.arange(box.left, box.right, dtype=np.float32) + 0.5) * across - 0.5
    x, y = np.meshgrid(columns, rows)
    return np.asarray(cv2.remap(coarse, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _luma(pixels: NDArray[Any]) -> Floats:
    top = np.float32(np.iinfo(pixels.dtype).max)
    return np.asarray(pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / top, np.float32)


def _guided(guide: Floats, soft: Floats, radius: int) -> Floats:
    side = 2 * radius + 1
    guide_mean, soft_mean, both_mean, square_mean = (
        mean_around(values, side) for values in (guide, soft, guide * soft, guide * guide)
    )
    slope = (both_mean - guide_mean * soft_mean) / (square_mean - guide_mean**2 + SMOOTHING)
    offset = soft_mean - slope * guide_mean
    return np.asarray(mean_around(slope, side) * guide + mean_around(offset, side), np.float32)


def mean_around(values: Any, side: int) -> Floats:
    """Means (H,W) of squares of that side; the picture goes on mirrored."""
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def grown(hole: Bools, pixels: int, *, check: Check = go_on) -> Bools:
    """The selection larger by so many pixels, or smaller where they are negative."""
    if pixels >= 0:
        return masks.grow(hole, pixels, check=check)
    box = tight(hole, whole(hole))
    if box is None:
        return hole.copy()
    seen = box.grown(-pixels + 1, whole(hole))
    found = np.zeros_like(hole)
    found[seen.part] = ~masks.grow(~hole[seen.part], -pixels, check=check)
    return found


def feathered(hole: Bools, pixels: int) -> NDArray[np.uint8]:
    """The selection as a mask, 255 = fill, with an edge that is soft over so many pixels on either side."""
    mask = np.where(hole, np.uint8(255), np.uint8(0))
    if pixels <= 0:
        return mask
    box = tight(hole, whole(hole))
    if box is not None:
        seen = box.grown(2 * pixels + 2, whole(hole))
        mask[seen.part] = _blurred(mask[seen.part], pixels / 2)
    return mask


def _blurred(mask: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """A Gaussian; a wide one is applied at a smaller scale: what it costs goes with the pixels, not with its width."""
    factor = int(sigma // BLURRED)
    if factor <= 1:
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)
    height, width = mask.shape
    size = -(-width // factor), -(-height // factor)
    padded = cv2.copyMakeBorder(
        mask, 0, size[1] * factor - height, 0, size[0] * factor - width, cv2.BORDER_REPLICATE
    )  # fmt: skip
    mean = np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32)
    small = cv2.GaussianBlur(mean, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    soft = cv2.resize(small, (size[0] * factor, size[1] * factor), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.rint(soft[:height, :width]), np.uint8)


def rim(longest: int, share: float, *, least: int = 2) -> int:
    """Pixels to grow by: a share of the photo's longer side."""
    return max(least, round(share * longest))
