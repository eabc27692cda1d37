"""WebP, lossless or lossy as the source was."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

from PIL import WebPImagePlugin

from manyfill.photos.colour import icc_for_rgb
from manyfill.photos.decoded import Decoded, check_size, refuse_several
from manyfill.photos.photo import QUALITY, Lay, Photo, is_lossless
from manyfill.photos.pillow import decoded_of_pil, save_with_pillow
from manyfill.photos.thumbnail import exif_with_thumbnail

MAX_CHUNKS = 1000
LOSSLESS = {"method": 4, "quality": 0}  # quality is effort here: a third of the time of its default 80, and no larger
KNOWN = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"EXIF", b"XMP ", b"ANIM", b"ANMF")


def read_webp(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A WebP's bytes, decoded whole."""
    check_size(name, *webp_size(data), max_pixels)  # Pillow makes room for all of it on opening
    image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    refuse_several(name, image.n_frames)
    decoded = decoded_of_pil(image, name, "webp", lossy=not webp_is_lossless(data))
    private = dict.fromkeys(found.decode("latin-1").strip() for found, _ in _webp_chunks(data) if found not in KNOWN)
    if private:
        decoded.beside.append(f"private chunks ({', '.join(private)})")
    return decoded


def write_webp(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    """A WebP's bytes, lossless unless the source was lossy or a quality is named."""
    lossless = is_lossless(photo, format="webp", quality=quality)
    options: dict[str, Any] = dict(LOSSLESS) if lossless else {"quality": quality or QUALITY["webp"]}
    if photo.alpha is not None:
        options["exact"] = True  # the colour under full transparency is kept
    options |= {
        "lossless": lossless,
        "icc_profile": icc_for_rgb(photo),
        "exif": exif_with_thumbnail(photo, lay),
        "xmp": photo.xmp,
    }
    return save_with_pillow(photo, "WEBP", lay, **options)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """(name, where the content lies) of the first MAX_CHUNKS; a photo has some five."""
    place = 12
    for _ in range(MAX_CHUNKS):
        if place + 8 > len(data):
            return
        name, size = struct.unpack_from("<4sI", data, place)
        yield name, place + 8
        place += 8 + size + size % 2


def webp_metadata(data: bytes, name: bytes) -> bytes | None:
    """The content of the chunk of that name."""
    for found, at in _webp_chunks(data):
        if found == name:
            return data[at : at + int.from_bytes(data[at - 4 : at], "little")]
    return None


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
