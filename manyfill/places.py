"""Where photos are, some tens of bytes each: an index of millions that every process can hold and forks share."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manyfill.errors import BadImage
from manyfill.files import open_regular

WHOLE = -1  # offset of a photo that is a file of its own


@dataclass(frozen=True)
class Place:
    """Where the bytes of a photo lie: a whole file, or `size` bytes at `offset` of a tar; or why they cannot be had."""

    name: str
    path: str
    offset: int = 0
    size: int | None = None
    broken: str | None = None

    def read(self) -> bytes:
        """The bytes. Raises OSError, and BadImage for what is known to be damaged."""
        if self.broken is not None:
            raise BadImage(self.broken)
        with open_regular(Path(self.path)) as file:
            file.seek(self.offset)
            return file.read(-1 if self.size is None else self.size)


class Places:
    """A sequence of `Place`, kept as five arrays and a blob of names: 20 bytes a photo, and its name.

    1.8 million photos with names of 12 bytes take 58 MB, where as many objects took about 600.
    """

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._heads: list[str] = []  # tars, and folders with their separator: each once
        self._numbers: dict[str, int] = {}
        self._head = array("I")
        self._name = bytearray()  # what follows the head
        self._ends = array("I")  # in it: names of 4 GiB are over a hundred million photos
        self._offset, self._size = array("q"), array("I")
        self._odd: dict[int, Place] = {}  # broken ones and those of 4 GiB and more, as they are
        self.extend(places)

    def extend(self, places: Iterable[Place]) -> None:
        """Add places at the end."""
        for place in places:
            whole = place.size is None
            rest = os.path.basename(place.path) if whole else place.name[len(place.path) + 1 :]
            head = place.path[: len(place.path) - len(rest)] if whole else place.path
            plain = place.name == place.path if whole else place.name == f"{place.path}/{rest}"
            if place.broken is not None or not plain or (place.size or 0) >= 1 << 32:
                self._odd[len(self)] = place
                head, rest = place.path, ""
            self._head.append(self._numbers.setdefault(head, len(self._heads)))
            if self._head[-1] == len(self._heads):
                self._heads.append(head)
            self._name += os.fsencode(rest)
            self._ends.append(len(self._name))
            self._offset.append(WHOLE if whole else place.offset)
            self._size.append(0 if place.size is None or place.size >= 1 << 32 else place.size)

    def __len__(self) -> int:
        return len(self._head)

    def __iter__(self) -> Iterator[Place]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Place:
        if not 0 <= index < len(self):
            raise IndexError(f"place {index} of {len(self)}")
        if index in self._odd:
            return self._odd[index]
        start = self._ends[index - 1] if index else 0
        head, rest = self._heads[self._head[index]], os.fsdecode(bytes(self._name[start : self._ends[index]]))
        if self._offset[index] == WHOLE:
            return Place(head + rest, head + rest)
        return Place(f"{head}/{rest}", head, self._offset[index], self._size[index])

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays and names."""
        arrays = (self._head, self._ends, self._offset, self._size)
        return sum(len(one) * one.itemsize for one in arrays) + len(self._name)

    @property
    def shards(self) -> NDArray[np.uint32]:
        """(N,): which tar or folder each is in, numbered as first met."""
        return np.frombuffer(self._head, np.uint32) if len(self) else np.zeros(0, np.uint32)
