"""`manyfill evaluate`: models, fillers and folders of results, measured on the same photos with the same holes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from manyfill import zoo
from manyfill.cli import claims, console
from manyfill.cli.options import parse_texture
from manyfill.errors import ManyfillError

if TYPE_CHECKING:
    from manyfill.evaluation import Setup, Source

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
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Folder for the report; an interrupted run in it is continued.",
            file_okay=False,
        ),
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
            help="Another program's results: NAME.png, or NAME_1.png, NAME_2.png ... for several fills; "
            "repeat it for more.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            "--masks",
            metavar="bins|KIND|DIR",
            help="bins: the six hole-ratio bins from 1 to 60 % in turn; a kind, such as center, thin, medium, thick, "
            "border (see: manyfill masks --help); or a folder of masks that pair by their path without suffix.  "
            "[default: bins]",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            metavar="NAME",
            help="What a paper measured: picnet-imagenet, picnet-diversity or dfnet. Sets photos, masks, size, fills "
            "and metrics, and measures the bare network; other options change parts of it.",
        ),
    ] = None,
    composite: Annotated[
        Literal["full", "paper"] | None,
        typer.Option(
            "--composite",
            help="paper: the bare network, (1-M) out + M I, without windows, closed seams and texture. "
            "[default: full; paper with --protocol]",
            show_default=False,
        ),
    ] = None,
    fit: Annotated[
        Literal["keep", "squeeze", "crop"] | None,
        typer.Option(
            "--fit",
            help="keep: reduce to --size; squeeze: the whole photo to a square of --size; crop: its middle square.  "
            "[default: keep; squeeze with --protocol or --composite paper]",
            show_default=False,
        ),
    ] = None,
    grey_masks: Annotated[
        bool,
        typer.Option(
            "--grey-masks", help="Resize masks of a folder bilinearly and leave them grey, as DFNet's release does."
        ),
    ] = False,
    inception: Annotated[
        Path | None,
        typer.Option(
            "--inception",
            metavar="FILE",
            help="FID's network as a TorchScript file, for FID, KID, IS, P-IDS and U-IDS (docs/metrics.md).",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--n",
            min=1,
            max=256,
            help="Fills per photo, of sources that have several.  [default: 1]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the first fill, and of the masks.")] = 0,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            min=0,
            help="Photos are reduced to this short side in pixels; 0 leaves them.  [default: 512]",
            show_default=False,
        ),
    ] = None,
    multiple: Annotated[
        int, typer.Option("--multiple", min=1, help="Crop photos to a multiple of this, for programs that need it.")
    ] = 1,
    photos: Annotated[int | None, typer.Option("--photos", min=1, help="Only the first N photos.")] = None,
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
        typer.Option("--metrics", metavar="NAME,...", help="Default: all that are available (docs/metrics.md)."),
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
    force: claims.Force = False,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where nets run.")] = "auto",
    engine: Annotated[str, typer.Option("--engine", help="What runs the net; as in manyfill complete.")] = "auto",
) -> int:
    """Measure models, fillers and folders of results on the same photos with the same holes, side by side.

    Writes report.md, report.html, report.json and report.csv. An interrupted run continues where it stopped; under
    torchrun the processes share the photos.
    """
    from manyfill.evaluation import Cases, Setup
    from manyfill.evaluation.published import find

    published = None if protocol is None else find(protocol)
    composite = composite or ("full" if published is None else "paper")
    usual = Setup(fit="squeeze" if composite == "paper" else "keep") if published is None else published.setup
    given = {"masks": masks, "size": size, "fit": fit, "limit": photos, "grey_masks": grey_masks or None}
    if protocol == "dfnet" and masks is not None and Path(masks).is_dir():
        given["grey_masks"] = True
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    setup = replace(usual, multiple=multiple, seed=seed, rounds=rounds, **changes)
    if write_set is not None:
        return _write_set(data, write_set, setup, force=force)
    if out is None:
        raise ManyfillError("say which folder the report goes to: -o DIR.")
    from manyfill.evaluation import evaluate as run
    from manyfill.evaluation import journal, pictures, writing

    claims.check(out, (*writing.FILES, journal.FILE, pictures.FOLDER), ours=claims.has_results(out), force=force)

    if composite == "paper" and (texture or filled):
        what = "--texture" if texture else "--filled"
        raise ManyfillError(f"the paper's composite is of a network alone: leave {what} out, or say --composite full.")
    textures = [parse_texture(text) for text in texture or ["auto"]]
    names = model or ([] if filled else [zoo.default()])
    sources: list[Source] = _sources(names, filled or [], textures, device, engine, bare=composite == "paper")
    wanted = None if published is None else list(published.metrics)
    if metrics is not None:
        wanted = [name.strip() for name in metrics.split(",") if name.strip()]
    with console.bar("photos") as progress:
        report = run(
            sources,
            Cases(data, setup),
            n=n or (1 if published is None else published.n),
            metrics=wanted,
            inception=inception,
            published=published,
            perceptual_size=perceptual_size,
            out=out,
            progress=progress,
        )
    if os.environ.get("RANK", "0") != "0":  # the first process of a torchrun writes for all
        return 0
    for path in writing.write(report, out):
        console.out(str(path))
    if report.left_out:
        console.say(f"note: not measured: {', '.join(report.left_out)} (why, and what to do: at the end of report.md)")
    for name, why in report.skipped.items():
        console.say(f"skipped: {name}: {why}")
    return 1 if report.skipped else 0


def _sources(
    names: list[str], folders: list[Path], textures: list[str | float], device: str, engine: str, *, bare: bool
) -> list[Source]:
    from manyfill.completer import Completer
    from manyfill.evaluation import Bare, Filling, Folder
    from manyfill.fillers import FILLERS

    sources: list[Source] = []
    for name in names:
        with console.status(f"loading {name}"):
            completer = Completer.from_pretrained(name, device=None if device == "auto" else device, engine=engine)
        if bare:
            sources.append(Bare(completer))
            continue
        for texture in ["auto"] if name in FILLERS else textures:
            sources.append(Filling(completer, texture=texture))
    sources += [Folder(folder) for folder in folders]
    return sources


def _write_set(data: list[Path], out: Path, setup: Setup, *, force: bool) -> int:
    from manyfill.evaluation import write_set

    with console.bar("photos") as progress:
        written, skipped = write_set(data, out, setup, force=force, progress=progress)
    console.out(str(out))
    console.say(f"{console.count(written, 'photo')} and as many masks (white = fill) in photos/ and masks/")
    for name, why in skipped.items():
        console.say(f"skipped: {name}: {why}")
    return 1 if skipped else 0
