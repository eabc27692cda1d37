"""Distances between feature maps of frozen networks. Only with the published networks and heads is one called LPIPS.

Pictures are (B,3,H,W) RGB in [0,1], holes (B,1,H,W) with 1 = missing; results (B,) float64, NaN for an
empty hole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill import imagenet
from manyfill.errors import BadWeights
from manyfill.metrics.region import box_around, check, check_hole, mean_inside

Features = Callable[[Tensor], Sequence[Tensor]]  # picture (B,3,H,W) in [0,1] -> maps (B,C,h,w)
MARGIN = 0.25  # of the hole's longer side, on each side of it: what it must fit to is in the crop


def unit(features: Tensor) -> Tensor:
    """Feature vectors (B,C,h,w) of length 1 at every place, as Zhang et al. 2018; zero vectors stay zero."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)


@torch.no_grad()
def feature_distance(
    features: Features,
    picture: Tensor,
    truth: Tensor,
    hole: Tensor | None = None,
    *,
    weights: Sequence[Tensor] | None = None,
) -> Tensor:
    """Squared distance of unit feature vectors, averaged over the hole, summed over the maps: `pd_vgg`, `pd_eff`.

    LPIPS' formula (Zhang et al. 2018, eq. 1) in the hole alone and, unless `weights` gives a factor per channel for
    each map, without learned heads. The hole is averaged down to each map's size, and its shares weigh the places: one
    at the hole's rim counts as far as the hole covers it. Without a hole: the whole picture.
    """
    check(picture, truth, hole)
    maps, true_maps = features(picture), features(truth)
    total = torch.zeros(len(picture), dtype=torch.float64, device=picture.device)
    for index, (one, other) in enumerate(zip(maps, true_maps, strict=True)):
        apart = (unit(one) - unit(other)).square()  # (B, C, h, w)
        if weights is not None:
            apart = apart * weights[index].view(-1, 1, 1)
        total += mean_inside(apart.sum(1, keepdim=True), shrink(hole, apart))
    return total


def shrink(hole: Tensor | None, features: Tensor) -> Tensor | None:
    """Share of each place of the maps (B,C,h,w) that is missing: (B,1,h,w)."""
    return None if hole is None else F.interpolate(hole, size=features.shape[-2:], mode="area")


def hole_crop(picture: Tensor, hole: Tensor, side: int, *, margin: float = MARGIN) -> Tensor:
    """The square around each hole, resized to (B,3,side,side), antialiased: what Fréchet distances of hole crops see.

    The square is the hole's longer side with `margin` times that added on each side, moved into the photo. Where the
    photo is too small for it, the photo's whole height or width is taken, and the crop is then squeezed to a square:
    the same for a fill and for its truth. An empty hole gives the whole photo. Bicubic, clipped to [0,1].
    """
    check_hole(picture, hole)
    crops = []
    for one, missing in zip(picture, hole, strict=True):
        box = box_around(missing, margin)
        crop = one[None, :, box.top : box.bottom, box.left : box.right]
        crops.append(F.interpolate(crop, (side, side), mode="bicubic", antialias=True).clamp(0, 1))
    return torch.cat(crops)


class _Backbone(NamedTuple):
    """A published ImageNet network: layers of torchvision's `features`, up to the last map that LPIPS takes."""

    name: str  # torchvision's
    convs: Mapping[int, tuple[int, int, int, int, int]]  # index -> from, to, kernel, stride, padding
    pools: Mapping[int, tuple[int, int]]  # index -> kernel, stride
    maps: tuple[int, ...]  # indices of the ReLUs whose outputs are taken


def _vgg16() -> _Backbone:
    widths = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256}
    widths |= dict.fromkeys((17, 19, 21, 24, 26, 28), 512)
    before = [3, *widths.values()]
    convs = {index: (before[k], width, 3, 1, 1) for k, (index, width) in enumerate(widths.items())}
    return _Backbone("vgg16", convs, dict.fromkeys((4, 9, 16, 23), (2, 2)), (3, 8, 15, 22, 29))


