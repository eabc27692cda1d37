"""Holes in what repeats itself exactly (a half-tone print, a printed pattern, a weave): one whole shift fills them.

A search from coarse to fine loses the phase of such a pattern, because coarse scales do not show it. Here every shift
is tried at once (correlation by Fourier transform) on the known pixels around a part of the hole; where one of them
explains nearly all of what is seen there, the part is copied from that far away.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, tight, whole
from manyfill.checking import Check, go_on
from manyfill.seams import Floats, hang

RIM = 16  # pixels around the hole that a shift must explain
MARGIN = 64  # pixels beside the hole that it may be copied from, at least
UNLIKE = 0.04  # share of the variance around it that it may miss
CONTRAST = 6.0 / 255  # standard deviation of the rim below which there is no pattern
SEEN = 0.5  # share of the rim that a shift must show; beside the hole, the rest falls into it
MOST = 1_500_000  # pixels of hole and margin beyond which nothing is tried


def view_of(box: Box, photo: Box) -> Box:
    """What is looked at for a part of the hole in `box`."""
    return box.grown(max(MARGIN, box.height, box.width), photo)


def repeat(pixels: NDArray[Any], unknown: Bools, box: Box, own: Bools, *, check: Check = go_on) -> Floats | None:
    """A part of the hole, `own` (h,w) of `box`, as (h,w,3) in [0,1]; None where nothing repeats there.

    `pixels` (H,W,3) and `unknown` (H,W) of the photo. `check()` is called between steps.
    """
    view = view_of(box, whole(unknown))
    if view.height * view.width > MOST:
        return None
    highest = np.float32(np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1)
    inner = box.inside(view)
    hole = np.zeros((view.height, view.width), np.uint8)
    hole[inner.part] = own
    missing = unknown[view.part]
    rim = cv2.dilate(hole, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8), borderValue=0).astype(bool) & ~missing
    luma = np.where(missing, np.float32(0), (pixels[view.part] / highest).mean(-1, dtype=np.float32))
    if not rim.any() or float(luma[rim].std()) < CONTRAST:
        return None
    luma = np.where(missing, np.float32(0), luma - luma[rim].mean())
    shift = _shift(luma, rim, ~missing, hole.astype(bool), float(luma[rim].var()), check)
    if shift is None:
        return None
    y, x = np.nonzero(hole)
    ry, rx = np.nonzero(rim)
    shown = _inside(ry + shift[0], rx + shift[1], missing)
    ry, rx = ry[shown], rx[shown]
    step = np.zeros((view.height, view.width, 3), np.float32)
    off = pixels[view.top + ry, view.left + rx] / highest
    off -= pixels[view.top + ry + shift[0], view.left + rx + shift[1]] / highest
    given = np.zeros((view.height, view.width), np.float32)
    given[ry, rx], step[ry, rx] = 1, off
    # Light may change over the shift: its means along the rim, without the pattern's own small differences.
    weight = np.asarray(cv2.GaussianBlur(given, (0, 0), RIM / 2, borderType=cv2.BORDER_CONSTANT))
    low = np.asarray(cv2.GaussianBlur(step, (0, 0), RIM / 2, borderType=cv2.BORDER_CONSTANT))
    low = low / np.maximum(weight, np.float32(1e-6))[..., None] * given[..., None]
    lit = hang(np.asarray(low, np.float32), given, 0.0)
    fill = np.zeros((view.height, view.width, 3), np.float32)
    fill[y, x] = pixels[view.top + y + shift[0], view.left + x + shift[1]] / highest + lit[y, x]
    return np.asarray(fill[inner.part].clip(0, 1), np.float32)


def _inside(y: NDArray[Any], x: NDArray[Any], missing: Bools) -> Bools:
    """Which places lie in the view and are known."""
    h, w = missing.shape
    there = (y >= 0) & (x >= 0) & (y < h) & (x < w)
    there[there] = ~missing[y[there], x[there]]
    return np.asarray(there)


def _shift(
    luma: Floats, rim: Bools, known: Bools, hole: Bools, variance: float, check: Check
) -> tuple[int, int] | None:
    """The shift (down, right) that explains the rim best, if any does; luma (h,w) is 0 where it is not known."""
    h, w = luma.shape
    box = tight(hole, whole(hole))
    assert box is not None, "there is a hole to be filled"
    # Where the shifted hole lies in the view, its rim leaves it by RIM at most: with that much more, none wraps.
    size = (cv2.getOptimalDFTSize(h + RIM), cv2.getOptimalDFTSize(w + RIM))

    def spectrum(x: NDArray[Any]) -> NDArray[np.complex64]:
        check()
        return np.asarray(np.fft.rfft2(x.astype(np.float32), size))

    def correlated(*pairs: tuple[NDArray[np.complex64], NDArray[np.complex64]]) -> Floats:
        """The sum of some correlations, at the shifts that keep the hole in the view."""
        check()
        found = np.fft.irfft2(sum(np.conj(a) * b for a, b in pairs), size)
        rows, columns = np.r_[-box.top : h - box.bottom + 1], np.r_[-box.left : w - box.right + 1]
        return np.asarray(found[np.ix_(rows % size[0], columns % size[1])], np.float32)

    at_rim, at_known, light = spectrum(rim), spectrum(known), spectrum(luma)
    filled = correlated((spectrum(hole), at_known))
    seen = correlated((at_rim, at_known))
    squares = (spectrum(luma * luma * rim), at_known), (at_rim, spectrum(luma * luma * known))
    unlike = correlated(*squares, (np.float32(-2) * spectrum(luma * rim), light))
    possible = (seen > SEEN * float(rim.sum())) & (filled > float(hole.sum()) - 0.5)
    miss = np.where(possible, unlike / np.maximum(seen, 1) / (2 * variance), np.inf)
    at = int(miss.argmin())
    if not miss.flat[at] <= UNLIKE:
        return None
    down, right = divmod(at, miss.shape[1])
    return down - box.top, right - box.left
