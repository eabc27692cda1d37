"""What is packed into a directory is read back, here and by Pillow."""

from __future__ import annotations

import io
import struct

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
