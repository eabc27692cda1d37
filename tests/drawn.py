"""Holes and photos for tests: drawn by hand, by chance, or by hypothesis."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from hypothesis import strategies as st
from PIL import Image

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


def small_photos(folder: Path) -> Path:
    """Three soft photos of random colours, 96 pixels wide and 72 to 88 high, as files in the folder."""
    rng = np.random.default_rng(0)
    for index in range(3):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((96, 72 + 8 * index), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder
