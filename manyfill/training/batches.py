"""Batches in the order of the clock, and the noise of each sample."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from manyfill import plugins
from manyfill.recipes import Recipe
from manyfill.training import processes
from manyfill.training.step import Step


def batches(
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
