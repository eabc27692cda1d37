"""There and back: a window at the network's scale, what it drew at the photo's pixels, and the photo's detail on top.

`to_net` brings a window to the network's size; `from_net` brings what it drew back. Pixels are (H,W,3), holes (H,W)
bool here, because photos live in numpy; only what the network sees and draws is a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manyfill.boxes import Bools, Box
from manyfill.seams import Floats, fill_smoothly
from manyfill.windows import Window, shrink_hole_to

Indices = NDArray[np.int64]


def to_net(pixels: NDArray[Any], hole: Bools, window: Window) -> tuple[Tensor, Tensor]:
    """Pixels (h,w,3) uint8, uint16 or float in [0,1] and hole (h,w) of `window.box` to what the network takes.

    Returns image (1,3,H,W) float in [0,1], black in the hole, and hole (1,1,H,W). A pixel that the hole touches at
    all is missing at the network's scale, so that nothing under the hole can leak into what the network sees.
    """
    height, width = window.inner
    if window.native:
        image, missing = _as_float(pixels), hole
    elif height <= hole.shape[0] and width <= hole.shape[1]:
        # The area average at source depth: exact to half a step, and a photo of 48 MP needs no float copy.
        image = _as_float(np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)))
        missing = shrink_hole_to(hole, window.inner)
    else:
        # Enlarging reads neighbours: what lies under the hole is replaced by a smooth continuation first.
        source = _as_float(pixels)
        source = fill_smoothly(source, hole)
        image = np.asarray(cv2.resize(source, (width, height), interpolation=cv2.INTER_CUBIC)).clip(0, 1)
        missing = shrink_hole_to(hole, window.inner)
    image = image * ~missing[..., None]
    rows, columns = (_mirror(inner, padded) for inner, padded in zip(window.inner, window.padded, strict=True))
    image, missing = image[rows[:, None], columns], missing[rows[:, None], columns]
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))[None]
    return tensor, torch.from_numpy(missing.astype(np.float32))[None, None]


def from_net(picture: Tensor, window: Window, box: Box) -> Floats:
    """What the network drew, (1,C,H,W), at the photo's own pixels: (h,w,C) for `box`, a part of `window.box`.

    Cubic (Keys 1981, a = -1/2: no overshoot worth the name), antialiased where the network worked at a larger size.
    """
    drawn = picture.detach().float().cpu().numpy()[0]  # (C, H, W)
    inside = box.inside(window.box)
    if window.native:
        top, left = inside.top + window.offset[0], inside.left + window.offset[1]
        return np.ascontiguousarray(drawn[:, top : top + box.height, left : left + box.width].transpose(1, 2, 0))
    rows = _cubic(inside.top, inside.height, window.box.height, window.inner[0], window.offset[0], window.padded[0])
    columns = _cubic(inside.left, inside.width, window.box.width, window.inner[1], window.offset[1], window.padded[1])
    down, across = _used(rows), _used(columns)  # a part of a large window is drawn from few of its pixels
    resized = np.matmul(np.matmul(rows[:, down], drawn[:, down, across]), columns[:, across].T)  # (C, h, w)
    return np.ascontiguousarray(resized.transpose(1, 2, 0).clip(0, 1))


def sampled(said: NDArray[np.uint8], window: Window, box: Box, factor: int) -> Floats:
    """What is said of each pixel at the network's scale, (H,W), as (h,w) in [0,1] for `box` of the photo at 1/factor.

    Linear between the pixels; outside the window it goes on as at its border.
    """
    top, left = window.offset
    inner = said[top : top + window.inner[0], left : left + window.inner[1]].astype(np.float32) / np.float32(255)
    places = []
    for first, length, start, side, count in (
        (box.top, box.height, window.box.top, window.box.height, inner.shape[0]),
        (box.left, box.width, window.box.left, window.box.width, inner.shape[1]),
    ):
        middles = first - start + (np.arange(-(-length // factor), dtype=np.float32) + 0.5) * factor
        places.append((middles * np.float32(count / side) - 0.5).astype(np.float32))
    rows, columns = places
    y, x = np.repeat(rows[:, None], len(columns), 1), np.repeat(columns[None], len(rows), 0)
    return _sampled(inner, y, x)


def read_for(window: Window, box: Box) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what `from_net` reads of the network's picture for `box`."""
    inside = box.inside(window.box)
    spans = (inside.top, inside.height), (inside.left, inside.width)
    sides = (window.box.height, window.box.width)
    found = []
    for (start, count), length, inner, offset, padded in zip(
        spans, sides, window.inner, window.offset, window.padded, strict=True
    ):
        ratio = inner / length
        reach = 2 * max(1.0, ratio)
        first, last = (start + 0.5) * ratio - 0.5 + offset, (start + count - 0.5) * ratio - 0.5 + offset
        found.append((max(0, math.floor(first - reach)), min(padded, math.ceil(last + reach) + 1)))
    (top, bottom), (left, right) = found
    return top, left, bottom, right


