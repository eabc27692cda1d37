"""The latent's distribution."""

from __future__ import annotations

import torch

from manyfill.nets.latent import Normal


def test_a_sample_is_the_mean_moved_by_so_many_deviations() -> None:
    normal = Normal(torch.full((1, 2, 3, 3), 4.0), torch.full((1, 2, 3, 3), 0.5))
    assert torch.equal(normal.sample(torch.zeros(1, 2, 3, 3)), normal.mean)
    assert torch.equal(normal.sample(torch.full((1, 2, 3, 3), -2.0)), torch.full((1, 2, 3, 3), 3.0))
