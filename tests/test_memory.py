"""What the system says of memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manyfill import memory


@pytest.mark.skipif(not memory.STATUS.exists(), reason="this system has no /proc")
def test_what_is_taken_is_counted() -> None:
    before = memory.resident()
    block = np.ones(60 * 2**20, np.uint8)
    assert 50 * 2**20 < memory.resident() - before < 120 * 2**20
    assert len(block) < (memory.available() or 0) < 2**50


def test_a_container_leaves_no_more_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:  2048 kB\n")
    monkeypatch.setattr(memory, "SYSTEM", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    assert memory.available() == 2 * 2**20
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("500\n")
    assert memory.available() == 2 * 2**20
    (tmp_path / "memory.max").write_text("1500\n")
    assert memory.available() == 1000
    (tmp_path / "memory.current").write_text("1600\n")
    assert memory.available() == 0


def test_where_the_system_says_nothing_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATUS", "SYSTEM", "GROUP"):
        monkeypatch.setattr(memory, name, tmp_path / "none")
    assert memory.resident() == 0 and memory.available() is None
