"""Files on their way to clients: written once, read in pieces; large ones wait in nameless files on the disk.

A nameless file is gone when it is closed, and when the process ends, however that happens.
"""

from __future__ import annotations

import errno
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from manyfill.checking import Check, go_on
from manyfill.errors import TooLarge
from manyfill.server.errors import Refusal
from manyfill.server.shares import Ledger, Shares

log = logging.getLogger(__name__)

IN_MEMORY = 1 << 20  # bytes of a file; what is larger goes to the disk
PIECE = 3 << 16  # bytes read at once: a multiple of three, so that pieces in base64 join
ON_DISK = 4 << 30  # bytes of all files together


class Spools:
    """The files of one server, and how many bytes they hold."""

    def __init__(self, shares: Shares) -> None:
        self.to_disk = shares.disk
        limit = (lambda: ON_DISK) if self.to_disk else (lambda: shares.answers)
        self.ledger = Ledger(limit, _refused)

    def of(self, parts: Iterable[bytes | memoryview], *, check: Check = go_on) -> Spool:
        """A file of these parts. Raises Refusal 503 where too many wait to be read, TooLarge where one is too many."""
        spool = Spool(self.ledger, to_disk=self.to_disk)
        try:
            for part in parts:
                check()
                spool.write(part)
        except BaseException:
            spool.close()
            raise
        return spool


class Spool:
    """One file. Close it; it is closed, too, when nobody holds it any more."""

    def __init__(self, ledger: Ledger, *, to_disk: bool) -> None:
        self._ledger, self._may_move = ledger, to_disk
        self._file: IO[bytes] | None = io.BytesIO()
        self.length = 0  # bytes

    def write(self, part: bytes | memoryview) -> None:
        """Add to its end."""
        assert self._file is not None, "the file is closed"
        size = len(part) if isinstance(part, bytes) else part.nbytes
        if size > self._ledger.limit - self.length:
            raise TooLarge(
                f"the answer is larger than the {self._ledger.limit >> 20} MiB that there are for it. Ask for fewer "
                "fills at once, or for jpeg or webp."
            )
        self._ledger.take(size)
        self.length += size
        if self._may_move and self.length > IN_MEMORY:
            self._move()
        try:
            self._file.write(part)
        except OSError as error:
            raise _no_room(error) from None

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, from the beginning; then it is closed."""
        try:
            if self._file is not None:
                self._file.seek(0)
            while self._file is not None and (piece := self._file.read(PIECE)):
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Forget it."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._ledger.give_back(self.length)

    def __del__(self) -> None:
        self.close()

    def _move(self) -> None:
        """From memory to the disk, once."""
        assert isinstance(self._file, io.BytesIO)
        self._may_move = False
        try:
            file = tempfile.TemporaryFile(prefix="manyfill-")  # noqa: SIM115  (it outlives this call)
            try:
                file.write(self._file.getbuffer())
            except OSError:
                file.close()
                raise
        except OSError as error:
            raise _no_room(error) from None
        self._file = file


def _refused() -> Refusal:
    return Refusal(
        503,
        "Too many answers wait for their clients to read them. Try again in a moment.",
        code="rate_limit_exceeded",
        retry_after=10,
    )


def _no_room(error: OSError) -> Refusal:
    log.error("a file for an answer cannot be written: %s", error)
    why = "disk is full" if error.errno == errno.ENOSPC else "disk does not take it"
    return Refusal(503, f"The server has no room for the answer: its {why}. Try again later.", retry_after=60)


def has_disk() -> bool:
    """Whether temporary files lie on a disk, not in memory as in many containers."""
    try:
        with tempfile.TemporaryFile():
            folder = Path(tempfile.gettempdir()).resolve()
    except OSError:
        return False
    try:
        lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return True  # not Linux
    mounts = [(Path(line[1]), line[2]) for line in lines if folder.is_relative_to(line[1])]
    kind = max(mounts, key=lambda mount: len(mount[0].parts), default=(folder, ""))[1]
    return kind not in ("tmpfs", "ramfs")
