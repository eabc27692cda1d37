"""`manyfill evaluate`: models, fillers and folders of results, measured on the same photos with the same holes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from manyfill import zoo
from manyfill.cli import console
from manyfill.cli.complete import parse_texture
from manyfill.errors import ManyfillError

if TYPE_CHECKING:
    from manyfill.evaluation import Protocol, Source

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def evaluate(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data", metavar="DIR", help="A folder of whole photos or a .tar shard; repeat it for more.", exists=True
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Where the report goes; a run in it goes on.", file_okay=False),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME|FILE",
            help="A model's name or file, or a filler (see: manyfill models); repeat it to compare. Differences are "
            "measured against the first. Default: the flagship, where no --filled is given.",
        ),
    ] = None,
    filled: Annotated[
        list[Path] | None,
        typer.Option(
            "--filled",
            metavar="DIR",
            help="Somebody's results: NAME.png, or NAME_1.png, NAME_2.png ... for several fills; repeat it for more.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    masks: Annotated[
        str,
        typer.Option(
            "--masks",
            metavar="bins|KIND|DIR",
            help="bins: the six hole-ratio bins from 1 to 60 % in turn; a kind, such as center, thin, medium, thick, "
            "border (see: manyfill masks --help); or a folder of masks that pair by their path without suffix.",
        ),
    ] = "bins",
    n: Annotated[
        int, typer.Option("-n", "--n", min=1, max=64, help="Fills per photo, of sources that have several.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the first fill, and of the masks.")] = 0,
    size: Annotated[
        int, typer.Option("--size", min=0, help="Photos are reduced to this short side in pixels; 0 leaves them.")
    ] = 512,
    multiple: Annotated[
        int, typer.Option("--multiple", min=1, help="Crop photos to a multiple of this, for programs that need it.")
    ] = 1,
    photos: Annotated[int | None, typer.Option("--photos", min=1, help="Only the first so many photos.")] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, max=6, help="Holes per photo; with --masks bins each of another bin.")
    ] = 1,
    texture: Annotated[
        list[str] | None,
        typer.Option(
            "--texture",
            metavar="auto|net|photo|0..1",
            help="As in manyfill complete; repeat it to measure each model with each.  [default: auto]",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="NAME,...", help="Default: all that can be had (docs/metrics.md)."),
    ] = None,
    perceptual_size: Annotated[
        int,
        typer.Option("--perceptual-size", min=0, help="Short side at which feature maps are compared; 0: as it is."),
    ] = 256,
    write_set: Annotated[
        Path | None,
        typer.Option(
            "--write-set",
            metavar="DIR",
            help="Only write photos and masks as they are measured, for other programs to fill.",
            file_okay=False,
        ),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where nets run.")] = "auto",
    engine: Annotated[str, typer.Option("--engine", help="What runs the net; as in manyfill complete.")] = "auto",
) -> int:
    """Measure models, fillers and folders of results on the same photos with the same holes, side by side.

    Writes report.md, report.html, report.json and report.csv. An interrupted run goes on where it was; under torchrun
    the processes share the photos.
    """
    from manyfill.evaluation import Protocol

    protocol = Protocol(masks=masks, size=size, multiple=multiple, seed=seed, limit=photos, rounds=rounds)
    if write_set is not None:
        return _write_set(data, write_set, protocol)
    if out is None:
        raise ManyfillError("say which folder the report goes to: -o DIR.")
    from manyfill.evaluation import evaluate as run

    textures = [parse_texture(text) for text in texture or ["auto"]]
    names = model or ([] if filled else [zoo.default()])
    sources: list[Source] = _sources(names, filled or [], textures, device, engine)
    with console.bar("photos") as progress:
        report = run(
            sources,
            data,
            masks=masks,
            n=n,
            size=size,
            seed=seed,
            photos=photos,
            rounds=rounds,
            multiple=multiple,
            metrics=None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()],
            perceptual_size=perceptual_size,
            out=out,
            progress=progress,
        )
    if os.environ.get("RANK", "0") != "0":  # the first process of a torchrun writes for all
        return 0
    for path in report.write(out):
        console.out(str(path))
    if report.left_out:
        console.say(f"note: not measured: {', '.join(report.left_out)} (why, and what to do: at the end of report.md)")
    for name, why in report.skipped.items():
        console.say(f"skipped: {name}: {why}")
    return 1 if report.skipped else 0


def _sources(
    names: list[str], folders: list[Path], textures: list[str | float], device: str, engine: str
) -> list[Source]:
    from manyfill.completer import Completer
    from manyfill.evaluation import Filling, Folder
    from manyfill.fillers import FILLERS

    sources: list[Source] = []
    for name in names:
        with console.status(f"loading {name}"):
            completer = Completer.from_pretrained(name, device=None if device == "auto" else device, engine=engine)
        for texture in ["auto"] if name in FILLERS else textures:
            sources.append(Filling(completer, texture=texture))
    sources += [Folder(folder) for folder in folders]
    return sources


def _write_set(data: list[Path], out: Path, protocol: Protocol) -> int:
    from manyfill.evaluation import write_set

    with console.bar("photos") as progress:
        written, skipped = write_set(data, out, protocol, progress=progress)
    console.out(str(out))
    console.say(f"{console.count(written, 'photo')} and as many masks (white = fill) in photos/ and masks/")
    for name, why in skipped.items():
        console.say(f"skipped: {name}: {why}")
    return 1 if skipped else 0
