"""EXIF and IPTC agree with upright, changed pixels; damage raises only what `reading` expects."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manyfill.photos import tags
from manyfill.photos.directories import (
    Entry,
    Order,
    directories,
    directory,
    longs,
    pack_directory,
    pack_header,
)
from manyfill.photos.metadata import descriptive_entries, exif_of_tiff, iptc_only, upright_exif
from manyfill.photos.png import png_chunks
from manyfill.photos.webp import webp_size


def picture(format: str, size: tuple[int, int] = (7, 5), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA" if options.pop("clear", False) else "RGB", size, 77).save(file, format, **options)
    return file.getvalue()


def plain(entries: object) -> object:
    """A directory without the places of its values."""
    assert isinstance(entries, dict)
    return {
        tag: (kind, n, plain(value) if isinstance(value, dict) else bytes(value))
        for tag, (kind, n, value, _) in entries.items()
    }


@pytest.mark.parametrize("order", ["<", ">"])
def test_descriptive_tags_move_to_another_file_with_all_their_directories(order: Order) -> None:
    inner = {
        37500: Entry(7, 9, b"makernote"),
        tags.INTEROP_DIRECTORY: Entry(4, 1, {1: Entry(2, 4, b"R98\0")}),
    }
    entries = {
        271: Entry(2, 8, b"Manycam\0"),
        tags.STRIP_OFFSETS: longs(order, 99),
        tags.EXIF_DIRECTORY: Entry(4, 1, inner),
        tags.GPS_DIRECTORY: Entry(4, 1, {1: Entry(2, 2, b"N\0")}),
    }
    data = pack_header(order, 20) + bytes(12) + pack_directory(order, entries, 20)
    exif = exif_of_tiff(data, directory(data))
    assert exif is not None
    found = descriptive_entries(exif, directory(exif))
    wanted = {tag: entry for tag, entry in entries.items() if tag != tags.STRIP_OFFSETS}
    assert plain(found) == plain(wanted)
    assert directory(exif).number(tags.ORIENTATION, 0) == 1


def test_a_tiff_that_tells_nothing_gives_no_exif() -> None:
    data = picture("TIFF")
    assert exif_of_tiff(data, directory(data)) is None


def test_an_upright_exif_has_its_old_length_and_only_the_orientation_changed() -> None:
    block_tags = Image.Exif()
    block_tags[tags.ORIENTATION] = 8
    block_tags[271] = "Manycam"
    block = block_tags.tobytes()
    upright = upright_exif(block, turned=True)
    assert upright is not None and len(upright) == len(block) - len(b"Exif\0\0")
    read = Image.Exif()
    read.load(upright)
    assert dict(read) == {tags.ORIENTATION: 1, 271: "Manycam"}
    assert upright_exif(b"no exif at all", turned=False) is None


def test_of_photoshops_resources_only_iptc_is_kept() -> None:
    def resource(number: int, name: bytes, content: bytes) -> bytes:
        name = bytes([len(name)]) + name
        padded = name + b"\0" * (len(name) % 2)
        return (
            b"8BIM"
            + struct.pack(">H", number)
            + padded
            + struct.pack(">I", len(content))
            + content
            + b"\0" * (len(content) % 2)
        )

    head, caption = b"Photoshop 3.0\0", resource(1028, b"odd", b"CAPTION")
    assert iptc_only(head + resource(1036, b"", b"old") + caption + resource(1005, b"x", b"res")) == head + caption
    assert iptc_only(head + resource(1036, b"", b"old")) == b""
    assert iptc_only(b"something else") == b""
    assert iptc_only(head + caption[:9]) == b""


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"RIFF1234WEBP", b"II+\0\x08\0\0\0"]),
)
def test_nonsense_raises_only_what_is_expected(data: bytes, head: bytes) -> None:
    data = head + data
    for read in (
        lambda: list(directories(data)),
        lambda: exif_of_tiff(data, directory(data)),
        lambda: upright_exif(data, turned=True),
        lambda: iptc_only(b"Photoshop 3.0\x008BIM" + data),
        lambda: webp_size(data),
        lambda: list(png_chunks(data)),
    ):
        try:
            read()
        except (ValueError, struct.error, zlib.error):
            continue
