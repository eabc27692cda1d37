"""Holes in smooth ground (a flat colour, a clear sky, a wall in even light): the ground itself goes on.

Where the known pixels around a part of the hole are a polynomial of the second degree at most, plus noise, that
polynomial fills it; what little of the rim it misses is hung in as a membrane, and grain is copied from the rim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, tight, whole
from manyfill.checking import Check, go_on
from manyfill.seams import Floats, hang

RIM = 8  # pixels around the hole that must be smooth, at least
RIM_SHARE = 0.05  # and at least this share of the hole's shorter side
MOST_RIM = 32
NOISE = 3.0 / 255  # more than this from pixel to pixel is texture, not noise
BEND = 2.0 / 255  # what is left of the rim, without noise: more, and it is no polynomial
STRAY = 0.01  # share of the rim that may be anything: hot pixels, a hair
LEAST = 24  # known pixels that a ground needs
SAMPLES = 20_000  # of the rim that the polynomial is fitted to
SIDES = 0.7  # of the directions around the hole that the rim must show, else the ground is a plane at most
GRAIN = 0.35 / 255  # noise below this is the rounding of eight bits
GRAINS = 400  # squares of grain
GRAIN_SIDE = 8  # of the squares that grain is copied in
CELLS = 2_000_000  # pixels above which parts of the hole are found at a smaller scale
MOST = 1000  # parts that are looked at, the largest first
GRID = 250_000  # cells at most in which what the polynomial misses is averaged
RIM_TILE = 256  # side in pixels of the tiles in which a rim is looked for
DENSE, CLOSE = 0.25, 32  # boxes that a part covers less of are halved, down to this side
AVERAGE = 3.0  # pixels: spread of those means


@dataclass(frozen=True, eq=False)
class Ground:
    """What the rim of a part of the hole says."""

    box: Box  # of the part, in the photo
    rim: Box  # of part and rim
    known: Bools  # (h,w) of `rim`
    noise: float  # standard deviation from pixel to pixel
    terms: NDArray[np.float64]  # (k,3) of the polynomial
    left: Floats  # (h',w',3) what the polynomial misses at the rim, in cells of `cell` pixels, without noise
    given: Floats  # (h',w') where the rim is, 0 or 1
    cell: int

    def at(self, box: Box) -> NDArray[np.float64]:
        """The polynomial (h,w,3) in a box of the photo."""
        y, x = np.mgrid[box.top : box.bottom, box.left : box.right]
        made = _terms(y.ravel(), x.ravel(), self.box, len(self.terms)) @ self.terms
        return np.asarray(made.reshape(box.height, box.width, 3))


def parts(hole: Bools, *, cells: int = CELLS) -> Iterator[tuple[Box, Bools]]:
    """Connected parts of the hole (H,W): the box of each, and what of the hole in it is that part.

    Above `cells` pixels they are found at a smaller scale.
    """
    box = tight(hole, whole(hole))
    if box is None:
        return
    factor = int(np.ceil((box.height * box.width / cells) ** 0.5))
    view = hole[box.part]
    if factor > 1:
        rows, columns = np.arange(0, box.height, factor), np.arange(0, box.width, factor)
        view = np.logical_or.reduceat(np.logical_or.reduceat(view, rows, axis=0), columns, axis=1)
    _, labels, found, _ = cv2.connectedComponentsWithStats(view.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    order = np.argsort(-found[1:, cv2.CC_STAT_AREA], kind="stable")[:MOST] + 1
    for number in order.tolist():
        left, top, width, height = (int(found[number, k]) for k in range(4))
        own = labels[top : top + height, left : left + width] == number
        if factor > 1:
            own = own.repeat(factor, 0).repeat(factor, 1)
        at = Box(box.top + top * factor, box.left + left * factor, own.shape[0], own.shape[1]).shared(whole(hole))
        assert at is not None
        yield at, hole[at.part] & own[: at.height, : at.width]


def ground(
    pixels: NDArray[Any],
    unknown: Bools,
    box: Box,
    own: Bools,
    *,
    grid: int = GRID,
    check: Check = go_on,
) -> Ground | None:
    """What a part of the hole lies in; None where that is not smooth.

    `pixels` (H,W,3) and `unknown` (H,W) of the photo; the part is `own` (h,w) of `box`. Of the simplest polynomials
    that miss little, one that misses hardly more than the best. What it misses is averaged in at most `grid` cells.
    `check()` is called between steps.
    """
    reach = int(min(MOST_RIM, max(RIM, RIM_SHARE * min(box.height, box.width))))
    rim = box.grown(reach, whole(unknown))
    inner = box.inside(rim)
    known = _known_near(unknown, rim, inner, own, reach, check)
    y, x = np.nonzero(known)
    if len(y) < LEAST:
        return None
    check()
    values = pixels[rim.top + y, rim.left + x] / np.float64(_highest(pixels))
    noise = _noise(pixels[rim.part], known, y, x)
    if noise > NOISE:
        return None
    turned = np.arctan2(y - inner.top - box.height / 2, x - inner.left - box.width / 2)
    seen = np.unique((turned / (2 * np.pi) * 32).astype(int)).size / 33
    every = max(1, len(y) // SAMPLES)
    cell = int(np.ceil((rim.height * rim.width / grid) ** 0.5))
    found: list[tuple[float, Ground]] = []
    for count in (1, 3, 6) if seen >= SIDES else (1, 3):
        check()
        matrix = _terms(y + rim.top, x + rim.left, box, count)
        terms = _fit(matrix[::every], values[::every], noise)
        off = values - matrix @ terms
        fits = np.abs(off).max(1) <= max(5 * noise, 2 * BEND)
        if 1 - float(fits.mean()) > STRAY:
            continue
        left, given = _means(
            y[fits] // cell, x[fits] // cell, off[fits], -(-rim.height // cell), -(-rim.width // cell), cell
        )
        missed = float(np.quantile(np.abs(left).max(-1)[given > 0], 0.995))
        if missed <= BEND + noise:
            found.append((missed, Ground(box, rim, known, noise, terms, left, given, cell)))
    least = min((missed for missed, _ in found), default=0.0)
    return next((made for missed, made in found if missed <= 1.2 * least + 0.1 * BEND), None)


def fill(made: Ground, pixels: NDArray[Any], own: Bools, tile: int) -> Iterator[tuple[Box, Floats]]:
    """The part's pixels, `own` (h,w) of its box, in tiles of `tile` pixels a side at most.

    Gives (box in the photo, (h,w,3) in [0,1]). Boxes fit closely around what is missing: a thin line across the photo
    does not cost the photo's area.
    """
    hung = hang(made.left, made.given, 0.0)
    squares = _squares(made, pixels)
    for inside in _close_boxes(own, tile):
        at = inside._replace(top=made.box.top + inside.top, left=made.box.left + inside.left)
        shown = made.at(at) + _enlarged(hung, made.cell, at.inside(made.rim))
        if len(squares):
            shown += _laid(squares, at)
        yield at, np.clip(shown, 0, 1).astype(np.float32)


def _known_near(unknown: Bools, rim: Box, inner: Box, own: Bools, reach: int, check: Check) -> Bools:
    """(h,w) of `rim`: what is known within `reach` pixels of the part, whose `own` lies at `inner` of it.

    Tile by tile, and only where the part is: many parts whose boxes lie in each other cost what they cover.
    """
    frame = Box(0, 0, rim.height, rim.width)
    near, known = np.zeros((rim.height, rim.width), np.uint8), np.zeros((rim.height, rim.width), bool)
    near[inner.part] = own
    disc = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)), np.uint8)
    for tile in frame.tiles(RIM_TILE):
        seen = tile.grown(reach, frame)
        missing = unknown[tile._replace(top=rim.top + tile.top, left=rim.left + tile.left).part]
        if near[seen.part].any() and not missing.all():
            check()
            grown = cv2.dilate(near[seen.part], disc, borderValue=0)[tile.inside(seen).part]
            known[tile.part] = grown.astype(bool) & ~missing
    return known


def _close_boxes(own: Bools, tile: int) -> Iterator[Box]:
    """Boxes of at most `tile` pixels a side that together hold all of `own` (h,w), hardly any of them mostly empty."""
    waiting = list(whole(own).tiles(tile))[::-1]
    while waiting:
        box = tight(own, waiting.pop())
        if box is None:
            continue
        longer = max(box.height, box.width)
        if longer <= CLOSE or np.count_nonzero(own[box.part]) >= DENSE * box.height * box.width:
            yield box
        elif box.height == longer:
            half = longer // 2
            waiting += [box._replace(top=box.top + half, height=longer - half), box._replace(height=half)]
        else:
            half = longer // 2
            waiting += [box._replace(left=box.left + half, width=longer - half), box._replace(width=half)]


def _highest(pixels: NDArray[Any]) -> float:
    return float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind in "iu" else 1.0


def _terms(y: NDArray[Any], x: NDArray[Any], box: Box, count: int) -> NDArray[np.float64]:
    """(n,count): the polynomial's terms at places of the photo, counted from `box`'s middle, about 1 at its ends."""
    scale = max(box.height, box.width) / 2
    y, x = (y + 0.5 - box.top - box.height / 2) / scale, (x + 0.5 - box.left - box.width / 2) / scale
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y][:count], -1)


def _fit(matrix: NDArray[np.float64], values: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Least squares without what is far off."""
    terms = np.linalg.lstsq(matrix, values, rcond=None)[0]
    for _ in range(4):
        off = np.abs(values - matrix @ terms).max(1)
        kept = off <= max(4 * noise, 2 * BEND, 2.5 * float(np.median(off)))
        if kept.all() or kept.sum() < 2 * matrix.shape[1]:
            break
        terms = np.linalg.lstsq(matrix[kept], values[kept], rcond=None)[0]
    return np.asarray(terms)


