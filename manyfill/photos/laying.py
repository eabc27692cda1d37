"""A photo's rows as they are written, strip by strip, with a fill laid over them: no copy of the photo is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from manyfill.photos.arrays import to_array
from manyfill.photos.photo import Lay, Photo, Pixels
from manyfill.photos.strips import STRIP_BYTES

Writer: TypeAlias = Callable[[Photo, "int | None", "Lay | None"], Iterator[bytes | memoryview]]


def laid_rows(photo: Photo, lay: Lay | None, top: int, bottom: int) -> Pixels:
    """Rows of the photo in its own mode and depth, with the fill laid over."""
    pixels = photo.pixels[top:bottom]
    if lay is not None:
        pixels = pixels.copy()
        lay(pixels, top)
    alpha = None if photo.alpha is None else photo.alpha[top:bottom]
    return to_array(replace(photo, pixels=pixels, alpha=alpha))


def rows_of_strip(photo: Photo, strip_bytes: int = STRIP_BYTES) -> int:
    """How many rows of the photo are written at a time."""
    return max(1, strip_bytes // (photo.width * len(photo.mode) * photo.pixels.itemsize))


def laid_strips(photo: Photo, lay: Lay | None, strip_bytes: int = STRIP_BYTES) -> Iterator[tuple[int, Pixels]]:
    """(first row, rows) of the photo in its own mode and depth, strip by strip."""
    step = rows_of_strip(photo, strip_bytes)
    for top in range(0, photo.height, step):
        yield top, laid_rows(photo, lay, top, min(top + step, photo.height))
