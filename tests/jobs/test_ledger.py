"""What no sidecar speaks of is noted in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from manyfill.download import cache_folder
from manyfill.jobs import ledger


def test_what_was_written_is_known_by_every_name_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    assert ledger.recall(folder / "a.png") is None
    ledger.remember(folder / "a.png", "1234")
    monkeypatch.chdir(folder)
    assert ledger.recall(Path("a.png")) == ledger.recall(tmp_path / "link" / "a.png") == "1234"
    assert ledger.recall(folder / "b.png") is None


def test_a_damaged_note_or_a_cache_that_cannot_be_written_is_no_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.remember(tmp_path / "a.png", "1234")
    (note,) = (cache_folder() / "written").iterdir()
    for damage in (b"", b"[]", b"{}", b"\xff"):
        note.write_bytes(damage)
        assert ledger.recall(tmp_path / "a.png") is None
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "file"))
    ledger.remember(tmp_path / "a.png", "1234")
    assert ledger.recall(tmp_path / "a.png") is None


def test_the_oldest_notes_are_forgotten(tmp_path: Path) -> None:
    for number in range(7):
        ledger.remember(tmp_path / f"{number}.png", str(number), most=6)
        for age, note in enumerate(
            sorted((cache_folder() / "written").iterdir(), key=lambda each: each.stat().st_mtime)
        ):
            os.utime(note, (age + 1, age + 1))
    assert [ledger.recall(tmp_path / f"{number}.png") for number in range(7)] == [None] * 4 + ["4", "5", "6"]
