"""Loss terms against values computed by hand, torch.distributions; against the authors' DFNet: test_objectives.py."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from manyfill import losses


def picture(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows).reshape(1, 1, len(rows), -1)


A, B = picture((0.1, 0.5), (0.9, 0.3)), picture((0.2, 0.2), (0.5, 0.7))  # |A - B| = 0.1 0.3 / 0.4 0.4
LEFT = picture((1.0, 0.0), (1.0, 0.0))


def test_l1_by_hand() -> None:
    assert losses.l1(A, B).item() == pytest.approx(0.3)
    assert losses.l1(A, B, LEFT).item() == pytest.approx(0.5 / 4)  # the mean stays over all pixels
    assert losses.l1(A, A).item() == 0


def test_l1_inside_a_region_by_hand() -> None:
    assert losses.l1_inside(A, B, LEFT).item() == pytest.approx(0.25)
    assert losses.l1_inside(A, B, 0 * LEFT).item() == 0
    colour = A.expand(2, 3, 2, 2)
    assert losses.l1_inside(colour, B.expand_as(colour), LEFT.expand(2, 1, 2, 2)).item() == pytest.approx(0.25)


finite = st.floats(-3, 3, width=32)
positive = st.floats(0.125, 4, width=32)


@given(finite, positive, finite, positive)
def test_kl_is_that_of_torch_distributions(m1: float, s1: float, m2: float, s2: float) -> None:
    ours = losses.kl_normal(*(torch.tensor([x], dtype=torch.float64) for x in (m1, s1, m2, s2)))
    theirs = kl_divergence(
        *(Normal(*(torch.tensor([x], dtype=torch.float64) for x in pair)) for pair in ((m1, s1), (m2, s2)))
    )
    assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    assert ours >= -1e-12


@pytest.mark.parametrize(
    ("known", "std"), [(0.0, 0.998), (0.25, 0.988), (0.5, 0.917), (0.75, 0.599), (0.8, 0.5), (0.9, 0.310), (1.0, 0.168)]
)
def test_the_latent_prior_is_wider_for_larger_holes(known: float, std: float) -> None:
    assert losses.latent_prior_std(torch.tensor([known])).item() == pytest.approx(std, abs=5e-4)


REAL, FAKE = picture((0.5, 2.0)), picture((0.25, -3.0))


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [
        ("lsgan", ((0.25 + 1.0) / 2 + (0.0625 + 9.0) / 2) / 2, (0.5625 + 16.0) / 2),
        ("hinge", ((0.5 + 0.0) / 2 + (1.25 + 0.0) / 2) / 2, -(0.25 - 3.0) / 2),
        (
            "logistic",
            sum(math.log1p(math.exp(-x)) for x in (0.5, 2.0)) / 2
            + sum(math.log1p(math.exp(x)) for x in (0.25, -3.0)) / 2,
            sum(math.log1p(math.exp(-x)) for x in (0.25, -3.0)) / 2,
        ),
        ("wgan-gp", ((0.25 - 3.0) / 2 - (0.5 + 2.0) / 2) / 2, -(0.25 - 3.0) / 2),
    ],
)
def test_adversarial_losses_by_hand(kind: str, discriminator: float, generator: float) -> None:
    assert losses.gan_discriminator(REAL, FAKE, kind).item() == pytest.approx(discriminator)
    assert losses.gan_generator(FAKE, kind).item() == pytest.approx(generator)


@pytest.mark.parametrize("kind", losses.GANS)
def test_places_count_by_their_weight(kind: str) -> None:
    """Three quarters to the first place and one to the second: as if the first were there three times."""
    weight = picture((0.75, 0.25)).view(1, 1, 1, 2)
    real, fake = (torch.tensor(scores).view(1, 2, 1, 2) for scores in ((0.5, 2.0, -1.0, 0.25), (0.25, -3.0, 1.5, 0.75)))
    thrice = torch.tensor([0, 0, 0, 1])
    expected = losses.gan_discriminator(real[..., thrice], fake[..., thrice], kind)
    assert losses.gan_discriminator(real, fake, kind, weight).item() == pytest.approx(expected.item())
    expected = losses.gan_generator(fake[..., thrice], kind)
    assert losses.gan_generator(fake, kind, weight).item() == pytest.approx(expected.item())
    assert losses.gan_generator(fake, kind, torch.zeros(1, 1, 1, 2)).item() == 0


@pytest.mark.parametrize("kind", ["lsgan", "hinge", "logistic", "wgan-gp"])
def test_better_scores_are_better_losses(kind: str) -> None:
    good, bad = torch.ones(1, 1, 2, 2), -torch.ones(1, 1, 2, 2)
    assert losses.gan_generator(good, kind) < losses.gan_generator(bad, kind)
    assert losses.gan_discriminator(good, bad, kind) < losses.gan_discriminator(bad, good, kind)


def test_an_adversarial_loss_that_does_not_exist_is_refused() -> None:
    for loss in (lambda: losses.gan_generator(FAKE, "wgan"), lambda: losses.gan_discriminator(REAL, FAKE, "wgan")):
        with pytest.raises(AssertionError, match="lsgan, hinge, logistic, wgan-gp"):
            loss()


def test_the_gradient_penalty_by_hand() -> None:
    """D(x) = sum of x^2 / 2 per picture: its gradient is x itself, and only its length counts."""
    real, fake = torch.tensor([3.0, 0.0]).reshape(2, 1, 1, 1), torch.tensor([1.0, 4.0]).reshape(2, 1, 1, 1)
    real, fake = real.expand(2, 3, 2, 2), fake.expand(2, 3, 2, 2)
    mix = torch.tensor([0.5, 0.25]).reshape(2, 1, 1, 1)  # x = 2 and 3 everywhere: lengths 2 sqrt(12) and 3 sqrt(12)

    def critic(x: Tensor) -> Tensor:
        return x.square().sum((1, 2, 3), keepdim=True) / 2

    pictures = real.clone().requires_grad_(), fake.clone().requires_grad_()
    found = losses.gradient_penalty(critic, *pictures, mix)
    assert found.item() == pytest.approx(((2 * math.sqrt(12) - 1) ** 2 + (3 * math.sqrt(12) - 1) ** 2) / 2)
    assert torch.autograd.grad(found, pictures, allow_unused=True) == (None, None)


def test_the_gradient_penalty_of_patches_is_that_of_their_mean() -> None:
    weight = torch.tensor([0.5, -1.0, 2.0]).reshape(1, 3, 1, 1).requires_grad_()
    real, fake, mix = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), torch.rand(2, 1, 1, 1)
    found = losses.gradient_penalty(lambda x: F.conv2d(x, weight), real, fake, mix)
    length = (16 * (0.25 + 1 + 4) / 16**2) ** 0.5
    assert found.item() == pytest.approx((length - 1) ** 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(found, weight)
    assert_close(gradient, 2 * (length - 1) * weight.detach() / (16 * length), rtol=1e-4, atol=1e-6)


def test_the_gradient_penalty_goes_through_attention_and_flat_critics() -> None:
    def attend(x: Tensor) -> Tensor:
        flat = x.flatten(2).transpose(1, 2).unsqueeze(1)
        return F.scaled_dot_product_attention(weight * flat, flat, flat).mean((2, 3))

    weight = torch.ones(1, requires_grad=True)
    pictures = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), torch.rand(2, 1, 1, 1)
    losses.gradient_penalty(attend, *pictures).backward()
    assert weight.grad is not None and torch.isfinite(weight.grad).all() and weight.grad.any()
    flat = torch.zeros(1, requires_grad=True)  # a gradient of length 0 has no direction
    losses.gradient_penalty(lambda x: flat * x, *pictures).backward()
    assert flat.grad is not None and torch.isfinite(flat.grad).all()


def test_gram_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # two channels of one row with two pixels
    assert torch.equal(losses.gram(features), torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 4)


def test_perceptual_and_style_sum_over_layers() -> None:
    one, two = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]]), torch.zeros(1, 2, 1, 2)
    assert losses.perceptual([one, two], [two, two]).item() == pytest.approx(7 / 4)
    assert losses.perceptual([one, one], [two, two]).item() == pytest.approx(7 / 2)
    assert losses.style([one, one], [two, two]).item() == pytest.approx(2 * (5 + 1 + 1 + 10) / 4 / 4)
    with pytest.raises(ValueError, match="zip"):
        losses.style([one], [two, two])


def test_style_does_not_see_where_things_are() -> None:
    features = torch.rand(2, 4, 3, 5)
    assert losses.style([features], [features.flip(-1)]).item() == pytest.approx(0, abs=1e-6)
    assert losses.perceptual([features], [features.flip(-1)]).item() > 0.1


def test_total_variation_by_hand() -> None:
    """Up minus here plus left minus here, zeros outside: -2a, a - 2b / a - 2c, b + c - 2d."""
    # a = 0.1, b = 0.5, c = 0.9, d = 0.3
    values = (0.2, 0.9, 1.7, 0.8)
    assert losses.total_variation(A).item() == pytest.approx(sum(values) / 4)
    assert losses.total_variation(A, LEFT).item() == pytest.approx((0.2 + 1.7) / 4)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 4), (2, 2), (4, 6)])
def test_the_papers_resize_differently(height: int, width: int) -> None:
    x = torch.rand(1, 2, 4, 6)
    for ours, aligned in ((losses.resize_corners, True), (losses.resize_plain, False)):
        want = F.interpolate(x, (height, width), mode="bilinear", align_corners=aligned)
        assert_close(ours(x, height, width), want)
        assert ours(x, 4, 6) is x
    corners = losses.resize_corners(x, 2, 2)
    assert_close(corners, x[..., ::3, ::5])


PAIRS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": losses.l1,
    "weighted l1": lambda a, b: losses.l1(a, b, LEFT),
    "l1 inside": lambda a, b: losses.l1_inside(a, b, LEFT),
    "perceptual": lambda a, b: losses.perceptual([a], [b]),
    "style": lambda a, b: losses.style([a], [b]),
    "total variation": lambda a, b: losses.total_variation(a, LEFT),
    "lsgan": lambda a, b: losses.gan_generator(a, "lsgan"),
    "hinge": lambda a, b: losses.gan_generator(a, "hinge"),
    "logistic": lambda a, b: losses.gan_generator(a, "logistic"),
    "wgan-gp": lambda a, b: losses.gan_generator(a, "wgan-gp"),
    "kl": lambda a, b: losses.kl_normal(a, torch.ones_like(a), b, torch.full_like(a, 0.5)).mean(),
    "kl of the spread": lambda a, b: losses.kl_normal(b, 1 + a, b, torch.ones_like(a)).mean(),
}


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_each_loss_alone_moves_the_prediction(name: str) -> None:
    prediction, target = A.clone().requires_grad_(), B.clone()
    loss = PAIRS[name](prediction, target)
    assert loss.shape == ()
    loss.backward()
    assert prediction.grad is not None and torch.isfinite(prediction.grad).all() and prediction.grad.any()
    assert target.grad is None


@pytest.mark.parametrize("name", ["l1", "weighted l1", "l1 inside", "perceptual", "style", "kl"])
def test_a_nearer_prediction_has_a_smaller_loss(name: str) -> None:
    far, near = (PAIRS[name](A + step * (B - A), B) for step in (0.25, 0.75))
    assert near < far
