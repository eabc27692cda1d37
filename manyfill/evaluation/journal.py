"""Results as they come, one JSON object a line: an interrupted run goes on, and several processes can share one.

Each process appends to a file of its own (`results.jsonl`, `results_1.jsonl` ...); whoever reads takes them all. A
line torn by a crash is passed over. Numbers that JSON has no word for are written as null (none) and "inf".
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = "results.jsonl"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one source scored on one case."""

    key: str  # changes with everything that the numbers depend on
    source: str
    photo: str
    height: int
    width: int
    hole_ratio: float
    seeds: list[int]
    scores: list[float | None]
    seconds: list[float]
    known_exact: bool
    fills: list[dict[str, float]]
    spread: dict[str, float]
    features: dict[str, NDArray[np.float32]] = field(repr=False, compare=False)

    def to_json(self) -> str:
        """One line."""
        plain = {**self.__dict__, "fills": [_plain(fill) for fill in self.fills], "spread": _plain(self.spread)}
        plain["features"] = {
            name: base64.b64encode(row.astype("<f4").tobytes()).decode() for name, row in self.features.items()
        }
        return json.dumps(plain, ensure_ascii=False)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Row:
        """Raises TypeError and ValueError for anything else."""
        features = {
            name: np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
            for name, text in plain["features"].items()
        }
        fills = [_number(fill) for fill in plain["fills"]]
        return cls(**{**plain, "fills": fills, "spread": _number(plain["spread"]), "features": features})


class Journal:
    """The results of a folder; without one, of this run alone."""

    def __init__(self, folder: Path | None, *, rank: int = 0) -> None:
        self.folder = folder
        self.rows: dict[str, Row] = {}  # by key
        self.skipped: dict[str, str] = {}  # photo, or source and photo -> reason
        self._own = None if folder is None else folder / (FILE if rank == 0 else f"results_{rank}.jsonl")
        self._torn = self._own is not None and self._own.is_file() and not self._own.read_bytes().endswith(b"\n")
        self.read()

    def read(self) -> None:
        """Take in what all processes have written so far."""
        if self.folder is None:
            return
        for path in sorted(self.folder.glob("results*.jsonl")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    plain = json.loads(line)
                    if "skipped" in plain:
                        self.skipped[plain["skipped"]] = plain["reason"]
                    else:
                        row = Row.from_json(plain)
                        self.rows[row.key] = row
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue

    def add(self, row: Row) -> None:
        """Keep a result."""
        self.rows[row.key] = row
        self._append(row.to_json())

    def skip(self, name: str, reason: str) -> None:
        """Note what could not be measured."""
        if self.skipped.get(name) != reason:
            self.skipped[name] = reason
            self._append(json.dumps({"skipped": name, "reason": reason}, ensure_ascii=False))

    def _append(self, line: str) -> None:
        if self._own is None:
            return
        self._own.parent.mkdir(parents=True, exist_ok=True)
        with self._own.open("a", encoding="utf-8") as file:
            file.write("\n" * self._torn + line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._torn = False


def _plain(values: Mapping[str, float]) -> dict[str, float | str | None]:
    return {
        name: None if math.isnan(value) else value if math.isfinite(value) else "inf" if value > 0 else "-inf"
        for name, value in values.items()
    }


def _number(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in values.items()}
