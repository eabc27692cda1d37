"""Sidecars hold what replay needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filling import files_in, one

from manyfill.completer import Completer
from manyfill.errors import ManyfillError
from manyfill.jobs.manifest import fingerprint
from manyfill.jobs.photo import Target, complete_photo, replay
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


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("options.n", 10**9, "at most 64 fills"),
        ("options.n", "3", "expected a whole number"),
        ("options.seed", -1, "seed is -1"),
        ("options.grow", 1e9, "grow is"),
        ("options.texture", [], "texture is"),
        ("options.quality", "high", "expected a whole number or null"),
        ("options.quality", 10**6, "quality"),
        ("options.format", 7, "expected text"),
        ("options.format", "exe", "exe"),
        ("options.polarity", "inside", "polarity"),
        ("options.max_memory", -5, "max_memory"),
        ("options.command", "rm", "unknown entry 'command'"),
        ("fills", [], "0 fills"),
        ("fills", None, "expected a list"),
        ("fills", [{"file": "a.png", "seed": 0, "score": None, "sha256": "0"}] * 65, "65 fills"),
        ("photo.file", None, "expected text"),
        ("photo.file", ["photo.png"], "expected text"),
        ("model.sha256", 5, "expected text"),
        ("made_with", "torch", "expected an object"),
        ("height", "tall", "expected a whole number"),
        ("seconds", {}, "expected a number"),
    ],
)
def test_an_entry_that_cannot_be_is_named(
    completer: Completer, tmp_path: Path, where: str, value: Any, words: str
) -> None:
    complete_photo(completer, one(tmp_path), Options(n=2, texture="net", sheet=False))
    path = tmp_path / "out/photo.json"
    raw = json.loads(path.read_text())
    inner = raw
    *outer, last = where.split(".")
    for name in outer:
        inner = inner[name]
    inner[last] = value
    path.write_text(json.dumps(raw))
    with pytest.raises(ManyfillError, match=words):
        replay(completer, Sidecar.read(path), replace(one(tmp_path), target=Target(tmp_path / "again", "photo")))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, " " * (5 << 20), '"' + "x" * 5_000_000 + '"'])
def test_a_sidecar_that_is_deep_or_huge_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ManyfillError, match=r"x\.json is not a sidecar"):
        Sidecar.read(tmp_path / "x.json")


def test_a_sidecar_of_before_nearness_was_an_option_reads_and_replays(completer: Completer, tmp_path: Path) -> None:
    done = complete_photo(completer, one(tmp_path), Options(n=2, texture="net", sheet=False))
    path = tmp_path / "out/photo.json"
    raw = json.loads(path.read_text())
    del raw["options"]["near"], raw["options"]["step"], raw["options"]["strict"]
    path.write_text(json.dumps(raw))
    task = replace(one(tmp_path), target=Target(tmp_path / "again", "photo"))
    again, differing = replay(completer, Sidecar.read(path), task)
    assert not differing and [f.sha256 for f in again.sidecar.fills] == [f.sha256 for f in done.sidecar.fills]


def test_fills_near_another_replay_too(completer: Completer, tmp_path: Path) -> None:
    options = Options(n=2, texture="net", sheet=False, near=3, step=0.25)
    complete_photo(completer, one(tmp_path), options)
    task = replace(one(tmp_path), target=Target(tmp_path / "again", "photo"))
    _, differing = replay(completer, Sidecar.read(tmp_path / "out/photo.json"), task)
    assert not differing


def test_a_folder_begun_before_nearness_was_an_option_goes_on() -> None:
    assert fingerprint(Options(), "0" * 64) == "6959a30c7585dd13"
    assert len({fingerprint(Options(near=near), "0" * 64) for near in (None, 0, 1)}) == 3
    assert fingerprint(Options(strict=True), "0" * 64) != fingerprint(Options(), "0" * 64)
