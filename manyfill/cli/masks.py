"""`manyfill masks`: random masks, each drawn again by its seed alone."""

from __future__ import annotations

import csv
import difflib
import io
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from manyfill import files
from manyfill.cli import console
from manyfill.errors import ManyfillError
from manyfill.jobs import ledger

app = typer.Typer(add_completion=False, rich_markup_mode=None)

MANIFEST = "manifest.csv"
COLUMNS = ("file", "kind", "seed", "height", "width", "hole_ratio", "sha256")


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
    force: Annotated[
        bool, typer.Option("--force", help="Replace existing files even if manyfill did not write them.")
    ] = False,
) -> int:
    """Write random masks: PNG, white = fill, and manifest.csv with each one's seed, hole ratio and checksum.

    Masks already in the folder stay, with their lines in manifest.csv; a file of the same name is replaced only if
    manyfill wrote it.
    """
    width, height = parse_wh(size)

    import cv2
    import numpy as np

    from manyfill.masks import KINDS, ratio

    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ManyfillError(f"no masks of kind '{kind}'.{hint} All: {', '.join(KINDS)}.")
    digits = max(4, len(str(count - 1)))
    names = [f"{kind}_{index:0{digits}d}.png" for index in range(count)]

    def drawn(index: int) -> tuple[bytes, float]:
        hole = KINDS[kind](height, width, np.random.default_rng(seed + index))
        _, data = cv2.imencode(".png", (hole[0, 0].numpy() * 255).astype(np.uint8))
        return data.tobytes(), ratio(hole)

    earlier = _read_manifest(out / MANIFEST)
    ledger.check(out / MANIFEST, force=force)
    for index, name in enumerate(names):  # all are looked at before the first is written
        path = out / name
        if path.is_symlink():
            ledger.check(path)
        if force or not os.path.lexists(path) or ledger.is_ours(path, (earlier.get(name, {}).get("sha256", ""),)):
            continue
        if not path.is_file() or files.read(path).data != drawn(index)[0]:
            raise ledger.refusal(path)
    out.mkdir(parents=True, exist_ok=True)
    rows = {name: row for name, row in earlier.items() if (out / name).is_file()}
    with console.bar("masks") as progress:
        try:
            for index, name in enumerate(names):
                data, hole_ratio = drawn(index)
                files.write_atomic(out / name, data, follow=False)
                about = (name, kind, seed + index, height, width, f"{hole_ratio:.6f}", sha256(data).hexdigest())
                rows[name] = dict(zip(COLUMNS, map(str, about), strict=True))
                if progress is not None:
                    progress("masks", index + 1, count)
        finally:  # also of a run that is interrupted: the next one then knows which are its own
            _write_manifest(out / MANIFEST, rows)
    console.out(str(out))
    console.say(f"{console.count(count, 'mask')} and {MANIFEST}")
    return 0


def _read_manifest(path: Path) -> dict[str, dict[str, str]]:
    """What earlier runs wrote to the folder, by file name; nothing where there is none, or it is somebody else's."""
    try:
        rows = csv.DictReader(io.StringIO(files.read(path).data.decode()))
        if tuple(rows.fieldnames or ()) != COLUMNS:
            return {}
        return {row["file"]: {name: row[name] or "" for name in COLUMNS} for row in rows if row["file"]}
    except (OSError, ValueError, csv.Error):
        return {}


def _write_manifest(path: Path, rows: Mapping[str, Mapping[str, str]]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for _, row in sorted(rows.items()))
    ledger.write(path, table.getvalue().encode(), force=True)  # whether it is ours was asked before the first mask


def parse_wh(text: str) -> tuple[int, int]:
    """`512` or `640x480` as (width, height)."""
    found = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip().lower())
    width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not (0 < width <= 65_536 and 0 < height <= 65_536):
        raise ManyfillError(f"--size is {text!r}; expected a side in pixels such as 512, or WxH such as 640x480.")
    return width, height
