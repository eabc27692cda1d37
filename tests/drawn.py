"""Holes for tests: drawn by hand, or by hypothesis."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import strategies as st

from manyfill.boxes import Bools


def boxes_hole(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Bools:
    hole = np.zeros((height, width), bool)
    for top, left, rows, columns in boxes:
        hole[top : top + rows, left : left + columns] = True
    return hole


@st.composite
def holes(draw: st.DrawFn) -> Bools:
    height, width = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    hole = np.zeros((height, width), np.uint8)
    for _ in range(draw(st.integers(0, 6))):
        ends = [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(2)]
        if rng.random() < 0.5:
            cv2.line(hole, ends[0], ends[1], 1, int(rng.integers(1, 20)))
        else:
            cv2.rectangle(hole, ends[0], ends[1], 1, -1)
    return hole > 0
