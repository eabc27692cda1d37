from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from manyfill.nets.fusion import FusionBlock, shrink


def block(**changes: object) -> FusionBlock:
    torch.manual_seed(0)
    return FusionBlock(nn.Conv2d(5, 3, 1), **changes).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("alpha_channels", [1, 3])
@pytest.mark.parametrize("sees_hole", [False, True])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 8), (1, 2)])
@pytest.mark.parametrize("batch", [1, 3])
def test_alpha_blends_the_raw_picture_into_the_shrunken_photo(
    batch: int, height: int, width: int, sees_hole: bool, alpha_channels: int
) -> None:
    masked, hole = torch.rand(batch, 3, 8, 8 * width // height), torch.ones(batch, 1, 8, 8 * width // height)
    with torch.no_grad():
        fused, alpha, raw, _ = block(alpha_channels=alpha_channels, sees_hole=sees_hole)(
            torch.randn(batch, 5, height, width), masked, hole
        )
    assert alpha.shape == (batch, alpha_channels, height, width) and raw.shape == (batch, 3, height, width)
    assert alpha.min() > 0 and alpha.max() < 1 and raw.min() > 0 and raw.max() < 1
    assert_close(fused, alpha * raw + (1 - alpha) * shrink(masked, height, width))


@pytest.mark.parametrize(("bias", "chosen"), [(60.0, "raw"), (-60.0, "photo")])
def test_alpha_of_one_takes_the_drawing_and_alpha_of_zero_the_photo(bias: float, chosen: str) -> None:
    fusion = block()
    nn.init.zeros_(fusion.to_alpha[-1].weight)
    nn.init.constant_(fusion.to_alpha[-1].bias, bias)
    masked = torch.rand(1, 3, 4, 4)
    with torch.no_grad():
        fused, _, raw, _ = fusion(torch.randn(1, 5, 4, 4), masked, torch.zeros(1, 1, 4, 4))
    assert_close(fused, {"raw": raw, "photo": masked}[chosen], atol=1e-6, rtol=0)


def test_alpha_depends_on_photo_and_drawing_but_on_the_hole_only_where_it_is_seen() -> None:
    features, masked, hole = torch.randn(1, 5, 4, 4), torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    for sees_hole in (False, True):
        fusion = block(sees_hole=sees_hole)
        with torch.no_grad():
            alpha = fusion(features, masked, hole).alpha
            assert torch.equal(alpha, fusion(features, masked, 1 - hole).alpha) != sees_hole
            assert not torch.equal(alpha, fusion(features, 1 - masked, hole).alpha)
            assert not torch.equal(alpha, fusion(-features, masked, hole).alpha)


def test_shrinking_takes_the_middle_pixels_and_does_not_antialias() -> None:
    x = torch.rand(1, 3, 8, 16)
    assert shrink(x, 8, 16) is x
    assert_close(shrink(x, 4, 8), F.avg_pool2d(x, 2))
    middle = x.unflatten(2, (2, 4)).unflatten(4, (4, 4))[:, :, :, 1:3, :, 1:3]  # of each 4x4 cell
    assert_close(shrink(x, 2, 4), middle.mean((3, 5)))


def test_every_parameter_receives_a_gradient() -> None:
    fusion = block(sees_hole=True).train()
    fused = fusion(torch.randn(2, 5, 4, 4), torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)).image
    fused.square().sum().backward()
    assert [name for name, p in fusion.named_parameters() if p.grad is None or not p.grad.any()] == []
