"""Scores, near-twins, order and the uncertainty map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from manyfill.ranking import critic_score, distances, pick, seam_score, thumbnail, uncertainty


class Brightness(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image.mean(1, keepdim=True), 16)


def centre(height: int, width: int) -> NDArray[np.bool_]:
    hole = np.zeros((height, width), bool)
    hole[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return hole


def test_the_critics_mean_is_the_score() -> None:
    picture = torch.rand(1, 3, 128, 160)
    assert critic_score(Brightness(), picture) == pytest.approx(float(picture.mean()), abs=1e-6)


def test_pictures_too_small_for_a_critic_are_enlarged() -> None:
    assert critic_score(nn.Conv2d(3, 1, 100), torch.zeros(1, 3, 32, 64)) is not None


def test_a_step_of_one_costs_one() -> None:
    picture = np.zeros((20, 24, 3), np.float32)
    hole = centre(20, 24)
    picture[hole] = 1
    assert seam_score(picture, hole) == -1


def test_gradients_and_edges_that_run_on_cost_nothing() -> None:
    rows, columns = np.mgrid[0:40, 0:40]
    ramp = np.repeat(((rows + 2 * columns) / 120)[..., None], 3, 2).astype(np.float32)
    assert seam_score(ramp, centre(40, 40)) == pytest.approx(0, abs=1e-6)


def test_a_smaller_step_scores_higher() -> None:
    hole = centre(30, 30)
    scores = [
        seam_score(np.where(hole[..., None], step, np.zeros(3)).astype(np.float32), hole) for step in (0.5, 0.2, 0)
    ]
    assert scores == sorted(scores) and scores[-1] == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 50)])
def test_no_edge_no_seam(shape: tuple[int, int]) -> None:
    for hole in (np.zeros(shape, bool), np.ones(shape, bool)):
        assert seam_score(np.ones((*shape, 3), np.float32), hole) == 0


def test_the_distance_of_two_flat_fills_is_their_difference() -> None:
    hole = centre(100, 70)
    ones = [thumbnail(np.full((100, 70, 3), value, np.float32), hole) for value in (0.2, 0.5, 0.5)]
    apart = distances(ones)
    assert apart[0, 1] == pytest.approx(0.3, abs=1e-5)
    assert apart[1, 2] == apart[0, 0] == 0
    assert (apart == apart.T).all()


def test_what_lies_outside_the_hole_does_not_count() -> None:
    hole = centre(64, 64)
    noise = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    same = np.full_like(noise, 0.5)
    assert np.abs(thumbnail(same, hole) - thumbnail(np.where(hole[..., None], same, noise), hole)).max() < 1e-6


def flat(*values: float) -> NDArray[np.float64]:
    row = np.array(values)
    return np.abs(row[:, None] - row[None])


def test_best_first() -> None:
    assert pick([0.1, 0.9, 0.5], flat(0, 1, 2), 3) == [1, 2, 0]


def test_a_near_twin_of_a_better_fill_is_passed_over() -> None:
    assert pick([0.9, 0.8, 0.7, 0.1], flat(0, 0.01, 5, 9), 3) == [0, 2, 3]


def test_twins_are_kept_where_there_would_be_too_few_without() -> None:
    assert pick([0.9, 0.8, 0.7], flat(0, 0.01, 5), 3) == [0, 1, 2]
    assert pick([0.6, 0.9, 0.7, 0.8], flat(0, 0.001, 0.002, 5), 3) == [1, 3, 2]


def test_equal_fills_and_missing_scores_keep_the_order_drawn() -> None:
    assert pick([0.5, 0.5, 0.5], flat(1, 1, 1), 2) == [0, 1]
    assert pick([None, float("nan"), 0.0], flat(1, 2, 3), 3) == [2, 0, 1]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.integers(1, 8), st.integers(0, 1000))
def test_as_many_as_asked_for_each_once_and_sorted(scores: list[float], n: int, seed: int) -> None:
    apart = flat(*np.random.default_rng(seed).random(len(scores)).tolist())
    chosen = pick(scores, apart, n)
    assert len(chosen) == len(set(chosen)) == min(n, len(scores))
    assert [scores[i] for i in chosen] == sorted((scores[i] for i in chosen), reverse=True)
    assert scores[chosen[0]] == max(scores)


def test_black_and_white_disagree_entirely() -> None:
    hole = centre(12, 16)
    black, white = np.zeros((12, 16, 3), np.uint8), np.full((12, 16, 3), 255, np.uint8)
    assert (uncertainty([black, white], hole) == hole).all()
    assert (uncertainty([black.astype(np.uint16), white.astype(np.uint16) * 257], hole) == hole).all()


def test_uncertainty_is_twice_the_standard_deviation() -> None:
    pictures = np.random.default_rng(0).random((5, 9, 7, 3))
    hole = np.ones((9, 7), bool)
    expected = 2 * np.sqrt(pictures.var(0).mean(-1))
    assert np.abs(uncertainty(list(pictures), hole) - expected).max() < 1e-6


def test_nothing_is_uncertain_in_one_fill_or_without_a_hole() -> None:
    picture = np.random.default_rng(0).random((9, 7, 3))
    assert not uncertainty([picture], np.ones((9, 7), bool)).any()
    assert not uncertainty([picture, 1 - picture], np.zeros((9, 7), bool)).any()
