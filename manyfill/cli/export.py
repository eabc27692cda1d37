"""`manyfill export`: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from manyfill import files
from manyfill.cli import console
from manyfill.errors import ManyfillError
from manyfill.jobs import ledger

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name (see: manyfill models) or a .safetensors file.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The file to write, .onnx.", dir_okay=False)],
    uint8: Annotated[
        bool,
        typer.Option("--uint8", help="Bytes in, bytes out, any size: masking, padding and pasting inside the file."),
    ] = False,
    opset: Annotated[
        int, typer.Option("--opset", min=14, max=20, metavar="N", help="Version of ONNX's operators.")
    ] = 18,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing file even if manyfill did not write it.")
    ] = False,
) -> int:
    """Write a model as one ONNX file, for any runtime and for browsers.

    The file takes any height and width. It is compared with torch at three sizes before it is kept. It draws what the
    network draws; windows around the hole, seams and texture are what manyfill does around it.
    """
    if out.suffix.lower() != ".onnx":
        raise ManyfillError(f"-o {out} must end in .onnx, so that programs recognise it.")
    ledger.check(out, force=force)
    with console.status("exporting, comparing"):
        from manyfill.export import export as to_onnx

        done = to_onnx(model, out, uint8=uint8, opset=opset)
    ledger.remember(done.path, files.sha256_of(done.path))
    console.out(str(done.path))
    sizes = ", ".join(f"{width}x{height}" for height, width in done.sizes)
    unit = "of 255" if uint8 else "of 1"
    console.say(
        f"{done.path.stat().st_size / 1e6:.1f} MB; differs from torch by at most {done.difference:.2g} {unit}"
        f" at {sizes} (width x height)"
    )
    return 0
