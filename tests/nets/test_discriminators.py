"""The critic; its parity with the published one is held in test_picnet.py (scores) and test_step.py (gradients)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from manyfill.nets.blocks import settle
from manyfill.nets.discriminators import Critic, CriticConfig

TINY = CriticConfig(width=4, max_width=8, levels=4)


def critic() -> Critic:
    torch.manual_seed(0)
    net = Critic(TINY)
    settle(net, 10)  # fresh u and v would blow the scores up
    return net


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(48, 48), (48, 80), (64, 48)])
def test_each_patch_of_the_picture_gets_a_score(height: int, width: int, batch: int) -> None:
    with torch.no_grad():
        assert critic()(torch.rand(batch, 3, height, width)).shape == (batch, 1, height // 16 - 2, width // 16 - 2)


def test_a_score_does_not_depend_on_the_neighbours_in_the_batch() -> None:
    net, image = critic().eval(), torch.rand(3, 3, 48, 48)
    with torch.no_grad():
        assert_close(net(image)[1:2], net(image[1:2]), atol=1e-6, rtol=0)


def test_the_critic_is_as_large_as_the_published_one() -> None:
    with torch.device("meta"):
        net = Critic(CriticConfig(spectral_norm=False))
    unused = 475_521  # of the release: the long-term half of its attention, in no computation
    assert sum(p.numel() for p in net.parameters()) == 1_575_075 - unused
    assert net.attention.query.in_channels == 128 and net.attention_after == 1  # at 1/8 of the side


@pytest.mark.parametrize("levels", [4, 5, 6])
def test_the_critic_attends_at_an_eighth_of_the_side(levels: int) -> None:
    net, seen = Critic(replace(TINY, levels=levels)), []
    net.attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2:]))
    with torch.no_grad():
        net(torch.rand(1, 3, 192, 256))
    assert seen == [(24, 32)]


def test_the_query_starts_as_the_release_starts_it() -> None:
    query = Critic().attention.query  # orthogonal rows, 0.02 long; no bias
    rows = query.weight.detach().flatten(1)
    assert_close(rows @ rows.T, 0.02**2 * torch.eye(32), atol=1e-9, rtol=1e-5)
    assert query.bias is not None and not query.bias.any()


def test_every_parameter_receives_a_gradient() -> None:
    net = critic()
    with torch.no_grad():  # at zero, its start, the query has no effect yet
        net.attention.gamma.fill_(0.5)
    net(torch.rand(2, 3, 64, 64)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("levels", [4, 5])
def test_the_smallest_picture_gets_one_score_and_a_smaller_one_none(levels: int) -> None:
    critic = Critic(CriticConfig(width=2, max_width=4, levels=levels))
    side = critic.config.smallest
    assert critic(torch.rand(1, 3, side, side)).shape == (1, 1, 1, 1)
    with pytest.raises(RuntimeError):
        critic(torch.rand(1, 3, side - 2**levels, side))


def test_a_critic_has_at_least_four_levels() -> None:
    with pytest.raises(AssertionError, match="at least 4 levels, not 3"):
        CriticConfig(levels=3)
