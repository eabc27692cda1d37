"""What is asked for is checked before a photo is looked at."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from manyfill.errors import BadMask, ManyfillError
from manyfill.selection.asked import MOST_POINTS, Selection, parse_box, parse_points
from manyfill.typed import of_json


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing says what to select"),
        ({"keep": [(1, 2)]}, "nothing says what to select beside the points to keep"),
        ({"clicks": [(1,)]}, "expected x and y"),
        ({"clicks": [("a", "b")]}, "expected x and y"),
        ({"clicks": [(float("nan"), 1)]}, "expected x and y"),
        ({"clicks": 5}, None),
        ({"box": (10, 10, 10, 90)}, "is empty"),
        ({"box": (10, 10, 90)}, "expected left, top, right, bottom"),
        ({"colour": "red"}, "'red' is not a colour"),
        ({"text": True, "grow": 2.5}, "whole number"),
        ({"text": True, "grow": 10**6}, "expected -4096 to 4096"),
        ({"clicks": [(1, 1)] * (MOST_POINTS + 1)}, "at most"),
    ],
)
def test_what_cannot_be_meant_is_said(given: dict[str, Any], message: str | None) -> None:
    with pytest.raises(BadMask if message else TypeError, match=message):
        Selection(**given)


def test_numbers_of_numpy_can_be_written_as_json_and_read_again() -> None:
    asked = Selection(
        clicks=[np.array([3, 4.5])],  # type: ignore[arg-type]
        scribbles=[[(1, 2), (3, 4)], []],  # type: ignore[arg-type]
        box=np.array([1, 2, 30, 40]),  # type: ignore[arg-type]
        grow=np.int64(3),  # type: ignore[arg-type]
    )
    assert asked.clicks == ((3, 4.5),) and asked.scribbles == (((1, 2), (3, 4)),) and asked.box == (1, 2, 30, 40)
    assert of_json(Selection, json.loads(json.dumps(asdict(asked)))) == asked


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"clicks": [(40, 5)]}, "click 40,5"),
        ({"clicks": [(5, 5)], "keep": [(5, 30)]}, "point to keep 5,30"),
        ({"scribbles": [[(5, 5), (-1, 5)]]}, "scribble -1,5"),
        ({"box": (50, 0, 60, 10)}, "box 50,0,60,10"),
    ],
)
def test_what_lies_outside_the_photo_is_named(given: dict[str, Any], what: str) -> None:
    with pytest.raises(BadMask, match=f"the {what} is outside the photo, which is 40x30"):
        Selection(**given).check_inside(30, 40)


def test_texts_of_the_command_line_are_read() -> None:
    assert parse_points("1,2 3.5,4") == ((1, 2), (3.5, 4)) and parse_box("1,2,30,40") == (1, 2, 30, 40)
    for wrong in ("", "1", "1,2,3", "a,b"):
        with pytest.raises(ManyfillError, match=r"--keep is .*expected x,y"):
            parse_points(wrong, "--keep")
    with pytest.raises(ManyfillError, match="expected left,top,right,bottom"):
        parse_box("1,2,3")