def _noise(view: NDArray[Any], known: Bools, y: NDArray[Any], x: NDArray[Any]) -> float:
    """Standard deviation in the noisiest channel and direction, from second differences; few large ones count less.

    (y, x): where `known` (h,w) is, row by row.
    """
    worst, highest = 0.0, _highest(view)
    for axis in (0, 1):
        a, k = np.moveaxis(view, axis, 0), np.moveaxis(known, axis, 0)
        if axis:  # column by column
            order = np.argsort(x, kind="stable")
            y, x = x[order], y[order]
        fits = y < len(k) - 2
        rows, columns = y[fits], x[fits]
        both = k[rows + 1, columns] & k[rows + 2, columns]
        rows, columns = rows[both], columns[both]
        if not len(rows):
            continue
        every = max(1, len(rows) // SAMPLES)
        rows, columns = rows[::every], columns[::every]
        second = (
            np.abs(a[rows, columns].astype(np.float64) - 2.0 * a[rows + 1, columns] + a[rows + 2, columns]) / highest
        )
        most = 8 * np.median(second, 0) + 1 / 255
        worst = max(worst, float(np.sqrt((np.minimum(second, most) ** 2).mean(0) / 6).max()))
    return worst


def _means(
    y: NDArray[Any], x: NDArray[Any], off: NDArray[np.float64], height: int, width: int, cell: int
) -> tuple[Floats, Floats]:
    """Of values at places: weighted means around each cell (h,w,3), and where there are any (h,w), 0 or 1."""
    at = y * width + x
    count = np.bincount(at, minlength=height * width).reshape(height, width).astype(np.float32)
    sums = [np.bincount(at, off[:, c], minlength=height * width) for c in range(3)]
    total = np.stack(sums, -1).reshape(height, width, 3).astype(np.float32)
    sigma = max(AVERAGE / cell, 0.8)
    weight = np.asarray(cv2.GaussianBlur(count, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))
    mean = np.asarray(cv2.GaussianBlur(total, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))
    given = (count > 0).astype(np.float32)
    low = mean / np.maximum(weight, np.float32(1e-6))[..., None] * given[..., None]
    return np.asarray(low, np.float32), given


def _enlarged(small: Floats, factor: int, box: Box) -> Floats:
    if factor == 1:
        return small[box.part]
    y = (np.arange(box.top, box.bottom, dtype=np.float32) + 0.5) / factor - 0.5
    x = (np.arange(box.left, box.right, dtype=np.float32) + 0.5) / factor - 0.5
    rows, columns = np.repeat(y[:, None], box.width, 1), np.repeat(x[None], box.height, 0)
    return np.asarray(cv2.remap(small, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _squares(made: Ground, pixels: NDArray[Any]) -> Floats:
    """(n, GRAIN_SIDE, GRAIN_SIDE, 3): the rim's noise, cut out here and there; none where there is hardly any."""
    side = GRAIN_SIDE
    empty = np.zeros((0, side, side, 3), np.float32)
    if made.noise < GRAIN:
        return empty
    full = cv2.erode(made.known.astype(np.uint8), np.ones((side, side), np.uint8), anchor=(0, 0), borderValue=0)
    places = np.flatnonzero(full)
    if not len(places):
        return empty
    found = []
    for place in np.random.default_rng(0).choice(places, min(GRAINS, len(places)), replace=False).tolist():
        at = Box(made.rim.top + place // made.rim.width, made.rim.left + place % made.rim.width, side, side)
        off = pixels[at.part] / _highest(pixels) - made.at(at)
        off -= off.mean((0, 1))
        if np.abs(off).max() <= 6 * made.noise + BEND:
            found.append(off)
    return np.stack(found).astype(np.float32) if found else empty


def _laid(squares: Floats, box: Box) -> Floats:
    """Squares in a pattern without order: (h,w,3) in a box of the photo, the same however the photo is cut."""
    first = box.top // GRAIN_SIDE, box.left // GRAIN_SIDE
    rows, columns = -(-box.bottom // GRAIN_SIDE) - first[0], -(-box.right // GRAIN_SIDE) - first[1]
    y, x = np.mgrid[first[0] : first[0] + rows, first[1] : first[1] + columns].astype(np.uint64)
    mixed = y * np.uint64(0x9E3779B97F4A7C15) + x * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    chosen = squares[((mixed >> np.uint64(33)) % np.uint64(len(squares))).astype(np.int64)]
    laid = chosen.transpose(0, 2, 1, 3, 4).reshape(rows * GRAIN_SIDE, columns * GRAIN_SIDE, 3)
    top, left = box.top - first[0] * GRAIN_SIDE, box.left - first[1] * GRAIN_SIDE
    return np.asarray(laid[top : top + box.height, left : left + box.width])
