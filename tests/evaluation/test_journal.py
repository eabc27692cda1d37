"""Results survive crashes, and many processes write one set of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from manyfill.evaluation.journal import FILE, Journal, Row


def row(key: str = "k", **more: object) -> Row:
    given = {
        "key": key, "source": "telea", "photo": "a/é", "height": 4, "width": 5, "hole_ratio": 0.25,
        "seeds": [0], "scores": [None], "seconds": [0.1], "known_exact": True,
        "fills": [{"psnr": math.inf, "ssim": math.nan, "l1": 0.1 + 0.2}], "spread": {},
        "features": {"net fill": np.array([0.1, -2.5], np.float32)},
    }  # fmt: skip
    return Row(**{**given, **more})  # type: ignore[arg-type]


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    Journal(tmp_path).add(row())
    back = Journal(tmp_path).rows["k"]
    assert back.photo == "a/é" and back.fills[0]["psnr"] == math.inf and back.fills[0]["l1"] == 0.1 + 0.2
    assert math.isnan(back.fills[0]["ssim"])
    assert back.features["net fill"].tolist() == row().features["net fill"].tolist()


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(row("one"))
    journal.add(row("two"))
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-40])
    again = Journal(tmp_path)
    assert list(again.rows) == ["one"]
    again.add(row("three"))
    assert list(Journal(tmp_path).rows) == ["one", "three"]


def test_processes_write_files_of_their_own_and_read_all(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, rank=0), Journal(tmp_path, rank=1)
    first.add(row("one"))
    second.add(row("two"))
    second.skip("broken", "why")
    first.read()
    assert set(first.rows) == {"one", "two"} and first.skipped == {"broken": "why"}


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    journal = Journal(None)
    journal.add(row())
    journal.skip("b", "why")
    assert "k" in journal.rows and not list(tmp_path.iterdir())
