"""Sidecars hold what replay needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filling import files_in, one

from manyfill.completer import Completer
from manyfill.errors import ManyfillError
from manyfill.jobs.photo import complete_photo
from manyfill.jobs.records import Options, Sidecar


def test_a_sidecar_holds_what_replay_needs_and_reads_back(completer: Completer, tmp_path: Path) -> None:
    done = complete_photo(completer, one(tmp_path), Options(n=3, seed=5, texture=0.0, uncertainty=True))
    sidecar = Sidecar.read(tmp_path / "out/photo.json")
    assert sidecar == done.sidecar
    raw = json.loads((tmp_path / "out/photo.json").read_text())
    assert raw["photo"]["file"] == "../photo.png" and raw["mask"]["file"] == "../hole.png"
    assert raw["model"]["sha256"] == completer.sha256
    assert raw["hole_ratio"] == 140 / (28 * 40)
    assert (raw["height"], raw["width"], raw["options"]["n"]) == (28, 40, 3)
    assert [fill["file"] for fill in raw["fills"]] == ["photo_1.png", "photo_2.png", "photo_3.png"]
    assert [fill["score"] for fill in raw["fills"]] == sorted((fill["score"] for fill in raw["fills"]), reverse=True)
    assert len({fill["seed"] for fill in raw["fills"]}) == 3
    assert (raw["sheet"], raw["uncertainty"]) == ("photo_sheet.png", "photo_uncertainty.png")
    assert {path.name for path in done.files} == set(files_in(tmp_path / "out"))


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"photo": 1}'])
def test_what_is_not_a_sidecar_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ManyfillError, match=r"x\.json is not a sidecar"):
        Sidecar.read(tmp_path / "x.json")
    with pytest.raises(ManyfillError, match="there is no sidecar"):
        Sidecar.read(tmp_path / "missing.json")
