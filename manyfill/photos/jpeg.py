"""JPEG: read whole with Pillow, written strip by strip with the tables that the source had."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from PIL import JpegImagePlugin

from manyfill.photos import strips
from manyfill.photos.decoded import Decoded, check_size
from manyfill.photos.laying import laid_rows
from manyfill.photos.metadata import iptc_only
from manyfill.photos.photo import QUALITY, JpegCoding, Lay, Photo
from manyfill.photos.pillow import decoded_of_pil, save_with_pillow, saved_by_pillow

SIZES_OF_JPEG = (0xC0, 0xC1, 0xC2)  # frames: baseline, extended, progressive
CODING = (0xC4, 0xDB, 0xDA)  # Huffman and quantisation tables, scan: what entropy-coded bits are read with
JPEG_CODING = ("quality", "qtables", "subsampling")  # of the encoder's options: those that say how pixels are coded


def read_jpeg(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A JPEG's bytes, decoded whole."""
    # JpegImageFile, not Image.open: phones append gain maps and depth, which Pillow would take for frames (MPO)
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    check_size(name, image.width, image.height, max_pixels)
    return decoded_of_pil(image, name, "jpeg", lossy=True, jpeg=coding_of_pil(image))


def coding_of_pil(image: JpegImagePlugin.JpegImageFile) -> JpegCoding | None:
    """The coding that `quality=None` repeats; None for CMYK and the like, which are written in other colours."""
    if image.layers not in (1, 3) or (image.layers == 3 and image.info.get("adobe_transform") == 0):
        return None
    tables = tuple(tuple(image.quantization[key]) for key in sorted(image.quantization))
    if not tables or any(len(table) != 64 for table in tables):
        return None
    sampling = JpegImagePlugin.get_sampling(image)
    segments = b""
    for marker, content in image.applist:
        if marker == "APP13":
            content = iptc_only(content)
        if marker in ("APP13", "COM") and content:
            segments += (
                (b"\xff\xed" if marker == "APP13" else b"\xff\xfe") + struct.pack(">H", len(content) + 2) + content
            )
    return JpegCoding(
        tables=tables,
        subsampling=sampling if sampling >= 0 else 0,
        progressive=bool(image.info.get("progressive") or image.info.get("progression")),
        segments=segments,
    )


def write_jpeg(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    """A JPEG's bytes, with the source's own tables unless a quality is named."""
    coding = photo.jpeg
    options: dict[str, Any] = {"quality": quality or QUALITY["jpeg"]}
    if coding is not None and quality is None:
        options = {"qtables": [list(table) for table in coding.tables], "subsampling": coding.subsampling}
    elif coding is not None:
        options["subsampling"] = coding.subsampling
    else:
        options["subsampling"] = 0 if options["quality"] >= 90 else 2
    if photo.exif is not None and len(photo.exif) <= 65_527:  # a segment's room, less its "Exif" prefix
        options["exif"] = b"Exif\0\0" + photo.exif
    if photo.xmp is not None and len(photo.xmp) <= 65_504:
        options["xmp"] = photo.xmp
    if coding is not None:
        options |= {"progressive": coding.progressive, "extra": coding.segments}
    about = {"icc_profile": photo.icc, "dpi": photo.dpi, **options}
    if options.get("progressive"):  # its scans go over the whole picture
        return save_with_pillow(photo, "JPEG", lay, **about)
    return _jpeg_in_strips(photo, lay, about)


def _jpeg_in_strips(photo: Photo, lay: Lay | None, options: dict[str, Any]) -> Iterator[bytes]:
    """A baseline JPEG, encoded strip by strip and joined by restart markers: the same pixels as encoded at once.

    At a restart a decoder begins anew, as it does at the start of a strip that was encoded alone; blocks know nothing
    of those above them. The strips share their tables, which is checked.
    """
    wide, tall = {"L": (8, 8)}.get(photo.mode, {0: (8, 8), 1: (16, 8), 2: (16, 16)}[options["subsampling"]])
    across = -(-photo.width // wide)  # blocks
    rows = 16 * max(1, min(65_535 // (2 * across), 4 * strips.STRIP_BYTES // (16 * photo.width * len(photo.mode))))
    if photo.height <= rows or across * 2 > 65_535:
        yield from map(bytes, save_with_pillow(photo, "JPEG", lay, **options))
        return
    coding: list[tuple[int, bytes]] | None = None
    for number, top in enumerate(range(0, photo.height, rows)):
        array = laid_rows(photo, lay, top, min(top + rows, photo.height))
        segments, bits = jpeg_parts(saved_by_pillow(array, "JPEG", **options))
        if coding is None:
            coding = jpeg_coding(segments)
            yield jpeg_head(segments, height=photo.height, restart=across * rows // tall)
            options = {key: options[key] for key in JPEG_CODING if key in options}  # without what the head has said
        else:
            if jpeg_coding(segments) != coding:
                raise ValueError("the encoder does not repeat its tables")
            yield bytes((0xFF, 0xD0 + (number - 1) % 8))
        yield bits
    yield b"\xff\xd9"


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
