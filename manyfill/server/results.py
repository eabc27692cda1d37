"""Finished pictures that wait in memory to be fetched by URL, for a while."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from manyfill.server.errors import Refusal
from manyfill.server.pictures import Encoded


@dataclass(frozen=True)
class Result:
    """A picture, whole and small."""

    whole: Encoded
    preview: Encoded
    until: float  # time.monotonic()

    @property
    def bytes_held(self) -> int:
        """Memory that it takes."""
        return len(self.whole.data) + len(self.preview.data)


class Results:
    """Keeps results for `seconds`, and the newest where `limit` bytes do not hold all."""

    def __init__(self, *, seconds: float, limit: int) -> None:
        self.seconds, self.limit = seconds, limit
        self.held = 0
        self._results: OrderedDict[str, Result] = OrderedDict()  # oldest first

    def add(self, whole: Encoded, preview: Encoded) -> str:
        """Keep a picture; returns the name that nobody can guess."""
        result = Result(whole, preview, time.monotonic() + self.seconds)
        name = secrets.token_urlsafe(24)
        self._results[name] = result
        self.held += result.bytes_held
        self.expire()
        while self.held > self.limit and len(self._results) > 1:
            self._drop(next(iter(self._results)))
        return name

    def get(self, name: str) -> Result:
        """A result. Raises Refusal 404 where there is none, or no longer."""
        self.expire()
        if name not in self._results:
            raise Refusal(
                404, f"There is no such result, or no longer: results are kept {self.seconds / 60:.0f} minutes, and "
                "fewer when memory is short. Ask for the fill again with its seed.", code="result_expired"
            )  # fmt: skip
        return self._results[name]

    def expire(self) -> None:
        """Forget what is too old."""
        now = time.monotonic()
        while self._results and next(iter(self._results.values())).until <= now:
            self._drop(next(iter(self._results)))

    def _drop(self, name: str) -> None:
        self.held -= self._results.pop(name).bytes_held
