"""An object from clicks, scribbles or a box, without any weights: GrabCut (Rother et al., SIGGRAPH 2004) by OpenCV.

GrabCut wants to know roughly what the object is. A box says so; for a click it is guessed: areas of similar colour
around the click, larger and larger, and of these the one with the clearest outline.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, tight, whole
from manyfill.checking import Check, go_on
from manyfill.errors import BadMask
from manyfill.selection.asked import Point, Selection
from manyfill.selection.shapes import Floats, reduced

LONGEST = 512  # pixels of the longer side that GrabCut works on; the outline is refined at the photo's own size
ROUNDS = 4
TOLERANCES = (3, 5, 8, 11, 15, 20, 26, 33, 41, 50)  # steps of colour, Lab of 8 bits, that an area may differ by
MOST = 0.6  # share of the photo that a click may mean
SURE = 3  # pixels around a click that are surely what is clicked at


def cut(pixels: NDArray[Any], wanted: Selection, *, check: Check = go_on) -> Floats:
    """What is pointed at in a photo (H,W,3): (h,w) of zeros and ones at a smaller size. Raises BadMask."""
    small = reduced(pixels, LONGEST)
    check()
    height, width = small.shape[:2]
    scale = width / pixels.shape[1], height / pixels.shape[0]
    sure, stays = _marks(wanted, (height, width), scale)
    frame = whole(sure)
    within = frame if wanted.box is None else _box(wanted.box, scale).shared(frame)
    if wanted.box is not None and (within is None or within.height < 3 or within.width < 3):
        raise BadMask(f"the box {wanted.box} is too small to find an object in it. Draw it larger.")
    assert within is not None, "a box that is outside the photo was refused before"
    inside = np.zeros(sure.shape, bool)
    inside[within.part] = True
    guess = _guess(small, sure, stays, within) if sure.any() else inside & ~stays
    check()
    labels = np.full(sure.shape, cv2.GC_BGD, np.uint8)
    labels[_around(guess, inside).part] = cv2.GC_PR_BGD
    labels[~inside] = cv2.GC_BGD
    labels[guess & inside] = cv2.GC_PR_FGD
    labels[sure & inside] = cv2.GC_FGD
    labels[stays] = cv2.GC_BGD
    found = _grabcut(small, labels, check)
    return _touched(found, sure, stays).astype(np.float32)


def _grabcut(small: NDArray[np.uint8], labels: NDArray[np.uint8], check: Check) -> Bools:
    """What GrabCut makes of it; the labels themselves where one side of it is empty, as it needs both."""
    front = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if not front.any() or front.all():
        return np.asarray(front)
    cv2.setRNGSeed(0)  # of this thread: its first clusters are drawn at random
    found, back, fore = labels.copy(), np.zeros((1, 65)), np.zeros((1, 65))
    for turn in range(ROUNDS):  # one round at a time: the same as all at once
        check()
        mode = cv2.GC_EVAL if turn else cv2.GC_INIT_WITH_MASK
        found, back, fore = cv2.grabCut(small, found, (0, 0, 1, 1), back, fore, 1, mode)  # type: ignore[assignment]
    return np.asarray((found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD))


def _marks(wanted: Selection, size: tuple[int, int], scale: tuple[float, float]) -> tuple[Bools, Bools]:
    """What is surely meant, and what surely stays, as (h,w)."""
    sure, stays = np.zeros(size, np.uint8), np.zeros(size, np.uint8)

    def place(point: Point) -> tuple[int, int]:
        return min(size[1] - 1, int(point[0] * scale[0])), min(size[0] - 1, int(point[1] * scale[1]))

    for line in (*wanted.scribbles, *((each,) for each in wanted.clicks)):
        points = np.array([place(each) for each in line], np.int32)
        cv2.polylines(sure, [points], False, 1, SURE)
        cv2.circle(sure, place(line[0]), 1, 1, -1)
    for each in wanted.keep:
        cv2.circle(stays, place(each), SURE, 1, -1)
    return sure.astype(bool), stays.astype(bool) & ~sure.astype(bool)


def _box(box: tuple[int, int, int, int], scale: tuple[float, float]) -> Box:
    left, top, right, bottom = box
    x, y = round(left * scale[0]), round(top * scale[1])
    return Box(y, x, max(1, round(bottom * scale[1]) - y), max(1, round(right * scale[0]) - x))


def _guess(small: NDArray[np.uint8], sure: Bools, stays: Bools, within: Box) -> Bools:
    """Of the areas around what is pointed at, the one with the clearest outline."""
    smooth = cv2.pyrMeanShiftFiltering(np.ascontiguousarray(small), 8, 12)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)
    edges = _edges(lab)
    best, clearest = sure, -1.0
    most = MOST * within.height * within.width
    for area in _areas(lab, sure, stays, within):
        if np.count_nonzero(area) > most:
            break
        outline = area & ~cv2.erode(area.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1).astype(bool)
        if not outline.any():
            continue
        clear = float(edges[outline].mean()) * float(np.log2(2 + np.count_nonzero(area)))
        if clear > clearest:
            best, clearest = area, clear
    return best


def _areas(lab: NDArray[Any], sure: Bools, stays: Bools, within: Box) -> Iterator[Bools]:
    """Areas of like colour around what is pointed at, larger and larger, without their own holes."""
    rows, columns = np.nonzero(sure)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), 24)).astype(int)
    barrier = np.ones((lab.shape[0] + 2, lab.shape[1] + 2), np.uint8)
    barrier[1:-1, 1:-1][within.part] = 0
    barrier[1:-1, 1:-1][stays] = 1
    for tolerance in TOLERANCES:
        area = sure.copy()
        for index in chosen:
            mask = barrier.copy()
            flags = 4 | (2 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
            seed = (int(columns[index]), int(rows[index]))
            cv2.floodFill(lab, mask, seed, 0, (tolerance,) * 3, (tolerance,) * 3, flags)
            area |= mask[1:-1, 1:-1] == 2
        yield _filled(area) & ~stays


def _edges(lab: NDArray[Any]) -> Floats:
    """How much colour changes at a pixel."""
    blurred = cv2.GaussianBlur(lab, (0, 0), 1).astype(np.float32)
    across, down = cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)
    return np.asarray(np.sqrt((across**2 + down**2).sum(2)), np.float32)


def _filled(area: Bools) -> Bools:
    """The area without holes in it."""
    outlines, _ = cv2.findContours(area.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros(area.shape, np.uint8), outlines, -1, 1, -1)).astype(bool)


def _around(guess: Bools, inside: Bools) -> Box:
    """Where the object may end: half as much again on every side of what it is guessed to be."""
    box = tight(guess, whole(guess))
    assert box is not None, "what is pointed at is guessed at least"
    return box.grown(max(12, max(box.height, box.width) // 2), whole(inside))


def _touched(found: Bools, sure: Bools, stays: Bools) -> Bools:
    """The parts that are pointed at, the large ones where a box alone says what is meant; without small holes."""
    number, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    if number == 1:
        return found
    if sure.any():
        kept = np.unique(labels[sure & found])
    else:
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        kept = np.flatnonzero(areas >= 0.1 * areas.max())
    area = np.isin(labels, kept[kept > 0])
    return _filled(area) & ~stays
