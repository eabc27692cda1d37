"""What has one plain answer, filled before anything is drawn: thin holes, and holes in smooth ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from manyfill import plain
from manyfill.boxes import Box, whole
from manyfill.completer.completion import Patch, lay
from manyfill.completer.task import Task

TILE = 128  # side in pixels of the patches that hold plain answers


def mend(task: Task) -> tuple[Task, list[Patch]]:
    """What is left to be filled, in a photo in which all plain answers are known pixels; and those answers.

    The parts of a hole may lie in each other (rings, slanting lines), so their answers are laid into tiles: patches
    take the memory of what they cover together, not that of every part's box.
    """
    made: dict[Box, Patch] = {}
    rest = task.hole.copy()
    for part in plain.mend(task.photo.pixels, task.hole, task.blind, check=task.check):
        task.check()
        fill = task.to_depth(part.fill)
        for tile in _tiles_of(part.box, whole(rest)):
            here = tile.shared(part.box)
            assert here is not None, "a tile that a part touches"
            theirs = here.inside(part.box).part
            painted = part.painted[theirs]
            if painted.any():
                patch = made.setdefault(tile, _empty(tile, fill.dtype))
                at = here.inside(tile).part
                np.copyto(patch.pixels[at], fill[theirs], where=painted[..., None])
                patch.painted[at] |= painted
                patch.copied[at][painted] = 255
        rest[part.box.part] &= ~part.painted
    if not made:
        return task, []
    patches = list(made.values())
    photo = task.photo
    if rest.any():
        pixels = np.array(photo.pixels)
        task.check()
        lay(pixels, whole(rest), patches)
        photo = replace(photo, pixels=pixels)
    return replace(task, photo=photo, hole=rest), patches


def _tiles_of(box: Box, photo: Box) -> Iterator[Box]:
    """The tiles of the photo that a box touches."""
    for top in range(box.top // TILE * TILE, box.bottom, TILE):
        for left in range(box.left // TILE * TILE, box.right, TILE):
            yield Box(top, left, min(TILE, photo.height - top), min(TILE, photo.width - left))


def _empty(tile: Box, dtype: Any) -> Patch:
    shape = tile.height, tile.width
    return Patch(tile, np.zeros((*shape, 3), dtype), np.zeros(shape, bool))
