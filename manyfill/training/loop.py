"""A run, begun or resumed: the same call again goes on where the last one ended."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import Tensor
from torch.utils.data import Dataset

from manyfill import files, masks
from manyfill.data import PhotoSet, Samples, open_photos
from manyfill.errors import BadWeights, CannotWrite
from manyfill.labels import LabelSamples, LabelSet
from manyfill.nets.picnet import PICNet
from manyfill.objectives import Nets
from manyfill.pool import Fellows, one_of_us
from manyfill.recipes import Recipe
from manyfill.training import checkpoint, processes
from manyfill.training.run import Run
from manyfill.training.step import BadRecipe, Step, build, check, narrow_posterior

LINE_SECONDS = 10.0  # between two lines of numbers
MANY, STREAMED = 100_000, 8192  # photos: larger sets are read in order, so many in a row mixed


Work = TypeVar("Work", bound=Callable[..., Any])


def _alone(work: Work) -> Work:
    """Of the runs in one folder, one at a time; what a full disk says, in one line."""

    @functools.wraps(work)
    def locked(recipe: Recipe, data: Sequence[Path], run_dir: Path, **options: Any) -> Any:
        new = not run_dir.exists()
        with ExitStack() as held:
            if os.environ.get("RANK", "0") == "0":  # of torchrun's processes one is enough
                with files.in_words(run_dir):
                    run_dir.mkdir(parents=True, exist_ok=True)
                held.enter_context(files.lock(run_dir, f"the run in {run_dir}"))
            try:
                return work(recipe, data, run_dir, **options)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
                    raise
                raise CannotWrite(
                    f"{error.filename or run_dir} cannot be written: {error.strerror}. Make room; the same command goes"
                    " on from the last checkpoint."
                ) from error
            finally:
                if new:
                    with suppress(OSError):
                        run_dir.rmdir()  # where nothing came of it

    return cast(Work, locked)


@_alone
def train(
    recipe: Recipe,
    data: Sequence[Path],
    run_dir: Path,
    *,
    images: int | None = None,
    start_from: str | None = None,
    partial: bool = False,
    max_minutes: float | None = None,
    val: Sequence[Path] = (),
    labels: Sequence[Path] = (),
    label_share: float = 0.5,
    device: str | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
    line_seconds: float = LINE_SECONDS,
    many: int = MANY,
) -> int:
    """Train until the clock reaches `images` (the recipe's, unless given); call again to resume or to go on further.

    `data` and `val` are folders or tar shards; `labels` are shards of `manyfill label`, or folders of them, and
    `label_share` of the samples come from there (labels.py). `start_from`: a model name or weights file (fresh
    optimisers, clock at 0), which must fit at least half of the network unless `partial`. RUN holds checkpoints/,
    stats.jsonl, tensorboard/, pictures/, curves.png, model.safetensors (the average; fp32), with `val` also
    best.safetensors and best.json, and, where photos cannot be read, skipped.txt. `progress` hears (images seen, images
    in all, numbers) after the first step and then every `line_seconds`. Of more than `many` photos shards are read one
    after the other. Returns the clock. Ctrl-C saves before it
    leaves. Under torchrun each process takes its share of every batch; a run may be resumed on another number of them.

    Raises BadImage for data without photos, BadRecipe for a recipe that cannot run here, BadWeights for a damaged
    checkpoint or one of another network, Diverged when a loss is not finite.
    """
    if images is not None:
        recipe = dataclasses.replace(recipe, images=images)
    world = processes.join(device)
    check(recipe, world)
    checkpoints = checkpoint.Checkpoints(run_dir, recipe.keep)
    saved = world.agree(checkpoints.newest() if world.main else None)  # others might look while it is being written
    if saved is None and start_from is None and recipe.starts_from is not None:
        raise BadRecipe(f"recipe '{recipe.name}' goes on from a trained model. Give one: --from {recipe.starts_from}.")
    if _truths(recipe) > 1 and not labels:
        raise BadRecipe(
            f"recipe '{recipe.name}' wants {_truths(recipe)} truths of each hole, and a photo holds one. Give labels: "
            "--labels LABELS (manyfill label makes them), or set the objective's `truths` to 1."
        )
    nets = build(recipe)
    if saved is None:
        _begin(recipe, nets, start_from, partial=partial, tell=world.main)
    step = Step(recipe, nets, world.device)
    images_seen = 0 if saved is None else _resume(recipe, step, saved, run_dir, tell=world.main)
    if images_seen >= recipe.images:
        if world.main:
            print(
                f"nothing to do: {run_dir} has seen {images_seen:,} images already; a larger --images goes on",
                file=sys.stderr,
            )
        return images_seen

    fellows = world.fellows()
    room = int(recipe.cache_gib * 2**30)
    photos = one_of_us(fellows, lambda: open_photos(list(data), short_side=recipe.cache_side, cache_bytes=room))
    mix = _mixed(recipe, photos, many, tell=world.main)
    if fellows is not None and mix is not None:  # each of this machine's processes keeps what it meets
        photos.room //= fellows.count
    plain = Samples(
        photos,
        size=recipe.size,
        masks=masks.mixture(recipe.masks),
        seed=recipe.seed,
        scale=recipe.scale,
        augment=recipe.augment,
        mix=mix,
    )
    samples: Dataset[tuple[Tensor, Tensor]] = plain
    if labels:
        found = LabelSet(list(labels))
        samples = LabelSamples(
            found, size=recipe.size, seed=recipe.seed, plain=plain, share=label_share, truths=_truths(recipe)
        )
    run_dir.mkdir(parents=True, exist_ok=True)
    _read(photos, run_dir / "skipped.txt", preload=mix is None, tell=world.main, fellows=fellows)
    if world.main:
        files.write_atomic(run_dir / "recipe.json", json.dumps(recipe.described(), indent=1).encode())
    run = Run(recipe, step, run_dir, images_seen, world, progress, line_seconds)
    if world.main:
        run.watch(val, data)
    run.go(samples, max_minutes)
    return run.images_seen


def _read(photos: PhotoSet, skipped: Path, *, preload: bool, tell: bool, fellows: Fellows | None) -> None:
    """Fill the cache, where the set may fit; photos that cannot be read are listed, also those met later."""
    if tell:
        skipped.unlink(missing_ok=True)  # they may have been mended since the last time
    photos.skipped_log = skipped
    if preload:
        last = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal last
            if tell and time.monotonic() - last > LINE_SECONDS:
                last = time.monotonic()
                print(f"reading photos: {done:,} of {total:,}", file=sys.stderr, flush=True)

        photos.preload(progress=progress, fellows=fellows)
    if tell and photos.skipped:
        print(
            f"skipped {len(photos.skipped)} of {len(photos)} photos: they cannot be read; all are in {skipped}. "
            f"The first: {next(iter(photos.skipped.values()))}",
            file=sys.stderr,
        )


def _mixed(recipe: Recipe, photos: PhotoSet, many: int = MANY, *, tell: bool) -> int | None:
    """How many photos in a row are mixed; None: any with any. Sets of many shards that no memory holds are streamed."""
    if recipe.mix is not None or len(photos) <= many or photos.shards[0] == photos.shards[-1]:
        return recipe.mix
    if tell:
        print(
            f"{len(photos):,} photos are more than memory holds: shards are read one after the other, in another order "
            f"each pass, and {STREAMED:,} photos in a row are mixed (`mix` of the recipe)",
            file=sys.stderr,
        )
    return STREAMED


def _truths(recipe: Recipe) -> int:
    """How many truths of each hole the objective is shown; one where it says nothing of it."""
    return int(getattr(recipe.objective, "truths", 1))


def _begin(recipe: Recipe, nets: Nets, start_from: str | None, *, partial: bool, tell: bool) -> None:
    """Initial values of a new run."""
    if start_from is not None:
        started = checkpoint.warm_start(nets.net, nets.critics, start_from, partial=partial)
        if tell:
            print(f"started from {start_from}: {started}", file=sys.stderr)
    if recipe.posterior_std is not None:
        assert isinstance(nets.net, PICNet), "only PICNet has a posterior"
        narrow_posterior(nets.net, recipe.posterior_std)


def _resume(recipe: Recipe, step: Step, saved: Path, run_dir: Path, *, tell: bool) -> int:
    """Load a checkpoint and return its clock; says which fields of the recipe have changed since."""
    state = checkpoint.read(saved, step.device)
    try:
        step.load(state["step"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise BadWeights(f"{run_dir} holds a run of another network or objective. Choose another folder.") from error
    now = recipe.described()
    before = _described(run_dir / "recipe.json", now)
    if tell and before is not None:
        changed = [name for name in now if name != "images" and name in before and before[name] != now[name]]
        if changed:
            print(f"resumed with another {', '.join(changed)} than before", file=sys.stderr)
    return int(state["images_seen"])


def _described(path: Path, now: dict[str, Any]) -> dict[str, Any] | None:
    """The recipe that a run was made with; None where nothing, or nothing that can be read, says so."""
    try:
        before: dict[str, Any] = json.loads(files.read(path).data)
        for part in ("net", "objective"):  # runs of before kinds were noted
            before[part] = {"kind": now[part]["kind"], **before[part]}
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return before
