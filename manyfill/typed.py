"""JSON from a file that may come from anywhere, as a dataclass: each entry is what its annotation says."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", types.NoneType: "null"}


def of_json(kind: type[Kind], value: Any, name: str = "it") -> Kind:
    """`value` as the dataclass `kind`, its entries likewise; tuples from lists.

    Raises ValueError, and what the dataclass itself raises, where an entry is missing, unknown or of another type.
    """
    found: Kind = _checked(kind, value, name)
    return found


def _checked(kind: Any, value: Any, name: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        _expect(isinstance(value, dict), name, "an object", value)
        hints = _hints(kind)
        for key in value:
            if key not in hints:
                raise ValueError(f"{name} has an unknown entry {str(key)[:100]!r}")
        build: Any = kind
        return build(**{key: _checked(hints[key], each, key) for key, each in value.items()})
    if origin in (Union, types.UnionType):
        for option in inner:
            try:
                return _checked(option, value, name)
            except ValueError:
                continue
        _expect(False, name, " or ".join(_WORDS.get(option, "an object") for option in inner), value)
    if origin is tuple:
        _expect(isinstance(value, list | tuple), name, "a list", value)
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else list(inner)
        _expect(len(kinds) == len(value), name, f"{len(kinds)} entries", value)
        return tuple(_checked(each, one, name) for each, one in zip(kinds, value, strict=True))
    if origin in (Mapping, dict):
        _expect(isinstance(value, dict), name, "an object", value)
        return {_checked(inner[0], key, name): _checked(inner[1], each, str(key)) for key, each in value.items()}
    if origin is Literal:
        _expect(value in inner, name, f"one of {', '.join(map(str, inner))}", value)
    elif kind is float:
        _expect(isinstance(value, int | float) and not isinstance(value, bool), name, _WORDS[float], value)
    elif kind is int:
        _expect(isinstance(value, int) and not isinstance(value, bool), name, _WORDS[int], value)
    else:
        _expect(isinstance(value, kind), name, _WORDS.get(kind, str(kind)), value)
    return value


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind)
    except NameError:  # of somebody's own class, whose annotations are for type checkers alone
        return {each.name: Any for each in fields(kind)}


def _expect(holds: bool, name: str, what: str, value: Any) -> None:
    if not holds:
        given = repr(value)
        raise ValueError(f"{name} is {given[:60] + '...' if len(given) > 60 else given}; expected {what}")
