"""Straight edges that meet a hole on two sides (a horizon, a wall's top, a plank), carried across it.

A soft guide draws haze where such an edge belongs, and the search then finds patches of haze. Where an edge ends at the
hole and goes on beyond it, on the same line, with the same colours on either side of it, there is hardly a doubt about
what lies between; there the guide becomes the colours of both ends, along the line. Nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.texture.scales import Mask, Pixels, resize

LOOKED_AT = 200_000  # pixels to which a larger photo is reduced before edges are looked for
LEAST = 12.0  # pixels of an edge that is looked at
NEAR = 8  # pixels from the hole that an edge may end
SEEN = (12, 32)  # pixels of the edge that must be seen on either side: half of the gap, within these
SIDES = (2, 5)  # pixels beside the edge, from and to, where its colours are taken
CONTRAST = 0.06  # of the two sides of an edge, at least
ALIKE = 0.9  # cosine of the contrasts at both ends, at least
STEADY = 0.85  # share of the edge's pixels that must show at least half of its contrast
TURN = 0.03  # pixels that the far end may lie off for each pixel of the gap: a short edge's direction is not exact
BAND = (6.0, 64.0)  # pixels beside the line that are carried, a quarter of the gap within these
UNLIKE = 0.15  # difference of the colours at both ends at which they are no longer the same
MOST = 12  # edges carried, the strongest
ENDS = 7  # pixels at an end over which colours are averaged


@dataclass(frozen=True)
class Line:
    """A straight edge through the hole, in pixels of the photo (x to the right, y down)."""

    x: float  # where it enters the hole
    y: float
    right: float  # unit vector along it
    down: float
    gap: float  # pixels to where it leaves the hole
    contrast: float


def lines_through(image: Pixels, hole: Mask) -> list[Line]:
    """Edges of a photo (h,w,3) with a hole (h,w) that surely go through the hole, the strongest first."""
    factor = int(np.ceil((hole.size / LOOKED_AT) ** 0.5))
    if factor > 1:
        h, w = max(1, hole.shape[0] // factor), max(1, hole.shape[1] // factor)
        missing = resize(hole.astype(np.float32), h, w) > 0
        known = np.maximum(resize((~hole).astype(np.float32), h, w), np.float32(1e-3))
        image = (resize(image, h, w) / known[..., None]).astype(np.float32)
        scale = hole.shape[1] / w
        return [_scaled(line, scale) for line in lines_through(image, missing)]
    if min(hole.shape) < 3 * LEAST or hole.all():
        return []
    luma = cv2.transform(np.where(hole[..., None], np.float32(0), image), np.full((1, 3), 1 / 3, np.float32))
    luma = np.where(hole, luma[~hole].mean(), luma)
    near = cv2.dilate(hole.astype(np.uint8), np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)).astype(bool)
    detector = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD, 1.0)
    found: Any = detector.detect(np.rint(luma * 255).astype(np.uint8))[0]  # None where there are none
    ends = np.asarray(() if found is None else found, np.float64).reshape(-1, 2, 2)
    ends = ends[np.hypot(*(ends[:, 1] - ends[:, 0]).T) >= LEAST]
    lines = []
    for one, other in (*ends, *ends[:, ::-1]):  # towards `other`
        x, y = np.rint(other).astype(int).clip(0, (hole.shape[1] - 1, hole.shape[0] - 1))
        if near[y, x] and (line := _across(image, hole, one, other)) is not None:
            lines.append(line)
    lines.sort(key=lambda line: -line.contrast * line.gap)
    kept: list[Line] = []
    for line in lines:
        if len(kept) < MOST and not any(_same(line, other) for other in kept):
            kept.append(line)
    return kept


def carry(guide: Pixels, image: Pixels, hole: Mask, lines: Sequence[Line]) -> tuple[Pixels, Pixels]:
    """A guide (h,w,3) with the colours beside lines carried through the hole; how far it was changed (h,w), 0 ... 1."""
    out, changed = guide, np.zeros(hole.shape, np.float32)
    for line in reversed(lines):
        band = float(np.clip(line.gap / 4, *BAND))
        margin = 2 * ENDS + band
        length, half = int(np.ceil(line.gap + 2 * margin)), int(np.ceil(band))
        strip, known = _strip(image, hole, line, -margin, length, half)
        made, sure = _filled(strip, known)
        sure *= np.exp(-((np.arange(-half, half + 1, dtype=np.float32) / (0.5 * band)) ** 2))[:, None]
        y, x = np.nonzero(hole)
        dx, dy = x - np.float32(line.x), y - np.float32(line.y)
        along = dx * np.float32(line.right) + dy * np.float32(line.down)
        off = dy * np.float32(line.right) - dx * np.float32(line.down)
        here = (np.abs(off) <= half) & (along > -margin) & (along < line.gap + margin)
        if not here.any():
            continue
        y, x = y[here], x[here]
        at, across = _rows(along[here] + np.float32(margin)), _rows(off[here] + np.float32(half))
        colours = cv2.remap(made, at, across, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(-1, 3)[
            : len(x)
        ]
        share = cv2.remap(sure, at, across, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).ravel()[: len(x)]
        out = out.copy() if out is guide else out
        out[y, x] += share[:, None] * (colours - out[y, x])
        changed[y, x] = np.maximum(changed[y, x], share)
    return out, changed


def _rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values (n,) in rows of a thousand, the last one filled up with zeros: OpenCV takes no longer ones."""
    return np.pad(values.astype(np.float32), (0, -len(values) % 1000)).reshape(-1, 1000)


