"""`manyfill models`: what is installed."""

from __future__ import annotations

import json
import textwrap
from shutil import get_terminal_size
from typing import Annotated

import typer

from manyfill import zoo
from manyfill.cli import console
from manyfill.fillers import FILLERS, Filler

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def models(
    json_wanted: Annotated[bool, typer.Option("--json", help="The same as JSON, for programs.")] = False,
) -> int:
    """List the installed models: size, licence, training data, measured results, path; then fillers without weights."""
    if json_wanted:
        entries = [*(_entry(model) for model in zoo.ZOO.values()), *(_filler_entry(f) for f in FILLERS.values())]
        console.out(json.dumps(entries, indent=2, ensure_ascii=False))
        return 0
    width = max(60, min(120, get_terminal_size((100, 24)).columns))
    for model in zoo.ZOO.values():
        default = " (default)" if model.name == zoo.DEFAULT else ""
        console.out(f"{model.name}{default}")
        measured = ", ".join(f"{name} {value:.4g}" for name, value in model.measured.items())
        rows = {
            "size": f"{model.size / 1e6:.1f} MB",
            "licence": model.licence,
            "trained on": f"{model.trained_on} ({model.images_seen:,} images seen)",
            "measured": measured or "nothing yet",
            "path": str(model.path) + ("" if model.path.is_file() else "   MISSING"),
        }
        for key, value in rows.items():
            _row(key, value, 10_000 if key == "path" else width)  # a path stays in one piece
    if not zoo.ZOO:
        console.out("no models are installed; --model takes a .safetensors file (see: manyfill import --help).")
    console.out("without weights, to compare with: --model takes these names, too")
    for filler in FILLERS.values():
        fills = "many fills" if filler.seeded else "one fill"
        missing = "" if filler.version else f"; MISSING: pip install {filler.package}"
        _row(filler.name, f"{filler.what}; {fills}; {filler.source}, {filler.licence}{missing}", width, column=14)
    return 0


def _row(key: str, value: str, width: int, column: int = 12) -> None:
    lines = textwrap.wrap(value, width - column - 2, break_long_words=False, break_on_hyphens=False) or [""]
    for first, line in zip([key, *[""] * len(lines)], lines, strict=False):
        console.out(f"  {first:<{column}}{line}")


def _entry(model: zoo.Pretrained) -> dict[str, object]:
    return {
        "name": model.name,
        "default": model.name == zoo.DEFAULT,
        "family": model.family,
        "size": model.size,
        "licence": model.licence,
        "trained_on": model.trained_on,
        "images_seen": model.images_seen,
        "measured": dict(model.measured),
        "path": str(model.path),
        "installed": model.path.is_file(),
        "sha256": model.sha256,
    }


def _filler_entry(filler: Filler) -> dict[str, object]:
    return {
        "name": filler.name,
        "default": False,
        "family": "without weights",
        "size": 0,
        "licence": filler.licence,
        "source": filler.source,
        "what": filler.what,
        "installed": bool(filler.version),
    }
