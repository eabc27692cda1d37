"""Pixels of PNG and TIFF as other programs write them, in every layout, to the bit."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from manyfill import photos
from manyfill.errors import BadImage
from manyfill.photos.directories import directory
from manyfill.photos.png import png_file

tifffile = pytest.importorskip("tifffile")


def noise(height: int, width: int, channels: int, depth: int, seed: int = 0) -> NDArray[np.unsignedinteger]:
    array = np.random.default_rng(seed).integers(0, 1 << depth, (height, width, channels)).astype(f"uint{depth}")
    return array if channels > 1 else array[..., 0]


def tiff(array: NDArray[np.unsignedinteger], **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **options)
    return file.getvalue()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("depth", [8, 16])
def test_every_layout_of_a_tiff_is_read_to_the_bit(
    depth: int, compression: str | None, tile: tuple[int, int] | None, planar: str, byteorder: str
) -> None:
    for channels in (1, 2, 3, 4):
        array = noise(37, 45, channels, depth, channels)
        options: dict[str, object] = {"photometric": "rgb" if channels > 2 else "minisblack", "byteorder": byteorder}
        if channels in (2, 4):
            options["extrasamples"] = ["unassalpha"]
        if channels > 1:
            options["planarconfig"] = planar
        for predictor in (False, True) if compression in ("lzw", "zlib") else (False,):
            stored = np.ascontiguousarray(array.transpose(2, 0, 1)) if planar == "separate" and channels > 1 else array
            rows = {"tile": tile} if tile else {"rowsperstrip": 10}
            data = tiff(stored, compression=compression, predictor=predictor, **rows, **options)
            photo = photos.read(data)
            assert photo.depth == depth
            assert np.array_equal(photos.to_array(photo), array), (channels, predictor)


@pytest.mark.parametrize("cut", [50, 500])
def test_a_tiff_whose_pieces_hold_too_little_is_refused(cut: int) -> None:
    for compression in (None, "lzw", "zlib", "packbits"):
        data = bytearray(tiff(noise(37, 45, 3, 16), photometric="rgb", rowsperstrip=10, compression=compression))
        entry = directory(bytes(data)).entries[279]
        sizes = struct.unpack(f"<{entry.length}I", entry.value) if entry.kind == 4 else None  # type: ignore[arg-type]
        if sizes is None:
            sizes = struct.unpack(f"<{entry.length}H", entry.value)  # type: ignore[arg-type]
        kind = "I" if entry.kind == 4 else "H"
        fewer = struct.pack(f"<{entry.length}{kind}", *(max(1, size - cut) for size in sizes))
        data[entry.place : entry.place + len(fewer)] = fewer
        with pytest.raises(BadImage):
            photos.read(bytes(data))


def test_blank_pieces_of_a_sparse_tiff_are_black() -> None:
    array = noise(32, 48, 1, 8)
    data = bytearray(tiff(array, photometric="minisblack", tile=(16, 16), compression="zlib"))
    entry = directory(bytes(data)).entries[325]
    first = 4 if entry.kind == 4 else 2
    data[entry.place : entry.place + first] = bytes(first)
    array[:16, :16] = 0
    assert np.array_equal(photos.to_array(photos.read(bytes(data))), array)


def test_what_libtiff_reads_for_us_is_what_pillow_shows() -> None:
    image = Image.fromarray(noise(33, 41, 3, 8))
    for each, options in (
        (image.convert("1"), {"compression": "group4"}),
        (image.convert("1"), {}),
        (image.quantize(16), {"compression": "tiff_lzw"}),
        (image, {"compression": "jpeg"}),
        (image.convert("L"), {"compression": "jpeg"}),
        (image.convert("YCbCr"), {}),
    ):
        file = io.BytesIO()
        each.save(file, "TIFF", **options)
        with Image.open(io.BytesIO(file.getvalue())) as theirs:
            assert np.array_equal(photos.read(file.getvalue()).pixels, np.asarray(theirs.convert("RGB"))), each.mode


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "jpeg"])
def test_a_cmyk_tiff_becomes_srgb_through_its_profile_and_says_so(compression: str | None) -> None:
    cmyk = Image.fromarray(noise(20, 30, 4, 8), "CMYK")
    file = io.BytesIO()
    cmyk.save(file, "TIFF", compression=compression)
    photo = photos.read(file.getvalue())
    assert (
        photo.mode == "RGB"
        and photo.icc is None
        and photo.notes == ("CMYK was converted to sRGB and is written as such.",)
    )
    if compression != "jpeg":
        assert np.array_equal(photo.pixels, np.asarray(cmyk.convert("RGB")))
    file = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # of another space: the plain formula
    cmyk.save(file, "TIFF", icc_profile=profile)
    assert photos.read(file.getvalue()).icc is None


def interlaced(array: NDArray[np.unsignedinteger], kind: int) -> bytes:
    """An independent writer of Adam7."""
    raw = b""
    cells = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    for top, left, down, across in cells:
        part = array[top::down, left::across]
        if part.size:
            raw += b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in part)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], array.dtype.itemsize * 8, kind, 0, 0, 1)
    return png_file([(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")])


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("channels", "kind"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_interlaced_pngs_are_read_to_the_bit(channels: int, kind: int, depth: int) -> None:
    for size in ((1, 1), (3, 9), (16, 17)):
        array = noise(*size, channels, depth)
        assert np.array_equal(photos.to_array(photos.read(interlaced(array, kind))), array)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("kind", [0, 3])
def test_pngs_of_few_bits_are_what_pillow_shows(kind: int, bits: int) -> None:
    rng = np.random.default_rng(bits)
    rows = rng.integers(0, 256, (9, -(-13 * bits // 8))).astype(np.uint8)
    header = struct.pack(">IIBBBBB", 13, 9, bits, kind, 0, 0, 0)
    palette = [(b"PLTE", rng.integers(0, 256, 3 << bits).astype(np.uint8).tobytes())] if kind == 3 else []
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    data = png_file([(b"IHDR", header), *palette, (b"IDAT", packed), (b"IEND", b"")])
    with Image.open(io.BytesIO(data)) as theirs:
        assert np.array_equal(photos.read(data).pixels, np.asarray(theirs.convert("RGB")))
