"""Files on disk: read as they are, put in place whole, locked.

A crash, a full disk or Ctrl-C leaves what lay there before, and nothing half written.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from manyfill.errors import Busy, CannotWrite

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PARTIAL = ".manyfill-{}.part"  # beside its place, until it is whole
_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


@dataclass(frozen=True)
class Stamp:
    """What tells whether a file is still the same: quickly by size and time of change, surely by content."""

    size: int
    changed_ns: int
    sha256: str

    def fits(self, path: Path) -> bool:
        """Whether this file is the one: by size and time of change; where only the time differs, by content."""
        try:
            about = path.lstat()
            if not stat.S_ISREG(about.st_mode) or about.st_size != self.size:
                return False
            return about.st_mtime_ns == self.changed_ns or sha256_of(path) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class Content:
    """A file as it was read once; what is decoded and what is noted are the same bytes."""

    path: Path
    data: bytes
    stamp: Stamp

    def __str__(self) -> str:
        return str(self.path)


def read(path: Path) -> Content:
    """Read a regular file whole. Raises OSError, for a pipe, socket, device or folder, too."""
    with open_regular(path) as file:
        about = os.fstat(file.fileno())
        data = file.read()
    return Content(path, data, Stamp(len(data), about.st_mtime_ns, hashlib.sha256(data).hexdigest()))


def open_regular(path: Path) -> BinaryIO:
    """Open to read what has an end. Raises OSError for a pipe, socket, device or folder: one could wait for ever."""
    _refuse_irregular(os.stat(path).st_mode, path)  # before opening: to open a device can already do something
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _refuse_irregular(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _refuse_irregular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "something else")
        raise OSError(errno.EINVAL, f"it is a {kind}, not a regular file", str(path))


def sha256_of(path: Path) -> str:
    """Of a regular file's bytes, in hex. Raises OSError."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(
    path: str | os.PathLike[str], data: bytes | Iterable[bytes | memoryview], *, follow: bool = True
) -> None:
    """Puts the data at the path at once: what lay there stays until all is on the disk; a failure leaves nothing new.

    A link is followed, or replaced where `follow` is False: then what it points to stays, whenever it was laid there.
    Raises CannotWrite with the system's reason.
    """
    with Parcel() as parcel:
        parcel.add(Path(os.path.realpath(path) if follow else path), data)
        parcel.put()


class Parcel:
    """Files that belong together: each is written whole beside its place, and only then are all of them put there.

    What is not put when the `with` block is left is removed. A link at a file's place is replaced, not followed.
    """

    def __init__(self) -> None:
        self._waiting: dict[Path, Path] = {}  # place -> where it lies until then

    def add(self, path: Path, data: bytes | Iterable[bytes | memoryview]) -> Stamp:
        """Write one of them. Raises CannotWrite with the system's reason."""
        partial = path.with_name(PARTIAL.format(secrets.token_hex(8)))
        digest, size = hashlib.sha256(), 0
        try:
            if path.is_dir() and not path.is_symlink():
                raise CannotWrite(f"{path} is a folder. Name a file in it.")
            with in_words(path), open(partial, "xb") as file:  # not tempfile: its files are for the user's eyes only
                self._waiting[path] = partial
                for part in (data,) if isinstance(data, bytes) else data:
                    file.write(part)
                    digest.update(part)
                    size += memoryview(part).nbytes
                file.flush()
                os.fsync(file.fileno())
                changed = os.fstat(file.fileno()).st_mtime_ns
        except BaseException:
            self._waiting.pop(path, None)
            _remove(partial)
            raise
        return Stamp(size, changed, digest.hexdigest())

    def put(self) -> None:
        """Put all of them in place, in the order in which they were added. Raises CannotWrite."""
        folders = {path.parent: None for path in self._waiting}
        for path, partial in list(self._waiting.items()):
            with in_words(path):
                os.replace(partial, path)
            del self._waiting[path]
        for folder in folders:
            _sync_folder(folder)

    def __enter__(self) -> Parcel:
        return self

    def __exit__(self, *_: object) -> None:
        for partial in self._waiting.values():
            _remove(partial)
        self._waiting.clear()


def append(path: Path, line: str, *, sync: bool = True) -> None:
    """Add a line to a text file; one that a crash has torn is ended first. Raises CannotWrite.

    With `sync` it is on the disk when this returns, else it outlives this process, but maybe not a power cut.
    """
    with in_words(path), open(path, "a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode() + b"\n")
        file.flush()
        if sync:
            os.fsync(file.fileno())


@contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold a file, which is made where it is missing, or a folder, for this process alone; its end lets go of it.

    Raises Busy where another one holds it, in the words of `what` ("the fills in out/"), CannotWrite where it cannot be
    made. On a file system without locks nothing is held.
    """
    with in_words(path):
        if path.is_dir() and sys.platform == "win32":  # there a folder cannot be opened
            path = path / ".manyfill-lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        try:
            _hold(handle)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK):
                raise Busy(
                    f"another manyfill is at work on {what}. Wait until it has finished, or name another folder."
                ) from None
        yield
    finally:
        os.close(handle)


def _hold(handle: int) -> None:
    if sys.platform == "win32":
        os.lseek(handle, 2**40, os.SEEK_SET)  # far beyond the end: what is locked cannot be read by others either
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """CannotWrite, in one line and with the system's reason, where a file or folder cannot be written."""
    try:
        yield
    except OSError as error:
        if not path.parent.is_dir():
            raise CannotWrite(f"there is no folder {path.parent}. Make it first.") from None
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}.") from None


def sweep(folder: Path, *, older_than: float = 3600.0) -> None:
    """Remove what killed processes left half written below a folder: hidden files untouched for so many seconds."""
    for partial in folder.rglob(".manyfill-*.part"):
        try:
            if time.time() - partial.stat().st_mtime > older_than:
                partial.unlink(missing_ok=True)
        except OSError:  # its writer has finished, or it is not ours to remove
            continue


def _remove(partial: Path) -> None:
    try:
        partial.unlink(missing_ok=True)
    except OSError:
        return  # its folder is missing or not ours: then so is the file


def _sync_folder(folder: Path) -> None:
    """Puts the rename itself on the disk, where the system lets one open a folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
