"""Thin holes (dust, hair-lines, scratches, wires): each pixel continued from a patch close by, without a search.

A missing pixel at most DEPTH pixels from what is known takes the value of the near pixel whose surroundings look most
like its own, shifted in light until both agree (so a gradient stays one). From the rim inwards; what was filled is
known to what lies deeper. The cost is a constant for each missing pixel, whatever the shape of the hole.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, tight, whole
from manyfill.checking import Check, go_on
from manyfill.compiled import compiled
from manyfill.seams import Floats, fill_smoothly

DEPTH = 3.0  # pixels from what is known; a line of six pixels is as thin as that
TAIL = 8  # pixels around what is deeper that belong to it: the ragged edge of a brush stroke
REACH = 8  # pixels: how far a pixel is copied from
RADIUS = 3  # of what is compared, 7x7
ENOUGH = 6  # pixels that must be compared at least
SHIFT_PRICE = 0.2  # of a shift in light, as of a difference of every pixel
FAR_PRICE = 2e-6  # of distance, for each pixel squared: near ones first where nothing else tells
SHARE = 1000  # places that a thread is worth
TILE = 1024  # side in pixels of what is looked at at once


def thin(hole: Bools, blind: Bools | None = None, *, tile: int = TILE, check: Check = go_on) -> Bools:
    """(H,W): what of the hole is nowhere deeper than DEPTH, apart from the ragged edges of what is.

    `blind` (H,W) is no more known than the hole is. Looked at in tiles of `tile` pixels a side, which changes nothing;
    `check()` is called before each.
    """
    found = np.zeros_like(hole)
    box = tight(hole, whole(hole))
    if box is None:
        return found
    margin = TAIL + int(DEPTH) + 2
    disc = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * TAIL + 1, 2 * TAIL + 1)), np.uint8)
    for at in box.tiles(tile):
        check()
        if not hole[at.part].any():
            continue
        view = at.grown(margin, whole(hole))
        missing = hole[view.part] if blind is None else (hole | blind)[view.part]
        # Beyond the photo nothing is known.
        depth = cv2.distanceTransform(np.pad(missing, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        bulk = cv2.dilate((depth > DEPTH).astype(np.uint8), disc).astype(bool)
        inner = at.inside(view)
        found[at.part] = hole[at.part] & ~bulk[inner.part]
    return found


def mend(image: Floats, missing: Bools, places: Bools) -> Floats:
    """Values (n,3) of the places (h,w), in their order; image (h,w,3) in [0,1] is not read where it is missing."""
    start = fill_smoothly(np.where(missing[..., None], np.float32(0), image).astype(np.float32), missing)
    start = np.ascontiguousarray(start, np.float32)
    depth = cv2.distanceTransform(np.pad(missing, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    origin = (~missing).astype(np.uint8)  # what may be copied
    weight = origin.astype(np.float32)  # how much is compared
    layers = np.ceil(depth).astype(np.int32)
    for layer in range(1, int(np.ceil(DEPTH)) + 2):
        here = places & ((layers == layer) if layer <= DEPTH else (layers >= layer))
        at = np.flatnonzero(here).astype(np.int32)
        if not len(at):
            continue
        made = _all(start, origin, weight, at)
        start.reshape(-1, 3)[at] = made
        weight.ravel()[at] = 0.5
    return np.asarray(start[places], np.float32)


def _all(image: Floats, origin: NDArray[np.uint8], weight: Floats, at: NDArray[np.int32]) -> Floats:
    """(n,3): in as many threads as there are cores; which one a place falls to makes no difference."""
    made = np.empty((len(at), 3), np.float32)
    threads = min(os.cpu_count() or 1, -(-len(at) // SHARE))
    if threads == 1:
        _continue(image, origin, weight, at, made)
        return made
    edges = np.linspace(0, len(at), threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        parts = [
            pool.submit(_continue, image, origin, weight, at[first:last], made[first:last])
            for first, last in pairwise(edges.tolist())
        ]
    for part in parts:
        part.result()
    return made


@compiled
def _continue(image: Any, origin: Any, weight: Any, at: Any, made: Any) -> None:
    """For each place the near pixel whose surroundings fit best, its light shifted by their mean difference."""
    h, w = origin.shape
    for i in range(len(at)):
        ty, tx = at[i] // w, at[i] % w
        least, best, shift = np.float32(np.inf), -1, np.zeros(3, np.float32)
        for oy in range(-REACH, REACH + 1):
            sy = ty + oy
            if sy < 0 or sy >= h:
                continue
            for ox in range(-REACH, REACH + 1):
                sx = tx + ox
                if sx < 0 or sx >= w or origin[sy, sx] == 0:
                    continue
                total, count = np.float32(0), np.float32(0)
                red, green, blue = np.float32(0), np.float32(0), np.float32(0)
                for dy in range(-RADIUS, RADIUS + 1):
                    py, qy = ty + dy, sy + dy
                    if py < 0 or py >= h or qy < 0 or qy >= h:
                        continue
                    for dx in range(-RADIUS, RADIUS + 1):
                        px, qx = tx + dx, sx + dx
                        if px < 0 or px >= w or qx < 0 or qx >= w:
                            continue
                        share = weight[py, px] * weight[qy, qx]
                        if share == 0:
                            continue
                        r = image[py, px, 0] - image[qy, qx, 0]
                        g = image[py, px, 1] - image[qy, qx, 1]
                        b = image[py, px, 2] - image[qy, qx, 2]
                        total += share * (r * r + g * g + b * b)
                        red += share * r
                        green += share * g
                        blue += share * b
                        count += share
                if count < ENOUGH:
                    continue
                red, green, blue = red / count, green / count, blue / count
                shifted = (red * red + green * green + blue * blue) * (1 - SHIFT_PRICE)
                price = max(total / count - shifted, np.float32(0)) + FAR_PRICE * (oy * oy + ox * ox)
                if price < least:
                    least, best = price, sy * w + sx
                    shift[0], shift[1], shift[2] = red, green, blue
        if best < 0:  # hardly anything is known near it: the membrane stays
            for c in range(3):
                made[i, c] = image[ty, tx, c]
        else:
            for c in range(3):
                made[i, c] = min(max(image[best // w, best % w, c] + shift[c], 0), 1)
