"""The boxes that pixels come in: PNG chunks, TIFF directories, EXIF, XMP, IPTC and WebP chunks. Bytes in, bytes out.

Nothing here knows a pixel and nothing here needs a third-party package. Whatever is damaged raises ValueError
or struct.error; `photos` turns those into words for the user.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias, TypeVar

Bytes = TypeVar("Bytes", bytes, memoryview)

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# ------------------------------------------------------------------------------------------------------- PNG


def png_chunks(data: Bytes) -> Iterator[tuple[bytes, Bytes]]:
    """Yields (name, content) up to and with IEND; ValueError where a chunk is cut off or its checksum is wrong.

    Of a memoryview, contents are views into it.
    """
    place = len(PNG_SIGNATURE)
    name = b""
    while name != b"IEND":
        head = data[place : place + 8]
        if len(head) < 8:
            raise ValueError("the file is cut off")
        size, name = struct.unpack(">I4s", head)
        content = data[place + 8 : place + 8 + size]
        checksum = data[place + 8 + size : place + 12 + size]
        if len(content) < size or len(checksum) < 4:
            raise ValueError("the file is cut off")
        if zlib.crc32(content, zlib.crc32(name)) != int.from_bytes(checksum, "big"):
            raise ValueError(f"the checksum of its {name.decode('latin-1')} chunk is wrong")
        yield name, content
        place += 12 + size


def png_chunk(name: bytes, content: bytes | memoryview) -> bytes:
    """One chunk as it lies in the file: length, name, content, checksum."""
    checksum = zlib.crc32(content, zlib.crc32(name))
    return b"".join((struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)))


def png_file(chunks: Iterable[tuple[bytes, bytes | memoryview]]) -> bytes:
    """A PNG file of these chunks, in this order."""
    return b"".join((PNG_SIGNATURE, *(png_chunk(name, content) for name, content in chunks)))


# ------------------------------------------------------------------------------------------------------- JPEG

SIZES_OF_JPEG = (0xC0, 0xC1, 0xC2)  # frames: baseline, extended, progressive
CODING = (0xC4, 0xDB, 0xDA)  # Huffman and quantisation tables, scan: what entropy-coded bits are read with


def jpeg_parts(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """(marker, content) of each segment up to the scan's, and the entropy-coded rest of a JPEG of one scan."""
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        raise ValueError("it is not a whole JPEG")
    segments, place, marker = [], 2, 0
    while marker != 0xDA:
        sign, marker, size = struct.unpack_from(">BBH", data, place)
        if sign != 0xFF:
            raise ValueError("its segments are damaged")
        segments.append((marker, data[place + 4 : place + 2 + size]))
        place += 2 + size
    return segments, data[place:-2]


