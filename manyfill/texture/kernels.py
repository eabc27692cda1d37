"""The inner loops of the search and of the vote, compiled when they are first called and kept on disk."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from manyfill.compiled import compiled

RADIUS = 3  # patches are 7x7 at every scale: at 1/8 they see 56 pixels of the photo
PATCH = 2 * RADIUS + 1
AREA = PATCH * PATCH
CHANNELS = 5  # colours and slopes
SPAN = PATCH * CHANNELS
SPREAD, DETAIL, LIFE, LACK, SAY = 3, 4, 5, 6, 6  # of what is known of a patch, after the means of its colours
FACTS = 8
FAINT, TINY, HALF = np.float32(1e-5), np.float32(1e-6), np.float32(0.5)
ZERO, WHOLE = np.float32(0), np.float32(AREA)
SLACK = np.float32(0.01)  # of spreads: rounding
WORST = np.float32(1e30)  # a price above all


# Put into its caller: machine code that is kept on disk is then the same as that of the first call. `span` is SPAN: as
# a constant it would be unrolled and not vectorized. An int beside a float32 makes a float64 here: hence the constants.
@numba.njit(inline="always")
def _price(
    here: Any, there: Any, settings: Any, down: int, across: int, span: int,
    ty: int, tx: int, sy: int, sx: int, limit: Any,
) -> Any:  # fmt: skip
    """Of copying the patch at (sy, sx) to (ty, tx) of the crop, which lies at (down, across) of the photo.

    here: features, facts (h,w,FACTS) and blurred guide of the crop; there: those of the photo. Above the limit: a part.
    """
    now, wanted, told = here
    photo, facts, seen = there
    own, other = wanted[ty, tx], facts[sy, sx]
    far = np.float32((ty + down - sy) * (ty + down - sy) + (tx + across - sx) * (tx + across - sx))
    calmer = max(own[LIFE] - other[LIFE], ZERO)
    total = settings[0] * far + settings[4] * calmer * calmer + other[LACK] - own[DETAIL] * other[DETAIL]
    # Squared differences are at least those of the means and of the spreads: most places need no more than that.
    apart = max(abs(own[SPREAD] - other[SPREAD]) - SLACK, ZERO)
    least = apart * apart
    broken = other[LACK] > ZERO
    for c in range(3):
        mean = own[c] - other[c]
        bias = min(max(mean, -settings[1]), settings[1])
        total -= bias * (settings[2] * mean - settings[3] * bias)
        if not broken:
            least += mean * mean * WHOLE
    if total + least >= limit:
        return total + least
    heard = own[SAY]
    if heard > ZERO:
        for c in range(3):
            apart = told[ty, tx, c] - seen[sy, sx, c]
            total += heard * apart * apart
        if total + least >= limit:
            return total + least
    t, s = (tx - RADIUS) * CHANNELS, (sx - RADIUS) * CHANNELS
    for dy in range(-RADIUS, RADIUS + 1):
        if total >= limit:
            break
        row = ZERO
        one, two = now[ty + dy, t : t + span], photo[sy + dy, s : s + span]
        for k in range(span):
            apart = one[k] - two[k]
            row += apart * apart
        total += row
    return total


@compiled
def price_all(
    here: Any, there: Any, settings: Any, rows: Any, columns: Any, cost: Any, targets: Any, at_y: Any, at_x: Any,
    corner: Any, span: int,
) -> None:  # fmt: skip
    """What the patches at `targets`, at (at_y, at_x) of the crop, cost where they are copied from now."""
    top, left = corner
    for i in range(len(targets)):
        t = targets[i]
        cost[t] = _price(here, there, settings, top, left, span, at_y[i], at_x[i], rows[t], columns[t], WORST)


@compiled
def sweep(
    here: Any, there: Any, settings: Any, source: Any, rows: Any, columns: Any, cost: Any, valid: Any, targets: Any,
    at_y: Any, at_x: Any, corner: Any, stride: int, reach: int, forwards: bool, state: int, span: int,
) -> int:  # fmt: skip
    """PatchMatch: good neighbours, `stride` away, are followed, then random places around the best one are tried.

    One way through some targets that follow each other; gives the state of chance for those that come next.
    """
    h, w = valid.shape
    top, left = corner
    n = len(targets)
    back = -stride if forwards else stride
    for j in range(n):
        i = j if forwards else n - 1 - j
        t, ty, tx = targets[i], at_y[i], at_x[i]
        by, bx, least = rows[t], columns[t], cost[t]
        for k in range(2):
            step = back if k == 0 else back * w
            if source[t + step] < 0:
                continue
            sy, sx = rows[t + step], columns[t + step]
            if k == 0:
                sx -= back
            else:
                sy -= back
            if (sy == by and sx == bx) or sy < 0 or sx < 0 or sy >= h or sx >= w:
                continue
            if valid[sy, sx]:
                price = _price(here, there, settings, top, left, span, ty, tx, sy, sx, least)
                if price < least:
                    by, bx, least = sy, sx, price
        radius = reach
        while radius >= 1:
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            sy = by + (((state >> 8) * (2 * radius + 1)) >> 23) - radius
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            sx = bx + (((state >> 8) * (2 * radius + 1)) >> 23) - radius
            if 0 <= sy < h and 0 <= sx < w and valid[sy, sx] and (sy != by or sx != bx):
                price = _price(here, there, settings, top, left, span, ty, tx, sy, sx, least)
                if price < least:
                    by, bx, least = sy, sx, price
            radius //= 4
        rows[t], columns[t], cost[t] = by, bx, least
        source[t] = by * w + bx
    return state


@compiled
def vote(
    image: Any, missing: Any, whole: Any, facts: Any, wanted: Any, outer: Any, settings: Any, source: Any, cost: Any,
    targets: Any, corner: Any, usual: float, near: Any, sums: Any, totals: Any, patch: int,
) -> None:  # fmt: skip
    """Add up in a crop (its corner in the photo given) what the patches say: colours (h,3w), and their weight (h,w).

    image (h,3w), missing and whole (h,w): what of the photo is not known, and where a patch is fully known. outer
    (h,w): how much patches of the crop are heard; where `usual` is above 0, also by their cost beside it, and in
    the light that they have there. near (PATCH, PATCH): what a patch says around its middle. patch: PATCH.
    """
    w = missing.shape[1]
    top, left = corner
    wide = np.empty((PATCH, 3 * PATCH), np.float32)
    for dy in range(PATCH):
        for k in range(3 * PATCH):
            wide[dy, k] = near[dy, k // 3]
    lit = np.zeros(3 * PATCH, np.float32)
    for i in range(len(targets)):
        t = targets[i]
        s = source[t]
        y, x, sy, sx = t // w - top, t % w - left, s // w, s % w
        share = outer[y, x]
        if usual > 0:
            own, other = wanted[y, x], facts[sy, sx]
            price = max(cost[t] + own[DETAIL] * other[DETAIL], ZERO)  # rounding: a hair below
            share *= math.exp(-price / usual) + FAINT
            for c in range(3):
                light = min(max(own[c] - other[c], -settings[1]), settings[1]) * settings[2] / settings[3] * HALF
                for k in range(PATCH):
                    lit[3 * k + c] = light
        if whole[sy, sx]:
            for dy in range(PATCH):
                a, b = 3 * (x - RADIUS), 3 * (sx - RADIUS)
                out, seen = sums[y + dy - RADIUS, a : a + 3 * patch], image[sy + dy - RADIUS, b : b + 3 * patch]
                for k in range(3 * patch):
                    out[k] += share * wide[dy, k] * (seen[k] + lit[k])
                count = totals[y + dy - RADIUS, x - RADIUS : x - RADIUS + patch]
                for k in range(patch):
                    count[k] += share * near[dy, k]
            continue
        for dy in range(-RADIUS, RADIUS + 1):
            for dx in range(-RADIUS, RADIUS + 1):
                said, qy, qx = share * near[dy + RADIUS, dx + RADIUS], sy + dy, sx + dx
                if missing[qy, qx]:  # its middle never is: that stands for it where no other patch says anything
                    said, qy, qx = said * TINY, sy, sx
                for c in range(3):
                    sums[y + dy, 3 * (x + dx) + c] += said * (image[qy, 3 * qx + c] + lit[c])
                totals[y + dy, x + dx] += said
