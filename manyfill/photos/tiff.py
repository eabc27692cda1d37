"""TIFF: strips, tiles and planes of 8 and 16 bits read; written in strips, deflated."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from manyfill.errors import BadImage, TooLarge
from manyfill.photos import tags
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
from manyfill.photos.metadata import (
    descriptive_entries,
    exif_of_tiff,
    exif_order,
    further_tags,
    keep_place,
    resolution_of,
)
from manyfill.photos.photo import Lay, Photo, Pixels
from manyfill.photos.pieces import Layout
from manyfill.photos.pillow import array_of_pil, as_bytes
from manyfill.photos.strips import STRIP_BYTES

TIFF_LEVEL, YCBCR = 4, 6
READ = (1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34676, 34677, 34925, 50000)  # compressions of Pillow's libtiff
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
SPOOLED = 16 << 20  # bytes of a TIFF's strips that are held in memory


def read_tiff(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A TIFF's bytes, decoded strip by strip where its layout allows; decoders see no more than they need."""
    page = directory(data)
    canon = data[8:10] == b"CR"  # its first picture is a preview
    if canon or tags.DNG_VERSION in page.entries or page.number(tags.SUBFILE_TYPE, 0) & 1:
        raise BadImage(f"{name} is a camera's raw file. Develop it to TIFF, PNG or JPEG first.")
    width, height = page.number(tags.IMAGE_WIDTH, 0), page.number(tags.IMAGE_LENGTH, 0)
    check_size(name, width, height, max_pixels)
    bits, kinds = page.numbers(tags.BITS_PER_SAMPLE, (1,)), page.numbers(tags.SAMPLE_FORMAT, (1,))
    if len({*bits}) > 1 or bits[0] not in (1, 2, 4, 8, 16) or any(kind not in (1, 4) for kind in kinds):
        sort = {2: "signed", 3: "floating-point"}.get(kinds[0], "integer")
        raise BadImage(f"{name} holds {bits[0]}-bit {sort} samples. Convert it to 8 or 16 bits per channel.")
    layout = Layout(page)
    layout.check(len(data))
    notes: list[str] = []
    if bits[0] == 16 and (not layout.readable or layout.photometric == 5):
        raise BadImage(f"{name} is a 16-bit TIFF of a rare kind. Save it as 16-bit grey or RGB, uncompressed.")
    if layout.photometric == YCBCR and layout.planes > 1:
        raise BadImage(f"{name} is a TIFF of YCbCr in separate planes. Save it as RGB.")
    icc = page.raw(tags.ICC)
    extra = page.number(tags.EXTRA_SAMPLES, 0)
    colours = {5: 4, 2: 3}.get(layout.photometric, 1)
    array: Pixels
    if layout.readable and layout.samples in (colours, colours + (colours < 4)):
        array = layout.pixels(data)
        if layout.photometric == 5:
            image = Image.fromarray(array, "CMYK")
            image.info["icc_profile"] = icc
            array, icc = array_of_pil(image, name, notes), None
        elif layout.photometric == 0:
            array[..., 0] ^= np.iinfo(array.dtype).max  # white is zero
        if layout.samples == colours + 1:
            if extra == 0 and not array[..., -1].any():
                array = array[..., :-1]  # no alpha after all: the photo would be invisible
            elif extra == 1:
                _make_straight(array)
        array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    elif bits[0] == 16:
        raise BadImage(f"{name} is a 16-bit TIFF of {layout.samples} samples a pixel. Save it as 16-bit grey or RGB.")
    else:
        if layout.compression not in READ:
            raise BadImage(
                f"{name} is a TIFF compressed in a way that is not read here (number {layout.compression}). "
                "Save it with LZW, Deflate or none."
            )
        image = _Tiff(io.BytesIO(_told_only_pixels(data, page)))
        image.load()
        image.info["icc_profile"] = icc
        array = array_of_pil(image, name, notes)
        icc = as_bytes(image.info.get("icc_profile"))  # CMYK's is gone by now
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
        lossy=layout.compression in (6, 7, 34892, 50001),
        tiff_extras=extras,
        beside=beside,
        notes=list(dict.fromkeys(notes)),
    )


