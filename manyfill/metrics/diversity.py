"""How different are the fills of one photo, and how near does the nearest come to the truth?

Fills are (N,3,H,W) RGB in [0,1], all of one hole (1,1,H,W); results are scalars, float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from manyfill.metrics.perceptual import Features, shrink, unit
from manyfill.metrics.region import box_around, mean_inside

SMALLEST = 64  # pixels: AlexNet and VGG16 reduce a picture 16-fold

Distance = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # (picture, truth, hole) -> (B,), as `pixel.l1`


def mean_pairwise(distance: Distance, fills: Tensor, hole: Tensor | None = None) -> Tensor:
    """Mean distance over all pairs of fills; with a hole over its pixels alone. One fill has no pair: NaN.

    With LPIPS (alex) it is the diversity of PICNet's table (Zheng et al. 2019): I_out is the whole picture, so no hole;
    I_out(m) is the hole alone: `cut_out` of the fills, and no hole.
    """
    apart = [
        distance(fills[k + 1 :], one.expand_as(fills[k + 1 :]), _repeated(hole, len(fills) - k - 1))
        for k, one in enumerate(fills[:-1])
    ]
    return torch.cat(apart).mean() if apart else torch.tensor(torch.nan, dtype=torch.float64)


def mean_of_pairs(distance: Distance, fills: Tensor) -> Tensor:
    """Mean distance of fills 1 and 2, 3 and 4 ...: pairs that share no fill. One fill has no pair: NaN.

    50 of 100 fills of each of 1,000 photos are the 50,000 pairs of PICNet's table (Zheng et al. 2019).
    """
    count = len(fills) // 2 * 2
    if not count:
        return torch.tensor(torch.nan, dtype=torch.float64)
    apart = [distance(fills[k : k + 1], fills[k + 1 : k + 2], None) for k in range(0, count, 2)]
    return torch.cat(apart).mean()


def cut_out(fills: Tensor, hole: Tensor) -> Tensor:
    """The square around the hole, as it is: (N,3,h,w). For LPIPS of the hole alone, as in PICNet's table.

    Its author cropped the square hole that the table was measured with. Around a hole of another shape known pixels
    come along, alike in all fills. Never smaller than `SMALLEST` (or the picture): LPIPS' networks see nothing in less.
    """
    box = box_around((hole[0] > 0).to(hole.dtype), 0.0, least=SMALLEST)
    return fills[..., box.top : box.bottom, box.left : box.right]


@torch.no_grad()
def mean_pairwise_features(features: Features, fills: Tensor, hole: Tensor | None = None) -> Tensor:
    """`mean_pairwise` of `feature_distance`, with N passes of the network instead of N (N - 1).

    The mean squared distance of all pairs is twice the unbiased variance, at every place and in every channel.
    """
    total = torch.zeros(1, dtype=torch.float64, device=fills.device)
    for maps in features(fills):
        variance = unit(maps).var(0, keepdim=True) if len(fills) > 1 else torch.full_like(maps[:1], torch.nan)
        total += mean_inside(2 * variance.sum(1, keepdim=True), shrink(hole, maps))
    return total[0]


def best_of(values: Tensor, *, better: Literal["lower", "higher"] = "lower") -> Tensor:
    """The best of one photo's fills (N,) by a metric: how well n fills cover the truth. An oracle's choice, say so.

    It needs the truth to choose, as PICNet's published numbers do (Zheng et al. 2019), so it goes beside the number
    of a single fill, never in its place.
    """
    return values.min() if better == "lower" else values.max()


def _repeated(hole: Tensor | None, count: int) -> Tensor | None:
    return None if hole is None else hole.expand(count, *hole.shape[1:])
