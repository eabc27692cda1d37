"""The photo's own patches, guided by a soft fill: the net says what goes where, the photo says what it looks like.

A nearest-neighbour field from patches that touch the hole to fully known patches (PatchMatch, Barnes et al. 2009) is
alternated with voting (Wexler et al. 2007), coarse to fine. Light may change across the hole (gain and bias per patch,
Darabi et al. 2012). The fill enters as a second channel, low-passed on both sides like A and B of Image Analogies
(Hertzmann et al. 2001), so that a blurred fill never favours blurred sources. Patches are compared by their principal
components, one row of a table each: one candidate for every patch of the hole is one gather.

Pictures are (height, width, 3) float32 in [0,1]. A position is flat: row * width + column. Patch centres keep RADIUS
from the border, so every patch lies inside the picture and every pixel lies in some patch.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Window = tuple[int, int, int, int]  # top, left, bottom, right

RADIUS = 3  # patches are 7x7 at every scale: at 1/8 they see 56 pixels of the photo
PATCH = 2 * RADIUS + 1
DETAIL = 21  # principal components that describe a patch, beside its three means
SIDE = 108  # scales are halved while the shorter side is at least this
THICK = 12.0  # scales are halved while the hole is at least this many pixels deep
EXACT = 20_000  # scales of at most this many pixels are searched exactly
REACH = 4  # longest stride of propagation, in pixels
MAX_GAIN = 1.2  # light may change by this factor
MAX_BIAS = 0.05  # and by this much besides, in [0,1]
MAX_TINT = 0.02  # of which colour: a net's muddy colours must not tint the photo's
SOFT = 2.0  # a guide that is softer than this, in pixels of its own scale, counts less
LUMA = 1.0  # weight of the guide's lightness
CHROMA = 3.0  # and of its colour, which light does not change
FADE = 0.0025  # how fast a guide's colour shift at the rim fades inwards, at the coarsest scale
OPPONENT = np.array([[0.58, 0.71, 0.41], [0.58, 0, -0.82], [0.58, -0.71, 0.41]], np.float32) * np.array(
    [LUMA, CHROMA, CHROMA], np.float32
)
NEARNESS = 0.1  # price of distance: a source a whole picture away costs as much as a colour this far off
BLURRED = (
    0.35  # low-passed difference from a blurred guide, in [0,1], at which the photo's patches lose most of their say
)
SHARP = 0.12  # and from a sharp one
TILE = 384  # native resolution is refined in windows of this many pixels square


@dataclass(frozen=True, eq=False)
class Synthesis:
    """A fill made of the photo's own patches."""

    image: Pixels  # (H, W, 3) in [0,1]; known pixels exact
    confidence: Pixels  # (H, W): share of the photo's patches in each pixel, the rest is the guide; 0 outside the hole
    sources: NDArray[np.int32]  # (H, W): flat position that a hole pixel was copied from; -1 outside the hole


def synthesize(
    image: Pixels,
    hole: Mask,
    guide: Pixels | None = None,
    *,
    strength: float = 1.0,
    seed: int = 0,
    working: int = 640,
    coherence: float = 0.5,
    guide_weight: float = 0.8,
) -> Synthesis:
    """Fill the hole with patches of the photo that look like the guide once both are blurred.

    image (H, W, 3) float32 in [0,1]; what lies in its hole is never read. hole (H, W) bool. guide: the photo completed
    by a net, of the photo's size or smaller (enlarged where needed); None: the photo alone decides. strength 0 ... 1
    scales the confidence in the photo's patches: at 0 the fill is the guide. The field is searched at `working` pixels
    (longer side of the surroundings of the hole) at most, and refined above that in windows of TILE: the cost follows
    the hole's area. Memory: the photo, a third of it for its halvings, the result, 12 bytes a pixel, and 0.4 GB.
    Where no patch of the photo is known, the fill is the guide (without one, the photo's mean colour).
    """
    assert image.shape == (*hole.shape, 3), f"image {image.shape} does not fit hole {hole.shape}"
    result = Synthesis(image.copy(), np.zeros(hole.shape, np.float32), np.full(hole.shape, -1, np.int32))
    if not hole.any():
        return result
    top, left, bottom, right = near = _surroundings(hole)
    levels = _levels(image[top:bottom, left:right], hole[top:bottom, left:right], working)
    if guide is None and not levels:
        guide = np.full((1, 1, 3), image[~hole].mean(0) if not hole.all() else 0.5, np.float32)
    if not levels or strength <= 0:
        assert guide is not None
        result.image[hole] = np.clip(_enlarge(guide, hole.shape, (0, 0, *hole.shape))[hole], 0, 1)
        return result

    with _one_thread():
        _solve(result, levels, near, guide, strength, seed, working, coherence, guide_weight)
    return result


