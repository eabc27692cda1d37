"""Rectangles."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from manyfill.boxes import Box


@given(st.integers(0, 50), st.integers(1, 70), st.integers(1, 70), st.integers(1, 40))
def test_tiles_cover_a_box_once(top: int, height: int, width: int, side: int) -> None:
    count = np.zeros((top + height, 5 + width), int)
    for tile in Box(top, 5, height, width).tiles(side):
        assert max(tile.height, tile.width) <= side
        count[tile.part] += 1
    assert (count[top:, 5:] == 1).all() and count.sum() == height * width
