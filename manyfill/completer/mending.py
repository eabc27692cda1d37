"""What has one plain answer, filled before anything is drawn: thin holes, and holes in smooth ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from manyfill import plain
from manyfill.boxes import whole
from manyfill.completer.completion import Patch, lay
from manyfill.completer.task import Task


def mend(task: Task) -> tuple[Task, list[Patch]]:
    """What is left to be filled, in a photo in which all plain answers are known pixels; and those answers."""
    patches = []
    rest = task.hole.copy()
    for part in plain.mend(task.photo.pixels, task.hole, task.blind):
        task.check()
        patch = Patch(part.box, task.to_depth(part.fill), part.painted)
        patch.copied[part.painted] = 255
        patches.append(patch)
        rest[part.box.part] &= ~part.painted
    if not patches:
        return task, []
    photo = task.photo
    if rest.any():
        pixels = np.array(photo.pixels)
        lay(pixels, whole(rest), patches)
        photo = replace(photo, pixels=pixels)
    return replace(task, photo=photo, hole=rest), patches
