"""`manyfill import`: the authors' checkpoints become a model file that `--model` takes everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from manyfill import files
from manyfill.cli import console
from manyfill.errors import ManyfillError
from manyfill.jobs import ledger

app = typer.Typer(
    help="Turn the authors' PICNet or DFNet checkpoints into a model file. A tensor that is missing, left over or of "
    "another shape is an error that names it.",
    add_completion=False,
    rich_markup_mode=None,
)

Out = Annotated[Path, typer.Option("-o", "--out", help="The model file to write, .safetensors.", dir_okay=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file even if manyfill did not write it.")]


@app.command()
def picnet(
    encoder: Annotated[Path, typer.Option("--encoder", help="latest_net_E.pth", exists=True, dir_okay=False)],
    generator: Annotated[Path, typer.Option("--generator", help="latest_net_G.pth", exists=True, dir_okay=False)],
    out: Out,
    discriminator: Annotated[
        Path | None,
        typer.Option(
            "--discriminator",
            help="latest_net_D.pth: kept as the critic that ranks fills.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    force: Force = False,
) -> int:
    """Import PICNet: encoder, generator and, for ranking, the discriminator."""
    _check(out, force=force)
    from manyfill.weights import import_picnet

    return _tell(import_picnet(encoder, generator, discriminator, out))


@app.command()
def dfnet(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="model_places2.pth and the like.", exists=True, dir_okay=False)
    ],
    out: Out,
    channels: Annotated[
        Literal["bgr", "rgb"],
        typer.Option("--channels", help="The order it was trained on; the authors' checkpoints: bgr."),
    ] = "bgr",
    force: Force = False,
) -> int:
    """Import DFNet."""
    _check(out, force=force)
    from manyfill.weights import import_dfnet

    return _tell(import_dfnet(checkpoint, out, channels))


def _check(out: Path, *, force: bool) -> None:
    if out.suffix != ".safetensors":
        raise ManyfillError(f"-o {out} must end in .safetensors, so that --model recognises it as a file.")
    ledger.check(out, force=force)


def _tell(path: Path) -> int:
    ledger.remember(path, files.sha256_of(path))
    console.out(str(path))
    console.say(f"{path.stat().st_size / 1e6:.1f} MB; use it with: manyfill complete PHOTO --mask MASK --model {path}")
    return 0
