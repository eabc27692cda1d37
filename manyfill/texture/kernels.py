"""The inner loops of the search and of the vote, compiled when they are first called and kept on disk."""

from __future__ import annotations

from typing import Any

import numpy as np

from manyfill.compiled import compiled

RADIUS = 3  # patches are 7x7 at every scale: at 1/8 they see 56 pixels of the photo
PATCH = 2 * RADIUS + 1
AREA = PATCH * PATCH
CHANNELS = 5  # colours and slopes
SPAN = PATCH * CHANNELS


@compiled
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


@compiled
def sweep(
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


@compiled
def gather(
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
