"""Where a metric looks: the mean over a hole, the box around it. Shared by the metrics beside this file."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Box(NamedTuple):
    """Rows top..bottom and columns left..right of a picture, the ends left out, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


def check(picture: Tensor, truth: Tensor, hole: Tensor | None = None) -> None:
    """Stop at shapes that would be stretched to fit and give a wrong number without a word."""
    assert picture.ndim == 4, f"a picture has the shape {tuple(picture.shape)}, expected (B,C,H,W)"
    assert picture.shape == truth.shape, f"picture {tuple(picture.shape)} and truth {tuple(truth.shape)} differ"
    check_hole(picture, hole)


def check_hole(picture: Tensor, hole: Tensor | None) -> None:
    """The hole must be (B,1,H,W) of that picture."""
    expected = (picture.shape[0], 1, *picture.shape[-2:])
    assert hole is None or hole.shape == expected, f"hole has the shape {tuple(hole.shape)}, expected {expected}"


def mean_inside(values: Tensor, region: Tensor | None = None) -> Tensor:
    """Mean over channels and pixels of (B,C,H,W), per picture: (B,) float64.

    `region` (B,1,H,W) weighs the pixels. An empty region gives NaN: there is nothing to measure, and 0 would say
    that the fill is perfect.
    """
    values = values.double()
    if region is None:
        return values.mean((1, 2, 3))
    weight = region.double()
    return (values * weight).sum((1, 2, 3)) / (weight.sum((1, 2, 3)) * values.shape[1])


def box_around(hole: Tensor, margin: float, *, least: int = 1) -> Box:
    """Square around one hole (1,H,W): its longer side, `margin` times that added at each side, moved into the photo.

    It has `least` pixels a side. Where the square is longer than the photo it is cut to the photo, so that the hole is
    always all inside. An empty hole gives the whole photo.
    """
    height, width = hole.shape[-2:]
    at = (hole[0] > 0.5).nonzero()
    if not len(at):
        return Box(0, height, 0, width)
    (top, left), (bottom, right) = at.amin(0).tolist(), (at.amax(0) + 1).tolist()
    side = max(round(max(bottom - top, right - left) * (1 + 2 * margin)), least)
    return Box(*_span(top, bottom, side, height), *_span(left, right, side, width))


def _span(start: int, end: int, side: int, limit: int) -> tuple[int, int]:
    """`side` pixels about the middle of start..end, moved into 0..limit."""
    side = min(side, limit)
    first = min(max((start + end - side) // 2, 0), limit - side)
    return first, first + side
