"""What `manyfill complete` tells people and programs of the files it wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manyfill.cli import console

if TYPE_CHECKING:
    from manyfill.jobs.addresses import Errand
    from manyfill.jobs.records import Done, Options, Task


class Reporter:
    """Tells people and programs what was written; each remark about the run is made once."""

    def __init__(self, *, json_lines: bool, options: Options, deterministic: bool) -> None:
        self.json_lines, self.options, self.deterministic = json_lines, options, deterministic
        self.said: set[str] = set()

    def done(self, done: Done, place: Callable[[str], str]) -> None:
        """Print a photo's files: paths for people, one JSON object per fill for programs; `place`: name to path."""
        from manyfill import photos

        sidecar, general = done.sidecar, {photos.reencodes(format) for format in photos.FORMATS}
        if self.json_lines:
            for rank, fill in enumerate(sidecar.fills, start=1):
                self._line(
                    photo=done.name,
                    file=place(fill.file),
                    rank=rank,
                    seed=fill.seed,
                    score=fill.score,
                    sha256=fill.sha256,
                    model=sidecar.model.name,
                    model_sha256=sidecar.model.sha256,
                    hole_ratio=sidecar.hole_ratio,
                    height=sidecar.height,
                    width=sidecar.width,
                    seconds=sidecar.seconds,
                    sheet=sidecar.sheet and place(sidecar.sheet),
                    uncertainty=sidecar.uncertainty and place(sidecar.uncertainty),
                    explain=sidecar.explain and place(sidecar.explain),
                    version=sidecar.version,
                    notes=[*sidecar.notes, *done.notes],
                )
        else:
            for path in done.files:
                console.out(str(path))
        for note in done.notes:
            self._once(note)
        for note in sidecar.notes:  # what is true of every photo in that format is said once
            self._once(note if note in general else f"{done.name}: {note}")
        if sidecar.hole_ratio > 0 and len(sidecar.fills) < self.options.n:
            made = console.count(len(sidecar.fills), "fill")
            self._once(f"{self.options.n} fills were asked for and {made} made: {self._why_fewer(sidecar.model.name)}.")

    def _why_fewer(self, model: str) -> str:
        if self.deterministic:
            return f"'{model}' is deterministic, it has one answer for each hole"
        if self.options.diversity == 0:
            return "with --diversity 0 there is one most likely fill"
        return "no further ones were different enough"

    def planned(self, task: Task | Errand) -> None:
        """Tell of a photo that would be filled, its mask and where its files would go."""
        from manyfill.jobs.records import Task

        if isinstance(task, Task):
            selected = "selected in it" if self.options.selection is not None else str(task.photo)
            photo, mask = str(task.photo), selected if task.mask is None else str(task.mask)
            fills = f"{task.target.folder / task.target.stem}_*"
        else:
            photo = task.photos.place(task.name)
            mask, fills = task.mask_address or photo, f"{task.out.place(str(Path(task.name).parent / task.stem))}_*"
        if self.json_lines:
            self._line(photo=task.name, mask=mask, fills=fills)
        else:
            console.out(f"{photo}  mask {mask}  to {fills}")

    def failed(self, failed: Any) -> None:
        """Tell programs of a photo that failed; people get the list at the end."""
        if self.json_lines:
            self._line(photo=failed.name, error=failed.error)

    def _line(self, **entries: object) -> None:
        console.out_json(entries)

    def _once(self, note: str) -> None:
        if note not in self.said:
            self.said.add(note)
            console.say(f"note: {note}")
