"""Files are put in place whole, or not at all."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from manyfill import files
from manyfill.errors import Busy, CannotWrite


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


def test_files_that_belong_together_are_put_in_place_when_all_are_whole(tmp_path: Path) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    first.write_bytes(b"old")

    def torn() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the encoder failed")

    with pytest.raises(RuntimeError), files.Parcel() as parcel:
        parcel.add(first, b"new")
        parcel.add(second, torn())
    assert first.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.png"]
    with files.Parcel() as parcel:
        stamps = [parcel.add(first, b"new"), parcel.add(second, iter([b"1", b"2"]))]
        assert first.read_bytes() == b"old"
        parcel.put()
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png"] and second.read_bytes() == b"12"
    assert all(stamp == files.read(path).stamp for stamp, path in zip(stamps, (first, second), strict=True))


def test_a_parcel_replaces_a_link_and_leaves_what_it_points_to(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    real.write_bytes(b"original")
    link.symlink_to(real)
    with files.Parcel() as parcel:
        parcel.add(link, b"new")
        parcel.put()
    assert real.read_bytes() == b"original" and not link.is_symlink() and link.read_bytes() == b"new"


def test_a_stamp_fits_its_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"some")
    stamp = files.read(path).stamp
    os.utime(path, (1, 1))
    assert stamp.fits(path)  # by content
    for other in (b"", b"more", b"longer than it"):
        path.write_bytes(other)
        assert not stamp.fits(path)
    path.unlink()
    assert not stamp.fits(path)
    (tmp_path / "elsewhere.png").write_bytes(b"some")
    path.symlink_to(tmp_path / "elsewhere.png")
    assert not stamp.fits(path)  # a link is not what was written


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes by name")
def test_what_is_not_a_regular_file_is_refused_before_anybody_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        old = os.getcwd()
        os.chdir(tmp_path)  # a socket's address is short
        try:
            server.bind("socket.jpg")
        finally:
            os.chdir(old)
    kinds = {"pipe": "pipe", "folder": "folder", "device": "device", "link": "pipe", "socket": "socket"}
    for name, kind in kinds.items():
        for ask in (files.read, files.sha256_of):
            with pytest.raises(OSError, match=f"it is a {kind}, not a regular file"):
                ask(tmp_path / f"{name}.jpg")


def test_a_line_is_added_whole_also_after_one_that_a_crash_has_torn(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    files.append(path, "one")
    with path.open("a") as file:
        file.write("tor")
    files.append(path, "two")
    files.append(path, "three")
    assert path.read_text() == "one\ntor\ntwo\nthree\n"
    with pytest.raises(CannotWrite, match="no folder"):
        files.append(tmp_path / "gone" / "notes.jsonl", "one")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_second_process_is_refused_while_the_first_holds_the_lock_and_not_after_it_was_killed(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "new" / "lock"
    if kind == "folder":
        path.mkdir(parents=True)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys, pathlib; from manyfill import files\n"
         "with files.lock(pathlib.Path(sys.argv[1]), 'it'): print('held', flush=True); sys.stdin.read()", str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with (
            pytest.raises(Busy, match=r"another manyfill is at work on the fills in out\."),
            files.lock(path, "the fills in out"),
        ):
            pass
        child.kill()
    with files.lock(path, "it"), pytest.raises(Busy), files.lock(path, "it"):
        pass


def test_a_link_that_came_since_is_replaced_and_not_followed(tmp_path: Path) -> None:
    original, place = tmp_path / "photo.png", tmp_path / "mask.png"
    original.write_bytes(b"the only one")
    place.symlink_to(original)
    files.write_atomic(place, b"mask", follow=False)
    assert original.read_bytes() == b"the only one"
    assert place.read_bytes() == b"mask" and not place.is_symlink()
