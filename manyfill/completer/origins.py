"""Where the texture stage copied from: a few pairs of places of each fill, for people who wonder at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, tight

if TYPE_CHECKING:
    from manyfill.completer.completion import Completion

GRID = 24  # places that are noted along each side of a part
TILE = 1024  # pixels
COPIED = 0.5  # share of the photo's own patches from which a place counts as copied

Places = NDArray[np.int32]  # (K,4): y, x and from y, from x, in the photo's pixels


def noted(sources: NDArray[Any], confidence: NDArray[Any], wanted: Bools, box: Box, factor: int) -> Places:
    """Pairs of places in a part of the photo.

    `sources`, `confidence` (h,w) are those of `texture.synthesize` at 1/factor, `wanted` (h,w) is where they count;
    `box` is the part at full size.
    """
    height, width = sources.shape
    steps = max(1, height // GRID), max(1, width // GRID)
    y, x = (axis.ravel() for axis in np.mgrid[steps[0] // 2 : height : steps[0], steps[1] // 2 : width : steps[1]])
    counts = wanted[y, x] & (sources[y, x] >= 0) & (confidence[y, x] > COPIED)
    y, x = y[counts], x[counts]
    source = sources[y, x]
    places = np.stack([y, x, source // width, source % width], axis=1) * factor + factor // 2
    return np.asarray(places + np.array([box.top, box.left, box.top, box.left]), np.int32)


def arrows(places: Sequence[Places], most: int = 12) -> Places:
    """At most `most` of them (K,4), far apart from each other, so that each part of the fill has one."""
    every = np.concatenate([*places, np.empty((0, 4), np.int32)])
    if len(every) <= most:
        return every
    targets = every[:, :2].astype(np.float64)
    picked = [int(np.linalg.norm(targets - targets.mean(0), axis=1).argmin())]
    apart = np.full(len(every), np.inf)
    for _ in range(most - 1):
        apart = np.minimum(apart, np.linalg.norm(targets - targets[picked[-1]], axis=1))
        picked.append(int(apart.argmax()))
    return every[picked]


def copied_share(fill: Completion) -> float:
    """The share of a fill that is the photo's own patches, tile by tile."""
    box = tight(fill.hole, Box(0, 0, *fill.hole.shape))
    if box is None:
        return 0.0
    return sum(float(fill.copied(tile).sum()) for tile in box.tiles(TILE)) / float(np.count_nonzero(fill.hole))
