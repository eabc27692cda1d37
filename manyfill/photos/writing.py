"""Photo to a file's bytes, or to a file."""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from manyfill.errors import BadImage, TooLarge
from manyfill.files import write_atomic
from manyfill.photos.bmp import write_bmp
from manyfill.photos.heif import writer
from manyfill.photos.jpeg import write_jpeg
from manyfill.photos.laying import Writer
from manyfill.photos.photo import SUFFIXES, Lay, Photo, format_named
from manyfill.photos.png import write_png
from manyfill.photos.tiff import write_tiff
from manyfill.photos.webp import write_webp

LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "avif": 65_536, "heic": 16_384}
_WRITERS: Mapping[str, Writer] = {
    "jpeg": write_jpeg,
    "png": write_png,
    "webp": write_webp,
    "tiff": write_tiff,
    "bmp": write_bmp,
    "heic": writer("heic"),
    "avif": writer("avif"),
}


def in_strips(photo: Photo, format: str = "same") -> bool:
    """Whether `encode_parts` writes strip by strip; else one call of an encoder takes the whole picture, and long."""
    name = format_named(photo, format)
    return name in ("png", "tiff") or (name == "jpeg" and not (photo.jpeg is not None and photo.jpeg.progressive))


def encode(photo: Photo, *, format: str = "same", quality: int | None = None) -> bytes:
    """The photo as a file's bytes, with all metadata that the format can hold.

    `format`: one of FORMATS, or "same". `quality`: 1 to 100, for JPEG, WebP, HEIC and AVIF. None repeats a JPEG's
    own tables, and keeps WebP lossless unless the source was lossy; else JPEG 95, the others 90.
    Raises BadImage where the format cannot hold the photo's depth, transparency or size.
    """
    return b"".join(encode_parts(photo, format=format, quality=quality))


def encode_parts(
    photo: Photo, *, format: str = "same", quality: int | None = None, lay: Lay | None = None
) -> Generator[bytes | memoryview, None, None]:
    """The bytes of `encode`, part by part; `lay` puts a fill over the photo's rows as they are written.

    A part may be empty: work has gone on, but nothing can be written yet.
    """
    name = format_named(photo, format)
    if quality is not None and not 1 <= quality <= 100:
        raise BadImage(f"quality {quality} is not between 1 and 100.")
    if photo.depth == 16 and name not in ("png", "tiff"):
        raise BadImage(f"the photo has 16 bits per channel and {name.upper()} holds 8. Choose png or tiff.")
    if photo.alpha is not None and name in ("jpeg", "bmp"):
        if photo.alpha.min() < np.iinfo(photo.alpha.dtype).max:
            raise BadImage(f"the photo has transparency and {name.upper()} holds none. Choose png, webp or tiff.")
        photo = replace(photo, alpha=None, mode=photo.mode[:-1])  # opaque everywhere: nothing is lost
    side = max(photo.width, photo.height)
    if side > LONGEST_SIDE.get(name, side):
        raise BadImage(
            f"{name.upper()} allows at most {LONGEST_SIDE[name]} pixels a side, not {side}. Choose png or tiff."
        )
    return _encoded(name, photo, quality, lay)


def _encoded(
    name: str, photo: Photo, quality: int | None, lay: Lay | None
) -> Generator[bytes | memoryview, None, None]:
    """A writer's parts; every encoder's complaint becomes one line."""
    try:
        yield from _WRITERS[name](photo, quality, lay)
    except MemoryError:
        raise TooLarge(f"the photo does not fit into memory as {name.upper()}. Make it smaller.") from None
    except (OSError, ValueError, RuntimeError, struct.error, cv2.error) as error:  # RuntimeError: of AVIF and HEIC
        raise BadImage(f"the photo cannot be written as {name.upper()} ({error}). Choose png or tiff.") from error


def write(
    photo: Photo,
    path: str | os.PathLike[str],
    *,
    format: str = "same",
    quality: int | None = None,
    lay: Lay | None = None,
) -> Path:
    """Writes the photo, all or nothing, and returns the path; `lay` as in `encode_parts`.

    `format` "same" takes what the path's suffix says, or the photo's own where the path has none; a format that
    contradicts the suffix is BadImage, because the file would lie about itself.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        if format != "same" and format_named(photo, format) != SUFFIXES[suffix]:
            raise BadImage(
                f"{path.name} would hold {format}, but its suffix says {SUFFIXES[suffix]}. Change one of them."
            )
        format = SUFFIXES[suffix]
    elif suffix and format == "same":
        raise BadImage(f"no photo can be written as {suffix} ({path.name}). Choose one of {', '.join(SUFFIXES)}.")
    write_atomic(path, encode_parts(photo, format=format, quality=quality, lay=lay))
    return path
