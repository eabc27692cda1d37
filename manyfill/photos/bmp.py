"""BMP, and GIFs of one frame, which become PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import BmpImagePlugin, GifImagePlugin

from manyfill.photos.decoded import Decoded, check_size, refuse_several
from manyfill.photos.photo import Lay, Photo
from manyfill.photos.pillow import decoded_of_pil, save_with_pillow


def read_bmp(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A BMP's bytes, decoded whole."""
    image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    check_size(name, image.width, image.height, max_pixels)
    return decoded_of_pil(image, name, "bmp")


def read_gif(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A GIF's bytes, decoded whole; BadImage where it is animated."""
    image = GifImagePlugin.GifImageFile(io.BytesIO(data))
    check_size(name, image.width, image.height, max_pixels)
    refuse_several(name, image.n_frames)
    decoded = decoded_of_pil(image, name, "png")
    decoded.notes.append("A GIF's 256 colours cannot hold a fill: it is written as PNG.")
    return decoded


def write_bmp(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    """A BMP's bytes; it holds pixels and resolution only."""
    return save_with_pillow(photo, "BMP", lay, dpi=photo.dpi)
