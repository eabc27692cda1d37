"""How long work is stopped: it calls a `check` between its small steps, and what that raises ends it and comes out."""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[], None]


def go_on() -> None:
    """A check that stops nothing."""
