"""The thumbnail inside an EXIF block, remade of the picture that is written: the old one would show what is gone."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.photos import tags
from manyfill.photos.directories import INTEGERS, directory
from manyfill.photos.laying import laid_rows
from manyfill.photos.photo import Lay, Photo, Pixels
from manyfill.photos.pillow import saved_by_pillow

SIDE = 160  # pixels of the longer side, EXIF 2.3's
ROWS = 4  # of the photo that make a row of it
QUALITIES = (85, 70, 50, 30, 15)  # the first that fits into the old one's place


def exif_with_thumbnail(photo: Photo, lay: Lay | None) -> bytes | None:
    """The photo's EXIF block with a new thumbnail in the blanked one's place; without one where it does not fit."""
    if photo.exif is None or photo.thumbnail is None:
        return photo.exif
    try:
        page, small = directory(photo.exif), directory(photo.exif, photo.thumbnail)
        place, room = small.number(tags.THUMBNAIL_OFFSET, 0), small.number(tags.THUMBNAIL_SIZE, 0)
    except (ValueError, struct.error):
        return photo.exif
    if not 0 < place <= place + room <= len(photo.exif) or photo.exif.count(0, place, place + room) < room:
        return photo.exif  # another block than the one that was read: nothing in it is ours to change
    picture = _reduced(photo, lay)
    for quality in QUALITIES:
        jpeg = saved_by_pillow(picture, "JPEG", quality=quality)
        if len(jpeg) <= room:
            break
    else:
        return photo.exif
    out = bytearray(photo.exif)
    out[place : place + len(jpeg)] = jpeg  # zeros behind it, up to the old one's length
    out[page.next_place : page.next_place + 4] = struct.pack(page.order + "I", photo.thumbnail)
    turn = small.entries.get(tags.ORIENTATION)
    if turn is not None and turn.kind in INTEGERS:
        one = struct.pack(page.order + INTEGERS[turn.kind], 1)
        out[turn.place : turn.place + len(one)] = one
    return bytes(out)


def _reduced(photo: Photo, lay: Lay | None) -> NDArray[np.uint8]:
    """The picture at a thumbnail's size, 8 bits, without its alpha; of a few rows for each of its own."""
    scale = min(1.0, SIDE / max(photo.height, photo.width))
    height, width = max(1, round(photo.height * scale)), max(1, round(photo.width * scale))
    rows = []
    for row in range(height):
        top, bottom = row * photo.height // height, -(-(row + 1) * photo.height // height)
        some = laid_rows(photo, lay, top, min(bottom, top + ROWS))
        colour = some[..., :3] if photo.mode == "RGBA" else some[..., 0] if photo.mode == "LA" else some
        rows.append(cv2.resize(np.ascontiguousarray(colour), (width, 1), interpolation=cv2.INTER_AREA))
    found: Pixels = np.concatenate(rows)
    return (found >> 8).astype(np.uint8) if found.dtype == np.uint16 else found.astype(np.uint8)
