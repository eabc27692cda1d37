"""Decoded photos that the processes of one machine share: each decodes a part of them, all see all, one copy in memory.

Pixels lie in files that are mapped, one written by each process; they are removed once every process has mapped them,
so that nothing is left behind, however a run ends.
"""

from __future__ import annotations

import errno
import json
import pickle
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from manyfill.boxes import Pixels


@dataclass(frozen=True)
class Fellows:
    """The processes of this machine: our number among them, a folder that all know, a call that waits for all."""

    number: int
    count: int
    folder: Path
    meet: Callable[[], None]


T = TypeVar("T")


def one_of_us(fellows: Fellows | None, find: Callable[[], T]) -> T:
    """What `find` gives, found by the first process alone and handed to the others; what it raises, all raise."""
    if fellows is None:
        return find()
    path = fellows.folder / "found"
    found: T | None = None
    error: Exception | None = None
    if fellows.number == 0:
        try:
            found = find()
        except Exception as raised:  # the others wait for it
            error = raised
        fellows.folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps((found, error)))
    fellows.meet()
    if fellows.number != 0:
        found, error = pickle.loads(path.read_bytes())  # written by our own fellow a moment ago
    fellows.meet()
    if fellows.number == 0:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            fellows.folder.rmdir()
    if error is not None:
        raise error
    return cast(T, found)


class Writer:
    """One process's share of the photos on its way into a file of at most `room` bytes."""

    def __init__(self, fellows: Fellows, room: int) -> None:
        fellows.folder.mkdir(parents=True, exist_ok=True)
        self.fellows, self.room = fellows, room
        self.entries: list[tuple[int, int, int]] = []  # index, height, width
        self._file = _pixels(fellows.folder, fellows.number).open("wb")

    def add(self, index: int, pixels: Pixels) -> bool:
        """Keep a photo; False where there is no room, also none on the disk: then none fits any more."""
        if pixels.nbytes > self.room:
            self.room = 0
            return False
        try:
            self._file.write(np.ascontiguousarray(pixels).data)
            self._file.flush()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            self.room = 0
            return False
        self.room -= pixels.nbytes
        self.entries.append((index, pixels.shape[0], pixels.shape[1]))
        return True

    def finish(self, skipped: dict[str, str]) -> tuple[dict[int, Pixels], dict[str, str]]:
        """Meet the others; every process's photos by index, not to be written to, and whatever could not be read."""
        with suppress(OSError):  # a full disk, once more
            self._file.close()
        about = {"entries": self.entries, "skipped": skipped}
        folder, count = self.fellows.folder, self.fellows.count
        _entries(folder, self.fellows.number).write_text(json.dumps(about))
        self.fellows.meet()
        kept: dict[int, Pixels] = {}
        missing: dict[str, str] = {}
        for number in range(count):
            found = json.loads(_entries(folder, number).read_text())
            missing |= found["skipped"]
            if not found["entries"]:
                continue
            whole = np.memmap(_pixels(folder, number), np.uint8, mode="r")
            start = 0
            for index, height, width in found["entries"]:
                size = 3 * height * width
                kept[index] = whole[start : start + size].reshape(height, width, 3)
                start += size
        self.fellows.meet()
        if self.fellows.number == 0:
            shutil.rmtree(folder, ignore_errors=True)  # what is mapped stays until it is let go
        return kept, missing


def _pixels(folder: Path, number: int) -> Path:
    return folder / f"pixels-{number}"


def _entries(folder: Path, number: int) -> Path:
    return folder / f"entries-{number}.json"
