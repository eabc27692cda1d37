"""JPEG: read whole with Pillow, written strip by strip with the tables that the source had. Metadata: segments.py."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from PIL import JpegImagePlugin

from manyfill.photos.colour import profile
from manyfill.photos.decoded import Decoded, check_size, grey_rows
from manyfill.photos.laying import laid_rows
from manyfill.photos.longxmp import joined, parted, parts_of
from manyfill.photos.metadata import iptc_only, resolution
from manyfill.photos.motion import marked, video_behind
from manyfill.photos.photo import QUALITY, JpegCoding, Lay, Photo, Pixels
from manyfill.photos.pillow import decoded_of_pil, finite_dpi, save_with_pillow, saved_by_pillow
from manyfill.photos.segments import (
    ADOBE,
    APP0,
    APP1,
    APP2,
    APP13,
    COMMENT,
    EXIF,
    EXTENDED_XMP,
    GAIN_MAP,
    ICC,
    JFIF,
    LONGEST_EXIF,
    LONGEST_XMP,
    MULTIPLE,
    XMP,
    Jpeg,
    all_begun,
    jpeg_coding,
    jpeg_head,
    jpeg_parts,
    taken_apart,
)
from manyfill.photos.strips import STRIP_BYTES
from manyfill.photos.thumbnail import exif_with_thumbnail

PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
MAX_MISSING = 1 / 8  # of the rows of a file that was cut off; one that lacks more is refused
KNOWN = (EXIF, XMP, EXTENDED_XMP, ICC, MULTIPLE, GAIN_MAP, ADOBE, b"Ducky")
JPEG_CODING = ("quality", "qtables", "subsampling")  # of the encoder's options: those that say how pixels are coded


def read_jpeg(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A JPEG's bytes, decoded whole; Pillow sees the picture alone and never what is told about it."""
    found = taken_apart(data)
    if not found.scans or not found.frame[1]:
        raise ValueError("the file is cut off")
    check_size(name, *found.size(), max_pixels)
    # JpegImageFile, not Image.open: phones append gain maps and depth, which Pillow would take for frames (MPO)
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(found.picture))
    exif, further = _exif(found)
    profile, whole = _profile(found)
    image.info["icc_profile"] = profile
    decoded = decoded_of_pil(image, name, "jpeg", lossy=True, jpeg=coding_of_pil(image, found.told))
    decoded.exif = exif
    decoded.xmp, all_xmp = joined(next(found.contents(APP1, XMP), None), found.contents(APP1, EXTENDED_XMP))
    decoded.dpi = _density(next(found.contents(APP0, JFIF), b"")) or (resolution(exif) if exif else None)
    if not whole:
        decoded.notes.append("Its colour profile is damaged and was not kept.")
    if further:
        decoded.notes.append("Its further EXIF blocks were not kept, only the first.")
    decoded.video = video_behind(found.behind, decoded.xmp)
    decoded.beside = [*_beside(found, video=decoded.video is not None), *([] if all_xmp else ["extended XMP"])]
    if not found.ended:
        decoded.missing = _missing(found, decoded.array)
    return decoded


def _profile(found: Jpeg) -> tuple[bytes | None, bool]:
    """The colour profile of all its parts, each with its number and their count; and whether none lacks.

    A part that comes twice counts once: some programs write the profile before and after the frame.
    """
    parts: dict[int, bytes] = {}
    for part in found.contents(APP2, ICC):
        parts.setdefault(part[0] if part else 0, part)
    if not parts:
        return None, True
    count = max((part[1] for part in parts.values() if len(part) > 1), default=0) or 1
    if sorted(parts) != list(range(1, count + 1)) and len(parts) != count:
        return None, False
    return b"".join(parts[number][2:] for number in sorted(parts)) or None, True


def _exif(found: Jpeg) -> tuple[bytes | None, bool]:
    """The EXIF block, of several segments where it is long; and whether there is a block after it, which none reads."""
    blocks: list[list[bytes]] = []
    for part in found.contents(APP1, EXIF):
        if blocks and part[:4] not in (b"II*\0", b"MM\0*"):
            blocks[-1].append(part)
        else:
            blocks.append([part])
    return (b"".join(blocks[0]) or None, len(blocks) > 1) if blocks else (None, False)


def _density(jfif: bytes) -> tuple[float, float] | None:
    """(horizontal, vertical) dots per inch of a JFIF segment."""
    unit, across, down = struct.unpack(">BHH", jfif[2:7]) if len(jfif) >= 7 else (0, 0, 0)
    scale = {1: 1.0, 2: 2.54}.get(unit, 0.0)
    return finite_dpi((across * scale, down * scale))


def _beside(found: Jpeg, *, video: bool) -> Iterator[str]:
    """What the file holds beside its picture and its metadata, which shows the photo as it was, in words."""
    behind = bytes(found.behind)
    if b"ftyp" in behind and not video:
        yield "motion-photo video"
    if any(found.contents(APP2, GAIN_MAP)):
        yield "HDR gain map"
    if b"\xff\xd8\xff" in behind:
        yield "further pictures (gain map, depth or preview)"
    elif behind.strip(b"\0") and b"ftyp" not in behind:
        yield f"{len(behind):,} bytes behind the picture"
    private = {
        marker - APP0
        for marker, content in found.told
        if marker != COMMENT and not content.startswith(KNOWN) and marker not in (APP0, APP13)
    }
    if private:
        yield f"private segments ({', '.join(f'APP{number}' for number in sorted(private))})"


