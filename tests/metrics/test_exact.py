"""Known pixels: exact or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyfill.metrics.exact import known_exact


@given(st.sampled_from([np.uint8, np.uint16]), st.sampled_from([(), (1,), (3,), (4,)]), st.data())
def test_one_changed_bit_is_seen_outside_the_hole_and_not_inside(
    dtype: type, channels: tuple[int, ...], data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    source = rng.integers(0, np.iinfo(dtype).max, (4, 5, *channels), dtype=dtype)
    hole = rng.random((4, 5)) < 0.5
    filled = source.copy()
    filled[hole] = rng.integers(0, 99, filled[hole].shape)
    assert known_exact(filled, source, hole)
    place = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4))
    filled[place] ^= 1
    assert known_exact(filled, source, hole) == hole[place]


def test_empty_and_full_holes() -> None:
    source = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert known_exact(source, source, np.zeros((2, 2), bool))
    assert not known_exact(source + np.uint8(1), source, np.zeros((2, 2), bool))
    assert known_exact(source + np.uint8(1), source, np.ones((2, 2), np.uint8))


def test_another_depth_size_or_channel_count_is_not_exact() -> None:
    source, hole = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3), bool)
    assert not known_exact(source.astype(np.uint16), source, hole)
    assert not known_exact(source[:, :2], source, hole)
    assert not known_exact(source[..., :1], source, hole)


def test_floats_and_another_photos_hole_are_refused() -> None:
    source = np.zeros((2, 3, 3), np.uint8)
    with pytest.raises(AssertionError, match="float64: read them as integers"):
        known_exact(source / 1.0, source, np.zeros((2, 3), bool))
    with pytest.raises(AssertionError, match=r"hole is \(3, 2\) and the photo \(2, 3\)"):
        known_exact(source, source, np.zeros((3, 2), bool))
