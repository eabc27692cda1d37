"""EXIF and IPTC made to agree with upright pixels that a fill has changed. Bytes in, bytes out."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from manyfill.photos import tags
from manyfill.photos.directories import (
    INTEGERS,
    Directory,
    Entry,
    Order,
    Placed,
    directory,
    pack_directory,
    pack_header,
    shorts,
)

PHOTOSHOP = b"Photoshop 3.0\0"
ENTRY = 12  # bytes of a tag in a directory
MAX_PLACE = 1 << 15  # of a maker's note whose place is kept: in front of it there is nothing
MAX_DPI = 1e6  # no more is believed


def exif_order(exif: bytes | None) -> Order:
    """The byte order of an EXIF block; little-endian where there is none."""
    return ">" if exif is not None and exif[:2] == b"MM" else "<"


def descriptive_entries(data: bytes, page: Directory) -> dict[int, Entry]:
    """What a main directory tells about the photo, with its EXIF and GPS directories, free of any offset."""
    found = {tag: _copied(page.entries[tag]) for tag in tags.DESCRIPTIVE if tag in page.entries}
    for tag in (tags.EXIF_DIRECTORY, tags.GPS_DIRECTORY):
        if tag in page.entries:
            try:
                found[tag] = Entry(4, 1, _nested(data, page.number(tag, 0), 1))
            except (ValueError, struct.error):
                continue
    return found


def _copied(entry: Entry) -> Entry:
    """The entry with its own bytes, so that it does not hold on to the file's."""
    return entry._replace(value=bytes(entry.value)) if isinstance(entry.value, memoryview) else entry


def _nested(data: bytes, at: int, depth: int) -> dict[int, Entry]:
    """A directory inside a directory. Not a function inside a function: that would hold on to the file's bytes."""
    inner = directory(data, at)
    found = {tag: _copied(entry) for tag, entry in inner.entries.items() if tag not in tags.DIRECTORIES}
    if depth and tags.INTEROP_DIRECTORY in inner.entries:
        found[tags.INTEROP_DIRECTORY] = Entry(4, 1, _nested(data, inner.number(tags.INTEROP_DIRECTORY, 0), depth - 1))
    return found


def exif_of_tiff(data: bytes, page: Directory) -> bytes | None:
    """An EXIF block of its own from a TIFF's main directory; None where that tells nothing about the photo."""
    entries = descriptive_entries(data, page)
    if not entries:
        return None
    entries[tags.ORIENTATION] = shorts(page.order, 1)
    before = keep_place(entries)
    at = 8 + len(before)
    return pack_header(page.order, at) + before + pack_directory(page.order, entries, at)


def keep_place(entries: dict[int, Entry]) -> bytes:
    """What goes right behind a file's header so that the maker's note lies again where it lay: it points into itself.

    Its entry is changed to say that it is there. Empty where there is none, or it lay far away.
    """
    inner = entries.get(tags.EXIF_DIRECTORY)
    if inner is None or not isinstance(inner.value, dict):
        return b""
    note = inner.value.get(tags.MAKER_NOTE)
    if note is None or not isinstance(note.value, bytes) or not 8 <= note.place <= MAX_PLACE or len(note.value) <= 4:
        return b""
    inner.value[tags.MAKER_NOTE] = note._replace(value=Placed(note.place))
    end = note.place + len(note.value)
    return bytes(note.place - 8) + note.value + bytes(end % 2)


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
    turn = page.entries.get(tags.ORIENTATION)
    if turn is not None and turn.kind in INTEGERS:
        one = struct.pack(page.order + INTEGERS[turn.kind], 1)
        out[turn.place : turn.place + len(one)] = one
    try:
        if turned and tags.EXIF_DIRECTORY in page.entries:
            inner = directory(exif, page.number(tags.EXIF_DIRECTORY, 0)).entries
            width, height = inner.get(tags.EXIF_WIDTH), inner.get(tags.EXIF_HEIGHT)
            if width and height and width.kind == height.kind:
                assert isinstance(width.value, memoryview) and isinstance(height.value, memoryview)
                out[width.place : width.place + len(height.value)] = height.value
                out[height.place : height.place + len(width.value)] = width.value
        for start, end in _thumbnail(exif, page):
            out[start:end] = bytes(end - start)
    except (ValueError, struct.error):
        pass  # a damaged inner directory: the orientation and the cut below are what matters
    if page.next:
        out[page.next_place : page.next_place + 4] = b"\0\0\0\0"
    return bytes(out)


def moved_exif(exif: bytes, *, height: int, width: int, right: int, down: int) -> bytes:
    """The EXIF block for a photo that lies so far from the upper left corner of a canvas of that size.

    Patched in place, as `upright_exif` does; numbers that their type cannot hold stay as they were.
    """
    out = bytearray(exif)
    try:
        page = directory(exif)
        if tags.EXIF_DIRECTORY not in page.entries:
            return exif
        inner = directory(exif, page.number(tags.EXIF_DIRECTORY, 0))
        for tag, change in (
            (tags.EXIF_WIDTH, lambda _: (width,)),
            (tags.EXIF_HEIGHT, lambda _: (height,)),
            (tags.SUBJECT_AREA, lambda old: (old[0] + right, old[1] + down)),
            (tags.SUBJECT_LOCATION, lambda old: (old[0] + right, old[1] + down)),
        ):
            entry, old = inner.entries.get(tag), inner.numbers(tag)
            if entry is not None and old and (tag in (tags.EXIF_WIDTH, tags.EXIF_HEIGHT) or len(old) >= 2):
                new = (*change(old), *old[len(change(old)) :])
                struct.pack_into(f"{page.order}{len(new)}{INTEGERS[entry.kind]}", out, entry.place, *new)
    except (ValueError, struct.error):
        pass  # a damaged inner directory, or a number that does not fit
    return bytes(out)


