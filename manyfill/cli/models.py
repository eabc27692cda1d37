"""`manyfill models`: what is installed."""

from __future__ import annotations

import json
import textwrap
from shutil import get_terminal_size
from typing import Annotated

import typer

from manyfill import fetchables, zoo
from manyfill.cli import console
from manyfill.fillers import FILLERS, Filler

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def models(
    json_wanted: Annotated[bool, typer.Option("--json", help="The same as JSON, for programs.")] = False,
) -> int:
    """List the installed models: size, licence, training data, results, path; then others that --model takes."""
    if json_wanted:
        fetched = [_fetchable_entry(fetchables.find(name)) for name in fetchables.models()]
        entries = [
            *(_entry(model) for model in zoo.ZOO.values()),
            *fetched,
            *(_filler_entry(f) for f in FILLERS.values()),
        ]
        console.out(json.dumps(entries, indent=2, ensure_ascii=False))
        return 0
    width = max(60, min(120, get_terminal_size((100, 24)).columns))
    for model in zoo.ZOO.values():
        default = " (default)" if model.name == zoo.default() else ""
        console.out(f"{model.name}{default}")
        measured = ", ".join(_in_words(name, value) for name, value in model.measured.items())
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
    console.out("other people's models: --model takes these names, and files like them (docs/models.md)")
    for name in fetchables.models():
        one = fetchables.find(name)
        state = f"fetched: {one.paths[0]}" if one.fetched else f"not fetched: manyfill fetch {name}"
        _row(name, f"{one.what}; many fills; {one.licence}; {state}", width, column=14)
    console.out("without weights, for comparison: --model takes these names, too")
    for filler in FILLERS.values():
        fills = "many fills" if filler.seeded else "one fill"
        missing = "" if filler.version else f"; MISSING: pip install {filler.package}"
        _row(filler.name, f"{filler.what}; {fills}; {filler.source}, {filler.licence}{missing}", width, column=14)
    return 0


def _in_words(name: str, value: float) -> str:
    """`hole_psnr` and its like, as a person would say it."""
    words = {
        "hole_psnr": "PSNR {:.2f} dB in the hole",
        "hole_l1": "mean error {:.1f} of 255 in the hole",
        "hole_between_fills": "two fills differ by {:.1f} of 255",
    }
    return words[name].format(value) if name in words else f"{name.replace('_', ' ')} {value:.4g}"


def _row(key: str, value: str, width: int, column: int = 12) -> None:
    lines = textwrap.wrap(value, width - column - 2, break_long_words=False, break_on_hyphens=False) or [""]
    for first, line in zip([key, *[""] * len(lines)], lines, strict=False):
        console.out(f"  {first:<{column}}{line}")


def _entry(model: zoo.Pretrained) -> dict[str, object]:
    return {
        "name": model.name,
        "default": model.name == zoo.default(),
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


def _fetchable_entry(one: fetchables.Fetchable) -> dict[str, object]:
    return {
        "name": one.name,
        "default": False,
        "family": "onnx",
        "size": one.size,
        "licence": one.licence,
        "source": one.package,
        "what": one.what,
        "path": str(one.paths[0]),
        "installed": one.fetched,
        "sha256": one.sha256,
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
