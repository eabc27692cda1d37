"""A part of the picture alone is the same as in the whole, and takes less."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.near import Area


def tiny(**changes: Any) -> DFNet:
    torch.manual_seed(0)
    values = {"size": 32, "width": 4, "max_width": 8, "kernels": (7, 5, 3), "fusion_levels": (0, 1)} | changes
    return DFNet(DFNetConfig(**values)).eval()


def sample(height: int = 16, width: int = 16, batch: int = 1) -> tuple[Tensor, Tensor]:
    hole = torch.zeros(batch, 1, height, width)
    hole[:, :, height // 4 : -height // 4, width // 4 : -width // 4] = 1
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height)), hole


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear", "deconv"])
@pytest.mark.parametrize("area", [(0, 0, 64, 48), (21, 13, 22, 14), (0, 30, 40, 48), (10, 5, 37, 30), (63, 0, 64, 1)])
def test_near_a_hole_it_draws_the_picture_that_it_draws_as_a_whole(area: Area, upsampling: str) -> None:
    net = tiny(upsampling=upsampling, kernels=(5, 3, 3, 3), fusion_levels=(0, 1, 3))
    image, hole = sample(64, 48, batch=2)
    with torch.inference_mode():
        encoded = net.encode(image, hole)
        whole, near = net.decode(encoded), net.decode_near(encoded, area)
    top, left, bottom, right = area
    inside = torch.zeros(64, 48, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    assert near.alpha is not None and near.raw is not None and whole.alpha is not None and whole.raw is not None
    for mine, theirs in ((near.image, whole.image), (near.alpha, whole.alpha), (near.raw, whole.raw)):
        assert_close(mine[:, :, inside], theirs[:, :, inside], atol=1e-6, rtol=0)
    assert (near.image[:, :, ~inside] == encoded.masked[:, :, ~inside]).all()
    assert [x.shape for x in near.scales] == [x.shape for x in whole.scales]
    for mine, theirs, level in zip(near.scales, whole.scales, (3, 1), strict=True):
        rows, columns = slice(top >> level, -(-bottom >> level)), slice(left >> level, -(-right >> level))
        assert_close(mine[:, :, rows, columns], theirs[:, :, rows, columns], atol=1e-6, rtol=0)


def test_without_fusion_blocks_it_draws_near_a_hole_as_well() -> None:
    net = tiny(fusion_levels=())
    image, hole = sample(32, 32)
    with torch.inference_mode():
        encoded = net.encode(image, hole)
        whole, near = net.decode(encoded), net.decode_near(encoded, (8, 9, 20, 24))
    assert near.alpha is None and near.raw is None
    assert_close(near.image[..., 8:20, 9:24], whole.image[..., 8:20, 9:24], atol=1e-6, rtol=0)


def test_near_a_hole_of_half_the_side_it_computes_two_thirds_at_most() -> None:
    net = DFNet().eval().to("meta")
    products = 0

    def count(conv: torch.nn.Module, _: Any, drawn: Tensor) -> None:
        nonlocal products
        assert isinstance(conv, torch.nn.Conv2d)
        products += drawn.numel() * conv.weight[0].numel()

    for part in net.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(count)
    image, hole = torch.empty(1, 3, 512, 512, device="meta"), torch.empty(1, 1, 512, 512, device="meta")
    encoded = net.encode(image, hole)
    net.decode(encoded)
    whole, products = products, 0
    net.draw_near(net.encode(image, hole), net.boxes_near((112, 112, 400, 400), 512, 512))
    assert products < 0.66 * whole
