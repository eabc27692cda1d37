"""Compiled loops."""

from __future__ import annotations

from typing import Any

from manyfill.compiled import compiled


def test_a_loop_of_a_file_and_one_of_none_are_compiled() -> None:
    scope: dict[str, Any] = {}
    exec("def twice(x):\n    return 2 * x", scope)  # no file to be kept beside
    assert compiled(scope["twice"])(21) == 42
