"""Photo files: what is read is what is written, and what cannot be is one clear line."""

from __future__ import annotations

import gc
import io
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from manyfill import photos
from manyfill.errors import BadImage, ManyfillError, TooLarge
from manyfill.files import write_atomic
from manyfill.photos import arrays, pillow, tags, tiff
from manyfill.photos.directories import Entry, Order, directory, longs, pack_directory, pack_header, shorts
from manyfill.photos.jpeg import write_jpeg
from manyfill.photos.png import png_chunks, png_file, write_png
from manyfill.photos.tiff import write_tiff

LOSSLESS = ("png", "tiff", "webp", "bmp")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(height: int, width: int, channels: int, depth: int = 8, seed: int = 0) -> NDArray[np.unsignedinteger]:
    dtype = np.uint8 if depth == 8 else np.uint16
    array = np.random.default_rng(seed).integers(0, 1 << depth, (height, width, channels)).astype(dtype)
    return array if channels > 1 else array[..., 0]


def smooth(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Colours that JPEG hardly changes, with no symmetry."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + 2 * y) * 255 // (width + 2 * height)], 2).astype(
        np.uint8
    )


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def exif_block(orientation: int = 1, *, thumbnail: bytes = b"", order: Order = ">") -> bytes:
    """An EXIF block with camera, orientation, size, maker's note, GPS and, if wanted, a thumbnail."""
    ascii_ = lambda text: Entry(2, len(text) + 1, text + b"\0")  # noqa: E731
    entries = {
        271: ascii_(b"Manycam"),
        tags.ORIENTATION: shorts(order, orientation),
        33432: ascii_(b"(c) a photographer"),
        tags.EXIF_DIRECTORY: Entry(
            4,
            1,
            {
                37500: Entry(7, 300, bytes(range(256)) + bytes(44)),
                tags.EXIF_WIDTH: longs(order, 64),
                tags.EXIF_HEIGHT: longs(order, 48),
            },
        ),
        tags.GPS_DIRECTORY: Entry(4, 1, {1: ascii_(b"N"), 2: Entry(5, 3, bytes(24))}),
    }
    block = pack_header(order, 8) + pack_directory(order, entries, 8)
    if not thumbnail:
        return block
    block += b"\0" * (len(block) % 2)
    at = len(block)
    second = {
        tags.THUMBNAIL_OFFSET: longs(order, at + 2 + 2 * 12 + 4),
        tags.THUMBNAIL_SIZE: longs(order, len(thumbnail)),
    }
    block += pack_directory(order, second, at) + thumbnail
    pointer = 8 + 2 + 12 * len(entries)
    return block[:pointer] + struct.pack(order + "I", at) + block[pointer + 4 :]


