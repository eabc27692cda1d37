"""Diversity by hand and against all pairs one by one."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from manyfill.metrics import METRICS, pixel
from manyfill.metrics.diversity import SMALLEST, best_of, cut_out, mean_of_pairs, mean_pairwise, mean_pairwise_features
from manyfill.metrics.perceptual import feature_distance


def two_maps(picture: Tensor) -> list[Tensor]:
    return [picture - 0.5, F.avg_pool2d(picture, 3, 2) - 0.5]


def test_the_mean_over_pairs_by_hand() -> None:
    fills = torch.tensor([0.0, 10.0, 40.0]).div(255).view(3, 1, 1, 1).repeat(1, 3, 2, 2)
    fills[..., 1] = 0.5  # known: alike
    hole = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert mean_pairwise(pixel.l1, fills, hole).item() == pytest.approx((10 + 40 + 30) / 3, rel=1e-6)
    assert mean_pairwise(pixel.l1, fills).item() == pytest.approx((10 + 40 + 30) / 3 / 2, rel=1e-6)


@given(st.integers(2, 5), st.integers(3, 8), st.integers(3, 8), st.booleans(), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_all_pairs_one_by_one_give_the_same(n: int, height: int, width: int, in_hole: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    fills = torch.rand(n, 3, height, width, generator=generator)
    hole = (torch.rand(1, 1, height, width, generator=generator) < 0.7).float()
    hole[..., 0, 0] = 1
    region = hole if in_hole else None
    pairs = list(itertools.combinations(fills.split(1), 2))
    found = mean_pairwise(pixel.l1, fills, region)
    assert found.dtype == torch.float64 and found.shape == ()
    assert_close(found, torch.cat([pixel.l1(a, b, region) for a, b in pairs]).mean())
    by_features = torch.cat([feature_distance(two_maps, a, b, region) for a, b in pairs]).mean()
    assert_close(mean_pairwise_features(two_maps, fills, region), by_features, rtol=1e-4, atol=1e-6)


def test_the_hole_is_cut_out_for_the_second_column_of_picnets_table() -> None:
    fills = torch.rand(3, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(1, 1, 256, 256)
    hole[..., 64:192, 64:192] = 1
    assert torch.equal(cut_out(fills, hole), fills[..., 64:192, 64:192])  # the centre square of the paper
    far = fills.clone()
    far[..., :64, :] = torch.rand(3, 3, 64, 256)
    metric = METRICS["diversity_lpips_hole"]

    def network(a: Tensor, b: Tensor, hole: Tensor | None) -> Tensor:
        assert hole is None
        return feature_distance(two_maps, a, b)

    by_hand = torch.cat([
        network(fills[i : i + 1, :, 64:192, 64:192], fills[k : k + 1, :, 64:192, 64:192], None)
        for i, k in ((0, 1), (0, 2), (1, 2))
    ]).mean()  # fmt: skip
    assert_close(metric.measure(network, fills, hole), by_hand, rtol=1e-6, atol=0)
    assert_close(metric.measure(network, far, hole), by_hand, rtol=1e-6, atol=0)
    assert metric.measure(network, fills, 0 * hole).isnan()


@pytest.mark.parametrize(("size", "expected"), [((256, 200), (SMALLEST, SMALLEST)), ((40, 90), (40, SMALLEST))])
def test_a_hole_too_small_for_the_network_is_cut_out_with_what_is_around_it(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    hole = torch.zeros(1, 1, *size)
    hole[..., 3, 5] = 0.2  # a share of a place, where pictures were reduced
    marked = torch.zeros(2, 3, *size)
    marked[..., 3, 5] = 1
    assert cut_out(marked, hole).shape == (2, 3, *expected) and cut_out(marked, hole).sum() == 6


def test_equal_fills_have_no_diversity_and_wider_ones_more() -> None:
    fills = torch.rand(4, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    spread = [torch.lerp(fills[:1].expand_as(fills), fills, share) for share in (0.0, 0.3, 1.0)]
    hole = torch.ones(1, 1, 8, 9)
    for found in (
        torch.stack([mean_pairwise(pixel.l1, x, hole) for x in spread]),
        torch.stack([mean_pairwise_features(two_maps, x, hole) for x in spread]),
    ):
        assert found[0] == pytest.approx(0, abs=1e-10) and (found.diff() > 0).all()


def test_one_fill_has_no_pair_and_an_empty_hole_nothing_to_compare() -> None:
    fills = torch.rand(3, 3, 6, 7)
    hole = torch.zeros(1, 1, 6, 7)
    assert mean_pairwise(pixel.l1, fills[:1]).isnan() and mean_pairwise_features(two_maps, fills[:1]).isnan()
    assert mean_pairwise(pixel.l1, fills, hole).isnan() and mean_pairwise_features(two_maps, fills, hole).isnan()


def test_the_best_of_n_gets_no_worse_with_more_fills() -> None:
    values = torch.tensor([3.0, 1.0, 2.0])
    assert best_of(values) == 1 and best_of(values, better="higher") == 3
    assert best_of(values[:1]) == 3


def test_pairs_that_share_no_fill_are_one_and_two_three_and_four() -> None:
    fills = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([pixel.l1(fills[k : k + 1], fills[k + 1 : k + 2]).squeeze() for k in (0, 2)]).mean()
    assert_close(mean_of_pairs(pixel.l1, fills), expected)  # the fifth has no partner
    assert mean_of_pairs(pixel.l1, fills[:1]).isnan()