def _scaled(line: Line, by: float) -> Line:
    return Line(
        (line.x + 0.5) * by - 0.5, (line.y + 0.5) * by - 0.5, line.right, line.down, line.gap * by, line.contrast
    )


def _same(one: Line, other: Line) -> bool:
    """Whether both go through the hole within a few pixels of each other."""

    def off(line: Line, along: float) -> float:
        x, y = line.x + along * line.right - other.x, line.y + along * line.down - other.y
        return abs(y * other.right - x * other.down)

    return (
        off(one, 0) < SIDES[1]
        and off(one, one.gap) < SIDES[1]
        and abs(one.right * other.right + one.down * other.down) > 0.9
    )


def _strip(
    image: Pixels, hole: Mask, line: Line, first: float, length: int, half: int
) -> tuple[Pixels, NDArray[np.bool_]]:
    """The photo along a line: (2 * half + 1, length, 3), `first` pixels after its entry on, and what of it is known."""
    t = np.arange(length, dtype=np.float32) + np.float32(first)
    d = np.arange(-half, half + 1, dtype=np.float32)[:, None]
    x = (line.x + t * line.right - d * line.down).astype(np.float32)
    y = (line.y + t * line.down + d * line.right).astype(np.float32)
    strip = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    unknown = cv2.remap(hole.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(strip, np.float32), unknown <= 0


def _across(image: Pixels, hole: Mask, start: NDArray[np.float64], end: NDArray[np.float64]) -> Line | None:
    """The line of an edge that ends near the hole, where it goes on beyond it."""
    along = (end - start) / np.hypot(*(end - start))
    reach = int(np.hypot(*hole.shape))
    t = np.arange(reach)
    x, y = end[0] + (t - NEAR) * along[0], end[1] + (t - NEAR) * along[1]
    inside = (x >= 0) & (y >= 0) & (x <= hole.shape[1] - 1) & (y <= hole.shape[0] - 1)
    missing = np.zeros(reach, bool)
    missing[inside] = hole[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)]
    if not missing[: 2 * NEAR + 1].any():
        return None
    first = int(missing.argmax())
    beyond = np.flatnonzero(~missing[first:])
    if not len(beyond):
        return None
    gap = int(beyond[0])
    if gap < LEAST / 2 or not inside[min(first + gap + SEEN[0], reach - 1)]:
        return None
    line = Line(float(x[first]), float(y[first]), float(along[0]), float(along[1]), float(gap), 0.0)
    seen = int(np.clip(gap / 2, *SEEN))
    # Where the edge lies beyond the hole, within what its direction may be off.
    most = int(2 + np.ceil(TURN * gap))
    half = most + SIDES[1]
    strip, known = _strip(image, hole, line, -(seen + 2), gap + 2 * (seen + 2), half)
    here, there = np.s_[:seen], np.s_[-seen:]
    step = _step(strip)  # of rows `most` ... -most
    rows = known[:, here].all(0).mean(), known[:, there].all(0).mean()
    if min(rows) < STEADY:
        return None
    near = step[most, here].mean(0)
    strength = float(np.linalg.norm(near))
    if strength < CONTRAST:
        return None
    fits = step[:, there].mean(1) @ near / strength**2
    off = int(fits.argmax()) - most
    length = gap + seen + 2
    turned = np.array([line.right * length - line.down * off, line.down * length + line.right * off])
    turned /= np.hypot(*turned)
    middle = -(seen / 2 + 2)  # of what is seen before the hole: the line turns around it
    x0, y0 = line.x + middle * line.right, line.y + middle * line.down
    right, down = map(float, turned)
    line = Line(x0 - middle * right, y0 - middle * down, right, down, float(gap), 0.0)
    strip, known = _strip(image, hole, line, -(seen + 2), gap + 2 * (seen + 2), SIDES[1])
    step = _step(strip)[0]
    near, far = step[here].mean(0), step[there].mean(0)
    both = (near + far) / 2
    strength = float(np.linalg.norm(both))
    alike = float(near @ far) / (float(np.linalg.norm(near) * np.linalg.norm(far)) + 1e-9)
    if strength < CONTRAST or alike < ALIKE or not 0.5 < np.linalg.norm(near) / np.linalg.norm(far) < 2:
        return None
    if max(float(np.abs(side[here].mean(0) - side[there].mean(0)).max()) for side in _sides(strip)) > UNLIKE:
        return None
    steady = (np.concatenate([step[here], step[there]]) @ both / strength**2 > 0.5).mean()
    # The colours change at the line and not somewhere beside it.
    middle_row = SIDES[1]
    edge = strip[middle_row + 1] - strip[middle_row - 1]
    sharp = float(np.concatenate([edge[here], edge[there]]).mean(0) @ both) / strength**2
    if steady < STEADY or sharp < 0.5:
        return None
    return Line(line.x, line.y, line.right, line.down, line.gap, strength)


