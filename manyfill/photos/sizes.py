"""The size of a photo as its file states it, before anything is decoded and within the same bounds as reading."""

from __future__ import annotations

import struct

from manyfill.photos import tags
from manyfill.photos.directories import directory
from manyfill.photos.metadata import orientation
from manyfill.photos.png import png_chunks
from manyfill.photos.segments import APP1, EXIF, XMP, taken_apart
from manyfill.photos.webp import webp_metadata, webp_size


def upright_size(data: bytes, format: str) -> tuple[int, int] | None:
    """(height, width) of a file's photo as it is shown, upright; None where only reading it tells."""
    try:
        width, height, turn = _SIZES[format](data) if format in _SIZES else (0, 0, 1)
    except (ValueError, struct.error, IndexError):
        return None
    if not width or not height:
        return None
    return (width, height) if turn >= 5 else (height, width)


def _jpeg(data: bytes) -> tuple[int, int, int]:
    found = taken_apart(data)
    exif = b"".join(found.contents(APP1, EXIF)) or None
    return (*found.size(), orientation(exif, next(found.contents(APP1, XMP), None)))


def _png(data: bytes) -> tuple[int, int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    exif = next((bytes(content) for name, content in png_chunks(memoryview(data)) if name == b"eXIf"), None)
    return width, height, orientation(exif, None)


def _webp(data: bytes) -> tuple[int, int, int]:
    exif = webp_metadata(data, b"EXIF")
    return (*webp_size(data), orientation(exif and exif.removeprefix(EXIF), webp_metadata(data, b"XMP ")))


def _tiff(data: bytes) -> tuple[int, int, int]:
    page = directory(data)
    return page.number(tags.IMAGE_WIDTH, 0), page.number(tags.IMAGE_LENGTH, 0), page.number(tags.ORIENTATION, 1)


_SIZES = {"jpeg": _jpeg, "png": _png, "webp": _webp, "tiff": _tiff}
