"""BMP, and GIFs of one frame, which become PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import BmpImagePlugin, GifImagePlugin

from manyfill.errors import BadImage
from manyfill.photos.decoded import Decoded, check_size
from manyfill.photos.photo import Lay, Photo
from manyfill.photos.pillow import decoded_of_pil, save_with_pillow

RUN_LENGTHS = (1, 2)  # BMP's compressions RLE8 and RLE4, which Pillow decodes in Python
MAX_RUNS = 4 << 20  # bytes of such a file: some seconds
MAX_BLOCKS = 1 << 20  # of a GIF: 255 MB of full ones


def read_bmp(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A BMP's bytes, decoded whole."""
    image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    check_size(name, image.width, image.height, max_pixels)
    if image.info.get("compression") in RUN_LENGTHS and len(data) > MAX_RUNS:
        raise BadImage(f"{name} is a run-length coded BMP of {len(data) >> 20} MiB. Save it as PNG.")
    return decoded_of_pil(image, name, "bmp")


def read_gif(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A GIF's bytes, decoded whole; BadImage where it is animated."""
    first, several = _first_frame(data)
    image = GifImagePlugin.GifImageFile(io.BytesIO(first))
    check_size(name, image.width, image.height, max_pixels)
    if several:
        raise BadImage(f"{name} has several frames: it is animated. Save the one you mean as a PNG and give that.")
    decoded = decoded_of_pil(image, name, "png")
    decoded.notes.append("A GIF's 256 colours cannot hold a fill: it is written as PNG.")
    return decoded


def _first_frame(data: bytes) -> tuple[bytes, bool]:
    """A GIF without comments and further extensions, up to its first frame, and whether another follows.

    Pillow's time for comments grows with the square of their length, and its count of frames decodes none but walks
    all of them in Python.
    """
    place = 13 + _palette(data[10])
    kept = [data[:place]]
    blocks = frames = 0
    while place < len(data) and data[place] != 0x3B and frames < 2:
        begin, kind = place, data[place]
        label = data[place + 1] if kind == 0x21 else 0
        if kind == 0x21:
            place += 2
        elif kind == 0x2C:
            frames += 1
            place += 10
            place += 1 + _palette(data[place - 1])
        else:
            raise ValueError("its blocks are damaged")
        while place < len(data) and data[place]:
            place += 1 + data[place]
            blocks += 1
            if blocks > MAX_BLOCKS:
                raise ValueError("it has too many blocks")
        place += 1
        if frames < 2 and (kind == 0x2C or label == 0xF9):
            kept.append(data[begin:place])
    return b"".join((*kept, b";")), frames > 1


def _palette(flags: int) -> int:
    """Bytes of the table of colours that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def write_bmp(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    """A BMP's bytes; it holds pixels and resolution only."""
    return save_with_pillow(photo, "BMP", lay, dpi=photo.dpi)
