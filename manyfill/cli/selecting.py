"""The options by which `manyfill select` and `manyfill complete` are told what is to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from manyfill.selection import Selection

Clicks = Annotated[
    list[str] | None,
    typer.Option(
        "--click", metavar="X,Y", help="Select the object at this place, in pixels of the photo. May be repeated."
    ),
]
Keeps = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="X,Y", help="Leave out of the selection what is at this place. May be repeated."),
]
Scribbles = Annotated[
    list[str] | None,
    typer.Option(
        "--scribble",
        metavar="'X,Y X,Y ...'",
        help="Select the object that this line runs over. May be repeated.",
    ),
]
BoxOption = Annotated[
    str | None,
    typer.Option("--box", metavar="LEFT,TOP,RIGHT,BOTTOM", help="Select the object inside this box."),
]
Text = Annotated[bool, typer.Option("--text", help="Select all writing (once: manyfill fetch text).")]
Dust = Annotated[bool, typer.Option("--dust", help="Select dust, hairs and scratches of a scan.")]
Colour = Annotated[
    str | None,
    typer.Option("--colour", metavar="'#RRGGBB'", help="Select what was painted in this colour."),
]
Grow = Annotated[
    int | None,
    typer.Option(
        "--grow",
        metavar="PX",
        help="Enlarge the hole by this; below 0 shrinks a selection. Default: for a selection enough to cover rims and "
        "shadows, for a mask 0.",
        show_default=False,
    ),
]


def wanted(
    *,
    clicks: list[str] | None,
    keep: list[str] | None,
    scribbles: list[str] | None,
    box: str | None,
    text: bool,
    dust: bool,
    colour: str | None,
    grow: int | None,
) -> Selection | None:
    """What these options select together; None where none of them is given. Raises ManyfillError."""
    if not (clicks or keep or scribbles or box is not None or text or dust or colour is not None):
        return None
    from manyfill.selection.asked import Selection, parse_box, parse_points

    return Selection(
        clicks=tuple(point for each in clicks or () for point in parse_points(each, "--click")),
        keep=tuple(point for each in keep or () for point in parse_points(each, "--keep")),
        scribbles=tuple(parse_points(each, "--scribble") for each in scribbles or ()),
        box=None if box is None else parse_box(box),
        text=text,
        dust=dust,
        colour=colour,
        grow=grow,
    )
