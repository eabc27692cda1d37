"""`manyfill compare`: the papers' side-by-sides, trained on an equal budget; and what a model's attention looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from manyfill import files, zoo
from manyfill.cli import claims, console
from manyfill.errors import ManyfillError
from manyfill.jobs import ledger

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Data = Annotated[
    list[Path],
    typer.Option(
        "--data", metavar="PHOTOS", help="Training photos: a folder or a .tar shard; repeat it for more.", exists=True
    ),
]
Out = Annotated[
    Path,
    typer.Option("-o", "--out", metavar="OUT", help="Folder for table, figure and runs.", file_okay=False),
]
Budget = Annotated[
    int, typer.Option("--budget", metavar="IMAGES", min=1, help="How many images each variant trains on.")
]
Val = Annotated[
    list[Path] | None,
    typer.Option(
        "--val",
        metavar="PHOTOS",
        help="Photos to score with: a folder or shard. Default: the training photos.",
        exists=True,
    ),
]
Show = Annotated[
    list[Path] | None,
    typer.Option(
        "--show", metavar="PHOTOS", help="Photos for the figure; repeat it. Default: the first of --val.", exists=True
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="RECIPE",
        help="The recipe that the variants differ from in one field: a name, or FILE.py:NAME. Default: a small one for "
        "a CPU.",
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, help="Seed of all that is random, the same for each variant."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="WEIGHTS", help="Start every variant from a model's weights (name or file)."),
]
Minutes = Annotated[
    float | None,
    typer.Option("--max-minutes", min=0.0, help="Stop training after this time in all; the same command goes on."),
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where to train.")]
Query = Annotated[
    str | None,
    typer.Option(
        "--query",
        metavar="ROW,COL",
        help="The point whose attention is shown, as shares of height and width: 0.5,0.5 is the middle. Default: deep "
        "in the hole.",
    ),
]


@app.callback()
def _compare() -> None:
    """Train the variants that the papers compare, each on the same samples, and lay them side by side.

    Writes OUT/table.md, table.json and figure.png, and a run's folder for each variant. The same command again
    continues where it stopped, or goes on with a larger --budget.
    """


@app.command(short_help="Deterministic, CVAE, instance blind, dual path.")
def strategies(
    data: Data,
    budget: Budget,
    out: Out,
    val: Val = None,
    show: Show = None,
    base: Base = None,
    seed: Seed = 0,
    start_from: From = None,
    max_minutes: Minutes = None,
    device: Device = "auto",
    force: claims.Force = False,
) -> int:
    """Train by the strategies that Zheng et al. 2019 compare: deterministic, CVAE, instance blind, dual path.

    Shows fills of one photo by each; how far they differ, how true they are, how steadily each trained.
    """
    return _go("strategies", data, out, budget, val, show, base, seed, start_from, max_minutes, device, force=force)


@app.command(short_help="Short+long-term, contextual, none.")
def attention(
    data: Data,
    budget: Budget,
    out: Out,
    val: Val = None,
    show: Show = None,
    base: Base = None,
    query: Query = None,
    seed: Seed = 0,
    start_from: From = None,
    max_minutes: Minutes = None,
    device: Device = "auto",
    force: claims.Force = False,
) -> int:
    """Train with short+long-term attention (Zheng et al. 2019), contextual attention (Yu et al. 2018) and none.

    Shows fills with each, and where it looks from a point in the hole.
    """
    return _go(
        "attention", data, out, budget, val, show, base, seed, start_from, max_minutes, device, query, force=force
    )


@app.command("fusion-blocks", short_help="0, 1, 3 and 6 fusion blocks.")
def fusion_blocks(
    data: Data,
    budget: Budget,
    out: Out,
    val: Val = None,
    show: Show = None,
    base: Base = None,
    seed: Seed = 0,
    start_from: From = None,
    max_minutes: Minutes = None,
    device: Device = "auto",
    force: claims.Force = False,
) -> int:
    """Train a DFNet with 0, 1, 3 and 6 fusion blocks (Hong et al. 2019).

    Shows each level's picture, the alpha that blends it, and the error at the hole's rim.
    """
    return _go("fusion-blocks", data, out, budget, val, show, base, seed, start_from, max_minutes, device, force=force)


@app.command("attention-map", short_help="Where a trained model looks.")
def attention_map(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo.", exists=True, dir_okay=False)],
    mask: Annotated[
        Path, typer.Option("--mask", help="What to fill: white = fill, the photo's size.", exists=True, dir_okay=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="The picture, PNG. Default: PHOTO_attention.png beside the photo."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="A name (see: manyfill models) or a .safetensors file.")
    ] = zoo.DEFAULT,
    query: Query = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that manyfill did not write.")] = False,
) -> int:
    """Trains nothing: draws where a model looks from one point of a photo.

    Yellow: looked at most; violet: hardly. The picture is the part of the photo that the model sees at that point.
    """
    point = _point(query)
    from PIL import Image

    from manyfill import comparison, photos

    path = out or photo.with_name(f"{photo.stem}_attention.png")
    ledger.check(path, force=force)
    picture = comparison.attention_of_photo(model, photo, mask, point)
    photos.write(photos.read(Image.fromarray(picture)), path, format="png")
    ledger.remember(path, files.sha256_of(path))
    console.out(str(path))
    return 0


def _go(
    kind: str,
    data: list[Path],
    out: Path,
    budget: int,
    val: list[Path] | None,
    show: list[Path] | None,
    base: str | None,
    seed: int,
    start_from: str | None,
    max_minutes: float | None,
    device: str,
    query: str | None = None,
    *,
    force: bool,
) -> int:
    point = _point(query)
    from manyfill import comparison, recipes

    found = recipes.find(base) if base else None
    names = (*comparison.FILES, *comparison.variants(kind, found or comparison.BASES[kind]))
    claims.check(out, names, ours=claims.has_comparison(out), force=force)

    if not val:
        console.say("no --val: the scores are those of photos that were trained on, which flatters all variants")
    report = comparison.compare(
        kind,
        data,
        out,
        budget=budget,
        val=val or (),
        show=show or (),
        base=found,
        seed=seed,
        query=point,
        start_from=start_from,
        max_minutes=max_minutes,
        device=None if device == "auto" else device,
        watch=console.log,
    )
    for row in report.rows:
        if row.diverged:
            console.say(f"{row.variant} diverged. {row.diverged}")
    if not report.finished:
        console.say(f"not every variant has had its {budget:,} images yet: the same command goes on")
    for name in comparison.FILES[1:]:
        if (out / name).is_file():
            console.out(str(out / name))
    return 0


def _point(query: str | None) -> tuple[float, float] | None:
    if query is None:
        return None
    try:
        row, column = (float(part) for part in query.split(","))
    except ValueError:
        row = column = -1.0
    if not (0 <= row <= 1 and 0 <= column <= 1):
        raise ManyfillError(
            f"--query is '{query}'; expected ROW,COL as shares of the photo's height and width, such as 0.5,0.25."
        )
    return row, column
