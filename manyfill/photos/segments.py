"""A JPEG's segments: what a decoder needs, what is said about the photo, what follows it. Bytes in, bytes out.

Whatever is damaged raises ValueError or struct.error. A file of many segments or scans costs its length and no more:
scans that go over the picture hundreds of times, which no encoder writes, are refused before anything is decoded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

LONGEST_EXIF, LONGEST_XMP = 65_527, 65_504  # bytes of a segment, less what names its kind
MAX_SEGMENTS = 16_384  # a 64 MB profile or packet comes in a thousand
MAX_SCANS = 100  # progressive encoders write some ten; each is a walk over the whole picture
APP0, APP1, APP2, APP13, APP14, COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
SIZES_OF_JPEG = (0xC0, 0xC1, 0xC2)  # frames: baseline, extended, progressive
CODING = (0xC4, 0xDB, 0xDA)  # Huffman and quantisation tables, scan: what entropy-coded bits are read with
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # of a segment: no stuffed or fill byte, no restart

EXIF, XMP, EXTENDED_XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
ICC, PHOTOSHOP, JFIF, ADOBE = b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"JFIF\0", b"Adobe"
MULTIPLE, GAIN_MAP, CREDENTIALS = b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0", b"JP"


@dataclass
class Jpeg:
    """A JPEG file taken apart."""

    picture: bytes = b""  # the file without what is only told about the photo: what a decoder needs
    told: list[tuple[int, bytes]] = field(default_factory=list)  # (marker, content) of APPn and comments
    frame: tuple[int, bytes] = (0, b"")  # (marker, content) that says size and components
    scans: list[bytes] = field(default_factory=list)  # the header of each
    ended: bool = False  # whether it has its end mark
    behind: memoryview = field(default_factory=lambda: memoryview(b""))  # what follows the end mark

    def size(self) -> tuple[int, int]:
        """(width, height); zeros where no frame says so."""
        content = self.frame[1]
        return (0, 0) if len(content) < 5 else struct.unpack(">HH", content[1:5])[::-1]

    def contents(self, marker: int, signature: bytes) -> Iterator[bytes]:
        """What follows the signature in every segment of that marker that begins with it."""
        for found, content in self.told:
            if found == marker and content.startswith(signature):
                yield content[len(signature) :]


def taken_apart(data: bytes) -> Jpeg:
    """The file's segments up to the end mark, the picture without those that are only told, and what lies behind."""
    view, found = memoryview(data), Jpeg()
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    place, number = 2, 0
    while mark := _MARKER.search(data, place):  # between segments there may be anything: decoders skip it
        place, marker = mark.start(), data[mark.start() + 1]
        if marker == END_OF_IMAGE:
            found.ended, found.behind = True, view[place + 2 :]
            break
        if place + 4 > len(data):
            break
        size = int.from_bytes(data[place + 2 : place + 4], "big")
        end = place + 2 + size
        content = view[place + 4 : end]
        number += 1
        if number > MAX_SEGMENTS:
            raise ValueError("it has thousands of segments")
        if size < 2 or end > len(data):
            if not found.scans:
                raise ValueError("the file is cut off")
            break
        if marker == START_OF_SCAN:
            found.scans.append(bytes(content))
            if len(found.scans) > MAX_SCANS:
                raise ValueError(f"it has more than {MAX_SCANS} scans")
            after = _MARKER.search(data, end)
            end = len(data) if after is None else after.start()
        elif marker in FRAMES:
            found.frame = (marker, bytes(content))
        elif (APP0 <= marker <= 0xEF and not _decoders(marker, content)) or marker == COMMENT:
            found.told.append((marker, bytes(content)))
            place = end
            continue
        kept.append(view[place:end])
        place = end
    kept.append(b"\xff\xd9")
    found.picture = b"".join(kept)
    return found


def _decoders(marker: int, content: memoryview) -> bool:
    """Whether a decoder looks at this segment: Adobe's says how the colours are coded."""
    return marker == APP14 and content[:5] == ADOBE


def all_begun(jpeg: Jpeg) -> bool:
    """Of a progressive JPEG, whether every coefficient's last bit has a scan: a file cut off there lacks only noise."""
    components = jpeg.frame[1][6::3]
    left = {(component, index) for component in components for index in range(64)}
    for scan in jpeg.scans:
        many = scan[0] if scan else 0
        start, end, bits = (*scan[1 + 2 * many :], 0, 0, 0)[:3]
        if bits & 15 == 0:
            left -= {(scan[1 + 2 * i], index) for i in range(many) for index in range(start, min(end, 63) + 1)}
    return not left


def jpeg_parts(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """(marker, content) of each segment up to the scan's, and the entropy-coded rest of a JPEG of one scan."""
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        raise ValueError("it is not a whole JPEG")
    segments, place, marker = [], 2, 0
    while marker != START_OF_SCAN:
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
        if marker == START_OF_SCAN:
            parts.append(b"\xff\xdd" + struct.pack(">HH", 4, restart))
        parts.append(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content)
    return b"".join(parts)
