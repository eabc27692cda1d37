"""Folders that a command writes to: nothing in them is replaced but what an earlier run of the command left there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from manyfill import files
from manyfill.jobs import ledger

RUN = (
    "recipe.json", "stats.jsonl", "skipped.txt", "curves.png", "model.safetensors", "best.json", "best.safetensors",
    "checkpoints", "pictures", "tensorboard",
)  # fmt: skip

Force = Annotated[bool, typer.Option("--force", help="Replace files in the folder that manyfill did not write.")]


def check(folder: Path, names: Iterable[str], *, ours: bool, force: bool) -> None:
    """Raise CannotWrite for the first of these that may not be replaced. `ours`: an earlier run has written there.

    A link is refused even with `force`: what it points to would be replaced, and that may be anything.
    """
    for name in names:
        path = folder / name
        if path.is_symlink():
            ledger.check(path)
        if not (force or ours or not os.path.lexists(path) or ledger.is_ours(path)):
            raise ledger.refusal(path)


def check_run(folder: Path, *, force: bool, stages: Iterable[str] = ()) -> None:
    """The same for what `train` writes; `stages`: the folders of a run's stages."""
    names = [str(Path(stage) / name) for stage in stages for name in RUN]
    ours = any("objective" in _read(folder / stage / "recipe.json") for stage in ("", *stages))
    check(folder, [*RUN, *names], ours=ours, force=force)


def has_results(folder: Path) -> bool:
    """Whether `evaluate` has written there."""
    from manyfill.evaluation.journal import Journal

    journal = Journal(folder)
    return bool(journal.rows or journal.skipped)


def has_comparison(folder: Path) -> bool:
    """Whether `compare` has written there."""
    return "kind" in _read(folder / "comparison.json")


def _read(path: Path) -> dict[str, Any]:
    """A file of ours; nothing where it is missing, or somebody else's."""
    try:
        found = json.loads(files.read(path).data)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