def without_orientation(exif: bytes) -> bytes:
    """The EXIF block without that tag, and no value moved: for an encoder that would else pack all of it again."""
    try:
        page = directory(exif)
    except (ValueError, struct.error):
        return exif
    first = struct.unpack_from(page.order + "I", exif, 4)[0] + 2
    place = first
    while place < page.next_place and struct.unpack_from(page.order + "H", exif, place)[0] != tags.ORIENTATION:
        place += ENTRY
    if place >= page.next_place:
        return exif
    out = bytearray(exif)
    struct.pack_into(page.order + "H", out, first - 2, (page.next_place - first) // ENTRY - 1)
    end = min(page.next_place + 4, len(out))
    out[place:end] = out[place + ENTRY : end] + bytes(ENTRY)
    return bytes(out)


def further_tags(page: Directory, *, upright: bool) -> tuple[bytes | None, list[str]]:
    """A TIFF's other tags in a block like EXIF's (GeoTIFF, private ones), and in words what of it is not kept.

    Not kept are pictures beside the picture, and directories of unknown meaning, whose offsets would be wrong; where
    the picture was not stored `upright`, nor is what says which pixel lies where on Earth.
    """
    kept: dict[int, Entry] = {}
    gone: list[str] = []
    for tag, entry in page.entries.items():
        if tag == tags.PHOTOSHOP and (captions := iptc_only(PHOTOSHOP + (page.raw(tag) or b""))):
            kept[tag] = Entry(7, len(captions) - len(PHOTOSHOP), captions[len(PHOTOSHOP) :])
        elif tag == tags.PHOTOSHOP_LAYERS:
            gone.append("Photoshop layers")
        elif tag == tags.SUB_DIRECTORIES:
            gone.append("further pictures (previews)")
        elif tag in tags.NOT_KEPT:
            continue
        elif entry.kind in (13, 16, 17, 18):  # offsets, or numbers of a BigTIFF that a classic one cannot hold
            gone.append(f"private tag {tag}")
        elif tag in tags.GEOGRAPHIC and not upright:
            gone.append(f"geographic tag {tag}")
        else:
            kept[tag] = _copied(entry)
    return (pack_header(page.order, 8) + pack_directory(page.order, kept, 8)) if kept else None, gone


def thumbnail_directory(exif: bytes | None) -> int | None:
    """Where in an EXIF block the directory of its JPEG thumbnail lies; None where it has none."""
    try:
        at = directory(exif).next if exif else 0
        return at if at and exif and tags.THUMBNAIL_SIZE in directory(exif, at).entries else None
    except (ValueError, struct.error):
        return None


def _thumbnail(exif: bytes, page: Directory) -> Iterator[tuple[int, int]]:
    """(start, end) of the bytes of an EXIF block's thumbnail, each byte once however the pieces overlap."""
    if not page.next:
        return
    small = directory(exif, page.next)
    pieces: list[tuple[int, int]] = []
    for where, size in ((tags.THUMBNAIL_OFFSET, tags.THUMBNAIL_SIZE), (tags.STRIP_OFFSETS, tags.STRIP_SIZES)):
        pieces += zip(small.numbers(where), small.numbers(size), strict=False)
    done = 0
    for start, length in sorted(pieces):
        end = min(start + length, len(exif))
        if end > max(start, done):
            yield max(start, done), end
            done = end


def orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """1 to 8 as EXIF has it, or XMP where EXIF is silent; 1 for anything else."""
    try:
        found = 0 if exif is None else directory(exif).number(tags.ORIENTATION, 0)
    except (ValueError, struct.error):  # damaged EXIF: browsers show such a photo as it is stored
        return 1
    if not found and xmp is not None and (said := re.search(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])", xmp)):
        found = int(said[1])
    return found if 1 <= found <= 8 else 1


def resolution(exif: bytes) -> tuple[float, float] | None:
    """(horizontal, vertical) dots per inch as EXIF has it; None where it says nothing."""
    try:
        return resolution_of(directory(exif))
    except (ValueError, struct.error):
        return None


def resolution_of(page: Directory) -> tuple[float, float] | None:
    """(horizontal, vertical) dots per inch of a TIFF's main directory; None where it says nothing."""
    across, down = page.ratio(tags.X_RESOLUTION), page.ratio(tags.Y_RESOLUTION)
    unit = {2: 1.0, 3: 2.54}.get(page.number(tags.RESOLUTION_UNIT, 2), 0.0)
    fine = across and down and 0 < across * unit < MAX_DPI and 0 < down * unit < MAX_DPI
    return (across * unit, down * unit) if across and down and fine else None


def iptc_only(photoshop: bytes) -> bytes:
    """From a JPEG's Photoshop segment only the IPTC captions: the other resources hold a thumbnail of the old photo."""
    if not photoshop.startswith(PHOTOSHOP):
        return b""
    place = len(PHOTOSHOP)
    kept: list[bytes] = []
    while photoshop[place : place + 4] == b"8BIM" and place + 12 <= len(photoshop):
        named = place + 6 + (photoshop[place + 6] + 2) // 2 * 2
        size = int.from_bytes(photoshop[named : named + 4], "big")
        end = named + 4 + (size + 1) // 2 * 2
        if photoshop[place + 4 : place + 6] == b"\x04\x04":
            kept.append(photoshop[place:end])
        place = end
    return b"".join((PHOTOSHOP, *kept)) if kept else b""
