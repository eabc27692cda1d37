"""The inner loops of the search and of the vote, compiled when they are first called and kept on disk."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from manyfill.compiled import compiled

RADIUS = 3  # patches are 7x7 at every scale: at 1/8 they see 56 pixels of the photo
PATCH = 2 * RADIUS + 1
AREA = PATCH * PATCH
CHANNELS = 5  # colours and slopes
SPAN = PATCH * CHANNELS


# Put into its caller: machine code that is kept on disk is then the same as that of the first call.
@numba.njit(inline="always")
def _price(here: Any, there: Any, settings: Any, ty: int, tx: int, sy: int, sx: int, limit: float) -> Any:
    """Of copying the patch at (sy, sx) to (ty, tx) of the crop, which lies at settings[3:]; above the limit: a part."""
    now, now_mean, leeway, told, say, life_wanted = here
    photo, photo_mean, detail, lack, seen, life = there
    down, across = ty + settings[3] - sy, tx + settings[4] - sx
    total = settings[0] * (down * down + across * across) + lack[sy, sx] - leeway[ty, tx] * detail[sy, sx]
    calmer = life_wanted[ty, tx] - life[sy, sx]
    if calmer > 0:
        total += settings[5] * calmer * calmer
    heard = say[ty, tx]
    for c in range(3):
        if heard > 0:
            apart = told[ty, tx, c] - seen[sy, sx, c]
            total += heard * apart * apart
        mean = now_mean[ty, tx, c] - photo_mean[sy, sx, c]
        bias = min(max(mean, -settings[1]), settings[1])
        total -= bias * (2 * mean - (1 + settings[2]) * bias) * np.float32(AREA)
    t, s = (tx - RADIUS) * CHANNELS, (sx - RADIUS) * CHANNELS
    for dy in range(-RADIUS, RADIUS + 1):
        if total >= limit:
            break
        row = np.float32(0)
        one, other = now[ty + dy, t : t + SPAN], photo[sy + dy, s : s + SPAN]
        for k in range(SPAN):
            apart = one[k] - other[k]
            row += apart * apart
        total += row
    return total


@compiled
def sweep(
    here: Any, there: Any, settings: Any, source: Any, cost: Any, valid: Any, targets: Any,
    corner: Any, stride: int, reach: int, sweeps: int, state: int,
) -> None:  # fmt: skip
    """PatchMatch: good neighbours, `stride` away, are followed, then random places around the best one are tried."""
    h, w = valid.shape
    top, left = corner
    n = len(targets)
    rows, columns = np.empty(len(source), np.int32), np.empty(len(source), np.int32)  # of the sources: no divisions
    at_y, at_x = np.empty(n, np.int32), np.empty(n, np.int32)  # of the targets, in the crop
    for i in range(n):
        t = targets[i]
        s = source[t]
        rows[t], columns[t] = s // w, s % w
        at_y[i], at_x[i] = t // w - top, t % w - left
        cost[t] = _price(here, there, settings, at_y[i], at_x[i], rows[t], columns[t], np.inf)
    for turn in range(sweeps):
        back = -stride if turn % 2 == 0 else stride
        for j in range(n):
            i = j if back < 0 else n - 1 - j
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
                    price = _price(here, there, settings, ty, tx, sy, sx, least)
                    if price < least:
                        by, bx, least = sy, sx, price
            radius = reach
            while radius >= 1:
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                sy = by + (((state >> 8) * (2 * radius + 1)) >> 23) - radius
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                sx = bx + (((state >> 8) * (2 * radius + 1)) >> 23) - radius
                if 0 <= sy < h and 0 <= sx < w and valid[sy, sx] and (sy != by or sx != bx):
                    price = _price(here, there, settings, ty, tx, sy, sx, least)
                    if price < least:
                        by, bx, least = sy, sx, price
                radius //= 4
            rows[t], columns[t], cost[t] = by, bx, least
            source[t] = by * w + bx


@compiled
def gather(
    image: Any, missing: Any, stride: int, source: Any, light: Any, weight: Any, near: Any, places: Any, values: Any,
    width: int,
) -> None:  # fmt: skip
    """At each place of the crop, `width` pixels wide, the weighted mean of what the patches over it say.

    image (h*w,3) and missing (h*w,) of the photo, `stride` pixels wide; source, light and weight of the crop.
    """
    height = len(source) // width
    for i in range(len(places)):
        y, x = places[i] // width, places[i] % width
        red = green = blue = total = np.float32(0)
        for dy in range(max(-RADIUS, -y), min(RADIUS, height - 1 - y) + 1):
            for dx in range(max(-RADIUS, -x), min(RADIUS, width - 1 - x) + 1):
                t = (y + dy) * width + x + dx
                if weight[t] == 0:
                    continue
                s = source[t] - dy * stride - dx
                share = weight[t] * near[dy + RADIUS, dx + RADIUS]
                if missing[s]:  # its middle never is: that stands for it where no other patch says anything
                    s, share = source[t], share * np.float32(1e-6)
                red += share * (image[s, 0] + light[t, 0])
                green += share * (image[s, 1] + light[t, 1])
                blue += share * (image[s, 2] + light[t, 2])
                total += share
        if total > 0:
            values[i, 0], values[i, 1], values[i, 2] = red / total, green / total, blue / total
