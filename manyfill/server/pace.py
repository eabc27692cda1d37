"""How long the stages of filling take on this server, learned from what it has filled: for a client's progress bar."""

from __future__ import annotations

import threading
import time

STAGES = ("fill", "rank", "texture")  # as `Completer.stream` reports them, in their order
LEARNS = 0.3  # weight of the latest request in a running mean


class Pace:
    """Seconds per unit of each stage of each model: a window of a draft, a score, a fill's texture. From any thread."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def learn(self, model: str, stage: str, seconds: float) -> None:
        """A unit of this stage took so long."""
        with self._lock:
            known = self._seconds.get((model, stage), seconds)
            self._seconds[model, stage] = known + LEARNS * (seconds - known)

    def expected(self, model: str, stage: str) -> float | None:
        """Seconds of a unit of this stage; None where nothing was filled yet."""
        with self._lock:
            return self._seconds.get((model, stage))


class Clock:
    """One request's way through the stages."""

    def __init__(self, pace: Pace, model: str, fills: int) -> None:
        self._pace, self._model, self._fills = pace, model, fills
        self._stage: str | None = None
        self._began, self._done, self._total = time.monotonic(), 0, 0

    def left(self, stage: str, done: int, total: int) -> float | None:
        """Seconds that are left, now that `done` of `total` units of a stage are; None where nothing is known yet."""
        now = time.monotonic()
        if stage != self._stage:
            self._learn(now)
            self._stage, self._began = stage, now
        self._done, self._total = done, total
        if stage == "texture" and done == total:
            self._learn(now)
        unit = (now - self._began) / done if done else self._pace.expected(self._model, stage)
        if unit is None:
            return None
        seconds = unit * (total - done)
        for later in STAGES[STAGES.index(stage) + 1 :]:
            expected = self._pace.expected(self._model, later)
            if expected is None:
                return None
            seconds += expected * self._fills
        return seconds

    def _learn(self, now: float) -> None:
        if self._stage is not None and self._done:
            self._pace.learn(self._model, self._stage, (now - self._began) / self._done)
            self._done = 0
