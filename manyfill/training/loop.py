"""The training loop: data in order of the clock, steps, checkpoints; the same call again resumes."""

from __future__ import annotations

import dataclasses
import errno
import functools
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from manyfill import files, masks, weights
from manyfill.data import NO_AUGMENTATION, PhotoSet, Samples, open_photos
from manyfill.errors import BadWeights, CannotWrite
from manyfill.nets.picnet import PICNet
from manyfill.objectives import Nets
from manyfill.recipes import Recipe
from manyfill.training import checkpoint, processes, report
from manyfill.training.step import Diverged, Step, build, check, narrow_posterior

VAL_PHOTOS = 8


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
    max_minutes: float | None = None,
    val: Sequence[Path] = (),
    device: str | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> None:
    """Train until the clock reaches `images` (the recipe's, unless given); call again to resume or to go on further.

    `data` and `val` are folders or tar shards; `start_from` a model name or weights file (fresh optimisers, clock at
    0). RUN holds checkpoints/, stats.jsonl, tensorboard/, pictures/, curves.png, model.safetensors (the average; fp32)
    and, where photos cannot be read, skipped.txt. Ctrl-C saves before it leaves. Under torchrun each process takes its
    share of every batch; a run may be resumed on another number of them. Raises BadImage for data without photos,
    BadRecipe for one that cannot run here, BadWeights for a damaged checkpoint or one of another network, Diverged when
    a loss is not finite.
    """
    if images is not None:
        recipe = dataclasses.replace(recipe, images=images)
    world = processes.join(device)
    check(recipe, world)
    nets = build(recipe)
    checkpoints = checkpoint.Checkpoints(run_dir, recipe.keep)
    saved = checkpoints.newest()
    if saved is None:
        _begin(recipe, nets, start_from, tell=world.main)
    step = Step(recipe, nets, world.device)
    images_seen = 0 if saved is None else _resume(recipe, step, saved, run_dir, tell=world.main)
    if images_seen >= recipe.images:
        if world.main:
            print(
                f"nothing to do: {run_dir} has seen {images_seen:,} images already; a larger --images goes on",
                file=sys.stderr,
            )
        return

    photos = open_photos(list(data), short_side=recipe.cache_side)
    samples = Samples(
        photos,
        size=recipe.size,
        masks=masks.mixture(recipe.masks),
        seed=recipe.seed,
        scale=recipe.scale,
        augment=recipe.augment,
    )
    run_dir.mkdir(parents=True, exist_ok=True)
    _read(photos, run_dir / "skipped.txt", tell=world.main)
    held_out = _val_batch(recipe, val or data) if world.main else None
    if world.main:
        files.write_atomic(run_dir / "recipe.json", json.dumps(recipe.described(), indent=1).encode())
    stats = report.Stats(run_dir, images_seen, writes=world.main)
    started = last = time.monotonic()
    last_images = images_seen

    def tell() -> None:
        nonlocal last, last_images
        now = time.monotonic()
        line = stats.flush(images_seen, images_per_second=(images_seen - last_images) / max(now - last, 1e-9))
        last, last_images = now, images_seen
        if progress is not None and world.main:
            progress(images_seen, recipe.images, line)

    def save() -> None:
        nonlocal last
        if images_seen > last_images:
            tell()  # so that no term waits in memory
        if world.main:
            export(recipe, step, images_seen, run_dir / "model.safetensors")  # first: what has a checkpoint is done
            checkpoints.write({"images_seen": images_seen, "step": step.state()})
        last = time.monotonic()  # images per second are those of the steps

    def show() -> None:
        nonlocal last
        began = time.monotonic()
        if held_out is not None:
            stats.picture(images_seen, report.grid(step.average, *(x.to(world.device) for x in held_out)))
            report.curves({run_dir.name: stats.path}, run_dir / "curves.png")
        last += time.monotonic() - began

    with _whole_steps() as interrupted:
        for image, hole, noise in _batches(recipe, samples, step, images_seen, world):
            try:
                terms = step(image, hole, noise, images_seen)
            except Diverged as error:
                raise Diverged(f"{error} {_way_back(checkpoints.newest())}") from None
            before, images_seen = images_seen, images_seen + recipe.batch
            stats.add(terms)
            if _passed(before, images_seen, 320):
                tell()
            out_of_time = max_minutes is not None and time.monotonic() - started > 60 * max_minutes
            done = images_seen >= recipe.images or world.any(out_of_time or interrupted())
            if _passed(before, images_seen, recipe.checkpoint_every) or done:
                save()
            if _passed(before, images_seen, recipe.pictures_every) or (done and not interrupted()):
                show()
            if done:
                break
        if interrupted():
            raise KeyboardInterrupt