def jpeg_coding(segments: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """What two JPEGs must have in common for one's entropy-coded bits to be read with the other's tables."""
    same = [(marker, content) for marker, content in segments if marker in CODING]
    return same + [(marker, content[:1] + content[3:]) for marker, content in segments if marker in SIZES_OF_JPEG]


def jpeg_head(segments: Iterable[tuple[int, bytes]], *, height: int, restart: int) -> bytes:
    """A JPEG's bytes up to its scan: of this height, and with a restart marker after every `restart` blocks."""
    parts = [b"\xff\xd8"]
    for marker, content in segments:
        if marker in SIZES_OF_JPEG:
            content = content[:1] + struct.pack(">H", height) + content[3:]
        if marker == 0xDA:
            parts.append(b"\xff\xdd" + struct.pack(">HH", 4, restart))
        parts.append(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content)
    return b"".join(parts)


# --------------------------------------------------------------------------------- TIFF directories and EXIF

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
SUBFILE_TYPE, STRIP_OFFSETS, ORIENTATION, SAMPLES_PER_PIXEL, ROWS_PER_STRIP, STRIP_SIZES = 254, 273, 274, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT, PREDICTOR = 282, 283, 284, 296, 317
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_SIZES, EXTRA_SAMPLES, SAMPLE_FORMAT = 322, 323, 324, 325, 338, 339
COLOUR_MAP, JPEG_TABLES, YCBCR = 320, 347, (529, 530, 531, 532)
XMP, ICC, DNG_VERSION = 700, 34675, 50706
EXIF_DIRECTORY, GPS_DIRECTORY, INTEROP_DIRECTORY = 34665, 34853, 40965
EXIF_WIDTH, EXIF_HEIGHT = 40962, 40963
THUMBNAIL_OFFSET, THUMBNAIL_SIZE = 513, 514

# What a TIFF's main directory tells about the photo rather than about how its pixels are stored: title, camera,
# software, date, artist, host, rating, copyright, IPTC, Windows' XP fields.
DESCRIPTIVE = (
    269,
    270,
    271,
    272,
    285,
    305,
    306,
    315,
    316,
    18246,
    18249,
    33432,
    33723,
    40091,
    40092,
    40093,
    40094,
    40095,
)
DIRECTORIES = (EXIF_DIRECTORY, GPS_DIRECTORY, INTEROP_DIRECTORY)

Order: TypeAlias = Literal["<", ">"]  # little or big end first, as struct and numpy write it
Value: TypeAlias = "bytes | Mapping[int, Entry]"


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
        if entry.kind not in INTEGERS or not isinstance(entry.value, bytes):
            raise ValueError(f"tag {tag} is not a number")
        return struct.unpack(f"{self.order}{entry.length}{INTEGERS[entry.kind]}", entry.value)

    def number(self, tag: int, default: int) -> int:
        """The first integer under a tag."""
        return (self.numbers(tag) or (default,))[0]

    def ratio(self, tag: int) -> float | None:
        """The first fraction under a tag; None where it is absent or over zero."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind != 5 or entry.length < 1 or not isinstance(entry.value, bytes):
            return None
        above, below = struct.unpack(self.order + "II", entry.value[:8])
        return above / below if below else None

    def raw(self, tag: int) -> bytes | None:
        """The bytes under a tag (ICC, XMP)."""
        entry = self.entries.get(tag)
        return entry.value if entry is not None and isinstance(entry.value, bytes) else None


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
    entries: dict[int, Entry] = {}
    for _ in range(count):
        tag, kind, number = struct.unpack_from(order + entry, data, at)
        size = SIZES.get(kind, 0) * number
        place = at + step - room
        if size > room:
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
        value = bytes(data[place : place + size])
        if len(value) == size and size:
            entries.setdefault(tag, Entry(kind, number, value, place))
        at += step
    end = bytes(data[at : at + room]).ljust(room, b"\0")
    return Directory(order, entries, struct.unpack(order + ("Q" if big else "I"), end)[0], at)


def directories(data: bytes) -> Iterator[Directory]:
    """Every directory in the chain, each once; a pointer to an earlier one or to nowhere ends it."""
    page = directory(data)
    seen = {_header(data)[2]}
    yield page
    while page.next and page.next not in seen:
        seen.add(page.next)
        try:
            page = directory(data, page.next)
        except (ValueError, struct.error):
            return
        yield page


def pack_directory(order: Order, entries: Mapping[int, Entry], at: int) -> bytes:
    """A directory with everything that it points to, to be put `at` this (even) offset; no next directory."""
    head = struct.pack(order + "H", len(entries))
    tail = b""
    behind = at + 2 + 12 * len(entries) + 4
    for tag in sorted(entries):
        kind, count, value, _ = entries[tag]
        place = behind + len(tail)
        if not isinstance(value, bytes):
            kind, count = 4, 1
            tail += pack_directory(order, value, place)
            value = struct.pack(order + "I", place)
        elif len(value) > 4:
            tail += value + b"\0" * (len(value) % 2)
            value = struct.pack(order + "I", place)
        head += struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
    return head + b"\0\0\0\0" + tail


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


def exif_order(exif: bytes | None) -> Order:
    """The byte order of an EXIF block; little-endian where there is none."""
    return ">" if exif is not None and exif[:2] == b"MM" else "<"


def descriptive_entries(data: bytes, page: Directory) -> dict[int, Entry]:
    """What a main directory tells about the photo, with its EXIF and GPS directories, free of any offset."""
    found = {tag: page.entries[tag] for tag in DESCRIPTIVE if tag in page.entries}
    for tag in (EXIF_DIRECTORY, GPS_DIRECTORY):
        if tag in page.entries:
            try:
                found[tag] = Entry(4, 1, _nested(data, page.number(tag, 0), 1))
            except (ValueError, struct.error):
                continue
    return found


def _nested(data: bytes, at: int, depth: int) -> dict[int, Entry]:
    """A directory inside a directory. Not a function inside a function: that would hold on to the file's bytes."""
    inner = directory(data, at)
    found = {tag: entry for tag, entry in inner.entries.items() if tag not in DIRECTORIES}
    if depth and INTEROP_DIRECTORY in inner.entries:
        found[INTEROP_DIRECTORY] = Entry(4, 1, _nested(data, inner.number(INTEROP_DIRECTORY, 0), depth - 1))
    return found


def exif_of_tiff(data: bytes, page: Directory) -> bytes | None:
    """An EXIF block of its own from a TIFF's main directory; None where that tells nothing about the photo."""
    entries = descriptive_entries(data, page)
    if not entries:
        return None
    entries[ORIENTATION] = shorts(page.order, 1)
    return pack_header(page.order, 8) + pack_directory(page.order, entries, 8)


def upright_exif(exif: bytes, *, turned: bool) -> bytes | None:
    """The EXIF block for pixels that were already turned upright; None where the block is beyond reading.

    Patched in place, byte for byte elsewhere, because makers' notes point to absolute offsets. The orientation
    becomes 1; where the photo was `turned` by a quarter, its width and height change places. The embedded
    thumbnail is blanked: it would go on showing, to whoever looks, what the user had removed.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    try:
        page = directory(exif)
    except (ValueError, struct.error):
        return None
    out = bytearray(exif)
    turn = page.entries.get(ORIENTATION)
    if turn is not None and turn.kind in INTEGERS:
        one = struct.pack(page.order + INTEGERS[turn.kind], 1)
        out[turn.place : turn.place + len(one)] = one
    try:
        if turned and EXIF_DIRECTORY in page.entries:
            inner = directory(exif, page.number(EXIF_DIRECTORY, 0)).entries
            width, height = inner.get(EXIF_WIDTH), inner.get(EXIF_HEIGHT)
            if width and height and width.kind == height.kind:
                assert isinstance(width.value, bytes) and isinstance(height.value, bytes)
                out[width.place : width.place + len(height.value)] = height.value
                out[height.place : height.place + len(width.value)] = width.value
        if page.next:
            small = directory(exif, page.next)
            for where, size in ((THUMBNAIL_OFFSET, THUMBNAIL_SIZE), (STRIP_OFFSETS, STRIP_SIZES)):
                for start, length in zip(small.numbers(where), small.numbers(size), strict=False):
                    end = min(start + length, len(out))
                    out[start:end] = bytes(max(0, end - start))
    except (ValueError, struct.error):
        pass  # a damaged inner directory: the orientation and the cut below are what matters
    if page.next:
        out[page.next_place : page.next_place + 4] = b"\0\0\0\0"
    return bytes(out)


# ------------------------------------------------------------------------------------------ XMP, IPTC, WebP


def upright_xmp(xmp: bytes) -> bytes:
    """The XMP packet for pixels that were already turned upright, without the thumbnails of the old photo."""
    xmp = re.sub(rb'(tiff:Orientation\s*(?:=\s*["\']|>)\s*)[2-8]', rb"\g<1>1", xmp)
    for tag in (b"xmp", b"xap"):
        xmp = re.sub(rb"<%s:Thumbnails\b.*?</%s:Thumbnails>" % (tag, tag), b"", xmp, flags=re.DOTALL)
    return xmp


def iptc_only(photoshop: bytes) -> bytes:
    """From a JPEG's Photoshop segment only the IPTC captions: the other resources hold a thumbnail of the old photo."""
    signature = b"Photoshop 3.0\0"
    if not photoshop.startswith(signature):
        return b""
    place, kept = len(signature), b""
    while photoshop[place : place + 4] == b"8BIM" and place + 12 <= len(photoshop):
        named = place + 6 + (photoshop[place + 6] + 2) // 2 * 2
        size = int.from_bytes(photoshop[named : named + 4], "big")
        end = named + 4 + (size + 1) // 2 * 2
        if photoshop[place + 4 : place + 6] == b"\x04\x04":
            kept += photoshop[place:end]
        place = end
    return signature + kept if kept else b""


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """(name, where the content lies)."""
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        yield name, place + 8
        place += 8 + size + size % 2


def webp_is_lossless(data: bytes) -> bool:
    """Whether a WebP's pixels were stored without loss: a VP8L chunk and no VP8 one."""
    names = {name for name, _ in _webp_chunks(data)}
    return b"VP8L" in names and b"VP8 " not in names


def webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) by the first chunk that says so."""
    for name, at in _webp_chunks(data):
        if name == b"VP8X":
            return 1 + int.from_bytes(data[at + 4 : at + 7], "little"), 1 + int.from_bytes(
                data[at + 7 : at + 10], "little"
            )
        if name == b"VP8L":
            bits = int.from_bytes(data[at + 1 : at + 5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if name == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, at + 6)
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError("it holds no picture")
