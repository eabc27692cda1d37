"""The texture stage of a fill: part by part of the photo, several fills at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box
from manyfill.completer.ceiling import coarser
from manyfill.completer.completion import Draft
from manyfill.completer.origins import noted
from manyfill.completer.task import Progress, Task, as_float, derive_seed
from manyfill.scaling import carry_detail, enlarge, shrink, shrink_hole
from manyfill.seams import Floats, fill_smoothly
from manyfill.windows import Window

if TYPE_CHECKING:
    from manyfill.texture import Prepared
    from manyfill.texture.search import Search

SIDE = 512  # least side in pixels of the part of the photo that the stage takes patches from


class Texturing:
    """The texture stage: the photo's own patches, guided by the finished fill; patches are appended to the drafts."""

    def __init__(
        self,
        task: Task,
        parts: Sequence[Window],
        strength: float,
        progress: Progress | None,
        *,
        total: int,
        search: Search | None = None,
    ) -> None:
        self.task, self.parts, self.strength, self.progress, self.total = task, parts, strength, progress, total
        self.search = search
        self.done, self.lock = 0, threading.Lock()
        self.stopped: BaseException | None = None  # what `progress` or `check` raised: nobody goes on then
        self.first: Prepared | None = None  # what the fills share of the first part, where nothing is filled yet
        self.preparing = threading.Lock()

    def add(self, drafts: Sequence[Draft]) -> None:
        """Give drafts their texture, each in a thread of its own: the search runs without Python's lock."""
        if len(drafts) == 1:
            self._add(drafts[0])
            return
        with ThreadPoolExecutor(len(drafts)) as pool:
            list(pool.map(self._add, drafts))

    def _add(self, draft: Draft) -> None:
        """Give one draft its texture, part by part."""
        from manyfill import texture

        task = self.task
        unfilled = task.hole.copy()
        for number, part in enumerate(self.parts):
            self._tell(1 if number else 0)
            own = unfilled[part.core.part].copy()
            # What earlier parts made is known here, as the photo is: this part's texture goes on from it.
            gap = unfilled[part.box.part] if task.blind is None else (unfilled | task.blind)[part.box.part]
            gap = gap.copy()
            unfilled[part.core.part] = False
            factor = coarser(part, task.portions)
            missing = shrink_hole(gap, factor) if factor > 1 else gap
            if missing.all():  # nothing to take patches from
                continue
            self._go_on()
            guide = self._guide(draft, part.box, factor)
            self._go_on()
            seed = derive_seed(draft.seed if task.noise.diversity > 0 else 0, number, 1)
            made = texture.synthesize(
                guide,
                missing,
                guide,
                strength=self.strength,
                doubt=draft.doubt(part.box, factor),
                seed=seed,
                search=self.search,
                prepared=self._prepared(guide, missing, number),
                check=self._go_on,
            )
            self._go_on()
            core = part.core.inside(part.box)
            inner = np.zeros_like(missing)
            here = Box(
                core.top // factor, core.left // factor, -(-core.height // factor), -(-core.width // factor)
            ).part
            inner[here] = missing[here]
            draft.origins.append(noted(made.sources, made.confidence, inner, part.box, factor))
            if factor == 1:
                draft.repaint(part.core, task.to_depth(made.image[core.part]), own, made.confidence[core.part])
                continue
            pixels = task.photo.pixels[part.box.part]
            if (task.hole[part.box.part] & ~gap).any():  # detail may come from there too
                pixels = draft.look(task.photo.pixels, part.box)
                self._go_on()
            for tile in core.tiles(task.portions.tile):
                here = tile.inside(core).part
                self._go_on()
                if own[here].any():
                    fill = carry_detail(pixels, guide, made.image, made.sources, made.confidence, factor, tile)
                    place = tile._replace(top=tile.top + part.box.top, left=tile.left + part.box.left)
                    confidence = np.clip(enlarge(made.confidence, factor, tile), 0, 1)
                    draft.repaint(place, task.to_depth(fill), own[here], confidence)
        self._tell(1)

    def _prepared(self, guide: Floats, missing: Bools, number: int) -> Prepared | None:
        """What all fills share of a part: its known pixels are theirs; of later ones some are a fill's own."""
        if number or self.total == 1:
            return None
        from manyfill import texture

        with self.preparing:
            if self.first is None:
                self.first = texture.prepare(guide, missing, self.search, check=self._go_on)
            return self.first

    def _go_on(self) -> None:
        """Raise where the work is to be stopped."""
        if self.stopped is not None:  # another fill's call said so
            raise self.stopped
        try:
            self.task.check()
        except BaseException as error:
            self.stopped = error
            raise

    def _tell(self, more: int) -> None:
        """That so many parts more are done."""
        with self.lock:
            if self.stopped is not None:  # another fill's call said so
                raise self.stopped
            self.done += more
            if self.progress is not None:
                try:
                    self.progress("texture", self.done, self.total * len(self.parts))
                except BaseException as error:
                    self.stopped = error
                    raise

    def _guide(self, draft: Draft, box: Box, factor: int) -> Floats:
        """The photo with its fill, (h,w,3) at 1/factor."""
        task = self.task

        def rows(top: int, bottom: int) -> NDArray[Any]:
            self._go_on()
            return draft.look(task.photo.pixels, Box(box.top + top, box.left, bottom - top, box.width))

        guide = shrink(rows, (box.height, box.width), factor) if factor > 1 else as_float(rows(0, box.height))
        if task.blind is None:
            return guide
        blind = task.blind[box.part]
        return fill_smoothly(guide, shrink_hole(blind, factor) if factor > 1 else blind)
