"""A TIFF's pixels from its strips and tiles, each decoded alone: 8 and 16 bits, planes together or apart.

imagecodecs undoes LZW, PackBits and differences; zlib Deflate. What is stored otherwise (JPEG, fax, palettes, fewer
bits) is left to libtiff, through Pillow.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from manyfill.photos import tags
from manyfill.photos.directories import Directory
from manyfill.photos.photo import Pixels

NONE, LZW, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 8, 32773, 32946
PACKED = (NONE, LZW, DEFLATE, PACKBITS, OLD_DEFLATE)
PACKBITS_RUN = 128  # bytes by which its last run may be too long
SLACK = 1 << 20
LARGEST_TILE = 1 << 24  # pixels, of a smaller picture


class _Piece(NamedTuple):
    """A strip or a tile: where it lies in the file, and in the picture."""

    start: int
    size: int
    top: int
    left: int
    plane: int


class Layout:
    """How a TIFF's pixels lie in the file."""

    def __init__(self, page: Directory) -> None:
        self.order = page.order
        self.width, self.height = page.number(tags.IMAGE_WIDTH, 0), page.number(tags.IMAGE_LENGTH, 0)
        self.samples, self.bits = page.number(tags.SAMPLES_PER_PIXEL, 1), page.number(tags.BITS_PER_SAMPLE, 1)
        self.compression, self.predictor = page.number(tags.COMPRESSION, NONE), page.number(tags.PREDICTOR, 1)
        self.photometric, self.fill_order = page.number(tags.PHOTOMETRIC, 1), page.number(tags.FILL_ORDER, 1)
        self.planes = self.samples if page.number(tags.PLANAR, 1) == 2 else 1
        tiled = tags.TILE_OFFSETS in page.entries
        self.wide = page.number(tags.TILE_WIDTH, 0) if tiled else self.width
        rows = page.number(tags.TILE_LENGTH if tiled else tags.ROWS_PER_STRIP, self.height)
        self.tall = rows if tiled else min(rows, self.height)
        self.tiled = tiled
        self.starts = page.numbers(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS)
        self.sizes = page.numbers(tags.TILE_SIZES if tiled else tags.STRIP_SIZES)

    @property
    def readable(self) -> bool:
        """Whether `pixels` can decode it."""
        plain = self.bits in (8, 16) and self.compression in PACKED and self.fill_order == 1
        return plain and self.predictor in (1, 2) and self.photometric in (0, 1, 2, 5)

    def check(self, file_size: int) -> None:
        """ValueError where pieces lie outside the file, or overlap so much that to read them costs more than it."""
        picture = self.width * self.height * self.samples * self.bits // 8
        if not self.starts or len(self.starts) != len(self.sizes):
            raise ValueError("its strips are not listed")
        if not 0 < self.wide * self.tall <= max(4 * self.width * self.height, LARGEST_TILE):
            raise ValueError("its tiles are of no possible size")
        if any(start + size > file_size for start, size in zip(self.starts, self.sizes, strict=True)):
            raise ValueError("the file is cut off")
        if sum(self.sizes) > 2 * max(file_size, picture) + SLACK:
            raise ValueError("its strips overlap")

    def pieces(self) -> Iterator[_Piece]:
        """Each strip or tile, in the file's order."""
        across, down = -(-self.width // self.wide), -(-self.height // self.tall)
        if len(self.starts) < self.planes * across * down:
            raise ValueError("the file is cut off")
        for number in range(self.planes * across * down):
            plane, inside = divmod(number, across * down)
            row, column = divmod(inside, across)
            yield _Piece(self.starts[number], self.sizes[number], row * self.tall, column * self.wide, plane)

    def pixels(self, data: bytes) -> Pixels:
        """(H,W,samples) as stored: uint8 or uint16, in this machine's byte order."""
        dtype = np.dtype(np.uint8 if self.bits == 8 else np.uint16)
        array: NDArray[Any] = np.empty((self.height, self.width, self.samples), dtype)
        together = self.samples // self.planes
        view = memoryview(data)
        for piece in self.pieces():
            rows = self.tall if self.tiled else min(self.tall, self.height - piece.top)
            size = rows * self.wide * together * dtype.itemsize
            bottom, right = min(piece.top + rows, self.height), min(piece.left + self.wide, self.width)
            planes = slice(piece.plane, piece.plane + 1) if self.planes > 1 else slice(None)
            place = array[piece.top : bottom, piece.left : right, planes]
            if piece.size == 0:  # a sparse file's blank piece
                place[:] = 0
                continue
            raw = self._unpacked(view[piece.start : piece.start + piece.size], size)
            if len(raw) < size:
                raise ValueError("the file is cut off")
            part = np.frombuffer(raw, dtype.newbyteorder(self.order), size // dtype.itemsize)
            part = part.reshape(rows, self.wide, together)
            if self.predictor == 2 and self.compression not in (NONE, PACKBITS):
                part = imagecodecs.delta_decode(part.astype(dtype), axis=1)
            place[:] = part[: bottom - piece.top, : right - piece.left]
        return array

    def _unpacked(self, packed: memoryview, size: int) -> bytes | memoryview:
        """So many bytes of a piece, or fewer where it holds no more."""
        if self.compression == NONE:
            return packed
        if self.compression == LZW:
            return bytes(imagecodecs.lzw_decode(bytes(packed), out=size))
        if self.compression == PACKBITS:
            return bytes(imagecodecs.packbits_decode(bytes(packed), out=size + PACKBITS_RUN))
        return zlib.decompressobj().decompress(packed, size)
