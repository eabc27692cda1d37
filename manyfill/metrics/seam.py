"""Can the border of the hole be seen? These two measures are ours, not a paper's.

The border is where a missing pixel touches a known one. The photo's own border is none: nothing lies beyond it.
Pictures are (B,3,H,W) RGB in [0,1], holes (B,1,H,W); results (B,) float64, NaN where a hole has no border.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from manyfill.metrics.region import check, mean_inside


def boundary_error(picture: Tensor, truth: Tensor, hole: Tensor, width: int) -> Tensor:
    """Mean absolute error, 0..255, of the missing pixels within `width` pixels of a known one.

    The distance is the larger of rows and columns, so that width 1 is every missing pixel with a known one among its
    eight neighbours. Right at the border the photo leaves the fill little choice: an error there is an error.
    """
    assert width >= 1, f"a band of {width} pixels: must be 1 or more"
    check(picture, truth, hole)
    band = hole * F.max_pool2d(1 - hole, 2 * width + 1, stride=1, padding=width)
    return 255 * mean_inside((picture.double() - truth.double()).abs(), band)


def gradient_jump(picture: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """How much larger the step from known to missing pixel is than in the truth, 0..255, mean over the border.

    |picture_q - picture_p| - |truth_q - truth_p| for every known pixel p with a missing pixel q beside it in its row or
    column, averaged over pairs and channels. 0: as strong as the photo's own steps. Above: a seam. Below: smoother than
    the photo, as with diffusion.
    """
    check(picture, truth, hole)
    total, count = picture.new_zeros(len(picture)).double(), picture.new_zeros(len(picture)).double()
    for axis in (2, 3):
        length = hole.shape[axis] - 1
        across = hole.narrow(axis, 1, length) != hole.narrow(axis, 0, length)  # one is known, the other missing
        larger = _steps(picture, axis) - _steps(truth, axis)
        total += (larger * across).mean(1).sum((1, 2))
        count += across.double().sum((1, 2, 3))
    return 255 * total / count


def _steps(x: Tensor, axis: int) -> Tensor:
    return x.double().diff(dim=axis).abs()
