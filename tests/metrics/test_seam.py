"""Seam measures by hand and against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from manyfill.metrics import seam


def row(*values: float) -> Tensor:
    return torch.tensor(values).div(255).expand(1, 3, 1, -1)


def looped_error(picture: Tensor, truth: Tensor, hole: Tensor, width: int) -> float:
    """boundary_error by visiting every pixel."""
    missing = hole[0].numpy() > 0
    found = []
    for i, j in zip(*np.nonzero(missing), strict=True):
        around = missing[max(i - width, 0) : i + width + 1, max(j - width, 0) : j + width + 1]
        if not around.all():
            found.append(float((picture[:, i, j].double() - truth[:, i, j].double()).abs().mean()))
    return 255 * float(np.mean(found)) if found else np.nan


def looped_jump(picture: Tensor, truth: Tensor, hole: Tensor) -> float:
    missing = hole[0].numpy() > 0
    found = []
    for i, j in zip(*np.nonzero(missing), strict=True):
        for p, q in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= p < missing.shape[0] and 0 <= q < missing.shape[1] and not missing[p, q]:
                step, own = ((x[:, i, j].double() - x[:, p, q].double()).abs().mean() for x in (picture, truth))
                found.append(float(step - own))
    return 255 * float(np.mean(found)) if found else np.nan


def test_boundary_error_by_hand() -> None:
    truth, hole = row(0, 0, 0, 0, 0, 0), torch.tensor([0.0, 1, 1, 1, 1, 1]).view(1, 1, 1, 6)
    fill = row(0, 10, 20, 40, 80, 99)
    assert seam.boundary_error(fill, truth, hole, 1).item() == pytest.approx(10)  # the photo's border is none
    assert seam.boundary_error(fill, truth, hole, 3).item() == pytest.approx(70 / 3)
    assert seam.boundary_error(fill, truth, hole, 5).item() == pytest.approx(249 / 5)
    assert seam.boundary_error(fill, truth, hole, 50).item() == pytest.approx(249 / 5)


def test_gradient_jump_by_hand() -> None:
    hole = torch.tensor([0.0, 1, 1, 0]).view(1, 1, 1, 4)
    truth = row(10, 20, 30, 60)  # steps of 10 and 30 over the border
    assert seam.gradient_jump(truth, truth, hole).item() == pytest.approx(0)
    assert seam.gradient_jump(row(10, 110, 10, 60), truth, hole).item() == pytest.approx((100 + 50 - 40) / 2)
    assert seam.gradient_jump(row(10, 10, 60, 60), truth, hole).item() == pytest.approx(-20)  # smoother than the photo


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_both_are_what_a_plain_loop_gives(height: int, columns: int, batch: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    picture, truth = torch.rand(2, batch, 3, height, columns, generator=generator)
    hole = (torch.rand(batch, 1, height, columns, generator=generator) < 0.6).float()
    for width in (1, 3):
        expected = [looped_error(*one, width) for one in zip(picture, truth, hole, strict=True)]
        assert seam.boundary_error(picture, truth, hole, width).tolist() == pytest.approx(expected, nan_ok=True)
    expected = [looped_jump(*one) for one in zip(picture, truth, hole, strict=True)]
    assert seam.gradient_jump(picture, truth, hole).tolist() == pytest.approx(expected, nan_ok=True)


def test_holes_without_a_border_have_no_seam() -> None:
    picture = torch.rand(2, 3, 5, 6)
    hole = torch.stack([torch.zeros(1, 5, 6), torch.ones(1, 5, 6)])
    for found in (seam.boundary_error(picture, picture, hole, 3), seam.gradient_jump(picture, picture, hole)):
        assert found.dtype == torch.float64 and found.isnan().all()


def test_a_shifted_fill_has_a_seam_and_a_fading_one_a_smaller_one() -> None:
    truth = torch.full((1, 3, 16, 20), 0.5)
    hole = torch.zeros(1, 1, 16, 20)
    hole[..., 4:12, 5:15] = 1
    shifted = truth + 0.2 * hole
    depth = torch.zeros_like(hole)
    for k in range(4):
        depth[..., 4 + k : 12 - k, 5 + k : 15 - k] += 0.05
    for measure in (seam.gradient_jump, lambda *x: seam.boundary_error(*x, 1), lambda *x: seam.boundary_error(*x, 3)):
        none, little, much = (measure(picture, truth, hole) for picture in (truth, truth + depth, shifted))
        assert none == 0 and none < little < much
    assert_close(seam.gradient_jump(shifted, truth, hole), torch.tensor([51.0]).double(), rtol=1e-5, atol=0)
