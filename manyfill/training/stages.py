"""Several recipes in one run, each from the model of the one before it: `--recipe open-flagship`."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from manyfill import files
from manyfill.recipes import Recipe, stage_folders
from manyfill.training.loop import train

MODEL = "model.safetensors"


def shared_out(stages: Sequence[Recipe], images: int | None) -> tuple[Recipe, ...]:
    """The stages with their share of `images` in all, in the recipes' proportion; at least one batch each."""
    if images is None:
        return tuple(stages)
    if len(stages) == 1:
        return (dataclasses.replace(stages[0], images=images),)
    whole = sum(stage.images for stage in stages)
    shares = [max(round(images * stage.images / whole), stage.batch) for stage in stages]
    return tuple(dataclasses.replace(stage, images=share) for stage, share in zip(stages, shares, strict=True))


def train_stages(
    stages: Sequence[Recipe],
    data: Sequence[Path],
    run_dir: Path,
    *,
    images: int | None = None,
    start_from: str | None = None,
    max_minutes: float | None = None,
    **options: Any,
) -> int:
    """Train one stage after the other; the same call again goes on where it stopped. Returns the images seen in all.

    One stage is a plain run in `run_dir`. Of several, each has its folder below it, RUN/1-open-start ..., and the last
    one's model ends up as RUN/model.safetensors. `images` and `max_minutes` are of all stages together; the other
    options are those of `train`.
    """
    if len(stages) == 1:
        return train(stages[0], data, run_dir, images=images, start_from=start_from, max_minutes=max_minutes, **options)
    began, seen = time.monotonic(), 0
    for number, stage in enumerate(shared_out(stages, images)):
        folder = run_dir / stage_folders(stages)[number]
        left = None if max_minutes is None else max_minutes - (time.monotonic() - began) / 60
        if left is not None and left <= 0 and number:
            return seen
        reached = train(stage, data, folder, start_from=start_from, max_minutes=left, **options)
        seen += reached
        if reached < stage.images:  # out of time
            return seen
        start_from = str(folder / MODEL)
    if os.environ.get("RANK", "0") == "0":
        files.write_atomic(run_dir / MODEL, (folder / MODEL).read_bytes())
    return seen
