"""The training loop: data in order of the clock, steps, checkpoints; the same call again resumes."""

from __future__ import annotations

import dataclasses
import itertools
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
from torch.utils.data import DataLoader

from manyfill import masks, weights
from manyfill.data import NO_AUGMENTATION, Samples, open_photos
from manyfill.nets.picnet import PICNet
from manyfill.recipes import Recipe
from manyfill.training import checkpoint, report
from manyfill.training.step import Step, build, narrow_posterior

VAL_PHOTOS = 8


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
    0). RUN holds checkpoint.pt, stats.jsonl, pictures/ and model.safetensors (the average; fp32). Ctrl-C saves before
    it leaves. Raises BadImage for data without photos, BadWeights for a damaged checkpoint, Diverged when a loss is not
    finite.
    """
    if images is not None:
        recipe = dataclasses.replace(recipe, images=images)
    run_dir.mkdir(parents=True, exist_ok=True)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    nets = build(recipe)
    saved = run_dir / "checkpoint.pt"
    if start_from is not None and not saved.exists():
        fresh = checkpoint.warm_start(nets.net, nets.critics, start_from)
        print(f"started from {start_from}; fresh: {len(fresh)} tensors", file=sys.stderr)
    if recipe.posterior_std is not None and not saved.exists():
        assert isinstance(nets.net, PICNet), "only PICNet has a posterior"
        narrow_posterior(nets.net, recipe.posterior_std)
    step = Step(recipe, nets, where)
    images_seen = 0
    if saved.exists():
        state = checkpoint.read(saved, where)
        step.load(state["step"])
        images_seen = state["images_seen"]
    (run_dir / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=1, default=str))

    photos = open_photos(list(data), short_side=recipe.cache_side)
    samples = Samples(photos, size=recipe.size, masks=masks.mixture(recipe.masks), seed=recipe.seed, scale=recipe.scale)
    photos.preload()
    held_out = _val_batch(recipe, val or data)
    stats = report.Stats(run_dir / "stats.jsonl", images_seen)
    started = last = time.monotonic()
    last_images = images_seen

    def tell() -> None:
        nonlocal last, last_images
        now = time.monotonic()
        line = stats.flush(images_seen, images_per_second=(images_seen - last_images) / max(now - last, 1e-9))
        last, last_images = now, images_seen
        if progress is not None:
            progress(images_seen, recipe.images, line)

    def save() -> None:
        if images_seen > last_images:
            tell()  # so that no term waits in memory
        checkpoint.write(saved, {"images_seen": images_seen, "step": step.state()})
        export(recipe, step, images_seen, run_dir / "model.safetensors")

    if images_seen >= recipe.images:
        return
    with _whole_steps() as interrupted:
        for image, hole, noise in _batches(recipe, samples, step, images_seen):
            terms = step(image, hole, noise, images_seen)
            before, images_seen = images_seen, images_seen + image.shape[0]
            stats.add(terms)
            if _passed(before, images_seen, 320):
                tell()
            if _passed(before, images_seen, recipe.pictures_every):
                picture = report.grid(step.average, *(x.to(where) for x in held_out))
                report.write_picture(run_dir / "pictures" / f"{images_seen:09d}.jpg", picture)
            out_of_time = max_minutes is not None and time.monotonic() - started > 60 * max_minutes
            done = images_seen >= recipe.images or out_of_time or interrupted()
            if _passed(before, images_seen, recipe.checkpoint_every) or done:
                save()
            if done:
                break
        if interrupted():
            raise KeyboardInterrupt


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
    text = json.dumps(dataclasses.asdict(recipe), default=str)
    features = "none" if step.nets.features is None else step.nets.features.origin
    metadata = {"recipe": text, "images_seen": str(images_seen), "features": features}
    return weights.save(step.average, path, critic=critic, metadata=metadata, dtype=dtype)


def _passed(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _batches(
    recipe: Recipe, samples: Samples, step: Step, images_seen: int
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Batches from the clock on; sample i and its noise depend only on (seed, i)."""
    batch_indices = (list(range(i, i + recipe.batch)) for i in itertools.count(images_seen, recipe.batch))
    loader = DataLoader(
        samples,
        batch_sampler=batch_indices,
        num_workers=recipe.workers,
        prefetch_factor=4 if recipe.workers else None,
    )
    shape = recipe.objective.noise_shape(step.nets.net, recipe.size)
    for image, hole in loader:
        noise = (
            None
            if shape is None
            else torch.stack([_noise(recipe.seed, images_seen + k, shape) for k in range(len(image))])
        )
        images_seen += len(image)
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
        augment=NO_AUGMENTATION,
    )
    pairs = [samples[i] for i in range(min(VAL_PHOTOS, len(samples)))]
    return torch.stack([image for image, _ in pairs]), torch.stack([hole for _, hole in pairs])
