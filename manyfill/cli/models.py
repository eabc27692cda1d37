"""`manyfill models`: what is installed."""

from __future__ import annotations

import json
import textwrap
from shutil import get_terminal_size
from typing import Annotated

import typer

from manyfill import zoo
from manyfill.cli import console

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def models(
    json_wanted: Annotated[bool, typer.Option("--json", help="The same as JSON, for programs.")] = False,
) -> int:
    """List the installed models: size, licence, training data, measured results, path."""
    if json_wanted:
        console.out(json.dumps([_entry(model) for model in zoo.ZOO.values()], indent=2, ensure_ascii=False))
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
            room = 10_000 if key == "path" else width  # a path stays in one piece
            lines = textwrap.wrap(value, room - 14, break_long_words=False, break_on_hyphens=False) or [""]
            console.out(f"  {key:<12}{lines[0]}")
            for line in lines[1:]:
                console.out(f"  {'':<12}{line}")
    if not zoo.ZOO:
        console.out("no models are installed; --model takes a .safetensors file (see: manyfill import --help).")
    return 0


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
