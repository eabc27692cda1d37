"""TIFF: strips, tiles and planes of 8 and 16 bits read; written in strips, deflated."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, TiffImagePlugin

from manyfill.errors import BadImage, TooLarge
from manyfill.photos import strips, tags
from manyfill.photos.colour import profile
from manyfill.photos.decoded import ONE_BIT, PREMULTIPLIED, Decoded, check_size
from manyfill.photos.directories import (
    Directory,
    Entry,
    directories,
    directory,
    fraction,
    longs,
    pack_directory,
    pack_header,
    shorts,
)
from manyfill.photos.laying import laid_strips, rows_of_strip
from manyfill.photos.metadata import descriptive_entries, exif_of_tiff, exif_order, further_tags, resolution_of
from manyfill.photos.opencv import decode_with_opencv
from manyfill.photos.photo import Lay, Photo, Pixels
from manyfill.photos.pillow import array_of_pil, as_bytes

TIFF_LEVEL = 4
TIFF_COMPRESSIONS = (1, 5, 8, 32773, 32946)  # none, LZW, Deflate, PackBits, old Deflate
TIFF_DECODED = (  # tags that say how pixels are stored
    tags.IMAGE_WIDTH,
    tags.BITS_PER_SAMPLE,
    tags.COMPRESSION,
    tags.PHOTOMETRIC,
    tags.FILL_ORDER,
    tags.SAMPLES_PER_PIXEL,
    tags.PLANAR,
    tags.PREDICTOR,
    tags.COLOUR_MAP,
    tags.EXTRA_SAMPLES,
    tags.SAMPLE_FORMAT,
    tags.JPEG_TABLES,
    *tags.YCBCR,
)
TIFF_PLACES = (  # and where they lie
    tags.IMAGE_LENGTH,
    tags.STRIP_OFFSETS,
    tags.STRIP_SIZES,
    tags.ROWS_PER_STRIP,
    tags.TILE_WIDTH,
    tags.TILE_LENGTH,
    tags.TILE_OFFSETS,
    tags.TILE_SIZES,
    *tags.OLD_JPEG,
)
SLACK = 1 << 20
SPOOLED = 16 << 20  # bytes of a TIFF's strips that are held in memory


def read_tiff(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A TIFF's bytes, decoded strip by strip where its layout allows; decoders see no more than they need."""
    page = directory(data)
    if tags.DNG_VERSION in page.entries or page.number(tags.SUBFILE_TYPE, 0) & 1:
        raise BadImage(f"{name} is a camera's raw file. Develop it to TIFF, PNG or JPEG first.")
    width, height = page.number(tags.IMAGE_WIDTH, 0), page.number(tags.IMAGE_LENGTH, 0)
    check_size(name, width, height, max_pixels)
    bits, kinds = page.numbers(tags.BITS_PER_SAMPLE, (1,)), page.numbers(tags.SAMPLE_FORMAT, (1,))
    if len({*bits}) > 1 or bits[0] not in (1, 2, 4, 8, 16) or any(kind not in (1, 4) for kind in kinds):
        sort = {2: "signed", 3: "floating-point"}.get(kinds[0], "integer")
        raise BadImage(f"{name} holds {bits[0]}-bit {sort} samples. Convert it to 8 or 16 bits per channel.")
    _check_packed(data, page)
    notes: list[str] = []
    extra, samples = page.number(tags.EXTRA_SAMPLES, 2), page.number(tags.SAMPLES_PER_PIXEL, 1)
    unexplained = extra == 0 and samples == 4 and page.number(tags.PHOTOMETRIC, 1) == 2
    icc = page.raw(tags.ICC)
    if bits[0] == 16:
        array: Pixels = _tiff16(data, page, name)
    else:
        straight = {tags.EXTRA_SAMPLES: shorts(page.order, 2)} if unexplained else {}  # as other programs take it
        found = _tiff_in_strips(data, page, lambda part: _pil_tiff(part, name), straight)
        if found is None:
            image = _Tiff(io.BytesIO(_told_only_pixels(data, page, straight)))
            image.load()
            image.info["icc_profile"] = icc
            found = array_of_pil(image, name, notes)
            icc = as_bytes(image.info.get("icc_profile"))  # CMYK's is gone by now
        array = found
    if unexplained and not array[..., -1].any():
        array = array[..., :-1]  # no alpha after all: the photo would be invisible
    if extra == 1:
        notes.append(PREMULTIPLIED)
    if bits[0] == 1:
        notes.append(ONE_BIT)
    if array.shape[:2] != (height, width):
        raise ValueError("its size and its pixels disagree")
    pages = sum(not other.number(tags.SUBFILE_TYPE, 0) & 1 for other in directories(data))
    if pages > 1:
        notes.append(f"Only the first of its {pages} pages was read; the others are not written.")
    turn = page.number(tags.ORIENTATION, 1)
    turn = turn if 1 <= turn <= 8 else 1
    xmp = page.raw(tags.XMP)
    extras, beside = further_tags(page, upright=turn == 1)
    return Decoded(
        array=array,
        format="tiff",
        orientation=turn,
        icc=icc,
        exif=exif_of_tiff(data, page),
        xmp=xmp.rstrip(b"\0") if xmp else None,
        dpi=resolution_of(page),
        lossy=page.number(tags.COMPRESSION, 1) in (6, 7, 34892, 50001),
        tiff_extras=extras,
        beside=beside,
        notes=list(dict.fromkeys(notes)),
    )


