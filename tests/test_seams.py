"""Closed seams."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from drawn import boxes_hole, holes
from hypothesis import given, settings

from manyfill.boxes import Bools
from manyfill.seams import close_seam, continue_outwards, fill_smoothly, hang


def test_a_constant_offset_vanishes_at_the_edge_and_fades_inwards() -> None:
    photo = np.full((96, 128, 3), 0.6, np.float32)
    hole = boxes_hole(96, 128, (20, 30, 60, 64))
    closed = close_seam(photo - 0.2, photo, hole, reach=12)
    assert (closed[~hole] == (photo - 0.2)[~hole]).all()
    row = closed[50, 30:62, 0]
    assert abs(row[0] - 0.6) < 0.02
    assert (np.diff(row) < 1e-4).all()
    assert abs(row[-1] - 0.4) < 0.06  # 30 pixels in from two sides: 4 exp(-30 / 12) of the step at most


def test_without_decay_a_constant_offset_vanishes_everywhere() -> None:
    photo = np.random.default_rng(0).random((70, 90, 3)).astype(np.float32)
    hole = boxes_hole(70, 90, (0, 30, 40, 50))
    closed = close_seam(photo - 0.1, photo, hole, reach=float("inf"))
    assert np.abs(closed - photo)[hole].max() < 1e-4


def test_a_fill_that_fits_is_left_alone() -> None:
    photo = np.random.default_rng(0).random((50, 60, 3)).astype(np.float32)
    hole = boxes_hole(50, 60, (10, 20, 15, 15))
    assert (close_seam(photo, photo, hole) == photo).all()


@pytest.mark.parametrize("hole", [np.zeros((20, 30), bool), np.ones((20, 30), bool)])
def test_empty_and_full_holes_have_no_seam(hole: Bools) -> None:
    fill = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    assert (close_seam(fill, np.zeros_like(fill), hole) == fill).all()


@given(holes())
@settings(max_examples=30)
def test_any_hole_gives_finite_values_within_the_step(hole: Bools) -> None:
    fill = np.full((*hole.shape, 3), 0.3, np.float32)
    closed = close_seam(fill, np.full_like(fill, 0.7), hole)
    assert closed.min() >= 0.3 - 1e-4 and closed.max() <= 0.7 + 1e-4


def test_what_was_drawn_is_continued_a_few_pixels_outwards() -> None:
    hole = boxes_hole(40, 50, (10, 10, 20, 20))
    values = np.where(hole[..., None], 0.3, np.full((40, 50, 3), 0.9)).astype(np.float32)
    continued = continue_outwards(values, hole)
    assert np.abs(continued[5:35, 5:35] - 0.3).max() < 1e-5
    assert (continued[:, 40:] == values[:, 40:]).all() and (continued[hole] == values[hole]).all()


def test_a_smooth_fill_continues_the_rim_and_reads_nothing_under_the_hole() -> None:
    hole = boxes_hole(40, 50, (10, 10, 20, 20))
    photo = np.full((40, 50, 3), 0.3, np.float32)
    photo[hole] = 1
    assert np.abs(fill_smoothly(photo, hole) - 0.3).max() < 1e-4


@pytest.mark.parametrize("screen", [0.0, 1 / 10**2])
def test_the_correction_solves_the_screened_laplace_equation(screen: float) -> None:
    height, width = 40, 52
    rows, columns = np.mgrid[0:height, 0:width]
    free = (rows - 20) ** 2 + (columns - 26) ** 2 < 16**2
    values = np.sin(columns / 9) + rows / 40
    index = np.arange(height * width).reshape(height, width)
    matrix = scipy.sparse.lil_matrix((height * width,) * 2)
    right = np.zeros(height * width)
    for r, c in zip(rows.ravel(), columns.ravel(), strict=True):
        here = index[r, c]
        if free[r, c]:
            matrix[here, here] = 4 + screen
            for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                matrix[here, index[r + dr, c + dc]] = -1
        else:
            matrix[here, here] = 1
            right[here] = values[r, c]
    exact = scipy.sparse.linalg.spsolve(matrix.tocsr(), right).reshape(height, width)
    held = np.repeat((values * ~free)[..., None], 3, 2).astype(np.float32)
    ours = hang(held, (~free).astype(np.float32), screen)[..., 0]
    assert np.abs(ours - exact).max() < 0.03 * np.ptp(
        values
    )  # a few sweeps a level, not a solver: no eye sees the rest
