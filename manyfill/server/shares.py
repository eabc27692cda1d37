"""Who may hold how much of `--max-memory`: program and models first, the rest in fixed shares."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from manyfill import memory
from manyfill.errors import TooLarge
from manyfill.server.errors import Refusal

log = logging.getLogger(__name__)

CODER = 64 << 20  # bytes of an idle coder
DOORMAN = 24 << 20  # of the process that takes connections
ROOM = 5 << 30  # bytes beside program and models, where nobody says how much: 48 MP written as AVIF fit
LEAST = 128 << 20  # beside program and models: a small photo with a small hole


class Cut(NamedTuple):
    """How `room` is shared out, in 32nds."""

    uploads: int
    results: int
    answers: int
    desk: int
    fill: int  # for all workers together


ON_DISK = Cut(uploads=3, results=3, answers=0, desk=6, fill=20)  # answers wait on the disk
IN_MEMORY = Cut(uploads=4, results=4, answers=4, desk=6, fill=14)


class Shares:
    """Bytes for uploads, for results that wait, for the desk, and for each worker's photo and fills.

    `total`: for the whole server with its coders; None: as much as it takes, and `ROOM`. `processes`: coders.
    `disk`: whether a disk takes the files of answers.
    """

    def __init__(self, total: int | None, *, workers: int, processes: int, disk: bool = False) -> None:
        self.total, self._workers, self._processes, self.disk = total, workers, processes, disk
        self._cut = ON_DISK if disk else IN_MEMORY
        self._base = self._now()

    def settle(self) -> None:
        """Models have been loaded: what the program holds now it holds for good. Raises TooLarge without room."""
        self._base = max(self._base, self._now())
        if self.room < LEAST:
            least = (self._base + LEAST) >> 20
            raise TooLarge(
                f"program and models hold {self._base >> 20} MiB of memory and --max-memory is "
                f"{(self.total or 0) >> 20} MiB. Allow at least {least + 1}M; 4G is good for large photos."
            )

    @property
    def room(self) -> int:
        """For everything beside program and models."""
        return ROOM if self.total is None else max(1, self.total - self._base)

    @property
    def uploads(self) -> int:
        """For request bodies."""
        return self._of(self._cut.uploads)

    @property
    def results(self) -> int:
        """For fills that can be fetched by URL."""
        return self._of(self._cut.results)

    @property
    def answers(self) -> int:
        """For files that have been written and not yet read by their clients, where no disk takes them."""
        return self._of(self._cut.answers)

    @property
    def desk(self) -> int:
        """For what is done beside the fills: merging, writing results."""
        return ROOM // 2 if self.total is None else self._of(self._cut.desk)

    @property
    def fill(self) -> int:
        """For one worker: a photo, its fills."""
        return max(1, self._of(self._cut.fill) // self._workers)

    def total_for(self, fill: float) -> int:
        """The `--max-memory` with which a worker's photo and fills may take so many bytes."""
        return int(self._base + fill * self._workers * 32 / self._cut.fill)

    def _of(self, part: int) -> int:
        return max(1, self.room * part // 32)

    def _now(self) -> int:
        return memory.resident() + self._processes * CODER + DOORMAN


class Ledger:
    """Bytes that are held, of as many as `limit` allows; from any thread."""

    def __init__(self, limit: int | Callable[[], int], refusal: Callable[[], Refusal]) -> None:
        self._limit, self._refusal = limit, refusal
        self._lock = threading.Lock()
        self.held = 0

    @property
    def limit(self) -> int:
        """Most bytes."""
        return self._limit if isinstance(self._limit, int) else self._limit()

    def take(self, count: int) -> None:
        """Account for so many more. Raises the refusal where they are too many."""
        with self._lock:
            if self.held + count > self.limit:
                raise self._refusal()
            self.held += count

    def give_back(self, count: int) -> None:
        """So many are free again."""
        with self._lock:
            self.held -= count
