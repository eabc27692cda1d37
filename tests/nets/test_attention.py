from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from manyfill.nets.attention import (
    ATTENTIONS,
    ContextualAttention,
    NoAttention,
    ShortLongTermAttention,
    ShortTermAttention,
)


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


# ── contextual attention ──────────────────────────────────────────────────────────────────────────────────────────────


def patch(x: Tensor, row: int, column: int) -> Tensor:
    """(C,3,3) around a place of x (C,h,w), zeros outside."""
    return nn.functional.pad(x, (1, 1, 1, 1))[:, row : row + 3, column : column + 3]


def sources(hole: Tensor) -> list[tuple[int, int]]:
    """Places of (h,w) whose patch has no hole, else known places."""
    places = [(i, j) for i in range(hole.shape[0]) for j in range(hole.shape[1])]
    whole = [(i, j) for i, j in places if not patch(hole[None], i, j).any()]
    return whole or [(i, j) for i, j in places if not hole[i, j]]


def weights_of(x: Tensor, hole: Tensor, row: int, column: int) -> dict[tuple[int, int], float]:
    """The softmax of ten times the cosine between the patch at a place and each that may be taken."""
    here = patch(x, row, column).double()
    cosines = {}
    for place in sources(hole):
        there = patch(x, *place).double()
        cosines[place] = float((here * there).sum() / here.norm() / there.norm())
    total = sum(math.exp(10 * c) for c in cosines.values())
    return {place: math.exp(10 * c) / total for place, c in cosines.items()}


def pieced_together(x: Tensor, features: Tensor, hole: Tensor) -> Tensor:
    """Yu et al. 2018 for one picture, place by place and pixel by pixel."""
    height, width = hole.shape
    canvas, count = torch.zeros(features.shape[0], height + 2, width + 2).double(), torch.zeros(height + 2, width + 2)
    for row in range(height):
        for column in range(width):
            if hole[row, column]:
                for place, share in weights_of(x, hole, row, column).items():
                    canvas[:, row : row + 3, column : column + 3] += share * patch(features, *place)
                count[row : row + 3, column : column + 3] += 1
    return ((canvas / count.clamp(min=1))[:, 1:-1, 1:-1] * (hole > 0)).float()


def holes() -> dict[str, Tensor]:
    soft = torch.zeros(5, 7)
    soft[1:3, 2:4], soft[1, 4] = 1, 0.01
    corner = torch.zeros(5, 7)
    corner[3:, 5:] = 1
    stripes = torch.zeros(5, 7)
    stripes[:, ::2] = 1  # no patch without a hole
    return {"box": soft, "corner": corner, "stripes": stripes, "none": 0 * soft, "all": 0 * soft + 1}


@pytest.mark.parametrize("kind", ["box", "corner", "stripes", "none", "all"])
def test_contextual_attention_pieces_the_hole_together_from_known_patches(kind: str) -> None:
    torch.manual_seed(2)
    hole = holes()[kind]
    x, features = torch.randn(3, 5, 7), torch.randn(4, 5, 7)
    with torch.no_grad():
        carried = ContextualAttention(3, 4).carry(x[None], features[None], hole[None, None])[0]
    assert_close(carried, pieced_together(x, features, hole), atol=1e-5, rtol=0)
    assert carried.any() == (kind not in ("none", "all"))


def test_each_picture_of_a_batch_is_pieced_together_by_itself() -> None:
    torch.manual_seed(2)
    attention = ContextualAttention(3, 4, spectral=False).eval()
    hole = torch.stack(list(holes().values()))[:, None]
    x, features = torch.randn(5, 3, 5, 7), torch.randn(5, 4, 5, 7)
    with torch.no_grad():
        together = attention(x, features, hole)
        alone = torch.cat([attention(x[i : i + 1], features[i : i + 1], hole[i : i + 1]) for i in range(5)])
        joined = torch.cat([x, (hole <= 0) * features + attention.carry(x, features, hole)], 1)
        assert_close(together, attention.model(joined))
    assert_close(together, alone, atol=1e-5, rtol=0)


def test_a_repeated_pattern_is_continued_into_the_hole() -> None:
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 5:11, 5:11] = 1
    with torch.no_grad():
        carried = ContextualAttention(1, 1).carry(stripes, stripes, hole)
    assert_close(carried, stripes * hole, atol=0.05, rtol=0)  # at the border patches reach into zeros


def test_under_mixed_precision_contextual_attention_stays_close() -> None:
    torch.manual_seed(2)
    attention, hole = ContextualAttention(3, 4), holes()["box"][None, None]
    x, features = torch.randn(1, 3, 5, 7), torch.randn(1, 4, 5, 7)
    with torch.no_grad():
        want = attention.carry(x, features, hole)
        with torch.autocast("cpu", torch.bfloat16):
            assert_close(attention.carry(x, features, hole).float(), want, atol=0.1, rtol=0)


# ── all kinds ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_a_place_looks_is_its_row_of_the_map() -> None:
    torch.manual_seed(3)
    x, hole = torch.randn(2, 8, 5, 7), holes()["box"].expand(2, 1, 5, 7)
    with torch.no_grad():
        short_long = ShortLongTermAttention(8, 4)
        seen = short_long.look(x, hole, 2, 3)
        assert_close(seen, explicit_map(short_long, x)[:, 2 * 7 + 3].reshape(2, 5, 7).float(), atol=1e-6, rtol=0)
        contextual = ContextualAttention(8, 4)
        seen = contextual.look(x, hole, 2, 3)
        for i in range(2):
            want = torch.zeros(5, 7)
            for place, share in weights_of(x[i], hole[i, 0], 2, 3).items():
                want[place] = share
            assert_close(seen[i], want, atol=1e-6, rtol=0)
        itself = contextual.look(x, hole, 4, 6)
        assert itself[:, 4, 6].tolist() == [1, 1] and itself.sum() == 2
        assert not contextual.look(x, 0 * hole + 1, 2, 3).any()
        assert not NoAttention(8, 4).look(x, hole, 2, 3).any()


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
