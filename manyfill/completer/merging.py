"""One region of one fill, another region of another: the seam between them is closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, tight
from manyfill.checking import Check, go_on
from manyfill.completer.completion import Completion, Patch
from manyfill.completer.portions import Portions
from manyfill.completer.task import as_float, to_depth
from manyfill.errors import BadImage
from manyfill.scaling import enlarge, factor_for, shrink, shrink_hole
from manyfill.seams import Floats, close_seam, continue_outwards

MARGIN = 32  # pixels around the region that its seam is closed in
REACH = 16.0  # pixels over which the step between the two fades
LEAST_REACH = 8.0  # of them at the scale at which the seam of a large part is closed


def merge(
    base: Completion, other: Completion, region: Bools, *, check: Check = go_on, portions: Portions = Portions()
) -> Completion:
    """`base` with this region (H,W) taken from `other`, a fill of the same photo; the seam between them is closed.

    Only pixels in which the two differ can change: what both share, the photo itself, stays bit for bit. Nothing is
    copied but the part around the region. Raises BadImage for fills of photos of another size or depth, and what
    `check` raises.
    """
    ours, theirs = base.source, other.source
    if (ours.width, ours.height) != (theirs.width, theirs.height):
        raise BadImage(
            f"the fills are {ours.width}x{ours.height} and {theirs.width}x{theirs.height} (width x height). "
            "Send two fills of one photo."
        )
    if ours.depth != theirs.depth:
        raise BadImage(f"the fills have {ours.depth} and {theirs.depth} bits. Send two fills in one format.")
    whole = Box(0, 0, ours.height, ours.width)
    marked = tight(region, whole)
    if marked is None:
        return base
    taken = np.zeros((marked.height, marked.width), bool)
    for tile in marked.tiles(portions.tile):
        check()
        differs = (base.pixels(tile) != other.pixels(tile)).any(2)
        taken[tile.inside(marked).part] = region[tile.part] & differs
    inner = tight(taken, Box(0, 0, *taken.shape))
    if inner is None:
        return base
    inner = Box(marked.top + inner.top, marked.left + inner.left, inner.height, inner.width)
    part = inner.grown(MARGIN, whole)
    painted = np.zeros((part.height, part.width), bool)
    painted[inner.inside(part).part] = taken[inner.inside(marked).part]
    patch = Patch(part, np.empty((part.height, part.width, 3), ours.pixels.dtype), painted)
    for tile, joined in _joined(base, other, region, part, check, portions):
        check()
        at = tile.inside(part).part
        patch.pixels[at] = to_depth(joined, ours)
        patch.copied[at] = np.rint(255 * other.copied(tile)).astype(np.uint8)
    origins = tuple(
        places[region[places[:, 0], places[:, 1]] == inside]
        for fill, inside in ((base, False), (other, True))
        for places in fill.origins
    )
    return Completion(ours, base.seed, None, base.hole | other.hole, (*base.patches, patch), origins=origins)


def _joined(
    base: Completion, other: Completion, region: Bools, part: Box, check: Check, portions: Portions
) -> Iterator[tuple[Box, Floats]]:
    """`other` in this part with its seam closed, tile by tile; only the region's pixels are of use.

    Of a large part the seam is closed at a smaller scale, and what closes it is brought to the photo's pixels.
    """
    factor = factor_for(part, portions.seam_pixels)
    if factor == 1:
        after, before = as_float(other.pixels(part)), as_float(base.pixels(part))
        yield part, close_seam(after, before, region[part.part], reach=REACH)
        return

    def small(fill: Completion) -> Floats:
        def rows(top: int, bottom: int) -> NDArray[Any]:
            check()
            return fill.pixels(Box(part.top + top, part.left, bottom - top, part.width))

        return shrink(rows, (part.height, part.width), factor)

    after, gap = small(other), shrink_hole(region[part.part], factor)
    closing = close_seam(after, small(base), gap, reach=max(LEAST_REACH, REACH / factor)) - after
    check()
    outward = continue_outwards(closing, gap)
    for tile in part.tiles(portions.tile):
        yield tile, as_float(other.pixels(tile)) + enlarge(outward, factor, tile.inside(part))
