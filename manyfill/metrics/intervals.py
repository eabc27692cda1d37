"""How sure is a mean over photos? Percentile bootstrap over the photos (Efron 1979)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK = 1 << 20  # values drawn at a time: 8 MB


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of per-photo values (N,) and its percentile interval, always the same for the same values and seed.

    `groups` names each value's photo where a photo has several (one for each of its holes): photos are drawn, each with
    all its values, as those are alike and would make the interval too narrow. Values that are not finite (an empty
    hole, the PSNR of an identical picture) are left out: count them beside it. One photo has a mean but no interval,
    none has neither: NaN.
    """
    assert 0 < level < 1, f"level {level}: expected a share, as 0.95"
    every = _flat(values)
    assert groups is None or len(groups) == len(every), f"{len(groups or ())} groups of {len(every)} values"
    kept = every[np.isfinite(every)]
    if not len(kept):
        return Interval(np.nan, np.nan, np.nan)
    names = range(len(every)) if groups is None else groups
    places: dict[Hashable, int] = {}
    index = [places.setdefault(name, len(places)) for name, keep in zip(names, np.isfinite(every), strict=True) if keep]
    sums, counts = np.bincount(index, kept), np.bincount(index)
    if len(sums) == 1:
        return Interval(float(kept.mean()), np.nan, np.nan)
    rng = np.random.default_rng(seed)
    rows = max(BLOCK // len(sums), 1)
    means = []
    for start in range(0, resamples, rows):
        drawn = rng.integers(len(sums), size=(min(rows, resamples - start), len(sums)))
        means.append(sums[drawn].sum(1) / counts[drawn].sum(1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(kept.mean()), float(low), float(high))


def paired(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of a - b over the same photos, in the same order, and its interval. One without 0 tells the two apart.

    Far sharper than two intervals side by side, as what makes a photo hard is hard for both. A photo with a value
    that is not finite on either side is left out.
    """
    first, second = _flat(a), _flat(b)
    assert first.shape == second.shape, f"{len(first)} and {len(second)} values: a pair of values for every photo"
    with np.errstate(invalid="ignore"):  # inf - inf: left out
        return bootstrap(first - second, groups=groups, level=level, resamples=resamples, seed=seed)


def _flat(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values, np.float64)
    assert array.ndim == 1, f"values have the shape {array.shape}, expected (N,)"
    return array
