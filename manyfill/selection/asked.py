"""What to select in a photo, as one value that checks itself: command line, Python, server and jobs all pass it on."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from manyfill.errors import BadMask, ManyfillError
from manyfill.options import parse_colour

Point: TypeAlias = tuple[float, float]  # x, y in pixels of the upright photo, from its upper left corner

MOST_POINTS = 4096  # of all clicks and scribbles together
MOST_GROWN = 4096  # pixels


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is to go. Kinds that are named together are united.

    Raises BadMask where a value cannot be meant.
    """

    clicks: tuple[Point, ...] = ()  # points of the object that is to go
    keep: tuple[Point, ...] = ()  # points of what is to stay
    scribbles: tuple[tuple[Point, ...], ...] = ()  # lines over the object, each a row of points
    box: tuple[int, int, int, int] | None = None  # left, top, right, bottom, around the object
    text: bool = False  # all writing
    dust: bool = False  # dust and scratches of a scan
    colour: str | None = None  # what was painted in this colour: "#ff00ff"
    grow: int | None = None  # pixels to enlarge the selection by, negative shrinks; None: enough for rims and shadows

    def __post_init__(self) -> None:
        """Check each value; lists become tuples, numbers of numpy Python's, so that they can be written as JSON."""
        object.__setattr__(self, "clicks", tuple(_point(each, "click") for each in self.clicks))
        object.__setattr__(self, "keep", tuple(_point(each, "point to keep") for each in self.keep))
        lines = tuple(tuple(_point(each, "scribble") for each in line) for line in self.scribbles)
        object.__setattr__(self, "scribbles", tuple(line for line in lines if line))
        if self.box is not None:
            object.__setattr__(self, "box", _box(self.box))
        points = len(self.clicks) + len(self.keep) + sum(map(len, self.scribbles))
        if points > MOST_POINTS:
            raise BadMask(f"there are {points} points in clicks and scribbles; at most {MOST_POINTS} are looked at.")
        if self.colour is not None:
            parse_colour(self.colour)
        if self.grow is not None:
            try:
                object.__setattr__(self, "grow", operator.index(self.grow))
            except TypeError:
                raise BadMask(f"grow is {self.grow!r}; expected a whole number of pixels.") from None
            if abs(self.grow) > MOST_GROWN:
                raise BadMask(f"grow is {self.grow}; expected {-MOST_GROWN} to {MOST_GROWN} pixels.")
        if not (self.of_object or self.text or self.dust or self.colour is not None):
            more = " beside the points to keep" if self.keep else ""
            raise BadMask(f"nothing says what to select{more}. Give a click, scribble, box, text, dust or colour.")

    @property
    def of_object(self) -> bool:
        """Whether an object is pointed at."""
        return bool(self.clicks or self.scribbles or self.box is not None)

    def check_inside(self, height: int, width: int) -> None:
        """Raises BadMask where something points outside a photo of that size."""
        every = [("click", each) for each in self.clicks] + [("point to keep", each) for each in self.keep]
        every += [("scribble", each) for line in self.scribbles for each in line]
        for what, (x, y) in every:
            if not (0 <= x < width and 0 <= y < height):
                raise BadMask(
                    f"the {what} {x:g},{y:g} is outside the photo, which is {width}x{height} (width x height)."
                    f" Give x from 0 to {width - 1} and y from 0 to {height - 1}."
                )
        if self.box is not None:
            left, top, right, bottom = self.box
            if left >= width or top >= height or right <= 0 or bottom <= 0:
                raise BadMask(
                    f"the box {left},{top},{right},{bottom} is outside the photo, which is {width}x{height}"
                    " (width x height)."
                )


def _point(value: Any, what: str) -> Point:
    try:
        x, y = (float(each) for each in value)
    except (TypeError, ValueError):
        raise BadMask(f"the {what} {value!r} is not one; expected x and y in pixels, such as 320,240.") from None
    if not (abs(x) < 1e9 and abs(y) < 1e9):  # also what is not a number
        raise BadMask(f"the {what} {value!r} is not one; expected x and y in pixels, such as 320,240.")
    return (int(x) if x == int(x) else x, int(y) if y == int(y) else y)


def _box(value: Sequence[Any]) -> tuple[int, int, int, int]:
    try:
        left, top, right, bottom = (round(float(each)) for each in value)
    except (TypeError, ValueError, OverflowError):
        raise BadMask(f"the box {value!r} is not one; expected left, top, right, bottom in pixels.") from None
    if right - left < 2 or bottom - top < 2:
        raise BadMask(
            f"the box {left},{top},{right},{bottom} is empty; expected left, top, right, bottom in pixels, with right"
            " beyond left and bottom below top."
        )
    return left, top, right, bottom


def parse_points(text: str, option: str = "--click") -> tuple[Point, ...]:
    """`320,240` or several, parted by spaces, as points. Raises ManyfillError."""
    found = []
    for each in text.replace(";", " ").split():
        try:
            x, y = map(float, each.split(","))
        except ValueError:
            raise ManyfillError(f"{option} is {text!r}; expected x,y in pixels, such as 320,240.") from None
        found.append((x, y))
    if not found:
        raise ManyfillError(f"{option} is {text!r}; expected x,y in pixels, such as 320,240.")
    return tuple(found)


def parse_box(text: str) -> tuple[int, int, int, int]:
    """`left,top,right,bottom` in pixels. Raises ManyfillError."""
    try:
        left, top, right, bottom = (round(float(each)) for each in text.split(","))
    except (ValueError, OverflowError):
        raise ManyfillError(
            f"--box is {text!r}; expected left,top,right,bottom in pixels, such as 10,10,90,80."
        ) from None
    return left, top, right, bottom
