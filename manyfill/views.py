"""Many answers from a network that has one: the same hole seen mirrored, shifted, at half size, or grown.

Each view is another question, and nearly all of its answers are believable; a fill's seed alone decides its view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Draw = Callable[[Tensor, Tensor], Tensor]  # image (1,3,h,w) in [0,1], hole (1,1,h,w) -> drawn (1,3,h,w) in [0,1]

SHIFT = 64  # pixels at the network's scale, at most, each way
GROW = 12  # pixels at the network's scale that the hole is grown by, at most
AWAY = 8  # pixels: a shift keeps the hole this far from the frame, where the photo did


@dataclass(frozen=True)
class View:
    """How the network is shown a picture. The plain one is as it is."""

    mirrored: bool = False  # left and right
    turned: bool = False  # upside down
    halved: bool = False  # at half size, so that it sees it as something twice as far away
    down: float = 0.0  # -1 .. 1, of SHIFT
    right: float = 0.0
    grown: float = 0.0  # 0 .. 1, of GROW: less of the photo is seen at the rim

    def shift(self, hole: Tensor) -> tuple[int, int]:
        """Rows and columns that this view shifts a hole (1,1,h,w) by: as far as the hole stays inside the frame."""
        found = []
        for touched, share in ((hole[0, 0].amax(1), self.down), (hole[0, 0].amax(0), self.right)):  # rows, columns
            places = torch.nonzero(touched)
            if len(places) == 0:
                found.append(0)
                continue
            before, after = int(places[0]), len(touched) - 1 - int(places[-1])
            room = max(0, (before if share < 0 else after) - AWAY)
            found.append(int(np.clip(round(share * SHIFT), -room, room)))
        return found[0], found[1]


PLAIN = View()
MIRRORED = View(mirrored=True)


def view_of(seed: int, *, diversity: float = 1.0, near: int | None = None, step: float = 0.5) -> View:
    """The view that a seed decides; seed 0 and `diversity` 0 are the plain one.

    `diversity` 0..2 is how far a view goes from it. `near`: a view between that seed's and its own, `step` 0..1 of the
    way, as far as the two can be mixed.
    """
    own = _drawn(seed, diversity)
    if near is None or step >= 1:
        return own
    other = _drawn(near, diversity)
    taken = np.random.default_rng([seed % 2**64, near % 2**64, 1]).random(len(fields(View)))
    mixed = {}
    for field, chance in zip(fields(View), taken, strict=True):
        theirs, ours = getattr(other, field.name), getattr(own, field.name)
        mixed[field.name] = (
            (ours if chance < step else theirs) if field.type == "bool" else theirs + step * (ours - theirs)
        )
    return replace(own, **mixed)


def _drawn(seed: int, diversity: float) -> View:
    if seed == 0 or diversity == 0:
        return PLAIN
    rng = np.random.default_rng([seed % 2**64, 0])
    chances = rng.random(3) / diversity  # diversity 1: half of the views are mirrored
    down, right = (float(np.clip(place * diversity, -1, 1)) for place in rng.uniform(-1, 1, 2))
    return View(
        mirrored=bool(chances[0] < 0.5),
        turned=bool(chances[1] < 0.2),
        halved=bool(chances[2] < 0.35),
        down=down,
        right=right,
        grown=float(np.clip((2 * rng.random() - 1) * diversity, 0, 1)),  # in half of the views: it costs likeness
    )


def draw_through(view: View, draw: Draw, image: Tensor, hole: Tensor) -> Tensor:
    """What `draw` makes of an image (1,3,h,w) and its hole (1,1,h,w) seen like this, put back where it belongs."""
    if view == PLAIN:
        return draw(image, hole)
    seen, missing = image, hole
    reach = round(view.grown * GROW)
    if reach:
        missing = F.max_pool2d(missing, 2 * reach + 1, stride=1, padding=reach)
    turns = [axis for axis, wanted in ((3, view.mirrored), (2, view.turned)) if wanted]
    seen, missing = seen.flip(turns), missing.flip(turns)
    offset = view.shift(missing)
    seen, missing = _moved(seen, *offset), _moved(missing, *offset)
    seen = seen * (1 - missing)
    drawn = _enlarged(draw(*_halved(seen, missing)), seen.shape[-2:]) if view.halved else draw(seen, missing)
    return _moved(drawn, -offset[0], -offset[1]).flip(turns)


def _moved(picture: Tensor, down: int, right: int) -> Tensor:
    """Shifted; what comes in at the border is the mirror image of what is there."""
    for axis, by in ((2, down), (3, right)):
        if by:
            length = picture.shape[axis]
            place = (torch.arange(length) - by).abs()
            place = torch.where(place < length, place, 2 * (length - 1) - place)
            picture = picture.index_select(axis, place.to(picture.device))
    return picture


def _halved(image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """At half the size, odd sides filled up; a pixel that the hole touches is missing."""
    bottom, right = image.shape[2] % 2, image.shape[3] % 2
    image, hole = (F.pad(picture, (0, right, 0, bottom), mode="replicate") for picture in (image, hole))
    missing = F.max_pool2d(hole, 2)
    return F.avg_pool2d(image, 2) * (1 - missing), missing


def _enlarged(picture: Tensor, size: torch.Size) -> Tensor:
    """At twice the size, cut to (h, w)."""
    doubled = F.interpolate(picture, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
    return doubled[..., : size[0], : size[1]]
