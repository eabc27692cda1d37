"""The photo's own patches, guided by a soft fill: the net says what goes where, the photo says what it looks like.

A nearest-neighbour field from patches that touch the hole to fully known patches (PatchMatch, Barnes et al. 2009) is
alternated with voting (Wexler et al. 2007), coarse to fine. Light may change across the hole (a bias per patch, within
limits, after Darabi et al. 2012). The fill enters as a second picture, low-passed on both sides like A and B of Image
Analogies (Hertzmann et al. 2001), so that a blurred fill never favours blurred sources.

Pictures are (height, width, 3) float32 in [0,1]. A position is flat: row * width + column. Patch centres keep RADIUS
from the border, so every patch lies inside the picture and every pixel lies in some patch. The inner loops are
compiled by numba when they are first called, and kept on disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Ints = NDArray[np.int32]
Window = tuple[int, int, int, int]  # top, left, bottom, right
Code = TypeVar("Code", bound=Callable[..., Any])

RADIUS = 3  # patches are 7x7 at every scale: at 1/8 they see 56 pixels of the photo
PATCH = 2 * RADIUS + 1
AREA = PATCH * PATCH
SIDE = 30  # scales are halved while the shorter side is at least this
THICK = 2.0  # scales are halved while the hole is at least this many pixels deep
KEPT = 0.2  # a coarse pixel is known where so much of it is: thin holes close, and lines are seen across them
LEAST = 150  # sources that the coarsest scale has
ROUNDS = 2  # of vote and search more at each coarser scale: lines are found there, and each vote blurs a little
FINEST = 3  # rounds at the working scale
SPARSE = 4000  # patches from which on every round at a scale but the last searches for every second one each way
SWEEPS = 5  # at most of the search in each round
REACH = 32  # radius of the random search, in pixels
EDGES = 1.5  # weight of the slopes beside the colours of a patch
MAX_BIAS = 0.05  # light may change by this much, in [0,1]
REBATE = 1.0  # of a source's own detail, off its price: votes blur, and a blurred patch must not favour smooth sources
BLUR_DEPTH = 4.0  # pixels into the hole at which that is given in full; at the rim votes are sharp, and nothing is
WHOLE = 0.8  # whole patches are scarce at a scale where they are less than this share of those with a known middle
LACK = 0.05  # price of a source's missing pixel where whole patches are scarce, as of a squared difference
MISSING = np.array([-0.6, -0.6, -0.6, 0, 0], np.float32)  # stands for it elsewhere: far from any colour
BIAS_PRICE = 0.5  # what such a change costs, beside the squared differences that it saves
MAX_SEAM = 0.1  # and by so much more where a seam is closed
DEEPER = 1.3  # a patch one pixel deeper in the hole has so much less say
LUMA = 1.0  # weight of the guide's lightness
CHROMA = 2.0  # and of its colour, which light does not change
OPPONENT = np.array([[0.58, 0.71, 0.41], [0.58, 0, -0.82], [0.58, -0.71, 0.41]], np.float32)
FADE = 0.0025  # how fast a guide's colour shift at the rim fades inwards, at the coarsest scale
NEARNESS = 0.02  # price of distance: a source a whole picture away costs as much as a colour this far off
BLURRED = 0.5  # low-passed difference from a blurred guide at which the photo's patches lose most of their say
SHARP = 0.12  # and from a sharp one
FOCUS = 6.0  # spread, in pixels, of what a patch says around its middle: nearly even
LAST_FOCUS = 0.3  # and in the last vote: its middle alone, so that nothing blurs
CHANNELS = 5  # colours and slopes
SPAN = PATCH * CHANNELS


@dataclass(frozen=True, eq=False)
class Synthesis:
    """A fill made of the photo's own patches."""

    image: Pixels  # (H, W, 3) in [0,1]; known pixels exact
    confidence: Pixels  # (H, W): share of the photo's patches in each pixel, the rest is the guide; 0 outside the hole
    sources: Ints  # (H, W): flat position that a hole pixel was copied from; -1 outside the hole