def _told_only_pixels(data: bytes, page: Directory) -> bytes:
    """The file behind a directory of what decoding needs alone: no orientation, no metadata, no further pages."""
    shown = {tag: page.entries[tag] for tag in (*TIFF_DECODED, *TIFF_PLACES) if tag in page.entries}
    for tag, entry in shown.items():
        if entry.kind in (16, 18):  # of a BigTIFF
            shown[tag] = longs(page.order, *page.numbers(tag))
    at = len(data) + len(data) % 2
    directory = pack_directory(page.order, shown, at)
    return b"".join((pack_header(page.order, at), memoryview(data)[8:], b"\0" * (len(data) % 2), directory))


class _Tiff(TiffImagePlugin.TiffImageFile):
    """Pillow's reader without its check of the size, which was made before, against our limit."""

    def load_prepare(self) -> None:
        """Makes room for the pixels."""
        ImageFile.ImageFile.load_prepare(self)


def _make_straight(array: Pixels, *, strip_bytes: int = STRIP_BYTES) -> None:
    """Divides premultiplied colours by their alpha, in place."""
    top = np.iinfo(array.dtype).max
    step = max(1, strip_bytes // array[0].nbytes)
    for first in range(0, len(array), step):
        rows = array[first : first + step]
        colour = np.minimum(rows[..., :-1] * (top / np.maximum(rows[..., -1:].astype(np.float64), 1)), top)
        rows[..., :-1] = np.rint(colour)


def write_tiff(
    photo: Photo, quality: int | None, lay: Lay | None, *, strip_bytes: int = STRIP_BYTES, spooled: int = SPOOLED
) -> Iterator[bytes | memoryview]:
    """Deflate with horizontal differences, in strips, in the byte order of the EXIF block that goes with it.

    The header says where the directory lies, behind all strips: larger ones wait in a temporary file.
    """
    with tempfile.SpooledTemporaryFile(max_size=spooled) as packed:
        yield from _tiff_parts(photo, lay, packed, strip_bytes)


def _tiff_parts(photo: Photo, lay: Lay | None, packed: IO[bytes], strip_bytes: int) -> Iterator[bytes]:
    height, width, samples = photo.height, photo.width, len(photo.mode)
    order = exif_order(photo.exif or photo.tiff_extras)
    rows = rows_of_strip(photo, strip_bytes)
    counts: list[int] = []
    for _, strip in laid_strips(photo, lay, strip_bytes):
        strip = strip.reshape(len(strip), width, samples)
        difference = strip.copy()
        difference[:, 1:] -= strip[:, :-1]  # wraps round, as the format wants
        raw = difference.astype(strip.dtype.newbyteorder(order)).tobytes()
        counts.append(packed.write(zlib.compress(raw, TIFF_LEVEL)))
        yield b""  # who writes may stop here
    entries: dict[int, Entry] = {}
    if photo.exif is not None:
        page = directory(photo.exif)
        further, _ = further_tags(page, upright=True)
        entries |= {} if further is None else directory(further).entries
        entries |= descriptive_entries(photo.exif, page)
    before = keep_place(entries)
    start = 8 + len(before)
    offsets = [start, *(start + int(end) for end in np.cumsum(counts[:-1]))]
    at = start + sum(counts) + sum(counts) % 2
    if at >= 1 << 32:
        raise TooLarge("the photo is larger than the 4 GB that a TIFF can hold. Choose png.")
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
    yield pack_header(order, at) + before
    packed.seek(0)
    while part := packed.read(STRIP_BYTES):
        yield part
    yield b"\0" * (sum(counts) % 2)
    yield pack_directory(order, entries, at)
