"""`manyfill train`: a recipe, photos, a folder for the run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from manyfill.cli import claims, console

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def train(
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="A recipe's name, or FILE.py:NAME for one of your own.")
    ],
    data: Annotated[
        list[Path],
        typer.Option("--data", help="A folder of photos or a .tar shard; repeat it for more.", exists=True),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="RUN", help="The run's folder; a run in it is resumed.", file_okay=False)
    ],
    images: Annotated[
        int | None,
        typer.Option(
            "--images", min=1, help="Train until this many images have been seen. Default: the recipe's number."
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="WEIGHTS", help="Start from a model's weights (name or file), fresh optimisers."
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Start --from a model also where less than half of it fits.")
    ] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", min=0.0, help="Stop after this time; the same command goes on later."),
    ] = None,
    val: Annotated[
        list[Path] | None,
        typer.Option("--val", help="Photos to check the model with while it trains: folder or shard.", exists=True),
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option("--labels", help="Labels of `manyfill label`, a folder or shard; repeat it.", exists=True),
    ] = None,
    label_share: Annotated[
        float, typer.Option("--label-share", min=0.0, max=1.0, help="Share of the samples that are labels.")
    ] = 0.5,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where to train.")] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the recipe and the photos found, and train nothing.")
    ] = False,
    force: claims.Force = False,
) -> int:
    """Train a model, or go on with a training run: the same command again, or with a larger --images, resumes."""
    from manyfill import recipes

    found = recipes.find_all(recipe)
    if dry_run:
        from manyfill.data import open_photos
        from manyfill.training.stages import shared_out
        from manyfill.training.step import check

        for stage in shared_out(found, images):
            console.out(json.dumps(stage.described(), indent=2, ensure_ascii=False))
            check(stage)
        console.say(f"{console.count(len(open_photos(data)), 'photo')} in {', '.join(str(path) for path in data)}")
        console.say(f"would {'go on with' if (out / 'stats.jsonl').is_file() else 'start'} {out}; nothing was trained")
        return 0
    claims.check_run(out, force=force, stages=recipes.stage_folders(found))
    from manyfill import memory
    from manyfill.training import train_stages

    memory.keep_freed()
    with _watched(recipe.rpartition(":")[2]) as progress:
        train_stages(
            found,
            data,
            out,
            images=images,
            start_from=start_from,
            partial=partial,
            max_minutes=max_minutes,
            val=val or (),
            labels=labels or (),
            label_share=label_share,
            device=None if device == "auto" else device,
            progress=progress,
        )
    if os.environ.get("RANK", "0") == "0":  # one of torchrun's processes is enough to tell
        console.out(str(out / "model.safetensors"))
    return 0


@contextmanager
def _watched(what: str) -> Iterator[Callable[[int, int, Mapping[str, float]], None]]:
    """For hours of work, fed with (images seen, images in all, numbers): a bar on a terminal, lines in a log file."""
    if not sys.stderr.isatty():

        def line(done: int, total: int, numbers: Mapping[str, float]) -> None:
            console.say(f"{what}: {done:,} of {total:,} images{_numbers(numbers)}")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"{what}: reading photos", total=None, numbers="")

        def advance(done: int, total: int, numbers: Mapping[str, float]) -> None:
            description = f"{what}: {done:,} of {total:,} images"
            if "seconds_left" not in numbers:  # those of --val stay on the screen
                progress.console.print(f"{description}{_numbers(numbers)}", highlight=False)
                return
            progress.update(task, description=description, completed=done, total=total, numbers=_numbers(numbers))

        yield advance


def _numbers(numbers: Mapping[str, float]) -> str:
    """Speed, time left, then the terms; those by bin are for the files."""
    text = ""
    if "images_per_second" in numbers:
        text += f", {numbers['images_per_second']:.3g} images/s"
    if "seconds_left" in numbers:
        text += f", {_time(numbers['seconds_left'])} left"
    own = ("images_per_second", "seconds_left")
    terms = [f"{name} {value:.4g}" for name, value in numbers.items() if name not in own and " " not in name]
    return f"{text}  {'  '.join(terms)}" if terms else text


def _time(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`, `5 d 2 h`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