def _step(strip: Pixels) -> Pixels:
    """(rows - 2 * SIDES[1], length, 3): the colours below each row, far enough from the border, less those above it."""
    near, far = SIDES
    rows = len(strip) - 2 * far
    below = np.mean([strip[far + k : far + k + rows] for k in range(near, far + 1)], 0)
    above = np.mean([strip[far - k : far - k + rows] for k in range(near, far + 1)], 0)
    return np.asarray(below - above, np.float32)


def _sides(strip: Pixels) -> tuple[Pixels, Pixels]:
    """(length, 3) each: the colours above and below the middle row."""
    near, far = SIDES
    middle = len(strip) // 2
    return strip[middle - far : middle - near + 1].mean(0), strip[middle + near : middle + far + 1].mean(0)


def _filled(strip: Pixels, known: NDArray[np.bool_]) -> tuple[Pixels, Pixels]:
    """Each row of a strip (r,t,3) filled from both ends of its gap; and (r,t) how far both say the same, 0 ... 1."""
    weight = cv2.blur(known.astype(np.float32), (ENDS, 1), borderType=cv2.BORDER_CONSTANT)
    mean = cv2.blur(strip * known[..., None], (ENDS, 1), borderType=cv2.BORDER_CONSTANT)
    mean = np.asarray(mean / np.maximum(weight, np.float32(1e-6))[..., None])
    length = known.shape[1]
    place = np.arange(length)[None]
    before = np.maximum.accumulate(np.where(known, place, -1), 1)
    after = np.minimum.accumulate(np.where(known, place, length)[:, ::-1], 1)[:, ::-1]
    both = (before >= 0) & (after < length)
    one = np.take_along_axis(mean, before.clip(0)[..., None], 1)
    other = np.take_along_axis(mean, after.clip(None, length - 1)[..., None], 1)
    share = ((place - before) / np.maximum(after - before, 1)).astype(np.float32)[..., None]
    apart = np.abs(one - other).max(-1)
    sure = np.where(both, np.exp(-((apart / UNLIKE) ** 2)), 0).astype(np.float32)
    return np.where(known[..., None], strip, one + share * (other - one)).astype(np.float32), sure
