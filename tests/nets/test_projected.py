"""The critic on frozen features: what is trained, what is not, and how pictures are altered before it looks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from manyfill.nets.discriminators import Critic, CriticConfig, critic
from manyfill.nets.projected import ProjectedCritic, augmented

CONFIG = CriticConfig(kind="projected", width=4, max_width=8)
STILL = [0.5, 0.5, 0.5, 0.5, 0.5]  # brightness, saturation and contrast as they are, no shift


@pytest.fixture(scope="module")
def projected() -> ProjectedCritic:
    torch.manual_seed(0)
    found = critic(CONFIG)
    assert isinstance(found, ProjectedCritic)
    return found


def test_the_kind_chooses_the_critic() -> None:
    assert isinstance(critic(CriticConfig(width=4, max_width=8)), Critic)
    with pytest.raises(ValueError, match="kind is 'other'; expected one of residual, projected"):
        CriticConfig(kind="other")


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 48), (128, 128)])
def test_each_place_gets_a_score_of_each_scale(projected: ProjectedCritic, height: int, width: int) -> None:
    assert projected(torch.rand(2, 3, height, width)).shape == (2, 3, height // 16, width // 16)


def test_only_the_heads_learn_and_a_picture_feels_every_scale(projected: ProjectedCritic) -> None:
    projected.train()
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    scores = projected(image)
    for scale in range(3):
        (gradient,) = torch.autograd.grad(scores[:, scale].sum(), image, retain_graph=True)
        assert gradient.isfinite().all() and gradient.abs().max() > 0
    scores.sum().backward()
    learns = {name for name, p in projected.named_parameters() if p.requires_grad}
    assert learns == {name for name, _ in projected.named_parameters() if name.startswith("heads.")}
    assert all((p.grad is not None) == p.requires_grad for p in projected.parameters())
    assert not any(module.training for module in projected.features.modules())


def test_what_it_looks_at_depends_on_the_samples_number_alone(projected: ProjectedCritic) -> None:
    """Row 1 of a batch from 0 is row 0 of one from 1; out of training nothing is altered."""
    projected.train()
    image = torch.rand(1, 3, 64, 64).expand(3, 3, 64, 64)
    seen: list[Tensor] = []
    hook = projected.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for first in (0, 1, 0):
        projected.move(7, first)
        projected(image)
    projected.move(8, 0)
    projected(image)
    projected.eval()
    projected(image)
    hook.remove()
    a, b, again, other, still = seen
    assert torch.equal(a, again) and torch.equal(a[1:], b[:2])
    assert not torch.equal(a[0], a[1]) and not torch.equal(a, other)
    assert torch.equal(still, image)


def test_draws_in_the_middle_change_nothing_but_the_covered_square() -> None:
    image = torch.rand(1, 3, 8, 8)
    seen = augmented(image, torch.tensor([[*STILL, 0.0, 0.99]]))  # a corner: the square's middle is (0, 8)
    expected = image.clone()
    expected[..., :2, 6:] = 0.5
    assert_close(seen, expected)


def test_pictures_are_shifted_both_ways_and_grey_comes_in() -> None:
    image = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, 8, 8) / 64
    far = [0.0, 0.0]  # the square stands in a corner, 2 x 2 of it inside
    up = augmented(image, torch.tensor([[0.5, 0.5, 0.5, 0.99, 0.5, *far]]))
    assert_close(up[..., 2:7, :], image[..., 3:, :])
    assert (up[..., 7, :] == 0.5).all()
    right = augmented(image, torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.0, *far]]))
    assert_close(right[..., 2:, 1:], image[..., 2:, :-1])
    assert (right[..., 0] == 0.5).all()


def test_light_and_colour_change_as_published() -> None:
    """By hand: brightness added, colours about their grey, contrast about the picture's mean; in [-1,1]."""
    image = torch.rand(1, 3, 4, 4)
    x = 2 * image - 1 + 0.25
    grey = x.mean(1, keepdim=True)
    x = 0.5 * (x - grey) + grey
    x = 1.3 * (x - x.mean()) + x.mean()
    seen = augmented(image, torch.tensor([[0.75, 0.25, 0.8, 0.5, 0.5, 0.0, 0.0]]))
    assert_close(seen[..., 1:, 1:], (x[..., 1:, 1:] + 1) / 2)


def test_a_gradient_reaches_the_picture_through_every_change() -> None:
    image = torch.rand(2, 3, 16, 16, requires_grad=True)
    augmented(image, torch.rand(2, 7, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert image.grad is not None and (image.grad != 0).float().mean() > 0.3


def test_the_hole_moves_as_its_picture_does(projected: ProjectedCritic) -> None:
    """Drawn white on grey, it stands where it is said to be; out of training it stays."""
    hole = torch.zeros(3, 1, 64, 64)
    hole[:, :, 20:50, 8:40] = 1
    projected.train()
    projected.move(7, 3)
    seen: list[Tensor] = []
    hook = projected.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    projected((0.5 + hole / 2).expand(3, 3, 64, 64))
    hook.remove()
    moved = projected.seen(hole)
    (picture,) = seen
    for row in range(3):  # light and contrast change a row's two colours, and what comes in is mid-grey
        inside, outside = picture[row][:, moved[row, 0] == 1], picture[row][:, moved[row, 0] == 0]
        assert 0 < moved[row].sum() <= hole[row].sum() and inside.std() < 1e-5
        assert (outside - inside[0, 0]).abs().min() > 0.01
    assert not torch.equal(moved, hole)
    projected.eval()
    assert torch.equal(projected.seen(hole), hole)
