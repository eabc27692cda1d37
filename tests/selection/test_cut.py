"""Objects by GrabCut alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pictures import ball, overlap

from manyfill import photos
from manyfill.errors import BadMask
from manyfill.selection import Selection, Selector

BARE = Selector(lambda: None)


@pytest.mark.parametrize(
    "given",
    [
        {"clicks": [(200, 110)]},
        {"box": (140, 50, 262, 172)},
        {"box": (140, 50, 500, 900)},
        {"scribbles": [[(180, 90), (220, 130)]]},
        {"clicks": [(170, 100)], "keep": [(40, 40)]},
    ],
)
def test_an_object_is_found_to_the_pixel_or_two(given: dict[str, Any]) -> None:
    pixels, truth = ball()
    found = BARE.select(photos.read(pixels), Selection(**given, grow=0))
    assert overlap(found.hole, truth) > 0.95
    assert len(found.notes) == 1 and found.notes[0].startswith("Selected by GrabCut")


@pytest.mark.parametrize("times", [3, 6])
def test_the_outline_is_the_photos_own_whatever_its_size(times: int) -> None:
    pixels, truth = ball(240 * times, 320 * times, at=(200 * times, 110 * times), radius=50 * times)
    found = BARE.select(photos.read(pixels), Selection(clicks=((200 * times, 110 * times),), grow=0)).hole
    wrong = found ^ truth
    outline = 2 * np.pi * 50 * times
    assert wrong.sum() < 1.5 * outline  # less than a pixel and a half, on average, where the small picture has `times`


def test_the_same_click_finds_the_same_again_and_16_bits_what_8_do() -> None:
    pixels, _ = ball()
    asked = Selection(clicks=((200, 110),))
    once = BARE.select(photos.read(pixels), asked).hole
    assert np.array_equal(once, BARE.select(photos.read(pixels), asked).hole)
    deep = BARE.select(photos.read(pixels.astype(np.uint16) * 257), asked).hole
    assert overlap(deep, once) > 0.99


def test_a_photo_of_one_colour_and_one_pixel_have_an_answer() -> None:
    flat = np.full((40, 50, 3), 90, np.uint8)
    assert BARE.select(photos.read(flat), Selection(clicks=((20, 20),))).hole[20, 20]
    assert BARE.select(photos.read(flat[:1, :1]), Selection(clicks=((0, 0),))).hole.all()
    with pytest.raises(BadMask, match="too small"):
        BARE.select(photos.read(np.tile(flat, (40, 40, 1))), Selection(box=(0, 0, 2, 2)))
