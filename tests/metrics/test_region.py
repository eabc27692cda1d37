"""Means over a hole and boxes around it, by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from manyfill.metrics.region import Box, box_around, check, mean_inside


def test_the_mean_inside_a_region_by_hand() -> None:
    values = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]])
    left = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert mean_inside(values).tolist() == [4.5]
    assert mean_inside(values, left).tolist() == [4.0]  # 1 3 5 7
    assert mean_inside(values, torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])).tolist() == [pytest.approx((6 + 8 / 2) / 3)]
    assert mean_inside(values).dtype == torch.float64


def test_an_empty_region_has_no_mean_and_a_full_one_has_the_plain_mean() -> None:
    values = torch.rand(3, 2, 4, 5)
    region = torch.ones(3, 1, 4, 5)
    region[1] = 0
    found = mean_inside(values, region)
    assert found.isnan().tolist() == [False, True, False]
    assert_close(found[::2], mean_inside(values)[::2])


@pytest.mark.parametrize(
    ("rows", "columns", "margin", "box"),
    [
        ((10, 20), (30, 40), 0.0, Box(10, 20, 30, 40)),
        ((10, 20), (30, 34), 0.0, Box(10, 20, 27, 37)),  # square: the longer side
        ((10, 20), (30, 40), 0.5, Box(5, 25, 25, 45)),
        ((0, 10), (50, 60), 0.5, Box(0, 20, 40, 60)),  # moved into the photo
        ((0, 40), (0, 60), 0.0, Box(0, 40, 0, 60)),  # all of it
        ((5, 6), (0, 60), 0.25, Box(0, 40, 0, 60)),  # cut to the photo's height
    ],
)
def test_boxes_around_a_hole_by_hand(rows: tuple[int, int], columns: tuple[int, int], margin: float, box: Box) -> None:
    hole = torch.zeros(1, 40, 60)
    hole[0, slice(*rows), slice(*columns)] = 1
    assert box_around(hole, margin) == box


def test_the_box_around_an_empty_hole_is_the_photo() -> None:
    assert box_around(torch.zeros(1, 4, 6), 0.25) == Box(0, 4, 0, 6)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 2), st.data())
def test_a_box_holds_the_hole_lies_in_the_photo_and_is_square_where_it_fits(
    height: int, width: int, margin: float, data: st.DataObject
) -> None:
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    hole = torch.zeros(1, height, width)
    hole[:, top:bottom, left:right] = 1
    box = box_around(hole, margin)
    assert 0 <= box.top <= top and bottom <= box.bottom <= height
    assert 0 <= box.left <= left and right <= box.right <= width
    rows, columns = box.bottom - box.top, box.right - box.left
    assert rows in (columns, height) or columns == width


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    picture = torch.zeros(2, 3, 4, 5)
    with pytest.raises(AssertionError, match="differ"):
        check(picture, picture[:1])
    with pytest.raises(AssertionError, match=r"hole has the shape \(1, 1, 4, 5\), expected \(2, 1, 4, 5\)"):
        check(picture, picture, torch.zeros(1, 1, 4, 5))
    with pytest.raises(AssertionError, match="expected"):
        check(picture[0], picture[0])
