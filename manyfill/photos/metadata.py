"""EXIF, XMP and IPTC made to agree with upright pixels that a fill has changed. Bytes in, bytes out."""

from __future__ import annotations

import re
import struct

from manyfill.photos import tags
from manyfill.photos.directories import (
    INTEGERS,
    Directory,
    Entry,
    Order,
    directory,
    pack_directory,
    pack_header,
    shorts,
)


def exif_order(exif: bytes | None) -> Order:
    """The byte order of an EXIF block; little-endian where there is none."""
    return ">" if exif is not None and exif[:2] == b"MM" else "<"


def descriptive_entries(data: bytes, page: Directory) -> dict[int, Entry]:
    """What a main directory tells about the photo, with its EXIF and GPS directories, free of any offset."""
    found = {tag: page.entries[tag] for tag in tags.DESCRIPTIVE if tag in page.entries}
    for tag in (tags.EXIF_DIRECTORY, tags.GPS_DIRECTORY):
        if tag in page.entries:
            try:
                found[tag] = Entry(4, 1, _nested(data, page.number(tag, 0), 1))
            except (ValueError, struct.error):
                continue
    return found


def _nested(data: bytes, at: int, depth: int) -> dict[int, Entry]:
    """A directory inside a directory. Not a function inside a function: that would hold on to the file's bytes."""
    inner = directory(data, at)
    found = {tag: entry for tag, entry in inner.entries.items() if tag not in tags.DIRECTORIES}
    if depth and tags.INTEROP_DIRECTORY in inner.entries:
        found[tags.INTEROP_DIRECTORY] = Entry(4, 1, _nested(data, inner.number(tags.INTEROP_DIRECTORY, 0), depth - 1))
    return found


def exif_of_tiff(data: bytes, page: Directory) -> bytes | None:
    """An EXIF block of its own from a TIFF's main directory; None where that tells nothing about the photo."""
    entries = descriptive_entries(data, page)
    if not entries:
        return None
    entries[tags.ORIENTATION] = shorts(page.order, 1)
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
    turn = page.entries.get(tags.ORIENTATION)
    if turn is not None and turn.kind in INTEGERS:
        one = struct.pack(page.order + INTEGERS[turn.kind], 1)
        out[turn.place : turn.place + len(one)] = one
    try:
        if turned and tags.EXIF_DIRECTORY in page.entries:
            inner = directory(exif, page.number(tags.EXIF_DIRECTORY, 0)).entries
            width, height = inner.get(tags.EXIF_WIDTH), inner.get(tags.EXIF_HEIGHT)
            if width and height and width.kind == height.kind:
                assert isinstance(width.value, bytes) and isinstance(height.value, bytes)
                out[width.place : width.place + len(height.value)] = height.value
                out[height.place : height.place + len(width.value)] = width.value
        if page.next:
            small = directory(exif, page.next)
            for where, size in ((tags.THUMBNAIL_OFFSET, tags.THUMBNAIL_SIZE), (tags.STRIP_OFFSETS, tags.STRIP_SIZES)):
                for start, length in zip(small.numbers(where), small.numbers(size), strict=False):
                    end = min(start + length, len(out))
                    out[start:end] = bytes(max(0, end - start))
    except (ValueError, struct.error):
        pass  # a damaged inner directory: the orientation and the cut below are what matters
    if page.next:
        out[page.next_place : page.next_place + 4] = b"\0\0\0\0"
    return bytes(out)


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
