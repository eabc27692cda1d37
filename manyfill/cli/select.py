"""`manyfill select`: a mask from clicks, a box, text, dust or a colour."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from manyfill.cli import console, selecting
from manyfill.errors import ManyfillError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def select(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo to select in.", dir_okay=False)],
    click: selecting.Clicks = None,
    keep: selecting.Keeps = None,
    scribble: selecting.Scribbles = None,
    box: selecting.BoxOption = None,
    text: selecting.Text = False,
    dust: selecting.Dust = False,
    colour: selecting.Colour = None,
    grow: selecting.Grow = None,
    feather: Annotated[int, typer.Option("--feather", min=0, max=1024, metavar="PX", help="Soften the edge.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="The mask to write. Default: PHOTO_hole.png beside the photo."),
    ] = None,
    json_line: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, for programs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file there that manyfill did not write.")] = False,
) -> int:
    """Select what is to go, and write it as a mask: white = fill, a PNG of the photo's size.

    What is named together is united. `manyfill complete` takes the same options directly.
    """
    wanted = selecting.wanted(
        clicks=click, keep=keep, scribbles=scribble, box=box, text=text, dust=dust, colour=colour, grow=grow
    )
    if wanted is None:
        raise ManyfillError("nothing says what to select. Give --click, --scribble, --box, --text, --dust or --colour.")
    out = photo.with_name(f"{photo.stem}_hole.png") if out is None else out
    if out.suffix.lower() != ".png":
        raise ManyfillError(f"-o {out}: masks are written as PNG. Name it {out.with_suffix('.png')}.")

    from manyfill import photos, selection
    from manyfill.jobs import ledger

    if out.exists() and photo.exists() and out.samefile(photo):
        raise ManyfillError(f"-o {out} is the photo itself, which is never overwritten. Name another file.")
    ledger.check(out, force=force)
    source = photos.read(photo)
    with console.status("selecting"):
        found = selection.find(source, wanted)
    data = selection.as_mask(found.hole, feather=feather)
    out.parent.mkdir(parents=True, exist_ok=True)
    ledger.write(out, data, force=force)
    ratio = float(found.hole.mean())
    for note in found.notes:
        console.say(f"note: {note}")
    if json_line:
        console.out_json(
            {
                "photo": str(photo),
                "mask": str(out),
                "width": source.width,
                "height": source.height,
                "hole_ratio": ratio,
                "notes": list(found.notes),
            }
        )
    else:
        console.out(str(out))
    console.say(f"{100 * ratio:.2g} % of the photo is selected")
    return 0
