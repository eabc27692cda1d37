"""One photo from file to files, and again from its sidecar."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from filling import files_in, one, write_mask

from manyfill.completer import Completer
from manyfill.errors import BadImage, BadMask, ManyfillError
from manyfill.jobs.photo import Target, complete_photo, replay
from manyfill.jobs.records import Options, Sidecar


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg"])
def test_replay_makes_the_same_bytes_of_every_file(completer: Completer, tmp_path: Path, name: str) -> None:
    task = one(tmp_path, name)
    done = complete_photo(completer, task, Options(n=3, texture="net", uncertainty=True))
    again = dataclasses.replace(task, target=Target(tmp_path / "again", "photo"))
    _, differing = replay(completer, Sidecar.read(tmp_path / "out/photo.json"), again)
    assert differing == []
    assert files_in(tmp_path / "again") == files_in(tmp_path / "out")
    assert len(files_in(tmp_path / "again")) == len(done.files) == 6


def test_replay_names_the_fills_whose_bytes_differ(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    complete_photo(completer, task, Options(n=2, texture="net"))
    sidecar = Sidecar.read(tmp_path / "out/photo.json")
    first, second = sidecar.fills
    other = dataclasses.replace(sidecar, fills=(first, dataclasses.replace(second, sha256="0" * 64)))
    _, differing = replay(completer, other, dataclasses.replace(task, target=Target(tmp_path / "again", "photo")))
    assert differing == ["photo_2.png"]


def test_replay_refuses_what_is_not_what_was_used(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    complete_photo(completer, task, Options(texture="net"))
    sidecar = Sidecar.read(tmp_path / "out/photo.json")
    again = dataclasses.replace(task, target=Target(tmp_path / "again", "photo"))
    other = dataclasses.replace(sidecar, model=dataclasses.replace(sidecar.model, sha256="f" * 64))
    with pytest.raises(ManyfillError, match="model 'tiny' has changed"):
        replay(completer, other, again)
    write_mask(tmp_path / "hole.png", width=12)
    with pytest.raises(BadMask, match="has changed"):
        replay(completer, sidecar, again)
    (tmp_path / "photo.png").unlink()
    with pytest.raises(BadImage, match="no longer there"):
        replay(completer, sidecar, again)
    assert not (tmp_path / "again").exists()


def test_the_photo_itself_is_never_overwritten(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    before = task.photo.read_bytes()
    target = Target(tmp_path, "photo", numbered=False, suffix=".png")
    with pytest.raises(ManyfillError, match="never overwritten"):
        complete_photo(completer, dataclasses.replace(task, target=target), Options(texture="net"))
    assert task.photo.read_bytes() == before


def test_a_photo_with_the_wrong_suffix_gets_the_right_one(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    task.photo.rename(tmp_path / "photo.jpg")  # a PNG by content
    done = complete_photo(
        completer, dataclasses.replace(task, photo=tmp_path / "photo.jpg"), Options(texture="net", sheet=False)
    )
    assert [path.name for path in done.files] == ["photo_1.png", "photo.json"]
