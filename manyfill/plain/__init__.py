"""What has one plain answer and needs neither network nor search: thin holes, smooth ground, exact repeats.

`mend` fills those parts of a hole and says which they are; the rest is left to the completer. Pixels are (H,W,3) at
source depth, holes (H,W) bool. What it costs, in time and memory, follows the hole's area, whatever its shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, tight, whole
from manyfill.checking import Check, go_on
from manyfill.plain import repeating, smooth, thin
from manyfill.seams import Floats

TILE = 512  # side in pixels of the parts in which a photo is mended
LOOKED_AT = 20_000_000  # pixels in which repeats are looked for, of all parts of a hole together
LOOKED_AT_TIMES = 16  # and so many for each pixel of the hole: parts that lie in each other are seen again and again
MARGIN = 2 * thin.REACH  # known pixels around a tile that thin holes are continued from


@dataclass(frozen=True, eq=False)
class Mended:
    """A part of the photo with its plain answer."""

    box: Box
    fill: Floats  # (h,w,3) in [0,1]
    painted: Bools  # (h,w): what of it is that answer


def mend(pixels: NDArray[Any], hole: Bools, blind: Bools | None = None, *, check: Check = go_on) -> Iterator[Mended]:
    """Every part of the hole that has a plain answer, with it; each missing pixel at most once.

    `blind` (H,W): neither known nor to be filled. `check()` is called between small steps; what it raises comes out.
    """
    fine = thin.thin(hole, blind, check=check)
    unknown = hole if blind is None else hole | blind
    box = tight(fine, whole(hole))
    for tile in () if box is None else box.tiles(TILE):
        check()
        at = tight(fine, tile)
        if at is not None:
            yield _mended_thin(pixels, unknown, fine, at)
    rest = hole & ~fine
    room = LOOKED_AT + LOOKED_AT_TIMES * int(np.count_nonzero(rest))
    for at, own in smooth.parts(rest):
        check()
        found = smooth.ground(pixels, unknown, at, own, check=check)
        if found is not None:
            for part, fill in smooth.fill(found, pixels, own, TILE):
                check()
                yield Mended(part, fill, own[part.inside(at).part])
            continue
        view = repeating.view_of(at, whole(hole))
        if view.height * view.width <= min(room, repeating.MOST):
            room -= view.height * view.width
            repeated = repeating.repeat(pixels, unknown, at, own, check=check)
            if repeated is not None:
                yield Mended(at, repeated, own)


def _mended_thin(pixels: NDArray[Any], unknown: Bools, fine: Bools, at: Box) -> Mended:
    view = at.grown(MARGIN, whole(unknown))
    highest = np.float32(np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1)
    places = np.zeros((view.height, view.width), bool)
    places[at.inside(view).part] = fine[at.part]
    fill = np.zeros((at.height, at.width, 3), np.float32)
    fill[fine[at.part]] = thin.mend((pixels[view.part] / highest).astype(np.float32), unknown[view.part], places)
    return Mended(at, fill, fine[at.part].copy())
