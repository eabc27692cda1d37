"""Chunks and directories: what is packed is read back, and damage raises only what `photos` expects."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from manyfill.photos import tags
from manyfill.photos.directories import (
    Entry,
    Order,
    directories,
    directory,
    fraction,
    longs,
    pack_directory,
    pack_header,
    shorts,
)
from manyfill.photos.metadata import descriptive_entries, exif_of_tiff, iptc_only, upright_exif
from manyfill.photos.png import png_chunks, png_file
from manyfill.photos.webp import webp_is_lossless, webp_size
from manyfill.photos.xmp import upright_xmp

ORDERS = st.sampled_from(["<", ">"])


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


@given(
    order=ORDERS,
    entries=st.dictionaries(st.integers(1, 60_000), st.binary(min_size=1, max_size=20), min_size=1, max_size=8),
    before=st.integers(0, 20).map(lambda half: 2 * half),
)
def test_a_packed_directory_is_read_back(order: Order, entries: dict[int, bytes], before: int) -> None:
    made = {tag: Entry(7, len(value), value) for tag, value in entries.items()}
    data = pack_header(order, 8 + before) + bytes(before)
    data += pack_directory(order, made, 8 + before)
    page = directory(data)
    assert (page.order, page.next) == (order, 0)
    assert plain(page.entries) == plain(made)
    for entry in page.entries.values():
        assert data[entry.place : entry.place + entry.length] == entry.value


@given(order=ORDERS, numbers=st.lists(st.integers(0, 65_535), min_size=1, max_size=9))
def test_pillow_reads_our_directories(order: Order, numbers: list[int]) -> None:
    made = {
        tags.IMAGE_WIDTH: longs(order, *(number * 3 for number in numbers)),
        tags.BITS_PER_SAMPLE: shorts(order, *numbers),
        tags.X_RESOLUTION: fraction(order, 72.5),
    }
    data = pack_header(order, 8) + pack_directory(order, made, 8)
    theirs = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    file = io.BytesIO(data)
    file.seek(8)
    theirs.load(file)
    ours = directory(data)
    assert theirs[tags.BITS_PER_SAMPLE] in (tuple(numbers), numbers[0])
    assert ours.numbers(tags.BITS_PER_SAMPLE) == tuple(numbers)
    assert ours.numbers(tags.IMAGE_WIDTH) == tuple(number * 3 for number in numbers)
    assert ours.ratio(tags.X_RESOLUTION) == float(theirs[tags.X_RESOLUTION]) == 72.5


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


def test_the_pages_of_a_tiff_are_walked_once() -> None:
    small = Image.new("L", (3, 2))
    data = picture("TIFF", save_all=True, append_images=[small, small])
    pages = list(directories(data))
    assert [page.number(tags.IMAGE_WIDTH, 0) for page in pages] == [7, 3, 3]
    first = struct.unpack_from("<I", data, 4)[0]
    looped = data[: pages[2].next_place] + struct.pack("<I", first) + data[pages[2].next_place + 4 :]
    assert len(list(directories(looped))) == 3


def test_bigtiff_is_read_like_tiff() -> None:
    data = picture("TIFF", big_tiff=True)
    page = directory(data)
    assert data[2] == 43
    assert (page.number(tags.IMAGE_WIDTH, 0), page.number(tags.IMAGE_LENGTH, 0)) == (7, 5)
    assert page.numbers(tags.BITS_PER_SAMPLE) == (8, 8, 8)


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


def test_chunks_of_a_png_are_those_that_pillow_wrote() -> None:
    data = picture("PNG", dpi=(72, 72))
    chunks = list(png_chunks(data))
    assert [name for name, _ in chunks] == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    assert png_file(chunks) == data
    assert list(png_chunks(data + b"appended")) == chunks


@pytest.mark.parametrize("cut", [1, 4, 11, 12, 30])
def test_a_cut_png_raises(cut: int) -> None:
    with pytest.raises(ValueError, match="cut off"):
        list(png_chunks(picture("PNG")[:-cut]))


def test_a_changed_png_raises() -> None:
    data = bytearray(picture("PNG"))
    data[20] ^= 1
    with pytest.raises(ValueError, match="IHDR"):
        list(png_chunks(bytes(data)))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (300, 2), (2, 300)])
def test_the_size_of_a_webp_stands_in_each_of_its_three_headers(size: tuple[int, int]) -> None:
    for lossless, more in ((True, {}), (False, {}), (True, {"clear": True}), (False, {"xmp": b"<x/>"})):
        data = picture("WEBP", size, lossless=lossless, **more)
        assert webp_size(data) == size
        assert webp_is_lossless(data) == lossless


@pytest.mark.parametrize(
    "form", [b'tiff:Orientation="%d"', b"tiff:Orientation='%d'", b"<tiff:Orientation>%d</tiff:Orientation>"]
)
def test_an_orientation_in_xmp_becomes_1(form: bytes) -> None:
    for number in range(1, 9):
        assert upright_xmp(b"<x " + form % number + b"/>") == b"<x " + form % 1 + b"/>"


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
