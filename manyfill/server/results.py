"""Fills that wait in memory to be fetched by URL, for a while: as patches over their photo, which they share."""

from __future__ import annotations

import math
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from manyfill.completer import Completion
from manyfill.server.errors import Refusal
from manyfill.server.pictures import Encoded, Finished


@dataclass(frozen=True)
class Result:
    """A picture, whole and small."""

    whole: Finished | Encoded
    preview: Encoded | None  # none of a photo that its client has
    until: float  # time.monotonic()

    @property
    def own(self) -> int:
        """Bytes that it holds alone."""
        small = 0 if self.preview is None else self.preview.length
        if isinstance(self.whole, Encoded):
            return self.whole.length + small
        patches = self.whole.fill.patches
        return small + sum(one.pixels.nbytes + one.painted.nbytes + one.copied.nbytes for one in patches)

    @property
    def shared(self) -> list[NDArray[Any]]:
        """Arrays that other fills of the same photo hold, too."""
        if isinstance(self.whole, Encoded):
            return []
        source, hole = self.whole.fill.source, self.whole.fill.hole
        return [array for array in (source.pixels, source.alpha, hole) if array is not None]


class Results:
    """Keeps results for `seconds`, and the newest where `limit()` bytes do not hold all."""

    def __init__(
        self, *, seconds: float, limit: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self._limit, self._clock = seconds, limit, clock
        self.held = 0  # bytes
        self._results: OrderedDict[str, Result] = OrderedDict()  # oldest first
        self._sharers: Counter[int] = Counter()  # by the identity of an array, which is held as long as it is counted

    def add(self, whole: Finished | Encoded, preview: Encoded | None) -> str:
        """Keep a picture; returns the name that nobody can guess."""
        result = Result(whole, preview, self._clock() + self.seconds)
        name = secrets.token_urlsafe(24)
        self._results[name] = result
        self.held += result.own
        for array in result.shared:
            self._sharers[id(array)] += 1
            if self._sharers[id(array)] == 1:
                self.held += _bytes(array)
        self.expire()
        while self.held > self._limit() and len(self._results) > 1:
            self._drop(next(iter(self._results)))
        return name

    def get(self, name: str, *, param: str | None = None) -> Result:
        """A result. Raises Refusal 404 where there is none, or no longer."""
        self.expire()
        if name not in self._results:
            raise Refusal(
                404, f"There is no such result, or no longer: results are kept {self.seconds / 60:.0f} minutes, and "
                "fewer when memory is short. Ask for the fill again with its seed.", code="result_expired", param=param,
            )  # fmt: skip
        return self._results[name]

    def small(self, name: str) -> Encoded:
        """A result's preview. Raises Refusal 404."""
        preview = self.get(name).preview
        if preview is None:
            raise Refusal(404, "That result is a photo that is not filled; there is no preview of it.")
        return preview

    def fill(self, name: str, *, param: str) -> Completion:
        """A result that is a fill. Raises Refusal 404, and 400 for a picture of another kind."""
        whole = self.get(name, param=param).whole
        if isinstance(whole, Encoded):
            raise Refusal(400, "That result is a picture about fills, not a fill.", code="invalid_value", param=param)
        return whole.fill

    def expire(self) -> None:
        """Forget what is too old."""
        now = self._clock()
        while self._results and next(iter(self._results.values())).until <= now:
            self._drop(next(iter(self._results)))

    def _drop(self, name: str) -> None:
        result = self._results.pop(name)
        self.held -= result.own
        for array in result.shared:
            self._sharers[id(array)] -= 1
            if not self._sharers[id(array)]:
                del self._sharers[id(array)]
                self.held -= _bytes(array)


def _bytes(array: NDArray[Any]) -> int:
    """What an array holds: grey is one channel seen three times, and nothing filled is no array."""
    held: int = math.prod(size for size, step in zip(array.shape, array.strides, strict=True) if step)
    return held * array.itemsize
