"""The round that every drawer makes: window by window, and in each window fill by fill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from manyfill.completer.completion import Draft
from manyfill.completer.task import Progress, Task
from manyfill.windows import Turn, Window, turns


@dataclass(frozen=True)
class Look:
    """One window of one fill, as the drawer sees it."""

    number: int  # of the window
    turn: Turn
    draft: Draft  # takes the patch that is drawn
    view: NDArray[Any]  # (h,w,3), the window's pixels, with what earlier windows of this fill drew
    fresh: bool  # whether the view may differ from that of the fill before
    last: bool  # whether this is the fill's last window


def looks(task: Task, windows: Sequence[Window], drafts: Sequence[Draft], progress: Progress | None) -> Iterator[Look]:
    """Every window of every fill; calls `progress("fill", done, total)` before each and at the end."""
    total = len(windows) * len(drafts)
    for number, turn in enumerate(turns(windows, task.hole, task.blind)):
        shared = not drafts[0].touches(turn.window.box)
        for index, draft in enumerate(drafts):
            if progress is not None:
                progress("fill", number * len(drafts) + index, total)
            view = draft.look(task.photo.pixels, turn.window.box)
            yield Look(number, turn, draft, view, index == 0 or not shared, number == len(windows) - 1)
    if progress is not None:
        progress("fill", total, total)
