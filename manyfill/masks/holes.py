"""Holes measured, grown and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import cv2
import numpy as np
from torch import Tensor

from manyfill.boxes import Bools
from manyfill.checking import Check, go_on

# Hole-ratio bins of the NVIDIA irregular mask test set (Liu et al. 2018): low < ratio <= high.
BINS: tuple[tuple[float, float], ...] = ((0.01, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6))

BAND = 4_000_000  # pixels of a hole that are grown at once, about


def ratio(hole: Tensor | Bools) -> float:
    """Share of missing pixels, in [0, 1]."""
    return float(_bits(hole).mean(dtype=np.float64))


def grow(hole: Bools, pixels: int, *, check: Check = go_on) -> Bools:
    """Dilate a hole (H,W) by a disc: missing is what lies within `pixels` of a missing pixel, between pixel centres.

    A new array; 0 pixels gives an equal one. Memory and time go with the hole's surroundings. `check()` is called
    between bands of rows; what it raises comes out.
    """
    assert pixels >= 0, f"grow by {pixels} pixels: must not be negative"
    grown = hole.copy()
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if pixels and len(rows):
        part = tuple(slice(max(0, int(at[0]) - pixels), int(at[-1]) + pixels + 1) for at in (rows, columns))
        known, made = (~hole[part]).astype(np.uint8), grown[part]
        step = max(pixels, BAND // known.shape[1], 1)  # of rows that are looked at once, with those within reach
        for top in range(0, len(known), step):
            check()
            first, band = max(0, top - pixels), known[max(0, top - pixels) : top + step + pixels]
            if band.any() and not band.all():
                distance = cv2.distanceTransform(band, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[top - first :][:step]
                # The transform is exact up to float32 rounding of the root.
                made[top : top + step] = distance <= pixels + 1e-3
    return grown


def set_hash(holes: Iterable[Tensor | Bools]) -> str:
    """Sha256 of a set of holes, in order: shape and bits of each. Names the masks that a number was measured on."""
    digest = hashlib.sha256()
    for hole in holes:
        bits = _bits(hole)
        shape = (1,) * (4 - bits.ndim) + bits.shape  # (H,W) counts as (1,1,H,W)
        digest.update(repr(shape).encode())
        digest.update(np.packbits(bits).tobytes())
    return digest.hexdigest()


def _bits(hole: Tensor | Bools) -> Bools:
    return hole.detach().cpu().numpy() >= 0.5 if isinstance(hole, Tensor) else hole
