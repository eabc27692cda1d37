"""Any photo from a network with one working size: windows around the holes, there and back, and seams closed.

`plan` covers the hole with windows, and `turns` says what is left for each of them; `to_net` brings one to the
network's size; `from_net` brings what it drew back to the photo's pixels; `close_seam` removes the colour step that is
left at the hole's edge. Pixels are (H,W,3), holes (H,W) bool here, because photos live in numpy; only what the network
sees and draws is a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

CONTEXT = 0.5  # photo on each side of a bulky hole, as a share of the hole: the hole is half of the window's side
THIN_CONTEXT = 1.5  # photo on each side of a thin hole, in thicknesses of the hole: a scratch needs no more
BULKY = 8  # a hole is cut into several windows only where one window would be wider than this many thicknesses
SHARE = 1.2  # holes share a window where it need not be larger than this many times the one it had
OVERLAP = 8  # a window reaches into what others filled by this part of its shorter side
LIMIT = 256  # windows per photo; beyond it they grow coarser rather than more
PLAN_SIDE = 4096  # photos larger than this are planned on a grid of cells


class Box(NamedTuple):
    """A rectangle in pixels of the photo."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column to the right."""
        return self.left + self.width

    @property
    def part(self) -> tuple[slice, slice]:
        """Index of the rectangle in an (H,W,...) array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, pixels: int, within: Box) -> Box:
        """As many pixels larger on every side, cut to `within`."""
        top, left = max(self.top - pixels, within.top), max(self.left - pixels, within.left)
        bottom, right = min(self.bottom + pixels, within.bottom), min(self.right + pixels, within.right)
        return Box(top, left, bottom - top, right - left)

    def shared(self, other: Box) -> Box | None:
        """The common part of two rectangles, None where there is none."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(top, left, bottom - top, right - left) if bottom > top and right > left else None

    def tiles(self, side: int) -> Iterator[Box]:
        """Cut into pieces of at most `side` x `side`."""
        for top in range(self.top, self.bottom, side):
            for left in range(self.left, self.right, side):
                yield Box(top, left, min(side, self.bottom - top), min(side, self.right - left))

    def inside(self, other: Box) -> Box:
        """The same rectangle, counted from the corner of `other`."""
        return Box(self.top - other.top, self.left - other.left, self.height, self.width)


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


