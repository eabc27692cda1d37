"""A PNG's chunks are those that others wrote; damage is found by their checksums."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from manyfill.photos.png import png_chunks, png_file


def picture(format: str, size: tuple[int, int] = (7, 5), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA" if options.pop("clear", False) else "RGB", size, 77).save(file, format, **options)
    return file.getvalue()


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
