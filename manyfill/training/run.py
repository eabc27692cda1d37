"""A run on its way: step after step, what it writes, and when."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from manyfill import files, weights
from manyfill.errors import ManyfillError
from manyfill.nets.discriminators import Critic
from manyfill.recipes import Recipe
from manyfill.training import checkpoint, processes, report, validation
from manyfill.training.batches import batches
from manyfill.training.step import BadRecipe, Diverged, Step


class Run:
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
            for image, hole, noise in batches(recipe, samples, self.step, self.images_seen, self.world):
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


def _way_back(saved: Path | None) -> str:
    if saved is None:
        return "There is no checkpoint yet: start again with a lower rate (`lr` of a recipe of your own)."
    return f"The last good checkpoint is {saved}: the same command goes on from it; give it a recipe with a lower `lr`."


AGAIN = 2.0  # seconds: signals that come sooner after the first are the same wish (a terminal's, and torchrun's echo)


@contextmanager
def _whole_steps() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM wait for the end of a step, as half of one cannot be resumed; asked again, do not wait.

    Gives a function that says whether one came. Signals reach the main thread only: elsewhere there is nothing to hold
    back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: float | None = None
    usual = {number: signal.getsignal(number) or signal.SIG_DFL for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: object) -> None:
        nonlocal came
        now = time.monotonic()
        if came is None:
            came = now
        elif now - came > AGAIN:
            signal.signal(number, usual[signal.Signals(number)])
            signal.raise_signal(number)

    for number in usual:
        signal.signal(number, note)
    try:
        yield lambda: came is not None
    finally:
        for number, before in usual.items():
            signal.signal(number, before)


def _passed(before: int, after: int, every: int | None) -> bool:
    return every is not None and before // every != after // every


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
