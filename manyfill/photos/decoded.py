"""What a decoder found, and how it is turned upright to a Photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from manyfill.errors import BadImage, TooLarge
from manyfill.photos.metadata import orientation, thumbnail_directory, upright_exif
from manyfill.photos.motion import KEPT, WHAT, Video
from manyfill.photos.photo import MODES, JpegCoding, Photo, Pixels
from manyfill.photos.xmp import upright_xmp, without_stale

ONE_BIT = "Its 1 bit a pixel was read as 8 bits, and is written so."
PREMULTIPLIED = "Premultiplied alpha was made straight; dark, nearly transparent colours are rounded."


@dataclass(kw_only=True)
class Decoded:
    """What a decoder found, before orientation; `array` is (H,W), (H,W,2), (H,W,3) or (H,W,4)."""

    array: Pixels
    format: str
    orientation: int | None = None  # 1 to 8; None: as EXIF, or XMP, says
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    cicp: tuple[int, int] | None = None
    dpi: tuple[float, float] | None = None
    lossy: bool = False
    jpeg: JpegCoding | None = None
    png_extras: tuple[tuple[bytes, bytes], ...] = ()
    tiff_extras: bytes | None = None
    beside: list[str] = field(default_factory=list)  # what else lay in the file and is not kept: video, depth map
    video: Video | None = None
    missing: str | None = None  # of a file that was cut off, the small part that it lacks, in words
    notes: list[str] = field(default_factory=list)


def upright_photo(decoded: Decoded, path: Path | None = None, *, keep_video: bool = False) -> Photo:
    """Applies the orientation once, to pixels and to whatever names a width or an orientation.

    `keep_video`: a motion photo's, which goes on showing what the photo no longer does; else it is dropped and noted.
    """
    raw = decoded.exif.removeprefix(b"Exif\0\0") if decoded.exif else None
    turn = decoded.orientation or orientation(raw, decoded.xmp)
    turned = turn >= 5
    pixels, alpha, mode = _split(_turn(decoded.array, turn))
    jpeg = decoded.jpeg
    if turned and jpeg is not None:  # the blocks are turned, and so are the frequencies in them
        tables = tuple(tuple(np.reshape(table, (8, 8)).T.ravel().tolist()) for table in jpeg.tables)
        jpeg = replace(jpeg, tables=tables, subsampling=0 if jpeg.subsampling == 1 else jpeg.subsampling)
    exif = upright_exif(raw, turned=turned) if raw else None
    if decoded.exif and exif is None:
        decoded.notes.append("Its EXIF block is damaged and was not kept.")
    xmp, marked = without_stale(upright_xmp(decoded.xmp)) if decoded.xmp else (None, ())
    video = decoded.video if keep_video else None
    beside = dict.fromkeys((*decoded.beside, *([WHAT] if decoded.video else ()), *marked))
    if video is not None:
        beside.pop(WHAT, None)
        decoded.notes.append(KEPT)
    if decoded.missing is not None:
        decoded.notes.append(decoded.missing)
    if beside:
        decoded.notes.append(f"Not kept, because it belongs to the photo as it was: its {', '.join(beside)}.")
    return Photo(
        pixels=pixels,
        alpha=alpha,
        format=decoded.format,
        mode=mode,
        icc=decoded.icc or None,
        cicp=decoded.cicp,
        exif=exif,
        thumbnail=thumbnail_directory(raw),
        xmp=xmp or None,
        dpi=decoded.dpi[::-1] if turned and decoded.dpi else decoded.dpi,
        path=path,
        lossy=decoded.lossy,
        jpeg=jpeg,
        png_extras=decoded.png_extras,
        tiff_extras=decoded.tiff_extras,
        video=video,
        missing=decoded.missing,
        notes=tuple(decoded.notes),
    )


def _turn(array: Pixels, orientation: int) -> Pixels:
    """Pixels as stored to pixels as meant, EXIF 2.3's eight orientations."""
    turns: dict[int, Callable[[Any], Any]] = {
        2: lambda a: cv2.flip(a, 1),
        3: lambda a: cv2.rotate(a, cv2.ROTATE_180),
        4: lambda a: cv2.flip(a, 0),
        5: cv2.transpose,
        6: lambda a: cv2.rotate(a, cv2.ROTATE_90_CLOCKWISE),
        7: lambda a: cv2.rotate(cv2.transpose(a), cv2.ROTATE_180),
        8: lambda a: cv2.rotate(a, cv2.ROTATE_90_COUNTERCLOCKWISE),
    }
    if orientation not in turns:
        return array
    turned: Pixels = turns[orientation](np.ascontiguousarray(array))
    return turned.reshape(turned.shape[:2] + array.shape[2:])


def grey_rows(array: Pixels) -> int:
    """How many rows at the bottom are, for the most part, what decoders put where a file has nothing left: 128.

    For the most part: the first of them may have blocks that are there, and one that is half there.
    """
    rows = array.reshape(len(array), -1)
    lost = 0
    while lost < len(rows) and 2 * np.count_nonzero(rows[-1 - lost] == 128) >= rows.shape[1]:
        lost += 1
    return lost


def _split(array: Pixels) -> tuple[Pixels, Pixels | None, str]:
    """(H,W[,C]) to colour (H,W,3), alpha and mode."""
    channels = 1 if array.ndim == 2 else array.shape[2]
    mode = MODES[channels - 1]
    alpha = np.ascontiguousarray(array[..., -1]) if channels in (2, 4) else None
    if channels == 3:
        return np.ascontiguousarray(array), None, mode
    if channels == 4:
        return np.ascontiguousarray(array[..., :3]), alpha, mode
    grey = np.ascontiguousarray(array if array.ndim == 2 else array[..., 0])
    return np.broadcast_to(grey[..., None], (*grey.shape, 3)), alpha, mode  # one channel in memory, seen three times


def check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    """Raises before anything of that size is decoded."""
    if width < 1 or height < 1:
        raise BadImage(f"{name} has no pixels ({width}x{height}, width x height).")
    if width * height > max_pixels:
        raise TooLarge(
            f"{name} is {width}x{height}, {width * height / 1e6:,.1f} million pixels; the limit is "
            f"{max_pixels / 1e6:,.1f} million. Make it smaller, or raise max_pixels if you trust it."
        )


def refuse_several(name: str, number: int, what: str = "frames: it is animated") -> None:
    """Raises BadImage where a file holds more than one picture."""
    if number > 1:
        raise BadImage(f"{name} has {number} {what}. Save the one you mean as a PNG and give that.")