BACKBONES: dict[imagenet.Kind, _Backbone] = {
    "alex": _Backbone(
        "alexnet",
        {
            0: (3, 64, 11, 4, 2),
            3: (64, 192, 5, 1, 2),
            6: (192, 384, 3, 1, 1),
            8: (384, 256, 3, 1, 1),
            10: (256, 256, 3, 1, 1),
        },
        {2: (3, 2), 5: (3, 2)},
        (1, 4, 7, 9, 11),
    ),
    "vgg": _vgg16(),
}
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of RGB in [-1,1] (Zhang et al. 2018, release)


class Lpips(nn.Module):
    """LPIPS v0.1 (Zhang et al. 2018): AlexNet's or VGG16's five ReLU maps and one learned factor per channel.

    Called with (picture, truth, hole); without a hole it is the published number, with one the hole's share of it.
    `backbone` holds torchvision's `features.*` tensors, `heads` the release's `lin0.model.1.weight` ...
    """

    def __init__(self, kind: imagenet.Kind, backbone: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.origin = f"LPIPS v0.1 ({kind})"
        plan = BACKBONES[kind]
        layers: list[nn.Module] = []
        for index in range(plan.maps[-1] + 1):
            if index in plan.convs:
                channels, width, kernel, stride, padding = plan.convs[index]
                conv = nn.Conv2d(channels, width, kernel, stride, padding)
                shapes = {"weight": (width, channels, kernel, kernel), "bias": (width,)}
                conv.load_state_dict(
                    {
                        part: _tensor(backbone, f"features.{index}.{part}", shapes[part], f"torchvision's {plan.name}")
                        for part in shapes
                    }
                )
                layers.append(conv)
            elif index in plan.pools:
                layers.append(nn.MaxPool2d(*plan.pools[index]))
            else:
                layers.append(nn.ReLU())
        self.layers = nn.ModuleList(layers)
        self.taken = plan.maps
        widths = [plan.convs[max(conv for conv in plan.convs if conv < index)][1] for index in plan.maps]
        self.heads = nn.ParameterList(
            nn.Parameter(_tensor(heads, f"lin{k}.model.1.weight", (1, width, 1, 1), f"LPIPS' {kind} heads"))
            for k, width in enumerate(widths)
        )
        self.eval().requires_grad_(False)

    def features(self, picture: Tensor) -> list[Tensor]:
        """The five maps of a picture (B,3,H,W) in [0,1]."""
        shift, scale = (picture.new_tensor(v).view(3, 1, 1) for v in (SHIFT, SCALE))
        x = (2 * picture - 1 - shift) / scale
        maps = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.taken:
                maps.append(x)
        return maps

    def forward(self, picture: Tensor, truth: Tensor, hole: Tensor | None = None) -> Tensor:
        """(B,) float64."""
        return feature_distance(self.features, picture, truth, hole, weights=list(self.heads))


def lpips(kind: imagenet.Kind) -> Lpips:
    """LPIPS v0.1 as published: torchvision's backbone and the release's linear heads, from the user's cache.

    Raises BadWeights, which says how to fetch them, where they are absent or not the published numbers.
    """
    assert kind in BACKBONES, f"no LPIPS {kind!r}: alex, vgg"
    tensors = imagenet.read(kind)
    return Lpips(kind, tensors, tensors)


def _tensor(state: Mapping[str, Tensor], name: str, shape: tuple[int, ...], origin: str) -> Tensor:
    tensor = state.get(name)
    if tensor is None or tensor.shape != shape:
        found = "is missing" if tensor is None else f"has the shape {tuple(tensor.shape)}"
        raise BadWeights(f"this is not {origin}: '{name}', expected {shape}, {found}.")
    return tensor.float()