def _check_packed(data: bytes, page: Directory) -> None:
    """ValueError where strips or tiles overlap so much that reading them costs more than the file or the picture."""
    counts = page.numbers(tags.TILE_SIZES) or page.numbers(tags.STRIP_SIZES)
    pixels = page.number(tags.IMAGE_WIDTH, 0) * page.number(tags.IMAGE_LENGTH, 0)
    picture = pixels * page.number(tags.SAMPLES_PER_PIXEL, 1) * page.number(tags.BITS_PER_SAMPLE, 1) // 8
    if sum(counts) > 2 * max(len(data), picture) + SLACK:
        raise ValueError("its strips overlap")


def _told_only_pixels(data: bytes, page: Directory, replaced: Mapping[int, Entry]) -> bytes:
    """The file behind a directory of what decoding needs alone: no orientation, no metadata, no further pages."""
    shown = {tag: page.entries[tag] for tag in (*TIFF_DECODED, *TIFF_PLACES) if tag in page.entries}
    for tag, entry in shown.items():
        if entry.kind in (16, 18):  # of a BigTIFF
            shown[tag] = longs(page.order, *page.numbers(tag))
    at = len(data) + len(data) % 2
    directory = pack_directory(page.order, shown | dict(replaced), at)
    return b"".join((pack_header(page.order, at), memoryview(data)[8:], b"\0" * (len(data) % 2), directory))


class _Tiff(TiffImagePlugin.TiffImageFile):
    """Pillow's reader without its check of the size, which was made before, against our limit."""

    def load_prepare(self) -> None:
        """Makes room for the pixels."""
        ImageFile.ImageFile.load_prepare(self)


def _pil_tiff(data: bytes, name: str) -> Pixels:
    with io.BytesIO(data) as file:  # closed, for Pillow's readers refer to themselves and would be kept for a while
        image = _Tiff(file)
        image.load()
        array = array_of_pil(image, name, [])
        image.close()
    return array


