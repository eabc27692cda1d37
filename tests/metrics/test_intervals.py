"""Bootstrap intervals against all resamples of three values, scipy's, and the normal distribution's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from manyfill.metrics.intervals import bootstrap, paired


def test_the_interval_is_the_quantiles_of_all_resamples() -> None:
    values = [0.0, 1.0, 5.0]
    means = np.mean(list(itertools.product(values, repeat=3)), axis=1)
    found = bootstrap(values, level=0.8, resamples=20_000)
    assert found.mean == 2
    assert (found.low, found.high) == tuple(np.quantile(means, [0.1, 0.9], method="inverted_cdf"))


def test_photos_are_drawn_with_all_their_holes() -> None:
    values, photo = [0.0, 2.0, 10.0, 4.0], ["a", "b", "a", "c"]
    own = {"a": [0.0, 10.0], "b": [2.0], "c": [4.0]}
    means = [np.mean([value for name in drawn for value in own[name]]) for drawn in itertools.product("abc", repeat=3)]
    found = bootstrap(values, groups=photo, level=0.8, resamples=20_000)
    assert found.mean == 4
    assert (found.low, found.high) == tuple(np.quantile(means, [0.1, 0.9], method="inverted_cdf"))
    assert paired(values, [0.0] * 4, groups=photo, level=0.8, resamples=20_000) == found
    assert bootstrap(values, groups="wxyz") == bootstrap(values)
    mean, low, high = bootstrap(values, groups="aaaa")
    assert mean == 4 and math.isnan(low) and math.isnan(high)


def test_copies_of_the_same_values_do_not_make_the_interval_narrower() -> None:
    values = np.random.default_rng(0).normal(0, 1, 20)
    alone, sixfold = bootstrap(values), bootstrap(np.repeat(values, 6), groups=list(np.repeat(np.arange(20), 6)))
    assert sixfold == pytest.approx(alone)


def test_the_interval_is_scipys_and_the_normal_one_up_to_chance() -> None:
    values = np.random.default_rng(0).normal(3, 2, 200)
    found = bootstrap(values, resamples=10_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=1).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    half = 1.96 * values.std() / math.sqrt(200)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    narrow = bootstrap(values, level=0.5)
    assert found.low < narrow.low < narrow.mean < narrow.high < found.high


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_same_values_and_seed_give_the_same_interval_inside_the_values_range(
    values: list[float], seed: int
) -> None:
    found = bootstrap(values, resamples=100, seed=seed)
    assert found == bootstrap(values, resamples=100, seed=seed)
    slack = 1e-9 * max(map(abs, values))  # rounding of means
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack


def test_many_values_are_drawn_in_blocks_and_give_a_proper_interval() -> None:
    values = np.random.default_rng(0).normal(0, 1, 300_000)
    found = bootstrap(values, resamples=50)
    assert found.low < found.mean < found.high and found.high - found.low < 0.02


def test_values_that_are_not_finite_are_left_out() -> None:
    assert bootstrap([1.0, math.nan, 3.0, math.inf]) == bootstrap([1.0, 3.0])


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    mean, low, high = bootstrap([4.0])
    assert mean == 4 and math.isnan(low) and math.isnan(high)
    assert all(math.isnan(x) for x in bootstrap([math.nan]))


def test_pairs_tell_two_fillers_apart_that_single_intervals_do_not() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(20, 5, 60)
    a, b = hard + rng.normal(0.5, 0.5, 60), hard + rng.normal(0, 0.5, 60)
    assert bootstrap(a).low < bootstrap(b).high
    assert paired(a, b).low > 0
    assert paired(a, b).mean == pytest.approx((a - b).mean())
    assert paired(a, b) == bootstrap(a - b)


def test_pairs_with_a_value_that_is_not_finite_are_left_out_and_lengths_must_agree() -> None:
    assert paired([1.0, math.inf, 5.0, math.nan], [0.0, math.inf, 2.0, 1.0]).mean == 2
    with pytest.raises(AssertionError, match="3 and 2 values"):
        paired([1, 2, 3], [1, 2])
