"""`manyfill train`: a recipe, photos, a folder for the run."""

from __future__ import annotations

import json
import os
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
    with console.log(recipe.rpartition(":")[2]) as progress:
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
