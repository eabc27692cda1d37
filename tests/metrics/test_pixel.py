"""Pixel metrics against scikit-image and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torch.testing import assert_close

from manyfill.errors import BadImage
from manyfill.metrics import pixel

WITH_HOLE = [pixel.l1, pixel.l1_percent, pixel.mse, pixel.psnr, pixel.ssim]


def grey(*rows: tuple[int, ...]) -> Tensor:
    """(1,3,H,W) of 8-bit values."""
    return torch.tensor(rows).div(255).expand(1, 3, -1, -1)


def rounded(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * 255).round() / 255


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Three smooth pictures with H != W, and noisy ones."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.nn.functional.interpolate(torch.rand(3, 3, 5, 7, generator=generator), (27, 34), mode="bicubic")
    return rounded(truth + 0.1 * torch.randn(truth.shape, generator=generator)), rounded(truth)


def test_l1_mse_psnr_and_tv_by_hand() -> None:
    a, b = grey((0, 51), (102, 153)), grey((0, 0), (0, 255))  # apart: 0 51 102 102
    assert pixel.l1(a, b).item() == pytest.approx(63.75)
    assert pixel.l1_percent(a, b).item() == pytest.approx(25)
    assert pixel.mse(a, b).item() == pytest.approx((0.2**2 + 2 * 0.4**2) / 4)
    assert pixel.psnr(a, b).item() == pytest.approx(-10 * math.log10(0.09))
    right = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    assert pixel.l1(a, b, right).item() == pytest.approx((51 + 102) / 2)
    assert pixel.psnr(a, b, right).item() == pytest.approx(-10 * math.log10((0.2**2 + 0.4**2) / 2))
    # TV: every pixel of a has a neighbour 51 away across and, in both directions around, 102 away down
    assert pixel.tv(a).item() == pytest.approx(math.hypot(51, 102))
    assert pixel.tv(grey((7, 7, 7), (7, 7, 7))).item() == 0


def test_tv_is_what_numpy_gives_with_differences_that_wrap_around(pair: tuple[Tensor, Tensor]) -> None:
    for one in pair[0]:
        x = one.permute(1, 2, 0).double().numpy() * 255
        gradient = [x - np.roll(x, -1, axis) for axis in (0, 1)]
        expected = np.sqrt(gradient[0] ** 2 + gradient[1] ** 2).mean()
        assert pixel.tv(one[None]).item() == pytest.approx(expected, rel=1e-12)


def test_mse_psnr_and_ssim_are_those_of_scikit_image(pair: tuple[Tensor, Tensor]) -> None:
    hole = torch.zeros(3, 1, 27, 34)
    hole[0, :, :7, 3:20], hole[1, :, 20:, 30:], hole[2, :, 9:11, 9:30] = 1, 1, 1
    found = [f(*pair) for f in (pixel.mse, pixel.psnr, pixel.ssim)] + [pixel.ssim(*pair, hole)]
    for k, (picture, truth) in enumerate(zip(*pair, strict=True)):
        a, b = (x.permute(1, 2, 0).double().numpy() for x in (picture, truth))
        whole, every = structural_similarity(
            a,
            b,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=2,
            full=True,
        )
        inside = every[hole[k, 0].numpy() > 0].mean()
        expected = mean_squared_error(a, b), peak_signal_noise_ratio(b, a, data_range=1), whole, inside
        for ours, theirs in zip(found, expected, strict=True):
            assert ours[k].item() == pytest.approx(theirs, rel=1e-10)


def test_identical_pictures_have_no_error_and_an_infinite_psnr(pair: tuple[Tensor, Tensor]) -> None:
    truth = pair[1]
    assert pixel.l1(truth, truth).tolist() == [0, 0, 0]
    assert pixel.psnr(truth, truth).tolist() == [math.inf] * 3
    assert_close(pixel.ssim(truth, truth), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("metric", WITH_HOLE)
def test_an_empty_hole_gives_nan_and_a_full_one_the_whole_picture(
    metric: Callable[..., Tensor], pair: tuple[Tensor, Tensor]
) -> None:
    hole = torch.ones(3, 1, 27, 34)
    hole[0] = 0
    found = metric(*pair, hole)
    assert found.dtype == torch.float64 and found.shape == (3,)
    assert found.isnan().tolist() == [True, False, False]
    if metric is not pixel.ssim:  # whose whole-picture mean leaves the border out
        assert_close(found[1:], metric(*pair)[1:])


@pytest.mark.parametrize("metric", WITH_HOLE)
def test_what_is_outside_the_hole_and_who_else_is_in_the_batch_do_not_matter(
    metric: Callable[..., Tensor], pair: tuple[Tensor, Tensor]
) -> None:
    picture, truth = pair
    hole = torch.zeros(3, 1, 27, 34)
    hole[..., 10:16, 11:25] = 1
    together = metric(picture, truth, hole)
    alone = torch.cat([metric(*(x[k : k + 1] for x in (picture, truth, hole))) for k in range(3)])
    assert_close(together, alone, rtol=0, atol=0)
    far = picture.clone()
    far[..., :4, :4] = 1 - far[..., :4, :4]  # further from the hole than SSIM's window reaches
    assert_close(metric(far, truth, hole), together, rtol=0, atol=0)


@pytest.mark.parametrize("metric", WITH_HOLE)
def test_a_nearer_picture_has_a_better_number(metric: Callable[..., Tensor], pair: tuple[Tensor, Tensor]) -> None:
    picture, truth = pair
    sign = -1 if metric in (pixel.psnr, pixel.ssim) else 1
    hole = torch.zeros(3, 1, 27, 34)
    hole[..., 3:20, 5:30] = 1
    for region in (None, hole):
        numbers = torch.stack([metric(torch.lerp(truth, picture, share), truth, region) for share in (0.2, 0.5, 1.0)])
        assert (sign * numbers.diff(dim=0) > 0).all()


@given(st.integers(0, 255), st.integers(0, 255))
def test_l1_counts_eight_bit_steps(a: int, b: int) -> None:
    assert pixel.l1(grey((a,)), grey((b,))).item() == pytest.approx(abs(a - b), abs=1e-4)


def test_ssim_of_a_picture_smaller_than_its_window_is_refused() -> None:
    small = torch.zeros(1, 3, 10, 40)
    with pytest.raises(BadImage, match="at least 11x11 pixels, and this is 10x40"):
        pixel.ssim(small, small)
    least = torch.zeros(1, 3, 11, 11)
    assert pixel.ssim(least, least, torch.ones(1, 1, 11, 11)).item() == 1
