from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from manyfill.nets.mixing import Mixer, _turned


def mixer(channels: int = 8) -> Mixer:
    """One that has learned something."""
    torch.manual_seed(0)
    block = Mixer(channels)
    for last in (block.answer, block.narrow):
        nn.init.normal_(last.weight, std=0.5)
    return block.eval()


def hole(*shape: int) -> Tensor:
    return torch.rand(shape[0], 1, *shape[2:], generator=torch.Generator().manual_seed(1))


def test_it_changes_nothing_before_it_has_learned() -> None:
    x = torch.randn(2, 64, 5, 7)
    assert_close(Mixer(64)(x, hole(*x.shape)), x)


def test_every_place_hears_every_other_and_the_hole() -> None:
    x = torch.randn(1, 8, 4, 9, requires_grad=True)
    missing = hole(1, 8, 4, 9).requires_grad_()
    mixer()(x, missing)[0, :, 3, 8].square().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and missing.grad is not None
    assert (x.grad.abs().sum(1) > 0).all() and (missing.grad.abs() > 0).all()


@pytest.mark.parametrize("channels", [4, 8, 32, 96])
def test_it_is_attention_with_turned_queries_and_keys(channels: int) -> None:
    """Written out, place by place: the angle of a row or column grows with it, from 1 to 1/64 of a radian a place."""
    block, (height, width) = mixer(channels), (3, 4)
    x, missing = torch.randn(1, channels, height, width), hole(1, channels, height, width)
    head = min(32, channels)
    turns = 64 ** -torch.linspace(0, 1, head // 4)
    places = [(row, column) for row in range(height) for column in range(width)]
    flat = x.flatten(2)[0].T
    asked = block.ask(torch.cat([block.norm1(flat), missing.flatten()[:, None]], 1))
    query, key, value = (part.view(-1, channels // head, head) for part in asked.chunk(3, 1))

    def turn(row: int, column: int, part: Tensor) -> Tensor:
        angle = torch.cat([row * turns, column * turns])
        point = torch.complex(part[:, : head // 2], part[:, head // 2 :]) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([point.real, point.imag], 1)

    queries, keys = (
        torch.stack([turn(*place, row) for place, row in zip(places, part, strict=True)]) for part in (query, key)
    )
    scores = torch.einsum("phc,qhc->hpq", queries, keys) / head**0.5
    heard = torch.einsum("hpq,qhc->phc", scores.softmax(-1), value).flatten(1)
    after = flat + block.answer(heard)
    wide = nn.functional.leaky_relu(block.widen(torch.cat([block.norm2(after), missing.flatten()[:, None]], 1)), 0.1)
    expected = (after + block.narrow(wide)).T.view(1, channels, height, width)
    assert_close(block(x, missing), expected, atol=1e-4, rtol=1e-4)


def test_only_the_distance_of_two_places_counts() -> None:
    query, key = torch.randn(8), torch.randn(8)

    def score(here: Tensor, there: Tensor) -> Tensor:
        return _turned(query, here.cos(), here.sin()) @ _turned(key, there.cos(), there.sin())

    here, there, shift = torch.rand(3, 4)
    assert_close(score(here, there), score(here + shift, there + shift))


@pytest.mark.parametrize("channels", [6, 48])
def test_channels_that_make_no_heads_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=f"not {channels}"):
        Mixer(channels)
