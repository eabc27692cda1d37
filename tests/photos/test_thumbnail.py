"""The thumbnail inside EXIF shows the picture that is written, never the one that was read."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from manyfill import photos
from manyfill.photos.directories import Entry, directory, longs, pack_directory, pack_header, shorts

RED, GREEN = (200, 30, 30), (30, 180, 40)


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (160, 120), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG", **options)
    return file.getvalue()


def exif_block(order: str, room: int, orientation: int = 1) -> bytes:
    """A camera's block: maker, orientation and, at its end, a thumbnail in a place of that many bytes."""
    first = {271: Entry(2, 4, b"Cam\0"), 274: shorts(order, orientation)}  # type: ignore[arg-type]
    head = pack_header(order, 8) + pack_directory(order, first, 8)  # type: ignore[arg-type]
    at = len(head)
    small = {
        259: shorts(order, 6),  # type: ignore[arg-type]
        274: shorts(order, orientation),  # type: ignore[arg-type]
        513: longs(order, at + 2 + 4 * 12 + 4),  # type: ignore[arg-type]
        514: longs(order, room),  # type: ignore[arg-type]
    }
    block = head + pack_directory(order, small, at) + jpeg(RED).ljust(room, b"\0")  # type: ignore[arg-type]
    pointer = 8 + 2 + 12 * len(first)
    return block[:pointer] + struct.pack(order + "I", at) + block[pointer + 4 :]


def thumbnail(exif: bytes | None) -> NDArray[np.uint8] | None:
    """What another program shows."""
    assert exif is not None
    page = directory(exif)
    if not page.next:
        return None
    small = directory(exif, page.next)
    place, size = small.number(513, 0), small.number(514, 0)
    shown = cv2.imdecode(np.frombuffer(exif[place : place + size], np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(shown)[..., ::-1]


def raw_exif(data: bytes) -> bytes:
    """A written file's block, before reading blanks it again."""
    with Image.open(io.BytesIO(data)) as image:
        return bytes(image.info["exif"]).removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("depth", [8, 16])
def test_the_thumbnail_shows_the_fill(format: str, order: str, depth: int) -> None:
    block = exif_block(order, 9000)
    source = photos.read(jpeg(RED, (320, 240), exif=b"Exif\0\0" + block))
    assert source.exif is not None and len(source.exif) == len(block) and thumbnail(source.exif) is None
    if depth == 16:
        if format != "png":
            return
        source = replace(source, pixels=source.pixels.astype(np.uint16) * 257, format="png", jpeg=None)

    def lay(rows: NDArray[np.unsignedinteger], top: int) -> None:
        half = max(0, 120 - top)
        rows[half:] = np.array(GREEN, rows.dtype) * (257 if rows.dtype == np.uint16 else 1)

    written = b"".join(photos.encode_parts(source, format=format, lay=lay))
    shown = thumbnail(raw_exif(written))
    assert shown is not None and shown.shape == (120, 160, 3)
    assert np.abs(shown[:50].astype(int) - RED).max() < 12 and np.abs(shown[70:].astype(int) - GREEN).max() < 12
    again = photos.read(written)
    assert again.exif == source.exif and again.thumbnail == source.thumbnail, "each round changes the block"


def test_a_turned_photos_thumbnail_is_upright() -> None:
    photo = photos.read(jpeg(RED, (320, 240), exif=b"Exif\0\0" + exif_block("<", 9000, orientation=6)))
    exif = raw_exif(photos.encode(photo))
    shown = thumbnail(exif)
    assert shown is not None and shown.shape == (160, 120, 3)
    assert directory(exif, directory(exif).next).number(274, 0) == 1


def test_where_no_thumbnail_fits_none_is_written() -> None:
    photo = photos.read(jpeg(RED, (320, 240), exif=b"Exif\0\0" + exif_block("<", 700)))
    noise = np.random.default_rng(0).integers(0, 256, photo.pixels.shape).astype(np.uint8)
    assert thumbnail(raw_exif(photos.encode(replace(photo, pixels=noise)))) is None


def test_a_block_of_the_users_own_is_never_written_into() -> None:
    photo = photos.read(jpeg(RED, (320, 240), exif=b"Exif\0\0" + exif_block("<", 9000)))
    mine = exif_block("<", 9000)  # with a thumbnail that they put there
    assert raw_exif(photos.encode(replace(photo, exif=mine))) == mine
    short = pack_header("<", 8) + pack_directory("<", {271: Entry(2, 4, b"Cam\0")}, 8)
    assert raw_exif(photos.encode(replace(photo, exif=short))) == short
