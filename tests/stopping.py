"""Work that calls a check is stopped at each of its steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from manyfill.checking import Check


class Stop(BaseException):
    """What no code of ours catches."""


def steps_of(work: Callable[[Check], object]) -> int:
    """How often `work` calls its check, after it was stopped at each call; the same count before and after."""

    def called(stop_at: int | None) -> int:
        times = 0

        def check() -> None:
            nonlocal times
            times += 1
            if times == stop_at:
                raise Stop

        work(check)
        return times

    whole = called(None)
    for number in range(1, whole + 1):
        with pytest.raises(Stop):
            called(number)
    assert called(None) == whole
    return whole
