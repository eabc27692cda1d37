"""Distances of sets against scipy, closed forms, torchmetrics and plain loops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from manyfill.errors import BadWeights
from manyfill.metrics.frechet import (
    INCEPTION,
    Frechet,
    frechet_distance,
    inception,
    inception_score,
    kernel_distance,
)


def rows(count: int, features: int, seed: int = 0) -> Tensor:
    """Features that hang together and have a mean far from 0."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(features, features, generator=generator)
    return torch.randn(count, features, generator=generator) @ mix + 5 * torch.rand(features, generator=generator)


def gathered(*batches: Tensor) -> Frechet:
    found = Frechet()
    for batch in batches:
        found.update(batch)
    return found


def test_mean_and_covariance_are_those_of_numpy() -> None:
    x = rows(50, 6) + 1e4  # a sum of squares would lose 8 digits here
    found = gathered(*x.split(7))
    assert_close(found.mean.numpy(), x.double().mean(0).numpy(), rtol=1e-14, atol=0)
    assert_close(found.covariance.numpy(), np.cov(x.double().numpy(), rowvar=False), rtol=1e-10, atol=1e-10)
    assert found.count == 50 and found.covariance.dtype == torch.float64


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.permutations(range(7)))
@settings(max_examples=40, deadline=None)
def test_batches_of_any_size_and_order_and_merged_processes_give_the_same(sizes: list[int], order: list[int]) -> None:
    x = rows(sum(sizes) + 2, 4)
    batches = x.split([*sizes, 2])
    whole = gathered(x)
    shuffled = gathered(*(batches[k] for k in order if k < len(batches)))
    one, other = gathered(*batches[::2]), gathered(*batches[1::2])
    one.merge(other)
    one.merge(Frechet())
    for found in (shuffled, one):
        assert found.count == whole.count
        assert_close(found.mean, whole.mean, rtol=1e-12, atol=1e-12)
        assert_close(found.scatter, whole.scatter, rtol=1e-11, atol=1e-11)


def test_merging_leaves_the_other_one_as_it_was() -> None:
    a, b = Frechet(), gathered(rows(5, 3))
    before = b.scatter.clone()
    a.merge(b)
    a.update(rows(5, 3, seed=1))
    assert_close(b.scatter, before, rtol=0, atol=0)
    assert b.count == 5 and a.count == 10


def test_the_frechet_distance_is_the_one_with_scipys_matrix_root() -> None:
    a, b = gathered(rows(200, 12)), gathered(rows(150, 12, seed=1))
    root = scipy.linalg.sqrtm(a.covariance.numpy() @ b.covariance.numpy()).real
    expected = float((a.mean - b.mean).square().sum()) + np.trace(
        a.covariance.numpy() + b.covariance.numpy() - 2 * root
    )
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_the_frechet_distance_is_that_of_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Pooled(nn.Module):
        num_features = 3

        def forward(self, x: Tensor) -> Tensor:
            return x.float().mean((2, 3))

    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 40, 3, 4, 4, generator=generator)
    theirs = FrechetInceptionDistance(feature=Pooled(), normalize=False).set_dtype(torch.float64)
    theirs.update(a, real=True)
    theirs.update(b, real=False)
    ours = frechet_distance(gathered(a.mean((2, 3))), gathered(b.mean((2, 3))))
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_the_frechet_distance_of_independent_gaussians_has_a_closed_form() -> None:
    """|m1 - m2|^2 + sum (s1 - s2)^2, set up without drawing anything."""
    a, b = Frechet(), Frechet()
    a.count = b.count = 11
    a.mean, b.mean = torch.tensor([0.0, 1.0, 2.0]).double(), torch.tensor([1.0, 1.0, 0.0]).double()
    a.scatter, b.scatter = torch.diag(torch.tensor([10.0, 40.0, 90.0]).double()), torch.eye(3).double() * 10
    assert frechet_distance(a, b) == pytest.approx(5 + (1 - 1) ** 2 + (2 - 1) ** 2 + (3 - 1) ** 2, rel=1e-12)


def test_fewer_pictures_than_features_give_a_finite_number_and_zero_for_the_same_set() -> None:
    a, b = gathered(rows(5, 20)), gathered(rows(6, 20, seed=1))
    assert 0 < frechet_distance(a, b) < math.inf
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-5 * float(a.covariance.trace()))
    assert frechet_distance(a, a) >= 0


def test_a_set_further_away_has_a_larger_distance() -> None:
    x = rows(60, 5)
    near, far = x + 0.1, x * 1.5 + 1
    for distance in (lambda u, v: frechet_distance(gathered(u), gathered(v)), kernel_distance):
        assert distance(x, x) < distance(x, near) < distance(x, far)


