"""Larger canvases: known pixels exact at their new place, metadata moved along or gone with a note."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manyfill import photos
from manyfill.errors import TooLarge
from manyfill.photos.directories import Entry, directory, pack_directory, pack_header

BY = {"top": 3, "right": 5, "bottom": 7, "left": 11}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_known_pixels_are_exact_at_their_new_place(kind: Any, channels: int) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, np.iinfo(kind).max, (20, 30, channels), dtype=kind)
    photo = photos.read(array[..., 0] if channels == 1 else array)
    larger = photos.extended(photo, **BY)
    assert (larger.height, larger.width, larger.mode, larger.depth) == (30, 46, photo.mode, photo.depth)
    assert np.array_equal(larger.pixels[3:23, 11:41], photo.pixels)
    if photo.alpha is not None and larger.alpha is not None:
        assert np.array_equal(larger.alpha[3:23, 11:41], photo.alpha)
        border = np.ones(larger.alpha.shape, bool)
        border[3:23, 11:41] = False
        assert (larger.alpha[border] == np.iinfo(kind).max).all()
    again = photos.read(photos.encode(larger, format="tiff"))
    assert np.array_equal(again.pixels, larger.pixels)


def exif() -> bytes:
    """Width and height, an area and a place of the subject, and a camera's name."""

    def shorts(*values: int) -> Entry:
        return Entry(3, len(values), struct.pack(f"<{len(values)}H", *values))

    inner = {
        40962: shorts(30),
        40963: Entry(4, 1, struct.pack("<I", 20)),
        37396: shorts(10, 6, 4, 3),
        41492: shorts(9, 5),
    }
    entries = {271: Entry(2, 5, b"Make\0"), 34665: Entry(4, 1, inner)}
    return pack_header("<", 8) + pack_directory("<", entries, 8)


def test_exif_and_icc_are_kept_and_what_names_a_place_moves(tmp_path: Path) -> None:
    icc = photos.read(Image.new("RGB", (2, 2))).icc or b"\0" * 36 + b"acsp" + b"\0" * 88
    Image.new("RGB", (30, 20), (9, 8, 7)).save(
        tmp_path / "a.jpg", exif=b"Exif\0\0" + exif(), icc_profile=icc, dpi=(300, 300)
    )
    larger = photos.extended(photos.read(tmp_path / "a.jpg"), **BY)
    again = photos.read(photos.encode(larger))
    assert again.icc == icc and again.dpi == (300, 300) and again.exif is not None
    page = directory(again.exif)
    inner = directory(again.exif, page.number(34665, 0))
    assert bytes(page.entries[271].value) == b"Make\0"  # type: ignore[arg-type]
    assert (inner.number(40962, 0), inner.number(40963, 0)) == (46, 30)
    assert inner.numbers(37396) == (21, 9, 4, 3) and inner.numbers(41492) == (20, 8)
    assert not larger.notes


def test_what_would_be_wrong_is_gone_with_a_note() -> None:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:ImageWidth="30" tiff:ImageLength="20"'
        b' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:r="http://www.metadataworkinggroup.com/schemas/regions/">'
        b"<exif:PixelXDimension>30</exif:PixelXDimension>"
        b'<r:Regions rdf:parseType="Resource"><r:x>1</r:x></r:Regions></rdf:Description></rdf:RDF></x:xmpmeta>'
    )
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "JPEG", xmp=xmp)
    larger = photos.extended(photos.read(buffer.getvalue()), **BY)
    assert larger.xmp is not None and b'tiff:ImageWidth="46" tiff:ImageLength="30"' in larger.xmp
    assert b"<exif:PixelXDimension>46<" in larger.xmp and b"r:Regions" not in larger.xmp
    assert larger.notes == ("Not kept, because it would be wrong on a larger canvas: its face regions.",)
    geo = pack_header("<", 8) + pack_directory("<", {33550: Entry(12, 3, b"\0" * 24), 65000: Entry(3, 1, b"\1\0")}, 8)
    photo = photos.Photo(np.zeros((20, 30, 3), np.uint8), format="tiff", tiff_extras=geo)
    larger = photos.extended(photo, **BY)
    assert larger.tiff_extras is not None and set(directory(larger.tiff_extras).entries) == {65000}
    assert "place on Earth" in larger.notes[0]


@pytest.mark.parametrize("damage", [10, 20, 40, 60])
def test_damaged_exif_does_not_stop_it(damage: int) -> None:
    broken = bytearray(exif())
    broken[damage] = 0xFF
    photo = photos.Photo(np.zeros((20, 30, 3), np.uint8), exif=bytes(broken))
    assert photos.extended(photo, **BY).exif is not None


def test_a_canvas_that_no_photo_may_have_is_refused_before_it_is_laid_out() -> None:
    with pytest.raises(TooLarge, match="the canvas would be 1000010x1020"):
        photos.extended(photos.read(np.zeros((20, 10, 3), np.uint8)), top=0, right=10**6, bottom=1000, left=0)