def _missing(found: Jpeg, array: Pixels) -> str:
    """What a JPEG without its end mark lacks, in words; ValueError where that is more than a small part."""
    height = len(array)
    if found.frame[0] in PROGRESSIVE or len(found.scans) > 1:
        if not all_begun(found):
            raise ValueError("the file is cut off")
        return "The file ends too early: fine detail may be missing at its bottom."
    lost = grey_rows(array)
    if lost > height * MAX_MISSING:
        raise ValueError("the file is cut off")
    return "The file ends too early" + (
        f": its last {lost} rows are missing, and grey." if lost else " by a few bytes."
    )


def coding_of_pil(
    image: JpegImagePlugin.JpegImageFile, told: Iterable[tuple[int, bytes]] | None = None
) -> JpegCoding | None:
    """The coding that `quality=None` repeats; None for CMYK and the like, which are written in other colours.

    `told`: the file's APPn and comment segments, by default those that Pillow found.
    """
    if image.layers not in (1, 3) or (image.layers == 3 and image.info.get("adobe_transform") == 0):
        return None
    tables = tuple(tuple(image.quantization.get(layer[3], ())) for layer in image.layer)  # one for each component
    if not tables or any(len(table) != 64 for table in tables):
        return None
    tables = tables[:2] if tables[1:2] == tables[2:] else tables  # the encoder gives the last to all that follow
    if told is None:
        markers = {"APP13": APP13, "COM": COMMENT}
        told = [(markers[name], content) for name, content in image.applist if name in markers]
    segments = []
    for marker, content in told:
        content = iptc_only(content) if marker == APP13 else content
        if marker in (APP13, COMMENT) and content:
            segments.append(_segment(marker, content))
    sampling = JpegImagePlugin.get_sampling(image)
    return JpegCoding(
        tables=tables,
        subsampling=sampling if sampling >= 0 else 0,
        progressive=bool(image.info.get("progressive") or image.info.get("progression")),
        segments=b"".join(segments),
    )


def write_jpeg(
    photo: Photo, quality: int | None, lay: Lay | None, *, strip_bytes: int = STRIP_BYTES
) -> Iterator[bytes | memoryview]:
    """A JPEG's bytes, with the source's own tables unless a quality is named."""
    coding = photo.jpeg
    options: dict[str, Any] = {"quality": quality or QUALITY["jpeg"]}
    if coding is not None and quality is None:
        options = {"qtables": [list(table) for table in coding.tables], "subsampling": coding.subsampling}
    elif coding is not None:
        options["subsampling"] = coding.subsampling
    else:
        options["subsampling"] = 0 if options["quality"] >= 90 else 2
    exif, xmp, long = exif_with_thumbnail(photo, lay), photo.xmp, b""
    if exif is not None and len(exif) <= LONGEST_EXIF:
        options["exif"] = b"Exif\0\0" + exif
    elif exif is not None:  # in several segments, as ExifTool writes it and Pillow, too, reads it
        long += b"".join(
            _segment(APP1, EXIF + exif[at : at + LONGEST_EXIF]) for at in range(0, len(exif), LONGEST_EXIF)
        )
    if photo.video is not None:
        xmp = marked(xmp, photo.video)
    if xmp is not None and len(xmp) <= LONGEST_XMP:
        options["xmp"] = xmp
    elif xmp is not None and (two := parted(xmp)) is not None:
        long += _segment(APP1, XMP + two[0])  # its extension has to follow at once
        long += b"".join(_segment(APP1, EXTENDED_XMP + part) for part in parts_of(two[1]))
    if coding is not None:
        options |= {"progressive": coding.progressive, "extra": coding.segments}
    options["extra"] = long + options.get("extra", b"")
    about = {"icc_profile": profile(photo), "dpi": photo.dpi, **options}
    if options.get("progressive"):  # its scans go over the whole picture
        yield from save_with_pillow(photo, "JPEG", lay, **about)
    else:
        yield from _jpeg_in_strips(photo, lay, about, strip_bytes)
    if photo.video is not None:
        yield photo.video.data


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _jpeg_in_strips(photo: Photo, lay: Lay | None, options: dict[str, Any], strip_bytes: int) -> Iterator[bytes]:
    """A baseline JPEG, encoded strip by strip and joined by restart markers: the same pixels as encoded at once.

    At a restart a decoder starts again, as it does at the start of a strip that was encoded alone; blocks know nothing
    of those above them. The strips share their tables, which is checked.
    """
    wide, tall = {"L": (8, 8)}.get(photo.mode, {0: (8, 8), 1: (16, 8), 2: (16, 16)}[options["subsampling"]])
    across = -(-photo.width // wide)  # blocks
    rows = 16 * max(1, min(65_535 // (2 * across), 4 * strip_bytes // (16 * photo.width * len(photo.mode))))
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
