"""A photo on a larger canvas: its pixels bit by bit at their new place, and metadata that name places moved along."""

from __future__ import annotations

import struct
from dataclasses import replace

import cv2
import numpy as np

from manyfill.errors import TooLarge
from manyfill.photos import tags
from manyfill.photos.directories import directory, pack_directory, pack_header
from manyfill.photos.metadata import moved_exif
from manyfill.photos.photo import MAX_PIXELS, Photo, Pixels
from manyfill.photos.xmp import moved_xmp


def extended(photo: Photo, *, top: int, right: int, bottom: int, left: int) -> Photo:
    """The photo with so many more pixels on each side, opaque, which repeat its edge until they are filled.

    EXIF's and XMP's width, height and subject fit the new canvas. What would be wrong on it (face regions, where on
    Earth which pixel lies) is not kept, and noted. Raises TooLarge for a canvas that no photo may have.
    """
    height, width = photo.height + top + bottom, photo.width + left + right
    if height * width > MAX_PIXELS:
        raise TooLarge(
            f"the canvas would be {width}x{height}, {height * width / 1e6:,.0f} million pixels; the limit is"
            f" {MAX_PIXELS / 1e6:,.0f} million. Extend it less."
        )

    def larger(plane: Pixels, *, opaque: bool = False) -> Pixels:
        source = np.ascontiguousarray(plane)
        if opaque:
            full = float(np.iinfo(plane.dtype).max)
            made = cv2.copyMakeBorder(source, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(full,))
        else:
            made = cv2.copyMakeBorder(source, top, bottom, left, right, cv2.BORDER_REPLICATE)
        return np.asarray(made)

    if photo.pixels.strides[2] == 0:  # grey: one channel in memory, seen three times
        grey = larger(photo.pixels[..., 0])
        pixels: Pixels = np.broadcast_to(grey[..., None], (*grey.shape, 3))
    else:
        pixels = larger(photo.pixels)
    xmp, gone = (None, ()) if photo.xmp is None else moved_xmp(photo.xmp, height=height, width=width)
    extras, places = _without_places(photo.tiff_extras)
    lost = [*gone, *places]
    note = (f"Not kept, because it would be wrong on a larger canvas: its {', '.join(lost)}.",) if lost else ()
    return replace(
        photo,
        pixels=pixels,
        alpha=None if photo.alpha is None else larger(photo.alpha, opaque=True),
        exif=None if photo.exif is None else moved_exif(photo.exif, height=height, width=width, right=left, down=top),
        xmp=xmp,
        tiff_extras=extras,
        notes=(*photo.notes, *note),
    )


def _without_places(extras: bytes | None) -> tuple[bytes | None, list[str]]:
    """A TIFF's further tags without those that say which pixel lies where on Earth; what those are, in words."""
    if extras is None:
        return None, []
    try:
        page = directory(extras)
    except (ValueError, struct.error):
        return extras, []
    kept = {tag: entry for tag, entry in page.entries.items() if tag not in tags.GEOGRAPHIC}
    if len(kept) == len(page.entries):
        return extras, []
    block = pack_header(page.order, 8) + pack_directory(page.order, kept, 8) if kept else None
    return block, ["place on Earth (GeoTIFF)"]
