"""MI-GAN's configuration; what it draws is compared with a file of its form in test_trunks.py."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from manyfill.nets.migan import MIGAN, MIGANConfig, act, double, halve


@pytest.mark.parametrize("changes", [{"size": 100}, {"size": 4}, {"working": 300}])
def test_sizes_that_cannot_be_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        MIGANConfig(**changes)


def test_the_published_network_has_the_published_size() -> None:
    with torch.device("meta"):
        net = MIGAN()
    assert sum(p.numel() for p in net.parameters()) == 5_893_144  # the file's weights but its fixed filters
    assert sum(noise.numel() for noise in net.buffers()) == 2 * sum((512 >> k) ** 2 for k in range(7))
    assert net.multiple == 128 and net.config.channels(0) == 64 and net.config.channels(7) == 512


def test_doubling_is_the_published_filter_over_zeros() -> None:
    x = torch.randn(2, 3, 5, 7)
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = (torch.outer(line, line) / 16).expand(3, 1, 4, 4)
    zeros = torch.zeros(2, 3, 10, 14)
    zeros[..., ::2, ::2] = x
    expected = F.conv2d(F.pad(zeros, (2, 1, 2, 1)), kernel, groups=3)
    torch.testing.assert_close(double(x), expected)


def test_halving_keeps_a_flat_map_but_for_the_border() -> None:
    flat = halve(torch.full((1, 2, 8, 8), 3.0))
    torch.testing.assert_close(flat[..., 1:-1, 1:-1], torch.full((1, 2, 2, 2), 3.0))
    assert flat[0, 0, 0, 0] < 3


def test_the_activation_leaks_a_fifth_and_is_clipped() -> None:
    assert act(torch.tensor([-10.0, 5.0, 300.0, -2000.0])).tolist() == [-2.0, 5.0, 256.0, -256.0]
