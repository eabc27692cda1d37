"""A decoder that draws the surroundings of a hole alone: fewer pixels, and in there the same picture.

A U-Net's decoder reads each pixel's neighbours only, so a pixel of the picture depends on a small part of every level.
Boxes are (top, left, bottom, right); level k has 1/2^k of the picture's side. They are tensors where a network is
traced, so that the same compiled network draws any part of any picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Area = tuple[int, int, int, int]


def needed_boxes(area: Area, height: int, width: int, levels: int, halo: int) -> Tensor:
    """(levels + 1, 4) int64: what each level has to know so that `area` of a picture is right; the deepest is whole.

    halo: pixels beside those that are wanted that a level's upsampling and convolution read.
    """
    top, left, bottom, right = area
    assert 0 <= top < bottom <= height and 0 <= left < right <= width, f"{area} is no part of {height} x {width}"
    box = max(top - 1, 0), max(left - 1, 0), min(bottom + 1, height), min(right + 1, width)  # the fusion block's 3x3
    boxes = [box]
    for _ in range(levels):
        height, width = height // 2, width // 2
        top, left, bottom, right = box
        box = (
            max((top - halo) // 2, 0),
            max((left - halo) // 2, 0),
            min((bottom + halo + 1) // 2, height),
            min((right + halo + 1) // 2, width),
        )
        boxes.append(box)
    boxes[-1] = (0, 0, height, width)
    return torch.tensor(boxes)


def cut(x: Tensor, box: Tensor) -> Tensor:
    """A part of (B,C,H,W)."""
    return x[:, :, box[0] : box[2], box[1] : box[3]]


def shifted(box: Tensor, corner: Tensor) -> Tensor:
    """The same box, counted from the corner of another one."""
    return box - torch.cat([corner[:2], corner[:2]])


def put(part: Tensor, box: Sequence[int], area: Area, onto: Tensor) -> Tensor:
    """`onto` (B,C,H,W) with the pixels of `area` from `part`, which lies at `box` of it and covers the area."""
    top, left, bottom, right = area
    whole = onto.clone()
    whole[:, :, top:bottom, left:right] = part[:, :, top - box[0] : bottom - box[0], left - box[1] : right - box[1]]
    return whole


def coarser(area: Area, level: int) -> Area:
    """The same part of the picture at a level, its pixels whole."""
    top, left, bottom, right = area
    return top >> level, left >> level, -(-bottom >> level), -(-right >> level)
