"""What numbers mean as colours survives every format: code points, gamma, primaries and profiles agree."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from manyfill import photos
from manyfill.photos import colour
from manyfill.photos.png import png_file

P3, PQ = (12, 13), (9, 16)
# Linear Display P3 to linear sRGB: the product of both standards' matrices, from CSS Color 4.
P3_TO_SRGB = np.array(
    [[1.2249401763, -0.2249401763, 0.0], [-0.0420569547, 1.0420569547, 0.0], [-0.0196375546, -0.0786360456, 1.0982736]]
)
PIXELS = np.array([[[128, 128, 128], [200, 120, 90], [110, 140, 105], [255, 255, 255], [90, 60, 110]]], np.uint8)


def shown(pixels: NDArray[np.uint8], icc: bytes | None) -> NDArray[np.int64]:
    """The sRGB that a colour-managed program shows."""
    if icc is None:
        return pixels.astype(int)
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    goal = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), source, goal, renderingIntent=intent)).astype(
        int
    )


def srgb_of_p3(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    value = pixels / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) @ P3_TO_SRGB.T
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_a_profile_of_code_points_shows_what_the_standards_say() -> None:
    icc = colour.profile(replace(photos.read(PIXELS), cicp=P3))
    assert np.abs(shown(PIXELS, icc) - srgb_of_p3(PIXELS)).max() <= 1
    plain = colour.icc_of(colour.SRGB_PRIMARIES, colour.CURVES[13])
    assert np.abs(shown(PIXELS, plain) - PIXELS).max() <= 1
    assert colour.profile(replace(photos.read(PIXELS), cicp=(1, 13))) is None


def heic(cicp: tuple[int, int]) -> bytes:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    file = io.BytesIO()
    about = {"color_primaries": cicp[0], "transfer_characteristics": cicp[1]}
    Image.fromarray(np.repeat(np.repeat(PIXELS, 32, 0), 32, 1)).save(file, "HEIF", quality=100, chroma=444, **about)
    return file.getvalue()


def avif(cicp: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.repeat(np.repeat(PIXELS, 32, 0), 32, 1)).save(file, "AVIF", quality=95, subsampling="4:4:4")
    data = file.getvalue()
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", *cicp) + data[at + 4 :]


@pytest.mark.parametrize("make", [heic, avif])
@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp", "heic", "avif"])
def test_display_p3_of_a_phone_is_shown_alike_from_every_format(make: object, format: str) -> None:
    if format == "heic":
        pytest.importorskip("pillow_heif")
    assert callable(make)
    photo = photos.read(make(P3))
    assert photo.cicp == P3 and photo.icc is None
    again = photos.read(photos.encode(photo, format=format))
    middle = slice(16, None, 32)
    expected = srgb_of_p3(photo.pixels[middle, middle])
    assert (
        np.abs(shown(np.ascontiguousarray(again.pixels[middle, middle]), colour.profile(again)) - expected).max() < 12
    )
    assert not any("colours" in note for note in photos.notes(photo, format=format))
    assert again.cicp == P3 or again.icc is not None


@pytest.mark.parametrize("make", [heic, avif])
def test_plain_code_points_are_no_profile(make: object) -> None:
    assert callable(make)
    photo = photos.read(make((1, 13)))
    assert photo.cicp is None and colour.profile(photo) is None


def test_hdr_code_points_are_kept_where_a_format_has_them_and_noted_elsewhere() -> None:
    photo = photos.read(heic(PQ))
    assert photo.cicp == PQ
    for format in ("png", "heic"):
        assert photos.read(photos.encode(photo, format=format)).cicp == PQ
        assert not any("PQ" in note for note in photos.notes(photo, format=format))
    for format in ("jpeg", "tiff", "webp", "avif", "bmp"):
        assert any("PQ" in note for note in photos.notes(photo, format=format)), format


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    packed = zlib.compress(b"\0" + PIXELS.tobytes())
    header = (b"IHDR", struct.pack(">IIBBBBB", PIXELS.shape[1], 1, 8, 2, 0, 0, 0))
    return png_file([header, *chunks, (b"IDAT", packed), (b"IEND", b"")])


GAMMA_1 = (b"gAMA", struct.pack(">I", 100_000))
GAMMA_SRGB = (b"gAMA", struct.pack(">I", 45_455))
CHROMA_P3 = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
CHROMA_SRGB = (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))


def test_gamma_and_primaries_of_a_png_become_a_profile_elsewhere() -> None:
    linear = photos.read(png(GAMMA_1))
    jpeg = photos.read(photos.encode(linear, format="tiff"))
    value = PIXELS / 255
    expected = 255 * np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    assert np.abs(shown(jpeg.pixels, jpeg.icc) - expected).max() <= 1
    wide = photos.read(photos.encode(photos.read(png(GAMMA_SRGB, CHROMA_P3)), format="tiff"))
    assert np.abs(shown(wide.pixels, wide.icc) - srgb_of_p3(PIXELS)).max() <= 1
    for plain in ((GAMMA_SRGB, CHROMA_SRGB), (GAMMA_SRGB,), (CHROMA_SRGB,), ((b"sRGB", b"\0"), GAMMA_1)):
        assert photos.read(photos.encode(photos.read(png(*plain)), format="tiff")).icc is None


def test_colour_chunks_of_a_png_stay_as_they_were_in_a_png() -> None:
    chunks = [(b"cICP", bytes((12, 13, 0, 1))), GAMMA_SRGB, CHROMA_P3, (b"mDCV", bytes(24)), (b"cLLI", bytes(8))]
    written = photos.encode(photos.read(png(*chunks)))
    for name, content in chunks:
        assert struct.pack(">I", len(content)) + name + content in written
    assert b"iCCP" not in written
    narrow = photos.encode(photos.read(png((b"cICP", bytes((9, 16, 0, 0))))))  # of another range than we write
    assert b"cICP" + bytes((9, 16, 0, 0)) in narrow


@pytest.mark.parametrize(
    "points",
    [((0.3, 0.3),) * 4, ((0.0, 0.0),) * 4, (*colour.SRGB_PRIMARIES[:3], (0.3, 0.0)), ((1e4, 1e4),) * 4],
)
def test_primaries_that_span_no_colours_are_no_profile(points: tuple[colour.Point, ...]) -> None:
    assert colour.icc_of(points, colour.CURVES[13]) is None  # type: ignore[arg-type]