def _read(photos: PhotoSet, skipped: Path, *, tell: bool) -> None:
    """Fill the cache; photos that cannot be read are listed in a file, also those that are met only later."""
    if tell:
        skipped.unlink(missing_ok=True)  # they may have been mended since the last time
    photos.skipped_log = skipped
    photos.preload()
    if tell and photos.skipped:
        print(
            f"skipped {len(photos.skipped)} of {len(photos)} photos: they cannot be read; all are in {skipped}. "
            f"The first: {next(iter(photos.skipped.values()))}",
            file=sys.stderr,
        )


def _begin(recipe: Recipe, nets: Nets, start_from: str | None, *, tell: bool) -> None:
    """Initial values of a new run."""
    if start_from is not None:
        fresh = checkpoint.warm_start(nets.net, nets.critics, start_from)
        if tell:
            print(f"started from {start_from}; fresh: {len(fresh)} tensors", file=sys.stderr)
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


def _way_back(saved: Path | None) -> str:
    if saved is None:
        return "There is no checkpoint yet: start again with a lower rate (`lr` of a recipe of your own)."
    return f"The last good checkpoint is {saved}: the same command goes on from it; give it a recipe with a lower `lr`."


@contextmanager
def _whole_steps() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C wait for the end of a step, as half of one cannot be resumed; a second Ctrl-C does not wait.

    Gives a function that says whether it came. Signals reach the main thread only: elsewhere there is nothing to hold
    back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = False
    usual = signal.getsignal(signal.SIGINT) or signal.SIG_DFL

    def note(*_: object) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, usual)


def export(recipe: Recipe, step: Step, images_seen: int, path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The averaged network and its first critic as a weights file, with the recipe in the metadata."""
    critics: Any = step.nets.critics
    critic = next(iter(critics.values()), None)
    features = "none" if step.nets.features is None else step.nets.features.origin
    metadata = {
        "recipe": json.dumps(recipe.described()),
        "images_seen": str(images_seen),
        "features": features,
    }
    return weights.save(step.average, path, critic=critic, metadata=metadata, dtype=dtype)


def _passed(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _batches(
    recipe: Recipe, samples: Samples, step: Step, images_seen: int, world: processes.World
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """This process's share of each batch, from the clock on; sample i and its noise depend only on (seed, i)."""
    share = recipe.batch // world.size
    starts = itertools.count(images_seen + world.rank * share, recipe.batch)
    loader = DataLoader(
        samples,
        batch_sampler=(list(range(i, i + share)) for i in starts),
        num_workers=recipe.workers,
        prefetch_factor=4 if recipe.workers else None,
        pin_memory=world.device.type == "cuda",
    )
    shape = recipe.objective.noise_shape(step.nets.net, recipe.size)
    first = images_seen + world.rank * share
    for image, hole in loader:
        noise = None if shape is None else torch.stack([_noise(recipe.seed, first + k, shape) for k in range(share)])
        first += recipe.batch
        yield image, hole, noise


def _noise(seed: int, index: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed((seed << 40) + index))


def _val_batch(recipe: Recipe, sources: Sequence[Path]) -> tuple[Tensor, Tensor]:
    """Fixed photos with fixed holes, for the pictures."""
    samples = Samples(
        open_photos(list(sources), short_side=recipe.cache_side),
        size=recipe.net.size if recipe.net.size <= 2 * recipe.size else recipe.size,
        masks=masks.mixture(recipe.masks),
        seed=1,
        scale=(0.0, 0.0),
        augment=dataclasses.replace(NO_AUGMENTATION, squeeze=1.0 if recipe.augment.squeeze else 0.0),
    )
    pairs = [samples[i] for i in range(min(VAL_PHOTOS, len(samples)))]
    return torch.stack([image for image, _ in pairs]), torch.stack([hole for _, hole in pairs])