def raw_png(array: NDArray[np.uint16], *before: tuple[bytes, bytes]) -> bytes:
    """An independent, minimal 16-bit PNG writer."""
    height, width = array.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[np.atleast_3d(array).shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)), *before]
    return png_file([*chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def same(one: photos.Photo, other: photos.Photo) -> bool:
    alphas = (one.alpha is None) == (other.alpha is None) and (
        one.alpha is None or np.array_equal(one.alpha, other.alpha)
    )
    return one.pixels.dtype == other.pixels.dtype and np.array_equal(one.pixels, other.pixels) and alphas


# ------------------------------------------------------------------------------------------- round trips


@settings(deadline=None, max_examples=40)
@given(
    format=st.sampled_from(LOSSLESS),
    channels=st.integers(1, 4),
    depth=st.sampled_from([8, 16]),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    metadata=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_lossless_format_gives_back_every_bit_and_all_metadata(
    format: str, channels: int, depth: int, size: tuple[int, int], metadata: bool, seed: int
) -> None:
    photo = photos.read(noise(*size, channels, depth, seed))
    if metadata:
        photo = replace(photo, icc=SRGB, exif=exif_block(), xmp=XMP.replace(b'"6"', b'"1"'), dpi=(300.0, 150.0))
    holds = depth == 8 or format in ("png", "tiff")
    opaque = photo.alpha is None or photo.alpha.min() == (1 << depth) - 1
    if not holds or (format == "bmp" and not opaque):
        with pytest.raises(BadImage, match="Choose png"):
            photos.encode(photo, format=format)
        return
    again = photos.read(photos.encode(photo, format=format))
    assert photos.is_lossless(photo, format=format)
    assert again.format == format
    if format == "bmp":
        photo = replace(photo, alpha=None, mode=photo.mode.removesuffix("A"))
    if format == "webp" and photo.alpha is not None and opaque:
        again = replace(again, alpha=photo.alpha, mode="RGBA")  # libwebp drops an alpha that says nothing
    assert same(photo, again)
    if format in ("png", "tiff"):
        assert again.mode == photo.mode
    if metadata and format != "bmp":
        assert again.icc == photo.icc
        assert again.xmp == photo.xmp
        if format != "tiff":
            assert again.exif == photo.exif
    if metadata and format != "webp":
        assert again.dpi == pytest.approx(photo.dpi, abs=0.02)
    if format != "bmp":
        assert photos.encode(again) == photos.encode(photo, format=format), "a second round changes bytes"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", [8, 16])
def test_exif_survives_the_way_through_tiff_in_either_byte_order(order: Order, depth: int) -> None:
    photo = replace(photos.read(noise(5, 7, 3, depth)), exif=exif_block(order=order))
    data = photos.encode(photo, format="tiff")
    again = photos.read(data)
    assert same(photo, again)
    for exif_tags in (Image.Exif(), Image.Exif()):
        exif_tags.load(again.exif)
        assert exif_tags[271] == "Manycam"
        assert exif_tags[33432] == "(c) a photographer"
        assert exif_tags.get_ifd(0x8769)[37500] == bytes(range(256)) + bytes(44)
        assert exif_tags.get_ifd(0x8825)[1] == "N"
    with Image.open(io.BytesIO(data)) as image:  # and for a reader that is not ours
        assert image.getexif()[271] == "Manycam"
        assert image.getexif().get_ifd(0x8769)[40962] == 64


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_other_programs_read_our_16_bits(format: str, channels: int) -> None:
    array = noise(9, 14, channels, 16)
    data = photos.encode(photos.read(array), format=format)
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if channels > 1:
        theirs = cv2.cvtColor(theirs, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGBA)
    assert np.array_equal(theirs, array)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_of_another_writer_is_read_to_the_bit(channels: int) -> None:
    array = noise(9, 14, channels, 16)
    photo = photos.read(raw_png(array))
    assert np.array_equal(photos.to_array(photo), array)
    assert photo.depth == 16


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    ("channels", "depth", "planar"),
    [(channels, depth, "contig") for channels in (1, 2, 3, 4) for depth in (8, 16)]
    + [(2, 16, "separate"), (3, 16, "separate"), (4, 16, "separate"), (3, 8, "separate"), (4, 8, "separate")],
)
def test_tiffs_of_another_writer_are_read_to_the_bit(
    channels: int, depth: int, planar: str, byteorder: str, tiled: bool
) -> None:
    tifffile = pytest.importorskip("tifffile")
    array = noise(21, 35, channels, depth)
    for compression in (None, "zlib"):
        options: dict[str, object] = {"compression": compression, "predictor": compression is not None}
        if channels > 1:
            options["planarconfig"] = planar
        if channels in (2, 4):
            options["extrasamples"] = ["unassalpha"]
        if tiled:
            options["tile"] = (16, 16)
        file = io.BytesIO()
        stored = np.ascontiguousarray(array.transpose(2, 0, 1)) if planar == "separate" else array
        photometric = "rgb" if channels > 2 else "minisblack"
        tifffile.imwrite(file, stored, photometric=photometric, byteorder=byteorder, **options)
        photo = photos.read(file.getvalue())
        assert np.array_equal(photos.to_array(photo), array), compression


# ------------------------------------------------------------------------------------------- strip by strip

IN_STRIPS: dict[str, Callable[..., Iterator[bytes]]] = {"png": write_png, "tiff": write_tiff, "jpeg": write_jpeg}


@pytest.mark.parametrize("strip", [1, 300, 1 << 20])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pngs_in_strips_are_those_of_other_programs_to_the_bit(channels: int, depth: int, strip: int) -> None:
    y, x = np.mgrid[:37, :23]
    ramp = np.stack([x * 9, y * 5, x * y, 255 - x], 2)[..., :channels] % 256  # filters of every kind pay off
    array = (ramp * (1 if depth == 8 else 251)).astype(f"uint{depth}")
    array = array[..., 0] if channels == 1 else array
    ours = b"".join(write_png(photos.read(array), None, None, strip_bytes=strip))
    if depth == 8 or channels == 1:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(ours))), array)
    else:
        theirs = cv2.imdecode(np.frombuffer(ours, np.uint8), cv2.IMREAD_UNCHANGED)
        order = {2: [0, 3], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
        assert np.array_equal(theirs[..., order], array)
    packed = b"".join(content for name, content in png_chunks(ours) if name == b"IDAT")
    filters = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(37, -1)[:, 0]
    assert len(set(filters.tolist())) > 1
    for data in (ours, saved(Image.fromarray(array), "PNG") if depth == 8 else raw_png(array)):
        assert np.array_equal(photos.to_array(photos.read(data)), array)
        with pytest.raises(BadImage, match="cut off"):
            photos.read(data[: len(data) // 2])


def test_a_png_whose_pixels_end_too_early_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 20, 20, 8, 2, 0, 0, 0)
    short = png_file([(b"IHDR", header), (b"IDAT", zlib.compress(bytes(61 * 19))), (b"IEND", b"")])
    with pytest.raises(BadImage, match="cut off"):
        photos.read(short)


@pytest.mark.parametrize("rows", [1, 4, 50])
@pytest.mark.parametrize(
    ("channels", "depth", "compression"),
    [(channels, depth, packed) for channels in (1, 3, 4) for depth in (8, 16) for packed in (None, "zlib")]
    + [(3, 8, "lzw"), (3, 8, "packbits"), (3, 8, "jpeg")],
)
def test_tiffs_in_strips_of_any_height_are_read_to_the_bit(
    channels: int, depth: int, rows: int, compression: str | None
) -> None:
    tifffile = pytest.importorskip("tifffile")
    array = noise(50, 31, channels, depth)
    if compression in ("lzw", "packbits", "jpeg"):
        names = {"lzw": "tiff_lzw", "packbits": "packbits", "jpeg": "jpeg"}
        data = saved(Image.fromarray(array), "TIFF", compression=names[compression], strip_size=rows * 93)
    else:
        file = io.BytesIO()
        kind = {"photometric": "rgb" if channels > 2 else "minisblack", "extrasamples": [2] * (channels == 4)}
        tifffile.imwrite(file, array, rowsperstrip=rows, compression=compression, **kind)
        data = file.getvalue()
    read = photos.to_array(photos.read(data))
    if compression == "jpeg":
        assert np.array_equal(read, np.asarray(Image.open(io.BytesIO(data))))
    else:
        assert np.array_equal(read, array)


@pytest.mark.parametrize("size", [(16, 40), (17, 40), (48, 33), (301, 1), (130, 250)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_written_in_strips_has_the_pixels_of_one_written_at_once(
    mode: str, subsampling: int, size: tuple[int, int]
) -> None:
    array = cv2.resize(noise(9, 9, len(mode)), size[::-1]).reshape(*size, -1)
    tables = ((3,) * 64, (5,) * 64)[: 1 if mode == "L" else 2]
    coding = photos.JpegCoding(tables, subsampling, segments=b"\xff\xfe\0\5abc")
    photo = replace(photos.read(array), jpeg=coding, icc=SRGB if mode == "RGB" else None, exif=exif_block(), xmp=XMP)
    at_once = photos.encode(photo, format="jpeg")
    in_strips = b"".join(write_jpeg(photo, None, None, strip_bytes=1))
    assert b"\xff\xdd\0\4" not in at_once and (b"\xff\xdd\0\4" in in_strips) == (size[0] > 16)
    one, other = Image.open(io.BytesIO(at_once)), Image.open(io.BytesIO(in_strips))
    assert other.size == size[::-1] and np.array_equal(np.asarray(one), np.asarray(other))
    theirs = cv2.imdecode(np.frombuffer(in_strips, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    assert np.array_equal(theirs[..., ::-1] if mode == "RGB" else theirs, np.asarray(one))
    again, before = photos.read(in_strips), photos.read(at_once)
    assert (
        again.jpeg == before.jpeg and again.exif == before.exif and again.icc == before.icc and again.xmp == before.xmp
    )


@pytest.mark.parametrize("format", ["png", "tiff", "bmp", "webp", "jpeg"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("strip", [100, None])
def test_a_fill_laid_over_while_writing_is_as_pasted_before(format: str, mode: str, strip: int | None) -> None:
    array = noise(40, 30, len(mode))
    array[..., -1] = 255 if mode.endswith("A") else array[..., -1]
    photo, fill = photos.read(array), smooth(9, 8)

    def lay(rows: NDArray[np.uint8], top: int) -> None:
        for row in range(max(top, 5), min(top + len(rows), 14)):
            rows[row - top, 3:11] = fill[row - 5]

    kept = photo.pixels.copy()

    def written(photo: photos.Photo, lay: photos.Lay | None = None) -> bytes:
        if strip is None or format not in IN_STRIPS or (format == "jpeg" and photo.alpha is not None):
            return b"".join(photos.encode_parts(photo, format=format, lay=lay))
        return b"".join(IN_STRIPS[format](photo, None, lay, strip_bytes=strip))

    parts = written(photo, lay)
    pasted = photos.paste(photo, fill / np.float32(255), np.ones((9, 8), bool), top=5, left=3)
    assert (photo.pixels == kept).all()
    if mode in ("RGB", "RGBA"):
        assert parts == written(pasted)
    else:  # rounding of the luma
        ours, theirs = photos.read(parts).pixels.astype(int), photos.read(written(pasted)).pixels
        assert np.abs(ours - theirs).max() <= (6 if format == "jpeg" else 1)


@pytest.mark.parametrize("format", ["png", "tiff", "jpeg", "webp", "bmp"])
def test_a_file_is_let_go_of_once_it_is_read(format: str) -> None:
    data = photos.encode(photos.read(smooth()), format=format)
    gc.collect()
    gc.disable()
    try:
        held = sys.getrefcount(data)
        photos.read(data)
        assert sys.getrefcount(data) == held
    finally:
        gc.enable()


@pytest.mark.parametrize(("write", "options"), [(write_png, {}), (write_tiff, {"spooled": 1 << 16})])
def test_writing_makes_no_second_photo(
    write: Callable[..., Iterator[bytes]], options: dict[str, int], tmp_path: Path
) -> None:
    photo = photos.read(cv2.resize(smooth(), (2000, 1500), interpolation=cv2.INTER_LINEAR))
    photos.write(photo, tmp_path / "once.png")
    tracemalloc.start()
    write_atomic(tmp_path / "photo", write(photo, None, lambda rows, _: None, strip_bytes=1 << 16, **options))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.3 * photo.pixels.nbytes


@pytest.mark.parametrize("strip", [1, 500])
def test_arrays_in_strips_are_those_made_at_once(strip: int) -> None:
    deep = noise(37, 23, 3, 16)
    assert np.array_equal(arrays.to_8_bits(deep, strip_bytes=strip), arrays.to_8_bits(deep))
    assert np.array_equal(arrays._grey(deep, strip_bytes=strip), arrays._grey(deep))
    for channels in (1, 3):
        pixels = noise(37, 23, channels)
        assert np.array_equal(pillow.copied(Image.fromarray(pixels), strip_bytes=strip), pixels)
    in_strips, at_once = (noise(37, 23, 4, 16) for _ in range(2))
    tiff._make_straight(in_strips, strip_bytes=strip)
    tiff._make_straight(at_once)
    assert np.array_equal(in_strips, at_once)


def test_white_is_zero_and_unexplained_samples_of_a_tiff_are_understood() -> None:
    tifffile = pytest.importorskip("tifffile")
    for depth in (8, 16):
        grey, colour = noise(6, 9, 1, depth), noise(6, 9, 4, depth)
        file = io.BytesIO()
        tifffile.imwrite(file, grey, photometric="miniswhite")
        assert np.array_equal(photos.to_array(photos.read(file.getvalue())), (1 << depth) - 1 - grey)
        file = io.BytesIO()
        tifffile.imwrite(file, colour, photometric="rgb", extrasamples=["unspecified"])
        assert np.array_equal(photos.to_array(photos.read(file.getvalue())), colour)
        colour[..., 3] = 0
        file = io.BytesIO()
        tifffile.imwrite(file, colour, photometric="rgb", extrasamples=["unspecified"])
        assert photos.read(file.getvalue()).mode == "RGB"


def test_premultiplied_alpha_becomes_straight_and_is_noted() -> None:
    tifffile = pytest.importorskip("tifffile")
    for depth in (8, 16):
        top = (1 << depth) - 1
        array = np.array([[[top // 4, top // 2, 0, top // 2]]], np.uint8 if depth == 8 else np.uint16)
        file = io.BytesIO()
        tifffile.imwrite(file, array, photometric="rgb", extrasamples=["assocalpha"])
        photo = photos.read(file.getvalue())
        assert photo.pixels[0, 0] == pytest.approx([top / 2, top, 0], abs=top / 100)
        assert "Premultiplied" in photo.notes[0]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "avif", "heic"])
def test_every_format_keeps_the_metadata_that_it_holds(format: str) -> None:
    if format == "heic":
        pytest.importorskip("pillow_heif")
    exif = exif_block()
    photo = replace(photos.read(smooth()), icc=SRGB, exif=exif, xmp=XMP.replace(b'"6"', b'"1"'), dpi=(300.0, 300.0))
    again = photos.read(photos.encode(photo, format=format))
    assert again.icc == SRGB
    assert again.xmp == photo.xmp
    exif_tags = Image.Exif()
    exif_tags.load(again.exif)
    assert exif_tags[271] == "Manycam"
    assert exif_tags.get(tags.ORIENTATION, 1) == 1
    assert exif_tags.get_ifd(0x8825)[1] == "N"
    if format in ("png", "jpeg", "tiff"):
        assert again.dpi == pytest.approx((300, 300), abs=0.01)
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 4


def test_png_text_and_gamma_are_kept() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a red house")
    text.add_itxt("Title", "Haus", lang="de")
    text.add(b"gAMA", struct.pack(">I", 100_000))
    data = saved(Image.fromarray(smooth()), "PNG", pnginfo=text)
    written = photos.encode(photos.read(data))
    with Image.open(io.BytesIO(written)) as image:
        image.load()
        assert image.text == {"parameters": "a red house", "Title": "Haus"}  # type: ignore[attr-defined]
        assert image.info["gamma"] == pytest.approx(1.0)
    deep = raw_png(noise(3, 4, 3, 16), (b"gAMA", struct.pack(">I", 100_000)), (b"tEXt", b"k\0v"))
    assert photos.read(deep).png_extras == ((b"gAMA", struct.pack(">I", 100_000)), (b"tEXt", b"k\0v"))


# ----------------------------------------------------------------------------------------------- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_once(format: str, orientation: int) -> None:
    options = {"quality": 100} | ({"lossless": True} if format == "WEBP" else {})
    exif_tags = Image.Exif()
    exif_tags[tags.ORIENTATION] = orientation
    data = saved(Image.fromarray(smooth()), format, exif=exif_tags, dpi=(100, 200), **options)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    photo = photos.read(data)
    assert np.array_equal(photo.pixels, upright)
    assert photo.pixels.shape == ((64, 48, 3) if orientation >= 5 else (48, 64, 3))
    again = photos.read(photos.encode(photo))
    assert again.pixels.shape == photo.pixels.shape
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 3
    if format in ("JPEG", "PNG", "TIFF"):
        expected = (200, 100) if orientation >= 5 else (100, 200)
        assert photo.dpi == pytest.approx(expected, abs=0.02)
        assert again.dpi == pytest.approx(expected, abs=0.02)
    reread = photos.read(Image.open(io.BytesIO(data)))
    assert np.array_equal(reread.pixels, photo.pixels), "a PIL image is turned too"
    assert np.array_equal(photos.read(photos.to_pil(photo)).pixels, photo.pixels), "and never twice"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_orientation_is_applied_to_16_bits(format: str, orientation: int) -> None:
    array = noise(4, 6, 3, 16)
    if format == "png":
        data = raw_png(array, (b"eXIf", exif_block(orientation)))
    else:
        data = photos.encode(photos.read(array), format="tiff")
        place = directory(data).entries[tags.ORIENTATION].place
        data = data[:place] + struct.pack("<H", orientation) + data[place + 2 :]
    exif_tags = Image.Exif()
    exif_tags[tags.ORIENTATION] = orientation
    eight = Image.fromarray((array >> 8).astype(np.uint8))
    eight.info["exif"] = exif_tags.tobytes()
    expected = np.asarray(ImageOps.exif_transpose(eight))
    photo = photos.read(data)
    assert photo.depth == 16
    assert np.array_equal(photo.pixels >> 8, expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_patched_in_place_and_its_thumbnail_blanked(order: Order) -> None:
    block = exif_block(6, thumbnail=b"\xff\xd8THE OLD PHOTO\xff\xd9", order=order)
    data = saved(Image.fromarray(smooth()), "JPEG", exif=b"Exif\0\0" + block)
    exif = photos.read(data).exif
    assert exif is not None and len(exif) == len(block)
    assert b"THE OLD PHOTO" in block and b"THE OLD PHOTO" not in exif
    exif_tags = Image.Exif()
    exif_tags.load(exif)
    assert exif_tags[tags.ORIENTATION] == 1
    inner = exif_tags.get_ifd(0x8769)
    assert (inner[tags.EXIF_WIDTH], inner[tags.EXIF_HEIGHT]) == (48, 64)  # changed places
    note = block.index(bytes(range(256)))
    assert exif.index(bytes(range(256))) == note, "the maker's note moved: its offsets would be wrong"
    assert directory(exif).next == 0


def test_xmp_is_upright_and_without_thumbnails() -> None:
    xmp = XMP.replace(b"<rdf:RDF>", b"<rdf:RDF><xmp:Thumbnails><rdf:Alt>OLD</rdf:Alt></xmp:Thumbnails>")
    data = saved(Image.fromarray(smooth()), "JPEG", exif=exif_block(6), xmp=xmp)
    assert photos.read(data).xmp == XMP.replace(b'"6"', b'"1"')


def test_iptc_captions_are_kept_and_photoshop_thumbnails_are_not() -> None:
    def resource(number: int, content: bytes) -> bytes:
        return (
            b"8BIM"
            + struct.pack(">H", number)
            + b"\0\0"
            + struct.pack(">I", len(content))
            + content
            + b"\0" * (len(content) % 2)
        )

    content = b"Photoshop 3.0\0" + resource(1036, b"OLD PHOTO") + resource(1028, b"CAPTION")
    segment = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
    data = saved(Image.fromarray(smooth()), "JPEG", extra=segment, comment=b"by hand")
    written = photos.encode(photos.read(data))
    assert b"CAPTION" in written and b"by hand" in written and b"OLD PHOTO" not in written


# ------------------------------------------------------------------------------------------------------ JPEG


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_written_with_its_own_tables(mode: str, subsampling: int) -> None:
    options = {"quality": 83, "subsampling": subsampling, "progressive": True}
    data = saved(Image.fromarray(smooth()).convert(mode), "JPEG", **options)
    photo = photos.read(data)
    assert photo.mode == mode and photo.lossy and not photos.is_lossless(photo)
    written = photos.encode(photo)
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(written)) as after:
        assert before.quantization == after.quantization  # type: ignore[attr-defined]
        assert mode == "L" or before.layer == after.layer  # type: ignore[attr-defined]
        assert after.info["progressive"]
    again = photos.read(written)
    assert np.abs(again.pixels.astype(int) - photo.pixels).max() <= 3
    assert len(photos.encode(photo, quality=20)) < len(written)


def test_a_turned_jpeg_is_coded_again_with_turned_tables() -> None:
    exif_tags = Image.Exif()
    exif_tags[tags.ORIENTATION] = 6
    rough = cv2.GaussianBlur(noise(64, 96, 3), (0, 0), 2)
    photo = photos.read(saved(Image.fromarray(rough), "JPEG", quality=60, exif=exif_tags, subsampling=0))
    assert photo.jpeg is not None
    again = photos.read(photos.encode(photo))
    straight = replace(photo, jpeg=replace(photo.jpeg, tables=tuple(_transposed(table) for table in photo.jpeg.tables)))
    other = photos.read(photos.encode(straight))
    error = np.abs(again.pixels.astype(int) - photo.pixels).mean()
    assert error < 0.5 * np.abs(other.pixels.astype(int) - photo.pixels).mean()


def _transposed(table: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(number) for number in np.reshape(table, (8, 8)).T.ravel())


def test_a_cmyk_jpeg_becomes_rgb_and_says_so() -> None:
    data = saved(Image.fromarray(smooth()).convert("CMYK"), "JPEG", quality=95, icc_profile=SRGB)
    photo = photos.read(data)
    assert photo.mode == "RGB" and photo.icc is None and photo.jpeg is None
    assert "CMYK" in photo.notes[0]
    assert np.abs(photo.pixels.astype(int) - smooth()).mean() < 6


def test_what_phones_append_to_a_jpeg_is_not_an_animation() -> None:
    file = io.BytesIO()
    image = Image.fromarray(smooth())
    image.save(file, "MPO", save_all=True, append_images=[image.resize((16, 12))])
    with Image.open(io.BytesIO(file.getvalue())) as two:
        assert two.n_frames == 2  # type: ignore[attr-defined]
    photo = photos.read(file.getvalue())
    assert photo.format == "jpeg" and photo.pixels.shape == (48, 64, 3)
    assert photos.read(Image.open(io.BytesIO(file.getvalue()))).format == "jpeg"


# ----------------------------------------------------------------------------------------- modes of the source


def test_palettes_one_bit_and_transparent_colours_become_plain_modes(tmp_path: Path) -> None:
    image = Image.fromarray(smooth())
    palette = image.quantize(16)
    plain = photos.read(saved(palette, "PNG"))
    assert plain.mode == "RGB" and np.array_equal(plain.pixels, np.asarray(palette.convert("RGB")))
    clear = photos.read(saved(palette, "PNG", transparency=3))
    assert clear.mode == "RGBA" and clear.alpha is not None
    assert np.array_equal(clear.alpha == 0, np.asarray(palette) == 3)
    assert np.array_equal(clear.pixels, plain.pixels), "a transparent pixel lost its colour"
    partly = photos.read(saved(palette, "PNG", transparency=bytes(range(0, 160, 10))))
    assert partly.alpha is not None and set(np.unique(partly.alpha)) <= set(range(0, 160, 10)) | {255}
    bits = photos.read(saved(image.convert("1"), "PNG"))
    assert bits.mode == "L" and set(np.unique(bits.pixels)) == {0, 255}
    key = photos.read(saved(image, "PNG", transparency=tuple(int(v) for v in smooth()[5, 7])))
    assert key.mode == "RGBA" and key.alpha is not None and key.alpha[5, 7] == 0 and key.alpha[0, 0] == 255
    grey = photos.read(saved(image.convert("L"), "PNG", transparency=100))
    assert grey.mode == "LA" and grey.alpha is not None
    assert np.array_equal(grey.alpha == 0, grey.pixels[..., 0] == 100)
    gif = tmp_path / "one.gif"
    palette.save(gif)
    photo = photos.read(gif)
    assert (photo.format, photo.mode, photo.suffix) == ("png", "RGB", ".png") and photo.notes


def test_a_transparent_16_bit_colour_is_compared_at_16_bits() -> None:
    array = np.array([[[1000, 2, 3], [1001, 2, 3]]], np.uint16)
    photo = photos.read(raw_png(array, (b"tRNS", struct.pack(">HHH", 1000, 2, 3))))
    assert np.array_equal(photo.pixels, array) and photo.alpha is not None and photo.alpha.tolist() == [[0, 65535]]
    photo = photos.read(raw_png(array[..., 0], (b"tRNS", struct.pack(">H", 1001))))
    assert photo.mode == "LA" and photo.alpha is not None and photo.alpha.tolist() == [[65535, 0]]


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
def test_transparent_pixels_keep_their_colour(format: str) -> None:
    array = noise(12, 9, 4)
    array[::2, :, 3] = 0
    again = photos.read(photos.encode(photos.read(array), format=format))
    assert np.array_equal(photos.to_array(again), array)


def test_of_a_tiff_of_several_pages_the_first_is_read_and_the_loss_of_the_others_noted() -> None:
    frames = [Image.fromarray(noise(8, 8, 3, seed=i)) for i in range(3)]
    photo = photos.read(saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    assert np.array_equal(photo.pixels, noise(8, 8, 3))
    assert photo.notes == ("Only the first of its 3 pages was read; the others are not written.",)


def test_a_tiff_whose_chain_of_pages_is_broken_or_holds_a_preview_is_one_photo() -> None:
    array = noise(6, 7, 3)
    data = photos.encode(photos.read(array), format="tiff")
    page = directory(data)
    for pointer in (page.next_place - 2 - 12 * len(page.entries), 2**31):  # to itself, to nowhere
        looped = data[: page.next_place] + struct.pack("<I", pointer) + data[page.next_place + 4 :]
        assert np.array_equal(photos.read(looped).pixels, array)
    file = io.BytesIO()
    preview = Image.fromarray(array).resize((3, 3))
    preview.encoderinfo = {"tiffinfo": {tags.SUBFILE_TYPE: 1}}
    Image.fromarray(array).save(file, "TIFF", save_all=True, append_images=[preview])
    assert np.array_equal(photos.read(file.getvalue()).pixels, array)


def test_webp_stays_lossless_or_lossy_as_it_was() -> None:
    image = Image.fromarray(noise(20, 30, 3))
    lossless = photos.read(saved(image, "WEBP", lossless=True))
    lossy = photos.read(saved(image, "WEBP", quality=80))
    assert not lossless.lossy and lossy.lossy
    assert same(photos.read(photos.encode(lossless)), lossless)
    assert photos.read(photos.encode(lossy)).lossy
    assert photos.read(photos.encode(lossless, quality=80)).lossy


def test_a_grey_profile_does_not_reach_a_file_of_rgb() -> None:
    grey = SRGB[:16] + b"GRAY" + SRGB[20:]
    photo = replace(photos.read(noise(5, 6, 1)), icc=grey)
    assert photos.read(photos.encode(photo, format="webp")).icc is None
    assert photos.read(photos.encode(photo, format="png")).icc == grey


# ---------------------------------------------------------------------------------- arrays, tensors, PIL images


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_and_tensors_of_every_promised_type_give_the_same_photo(channels: int) -> None:
    array = noise(5, 7, channels)
    whole = array if channels > 1 else array[..., None]
    sources = [
        array,
        whole,
        (array / 255).astype(np.float32),
        array / 255.0,
        np.asfortranarray(array),
        torch.from_numpy(whole).permute(2, 0, 1),
        torch.from_numpy(whole).permute(2, 0, 1)[None] / 255.0,
        Image.fromarray(array),
        photos.encode(photos.read(array)),
        io.BytesIO(photos.encode(photos.read(array))),
        photos.read(array),
    ]
    for source in sources:
        photo = photos.read(source)
        assert np.array_equal(photos.to_array(photo), array), type(source)
        assert photo.mode == ("L", "LA", "RGB", "RGBA")[channels - 1] and photo.format == "png"


def test_bool_16_bit_and_bfloat16_sources_are_understood() -> None:
    hole = np.eye(5, dtype=bool)
    assert np.array_equal(photos.to_array(photos.read(hole)), hole * np.uint8(255))
    assert np.array_equal(photos.to_array(photos.read(torch.from_numpy(hole))), hole * np.uint8(255))
    deep = noise(5, 7, 3, 16)
    assert np.array_equal(photos.read(deep.astype(">u2")).pixels, deep)
    assert photos.read(torch.from_numpy(deep).permute(2, 0, 1)).depth == 16
    assert photos.read(torch.ones(3, 4, 5, dtype=torch.bfloat16, requires_grad=True)).pixels.min() == 255
    assert np.array_equal(photos.read(Image.fromarray(deep[..., 0])).pixels[..., 0], deep[..., 0])
    assert np.array_equal(photos.read(Image.open(io.BytesIO(raw_png(deep)))).pixels, deep), "PIL narrowed it"


def test_a_photo_shares_no_memory_with_its_source() -> None:
    array = noise(5, 7, 3)
    photo = photos.read(array)
    array[:] = 0
    assert photo.pixels.any()


@pytest.mark.parametrize("depth", [8, 16])
def test_the_image_holds_every_value_exactly(depth: int) -> None:
    values = np.arange(1 << depth, dtype=np.uint8 if depth == 8 else np.uint16).reshape(-1, 16)
    photo = photos.read(np.stack([values, values[::-1], values], 2))
    image = photos.to_image(photo)
    assert image.shape == (1, 3, *values.shape) and image.dtype == torch.float32
    assert float(image.min()) == 0 and float(image.max()) == 1
    hole = np.ones(values.shape, bool)
    back = photos.paste(photo, image[0].permute(1, 2, 0).numpy(), hole)
    assert np.array_equal(back.pixels, photo.pixels)


def test_to_pil_keeps_the_mode_and_narrows_16_bits_by_rounding() -> None:
    for channels, mode in enumerate(photos.MODES, 1):
        array = noise(5, 7, channels)
        image = photos.to_pil(photos.read(array))
        assert image.mode == mode and np.array_equal(np.asarray(image), array)
    kept = replace(photos.read(smooth()), icc=SRGB, exif=exif_block(), dpi=(72.0, 72.0))
    assert photos.to_pil(kept).info == {"icc_profile": SRGB, "exif": kept.exif, "dpi": (72.0, 72.0)}
    deep = np.array([[[0, 128, 129], [65535, 65407, 65406]]], np.uint16)
    assert np.asarray(photos.to_pil(photos.read(deep))).tolist() == [[[0, 0, 1], [255, 255, 254]]]
    assert np.array_equal(np.asarray(photos.to_pil(photos.read(deep[..., 0]))), deep[..., 0])


# ----------------------------------------------------------------------------------------------------- paste


@settings(deadline=None, max_examples=40)
@given(
    format=st.sampled_from(["png", "tiff"]),
    channels=st.integers(1, 4),
    depth=st.sampled_from([8, 16]),
    seed=st.integers(0, 999),
    data=st.data(),
)
def test_known_pixels_and_alpha_are_bit_identical_through_read_paste_write_read(
    format: str, channels: int, depth: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(1, 30)), int(rng.integers(1, 30))
    photo = photos.read(photos.encode(photos.read(noise(height, width, channels, depth, seed)), format=format))
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    top, left = data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w))
    hole = rng.random((h, w)) < rng.random()
    fill = rng.normal(0.5, 0.4, (h, w, 3)).astype(np.float32)  # some of it out of range
    before = photo.pixels.copy()
    done = photos.paste(photo, fill, hole, top=top, left=left)
    assert np.array_equal(photo.pixels, before), "paste wrote into its argument"
    again = photos.read(photos.encode(done))
    known = np.ones((height, width), bool)
    known[top : top + h, left : left + w] = ~hole
    assert np.array_equal(again.pixels[known], before[known])
    assert same(done, again)
    assert again.mode == photo.mode
    if photo.alpha is not None:
        assert again.alpha is not None and np.array_equal(again.alpha, photo.alpha)
    if channels >= 3 and hole.any():
        wanted = np.clip(fill[hole].astype(np.float64), 0, 1) * ((1 << depth) - 1)
        assert np.abs(again.pixels[~known] - wanted).max() <= 0.5 + 0.01


def test_a_fill_of_nonsense_outside_the_hole_is_never_looked_at() -> None:
    photo = photos.read(noise(4, 4, 3))
    fill = np.full((4, 4, 3), np.nan, np.float32)
    hole = np.zeros((4, 4), bool)
    hole[1, 2] = True
    fill[1, 2] = 0.5
    done = photos.paste(photo, fill, hole)
    assert done.pixels[1, 2].tolist() == [128, 128, 128]
    assert np.array_equal(done.pixels[~hole], photo.pixels[~hole])


def test_a_grey_photo_stays_grey_under_a_coloured_fill() -> None:
    photo = photos.read(noise(4, 4, 1))
    done = photos.paste(photo, np.tile(np.float32([1, 0, 0]), (4, 4, 1)), np.ones((4, 4), bool))
    assert done.mode == "L" and np.all(done.pixels == 76)  # 0.299 of 255


# ---------------------------------------------------------------------------------------------------- errors


def _damaged() -> dict[str, bytes]:
    image = Image.fromarray(noise(40, 40, 3))
    frames = [Image.fromarray(noise(8, 8, 3, seed=i)) for i in range(3)]
    grow = {"save_all": True, "append_images": frames[1:]}
    jpeg, png, tiff = (saved(image, format) for format in ("JPEG", "PNG", "TIFF"))
    deep = raw_png(noise(40, 40, 3, 16))
    deep_tiff = photos.encode(photos.read(noise(40, 40, 3, 16)), format="tiff")
    flipped = bytearray(deep)
    flipped[len(deep) // 2] ^= 255
    return {
        "empty": b"",
        "text": b"this is not a photo",
        "pdf": b"%PDF-1.7 ...",
        "jpeg header only": jpeg[:20],
        "half a jpeg": jpeg[: len(jpeg) // 2],
        "half a png": png[: len(png) // 2],
        "a png without its end": png[:-6],
        "half a webp": saved(image, "WEBP")[:500],
        "half a tiff": tiff[: len(tiff) // 2],
        "half a bmp": saved(image, "BMP")[:900],
        "half a 16-bit png": deep[: len(deep) // 2],
        "a 16-bit png with a flipped byte": bytes(flipped),
        "half a 16-bit tiff": deep_tiff[: len(deep_tiff) // 2],
        "a png of no size": png_file(
            [(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
        ),
        "an animated gif": saved(frames[0], "GIF", **grow),
        "an animated png": saved(frames[0], "PNG", **grow),
        "an animated webp": saved(frames[0], "WEBP", **grow),
        "a float tiff": saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"),
        "a 32-bit tiff": saved(Image.fromarray(np.zeros((4, 4), np.int32)), "TIFF"),
        "a lab tiff": saved(Image.new("LAB", (4, 4)), "TIFF"),
        "a camera's raw file": saved(frames[0], "TIFF", tiffinfo={tags.SUBFILE_TYPE: 1}),
        "a 16-bit cmyk tiff": _retagged(photos.encode(photos.read(noise(4, 4, 4, 16)), format="tiff"), 262, 5),
        "an unknown tiff compression": _retagged(deep_tiff, 259, 12345),
    }


def _retagged(tiff: bytes, tag: int, number: int) -> bytes:
    place = directory(tiff).entries[tag].place
    return tiff[:place] + struct.pack("<H", number) + tiff[place + 2 :]


DAMAGED = _damaged()


@pytest.mark.parametrize("what", DAMAGED)
def test_what_is_not_one_whole_still_photo_is_one_clear_line(what: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(DAMAGED[what])
    with pytest.raises(BadImage) as error:
        photos.read(path)
    text = str(error.value)
    assert text.startswith(str(path)) and text.endswith(".") and "\n" not in text and len(text) - len(str(path)) < 260
    with pytest.raises(BadImage):
        photos.read(DAMAGED[what])


def test_a_flipped_byte_in_a_png_is_found_before_it_reaches_a_decoder() -> None:
    with pytest.raises(BadImage, match="checksum of its IDAT chunk is wrong"):
        photos.read(DAMAGED["a 16-bit png with a flipped byte"])


def test_missing_files_folders_and_unknown_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match=r"no file .*gone\.png"):
        photos.read(tmp_path / "gone.png")
    with pytest.raises(BadImage, match="is a folder"):
        photos.read(str(tmp_path))
    with pytest.raises(BadImage, match="cannot be read"):
        photos.read("nul\0byte.png")
    with pytest.raises(BadImage, match="from int"):
        photos.read(7)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (np.zeros((3, 20, 20, 3), np.uint8), "HxW"),
        (np.zeros((3, 20, 21), np.uint8), "3x20x21"),
        (np.zeros((0, 20, 3), np.uint8), "no pixels"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.full((4, 4, 3), 255.0), "0 to 1"),
        (np.full((4, 4, 3), np.nan), "0 to 1"),
        (torch.zeros(2, 3, 4, 4), "batch of 2"),
        (torch.zeros(20, 20, 3), "CxHxW"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "int64"),
        (Image.fromarray(np.full((4, 4), 255.0, np.float32)), "0 to 1"),
        (Image.new("LAB", (4, 4)), "'LAB'"),
        (Image.new("RGB", (0, 5)), "no pixels"),
    ],
)
def test_arrays_of_another_kind_are_refused_in_words(source: object, says: str) -> None:
    with pytest.raises(BadImage, match=says):
        photos.read(source)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = png_file([(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")])
    with pytest.raises(TooLarge, match=r"60000x60000.*limit"):
        photos.read(bomb)
    photo = noise(20, 30, 3)
    sources: list[object] = [
        photo,
        Image.fromarray(photo),
        torch.from_numpy(photo).permute(2, 0, 1),
        photos.read(photo),
    ]
    sources += [
        saved(Image.fromarray(photo), format) for format in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
    ]
    sources += [raw_png(noise(20, 30, 3, 16)), photos.encode(photos.read(noise(20, 30, 3, 16)), format="tiff")]
    for source in sources:
        photos.read(source, max_pixels=600)
        with pytest.raises(TooLarge, match="30x20"):
            photos.read(source, max_pixels=599)


def test_a_photo_larger_than_pillows_own_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for format in ("PNG", "JPEG", "TIFF", "BMP", "GIF"):
        photos.read(saved(Image.fromarray(noise(20, 30, 3)), format))
    with pytest.raises(TooLarge, match="Pillow's own limit"):  # inside Pillow's reader; no WebP is that large anyway
        photos.read(saved(Image.fromarray(noise(20, 30, 3)), "WEBP"))


SEEDS = [
    saved(Image.fromarray(smooth(12, 16)), "JPEG", exif=exif_block(6, thumbnail=b"old"), xmp=XMP),
    saved(Image.fromarray(smooth(12, 16)), "PNG", exif=exif_block(3), icc_profile=SRGB[:60]),
    saved(Image.fromarray(smooth(12, 16)), "WEBP", lossless=True, exif=exif_block(8)),
    raw_png(noise(6, 5, 2, 16), (b"eXIf", exif_block(5))),
    photos.encode(replace(photos.read(noise(6, 5, 2, 16)), exif=exif_block(), xmp=XMP), format="tiff"),
    photos.encode(replace(photos.read(noise(6, 5, 4, 8)), exif=exif_block(), icc=SRGB), format="tiff"),
    saved(Image.fromarray(smooth(12, 16)), "BMP"),
    saved(Image.fromarray(smooth(12, 16)).quantize(8), "GIF"),
]


@settings(deadline=None, max_examples=150)
@given(
    which=st.integers(0, len(SEEDS) - 1),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.one_of(st.none(), st.floats(0, 1)),
)
def test_damage_is_either_survived_or_one_of_our_errors(
    which: int, changes: list[tuple[float, int]], cut: float | None
) -> None:
    data = bytearray(SEEDS[which])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    if cut is not None:
        data = data[: int(cut * len(data))]
    try:
        photo = photos.read(bytes(data), max_pixels=1_000_000)
    except ManyfillError as error:
        assert "\n" not in str(error)
        return
    for format in ("png", "tiff"):
        photos.encode(photo, format=format)


# ----------------------------------------------------------------------------------------------------- write


def test_the_suffix_says_the_format_and_may_not_lie(tmp_path: Path) -> None:
    photo = photos.read(smooth())
    for suffix, format in photos.SUFFIXES.items():
        if format == "heic":
            pytest.importorskip("pillow_heif")
        path = photos.write(photo, tmp_path / f"a{suffix.upper()}")
        again = photos.read(path)
        assert again.format == format and again.suffix == suffix.upper() and again.path == path
    assert photos.read(photos.write(photo, tmp_path / "bare")).format == "png"
    assert photos.read(photos.write(photo, tmp_path / "bare.xyz", format="jpg")).format == "jpeg"
    with pytest.raises(BadImage, match=r"\.gif .*Choose one of"):
        photos.write(photo, tmp_path / "a.gif")
    with pytest.raises(BadImage, match="suffix says png"):
        photos.write(photo, str(tmp_path / "lie.png"), format="jpeg")
    with pytest.raises(BadImage, match="'psd'"):
        photos.encode(photo, format="psd")
    assert not (tmp_path / "lie.png").exists()


def test_a_format_that_cannot_hold_the_photo_names_one_that_can(tmp_path: Path) -> None:
    clear, deep = photos.read(noise(4, 5, 4)), photos.read(noise(4, 5, 3, 16))
    with pytest.raises(BadImage, match=r"transparency.*Choose png"):
        photos.write(clear, tmp_path / "a.jpg")
    with pytest.raises(BadImage, match=r"transparency.*Choose png"):
        photos.write(clear, tmp_path / "a.bmp")
    with pytest.raises(BadImage, match=r"16 bits.*Choose png"):
        photos.write(deep, tmp_path / "a.jpg")
    with pytest.raises(BadImage, match="quality 101"):
        photos.encode(clear, quality=101)
    wide = photos.read(np.zeros((1, 16_384, 3), np.uint8))
    with pytest.raises(BadImage, match="16383"):
        photos.encode(wide, format="webp")
    assert list(tmp_path.iterdir()) == []
    opaque = noise(4, 5, 4)
    opaque[..., 3] = 255
    assert photos.read(photos.encode(photos.read(opaque), format="jpeg")).mode == "RGB"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_size_of_a_file_is_that_of_the_photo_in_it(format: str, orientation: int, tmp_path: Path) -> None:
    exif_tags = Image.Exif()
    exif_tags[tags.ORIENTATION] = orientation
    path = tmp_path / "photo"
    path.write_bytes(saved(Image.fromarray(smooth()), format, exif=exif_tags))
    photo = photos.read(path)
    assert photos.size_of(path) == (photo.height, photo.width) == ((48, 64) if orientation < 5 else (64, 48))


def test_the_size_of_what_is_no_photo_is_said_as_reading_says_it(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    for data in (b"", b"no photo"):
        path.write_bytes(data)
        with pytest.raises(BadImage) as read:
            photos.read(path)
        with pytest.raises(BadImage) as sized:
            photos.size_of(path)
        assert str(read.value) == str(sized.value)
    for what in ("half a jpeg", "half a png", "half a webp", "half a tiff", "a png of no size"):
        path.write_bytes(DAMAGED[what])
        photos.size_of(path)  # whatever it says, it says it without another error
    path.write_bytes(saved(Image.fromarray(smooth()), "BMP"))
    assert photos.size_of(path) is None


def test_sixteen_bits_are_rounded_to_eight() -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(photos.to_8_bits(every), np.rint(every / 257))
    narrow = photos.to_8_bits(every).astype(np.uint8)
    assert photos.to_8_bits(narrow) is narrow
