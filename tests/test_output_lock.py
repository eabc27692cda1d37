"""`tools/output_lock.py`: the same outputs are the same keys and digests, and another one is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import tooling


@pytest.fixture
def lock() -> ModuleType:
    return tooling.load("output_lock")


def test_what_has_not_changed_is_the_same_and_what_has_is_named(
    lock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lock.json"

    def run(what: str) -> int:
        monkeypatch.setattr(sys, "argv", ["output_lock.py", what, str(file), "--only", "folder", "--only", "golden"])
        return int(lock.main())

    assert run("record") == 0 and "; 0 of them say why there is none" in capsys.readouterr().out
    found = json.loads(file.read_text())
    assert {name.split("/")[0] for name in found} == {"folder", "golden"} and "folder/first/farm_1.png" in found
    assert run("check") == 0, capsys.readouterr().out
    file.write_text(json.dumps({**found, "folder/first/farm_1.png": "0" * 64, "golden/gone": "1" * 64}))
    assert run("check") == 1
    assert {"other: folder/first/farm_1.png", "gone: golden/gone"} <= set(capsys.readouterr().out.splitlines())


def test_each_kind_of_photo_is_one_that_is_read(lock: ModuleType) -> None:
    from manyfill import photos

    kinds = lock._kinds()
    assert len(kinds) > 25 and {name.rpartition(".")[2] for name in kinds} >= {
        "png",
        "tiff",
        "jpg",
        "webp",
        "bmp",
        "gif",
    }
    for name, data in kinds.items():
        photo = photos.read(data)
        assert {photo.height, photo.width} == {54, 72} and photo.depth == (16 if "16" in name else 8), name
