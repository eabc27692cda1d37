"""`manyfill label`: many truths per hole from a teacher, for `manyfill train --labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from manyfill.cli import console

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def label(
    data: Annotated[
        list[Path],
        typer.Option("--data", metavar="DIR", help="A folder of photos or a .tar shard; repeat it.", exists=True),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="LABELS", help="Where the shards go.", file_okay=False)],
    teacher: Annotated[
        Literal["migan"], typer.Option("--teacher", help="The model that answers (see: manyfill fetch).")
    ] = "migan",
    views: Annotated[int, typer.Option("--views", min=1, max=6, help="Answers per hole.")] = 4,
    per_photo: Annotated[int, typer.Option("--per-photo", min=1, help="Windows per photo.")] = 40,
    size: Annotated[int, typer.Option("--size", min=128, help="Side of the windows, in pixels.")] = 256,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of windows and holes.")] = 0,
    processes: Annotated[int, typer.Option("--processes", min=1, help="How many work at once.")] = 1,
    most: Annotated[int | None, typer.Option("--most", min=1, help="At most this many labels.")] = None,
    textured: Annotated[
        bool, typer.Option("--texture/--no-texture", help="Also try each answer with the photo's own patches.")
    ] = True,
) -> int:
    """Ask a teacher for several answers to each of many holes. The same command again continues where it stopped."""
    from manyfill import memory
    from manyfill.labelling import Labelling
    from manyfill.labelling import label as go
    from manyfill.recipes import RECIPES

    assert teacher == "migan", teacher
    job = Labelling(
        data=tuple(map(str, data)),
        masks=RECIPES["adapter-migan"].masks,
        views=views,
        per_photo=per_photo,
        size=size,
        seed=seed,
        textured=textured,
    )
    memory.keep_freed()
    with console.log("label", "windows") as progress:
        total = go(job, out, processes=processes, most=most, progress=progress)
    console.out(f"{out}: {total:,} windows")
    return 0