_calls = threading.Lock()
_state = {"calls": 0, "threads": 1}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Thousands of small steps: on a busy machine, threads that wait for each other cost ten times what they save."""
    with _calls:
        if not _state["calls"]:
            _state["threads"] = torch.get_num_threads()
            torch.set_num_threads(1)
        _state["calls"] += 1
    try:
        yield
    finally:
        with _calls:
            _state["calls"] -= 1
            if not _state["calls"]:
                torch.set_num_threads(_state["threads"])


def _solve(
    result: Synthesis,
    levels: list[_Level],
    near: Window,
    guide: Pixels | None,
    strength: float,
    seed: int,
    working: int,
    coherence: float,
    guide_weight: float,
) -> None:
    """Find the field, coarse to fine, and write the fill."""
    shape = result.confidence.shape
    rng = torch.Generator().manual_seed(seed)
    first = len(levels) - 1
    last_whole = next(k for k, level in enumerate(levels) if max(level.hole.shape) <= working or k == first)
    coarsest = levels[first]
    sharp = np.zeros(coarsest.hole.shape, np.float32)
    low = first if guide is None else max(first - 1, last_whole)
    if guide is None:
        field = _peel(coarsest, None, rng)
        wanted = _vote(coarsest, field, (0, 0, *coarsest.hole.shape))[0]
        lows = _low_pass(coarsest, wanted, guide_weight)
    else:
        whole = _compose(guide, shape, near, levels[last_whole], last_whole)
        wanted, sharp = whole, _sharpness(whole, levels[last_whole].hole)
        for level in levels[last_whole + 1 : low + 1]:
            wanted, sharp = _halve(wanted, level.hole), _halve(sharp, level.hole)
        lows = _low_pass(levels[low], _meet(wanted, levels[low].hole), guide_weight)
        field = _peel(coarsest, (lows, 2.0 ** (first - low)), rng)
    trust: Tensor | None = None
    for number in range(first, -1, -1):
        scale = _Scale(levels[number], lows, 2.0 ** (number - low), number >= last_whole, rng)
        if number < first:
            field = _inherit(field, levels[number + 1], scale, rng)
        rounds = 6 if number == first else 3 if number else 2
        if number < last_whole:
            rounds = 1
        for _ in range(rounds):
            for window in _tiles(scale.level.hole, TILE if number < last_whole else 0):
                _improve(scale, field, window, coherence, rng)
        if number == last_whole and guide is not None:
            trust = _trust(scale, field, lows, sharp, levels[number + 1 : low + 1])
    _write(result, scale, field, near[:2], guide, trust, strength)


# ── scales ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _Level:
    """The photo at one scale."""

    image: Pixels  # (h, w, 3); never read in the hole
    hole: Mask  # (h, w): some pixel below is missing
    valid: Tensor  # (h*w,) bool: a patch here is fully known
    touched: Mask  # (h, w): a patch here touches the hole


@dataclass(eq=False)
class _Field:
    """Where each patch that touches the hole is copied from, and how well it fits."""

    source: Tensor  # (pad + h*w + pad,) int32, -1 where no patch touches the hole
    cost: Tensor  # (pad + h*w + pad,) float32
    pad: int


def _surroundings(hole: Mask) -> Window:
    """The box of the hole with as much again on every side, at least 256 pixels."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    more = max(256, bottom - top, right - left)
    height, width = hole.shape
    return (
        max(0, int(top - more)),
        max(0, int(left - more)),
        min(height, int(bottom + more)),
        min(width, int(right + more)),
    )


def _level(image: Pixels, hole: Mask) -> _Level | None:
    """None if no patch is known at this scale."""
    h, w = hole.shape
    if min(h, w) < PATCH:
        return None
    near = cv2.dilate(hole.astype(np.uint8), np.ones((PATCH, PATCH), np.uint8), borderValue=0).astype(bool)
    inside = np.zeros((h, w), bool)
    inside[RADIUS : h - RADIUS, RADIUS : w - RADIUS] = True
    valid = inside & ~near
    return _Level(image, hole, torch.from_numpy(valid).flatten(), near & inside) if valid.any() else None