# ── where to look ───────────────────────────────────────────────────────────────────────────────────────────────────


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
    cells = _shrink_hole(hole, (-(-whole.height // cell), -(-whole.width // cell))) if cell > 1 else hole
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


def tight(hole: Bools, box: Box) -> Box | None:
    """The smallest box around what is missing in `box`, None where nothing is."""
    part = hole[box.part]
    rows = np.flatnonzero(part.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(part[rows[0] : rows[-1] + 1].any(axis=0))
    return Box(
        box.top + int(rows[0]),
        box.left + int(columns[0]),
        int(rows[-1] - rows[0]) + 1,
        int(columns[-1] - columns[0]) + 1,
    )


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
    blocks = _shrink_hole(grid.hole, (-(-height // block), -(-width // block))) if block > 1 else grid.hole
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
            union = _around(box, order[other].box)
            thicker = max(thickness, order[other].thickness)
            if grid.side(union, thicker) <= allowed:
                box, thickness = union, thicker
                free[other] = False
        merged.append(_Piece(box, thickness))
    return merged


def _around(one: Box, other: Box) -> Box:
    top, left = min(one.top, other.top), min(one.left, other.left)
    return Box(top, left, max(one.bottom, other.bottom) - top, max(one.right, other.right) - left)


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

    A window draws what is missing in its core, and anew what earlier ones filled within its overlap; beyond that it is
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


# ── there and back ──────────────────────────────────────────────────────────────────────────────────────────────────


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
        missing = _shrink_hole(hole, window.inner)
    else:
        # Enlarging reads neighbours: what lies under the hole is replaced by a smooth continuation first.
        source = _as_float(pixels)
        source = fill_smoothly(source, hole)
        image = np.asarray(cv2.resize(source, (width, height), interpolation=cv2.INTER_CUBIC)).clip(0, 1)
        missing = _shrink_hole(hole, window.inner)
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
    resized = np.matmul(np.matmul(rows, drawn), columns.T)  # (C, h, w)
    return np.ascontiguousarray(resized.transpose(1, 2, 0).clip(0, 1))


def _as_float(pixels: NDArray[Any]) -> Floats:
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32, copy=False)
    return (pixels / np.float32(np.iinfo(pixels.dtype).max)).astype(np.float32, copy=False)


def _shrink_hole(hole: Bools, size: tuple[int, int]) -> Bools:
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


# ── detail ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── seams ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
_RING = 2  # known pixels this near the hole say what the fill must join up with
_SWEEPS = 8


def close_seam(fill: Floats, photo: Floats, hole: Bools, *, reach: float | None = None) -> Floats:
    """Fill (h,w,3) with its colour pulled to the photo's at the edge of the hole (h,w); outside nothing changes.

    The difference photo - fill, averaged along the known rim, is continued into the hole by the screened Laplace
    equation (seamless cloning, Perez et al. 2003, with the decay of Bhat et al. 2008): it closes the step at the edge
    and fades over `reach` pixels (default: a quarter of the hole's longer side; infinity: a membrane, no decay). A
    few sweeps per level of a pyramid, coarse to fine, so that the cost is linear in the pixels. Where nothing is
    known, the fill comes back unchanged.
    """
    box = tight(hole, Box(0, 0, *hole.shape))
    if box is None or hole.all():
        return fill.copy()
    reach = max(4.0, max(box.height, box.width) / 4) if reach is None else reach
    view = box.grown(4 * _RING, Box(0, 0, *hole.shape))
    missing = hole[view.part]
    distance = cv2.distanceTransform(missing.astype(np.uint8) ^ 1, cv2.DIST_L2, 3)
    near = (~missing & (distance <= 3 * _RING)).astype(np.float32)
    step = (photo[view.part] - fill[view.part]) * near[..., None]
    # The rim's own texture is not a seam: average along it before it is carried inwards.
    blurred, weight = cv2.GaussianBlur(step, (0, 0), _RING), cv2.GaussianBlur(near, (0, 0), _RING)
    rim = (~missing & (distance <= _RING)).astype(np.float32)
    step = np.asarray(blurred / np.maximum(weight, 1e-6)[..., None] * rim[..., None], np.float32)
    corrected = fill.copy()
    corrected[view.part] += _continue(step, rim, 1 / reach**2) * missing[..., None]
    return corrected


def continue_outwards(values: Floats, hole: Bools, *, sigma: float = _RING) -> Floats:
    """Values (h,w,C) of the hole (h,w) continued to the known pixels beside it: weighted means, `sigma` in pixels.

    Beyond some three sigma, where nothing of the hole can be felt, and in the hole itself the values stay.
    """
    inside = hole.astype(np.float32)
    weight = np.asarray(cv2.GaussianBlur(inside, (0, 0), sigma))
    mean = np.asarray(cv2.GaussianBlur(values * inside[..., None], (0, 0), sigma)) / np.maximum(weight, 1e-6)[..., None]
    return np.asarray(np.where((hole | (weight < 1e-4))[..., None], values, mean), np.float32)


def fill_smoothly(photo: Floats, hole: Bools) -> Floats:
    """Photo (h,w,3) with the hole filled by a membrane that hangs from its rim; black where nothing is known."""
    hung = close_seam(np.zeros_like(photo), photo, hole, reach=float("inf"))
    return np.where(hole[..., None], hung, photo)


def _continue(values: Floats, given: Floats, screen: float) -> Floats:
    """Solve (laplace - screen) x = 0 with x = values where `given` is 1; no flow through the border."""
    height, width = given.shape
    if min(height, width) > 2:
        coarse = (-(-height // 2), -(-width // 2))
        weight = _halve(given)
        sums = _halve(values * given[..., None])
        above = np.asarray(sums / np.maximum(weight, 1e-6)[..., None], np.float32)
        guess = _continue(above, (weight > 0).astype(np.float32), 4 * screen)
        x = np.asarray(cv2.resize(guess, (2 * coarse[1], 2 * coarse[0]), interpolation=cv2.INTER_LINEAR))
        x = x[:height, :width]
    else:
        mean = (values * given[..., None]).sum((0, 1)) / max(float(given.sum()), 1e-6)
        x = np.broadcast_to(mean, values.shape).astype(np.float32)
    fixed = given[..., None]
    held = values * fixed
    free = (1 - fixed) / np.float32(4 + screen)
    for _ in range(_SWEEPS):
        x = held + free * np.asarray(cv2.filter2D(x, -1, _CROSS, borderType=cv2.BORDER_REPLICATE))
    return np.asarray(x, np.float32)


def _halve(x: Floats) -> Floats:
    """Mean of 2x2 blocks, the last row and column counted with what they have."""
    height, width = x.shape[:2]
    padded = cv2.copyMakeBorder(x, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT, value=[0, 0, 0, 0])
    return np.asarray(padded.reshape(-(-height // 2), 2, -(-width // 2), 2, *x.shape[2:]).mean((1, 3)), np.float32)
