"""P-IDS and U-IDS against a support vector machine fitted by scipy, and in plain cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from manyfill.metrics.ids import ids


def draw(count: int, shift: float, seed: int = 0) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) + shift


def test_both_scores_are_those_of_the_machine_that_minimises_the_squared_hinge_loss() -> None:
    fills, truths = draw(60, 0.6), draw(60, 0, seed=1)
    x = torch.cat([truths, fills]).double().numpy()
    x = np.hstack([x, np.ones((120, 1))])  # the bias is a feature, and shrunk with the others
    sign = np.repeat([1.0, -1.0], 60)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        slack = np.maximum(1 - sign * (x @ w), 0)
        return w @ w / 2 + (slack**2).sum(), w - 2 * (slack * sign) @ x

    w = minimize(loss, np.zeros(5), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}).x
    real, drawn = x[:60] @ w, x[60:] @ w
    found = ids(fills, truths)
    assert found.paired == pytest.approx(100 * (drawn > real).mean(), abs=1e-9)
    assert found.unpaired == pytest.approx(100 * ((real <= 0).sum() + (drawn > 0).sum()) / 120, abs=1e-9)
    assert 0 < found.unpaired < 50 and 0 < found.paired < 50


def test_fills_far_from_all_photos_score_nothing() -> None:
    assert ids(draw(40, 9), draw(40, 0, seed=1)) == (0, 0)


def test_nearer_fills_score_higher() -> None:
    truths = draw(300, 0, seed=1)
    far, middle, near = (ids(draw(300, shift), truths) for shift in (2.0, 1.0, 0.2))
    assert far.paired < middle.paired < near.paired
    assert far.unpaired < middle.unpaired < near.unpaired


def test_fewer_photos_than_features_are_parted_whatever_they_are() -> None:
    generator = torch.Generator().manual_seed(0)
    fills, truths = torch.randn(2, 10, 60, generator=generator)
    assert ids(fills, truths) == (0, 0)


def test_no_photos_have_no_score_and_the_two_sides_must_be_pairs() -> None:
    assert all(np.isnan(ids(torch.zeros(0, 3), torch.zeros(0, 3))))
    with pytest.raises(AssertionError, match=r"features \(3, 4\) and \(2, 4\)"):
        ids(draw(3, 0), draw(2, 0))
