"""The contact sheet and the heat map: sizes, what is shown where, odd photos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manyfill.sheet import GAP, HOLE, PAPER, THIN, Box, contact_sheet, grid, heat_map, view


def plain(width: int, height: int, colour: tuple[int, ...] = (90, 120, 150), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), colour)


def middle(height: int, width: int, share: float = 0.5) -> np.ndarray:
    hole = np.zeros((height, width), dtype=bool)
    tall, wide = max(1, int(height * share)), max(1, int(width * share))
    top, left = (height - tall) // 2, (width - wide) // 2
    hole[top : top + tall, left : left + wide] = True
    return hole


@settings(max_examples=5)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    fills=st.integers(0, 9),
    max_width=st.sampled_from([1200, 2400]),
)
def test_a_sheet_is_never_wider_than_asked(width: int, height: int, fills: int, max_width: int) -> None:
    photo = plain(width, height)
    drawn = contact_sheet(photo, middle(height, width), [photo] * fills, title="t" * 500, max_width=max_width)
    assert drawn.mode == "RGB"
    assert drawn.width <= max_width


def test_sixty_four_fills_find_room() -> None:
    photo = plain(60, 40)
    assert contact_sheet(photo, middle(40, 60), [photo] * 64).height > 10 * 40


def test_each_fill_is_shown_in_its_own_tile_in_the_order_given() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    drawn = contact_sheet(plain(400, 400), middle(400, 400), [plain(400, 400, colour) for colour in colours], columns=5)
    tile = (drawn.width - GAP) // 5
    seen = [drawn.getpixel((GAP + tile * column + 200, 200)) for column in (2, 3, 4)]
    assert seen == colours


def test_the_hole_is_marked_and_nothing_else() -> None:
    drawn = np.asarray(contact_sheet(plain(400, 400), middle(400, 400), [], columns=2)).astype(int)
    tile = (drawn.shape[1] - GAP) // 2
    inside, outside = drawn[200, GAP + tile + 200], drawn[70, GAP + tile + 20]
    assert np.abs(inside - HOLE).sum() < np.abs(np.array((90, 120, 150)) - HOLE).sum() / 2
    assert tuple(outside) == (90, 120, 150)
    assert tuple(drawn[200, GAP + 200]) == (90, 120, 150)


def test_a_small_hole_is_shown_close_and_a_large_or_empty_one_in_the_whole_photo() -> None:
    small = np.zeros((1000, 1500), dtype=bool)
    small[10:60, 20:90] = True
    near = view(small)
    assert near.top == 0 and near.left == 0
    assert near.bottom - near.top < 300
    assert (near.right - near.left) / (near.bottom - near.top) == pytest.approx(1.5, rel=0.02)
    assert view(middle(100, 150, 0.8)) == Box(0, 0, 100, 150)
    assert view(np.zeros((100, 150), dtype=bool)) == Box(0, 0, 100, 150)


@settings(max_examples=50)
@given(st.data())
def test_the_part_shown_holds_the_whole_hole_and_stays_in_the_photo(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 400)), data.draw(st.integers(1, 400))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    hole = np.zeros((height, width), dtype=bool)
    hole[top:bottom, left:right] = True
    near = view(hole)
    assert 0 <= near.top <= top and bottom <= near.bottom <= height
    assert 0 <= near.left <= left and right <= near.right <= width


def test_transparency_is_shown_as_a_checkerboard() -> None:
    drawn = contact_sheet(plain(400, 400, (0, 0, 0, 0), "RGBA"), middle(400, 400), [], columns=2)
    assert drawn.getpixel((GAP + 200, 200)) in ((216, 216, 216), (240, 240, 240))


def test_a_heat_map_is_grey_where_the_fills_agree_fully_and_warmer_where_they_differ_more() -> None:
    photo = plain(30, 20, (200, 40, 40))
    spread = np.zeros((20, 30))
    spread[5:15, 5:15], spread[5:15, 15:25] = 0.1, 1.0
    drawn = np.asarray(heat_map(photo, spread)).astype(int)
    assert drawn.shape == (20, 30, 3)
    assert len(set(drawn[0, 0])) == 1
    calm, wild = drawn[10, 10], drawn[10, 20]
    assert wild[0] > calm[0] and wild[1] > calm[1]
    assert wild[1] > wild[2] and calm[2] > calm[1]


def test_the_same_input_gives_the_same_bytes() -> None:
    photo, hole = plain(123, 77), middle(77, 123)
    first, second = (contact_sheet(photo, hole, [photo], title="a", labels=["b"]).tobytes() for _ in range(2))
    assert first == second


def test_a_grid_shows_each_picture_in_its_place_and_leaves_free_ones_free() -> None:
    red, green, blue = (plain(8, 4, colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200)))
    names = {"row_labels": ["first", "second"], "column_labels": ["a", "b"], "side": 64}
    drawn = grid([[red, green], [None, blue]], **names)  # type: ignore[arg-type]
    right, bottom = drawn.width - GAP - 32, drawn.height - GAP - 16  # centres of the last column and row
    left, top = right - 64 - THIN, bottom - 32 - THIN
    places = [(left, top), (right, top), (left, bottom), (right, bottom)]
    assert [drawn.getpixel(place) for place in places] == [(200, 0, 0), (0, 200, 0), PAPER, (0, 0, 200)]
    names = np.asarray(drawn)[:, : left - 32]
    assert (names[top - 16 : top + 16] < 100).any() and (names[bottom - 16 : bottom + 16] < 100).any()


def test_groups_of_a_grid_stand_apart() -> None:
    rows = [[plain(8, 8)]] * 4
    labels = {"row_labels": list("abcd"), "column_labels": [""], "side": 64}
    together, apart = grid(rows, **labels), grid(rows, **labels, group=2)  # type: ignore[arg-type]
    assert apart.height - together.height == GAP
