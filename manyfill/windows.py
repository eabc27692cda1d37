"""What the network sees at once: windows that together cover the hole, and what is left for each in its turn.

`plan` covers the hole with windows, and `turns` says what is left for each of them. Holes are (H,W) bool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, around, tight

Floats = NDArray[np.float32]

CONTEXT = 0.5  # photo on each side of a bulky hole, as a share of the hole: the hole is half of the window's side
THIN_CONTEXT = 1.5  # photo on each side of a thin hole, in thicknesses of the hole: a scratch needs no more
BULKY = 8  # a hole is cut into several windows only where one window would be wider than this many thicknesses
SHARE = 1.2  # holes share a window where it need not be larger than this many times the one it had
OVERLAP = 8  # a window reaches into what others filled by this part of its shorter side
STRETCH = 2.0  # in a square, a window's shorter side is enlarged by at most this much more than its longer one
LIMIT = 256  # windows per photo; beyond it they grow coarser rather than more
PLAN_SIDE = 4096  # photos larger than this are planned on a grid of cells


@dataclass(frozen=True)
class Window:
    """What the network sees at once, and which part of the hole it fills."""

    box: Box  # seen, in pixels of the photo
    core: Box  # what is still missing in here is filled from this window
    inner: tuple[int, int]  # height and width of `box` at the network's scale
    padded: tuple[int, int]  # height and width of the network's input: `inner` and its mirror image around it

    @property
    def native(self) -> bool:
        """Whether the network works at the photo's own pixels, without resampling."""
        return self.inner == (self.box.height, self.box.width)

    @property
    def overlap(self) -> int:
        """How far it reaches into what earlier windows filled, in pixels of the photo."""
        return min(self.box.height, self.box.width) // OVERLAP

    @property
    def offset(self) -> tuple[int, int]:
        """Row and column of `inner` in `padded`."""
        return (self.padded[0] - self.inner[0]) // 2, (self.padded[1] - self.inner[1]) // 2


class _Piece(NamedTuple):
    """A part of the hole, in cells of the planning grid."""

    box: Box
    thickness: float  # diameter of the largest disc in the hole, pixels of the photo


@dataclass(frozen=True, eq=False)
class _Grid:
    """The hole on the planning grid."""

    hole: Bools
    depth: Floats  # distance to the nearest known cell, in cells
    cell: int  # side in pixels of the photo
    extent: int  # longer side of the photo in pixels
    floor: float  # no window is smaller than this many pixels

    def tight(self, box: Box) -> Box | None:
        """The smallest box around the hole's cells in `box`."""
        return tight(self.hole, box)

    def thickness(self, box: Box) -> float:
        """Of the hole in `box`, pixels; never more than the box's shorter side."""
        return self.cell * min(2 * float(self.depth[box.part].max()), float(min(box.height, box.width)))

    def side(self, box: Box, thickness: float) -> float:
        """Side in pixels of the window that a piece of the hole needs."""
        length = self.cell * max(box.height, box.width)
        margin = min(CONTEXT * length, max(THIN_CONTEXT * thickness, self.floor / 8))
        return min(max(self.floor, length + 2 * margin), float(max(self.extent, self.floor)))


