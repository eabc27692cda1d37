"""Runs of the tiny recipe, and what they leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from manyfill.nets.dfnet import DFNetConfig
from manyfill.objectives import DualPath, Nets, StructureTexture
from manyfill.recipes import RECIPES, Recipe

TINY = replace(RECIPES["tiny"], images=12, checkpoint_every=6, pictures_every=6)  # 2 images a step
FOUR = replace(  # in four steps, each of which can be shared by two processes
    RECIPES["tiny"], net=replace(RECIPES["tiny"].net, fusion_scales=0), batch=4, images=16, checkpoint_every=8, keep=9
)
QUICK = replace(  # many images a second: for what happens every few hundred
    TINY,
    net=DFNetConfig(size=16, width=2, max_width=2, kernels=(3, 3), fusion_levels=(0,)),
    objective=StructureTexture(weights={"reconstruction": 1.0}),
    size=16,
    batch=80,
    lr=1e-2,
    images=960,
    checkpoint_every=640,
    pictures_every=10**9,
)


def same(a: Any, b: Any) -> bool:
    """Bit-for-bit equality of nested states."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def state(run: Path) -> Any:
    return torch.load(max((run / "checkpoints").iterdir()), weights_only=True)


def stats(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


class Trouble(DualPath):
    """The dual path, until something happens in the middle of its n-th step."""

    steps = 0
    when = 0
    what: Callable[[], None]

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Any) -> dict[str, Tensor]:
        Trouble.steps += 1
        if Trouble.steps == Trouble.when:
            Trouble.what()
        return super().generator_terms(nets, image, hole, out)


def troubled(when: int, what: Callable[[], None]) -> Recipe:
    Trouble.steps, Trouble.when, Trouble.what = 0, when, staticmethod(what)  # type: ignore[assignment]
    return replace(TINY, objective=Trouble())


def crash() -> None:
    raise OSError("no space left on device")