def _tiff_in_strips(
    data: bytes,
    page: Directory,
    decode: Callable[[bytes], Pixels],
    replaced: Mapping[int, Entry],
) -> Pixels | None:
    """The pixels of a TIFF in strips, a few of them at a time: each time the decoder is shown a small TIFF of them.

    `replaced`: tags to show it otherwise. None where the file is not laid out so, and has to be decoded at once.
    """
    order, height = page.order, page.number(tags.IMAGE_LENGTH, 0)
    offsets, counts = page.numbers(tags.STRIP_OFFSETS), page.numbers(tags.STRIP_SIZES)
    samples = page.number(tags.SAMPLES_PER_PIXEL, 1)
    bits = page.number(tags.BITS_PER_SAMPLE, 1)
    length = -(-page.number(tags.IMAGE_WIDTH, 0) * samples * bits // 8)  # bytes of a row
    rows = min(page.number(tags.ROWS_PER_STRIP, height), height)
    fits = page.number(tags.PLANAR, 1) == 1 and page.number(tags.EXTRA_SAMPLES, 2) != 1
    if not fits or tags.TILE_OFFSETS in page.entries or page.number(tags.PHOTOMETRIC, 1) > 6:
        return None
    if page.number(tags.PHOTOMETRIC, 1) == 5:  # CMYK: its profile counts
        return None
    if len(offsets) == 1 and page.number(tags.COMPRESSION, 1) == 1:  # one strip, but its rows can be told apart
        rows = max(1, strips.STRIP_BYTES // length)
        starts = range(0, height, rows)
        offsets = tuple(offsets[0] + top * length for top in starts)
        counts = tuple(min(rows, height - top) * length for top in starts)
    if len(offsets) < 2 or not len(offsets) == len(counts) == -(-height // rows):
        return None
    if any(start + count > len(data) for start, count in zip(offsets, counts, strict=True)):
        raise ValueError("the file is cut off")
    shown = {tag: page.entries[tag] for tag in TIFF_DECODED if tag in page.entries} | dict(replaced)
    together = max(1, 4 * strips.STRIP_BYTES // (rows * length))
    view, array, top, first = memoryview(data), None, 0, 0
    while first < len(offsets):
        packed: list[memoryview] = []
        size = 0
        while first < len(offsets) and len(packed) < together and (not packed or size < 4 * strips.STRIP_BYTES):
            packed.append(view[offsets[first] : offsets[first] + counts[first]])
            size += counts[first]
            first += 1
        places = [8, *(8 + int(end) for end in np.cumsum([len(strip) for strip in packed]))]
        at = places.pop()
        here = min(len(packed) * rows, height - top)
        entries = shown | {
            tags.IMAGE_LENGTH: longs(order, here),
            tags.ROWS_PER_STRIP: longs(order, rows),
            tags.STRIP_OFFSETS: longs(order, *places),
            tags.STRIP_SIZES: longs(order, *(len(strip) for strip in packed)),
        }
        end = at + at % 2
        directory = pack_directory(order, entries, end)
        part = decode(b"".join((pack_header(order, end), *packed, b"\0" * (at % 2), directory)))
        if array is None:
            array = np.empty((height, *part.shape[1:]), part.dtype)
        if part.shape != (here, *array.shape[1:]) or part.dtype != array.dtype:
            raise ValueError("its packed are not alike")
        array[top : top + here] = part
        top += here
    return array


def _tiff16(data: bytes, page: Directory, name: str) -> NDArray[np.uint16]:
    """16-bit samples through OpenCV, behind a directory of only what decoding needs.

    OpenCV knows neither grey with alpha nor separate planes: the first is shown to it as a grey picture of twice
    the width, the second as one grey picture per plane. It does not turn white-is-zero round either.
    """
    samples = page.number(tags.SAMPLES_PER_PIXEL, 1)
    colour = {0: 1, 1: 1, 2: 3}.get(page.number(tags.PHOTOMETRIC, 1))
    if colour is None or samples not in (colour, colour + 1):
        raise BadImage(f"{name} is a 16-bit TIFF that is neither grey nor RGB. Convert it to 16-bit RGB or to 8 bits.")
    order, width = page.order, page.number(tags.IMAGE_WIDTH, 0)
    tiled = tags.TILE_OFFSETS in page.entries
    where, sizes = (tags.TILE_OFFSETS, tags.TILE_SIZES) if tiled else (tags.STRIP_OFFSETS, tags.STRIP_SIZES)
    offsets, counts = page.numbers(where), page.numbers(sizes)
    if not offsets or len(offsets) != len(counts):
        raise ValueError("its strips are not listed")
    if any(start + count > len(data) for start, count in zip(offsets, counts, strict=True)):
        raise ValueError("the file is cut off")
    wide = tags.TILE_WIDTH if tiled else tags.IMAGE_WIDTH
    compression = page.number(tags.COMPRESSION, 1)
    if compression not in TIFF_COMPRESSIONS:
        raise BadImage(f"{name} is a 16-bit TIFF of compression {compression}. Save it with LZW, Deflate or none.")
    predicted = page.number(tags.PREDICTOR, 1) == 2 and compression not in (1, 32773)

    def grey_or_rgb(offsets: tuple[int, ...], counts: tuple[int, ...], samples: int, *, factor: int = 1) -> Any:
        entries = {
            tag: page.entries[tag]
            for tag in (
                tags.COMPRESSION,
                tags.FILL_ORDER,
                tags.ROWS_PER_STRIP,
                tags.TILE_WIDTH,
                tags.TILE_LENGTH,
            )
            if tag in page.entries
        }
        entries |= {
            tags.IMAGE_WIDTH: longs(order, width * factor),
            tags.IMAGE_LENGTH: longs(order, page.number(tags.IMAGE_LENGTH, 0)),
            tags.BITS_PER_SAMPLE: shorts(order, *[16] * samples),
            tags.PHOTOMETRIC: shorts(order, 1 if samples == 1 else 2),
            tags.SAMPLES_PER_PIXEL: shorts(order, samples),
            where: longs(order, *offsets),
            sizes: longs(order, *counts),
        }
        if samples == 4:
            entries[tags.EXTRA_SAMPLES] = shorts(order, 2)
        if factor > 1:
            entries[wide] = longs(order, page.number(wide, 0) * factor)
        elif predicted:
            entries[tags.PREDICTOR] = shorts(order, 2)
        at = len(data) + len(data) % 2
        return decode_with_opencv(
            pack_header(order, at) + data[8:].ljust(at - 8, b"\0") + pack_directory(order, entries, at)
        )

    if page.number(tags.PLANAR, 1) == 2 and samples > 1:
        step = len(offsets) // samples
        planes = [
            grey_or_rgb(offsets[i * step : (i + 1) * step], counts[i * step : (i + 1) * step], 1)
            for i in range(samples)
        ]
        array = np.stack(planes, axis=2)
    elif samples == 2:
        array = grey_or_rgb(offsets, counts, 1, factor=2).reshape(-1, width, 2)
        if predicted:
            step = page.number(wide, width)
            for left in range(0, width, step):
                array[:, left : left + step] = np.cumsum(array[:, left : left + step], axis=1, dtype=np.uint16)
    else:
        shown = {tags.PHOTOMETRIC: shorts(order, 1 if samples == 1 else 2)}
        if samples == 4:
            shown[tags.EXTRA_SAMPLES] = shorts(order, 2)
        found = _tiff_in_strips(data, page, decode_with_opencv, shown)
        array = grey_or_rgb(offsets, counts, samples) if found is None else found
    if array.dtype != np.uint16 or array.shape[2:] != (() if samples == 1 else (samples,)):
        raise ValueError("it was not decoded at 16 bits")
    if page.number(tags.PHOTOMETRIC, 1) == 0:
        array[..., : None if array.ndim == 2 else 1] ^= 0xFFFF
    if samples == colour + 1 and page.number(tags.EXTRA_SAMPLES, 0) == 1:
        array = _straight(array)
    return array


def _straight(array: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Premultiplied colours divided by their alpha."""
    alpha = array[..., -1:].astype(np.float64)
    colour = np.minimum(array[..., :-1] * (65_535 / np.maximum(alpha, 1)), 65_535)
    return np.concatenate([np.rint(colour).astype(np.uint16), array[..., -1:]], axis=2)


def write_tiff(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    """Deflate with horizontal differences, in strips, in the byte order of the EXIF block that goes with it.

    The header says where the directory lies, behind all strips: larger ones wait in a temporary file.
    """
    with tempfile.SpooledTemporaryFile(max_size=SPOOLED) as packed:
        yield from _tiff_parts(photo, lay, packed)


def _tiff_parts(photo: Photo, lay: Lay | None, packed: IO[bytes]) -> Iterator[bytes]:
    height, width, samples = photo.height, photo.width, len(photo.mode)
    order = exif_order(photo.exif or photo.tiff_extras)
    rows = rows_of_strip(photo)
    counts: list[int] = []
    for _, strip in laid_strips(photo, lay):
        strip = strip.reshape(len(strip), width, samples)
        difference = strip.copy()
        difference[:, 1:] -= strip[:, :-1]  # wraps round, as the format wants
        raw = difference.astype(strip.dtype.newbyteorder(order)).tobytes()
        counts.append(packed.write(zlib.compress(raw, TIFF_LEVEL)))
    offsets = [8, *(8 + int(end) for end in np.cumsum(counts[:-1]))]
    at = 8 + sum(counts) + sum(counts) % 2
    if at >= 1 << 32:
        raise TooLarge("the photo is over the 4 GB that a TIFF can hold. Choose png.")
    entries: dict[int, Entry] = {}
    if photo.exif is not None:
        entries |= descriptive_entries(photo.exif, directory(photo.exif))
    if photo.tiff_extras is not None and exif_order(photo.tiff_extras) == order:
        entries |= directory(photo.tiff_extras).entries
    entries |= {
        tags.IMAGE_WIDTH: longs(order, width),
        tags.IMAGE_LENGTH: longs(order, height),
        tags.BITS_PER_SAMPLE: shorts(order, *[photo.depth] * samples),
        tags.COMPRESSION: shorts(order, 8),
        tags.PHOTOMETRIC: shorts(order, 2 if samples > 2 else 1),
        tags.STRIP_OFFSETS: longs(order, *offsets),
        tags.ORIENTATION: shorts(order, 1),
        tags.SAMPLES_PER_PIXEL: shorts(order, samples),
        tags.ROWS_PER_STRIP: longs(order, rows),
        tags.STRIP_SIZES: longs(order, *counts),
        tags.PLANAR: shorts(order, 1),
        tags.PREDICTOR: shorts(order, 2),
        tags.SAMPLE_FORMAT: shorts(order, *[1] * samples),
    }
    if photo.alpha is not None:
        entries[tags.EXTRA_SAMPLES] = shorts(order, 2)  # straight alpha
    if photo.dpi is not None:
        entries[tags.X_RESOLUTION] = fraction(order, photo.dpi[0])
        entries[tags.Y_RESOLUTION] = fraction(order, photo.dpi[1])
        entries[tags.RESOLUTION_UNIT] = shorts(order, 2)
    for tag, kind, value in ((tags.XMP, 1, photo.xmp), (tags.ICC, 7, profile(photo))):
        if value is not None:
            entries[tag] = Entry(kind, len(value), value)
    yield pack_header(order, at)
    packed.seek(0)
    while part := packed.read(strips.STRIP_BYTES):
        yield part
    yield b"\0" * (sum(counts) % 2)
    yield pack_directory(order, entries, at)
