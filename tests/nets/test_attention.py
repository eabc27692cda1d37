from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from manyfill.nets.attention import ATTENTIONS, NoAttention, ShortLongTermAttention, ShortTermAttention


def explicit_map(attention: ShortTermAttention, x: Tensor) -> Tensor:
    """A_ij = exp(q_i . q_j) / sum_j exp(q_i . q_j), place by place."""
    q = attention.query(x).flatten(2).double()  # (B, C/4, N)
    scores = torch.einsum("bci,bcj->bij", q, q)
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)


def carried(matrix: Tensor, values: Tensor) -> Tensor:
    return torch.einsum("bij,bcj->bci", matrix, values.flatten(2).double()).reshape(values.shape).float()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 7), (1, 1)])
@pytest.mark.parametrize(("channels", "value_channels"), [(8, 8), (8, 16), (2, 3)])
def test_no_place_by_place_matrix_is_needed_for_the_same_result(
    channels: int, value_channels: int, height: int, width: int, batch: int
) -> None:
    torch.manual_seed(0)
    attention = ShortTermAttention(channels)
    x, values = torch.randn(batch, channels, height, width), torch.randn(batch, value_channels, height, width)
    with torch.no_grad():
        matrix = explicit_map(attention, x)
        assert_close(attention.map(x), matrix.float(), atol=1e-6, rtol=0)
        assert_close(attention.attend(x, values), carried(matrix, values), atol=1e-5, rtol=0)


def test_each_row_of_the_map_sums_to_one() -> None:
    with torch.no_grad():
        rows = ShortTermAttention(8).map(torch.randn(2, 8, 3, 5)).sum(-1)
    assert_close(rows, torch.ones(2, 15))


def test_attention_begins_as_nothing() -> None:
    x = torch.randn(2, 8, 3, 5)
    assert torch.equal(ShortTermAttention(8)(x), x)


def test_short_and_long_term_attention_follow_the_paper() -> None:
    torch.manual_seed(1)
    attention = ShortLongTermAttention(8, 4, spectral=False)
    x, features, hole = torch.randn(2, 8, 3, 5), torch.randn(2, 4, 3, 5), torch.rand(2, 1, 3, 5)
    with torch.no_grad():
        attention.gamma.fill_(0.7)
        attention.alpha.fill_(0.3)
        matrix = explicit_map(attention, x)
        short = 0.7 * carried(matrix, x) + x
        long = 0.3 * hole * carried(matrix, features) + (1 - hole) * features
        assert_close(attention(x, features, hole), attention.model(torch.cat([short, long], 1)), atol=1e-5, rtol=0)


def test_known_places_keep_their_encoder_features() -> None:
    attention = ShortLongTermAttention(8, 4, spectral=False)
    seen: list[Tensor] = []
    attention.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features, hole = torch.randn(1, 4, 2, 4), torch.zeros(1, 1, 2, 4)
    hole[..., 2:] = 1
    with torch.no_grad():
        attention.alpha.fill_(0.5)
        attention(torch.randn(1, 8, 2, 4), features, hole)
    long = seen[0][:, 8:]
    assert torch.equal(long[..., :2], features[..., :2])
    assert not torch.isclose(long[..., 2:], features[..., 2:]).any()


def test_the_block_behind_attention_has_the_frameworks_slope() -> None:
    """0.01, unlike the 0.1 of the rest: the published network moves by up to 0.13 without it."""
    assert ShortLongTermAttention(8, 4).model.leak == 0.01


def test_without_attention_nothing_is_carried_into_the_hole() -> None:
    attention = NoAttention(8, 4, spectral=False)
    x, features = torch.randn(1, 8, 2, 4), torch.randn(1, 4, 2, 4)
    everywhere = torch.ones(1, 1, 2, 4)
    with torch.no_grad():
        assert torch.equal(attention(x, features, everywhere), attention(x, torch.randn_like(features), everywhere))
        assert not torch.equal(attention(x, features, 0 * everywhere), attention(x, features, everywhere))


@pytest.mark.parametrize("kind", sorted(ATTENTIONS))
def test_every_kind_gives_a_gradient_to_all_its_parameters(kind: str) -> None:
    torch.manual_seed(0)
    attention: nn.Module = ATTENTIONS[kind](8, 4)
    for name, parameter in attention.named_parameters():
        if name in ("gamma", "alpha"):  # at zero, their start, the query has no effect yet
            parameter.data.fill_(0.5)
    out = attention(torch.randn(2, 8, 3, 5), torch.randn(2, 4, 3, 5), torch.rand(2, 1, 3, 5))
    out.square().sum().backward()
    assert [name for name, p in attention.named_parameters() if p.grad is None or not p.grad.any()] == []
