"""One region of one fill, another region of another: the seam between them is closed."""

from __future__ import annotations

import numpy as np

from manyfill.boxes import Bools, Box, tight
from manyfill.completer.completion import Completion, Patch
from manyfill.completer.task import as_float, to_depth
from manyfill.errors import BadImage
from manyfill.seams import close_seam

MARGIN = 32  # pixels around the region that its seam is closed in
REACH = 16.0  # pixels over which the step between the two fades


def merge(base: Completion, other: Completion, region: Bools) -> Completion:
    """`base` with this region (H,W) taken from `other`, a fill of the same photo; the seam between them is closed.

    Only pixels in which the two differ can change: what both share, the photo itself, stays bit for bit. Nothing is
    copied but the part around the region. Raises BadImage for fills of photos of another size or depth.
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
    taken = region[marked.part] & (base.pixels(marked) != other.pixels(marked)).any(2)
    inner = tight(taken, Box(0, 0, *taken.shape))
    if inner is None:
        return base
    inner = Box(marked.top + inner.top, marked.left + inner.left, inner.height, inner.width)
    part = inner.grown(MARGIN, whole)
    before, after = base.pixels(part), other.pixels(part)
    joined = close_seam(as_float(after), as_float(before), region[part.part], reach=REACH)
    painted = np.zeros((part.height, part.width), bool)
    painted[inner.inside(part).part] = taken[inner.inside(marked).part]
    patch = Patch(part, to_depth(joined, ours), painted)
    patch.copied[:] = np.rint(255 * other.copied(part)).astype(np.uint8)
    origins = tuple(
        places[region[places[:, 0], places[:, 1]] == inside]
        for fill, inside in ((base, False), (other, True))
        for places in fill.origins
    )
    return Completion(ours, base.seed, None, base.hole | other.hole, (*base.patches, patch), origins=origins)