def test_sets_of_one_picture_have_no_distance() -> None:
    one, more = rows(1, 3), rows(4, 3)
    assert math.isnan(frechet_distance(gathered(one), gathered(more)))
    assert math.isnan(frechet_distance(Frechet(), gathered(more)))
    assert math.isnan(kernel_distance(one, more))


def test_the_kernel_distance_is_what_a_double_loop_gives() -> None:
    x, y = rows(6, 3).double(), rows(5, 3, seed=1).double()

    def kernel(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / 3 + 1) ** 3

    own_x = sum(kernel(x[i], x[j]) for i in range(6) for j in range(6) if i != j) / 30
    own_y = sum(kernel(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    across = sum(kernel(a, b) for a in x for b in y) / 30
    assert kernel_distance(x, y) == pytest.approx(own_x + own_y - 2 * across, rel=1e-10)


def test_the_kernel_distance_is_torchmetrics_polynomial_mmd() -> None:
    from torchmetrics.image.kid import poly_mmd

    x, y = rows(30, 4).double(), rows(30, 4, seed=1).double()
    assert kernel_distance(x, y) == pytest.approx(float(poly_mmd(x, y)), rel=1e-9)


def test_subsets_are_seeded_and_estimate_the_same_number() -> None:
    x, y = rows(300, 4), rows(250, 4, seed=1)
    whole = kernel_distance(x, y)
    found = [kernel_distance(x, y, subsets=60, subset_size=100, seed=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found == pytest.approx([whole] * 3, rel=0.2)


def test_the_kernel_distance_of_equal_distributions_is_zero_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    sets = [torch.randn(70, 3, generator=generator).split([40, 30]) for _ in range(60)]
    draws = [kernel_distance(x, y) for x, y in sets]
    error = np.std(draws) / math.sqrt(len(draws))
    assert abs(np.mean(draws)) < 4 * error and min(draws) < 0


def test_the_inception_score_by_hand() -> None:
    sure = torch.eye(4)
    assert inception_score(sure, 1).mean == pytest.approx(4)  # every class, each certain
    assert inception_score(sure[:1].repeat(8, 1), 2) == (pytest.approx(1), pytest.approx(0))
    assert inception_score(torch.full((6, 5), 0.2), 3).mean == pytest.approx(1)
    p = torch.tensor([[0.7, 0.3], [0.2, 0.8]])
    middle = [0.45, 0.55]
    kl = sum(q * math.log(q / m) for one in p.tolist() for q, m in zip(one, middle, strict=True)) / 2
    assert inception_score(p, 1).mean == pytest.approx(math.exp(kl), rel=1e-6)
    assert inception_score(torch.cat([sure, sure[[0, 0, 1, 1]]]), 2) == (pytest.approx(3), pytest.approx(1))  # 4 and 2
    assert math.isnan(inception_score(p, 10).mean)


def test_splits_of_an_uneven_count_take_every_picture_once() -> None:
    p = torch.eye(5)[[0, 1, 2, 3, 4, 0, 1]]  # 2 + 2 + 3 pictures, all different in each
    assert inception_score(p, 3).mean == pytest.approx((2 + 2 + 3) / 3)


class Scripted(nn.Module):
    """Takes and gives what FID's TorchScript file does, very small."""

    def forward(self, picture: Tensor, return_features: bool = False, no_output_bias: bool = False) -> Tensor:
        assert picture.dtype == torch.uint8
        mean = picture.float().mean((2, 3))
        if return_features:
            return mean
        return (mean if no_output_bias else mean + 1).softmax(1)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the network is published that way
def test_inception_feeds_its_file_with_bytes_and_takes_features_and_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.jit.save(torch.jit.script(Scripted()), str(tmp_path / INCEPTION))
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    monkeypatch.delenv("MANYFILL_INCEPTION", raising=False)
    network = inception()
    picture = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1).expand(2, 3, 8, 9)
    assert network.features(picture).tolist() == [[0, 128, 255]] * 2
    assert_close(network.probabilities(picture), torch.tensor([[0.0, 128, 255]]).softmax(1).expand(2, 3))
    assert inception(tmp_path / INCEPTION).path == network.path


def test_a_missing_or_damaged_inception_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYFILL_INCEPTION", str(tmp_path / "there.pt"))
    with pytest.raises(BadWeights, match=r"there\.pt is not there. Put it there, or set MANYFILL_INCEPTION"):
        inception()
    (tmp_path / "there.pt").write_bytes(b"no archive")
    with pytest.raises(BadWeights, match="not a TorchScript file"):
        inception()
