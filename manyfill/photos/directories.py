"""TIFF directories, which EXIF blocks are made of, too: tags with their values. Bytes in, bytes out.

Whatever is damaged raises ValueError or struct.error; `reading` turns those into words for the user. Values are views
of the file's bytes, and what a hostile file may ask for is bounded: a directory's values together are hardly longer
than the file, however they overlap, and only so many directories and tags of a chain are looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
Order: TypeAlias = Literal["<", ">"]  # little or big end first, as struct and numpy write it
Value: TypeAlias = "bytes | memoryview | Mapping[int, Entry] | Placed"
MAX_TAGS = 65_535  # in a directory, and in all that are looked at in a chain
MAX_NUMBERS = 1 << 20  # under one tag: strips, tiles
SHARED = 1 << 16  # bytes by which a directory's values may be longer together than the file: some writers share values


class Placed(NamedTuple):
    """A value that was put into the file already: where."""

    place: int


class Entry(NamedTuple):
    """One tag: its TIFF type, how many, and its raw value in the file's byte order (or a directory of its own)."""

    kind: int
    length: int
    value: Value
    place: int = -1  # where the raw value lies in the file; -1 for an entry that was made here


class Directory(NamedTuple):
    """The tags of one picture in a TIFF, where the pointer to the next directory lies, and its byte order."""

    order: Order
    entries: dict[int, Entry]
    next: int
    next_place: int

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The integers under a tag; the default where it is absent."""
        entry = self.entries.get(tag)
        if entry is None:
            return default
        if entry.kind not in INTEGERS or not isinstance(entry.value, (bytes, memoryview)):
            raise ValueError(f"tag {tag} is not a number")
        if entry.length > MAX_NUMBERS:
            raise ValueError(f"tag {tag} holds {entry.length:,} numbers")
        return struct.unpack(f"{self.order}{entry.length}{INTEGERS[entry.kind]}", entry.value)

    def number(self, tag: int, default: int) -> int:
        """The first integer under a tag."""
        return (self.numbers(tag) or (default,))[0]

    def ratio(self, tag: int) -> float | None:
        """The first fraction under a tag; None where it is absent or over zero."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind != 5 or entry.length < 1 or not isinstance(entry.value, (bytes, memoryview)):
            return None
        above, below = struct.unpack(self.order + "II", entry.value[:8])
        return above / below if below else None

    def raw(self, tag: int) -> bytes | None:
        """The bytes under a tag (ICC, XMP)."""
        entry = self.entries.get(tag)
        return bytes(entry.value) if entry is not None and isinstance(entry.value, (bytes, memoryview)) else None


def _header(data: bytes | bytearray) -> tuple[Order, bool, int]:
    """(byte order, BigTIFF?, where the first directory lies)."""
    orders: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
    order = orders.get(bytes(data[:2]))
    if order is None or len(data) < 8:
        raise ValueError("it has no TIFF header")
    (version,) = struct.unpack_from(order + "H", data, 2)
    if version == 42:
        return order, False, struct.unpack_from(order + "I", data, 4)[0]
    if version == 43:
        return order, True, struct.unpack_from(order + "Q", data, 8)[0]
    raise ValueError(f"it has an unknown TIFF version, {version}")


def directory(data: bytes | bytearray, at: int | None = None) -> Directory:
    """The directory that lies `at` this offset, by default the first one. Reads TIFF, BigTIFF and EXIF alike."""
    order, big, first = _header(data)
    at = first if at is None else at
    head, entry, room, step = ("Q", "HHQ", 8, 20) if big else ("H", "HHI", 4, 12)
    if not 8 <= at <= len(data) - 2:
        raise ValueError("its directory lies outside the file")
    (count,) = struct.unpack_from(order + head, data, at)
    at += struct.calcsize(head)
    if at + count * step > len(data):  # the pointer to the next one may be missing
        raise ValueError("its directory is cut off")
    if count > MAX_TAGS:
        raise ValueError(f"its directory holds {count:,} tags")
    entries: dict[int, Entry] = {}
    view, left = memoryview(data), len(data) + SHARED
    for _ in range(count):
        tag, kind, number = struct.unpack_from(order + entry, data, at)
        size = SIZES.get(kind, 0) * number
        place = at + step - room
        if size > room:
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
        if size and place + size <= len(data) and tag not in entries:
            entries[tag] = Entry(kind, number, view[place : place + size], place)
            left -= size
            if left < 0:
                raise ValueError("the values of its tags overlap")
        at += step
    end = bytes(data[at : at + room]).ljust(room, b"\0")
    return Directory(order, entries, struct.unpack(order + ("Q" if big else "I"), end)[0], at)


def directories(data: bytes) -> Iterator[Directory]:
    """Every directory in the chain, each once; a pointer to an earlier one or to nowhere ends it.

    Ends, too, after MAX_TAGS tags: a chain may be as long as the file.
    """
    page = directory(data)
    seen = {_header(data)[2]}
    tags_seen = 0
    while True:
        yield page
        tags_seen += 8 + len(page.entries)  # eight for the directory itself: it may be empty
        if not page.next or page.next in seen or tags_seen > MAX_TAGS:
            return
        seen.add(page.next)
        try:
            page = directory(data, page.next)
        except (ValueError, struct.error):
            return


def pack_directory(order: Order, entries: Mapping[int, Entry], at: int) -> bytes:
    """A directory with everything that it points to, to be put `at` this (even) offset; no next directory."""
    head = [struct.pack(order + "H", len(entries))]
    tail: list[bytes | memoryview] = []
    place = at + 2 + 12 * len(entries) + 4
    for tag in sorted(entries):
        kind, count, value, _ = entries[tag]
        if isinstance(value, Mapping):
            kind, count = 4, 1
            inner = pack_directory(order, value, place)
            value = struct.pack(order + "I", place)
            tail.append(inner)
            place += len(inner)
        elif isinstance(value, Placed):
            value = struct.pack(order + "I", value.place)
        elif len(value) > 4:
            padded = len(value) + len(value) % 2
            tail += [value, b"\0" * (len(value) % 2)]
            value = struct.pack(order + "I", place)
            place += padded
        head.append(struct.pack(order + "HHI", tag, kind, count) + bytes(value).ljust(4, b"\0"))
    return b"".join((*head, b"\0\0\0\0", *tail))


def pack_header(order: Order, first: int) -> bytes:
    """The eight bytes that begin a classic TIFF."""
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, first)


def shorts(order: Order, *numbers: int) -> Entry:
    """A tag of 16-bit integers."""
    return Entry(3, len(numbers), struct.pack(f"{order}{len(numbers)}H", *numbers))


def longs(order: Order, *numbers: int) -> Entry:
    """A tag of 32-bit integers."""
    return Entry(4, len(numbers), struct.pack(f"{order}{len(numbers)}I", *numbers))


def fraction(order: Order, number: float) -> Entry:
    """A tag of one unsigned fraction, to a ten-thousandth."""
    return Entry(5, 1, struct.pack(order + "II", round(number * 10_000), 10_000))