def _levels(image: Pixels, hole: Mask, working: int) -> list[_Level]:
    """Halve while the picture is large, the hole is thick and enough patches stay known; fine to coarse."""
    level = _level(image, hole)
    if level is None:
        return []
    levels = [level]
    thickness = float(cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    while max(hole.shape) > working or (min(hole.shape) >= SIDE and thickness >= THICK):
        h, w = hole.shape[0] // 2, hole.shape[1] // 2
        even = np.s_[: 2 * h, : 2 * w]
        hole = _resize(hole[even].astype(np.float32), h, w) > 0
        image = _resize(image[even], h, w)
        image[hole] = 0
        level = _level(image, hole)
        if level is None or (int(level.valid.sum()) < 200 and max(hole.shape) < working):
            break
        levels.append(level)
        thickness /= 2
    return levels


def _tiles(hole: Mask, side: int) -> Iterator[Window]:
    """Windows of the given side that hold all patches that touch the hole; 0: one window for all."""
    h, w = hole.shape
    side = side or max(h, w)
    for top in range(0, h, side):
        for left in range(0, w, side):
            bottom, right = min(h, top + side), min(w, left + side)
            grown = hole[max(0, top - RADIUS) : bottom + RADIUS, max(0, left - RADIUS) : right + RADIUS]
            if grown.any():
                yield top, left, bottom, right


def _enlarge(guide: Pixels, shape: tuple[int, int], window: Window) -> Pixels:
    """A window of the guide at the photo's size."""
    top, left, bottom, right = window
    if guide.shape[:2] == shape:
        return guide[top:bottom, left:right]
    sy, sx = guide.shape[0] / shape[0], guide.shape[1] / shape[1]
    y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) * sy - 0.5)[:, None].repeat(right - left, 1)
    x = ((np.arange(left, right, dtype=np.float32) + 0.5) * sx - 0.5)[None].repeat(bottom - top, 0)
    wide = cv2.remap(guide, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(wide, np.float32).reshape(*x.shape, 3)


def _compose(guide: Pixels, shape: tuple[int, int], near: Window, level: _Level, doublings: int) -> Pixels:
    """The completed photo at the working scale: the guide in the hole."""
    factor = 1 << doublings
    h, w = level.hole.shape
    top, left = near[:2]
    if guide.shape[:2] == shape:
        part = guide[top : top + h * factor, left : left + w * factor]
        wanted = _resize(part, h, w) if doublings else part
    else:
        small = (math.ceil(shape[0] / factor), math.ceil(shape[1] / factor))
        wanted = _enlarge(guide, small, (top // factor, left // factor, top // factor + h, left // factor + w))
    return np.where(level.hole[..., None], wanted, level.image).astype(np.float32)


def _halve(x: Pixels, hole: Mask) -> Pixels:
    """One scale down: to the size of that scale's hole."""
    h, w = hole.shape
    return _resize(x[: 2 * h, : 2 * w], h, w)


def _sharpness(whole: Pixels, hole: Mask) -> Pixels:
    """(h, w) in [0,1]: whether the guide has as much fine detail as the photo near the hole."""
    luma = whole.mean(2)
    detail = (luma - _blur(luma, 1.5)) ** 2
    around = cv2.dilate(hole.astype(np.uint8), np.ones((33, 33), np.uint8), borderValue=0).astype(bool) & ~hole
    usual = float(detail[around].mean()) if around.any() else 0.0
    inside = hole.astype(np.float32)
    local = _blur(detail * inside, 6.0) / (_blur(inside, 6.0) + np.float32(1e-6))
    return np.clip(2 * local / (usual + 1e-6) - 0.4, 0, 1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Lows:
    """Colour, slope and curvature of the blurred photo (known pixels only) and of the blurred guide, coarsest scale."""

    known: Tensor  # (1, 8, h, w)
    guide: Tensor  # (1, 8, h, w)
    sigma: float  # the blur that makes the photo as soft as the guide, in coarsest pixels


def _low_pass(level: _Level, wanted: Pixels, weight: float) -> _Lows:
    """Blur both until they can be compared.

    The photo is blurred more, until its slopes near the hole are no steeper than the guide's in the hole: what a soft
    net left out must not count against a patch.
    """
    near = cv2.dilate(level.hole.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool) & ~level.hole
    soft = _blur(wanted, 1.0)
    deep = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)
    wanted_slope = _slope(soft, deep >= min(5.0, 0.5 * float(deep.max())))
    for sigma in (1.0, 1.4, 2.0, 2.8, 4.0, 5.6):
        low = _blur_known(level, sigma)
        if not near.any() or _slope(low, near) <= 1.3 * wanted_slope:
            break
    weight *= min(1.0, SOFT / sigma)
    step = round(sigma)
    return _Lows(_structure(low, weight, step), _structure(soft, weight, step), sigma)


def _meet(wanted: Pixels, hole: Mask) -> Pixels:
    """The guide with its colours shifted, most near the rim, to where those of the photo beside it leave off."""
    missing = hole.astype(np.float32)
    seen = 1 - missing
    drawn = _blur(wanted * missing[..., None], 2.0) / (_blur(missing, 2.0)[..., None] + np.float32(1e-6))
    photo = _blur(wanted * seen[..., None], 2.0) / (_blur(seen, 2.0)[..., None] + np.float32(1e-6))
    near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    error = np.where((near & ~hole)[..., None], drawn - photo, np.float32(0))
    return np.where(hole[..., None], wanted + _close(error, hole, decay=FADE), wanted)


def _blur_known(level: _Level, sigma: float) -> Pixels:
    known = (~level.hole).astype(np.float32)
    seen = np.where(level.hole[..., None], np.float32(0), level.image)
    near, total = _blur(seen, sigma), _blur(known, sigma)[..., None]
    far, far_total = _blur(seen, 4 * sigma), _blur(known, 4 * sigma)[..., None]
    low = (near + 1e-3 * far + 1e-9) / (total + 1e-3 * far_total + 1e-9)
    return low.astype(np.float32)


def _slope(low: Pixels, where: Mask) -> float:
    """Root mean square of the slope."""
    dy, dx = np.gradient(low.mean(2)) if min(low.shape[:2]) > 1 else (np.zeros(1), np.zeros(1))
    return float(np.sqrt(np.mean((dy**2 + dx**2)[where]))) if where.any() else 0.0


def _resize(x: Pixels, height: int, width: int, how: int = cv2.INTER_AREA) -> Pixels:
    return np.asarray(cv2.resize(x, (width, height), interpolation=how), np.float32)


def _blur(x: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(x, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def _structure(low: Pixels, weight: float, step: int) -> Tensor:
    luma = low.mean(2)
    kernels: list[list[list[float]]] = [
        [[0, 0, 0], [-1, 0, 1], [0, 0, 0]],
        [[0, -1, 0], [0, 0, 0], [0, 1, 0]],
        [[0, 0, 0], [1, -2, 1], [0, 0, 0]],
        [[0, 1, 0], [0, -2, 0], [0, 1, 0]],
        [[0.5, 0, -0.5], [0, 0, 0], [-0.5, 0, 0.5]],
    ]
    shape = []
    for kernel in kernels:
        wide = np.zeros((2 * step + 1, 2 * step + 1), np.float32)
        wide[::step, ::step] = kernel
        shape.append(cv2.filter2D(luma, -1, weight * wide, borderType=cv2.BORDER_REPLICATE))
    place = np.mgrid[: low.shape[0], : low.shape[1]].transpose(1, 2, 0).astype(np.float32) * (NEARNESS / max(low.shape))
    colour = low @ (weight * OPPONENT)
    return torch.from_numpy(np.concatenate([low, colour, np.stack(shape, 2), place], 2).transpose(2, 0, 1).copy())[None]


# ── descriptors ─────────────────────────────────────────────────────────────────────────────────────


def _sample(low: Tensor, positions: Tensor, width: int, shrink: float) -> Tensor:
    """(n, C) of a (1, C, h, w) map, between its pixels, at flat positions of a scale of which it is `shrink` times."""
    h, w = low.shape[2:]
    y = (torch.div(positions, width, rounding_mode="floor").float() + 0.5) * (2 * shrink / h) - 1
    x = ((positions % width).float() + 0.5) * (2 * shrink / w) - 1
    grid = torch.stack([x, y], 1)[None, None]
    return functional.grid_sample(low, grid, padding_mode="border", align_corners=False)[0, :, 0].T


class _Scale:
    """One scale with what patches are compared by: band-passed means, principal components, low-passed structure."""

    def __init__(self, level: _Level, lows: _Lows, shrink: float, whole: bool, rng: torch.Generator):
        self.level = level
        self.height, self.width = level.hole.shape
        self.low_known, self.low_guide = lows.known, lows.guide
        self.shrink = shrink  # pixels of the low-passed maps per pixel of this scale
        self.image = torch.from_numpy(np.ascontiguousarray(level.image)).view(-1, 3)
        dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
        self.near = torch.from_numpy((dy * self.width + dx).ravel().astype(np.int64))
        self.basis = self._basis(
            torch.from_numpy(np.exp(-(dy**2 + dx**2) / (2 * 2.5**2)).ravel().astype(np.float32)), rng
        )
        self.table = self._describe_all() if whole else None

    def _basis(self, window: Tensor, rng: torch.Generator) -> Tensor:
        """Means and principal components of known patches, (3 + DETAIL, 3, 7, 7)."""
        sources = self.level.valid.nonzero()[:, 0]
        pick = sources[torch.randint(len(sources), (3000,), generator=rng)]
        patches = self.image[pick[:, None] + self.near]  # (n, 49, 3)
        window = (window / window.sum()).sqrt()[None, :, None]
        flat = ((patches - patches.mean(1, keepdim=True)) * window).permute(0, 2, 1).reshape(len(pick), -1)
        _, vectors = torch.linalg.eigh(flat.T @ flat)
        top = vectors[:, -DETAIL:].flip(1).T.reshape(DETAIL, 3, -1) * window.view(1, 1, -1)
        top = top - top.mean(2, keepdim=True)
        means = torch.eye(3)[:, :, None].expand(3, 3, PATCH**2) / PATCH**2
        return (
            torch.cat([means, top]).reshape(3 + DETAIL, 3, PATCH, PATCH).contiguous(memory_format=torch.channels_last)
        )

    def at(self, low: Tensor, positions: Tensor) -> Tensor:
        """(n, C) of a low-passed map at flat positions."""
        return _sample(low, positions, self.width, self.shrink)

    def describe(self, picture: Pixels) -> Tensor:
        """(h, w, 3 + DETAIL): means and components of the patch around each pixel; the outer RADIUS is void."""
        planes = torch.from_numpy(picture).permute(2, 0, 1)[None]
        return functional.conv2d(planes, self.basis, padding=RADIUS)[0].permute(1, 2, 0)

    def _describe_all(self) -> Tensor:
        h, w = self.height, self.width
        low = self.at(self.low_known, torch.arange(h * w))
        seen = np.where(self.level.hole[..., None], np.float32(0), self.level.image)
        table = torch.cat([self.describe(seen).reshape(h * w, -1), low[:, 3:]], dim=1)
        table[:, :3] -= low[:, :3]
        return table

    def rows(self, positions: Tensor) -> Tensor:
        """(n, D) descriptors of known patches."""
        if self.table is not None:
            return self.table.index_select(0, positions)
        parts = []
        flat = self.basis.permute(2, 3, 1, 0).reshape(-1, 3 + DETAIL)
        for some in torch.split(positions, 16_384):
            parts.append(self.image[some[:, None] + self.near].view(len(some), -1) @ flat)
        low = self.at(self.low_known, positions)
        rows = torch.cat([torch.cat(parts), low[:, 3:]], dim=1)
        rows[:, :3] -= low[:, :3]
        return rows


# ── the field ───────────────────────────────────────────────────────────────────────────────────────


def _empty(level: _Level) -> tuple[_Field, Tensor]:
    """An empty field and the positions that it must cover."""
    h, w = level.hole.shape
    pad = REACH * (w + 1)
    field = _Field(torch.full((h * w + 2 * pad,), -1, dtype=torch.int32), torch.zeros(h * w + 2 * pad), pad)
    return field, torch.from_numpy(np.flatnonzero(level.touched))


def _nearest(wanted: Tensor, rows: Tensor) -> Tensor:
    """Row nearest to each wanted one, by brute force."""
    norms = 0.5 * (rows**2).sum(1)
    return torch.cat([torch.addmm(norms, some, rows.T, alpha=-1).argmin(1) for some in torch.split(wanted, 1024)])


def _inherit(coarse: _Field, above: _Level, scale: _Scale, rng: torch.Generator) -> _Field:
    """Every patch takes its parent's source at twice the scale."""
    field, targets = _empty(scale.level)
    h, w = above.hole.shape
    y, x = targets // scale.width, targets % scale.width
    py, px = (y // 2).clamp(RADIUS, h - RADIUS - 1), (x // 2).clamp(RADIUS, w - RADIUS - 1)
    parent = coarse.source[coarse.pad + py * w + px].long()
    sy = (2 * (parent // w) + y - 2 * py).clamp(RADIUS, scale.height - RADIUS - 1)
    sx = (2 * (parent % w) + x - 2 * px).clamp(RADIUS, scale.width - RADIUS - 1)
    source = sy * scale.width + sx
    lost = (parent < 0) | ~scale.level.valid[source]
    if lost.any():
        sources = scale.level.valid.nonzero()[:, 0]
        source[lost] = sources[torch.randint(len(sources), (int(lost.sum()),), generator=rng)]
    field.source[targets + field.pad] = source.int()
    return field


def _peel(level: _Level, guided: tuple[_Lows, float] | None, rng: torch.Generator) -> _Field:
    """Coarsest start, from the rim inwards: each patch takes a source that fits its known pixels and the blurred guide.

    Efros, Leung 1999; without a guide the known pixels decide alone.
    """
    field = _empty(level)[0]
    width = level.hole.shape[1]
    dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    near = torch.from_numpy((dy * width + dx).ravel().astype(np.int64))
    window = torch.from_numpy(np.exp(-(dy**2 + dx**2) / (2 * 2.5**2)).ravel().astype(np.float32))
    picture = torch.from_numpy(np.where(level.hole[..., None], np.float32(0), level.image)).view(-1, 3)
    known = torch.from_numpy(~level.hole).flatten()
    sources = level.valid.nonzero()[:, 0]
    if len(sources) > 6000:
        sources = sources[torch.randperm(len(sources), generator=rng)[:6000]]
    patches = picture[sources[:, None] + near].view(len(sources), -1)
    squares = (patches**2).view(len(sources), -1, 3).sum(2)
    low_known = low_guide = None
    if guided:
        lows, shrink = guided
        every = torch.arange(level.hole.size)
        low_known = _sample(lows.known, every, width, shrink)[sources, 3:]
        low_guide = _sample(lows.guide, every, width, shrink)[:, 3:]
    waiting = torch.from_numpy(np.flatnonzero(level.touched))
    while len(waiting):
        seen = known[waiting[:, None] + near].float() * window
        amount = seen.sum(1)
        front = amount >= amount.max() * 0.8
        here, seen = waiting[front], seen[front]
        seen = seen / seen.sum(1, keepdim=True)
        there = picture[here[:, None] + near]
        wanted = (there * seen[..., None]).view(len(here), -1)
        cost = torch.addmm(seen @ squares.T, wanted, patches.T, alpha=-2)
        cost += (there**2 * seen[..., None]).sum((1, 2))[:, None]
        if low_known is not None:
            assert low_guide is not None
            cost += torch.cdist(low_guide[here], low_known) ** 2
        cost = cost.clamp(min=0) + 1e-4
        best = sources[(cost * (1 + 0.2 * torch.rand(cost.shape, generator=rng))).argmin(1)]
        field.source[here + field.pad] = best.int()
        fresh = ~known[here]
        picture[here[fresh]] = picture[best[fresh]]
        known[here[fresh]] = True
        waiting = waiting[~front]
    return field


def _improve(scale: _Scale, field: _Field, window: Window, coherence: float, rng: torch.Generator) -> None:
    """One round in one window: vote, describe, search."""
    top, left, bottom, right = window
    grown = (
        max(0, top - RADIUS),
        max(0, left - RADIUS),
        min(scale.height, bottom + RADIUS),
        min(scale.width, right + RADIUS),
    )
    current = _vote(scale.level, field, grown, scale)[0]
    inner = np.zeros(current.shape[:2], bool)
    inner[top - grown[0] : bottom - grown[0], left - grown[1] : right - grown[1]] = True
    inner &= scale.level.touched[grown[0] : grown[2], grown[1] : grown[3]]
    local = np.flatnonzero(inner)
    if not len(local):
        return
    y, x = np.divmod(local, current.shape[1])
    targets = torch.from_numpy((y + grown[0]) * scale.width + x + grown[1])
    low = scale.at(scale.low_guide, targets)
    wanted = torch.cat([scale.describe(current).reshape(-1, 3 + DETAIL)[torch.from_numpy(local)], low[:, 3:]], dim=1)
    wanted[:, :3] -= _light(scale, targets, field.source[targets + field.pad].long())[1]
    _search(scale, field, targets, wanted, coherence, rng)


def _search(
    scale: _Scale, field: _Field, targets: Tensor, wanted: Tensor, coherence: float, rng: torch.Generator
) -> None:
    """Propagate along both axes, then try at random around the best; agreement with neighbours lowers the price."""
    valid, last = scale.level.valid, scale.height * scale.width - 1
    places = targets + field.pad
    best = field.source[places].long()

    def cost_of(candidate: Tensor, described: Tensor) -> Tensor:
        difference = scale.rows(candidate).sub_(described)
        return torch.einsum("nd,nd->n", difference, difference)

    cost = cost_of(best, wanted)
    price = float(coherence * cost.mean() / 4)
    sides = (1, -1, scale.width, -scale.width)

    def attempt(candidate: Tensor, allowed: Tensor) -> None:
        chosen = (allowed & (candidate != best)).nonzero()[:, 0]
        if not len(chosen):
            return
        new, old, here = candidate[chosen], best[chosen], places[chosen]
        new_cost = cost_of(new, wanted[chosen])
        saved = cost[chosen] - new_cost
        for side in sides:
            beside = field.source[here + side] - side
            saved += price * ((beside == new).float() - (beside == old).float())
        better = (saved > 0).nonzero()[:, 0]
        chosen, new = chosen[better], new[better]
        best[chosen] = new
        cost[chosen] = new_cost[better]
        field.source[places[chosen]] = new.int()

    if scale.height * scale.width <= EXACT:
        sources = valid.nonzero()[:, 0]
        attempt(sources[_nearest(wanted, scale.rows(sources))], torch.ones(len(targets), dtype=torch.bool))
    for stride in (REACH, 1, 1):
        for side in sides:
            beside = field.source[places + side * stride].long()
            candidate = (beside - side * stride).clamp(0, last)
            attempt(candidate, (beside >= 0) & valid[candidate])
    for radius in (16, 4, 1):
        jump = torch.randint(-radius, radius + 1, (2, len(targets)), generator=rng)
        candidate = (best + jump[0] * scale.width + jump[1]).clamp(0, last)
        attempt(candidate, valid[candidate])
    field.cost[places] = cost


def _light(scale: _Scale, targets: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and bias (n, 4) that bring each source's blurred colour towards the guide's; the colour reached (n, 3)."""
    here, there = scale.at(scale.low_guide, targets)[:, :3], scale.at(scale.low_known, sources)[:, :3]
    gain = ((here.mean(1) + 0.05) / (there.mean(1) + 0.05)).clamp(1 / MAX_GAIN, MAX_GAIN)[:, None]
    bias = here - gain * there
    grey = bias.mean(1, keepdim=True)
    bias = (bias - grey).clamp(-MAX_TINT, MAX_TINT) + grey.clamp(MAX_TINT - MAX_BIAS, MAX_BIAS - MAX_TINT)
    return torch.cat([gain, bias], dim=1), gain * there + bias


def _vote(
    level: _Level, field: _Field, window: Window, scale: _Scale | None = None, focus: float = 3.0
) -> tuple[Pixels, Pixels]:
    """The window's picture: in the hole, the weighted mean of what the patches over a pixel say.

    The second array says the same of the known pixels beside the hole minus what they are (zero elsewhere).
    """
    top, left, bottom, right = window
    w = level.hole.shape[1]
    hole = level.hole[top:bottom, left:right]
    near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    local = np.flatnonzero(near)
    picture = np.where(hole[..., None], np.float32(0), level.image[top:bottom, left:right])
    error = np.zeros_like(picture)
    if not len(local):
        return picture, error
    y, x = np.divmod(local, right - left)
    places = torch.from_numpy((y + top) * w + x + left) + field.pad
    image = torch.from_numpy(np.ascontiguousarray(level.image)).view(-1, 3)

    # gain, bias and weight of every patch that matters here
    low, high = int(places.min()) - RADIUS * (w + 1), int(places.max()) + RADIUS * (w + 1) + 1
    span = field.source[low:high]
    used = (span >= 0).nonzero()[:, 0]
    light = torch.zeros(len(span), 4)
    weight = torch.zeros(len(span))
    cost = field.cost[low:high][used]
    usual = torch.quantile(cost[:: max(1, len(cost) // 5000)], 0.6) + 1e-8
    weight[used] = torch.exp(-cost / usual) + 1e-6
    if scale is not None:
        light[used] = _light(scale, used + (low - field.pad), span[used].long())[0]
    else:
        light[:, 0] = 1
    harmless = int(level.valid.nonzero()[0, 0])
    summed, total = torch.zeros(len(places), 3), torch.zeros(len(places), 1)
    places -= low
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            shift = dy * w + dx
            over = places + shift
            share = (weight[over] * math.exp(-(dy * dy + dx * dx) / (2 * focus**2)))[:, None]
            patch = span[over].long()
            source = torch.where(patch < 0, harmless, patch - shift)
            lit = light[over]
            summed.addcmul_(torch.addcmul(lit[:, 1:], image[source], lit[:, :1]), share)
            total += share
    values = (summed / total.clamp(min=1e-30)).numpy()
    missing = hole.ravel()[local]
    picture.reshape(-1, 3)[local[missing]] = values[missing]
    known = local[~missing]
    covered = (total[:, 0].numpy() > 0)[~missing]
    difference = np.where(covered[:, None], values[~missing] - picture.reshape(-1, 3)[known], 0)
    error.reshape(-1, 3)[known] = difference
    return picture, error


# ── the result ──────────────────────────────────────────────────────────────────────────────────────


def _trust(scale: _Scale, field: _Field, lows: _Lows, sharp: Pixels, levels: list[_Level]) -> Tensor:
    """(1, 1, h, w): how near the blurred fill comes to the blurred guide, smooth, at the scale of the blurred maps.

    Where the guide is blurred the photo's patches are forgiven more: they look better than a smear.
    """
    picture = _vote(scale.level, field, (0, 0, scale.height, scale.width), scale)[0]
    for level in levels:
        picture = _halve(picture, level.hole)
    wrong = np.abs(_blur(picture, lows.sigma) - lows.guide[0, :3].permute(1, 2, 0).numpy()).max(2)
    tolerance = BLURRED + (SHARP - BLURRED) * sharp
    trust = _blur(np.exp(-((wrong / tolerance) ** 2)).astype(np.float32), 2.0)
    return torch.from_numpy(trust)[None, None]


def _close(error: Pixels, hole: Mask, decay: float = 0.001, sweeps: int = 20) -> Pixels:
    """Screened Poisson: minus the error at the rim, spread smoothly into the hole and fading over some 16 pixels."""
    height, width = hole.shape
    known = ~hole[..., None]
    if min(height, width) >= 16:
        near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
        rim = _resize((near & ~hole).astype(np.float32), height // 2, width // 2)
        inside = (_resize(hole.astype(np.float32), height // 2, width // 2) > 0) & (rim == 0)
        coarse = _resize(error, height // 2, width // 2) / np.maximum(rim, np.float32(1e-6))[..., None]
        coarse[rim == 0] = 0
        spread = -_resize(_close(coarse.astype(np.float32), inside, 4 * decay, sweeps), height, width, cv2.INTER_LINEAR)
        spread = np.where(known, error, spread)
    else:
        spread = np.where(known, error, 0).astype(np.float32)
    kernel = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / (4 + 4 * decay)
    for _ in range(sweeps):
        mean = np.asarray(cv2.filter2D(spread, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.float32)
        spread = np.where(known, error, mean)
    return -spread


def _write(
    result: Synthesis,
    scale: _Scale,
    field: _Field,
    corner: tuple[int, int],
    guide: Pixels | None,
    trust: Tensor | None,
    strength: float,
) -> None:
    """Vote for the last time, close the seam, blend with the guide; window by window into the result."""
    level, margin = scale.level, 48
    shape = result.confidence.shape
    for top, left, bottom, right in _tiles(level.hole, TILE):
        wide = (
            max(0, top - margin),
            max(0, left - margin),
            min(scale.height, bottom + margin),
            min(scale.width, right + margin),
        )
        picture, error = _vote(level, field, wide, scale, focus=0.5)
        hole = level.hole[wide[0] : wide[2], wide[1] : wide[3]]
        picture = picture + _close(error, hole)
        core = np.s_[top - wide[0] : bottom - wide[0], left - wide[1] : right - wide[1]]
        there = (top + corner[0], left + corner[1], bottom + corner[0], right + corner[1])
        out = np.s_[there[0] : there[2], there[1] : there[3]]
        missing = hole[core]
        fill: Pixels = picture[core]
        share = np.ones(missing.shape, np.float32)
        if trust is not None and guide is not None:
            rows, columns = np.mgrid[top:bottom, left:right]
            share = scale.at(trust, torch.from_numpy((rows * scale.width + columns).ravel())).numpy()
            share = share.reshape(missing.shape) * strength
            drawn = _enlarge(guide, shape, there)
            fill = np.asarray(drawn + share[..., None] * (fill - drawn), np.float32)
        result.image[out][missing] = np.clip(fill[missing], 0, 1)
        result.confidence[out][missing] = share[missing]
        y, x = np.nonzero(missing)
        cy, cx = (y + top).clip(RADIUS, scale.height - RADIUS - 1), (x + left).clip(RADIUS, scale.width - RADIUS - 1)
        source = field.source[torch.from_numpy(cy * scale.width + cx) + field.pad].numpy()
        sy, sx = source // scale.width + (y + top - cy) + corner[0], source % scale.width + (x + left - cx) + corner[1]
        result.sources[out][missing] = sy * shape[1] + sx
