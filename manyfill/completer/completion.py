"""A fill as patches over its photo: while it is worked on (Draft), and finished (Completion)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manyfill import photos, ranking
from manyfill.boxes import Bools, Box, tight
from manyfill.completer.origins import Places
from manyfill.completer.portions import Portions
from manyfill.completer.task import Task, as_float
from manyfill.errors import ManyfillError
from manyfill.photos import Photo
from manyfill.scaling import sampled
from manyfill.seams import Floats
from manyfill.windows import Window

if TYPE_CHECKING:
    from PIL import Image


NOTHING = "The mask marks nothing to fill; the photo comes back as it was."
ALMOST_ALL = 0.8  # share of a photo painted over from which a fill is a guess


@dataclass(frozen=True, eq=False)
class Patch:
    """Pixels that one window changed."""

    box: Box
    pixels: NDArray[Any]  # (h,w,3) at source depth
    painted: Bools  # (h,w)
    copied: NDArray[np.uint8] = field(init=False)  # (h,w): how much of it is the photo's own patches, 255 = all

    def __post_init__(self) -> None:
        object.__setattr__(self, "copied", np.zeros(self.painted.shape, np.uint8))


@dataclass(frozen=True, eq=False, repr=False)
class Completion:
    """One finished answer."""

    source: Photo  # what was handed in; the completions of one photo share it, and each holds only what it changed
    seed: int  # complete(..., n=1, seed=this) gives this picture again
    score: float | None  # higher is better; comparable between fills of one photo and hole only; None for an empty hole
    hole: NDArray[np.bool_]  # (H,W), what was filled
    patches: tuple[Patch, ...] = field(default=(), repr=False)
    mask_notes: tuple[str, ...] = ()  # what reading the mask could not tell
    origins: tuple[Places, ...] = field(default=(), repr=False)  # where some of it was copied from: see origins.py

    @property
    def photo(self) -> Photo:
        """Same size, depth, format and metadata, known pixels bit-identical; pasted again each time it is asked for."""
        if not self.patches:
            return self.source
        pixels = self.source.pixels.copy()
        lay(pixels, Box(0, 0, *pixels.shape[:2]), self.patches)
        return replace(self.source, pixels=pixels)

    def pixels(self, box: Box) -> NDArray[Any]:
        """A part of the photo (h,w,3) at source depth, without the rest: a copy."""
        view = self.source.pixels[box.part].copy()
        lay(view, box, self.patches)
        return view

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(H,W) in [0,1]: share of the photo's own patches in each filled pixel, the rest is the network's; else 0."""
        return self.copied(Box(0, 0, *self.hole.shape))

    def copied(self, box: Box) -> NDArray[np.float32]:
        """A part of `confidence`."""
        found = np.zeros((box.height, box.width), np.uint8)
        for patch in self.patches:
            common = patch.box.shared(box)
            if common is not None:
                theirs = common.inside(patch.box).part
                np.copyto(found[common.inside(box).part], patch.copied[theirs], where=patch.painted[theirs])
        return np.where(self.hole[box.part], found / np.float32(255), np.float32(0))

    @property
    def image(self) -> Image.Image:
        """As a PIL image."""
        return photos.to_pil(self.photo)

    @property
    def array(self) -> NDArray[Any]:
        """(H,W,3) at source depth, (H,W,4) where the photo has an alpha channel."""
        photo = self.photo
        return photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])

    def save(self, path: str | Path, *, format: str = "same", quality: int | None = None) -> Path:
        """Write to a file, atomically; format "same": as the path's suffix says, else as the photo came."""
        return photos.write(self.source, Path(path), format=format, quality=quality, lay=self.lay)

    @property
    def tensor(self) -> Tensor:
        """As an image tensor (1,3,H,W), float32 in [0,1], without alpha."""
        return torch.from_numpy(np.ascontiguousarray(as_float(self.photo.pixels).transpose(2, 0, 1)))[None]

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score {self.score:.3f}"
        return f"<fill {self.source.width}x{self.source.height}, seed {self.seed}{score}>"

    def _repr_png_(self) -> bytes:
        """For notebooks."""
        from manyfill.completer.fills import png

        return png(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading the photo could not keep and writing it in its own format cannot, one sentence each."""
        return (*photos.notes(self.source), *self.cautions)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What speaks against this fill, one sentence each: a damaged mask, or next to nothing left to go by."""
        share = np.count_nonzero(self.hole) / max(1, self.hole.size)
        if share < ALMOST_ALL:
            return self.mask_notes
        painted = "All" if share == 1 else f"{min(99, round(100 * share))} %"
        guess = f"{painted} of the photo is painted over, so this fill is a guess. Paint only what is to go."
        return (*self.mask_notes, guess)

    def lay(self, rows: NDArray[Any], top: int) -> None:
        """Put the fill onto rows (h,W,3) of the photo, from row `top` on, in place: for `photos.encode_parts`."""
        lay(rows, Box(top, 0, *rows.shape[:2]), self.patches)


def uncertainty(completions: Sequence[Completion]) -> NDArray[np.float32]:
    """Where the fills of one photo disagree: (H,W) in [0,1], 0 outside the hole; see `ranking.uncertainty`."""
    if not completions:
        raise ManyfillError("uncertainty needs the fills of one photo, and at least two of them to show anything.")
    hole = completions[0].hole
    found = np.zeros(hole.shape, np.float32)
    box = tight(hole, Box(0, 0, *hole.shape))
    for tile in () if box is None else box.tiles(Portions.tile):
        found[tile.part] = spread(completions, tile)
    return found


def spread(completions: Sequence[Completion], box: Box) -> Floats:
    """A part of `uncertainty`."""
    return ranking.uncertainty([one.pixels(box) for one in completions], completions[0].hole[box.part])


@dataclass(frozen=True, eq=False)
class Doubt:
    """Where what was drawn in one window is little to be relied on, at the network's scale: it is smooth."""

    window: Window
    share: NDArray[np.uint8]  # (H,W), 255: not at all


@dataclass(frozen=True, eq=False)
class Draft:
    """One fill before it is pasted into a photo: memory goes with the hole, not with the photo."""

    seed: int
    patches: list[Patch] = field(default_factory=list)
    origins: list[Places] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)

    def look(self, pixels: NDArray[Any], box: Box) -> NDArray[Any]:
        """A part of the photo with what has been filled so far: a copy."""
        view = pixels[box.part].copy()
        lay(view, box, self.patches)
        return view

    def repaint(self, box: Box, pixels: NDArray[Any], painted: Bools, confidence: Floats) -> None:
        """Change what has been filled already, in place: a second layer would take as much memory again."""
        copied = np.rint(255 * confidence).astype(np.uint8)
        for patch in self.patches:
            common = patch.box.shared(box)
            if common is not None:
                ours, theirs = common.inside(box).part, common.inside(patch.box).part
                where = painted[ours] & patch.painted[theirs]
                np.copyto(patch.pixels[theirs], pixels[ours], where=where[..., None])
                np.copyto(patch.copied[theirs], copied[ours], where=where)

    def doubt(self, box: Box, factor: int) -> Floats | None:
        """How little what was drawn is to be relied on, if that is known: a part of the photo at 1/factor, (h,w)."""
        if not self.doubts:
            return None
        found = np.zeros((-(-box.height // factor), -(-box.width // factor)), np.float32)
        for one in self.doubts:
            common = one.window.core.shared(box)
            if common is not None:
                top, left, height, width = common.inside(box)
                above, before = top // factor, left // factor  # pixels at 1/factor
                below, beyond = -(-(top + height) // factor), -(-(left + width) // factor)
                rows, columns = (below - above) * factor, (beyond - before) * factor
                seen = Box(box.top + above * factor, box.left + before * factor, rows, columns)
                found[above:below, before:beyond] = sampled(one.share, one.window, seen, factor)
        return found

    def touches(self, box: Box) -> bool:
        """Whether something in this part may have been filled already."""
        return any(patch.box.shared(box) is not None for patch in self.patches)


def lay(view: NDArray[Any], box: Box, patches: Sequence[Patch]) -> None:
    """Put onto `view`, which is `box` of the photo, what patches hold of it, in their order."""
    for patch in patches:
        common = patch.box.shared(box)
        if common is not None:
            theirs = common.inside(patch.box).part
            np.copyto(view[common.inside(box).part], patch.pixels[theirs], where=patch.painted[theirs][..., None])


def unfinished(task: Task, draft: Draft) -> Completion:
    """For a preview: with patches of its own, because the texture stage will change the draft's."""
    patches = tuple(Patch(one.box, one.pixels.copy(), one.painted) for one in draft.patches)
    return Completion(task.photo, draft.seed, None, task.hole, patches)


def thumbnail(task: Task, windows: Sequence[Window], draft: Draft) -> NDArray[np.float32]:
    """All windows' thumbnails as one, each weighted by its share of the hole."""
    parts, areas = [], []
    side = max(4, round(ranking.THUMBNAIL / len(windows) ** 0.5))
    for window in windows:
        task.check()
        hole = task.hole[window.core.part]
        seen = as_float(draft.look(task.photo.pixels, window.core))
        task.check()
        parts.append(ranking.thumbnail(seen, hole, side))
        areas.append(float(np.count_nonzero(hole)))
    shares = np.sqrt(np.array(areas, np.float32) / sum(areas))
    return np.concatenate([part * share for part, share in zip(parts, shares, strict=True)])
