"""`manyfill masks`: random masks, each drawn again by its seed alone."""

from __future__ import annotations

import csv
import difflib
import io
import re
from pathlib import Path
from typing import Annotated

import typer

from manyfill.cli import console
from manyfill.errors import ManyfillError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

MANIFEST = "manifest.csv"


@app.command()
def masks(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="The folder to write to.", file_okay=False)],
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="center, box, boxes, lines, strokes, strokes_and_box, free_form, thin, medium, thick, thick_training, "
            "blobs, border, or bin1 ... bin6: a hole ratio in 1-10 % ... 50-60 %.",
        ),
    ] = "strokes",
    count: Annotated[int, typer.Option("--count", min=1, help="How many.")] = 1,
    size: Annotated[str, typer.Option("--size", help="Side in pixels, or WxH.")] = "512",
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first mask's seed; the next ones count up.")] = 0,
) -> int:
    """Write random masks: PNG, white = fill, and manifest.csv with each one's seed and hole ratio."""
    width, height = parse_wh(size)

    import cv2
    import numpy as np

    from manyfill.masks import KINDS, ratio
    from manyfill.photos import write_atomic

    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ManyfillError(f"no masks of kind '{kind}'.{hint} All: {', '.join(KINDS)}.")
    out.mkdir(parents=True, exist_ok=True)
    digits = max(4, len(str(count - 1)))
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["file", "kind", "seed", "height", "width", "hole_ratio"])
    with console.bar("masks") as progress:
        for index in range(count):
            hole = KINDS[kind](height, width, np.random.default_rng(seed + index))
            name = f"{kind}_{index:0{digits}d}.png"
            _, data = cv2.imencode(".png", (hole[0, 0].numpy() * 255).astype(np.uint8))
            write_atomic(out / name, data.tobytes())
            rows.writerow([name, kind, seed + index, height, width, f"{ratio(hole):.6f}"])
            if progress is not None:
                progress("masks", index + 1, count)
    write_atomic(out / MANIFEST, table.getvalue().encode())
    console.out(str(out))
    console.say(f"{console.count(count, 'mask')} and {MANIFEST}")
    return 0


def parse_wh(text: str) -> tuple[int, int]:
    """`512` or `640x480` as (width, height)."""
    found = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip().lower())
    width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not (0 < width <= 65_536 and 0 < height <= 65_536):
        raise ManyfillError(f"--size is {text!r}; expected a side in pixels such as 512, or WxH such as 640x480.")
    return width, height
