"""Several kinds by chance; holes of a wanted ratio only."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from manyfill.errors import BadMask
from manyfill.masks.drawing import MaskFn
from manyfill.masks.holes import ratio
from manyfill.masks.kinds import KINDS


@dataclass(frozen=True)
class _Mixture:
    """Draws one of several kinds, each with its probability; a class so that data workers can pickle it."""

    names: tuple[str, ...]
    cumulative: tuple[float, ...]

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> Tensor:
        index = int(np.searchsorted(self.cumulative, rng.random(), side="right"))
        return KINDS[self.names[min(index, len(self.names) - 1)]](height, width, rng)


def mixture(weights: Mapping[str, float]) -> MaskFn:
    """Generator that draws one kind of `KINDS` per hole, with probabilities proportional to `weights`.

    Raises BadMask for an unknown kind, a negative weight or weights that are all zero.
    """
    for name, weight in weights.items():
        if name not in KINDS:
            close = difflib.get_close_matches(name, KINDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise BadMask(f"no mask kind {name!r}.{hint} All: {', '.join(KINDS)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise BadMask(f"mask kind {name!r} has the weight {weight:g}; expected a number of 0 or more.")
    total = sum(weights.values())
    if not total > 0:
        raise BadMask("all mask weights are zero. Give at least one kind a weight above 0.")
    names = tuple(name for name, weight in weights.items() if weight > 0)
    cumulative = np.cumsum([weights[name] / total for name in names])
    return _Mixture(names, tuple(float(value) for value in cumulative))


@dataclass(frozen=True)
class _Within:
    """Redraws until the hole ratio fits; a class so that data workers can pickle it."""

    draw: MaskFn
    low: float
    high: float
    tries: int

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> Tensor:
        for _ in range(self.tries):
            hole = self.draw(height, width, rng)
            if self.low <= ratio(hole) < self.high:
                return hole
        raise BadMask(
            f"no hole with a ratio of {self.low:g} to {self.high:g} in {self.tries} tries at {height}x{width}. "
            "Choose another kind or a wider range."
        )


def within(draw: MaskFn, low: float, high: float, *, tries: int = 1000) -> MaskFn:
    """Generator that redraws until low <= ratio < high, as DFNet's authors do. Raises BadMask after `tries` misses."""
    return _Within(draw, low, high, tries)
