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
from torch.utils.data import DataLoader, Dataset

from manyfill import files, masks, plugins, weights
from manyfill.data import PhotoSet, Samples, open_photos
from manyfill.errors import BadWeights, CannotWrite, ManyfillError
from manyfill.labels import LabelSamples, LabelSet
from manyfill.nets.discriminators import Critic
from manyfill.nets.picnet import PICNet
from manyfill.objectives import Nets
from manyfill.pool import Fellows, one_of_us
from manyfill.recipes import Recipe
from manyfill.training import checkpoint, processes, report, validation
from manyfill.training.step import BadRecipe, Diverged, Step, build, check, narrow_posterior

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
) -> int:
    """Train until the clock reaches `images` (the recipe's, unless given); call again to resume or to go on further.

    `data` and `val` are folders or tar shards; `labels` are shards of `manyfill label`, or folders of them, and
    `label_share` of the samples come from there (labels.py). `start_from`: a model name or weights file (fresh
    optimisers, clock at 0), which must fit at least half of the network unless `partial`. RUN holds checkpoints/,
    stats.jsonl, tensorboard/, pictures/, curves.png, model.safetensors (the average; fp32), with `val` also
    best.safetensors and best.json, and, where photos cannot be read, skipped.txt. `progress` hears (images seen, images
    in all, numbers) after the first step and then every `line_seconds`. Returns the clock. Ctrl-C saves before it
    leaves. Under torchrun each process takes its share of every batch; a run may be resumed on another number of them.

    Raises BadImage for data without photos, BadRecipe for a recipe that cannot run here, BadWeights for a damaged
    checkpoint or one of another network, Diverged when a loss is not finite.
    """
    if images is not None:
        recipe = dataclasses.replace(recipe, images=images)
    world = processes.join(device)
    check(recipe, world)
    checkpoints = checkpoint.Checkpoints(run_dir, recipe.keep)
    saved = checkpoints.newest()
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
    mix = _mixed(recipe, photos, tell=world.main)
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
    run = _Run(recipe, step, run_dir, images_seen, world, progress, line_seconds)
    if world.main:
        run.watch(val, data)
    run.go(samples, max_minutes)
    return run.images_seen


