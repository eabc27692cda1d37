"""Files are put in place whole, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from manyfill import files
from manyfill.errors import CannotWrite


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    call: str, failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(os, call, fail)
    expected = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else CannotWrite
    with pytest.raises(expected) as error:
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["photo.png"]
    if expected is CannotWrite:
        assert "No space left" in str(error.value)


def test_parts_that_fail_half_way_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"old")

    def parts() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("the encoder failed")

    with pytest.raises(RuntimeError):
        files.write_atomic(path, parts())
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["photo.png"]
    files.write_atomic(path, iter([b"new ", memoryview(b"parts")]))
    assert path.read_bytes() == b"new parts"


def test_a_write_follows_links_and_the_umask(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    real.write_bytes(b"old")
    link.symlink_to(real)
    files.write_atomic(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    old = os.umask(0o022)
    try:
        files.write_atomic(tmp_path / "new.txt", b"text")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o644
    long = tmp_path / ("n" * 251 + ".png")
    files.write_atomic(long, b"")
    assert long.exists()


def test_a_write_to_nowhere_says_where(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="no folder"):
        files.write_atomic(tmp_path / "gone" / "a.png", b"")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(CannotWrite, match="is a folder"):
        files.write_atomic(tmp_path / "folder.png", b"")
    assert os.listdir(tmp_path) == ["folder.png"]


def test_what_a_killed_process_left_half_written_is_swept_and_a_file_being_written_is_not(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    left, fresh = tmp_path / "deep" / ".manyfill-0123.part", tmp_path / ".manyfill-4567.part"
    for path in (left, fresh, tmp_path / "photo.png"):
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    os.utime(fresh)
    files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [fresh.name, "photo.png"]
    files.sweep(tmp_path / "not-there")
