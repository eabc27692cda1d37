"""JSON as dataclasses: what is taken, and how what is not is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from manyfill.typed import of_json


@dataclass(frozen=True)
class Inner:
    name: str
    score: float | None = None


@dataclass(frozen=True)
class Outer:
    count: int
    share: float = 0.5
    on: bool = False
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    pair: tuple[int, int] = (1, 2)
    words: Mapping[str, str] | None = None
    either: str | float = "auto"
    kind: Literal["a", "b"] = "a"
    free: Any = None


def test_what_fits_is_taken_as_it_is() -> None:
    raw = {"count": 3, "share": 1, "on": True, "inner": {"name": "x", "score": 1}, "many": [{"name": "y"}],
           "pair": [3, 4], "words": {"k": "v"}, "either": 1, "kind": "b", "free": [{}]}  # fmt: skip
    found = of_json(Outer, raw)
    assert found == Outer(3, 1, True, Inner("x", 1), (Inner("y"),), (3, 4), {"k": "v"}, 1, "b", [{}])
    assert type(found.share) is int and type(found.either) is int, "1 stays 1: it is hashed and written again"
    assert of_json(Outer, {"count": 0}) == Outer(0)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "it is None; expected an object"),
        ([], "expected an object"),
        ({"count": "3"}, "count is '3'; expected a whole number"),
        ({"count": 3.0}, "count is 3.0"),
        ({"count": True}, "count is True"),
        ({"count": 1, "on": 1}, "on is 1; expected true or false"),
        ({"count": 1, "share": "1"}, "share is '1'; expected a number"),
        ({"count": 1, "inner": {"name": 1}}, "inner is .*; expected an object or null"),
        ({"count": 1, "inner": []}, "inner is"),
        ({"count": 1, "many": {"name": "x"}}, "many is .*; expected a list"),
        ({"count": 1, "many": [{"name": "x"}, {"name": None}]}, "name is None; expected text"),
        ({"count": 1, "pair": [1]}, "pair is .*; expected 2 entries"),
        ({"count": 1, "words": {"k": 1}}, "words is"),
        ({"count": 1, "either": None}, "either is None; expected text or a number"),
        ({"count": 1, "kind": "c"}, "kind is 'c'; expected one of a, b"),
        ({"count": 1, "extra": 1}, "it has an unknown entry 'extra'"),
        ({"count": 1, "x" * 9999: 1}, "unknown entry"),
        ({"count": "x" * 9999}, r"\.\.\.; expected"),
    ],
)
def test_what_does_not_fit_is_named(raw: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        of_json(Outer, raw)
    assert len(str(caught.value)) < 200


def test_what_is_missing_is_named() -> None:
    with pytest.raises(TypeError, match="count"):
        of_json(Outer, {})