class _Run:
    """A run on its way: its clock, what it writes, and when."""

    def __init__(
        self,
        recipe: Recipe,
        step: Step,
        run_dir: Path,
        images_seen: int,
        world: processes.World,
        progress: Callable[[int, int, dict[str, float]], None] | None,
        line_seconds: float,
    ) -> None:
        self.recipe, self.step, self.run_dir, self.images_seen, self.world = recipe, step, run_dir, images_seen, world
        self.checkpoints = checkpoint.Checkpoints(run_dir, recipe.keep)
        self.stats = report.Stats(run_dir, images_seen, writes=world.main)
        self.progress = progress if world.main else None
        self.line_seconds = line_seconds
        self.pictured: validation.Batch | None = None
        self.validation: validation.Validation | None = None
        self.first = True  # step of this call
        self.started = self.saved = self.told = time.monotonic()
        self.told_images = images_seen
        self.aside = 0.0  # seconds since the last line that no step took

    # ── what is watched ──────────────────────────────────────────────────────────────────────────────────────────────

    def watch(self, val: Sequence[Path], data: Sequence[Path]) -> None:
        """Fix the photos of the pictures and, where there are `val` photos, those of the numbers."""
        self.pictured = validation.held_out(self.recipe, val or data, validation.PHOTOS)
        if val:
            batch = validation.held_out(self.recipe, val, validation.MEASURED)
            self.validation = validation.Validation(batch, self.world.device)
            for name, why in self.validation.left_out.items():
                print(f"without {name}: {why}", file=sys.stderr)

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def go(self, samples: Dataset[tuple[Tensor, Tensor]], max_minutes: float | None) -> None:
        """Step until the clock, the time or Ctrl-C says stop."""
        recipe = self.recipe
        with _whole_steps() as interrupted:
            for image, hole, noise in _batches(recipe, samples, self.step, self.images_seen, self.world):
                self._step(image, hole, noise)
                before, self.images_seen = self.images_seen, self.images_seen + recipe.batch
                now = time.monotonic()
                stop, due, line = self.world.any(
                    interrupted() or (max_minutes is not None and now - self.started > 60 * max_minutes),
                    now - self.saved > 60 * recipe.checkpoint_minutes,
                    now - self.told > self.line_seconds,
                )
                done = stop or self.images_seen >= recipe.images
                due = due or done or _passed(before, self.images_seen, recipe.checkpoint_every)
                if recipe.pictures_every is None:
                    shown = due
                else:
                    shown = done or _passed(before, self.images_seen, recipe.pictures_every)
                if self.first or line or due:
                    self._tell()
                    self.first = False
                if due:
                    self._save()
                if shown and not interrupted():
                    self._show()
                if done:
                    break
            if interrupted():
                raise KeyboardInterrupt

    def _step(self, image: Tensor, hole: Tensor, noise: Tensor | None) -> None:
        try:
            self.stats.add(self.step(image, hole, noise, self.images_seen))
        except Diverged as error:
            raise Diverged(f"{error} {_way_back(self.checkpoints.newest())}") from None
        except (ManyfillError, OSError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # of a network, an objective or numbers that do not go together
            if not self.first:
                raise
            what = f"{type(error).__name__}: {error}"
            raise BadRecipe(
                f"recipe '{self.recipe.name}' fails in its first step ({what}). Its network, objective, features and "
                "sizes do not go together; --debug shows where."
            ) from error

    # ── what it writes ───────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self) -> None:
        """A line of numbers: the terms' means since the last one, images a second of the steps, seconds to go."""
        now = time.monotonic()
        speed = (self.images_seen - self.told_images) / max(now - self.told - self.aside, 1e-9)
        line = self.stats.flush(self.images_seen, images_per_second=speed)
        self.told, self.told_images, self.aside = now, self.images_seen, 0.0
        if self.progress is not None:
            left = (self.recipe.images - self.images_seen) / max(speed, 1e-9)
            self.progress(self.images_seen, self.recipe.images, {**line, "seconds_left": left})

    @contextmanager
    def _off_the_clock(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.aside += time.monotonic() - began

    def _save(self) -> None:
        with self._off_the_clock():
            if self.world.main:
                # the model first: what has a checkpoint is done
                export(self.recipe, self.step, self.images_seen, self.run_dir / "model.safetensors")
                self.checkpoints.write({"images_seen": self.images_seen, "step": self.step.state()})
        self.saved = time.monotonic()

    def _show(self) -> None:
        """Pictures, curves and, with val photos, their numbers; the best model by them is kept."""
        with self._off_the_clock():
            if self.pictured is not None:
                pair = (part.to(self.world.device) for part in self.pictured)
                self.stats.picture(self.images_seen, report.grid(self.step.average, *pair))
            if self.validation is not None:
                numbers = self.validation(self.step.average)
                self.stats.numbers(self.images_seen, numbers)
                self._keep_best(numbers)
                if self.progress is not None:
                    self.progress(self.images_seen, self.recipe.images, numbers)
            if self.world.main:
                report.curves({self.run_dir.name: self.stats.path}, self.run_dir / "curves.png")

    def _keep_best(self, numbers: dict[str, float]) -> None:
        path = self.run_dir / "best.json"
        before = json.loads(path.read_text()) if path.is_file() else {}
        if before.get("images_seen", 0) > self.images_seen:
            before = {}  # of steps that a crash has undone
        if validation.better(numbers, {k: v for k, v in before.items() if k != "images_seen"}):
            export(self.recipe, self.step, self.images_seen, self.run_dir / "best.safetensors")
            files.write_atomic(path, json.dumps({"images_seen": self.images_seen, **numbers}, indent=1).encode())


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


def _mixed(recipe: Recipe, photos: PhotoSet, *, tell: bool) -> int | None:
    """How many photos in a row are mixed; None: any with any. Sets of many shards that no memory holds are streamed."""
    if recipe.mix is not None or len(photos) <= MANY or photos.shards[0] == photos.shards[-1]:
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
    """The averaged network and its first critic as a weights file, with the recipe in the metadata.

    A critic on frozen features stays behind: to rank fills by it would want the feature network.
    """
    critics: Any = step.nets.critics
    critic = next((critic for critic in critics.values() if isinstance(critic, Critic)), None)
    features = "none" if step.nets.features is None else step.nets.features.origin
    metadata = {
        "recipe": json.dumps(recipe.described()),
        "images_seen": str(images_seen),
        "features": features,
    }
    return weights.save(step.average, path, critic=critic, metadata=metadata, dtype=dtype)


def _passed(before: int, after: int, every: int | None) -> bool:
    return every is not None and before // every != after // every


def _batches(
    recipe: Recipe, samples: Dataset[tuple[Tensor, Tensor]], step: Step, images_seen: int, world: processes.World
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
        worker_init_fn=plugins.load_again,  # where data processes are not forked, they know of no plug-in yet
    )
    shape = recipe.objective.noise_shape(step.nets.net, recipe.size)
    first = images_seen + world.rank * share
    for image, hole in loader:
        noise = None if shape is None else torch.stack([_noise(recipe.seed, first + k, shape) for k in range(share)])
        first += recipe.batch
        yield image, hole, noise


def _noise(seed: int, index: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed((seed << 40) + index))
