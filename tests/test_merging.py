"""A region of another fill: joined without a seam, at any size, in small steps and little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from stopping import steps_of

from manyfill.completer import Completion
from manyfill.completer.merging import merge
from manyfill.completer.portions import Portions
from manyfill.photos import Photo

SMALL = Portions(seam_pixels=40_000, tile=64)  # then a part of 464 x 564 is large


def fill_of(level: int, grain: int) -> Completion:
    """Smooth ground of that level, with grain that is each fill's own."""
    ramp = np.linspace(0, 40, 600)[None, :, None] + np.random.default_rng(grain).normal(0, 2, (500, 600, 3))
    pixels = np.clip(level + ramp, 0, 255).astype(np.uint8)
    return Completion(Photo(pixels), grain, None, np.ones((500, 600), bool))


def region_of() -> np.ndarray:
    region = np.zeros((500, 600), bool)
    region[50:450, 50:550] = True
    return region


@pytest.mark.parametrize("portions", [Portions(), SMALL])
def test_the_seam_is_closed_and_the_rest_is_the_other_fill(portions: Portions) -> None:
    base, other, region = fill_of(100, 1), fill_of(112, 2), region_of()
    merged = merge(base, other, region, portions=portions).photo.pixels.astype(float)
    ours, theirs = base.source.pixels.astype(float), other.source.pixels.astype(float)
    assert (merged[~region] == ours[~region]).all()
    rim = merged[100:400, 50:54].mean() - ours[100:400, 46:50].mean()
    assert abs(rim) < 4, "a step is left of the 12 that there were"
    assert np.abs(merged - theirs)[150:350, 150:450].mean() < 1, "the middle of the region is the other fill's"


def test_a_merge_is_stopped_at_any_of_its_steps() -> None:
    base, other, region = fill_of(100, 1), fill_of(112, 2), region_of()
    steps = steps_of(lambda check: merge(base, other, region, check=check, portions=SMALL))
    assert steps > 2 * (400 // 64) * (500 // 64)


def test_the_memory_that_a_large_merge_takes_is_a_few_times_its_pixels() -> None:
    base, other, region = fill_of(100, 1), fill_of(112, 2), region_of()
    tracemalloc.start()
    merge(base, other, region, portions=SMALL)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 45 * region.size, "closing the whole seam at the photo's own pixels takes 160 bytes for each"