def synthesize(
    image: Pixels,
    hole: Mask,
    guide: Pixels | None = None,
    *,
    strength: float = 1.0,
    seed: int = 0,
    working: int = 600_000,
    guide_weight: float = 0.7,
) -> Synthesis:
    """Fill the hole with patches of the photo that look like the guide once both are blurred.

    image (H, W, 3) float32 in [0,1]; what lies in its hole is never read. hole (H, W) bool. guide: the photo completed
    by a net, of the photo's size or smaller (enlarged where needed); None: the photo alone decides. strength 0 ... 1
    scales the confidence in the photo's patches: at 0 the fill is the guide. The field is searched where the hole and
    its surroundings have `working` pixels at most, and refined above that: the cost follows the hole's area.
    Memory: the photo, the result, and some 170 bytes for each pixel of the hole's surroundings.
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

    first = len(levels) - 1
    last_whole = next(k for k, level in enumerate(levels) if level.hole.size <= working or k == first)
    rng = np.random.default_rng(seed)
    hints: list[_Hint | None] = [None] * len(levels)
    whole = None
    if guide is not None:
        whole = _compose(guide, hole.shape, near, levels[last_whole], last_whole)
        hints[last_whole:] = _hints(whole, levels[last_whole:], guide_weight)
    field = _peel(levels[first], hints[first], rng)
    for number in range(first, -1, -1):
        level = levels[number]
        if number < first:
            field = _inherit(field, levels[number + 1], level)
        coarser = max(0, number - last_whole)
        rounds = (FINEST if number >= last_whole else 1) + ROUNDS * coarser
        matching = _Matching(level, hints[number], REBATE if number <= last_whole else 0.0)
        sparse = len(matching.targets) >= SPARSE
        for left in reversed(range(rounds)):
            reach = max(level.hole.shape) if number == first else REACH if number >= last_whole else 2
            sweeps, lot = min(SWEEPS, 1 + coarser), int(rng.integers(1, 2**31))
            field = matching.improve(field, reach, sweeps, lot, sparse=sparse and left > 0)
        if number == last_whole and whole is not None:
            trust = _trust(matching.vote(field)[0], whole, level)
    if whole is None:
        trust = np.ones(levels[0].hole.shape, np.float32)
    elif last_whole:
        for level in reversed(levels[:last_whole]):
            trust = _double(trust, level.hole.shape)
    _write(result, matching, field, near, guide, trust * strength)
    return result


# ── scales ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _Level:
    """The photo at one scale."""

    image: Pixels  # (h, w, 3), 0 in the hole
    hole: Mask  # (h, w)
    valid: Mask  # (h, w): a patch here is fully known
    usable: Mask  # (h, w): the middle of a patch here is known; what is missing of it is never copied
    touched: Mask  # (h, w): a patch here touches the hole

    @property
    def scarce(self) -> bool:
        """Whether so few patches are whole that those which miss something are needed."""
        return int(self.valid.sum()) < WHOLE * int(self.usable.sum())


@dataclass(frozen=True, eq=False)
class _Field:
    """Where each patch that touches the hole is copied from, and how well it fits."""

    source: Ints  # (h*w,) -1 where no patch touches the hole
    cost: Pixels  # (h*w,)


@dataclass(frozen=True, eq=False)
class _Hint:
    """What the guide says at one scale: blurred colours to be compared."""

    known: Pixels  # (h, w, 3) of the photo, in opponent colours
    guide: Pixels  # (h, w, 3) of the guide
    weight: Pixels  # (h, w)


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
    if not valid.any():
        return None
    seen = np.where(hole[..., None], np.float32(0), image).astype(np.float32)
    return _Level(seen, hole, valid, inside & ~hole, near & inside)


def _levels(image: Pixels, hole: Mask, working: int) -> list[_Level]:
    """Halve while the picture is large, the hole is thick and enough patches stay known; fine to coarse."""
    level = _level(image, hole)
    if level is None:
        return []
    levels = [level]
    while hole.size > working or (min(hole.shape) >= SIDE and _thickness(hole) >= THICK):
        h, w = hole.shape[0] // 2, hole.shape[1] // 2
        even = np.s_[: 2 * h, : 2 * w]
        known = _resize((~hole[even]).astype(np.float32), h, w)
        hole = known < KEPT
        small = _resize(levels[-1].image[even], h, w) / np.maximum(known, np.float32(KEPT))[..., None]
        level = _level(small.astype(np.float32), hole)
        if level is None or not hole.any() or (int(level.usable.sum()) < LEAST and hole.size < working):
            break
        levels.append(level)
    return levels


def _thickness(hole: Mask) -> float:
    """Radius in pixels of the largest disc in the hole; what lies beyond the picture is known."""
    return float(cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 3).max())


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


def _halve(x: Pixels, shape: tuple[int, int]) -> Pixels:
    """One scale down, to a size."""
    h, w = shape
    return _resize(x[: 2 * h, : 2 * w], h, w)


def _double(x: Pixels, shape: tuple[int, int]) -> Pixels:
    """One scale up, to a size that is at most one pixel more than twice this one."""
    h, w = x.shape[:2]
    wide = cv2.resize(x, (2 * w, 2 * h), interpolation=cv2.INTER_LINEAR)
    below, beside = shape[0] - 2 * h, shape[1] - 2 * w
    return np.asarray(cv2.copyMakeBorder(wide, 0, below, 0, beside, cv2.BORDER_REPLICATE), np.float32)


def _hints(whole: Pixels, levels: list[_Level], weight: float) -> list[_Hint | None]:
    """What the guide says at each scale; compared at 1/4, or at the coarsest scale."""
    low = min(2, len(levels) - 1)
    wanted = whole
    for level in levels[1 : low + 1]:
        wanted = _halve(wanted, level.hole.shape)
    here = levels[low]
    known, guide = _low_pass(here, _meet(wanted, here.hole))
    made = {low: (known @ _colours(), guide @ _colours(), np.full(here.hole.shape, weight, np.float32))}
    for number in range(low - 1, -1, -1):
        made[number] = tuple(_double(x, levels[number].hole.shape) for x in made[number + 1])  # type: ignore[assignment]
    for number in range(low + 1, len(levels)):
        made[number] = tuple(_halve(x, levels[number].hole.shape) for x in made[number - 1])  # type: ignore[assignment]
    return [_Hint(*made[number]) for number in range(len(levels))]


def _colours() -> Pixels:
    return OPPONENT * np.array([LUMA, CHROMA, CHROMA], np.float32)


def _low_pass(level: _Level, wanted: Pixels) -> tuple[Pixels, Pixels]:
    """Blur both until they can be compared.

    The photo is blurred more, until its slopes near the hole are no steeper than the guide's in the hole: what a soft
    net left out must not count against a patch.
    """
    near = cv2.dilate(level.hole.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool) & ~level.hole
    soft = _blur(wanted, 1.0)
    deep = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)
    wanted_slope = _slope(soft, deep >= min(5.0, 0.5 * float(deep.max())))
    whole = np.where(level.hole[..., None], wanted, level.image)  # known pixels alone would lean away from the hole
    for sigma in (1.0, 1.4, 2.0, 2.8, 4.0, 5.6):
        low = _blur(whole, sigma)
        if not near.any() or _slope(low, near) <= 1.3 * wanted_slope:
            break
    return low, soft


def _meet(wanted: Pixels, hole: Mask) -> Pixels:
    """The guide with its colours shifted, most near the rim, to where those of the photo beside it leave off."""
    missing = hole.astype(np.float32)
    seen = 1 - missing
    drawn = _blur(wanted * missing[..., None], 1.0) / (_blur(missing, 1.0)[..., None] + np.float32(1e-6))
    photo = _blur(wanted * seen[..., None], 1.0) / (_blur(seen, 1.0)[..., None] + np.float32(1e-6))
    near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    error = np.where((near & ~hole)[..., None], drawn - photo, np.float32(0))
    return np.where(hole[..., None], wanted + _close(error, hole, decay=FADE), wanted)


def _blur_known(level: _Level, sigma: float) -> Pixels:
    known = (~level.hole).astype(np.float32)
    near, total = _blur(level.image, sigma), _blur(known, sigma)[..., None]
    far, far_total = _blur(level.image, 4 * sigma), _blur(known, 4 * sigma)[..., None]
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


# ── compiled ────────────────────────────────────────────────────────────────────────────────────────


def _compiled(code: Code) -> Code:
    """Machine code, kept on disk where there is a folder that can be written to."""
    try:
        return cast(Code, numba.njit(cache=True, fastmath=True, nogil=True)(code))
    except RuntimeError:
        return cast(Code, numba.njit(fastmath=True, nogil=True)(code))


@_compiled
def _price(here: Any, there: Any, settings: Any, ty: int, tx: int, sy: int, sx: int, limit: float) -> Any:
    """Of copying the patch at (sy, sx) to (ty, tx); some price above the limit where it is dearer than that."""
    now, now_mean, leeway, told, say = here
    photo, photo_mean, detail, lack, seen = there
    total = settings[0] * ((ty - sy) ** 2 + (tx - sx) ** 2) + lack[sy, sx] - leeway[ty, tx] * detail[sy, sx]
    for c in range(3):
        if say[ty, tx] > 0:
            apart = told[ty, tx, c] - seen[sy, sx, c]
            total += say[ty, tx] * apart * apart
        mean = now_mean[ty, tx, c] - photo_mean[sy, sx, c]
        bias = min(max(mean, -settings[1]), settings[1])
        total -= bias * (2 * mean - (1 + settings[2]) * bias) * AREA
    for dy in range(-RADIUS, RADIUS + 1):
        if total >= limit:
            return total
        row = np.float32(0)
        t, s = (tx - RADIUS) * CHANNELS, (sx - RADIUS) * CHANNELS
        for k in range(SPAN):
            apart = now[ty + dy, t + k] - photo[sy + dy, s + k]
            row += apart * apart
        total += row
    return total


@_compiled
def _sweep(
    here: Any, there: Any, settings: Any, source: Any, cost: Any, valid: Any, targets: Any,
    stride: int, reach: int, sweeps: int, state: int,
) -> None:  # fmt: skip
    """PatchMatch: good neighbours, `stride` away, are followed, then random places around the best one are tried."""
    h, w = valid.shape
    for i in range(len(targets)):
        t = targets[i]
        s = source[t]
        cost[t] = _price(here, there, settings, t // w, t % w, s // w, s % w, np.inf)
    n = len(targets)
    for turn in range(sweeps):
        back = -stride if turn % 2 == 0 else stride
        for i in range(n):
            t = targets[i] if back < 0 else targets[n - 1 - i]
            ty, tx = t // w, t % w
            best, least = source[t], cost[t]
            for k in range(2):
                step = back if k == 0 else back * w
                beside = source[t + step]
                if beside < 0:
                    continue
                s = beside - step
                if s == best or s < 0 or s >= h * w:
                    continue
                sy, sx = s // w, s % w
                if valid[sy, sx]:
                    price = _price(here, there, settings, ty, tx, sy, sx, least)
                    if price < least:
                        best, least = s, price
            radius = reach
            while radius >= 1:
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                sy = best // w + (state >> 8) % (2 * radius + 1) - radius
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                sx = best % w + (state >> 8) % (2 * radius + 1) - radius
                if 0 <= sy < h and 0 <= sx < w and valid[sy, sx] and sy * w + sx != best:
                    price = _price(here, there, settings, ty, tx, sy, sx, least)
                    if price < least:
                        best, least = sy * w + sx, price
                radius //= 4
            source[t], cost[t] = best, least


@_compiled
def _gather(
    image: Any,
    missing: Any,
    source: Any,
    light: Any,
    weight: Any,
    near: Any,
    places: Any,
    values: Any,
    width: int,
    height: int,
) -> None:
    """At each place the weighted mean of what the patches over it say."""
    for i in range(len(places)):
        y, x = places[i] // width, places[i] % width
        red = green = blue = total = 0.0
        for dy in range(-RADIUS, RADIUS + 1):
            for dx in range(-RADIUS, RADIUS + 1):
                ty, tx = y + dy, x + dx
                if ty < 0 or tx < 0 or ty >= height or tx >= width:
                    continue
                t = ty * width + tx
                s = source[t]
                if s < 0 or weight[t] == 0:
                    continue
                sy, sx = s // width - dy, s % width - dx
                share = weight[t] * near[dy + RADIUS, dx + RADIUS]
                if missing[sy, sx]:  # its middle never is: that stands for it where no other patch says anything
                    sy, sx, share = s // width, s % width, share * 1e-6
                red += share * (image[sy, sx, 0] + light[t, 0])
                green += share * (image[sy, sx, 1] + light[t, 1])
                blue += share * (image[sy, sx, 2] + light[t, 2])
                total += share
        if total > 0:
            values[i, 0], values[i, 1], values[i, 2] = red / total, green / total, blue / total


# ── the field ───────────────────────────────────────────────────────────────────────────────────────


class _Matching:
    """One scale, with what patches are compared by."""

    def __init__(self, level: _Level, hint: _Hint | None, rebate: float):
        self.level = level
        h, w = self.shape = level.hole.shape
        self.targets = np.flatnonzero(level.touched).astype(np.int32)
        y, x = np.divmod(self.targets, w)
        # every second row and column from the first that has patches, and the last: every pixel is in some patch
        few = (y % 2 == RADIUS % 2) | (y == h - RADIUS - 1)
        few &= (x % 2 == RADIUS % 2) | (x == w - RADIUS - 1)
        self.back = (y + RADIUS) % 2 * w + (x + RADIUS) % 2  # to the one that those between go on from
        few |= ~level.touched.ravel()[self.targets - self.back]
        self.few, self.between, self.back = self.targets[few], self.targets[~few], self.back[~few]
        known = (~level.hole).astype(np.float32)
        share = np.maximum(cv2.blur(known, (PATCH, PATCH)), np.float32(1e-6))
        self.photo = _features(np.where(level.hole[..., None], _blur_known(level, 2.0), level.image))
        self.photo_mean: Pixels = (_mean(level.image) / share[..., None]).astype(np.float32)
        self.now_mean = self.photo_mean
        self.detail: Pixels = np.float32(rebate) * _detail(self.photo)
        self.lack: Pixels = np.zeros((h, w), np.float32)
        if level.scarce:  # what is missing is compared as the blur of what is near, and has its price
            self.lack = np.float32(LACK * AREA) * (1 - share)
        else:
            self.photo.reshape(h, w, CHANNELS)[level.hole] = MISSING
        none = np.zeros((1, 1, 3), np.float32)
        self.seen, self.told = (hint.known, hint.guide) if hint else (none, none)
        self.say = hint.weight * np.float32(AREA) if hint else np.zeros((h, w), np.float32)
        price = AREA * 3 * (NEARNESS / max(h, w)) ** 2
        self.settings = np.array([price, MAX_BIAS, BIAS_PRICE], np.float32)
        deep = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)
        self.leeway = (deep / BLUR_DEPTH).clip(0, 1).astype(np.float32)
        self.outer = (np.float32(DEEPER) ** -np.minimum(deep, 40)).astype(np.float32).ravel()

    def improve(self, field: _Field, reach: int, sweeps: int, seed: int, *, sparse: bool) -> _Field:
        """One round: vote, search. `sparse`: of and for every second patch each way; those between them follow."""
        targets = self.few if sparse else self.targets
        now = self.vote(field, targets)[0]
        self.now_mean = _mean(now)
        source, cost = np.full_like(field.source, -1), field.cost.copy()
        source[targets] = field.source[targets]
        here = (_features(now), self.now_mean, self.leeway, self.told, self.say)
        there = (self.photo, self.photo_mean, self.detail, self.lack, self.seen)
        stride = 2 if sparse else 1
        _sweep(here, there, self.settings, source, cost, self.level.usable, targets, stride, reach, sweeps, seed)
        if sparse:
            self._follow(source, cost, field.source)
        return _Field(source, cost)

    def _follow(self, source: Ints, cost: Pixels, before: Ints) -> None:
        """Patches between go on from the one above and to the left; where that cannot be copied, as before."""
        ahead = source[self.between - self.back]
        there = np.minimum(ahead + self.back, len(source) - 1)
        fits = self.level.usable.ravel()[there]
        source[self.between] = np.where(fits, there, before[self.between])
        detail, leeway = self.detail.ravel(), self.leeway.ravel()
        cost[self.between] = cost[self.between - self.back] + leeway[self.between - self.back] * detail[ahead]
        cost[self.between] -= leeway[self.between] * detail[source[self.between]]

    def vote(self, field: _Field, targets: Ints | None = None, focus: float | None = None) -> tuple[Pixels, Pixels]:
        """The picture: in the hole, the weighted mean of what the patches over a pixel say, all or some of them.

        The second array says the same of the known pixels beside the hole minus what they are (zero elsewhere).
        """
        focus = focus or FOCUS
        targets = self.targets if targets is None else targets
        h, w = self.shape
        hole = self.level.hole
        near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
        places = np.flatnonzero(near).astype(np.int32)
        rebate = self.leeway.ravel()[targets] * self.detail.ravel()[field.source[targets]]
        cost = np.maximum(field.cost[targets] + rebate * np.float32(field.cost.any()), 0)  # rounding: a hair below
        usual = float(np.quantile(cost[:: max(1, len(cost) // 5000)], 0.6)) + 1e-6
        weight = np.zeros(h * w, np.float32)
        weight[targets] = (np.exp(-cost / usual) + 1e-5) * self.outer[targets]
        light = np.zeros((h * w, 3), np.float32)
        if MAX_BIAS:
            mean, at = self.photo_mean.reshape(-1, 3)[field.source[targets]], self.now_mean.reshape(-1, 3)
            light[targets] = np.clip(at[targets] - mean, -MAX_BIAS, MAX_BIAS) / (1 + BIAS_PRICE)
            light[targets] *= np.float32(field.cost.any())
        dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
        shape = np.exp(-(dy**2 + dx**2) / (2 * focus**2)).clip(1e-20).astype(np.float32)  # far is little, never none
        values = self.level.image.reshape(-1, 3)[places].copy()
        _gather(self.level.image, hole, field.source, light, weight, shape, places, values, w, h)
        picture = self.level.image.copy()
        missing = hole.ravel()[places]
        picture.reshape(-1, 3)[places[missing]] = values[missing]
        error = np.zeros_like(picture)
        error.reshape(-1, 3)[places[~missing]] = values[~missing] - picture.reshape(-1, 3)[places[~missing]]
        return picture, error


def _features(picture: Pixels) -> Pixels:
    """(h, w * CHANNELS): colours and slopes of lightness."""
    h, w = picture.shape[:2]
    out = np.empty((h, w, CHANNELS), np.float32)
    out[..., :3] = picture
    luma = picture.mean(2)
    for k, kernel in enumerate(([[-1.0, 0, 1.0]], [[-1.0], [0], [1.0]])):
        out[..., 3 + k] = cv2.filter2D(luma, -1, EDGES * np.array(kernel, np.float32), borderType=cv2.BORDER_REPLICATE)
    return out.reshape(h, w * CHANNELS)


def _detail(features: Pixels) -> Pixels:
    """(h, w): squared deviation from its mean, summed over the patch around each pixel."""
    planes = features.reshape(features.shape[0], -1, CHANNELS)
    mean = cv2.blur(planes, (PATCH, PATCH))
    return np.asarray(AREA * (cv2.blur(planes * planes, (PATCH, PATCH)) - mean * mean).sum(2), np.float32)


def _mean(picture: Pixels) -> Pixels:
    return np.asarray(cv2.blur(picture, (PATCH, PATCH)), np.float32)


def _inherit(coarse: _Field, above: _Level, level: _Level) -> _Field:
    """Every patch takes its parent's source at twice the scale."""
    h, w = above.hole.shape
    height, width = level.hole.shape
    targets = np.flatnonzero(level.touched)
    y, x = np.divmod(targets, width)
    py, px = (y // 2).clip(RADIUS, h - RADIUS - 1), (x // 2).clip(RADIUS, w - RADIUS - 1)
    parent = coarse.source[py * w + px].astype(np.int64)
    parent = np.where(parent < 0, py * w + px, parent)  # known there: what is beside it fits best
    sy = (2 * (parent // w) + y - 2 * py).clip(RADIUS, height - RADIUS - 1)
    sx = (2 * (parent % w) + x - 2 * px).clip(RADIUS, width - RADIUS - 1)
    source = _nearest_usable(level)[sy * width + sx]
    field = _Field(np.full(level.hole.size, -1, np.int32), np.zeros(level.hole.size, np.float32))
    field.source[targets] = source
    return field


def _nearest_usable(level: _Level) -> Ints:
    """(h*w,) flat position of the nearest patch that can be copied."""
    away = (~level.usable).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1].ravel()
    place = np.zeros(int(labels.max()) + 1, np.int32)
    sources = np.flatnonzero(level.usable)
    place[labels[sources]] = sources
    return np.asarray(place[labels])


def _peel(level: _Level, hint: _Hint | None, rng: np.random.Generator) -> _Field:
    """Coarsest start, from the rim inwards: each patch takes a source that fits its known pixels and the blurred guide.

    Efros, Leung 1999; without a guide the known pixels decide alone.
    """
    field = _Field(np.full(level.hole.size, -1, np.int32), np.zeros(level.hole.size, np.float32))
    width = level.hole.shape[1]
    dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    near = (dy * width + dx).ravel()
    window = np.exp(-(dy**2 + dx**2) / (2 * 2.5**2)).ravel().astype(np.float32)
    picture = level.image.reshape(-1, 3).copy()
    known = ~level.hole.ravel()
    sources = np.flatnonzero(level.usable if level.scarce else level.valid)
    if len(sources) > 6000:
        sources = rng.choice(sources, 6000, replace=False)
    whole = known[sources[:, None] + near].astype(np.float32)
    patches = picture[sources[:, None] + near].reshape(len(sources), -1)  # 0 in the hole
    squares = (patches**2).reshape(len(sources), -1, 3).sum(2)
    waiting = np.flatnonzero(level.touched)
    while len(waiting):
        seen = known[waiting[:, None] + near] * window
        amount = seen.sum(1)
        front = amount >= amount.max() * 0.8
        here, seen = waiting[front], seen[front]
        seen = seen / np.maximum(seen.sum(1, keepdims=True), 1e-6)
        there = picture[here[:, None] + near]
        cost = seen @ squares.T - 2 * (there * seen[..., None]).reshape(len(here), -1) @ patches.T
        cost += (there**2 * seen[..., None]).sum(2) @ whole.T + seen @ (LACK * (1 - whole.T))
        if hint is not None:
            told, known_low = hint.guide.reshape(-1, 3)[here], hint.known.reshape(-1, 3)[sources]
            apart = (told**2).sum(1)[:, None] + (known_low**2).sum(1) - 2 * told @ known_low.T
            cost += hint.weight.ravel()[here][:, None] * apart
        cost = np.maximum(cost, 0) + 1e-4
        best = sources[(cost * (1 + 0.2 * rng.random(cost.shape, np.float32))).argmin(1)]
        field.source[here] = best
        fresh = ~known[here]
        picture[here[fresh]] = picture[best[fresh]]
        known[here[fresh]] = True
        waiting = waiting[~front]
    return field


# ── the result ──────────────────────────────────────────────────────────────────────────────────────


def _sharpness(whole: Pixels, hole: Mask) -> Pixels:
    """(h, w) in [0,1]: whether the guide has as much fine detail as the photo near the hole."""
    luma = whole.mean(2)
    detail = (luma - _blur(luma, 1.5)) ** 2
    around = cv2.dilate(hole.astype(np.uint8), np.ones((33, 33), np.uint8), borderValue=0).astype(bool) & ~hole
    usual = float(detail[around].mean()) if around.any() else 0.0
    inside = hole.astype(np.float32)
    local = _blur(detail * inside, 6.0) / (_blur(inside, 6.0) + np.float32(1e-6))
    return np.clip(2 * local / (usual + 1e-6) - 0.4, 0, 1).astype(np.float32)


def _trust(picture: Pixels, whole: Pixels, level: _Level) -> Pixels:
    """(h, w): how near the blurred fill comes to the blurred guide, smooth.

    Where the guide is blurred the photo's patches are forgiven more: they look better than a smear.
    """
    wrong = np.abs(_blur(picture, 6.0) - _blur(whole, 6.0)).max(2)
    tolerance = BLURRED + (SHARP - BLURRED) * _sharpness(whole, level.hole)
    return _blur(np.exp(-((wrong / tolerance) ** 2)).astype(np.float32), 6.0)


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
    result: Synthesis, matching: _Matching, field: _Field, near: Window, guide: Pixels | None, share: Pixels
) -> None:
    """Vote for the last time, close the seam, blend with the guide."""
    hole = matching.level.hole
    height, width = hole.shape
    top, left = near[:2]
    picture, error = matching.vote(field, focus=LAST_FOCUS)
    fill = picture + np.clip(_close(error, hole), -MAX_SEAM, MAX_SEAM)
    if guide is not None:
        drawn = _enlarge(guide, result.confidence.shape, near)
        fill = drawn + share[..., None] * (fill - drawn)
    out = np.s_[near[0] : near[2], near[1] : near[3]]
    result.image[out][hole] = np.clip(fill[hole], 0, 1)
    result.confidence[out][hole] = share[hole]
    y, x = np.nonzero(hole)
    cy, cx = y.clip(RADIUS, height - RADIUS - 1), x.clip(RADIUS, width - RADIUS - 1)
    source = field.source[cy * width + cx]
    sy, sx = source // width, source % width
    whole = ~hole[sy + y - cy, sx + x - cx]  # at the picture's border a pixel lies beside the middle of its patch
    sy, sx = sy + np.where(whole, y - cy, 0) + top, sx + np.where(whole, x - cx, 0) + left
    result.sources[out][hole] = sy * result.confidence.shape[1] + sx