def _as_float(pixels: NDArray[Any]) -> Floats:
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32, copy=False)
    return (pixels / np.float32(np.iinfo(pixels.dtype).max)).astype(np.float32, copy=False)


def _mirror(inner: int, padded: int) -> Indices:
    """Indices that pad `inner` pixels to `padded` by reflection without repeating the edge, as often as it takes."""
    at = np.arange(padded, dtype=np.int64) - (padded - inner) // 2
    period = max(2 * (inner - 1), 1)
    at = np.abs(at) % period
    return np.minimum(at, period - at) if inner > 1 else np.zeros(padded, np.int64)


def _cubic(start: int, count: int, length: int, inner: int, offset: int, padded: int) -> Floats:
    """Weights (count, padded) that sample the network's pixels at photo pixels start..start+count of a side."""
    ratio = inner / length
    stretch = max(1.0, ratio)
    centre = (np.arange(start, start + count) + 0.5) * ratio - 0.5 + offset
    x = np.abs(np.arange(padded)[None, :] - centre[:, None]) / stretch
    weights = np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0.0))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _used(weights: Floats) -> slice:
    """The columns of weights (n, padded) between the first and the last that count for anything."""
    places = np.flatnonzero(weights.any(0))
    return slice(int(places[0]), int(places[-1]) + 1)


# ── detail ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def factor_for(box: Box, most: int) -> int:
    """How many pixels each way are to be one, so that a part of the photo has so many at most."""
    return math.ceil(math.sqrt(box.height * box.width / most))


def shrink(rows_of: Callable[[int, int], NDArray[Any]], size: tuple[int, int], factor: int) -> Floats:
    """A picture of `size` (H,W) at 1/factor, (h,w,3) float in [0,1]: means of blocks, the last ones filled up.

    `rows_of(top, bottom)` gives its rows at source depth; few are asked for at a time.
    """
    height, width = size
    small = np.empty((-(-height // factor), -(-width // factor), 3), np.float32)
    step = max(1, 2**20 // (width * factor))  # rows of the small picture
    for top in range(0, len(small), step):
        rows = rows_of(top * factor, min((top + step) * factor, height))
        below, right = -len(rows) % factor, small.shape[1] * factor - width
        if below or right:
            rows = cv2.copyMakeBorder(rows, 0, below, 0, right, cv2.BORDER_REPLICATE)
        part = small[top : top + step]
        part[:] = _as_float(np.asarray(cv2.resize(rows, part.shape[1::-1], interpolation=cv2.INTER_AREA)))
    return small


def shrink_hole(hole: Bools, factor: int) -> Bools:
    """The hole (H,W) at 1/factor: a block is missing where any pixel of it is; the last blocks are filled up."""
    height, width = hole.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    small: Bools = np.logical_or.reduceat(np.logical_or.reduceat(hole, rows, axis=0), columns, axis=1)
    return small


def enlarge(small: Floats, factor: int, box: Box) -> Floats:
    """A part of a small picture (h,w[,C]) at `factor` times its size; `box` in pixels of the large one."""
    y = (np.arange(box.top, box.bottom, dtype=np.float32) + 0.5) / factor - 0.5
    x = (np.arange(box.left, box.right, dtype=np.float32) + 0.5) / factor - 0.5
    return _sampled(small, np.repeat(y[:, None], box.width, 1), np.repeat(x[None], box.height, 0))


def carry_detail(
    photo: NDArray[Any], seen: Floats, drawn: Floats, sources: NDArray[np.int32], share: Floats, factor: int, box: Box
) -> Floats:
    """Part `box` of what was drawn at 1/factor, with the photo's own detail: (h,w,3) at the photo's pixels.

    `photo` (H,W,3) at source depth; `seen` (h,w,3) is it at 1/factor; `drawn` (h,w,3) the fill there, and `sources`
    (h,w) where in `seen` each of its pixels was taken from (flat, -1: nowhere). What a pixel of the photo has that its
    place in `seen` has not is carried along, times `share` (h,w): contextual residuals, Yi et al. 2020, from where the
    patches came instead of from attention.
    """
    height, width = photo.shape[:2]
    y, x = np.mgrid[box.top : box.bottom, box.left : box.right]
    source = sources[y // factor, x // factor].astype(np.int64)
    from_y = np.minimum(source // sources.shape[1] * factor + y % factor, height - 1)
    from_x = np.minimum(source % sources.shape[1] * factor + x % factor, width - 1)
    known = source >= 0
    from_y, from_x = np.where(known, from_y, 0), np.where(known, from_x, 0)
    place = [((at + 0.5) / factor - 0.5).astype(np.float32) for at in (from_y, from_x)]
    detail = _as_float(photo[from_y, from_x]) - _sampled(seen, *place)
    trusted = known.astype(np.float32) * enlarge(share, factor, box)
    return np.asarray(enlarge(drawn, factor, box) + detail * trusted[..., None], np.float32)


def _sampled(small: Floats, y: Floats, x: Floats) -> Floats:
    """Between the pixels of (h,w[,C]), at rows y and columns x of it; linear, because OpenCV's cubic ripples ramps."""
    return np.asarray(cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
