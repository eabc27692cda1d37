"""What was drawn in a window, joined to the photo: its seam closed, blended with what earlier windows drew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box
from manyfill.completer.completion import Draft, Patch, unfinished
from manyfill.completer.task import Preview, Task, as_float
from manyfill.nets import Prediction
from manyfill.scaling import enlarge, factor_for, from_net, shrink, shrink_hole
from manyfill.seams import Floats, close_seam, continue_outwards
from manyfill.windows import Turn

MARGIN = 16  # known pixels around a core that its seam is closed against


def finish(task: Task, turn: Turn, view: NDArray[Any], prediction: Prediction) -> Patch:
    """What the network drew, joined to the photo and blended with what earlier windows drew; `view` is the window's."""
    window = turn.window
    box = turn.box.grown(task.band, window.box)
    inner = turn.box.inside(box)
    own = np.zeros((box.height, box.width), bool)
    own[inner.part] = turn.own
    distance = _near(own, task.band) if task.band else None
    pixels = np.empty((box.height, box.width, 3), view.dtype)
    for tile, fill, beside in _joined(task, turn, view, prediction, box):
        task.check()
        at = tile.inside(box)
        seen = as_float(view[tile.inside(window.box).part])
        common = at.shared(inner)
        if turn.again is not None and common is not None:
            here = common.inside(at).part
            fill[here] = turn.blend(fill[here], seen[here], common.inside(inner))
        if distance is not None:
            ramp = np.clip(1 - distance[at.part] / (task.band + 1), 0, 1)[..., None]
            share = 1.0 if prediction.alpha is None else from_net(prediction.alpha, window, tile)
            blend = seen + ramp * ramp * (3 - 2 * ramp) * share * (beside - seen)
            fill = np.where(turn.missing[tile.inside(window.box).part][..., None], fill, blend)
        pixels[at.part] = task.to_depth(fill)
    painted = np.zeros((box.height, box.width), bool)
    painted[inner.part] = turn.painted
    if distance is not None:
        painted |= (distance <= task.band) & ~turn.missing[box.inside(window.box).part]
    return Patch(box, pixels, painted)


def region_of(task: Task, turn: Turn) -> Box:
    """What is looked at of what a network drew in a window: its seam is closed against known pixels around it."""
    return turn.box.grown(task.band, turn.window.box).grown(MARGIN, turn.window.box)


def _joined(
    task: Task, turn: Turn, view: NDArray[Any], prediction: Prediction, box: Box
) -> Iterator[tuple[Box, Floats, Floats]]:
    """What was drawn in `box` with its seam closed, and the same for known pixels beside the hole; tile by tile.

    Closing a seam takes some 150 bytes a pixel, so for a large box it is done at a smaller scale, still finer than
    the network's own, and what closes it is brought to the photo's pixels.
    """
    window, missing = turn.window, turn.missing
    region = region_of(task, turn)
    here = region.inside(window.box).part
    factor = factor_for(region, task.portions.seam_pixels)
    if factor == 1:
        seen, gap, fill = as_float(view[here]), missing[here], from_net(prediction.image, window, region)
    else:

        def drawn_rows(top: int, bottom: int) -> Floats:
            task.check()
            rows = region._replace(top=region.top + top, height=bottom - top)
            return from_net(prediction.image, window, rows)

        size = region.height, region.width
        seen = shrink(lambda top, bottom: view[here][top:bottom], size, factor)
        gap = shrink_hole(missing[here], factor)
        task.check()
        fill = shrink(drawn_rows, size, factor)
    band = -(-task.band // factor)
    task.check()
    if prediction.raw is None:  # the network drew the known pixels too, so it is seen there how far it is off
        wide = _near(gap, band) <= band if band else gap
        closed = close_seam(fill, seen, wide)
        if factor == 1:
            part = box.inside(region).part
            yield box, closed[part], closed[part]
            return
        task.check()
        outward = continue_outwards(closed - fill, wide)
    else:  # a fused picture copies the known pixels, and `raw` need not fit them: what was drawn is continued outwards
        continued = continue_outwards(fill, gap)
        task.check()
        correction = close_seam(continued, seen, gap) - continued
        task.check()
        outward = continue_outwards(correction, gap, sigma=1 + band / 2)
        if factor == 1:
            part = box.inside(region).part
            raw = from_net(prediction.raw, window, region)
            yield box, (fill + correction)[part], (raw + outward)[part]
            return
    for tile in box.tiles(task.portions.tile):
        inside = tile.inside(region)
        fill = from_net(prediction.image, window, tile)
        beside = fill if prediction.raw is None else from_net(prediction.raw, window, tile)
        closing = enlarge(outward, factor, inside)
        yield tile, fill + closing, beside + closing


def show_scales(task: Task, turn: Turn, draft: Draft, prediction: Prediction, preview: Preview) -> None:
    """Preview what one window's coarse pictures make of a draft, small to large."""
    size = prediction.image.shape[-2:]
    for step, scale in enumerate(prediction.scales, start=1):
        picture = F.interpolate(scale.float(), size=size, mode="bilinear", align_corners=False)
        fill = task.to_depth(from_net(picture, turn.window, turn.box))
        rough = replace(draft, patches=[*draft.patches, Patch(turn.box, fill, turn.own)])
        preview(unfinished(task, rough), step, len(prediction.scales) + 1)


def _near(hole: Bools, pixels: int) -> Floats:
    """Distance of each pixel to the hole, 0 inside it; beyond `pixels` + 1 where there is no hole."""
    if not hole.any():
        return np.full(hole.shape, pixels + 2, np.float32)
    return np.asarray(cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