def plan(hole: Bools, *, working_size: int, multiple: int, limit: int = LIMIT) -> list[Window]:
    """Windows that together cover the hole (H,W), in the order in which they are to be filled; none for an empty hole.

    Where the hole fits with context, a window is the network's working size at the photo's own pixels. A bulky hole
    that does not fit gets one window with as much photo on each side as half of the hole's length, which is then
    scaled down. A long thin one (a scratch, a brush stroke) is cut into several windows whose context is measured in
    its thickness. Holes that fit into one window share it. Cores are disjoint in what they fill: each missing pixel
    belongs to the first window whose core holds it. Beyond `limit` windows all grow coarser.
    """
    whole = Box(0, 0, *hole.shape)
    if not hole.any():
        return []
    cell = -(-max(hole.shape) // PLAN_SIDE)
    cells = shrink_hole_to(hole, (-(-whole.height // cell), -(-whole.width // cell))) if cell > 1 else hole
    depth = np.asarray(cv2.distanceTransform(cells.astype(np.uint8), cv2.DIST_L2, 3), np.float32)
    floor = float(working_size)
    while True:
        grid = _Grid(cells, depth, cell, max(hole.shape), floor)
        pieces = _pieces(grid, most=16 * limit)
        if pieces is not None:
            boxes = _merged(pieces, grid)
            if len(boxes) <= limit or floor >= grid.extent:
                break
        floor *= 1.5
    windows = []
    unfilled = hole.copy()
    for box, thickness in sorted(boxes, key=lambda piece: (piece.box.top, piece.box.left)):
        pixels = Box(box.top * cell, box.left * cell, box.height * cell, box.width * cell).shared(whole)
        core = tight(unfilled, pixels) if pixels is not None else None
        if core is None:
            continue
        unfilled[core.part] = False
        seen = _placed(core, grid.side(box, thickness), whole)
        windows.append(Window(seen, core, *net_size(seen.height, seen.width, working_size, multiple)))
    return windows


def net_size(height: int, width: int, working_size: int, multiple: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size of a window at the network's scale, and that size padded to what the network takes.

    One scale for both sides. A window smaller than the working size is enlarged to it, a larger one shrunk to about
    its area, no side beyond twice the working size; a side is padded rather than let fall under half of the working
    size.
    """
    long, short = max(height, width), min(height, width)
    if long <= working_size:
        target = working_size
    else:
        target = min(2 * working_size, round(working_size * (long / short) ** 0.5), long)
    target = max(target // multiple * multiple, multiple)
    scale = target / long
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    least = -(-(working_size // 2) // multiple) * multiple
    padded = tuple(max(-(-side // multiple) * multiple, least) for side in inner)
    return inner, (padded[0], padded[1])


def squared(window: Window, side: int) -> Window:
    """The window at the scale of a square of `side`, for networks that know no other shape.

    Its longer side fills the square. The shorter one is stretched, up to STRETCH times, and mirrored beyond that: a
    squeezed picture with more of its own pixels is filled better than one with wide mirrored margins.
    """
    longer = max(window.box.height, window.box.width)
    scales = (side / longer, min(STRETCH * side / longer, side / min(window.box.height, window.box.width)))
    height, width = scales if window.box.height >= window.box.width else scales[::-1]
    inner = max(1, round(window.box.height * height)), max(1, round(window.box.width * width))
    return replace(window, inner=inner, padded=(side, side))


def _placed(core: Box, side: float, whole: Box) -> Box:
    """A window of about this side around the core, shifted inwards at the photo's border."""
    start, size = [], []
    for at, length, end in ((core.top, core.height, whole.height), (core.left, core.width, whole.width)):
        extent = min(max(round(side), length), end)
        start.append(min(max(at + (length - extent) // 2, 0), end - extent))
        size.append(extent)
    return Box(start[0], start[1], size[0], size[1])


def _pieces(grid: _Grid, *, most: int) -> list[_Piece] | None:
    """The hole's connected parts, cut until each is bulky or fits a window; None where there are more than `most`."""
    block = max(1, int(grid.floor / 8 / grid.cell))
    height, width = grid.hole.shape
    blocks = shrink_hole_to(grid.hole, (-(-height // block), -(-width // block))) if block > 1 else grid.hole
    count, _, found, _ = cv2.connectedComponentsWithStats(blocks.astype(np.uint8), connectivity=8)
    if count - 1 > most:
        return None
    whole = Box(0, 0, height, width)
    pieces: list[_Piece] = []
    waiting = []
    for left, top, columns, rows in found[1:, :4].tolist():
        # A block covers a fractional number of cells where the sides do not divide: one cell of slack, tightened below.
        box = Box(int(top * height / blocks.shape[0]), int(left * width / blocks.shape[1]), 0, 0)
        bottom = -(-(top + rows) * height // blocks.shape[0])
        right = -(-(left + columns) * width // blocks.shape[1])
        waiting.append(box._replace(height=bottom - box.top, width=right - box.left).grown(0, whole))
    while waiting:
        box_or_none = grid.tight(waiting.pop())
        if box_or_none is None:
            continue
        box = box_or_none
        thickness = grid.thickness(box)
        side = grid.side(box, thickness)
        if side <= max(grid.floor, BULKY * thickness) or max(box.height, box.width) < 2:
            pieces.append(_Piece(box, thickness))
            if len(pieces) > most:
                return None
        else:
            waiting.extend(_halves(grid.hole, box))
    return pieces


def _halves(hole: Bools, box: Box) -> tuple[Box, Box]:
    """Cut across the longer side, in its middle half, where the least of the hole is cut."""
    across = int(box.height >= box.width)
    length = max(box.height, box.width)
    missing = hole[box.part].sum(axis=across).astype(np.int64)
    allowed = np.arange(max(1, length // 4), max(2, length - length // 4))
    cost = missing[allowed] * length + np.abs(2 * allowed - length)
    at = int(allowed[int(cost.argmin())])
    if across:
        return box._replace(height=at), box._replace(top=box.top + at, height=box.height - at)
    return box._replace(width=at), box._replace(left=box.left + at, width=box.width - at)


def _merged(pieces: list[_Piece], grid: _Grid) -> list[_Piece]:
    """Let pieces share a window where that window need not be (much) larger: large pieces first, near ones first."""
    order = sorted(pieces, key=lambda piece: (-grid.side(*piece), piece.box.top, piece.box.left))
    edges = np.array([(p.box.top, p.box.left, p.box.bottom, p.box.right) for p in order], np.int64)
    free = np.ones(len(order), bool)
    merged = []
    for index, piece in enumerate(order):
        if not free[index]:
            continue
        free[index] = False
        box, thickness = piece
        allowed = max(grid.floor, SHARE * grid.side(box, thickness))
        centre = (2 * box.top + box.height, 2 * box.left + box.width)
        others = np.flatnonzero(free)
        reach = np.maximum(
            np.maximum(edges[others, 2], box.bottom) - np.minimum(edges[others, 0], box.top),
            np.maximum(edges[others, 3], box.right) - np.minimum(edges[others, 1], box.left),
        )
        others = others[reach * grid.cell <= allowed]
        apart = np.abs(edges[others, 0] + edges[others, 2] - centre[0]) + np.abs(
            edges[others, 1] + edges[others, 3] - centre[1]
        )
        for other in others[np.argsort(apart, kind="stable")].tolist():
            union = around(box, order[other].box)
            thicker = max(thickness, order[other].thickness)
            if grid.side(union, thicker) <= allowed:
                box, thickness = union, thicker
                free[other] = False
        merged.append(_Piece(box, thickness))
    return merged


@dataclass(frozen=True, eq=False)
class Turn:
    """What is left for a window once those before it are filled."""

    window: Window
    box: Box  # around all that it fills; a part of the window's
    own: Bools  # (h,w) of `box`: filled by it first
    again: Bools | None  # (h,w) of `box`: filled before, and blended with what it draws; None: nothing
    distance: Floats | None  # (h,w) of `box`, pixels to `own`; None where there is nothing to blend
    missing: Bools  # (h,w) of the window's box: what it is not shown

    @property
    def painted(self) -> Bools:
        """(h,w) of `box`: all that it changes."""
        return self.own if self.again is None else self.own | self.again

    def blend(self, drawn: Floats, before: Floats, tile: Box) -> Floats:
        """What it drew (h,w,3), over what was there before where that is filled already; `tile` is a part of `box`.

        The share falls smoothly from 1 beside its own part to 0 at the end of its overlap.
        """
        if self.again is None or self.distance is None or not self.again[tile.part].any():
            return drawn
        ramp = np.clip(1 - self.distance[tile.part] / np.float32(self.window.overlap + 1), 0, 1)
        share = np.where(self.again[tile.part], ramp * ramp * (3 - 2 * ramp), np.float32(1))[..., None]
        return np.asarray(before + share * (drawn - before), np.float32)


def turns(windows: Sequence[Window], hole: Bools, blind: Bools | None = None) -> Iterator[Turn]:
    """The windows' turns, in order: each missing pixel (H,W) is some window's own, and windows overlap.

    A window draws what is missing in its core, and again what earlier ones filled within its overlap; beyond that it is
    shown what they filled as if it were the photo. `blind` (H,W) is neither shown nor filled. The arrays are good until
    the next turn.
    """
    unfilled = hole.copy()
    for window in windows:
        missing = unfilled[window.box.part] if blind is None else (unfilled | blind)[window.box.part]
        box = window.core.grown(window.overlap, window.box)
        own = np.zeros((box.height, box.width), bool)
        own[window.core.inside(box).part] = unfilled[window.core.part]
        again = hole[box.part] & ~unfilled[box.part]
        distance = None
        if again.any():
            distance = np.asarray(cv2.distanceTransform((~own).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
            again &= distance <= window.overlap
        around = tight(own | again, Box(0, 0, box.height, box.width))
        assert around is not None, "a window has something of its own"
        box = around._replace(top=box.top + around.top, left=box.left + around.left)
        own, again = own[around.part].copy(), again[around.part]
        if again.any() and distance is not None:
            missing = missing.copy()
            missing[box.inside(window.box).part] |= again
            yield Turn(window, box, own, again.copy(), distance[around.part].copy(), missing)
        else:
            yield Turn(window, box, own, None, None, missing)
        unfilled[window.core.part] = False


def shrink_hole_to(hole: Bools, size: tuple[int, int]) -> Bools:
    """Hole (H,W) at another size: missing where any missing pixel is touched."""
    for axis, count in enumerate(size):
        length = hole.shape[axis]
        edges = np.arange(count + 1, dtype=np.int64) * length
        first, last = edges[:-1] // count, np.minimum(-(-edges[1:] // count), length) - 1
        if count >= length:  # enlarged: each touches two at most
            hole = hole.take(first, axis) | hole.take(last, axis)
        else:
            hole = np.logical_or.reduceat(hole, first, axis=axis) | hole.take(last, axis)
    return hole
