"""What long work calls between its steps."""

from __future__ import annotations

import pytest
from stopping import Stop, steps_of

from manyfill.checking import Check, go_on


def test_a_check_that_nobody_gave_stops_nothing() -> None:
    go_on()


def test_work_that_goes_on_after_a_stop_is_found_out() -> None:
    def deaf(check: Check) -> None:
        for _ in range(3):
            try:
                check()
            except Stop:
                continue

    def heard(check: Check) -> None:
        for _ in range(3):
            check()

    assert steps_of(heard) == 3
    with pytest.raises(pytest.fail.Exception):
        steps_of(deaf)
