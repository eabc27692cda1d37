"""Photo files: path, bytes, PIL image, array or tensor to Photo, Photo to image tensor, and Photo to file.

The only place that understands files. What a Photo was read with, it is written with: depth, colour model, alpha,
ICC profile, EXIF, XMP, resolution, JPEG tables. Pixels outside a pasted hole are bit-identical through read, paste,
write and read wherever the format is lossless (PNG, TIFF, BMP, WebP of a lossless source).

Pillow decodes and encodes 8 bits; OpenCV 16-bit PNG and TIFF, which Pillow narrows to 8; metadata never passes through
OpenCV, which drops it. PNG and TIFF go through either strip by strip, and a fill is laid over each strip as it is
written: no copy of the photo is made. So are JPEGs written, but decoded whole: neither library does it in parts.
"""

from __future__ import annotations

import io
import math
import os
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from manyfill import containers
from manyfill.errors import BadImage, TooLarge
from manyfill.files import sweep as sweep
from manyfill.files import write_atomic as write_atomic

if TYPE_CHECKING:
    from torch import Tensor

Pixels: TypeAlias = NDArray[Any]  # uint8 or uint16
Lay: TypeAlias = Callable[
    [Pixels, int], None
]  # changes rows (h,W,3) of a photo, from the row of that number on, in place

SUFFIXES: dict[str, str] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".dib": "bmp",
    ".heic": "heic",
    ".heif": "heic",
    ".avif": "avif",
}
"""What a file name's suffix (in lower case) says about the format to write; the first of a format is its usual one."""

FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
ALIASES = {"jpg": "jpeg", "tif": "tiff", "heif": "heic"}
MODES = ("L", "LA", "RGB", "RGBA")
MAX_PIXELS = 500_000_000
LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "avif": 65_536, "heic": 16_384}
QUALITY = {"jpeg": 95, "webp": 90, "heic": 90, "avif": 90}  # where the user names none and the source gives no hint
PNG_LEVEL = 4  # zlib: as small as Pillow's default of 6 on photos and a quarter faster
TIFF_LEVEL = 4
TIFF_COMPRESSIONS = (1, 5, 8, 32773, 32946)  # none, LZW, Deflate, PackBits, old Deflate
TIFF_DECODED = (  # tags that say how pixels are stored
    containers.IMAGE_WIDTH,
    containers.BITS_PER_SAMPLE,
    containers.COMPRESSION,
    containers.PHOTOMETRIC,
    containers.FILL_ORDER,
    containers.SAMPLES_PER_PIXEL,
    containers.PLANAR,
    containers.PREDICTOR,
    containers.COLOUR_MAP,
    containers.EXTRA_SAMPLES,
    containers.SAMPLE_FORMAT,
    containers.JPEG_TABLES,
    *containers.YCBCR,
)
SPOOLED = 16 << 20  # bytes of a TIFF's strips that are held in memory
STRIP_BYTES = 1 << 20
READING_IN_STRIPS, READING_AT_ONCE = 8, 14  # bytes a pixel of photo and mask, and of what decoding them takes
PREMULTIPLIED = "Premultiplied alpha was made straight; dark, nearly transparent colours are rounded."
JPEG_CODING = ("quality", "qtables", "subsampling")  # of the encoder's options: those that say how pixels are coded
METRE = 0.0254  # of an inch, for PNG's pixels per metre

# PNG chunks, other than those with a Photo field of their own, that say how the colours are meant or carry text.
PNG_KEPT = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tEXt", b"zTXt", b"iTXt")
PNG_PROFILES = (b"XML:com.adobe.xmp\0", b"Raw profile type ")  # texts that hold XMP, EXIF or ICC: fields of their own
PNG_SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}  # kind of PNG to samples a pixel; palettes are not among them
PNG_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"bKGD", b"hIST", b"sBIT")


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was coded, so that coding it again changes as little as it can."""

    tables: tuple[tuple[int, ...], ...]  # quantisation, 64 numbers each, row by row
    subsampling: int  # Pillow's: 0 = 4:4:4, 1 = 4:2:2, 2 = 4:2:0
    progressive: bool = False
    segments: bytes = b""  # IPTC captions and the comment, as they lie in the file


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo, upright, with all that is needed to write it back as it was.

    Treat the arrays as read-only; `paste` and `dataclasses.replace` make new photos.
    """

    pixels: Pixels  # (H,W,3) RGB, uint8 or uint16, orientation already applied; grey: three equal channels
    alpha: Pixels | None = None  # (H,W) of the same dtype, straight (not premultiplied); None: the file had none
    format: str = "png"  # "jpeg" "png" "webp" "tiff" "bmp" "heic" "avif"
    mode: str = "RGB"  # colour model to write back, one of MODES
    icc: bytes | None = None
    exif: bytes | None = None  # TIFF structure without the "Exif" prefix, orientation 1, no thumbnail
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None  # (horizontal, vertical)
    path: Path | None = None  # where it was read from
    lossy: bool = False  # whether the file that it was read from had been compressed with loss
    jpeg: JpegCoding | None = None
    png_extras: tuple[tuple[bytes, bytes], ...] = ()  # (name, content): gamma, text and the like
    notes: tuple[str, ...] = field(default=())  # what reading could not keep, for people

    def __post_init__(self) -> None:
        """Asserts what every function here relies on."""
        assert self.pixels.ndim == 3 and self.pixels.shape[2] == 3, f"pixels are {self.pixels.shape}, not (H,W,3)"
        assert self.pixels.dtype in (np.uint8, np.uint16), f"pixels are {self.pixels.dtype}"
        assert self.mode in MODES and self.format in FORMATS, (self.mode, self.format)
        assert self.mode.endswith("A") == (self.alpha is not None), f"mode {self.mode} and alpha disagree"
        if self.alpha is not None:
            assert self.alpha.shape == self.pixels.shape[:2] and self.alpha.dtype == self.pixels.dtype

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def depth(self) -> int:
        """Bits per channel: 8 or 16."""
        return self.pixels.dtype.itemsize * 8

    @property
    def suffix(self) -> str:
        """A suffix for a file of the same format: the source's own where it tells the truth, such as ".JPG"."""
        if self.path is not None and SUFFIXES.get(self.path.suffix.lower()) == self.format:
            return self.path.suffix
        return next(suffix for suffix, name in SUFFIXES.items() if name == self.format)


@dataclass(kw_only=True)
class _Decoded:
    """What a decoder found, before orientation; `array` is (H,W), (H,W,2), (H,W,3) or (H,W,4)."""

    array: Pixels
    format: str
    orientation: int = 1
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    lossy: bool = False
    jpeg: JpegCoding | None = None
    png_extras: tuple[tuple[bytes, bytes], ...] = ()
    notes: list[str] = field(default_factory=list)


# -------------------------------------------------------------------------------------------------------- read


def read(source: Any, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decodes a photo, upright and at its own depth.

    `source`: a path; a file's bytes, or an open binary file; a PIL image; an array (H,W), (H,W,1|2|3|4) of uint8,
    uint16, bool, or float in [0,1] (which becomes 8 bits); a torch tensor (H,W), (C,H,W), (1,C,H,W); or a Photo.
    Raises BadImage for whatever is not one still photo, TooLarge (before decoding) over `max_pixels`.
    """
    if isinstance(source, Photo):
        _check_size("the photo", source.width, source.height, max_pixels)
        return source
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fspath(source))
        return _decode(_load(path), str(path), max_pixels, path)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), "the photo", max_pixels, None)
    if isinstance(source, Image.Image):
        return _from_pil(source, max_pixels)
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.Tensor):
        return _from_array(_array_of_tensor(source), max_pixels)
    if hasattr(source, "read"):
        return _decode(bytes(source.read()), "the photo", max_pixels, None)
    raise BadImage(
        f"a photo cannot be read from {type(source).__name__}. Give a path, bytes, a PIL image, an array or a tensor."
    )


def reading_cost(source: Any) -> int:
    """Bytes a pixel that reading this photo, and then its mask, takes at most; by the first bytes of its file."""
    head = b""
    if isinstance(source, (str, os.PathLike)):
        try:
            with open(source, "rb") as file:
                head = file.read(256)
        except (OSError, ValueError):  # reading will say so
            head = b""
    elif isinstance(source, (bytes, bytearray, memoryview)):
        head = bytes(source[:256])
    format = _sniff(head)
    if format == "png" and len(head) > 24:
        return READING_IN_STRIPS * (2 if head[24] == 16 else 1)
    return READING_IN_STRIPS if format == "jpeg" else READING_AT_ONCE


def _load(path: Path) -> bytes:
    """A file's bytes; BadImage in words for whatever the system says."""
    if path.is_dir():
        raise BadImage(f"{path} is a folder, not a photo. Give one file in it.")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadImage(f"there is no file {path}. Check the spelling.") from None
    except (OSError, ValueError) as error:
        raise BadImage(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    """Raises before anything of that size is decoded."""
    if width < 1 or height < 1:
        raise BadImage(f"{name} has no pixels ({width}x{height}, width x height).")
    if width * height > max_pixels:
        raise TooLarge(
            f"{name} is {width}x{height}, {width * height / 1e6:,.1f} million pixels; the limit is "
            f"{max_pixels / 1e6:,.1f} million. Make it smaller, or raise max_pixels if you trust it."
        )


def _sniff(data: bytes) -> str | None:
    """The format by the file's first bytes; a name tells nothing."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == containers.PNG_SIGNATURE:
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if data[:2] == b"BM":
        return "bmp"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if data[4:8] == b"ftyp":
        brands = data[8:12] + data[16 : min(int.from_bytes(data[:4], "big"), 256)]
        if b"avif" in brands or b"avis" in brands:
            return "avif"
        if any(brand in brands for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")):
            return "heic"
    return None


def _decode(data: bytes, name: str, max_pixels: int, path: Path | None) -> Photo:
    """A file's bytes to a Photo; every decoder's complaint becomes one line."""
    if not data:
        raise BadImage(f"{name} is empty (0 bytes).")
    format = _sniff(data)
    if format is None:
        raise BadImage(
            f"{name} is not a photo of a known format. Manyfill reads JPEG, PNG, WebP, TIFF, BMP, HEIC, AVIF."
        )
    with _in_words(name, f"a damaged or cut off {format.upper()} file"):
        decoded = _READERS[format](data, name, max_pixels)
    return _upright_photo(decoded, path)


@contextmanager
def _in_words(name: str, what: str) -> Iterator[None]:
    """One line for whatever a decoder raises; for damaged files that is anything: SyntaxError, IndexError ..."""
    try:
        yield
    except (BadImage, TooLarge):
        raise
    except Image.DecompressionBombError:  # Pillow's WebP reader has a limit of its own
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise TooLarge(f"{name} is over Pillow's own limit of {limit:,.0f} million pixels. Make it smaller.") from None
    except MemoryError:
        raise TooLarge(f"{name} does not fit into this machine's memory. Make it smaller.") from None
    except Exception as error:
        why = " ".join(str(error).split())[:120]
        raise BadImage(f"{name} is {what} ({why}). Save or download it again.") from error


def _upright_photo(decoded: _Decoded, path: Path | None = None) -> Photo:
    """Applies the orientation once, to pixels and to whatever names a width or an orientation."""
    turned = decoded.orientation >= 5
    array = _turn(decoded.array, decoded.orientation)
    pixels, alpha, mode = _split(array)
    jpeg = decoded.jpeg
    if turned and jpeg is not None:  # the blocks are turned, and so are the frequencies in them
        tables = tuple(tuple(np.reshape(table, (8, 8)).T.ravel().tolist()) for table in jpeg.tables)
        jpeg = replace(jpeg, tables=tables, subsampling=0 if jpeg.subsampling == 1 else jpeg.subsampling)
    return Photo(
        pixels=pixels,
        alpha=alpha,
        format=decoded.format,
        mode=mode,
        icc=decoded.icc or None,
        exif=containers.upright_exif(decoded.exif, turned=turned) if decoded.exif else None,
        xmp=containers.upright_xmp(decoded.xmp) if decoded.xmp else None,
        dpi=decoded.dpi[::-1] if turned and decoded.dpi else decoded.dpi,
        path=path,
        lossy=decoded.lossy,
        jpeg=jpeg,
        png_extras=decoded.png_extras,
        notes=tuple(decoded.notes),
    )


def _turn(array: Pixels, orientation: int) -> Pixels:
    """Pixels as stored to pixels as meant, EXIF 2.3's eight orientations."""
    turns: dict[int, Callable[[Any], Any]] = {
        2: lambda a: cv2.flip(a, 1),
        3: lambda a: cv2.rotate(a, cv2.ROTATE_180),
        4: lambda a: cv2.flip(a, 0),
        5: cv2.transpose,
        6: lambda a: cv2.rotate(a, cv2.ROTATE_90_CLOCKWISE),
        7: lambda a: cv2.rotate(cv2.transpose(a), cv2.ROTATE_180),
        8: lambda a: cv2.rotate(a, cv2.ROTATE_90_COUNTERCLOCKWISE),
    }
    if orientation not in turns:
        return array
    turned: Pixels = turns[orientation](np.ascontiguousarray(array))
    return turned.reshape(turned.shape[:2] + array.shape[2:])


def _split(array: Pixels) -> tuple[Pixels, Pixels | None, str]:
    """(H,W[,C]) to colour (H,W,3), alpha and mode."""
    channels = 1 if array.ndim == 2 else array.shape[2]
    mode = MODES[channels - 1]
    alpha = np.ascontiguousarray(array[..., -1]) if channels in (2, 4) else None
    if channels == 3:
        return np.ascontiguousarray(array), None, mode
    if channels == 4:
        return np.ascontiguousarray(array[..., :3]), alpha, mode
    grey = np.ascontiguousarray(array if array.ndim == 2 else array[..., 0])
    return np.broadcast_to(grey[..., None], (*grey.shape, 3)), alpha, mode  # one channel in memory, seen three times


def _refuse_several(name: str, number: int, what: str = "frames: it is animated") -> None:
    if number > 1:
        raise BadImage(f"{name} has {number} {what}. Save the one you mean as a PNG and give that.")


# ------------------------------------------------------------------------------------------ read: Pillow's part


def _array_of_pil(image: Image.Image, name: str, notes: list[str]) -> Pixels:
    """A loaded PIL image's pixels: palette to RGB(A), 1-bit to grey, CMYK to RGB, a transparent colour to alpha."""
    if image.mode in ("P", "PA", "RGBa", "La") or (image.mode in ("1", "L", "RGB") and "transparency" in image.info):
        if image.mode in ("RGBa", "La"):
            notes.append(PREMULTIPLIED)
        clear = image.mode != "P" or image.has_transparency_data
        if image.mode == "1":
            image = image.convert("L")
        image = image.convert({"L": "LA", "La": "LA"}.get(image.mode, "RGBA" if clear else "RGB"))
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode == "CMYK":
        image = _rgb_of_cmyk(image, notes)
    elif image.mode in ("YCbCr", "HSV", "RGBX"):
        image = image.convert("RGB")
    if image.mode in MODES:
        return _copied(image)
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "I":
        wide = np.asarray(image)
        if wide.size and wide.min() >= 0 and wide.max() <= 65_535:
            return wide.astype(np.uint16)
    raise BadImage(f"{name} has pixels of type {image.mode!r}. Convert it to 8 or 16 bits per channel, grey or RGB.")


def _copied(image: Image.Image) -> Pixels:
    """A PIL image's pixels; in strips, because Pillow makes two more copies of whatever it is asked for at once."""
    channels = len(image.getbands())
    array = np.empty((image.height, image.width, channels) if channels > 1 else (image.height, image.width), np.uint8)
    rows = max(1, STRIP_BYTES // (image.width * channels))
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        array[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return array


def _rgb_of_cmyk(image: Image.Image, notes: list[str]) -> Image.Image:
    """Through the file's own CMYK profile into sRGB where it has one, by the plain formula where it has none."""
    profile = image.info.pop("icc_profile", None)  # it speaks of CMYK: wrong for what is written
    notes.append("CMYK was converted to sRGB and is written as such.")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _dpi(found: object) -> tuple[float, float] | None:
    """Pillow's resolution as two finite positive floats, or nothing."""
    try:
        across, down = (float(number) for number in found)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    fine = all(math.isfinite(number) and 0 < number < 1e6 for number in (across, down))
    return (across, down) if fine else None


def _bytes(found: object) -> bytes | None:
    return found.encode() if isinstance(found, str) else bytes(found) if isinstance(found, (bytes, bytearray)) else None


def _exif_of_pil(image: Image.Image) -> bytes | None:
    """EXIF as Pillow holds it, raw where it can be."""
    raw = _bytes(image.info.get("exif"))
    if raw is None and "Raw profile type exif" in image.info:
        raw = image.getexif().tobytes()
    return raw.removeprefix(b"Exif\0\0") if raw else None


def _orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF (or XMP, where EXIF is silent) has it; 1 for anything else."""
    try:
        found = int(image.getexif().get(containers.ORIENTATION, 1))
    except (ValueError, TypeError, KeyError, SyntaxError, struct.error, OSError):
        return 1  # damaged EXIF: browsers show such a photo as it is stored
    return found if 1 <= found <= 8 else 1


def _of_pil(image: Image.Image, name: str, format: str, **more: Any) -> _Decoded:
    """A PIL image, loaded here, with Pillow's view of its metadata."""
    image.load()
    notes: list[str] = []
    info = image.info
    array = _array_of_pil(image, name, notes)
    return _Decoded(
        array=array,
        format=format,
        orientation=_orientation(image),
        icc=_bytes(info.get("icc_profile")),
        exif=_exif_of_pil(image),
        xmp=_bytes(info.get("xmp")),
        dpi=_dpi(info.get("dpi")),
        notes=notes,
        **more,
    )


def _from_pil(image: Image.Image, max_pixels: int) -> Photo:
    """A PIL image of the user's; one that is still unread is read here, so that 16 bits stay 16."""
    _check_size("the photo", image.width, image.height, max_pixels)
    format = {"MPO": "JPEG", "DIB": "BMP", "HEIF": "HEIC"}.get(image.format or "", image.format or "").lower()
    if isinstance(image, ImageFile.ImageFile) and ";16" in str(image.tile) and image.fp is not None:
        place = image.fp.tell()
        image.fp.seek(0)
        data = image.fp.read()
        image.fp.seek(place)
        return _decode(data, "the photo", max_pixels, None)
    with _in_words("the photo", "damaged or cut off"):
        decoded = _of_pil(image, "the photo", format if format in FORMATS else "png", lossy=format in QUALITY)
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            decoded.jpeg = _jpeg_coding(image)
    return _upright_photo(decoded)


def _jpeg_coding(image: JpegImagePlugin.JpegImageFile) -> JpegCoding | None:
    """The coding that `quality=None` repeats; None for CMYK and the like, which are written in other colours."""
    if image.layers not in (1, 3) or (image.layers == 3 and image.info.get("adobe_transform") == 0):
        return None
    tables = tuple(tuple(image.quantization[key]) for key in sorted(image.quantization))
    if not tables or any(len(table) != 64 for table in tables):
        return None
    sampling = JpegImagePlugin.get_sampling(image)
    segments = b""
    for marker, content in image.applist:
        if marker == "APP13":
            content = containers.iptc_only(content)
        if marker in ("APP13", "COM") and content:
            segments += (
                (b"\xff\xed" if marker == "APP13" else b"\xff\xfe") + struct.pack(">H", len(content) + 2) + content
            )
    return JpegCoding(
        tables=tables,
        subsampling=sampling if sampling >= 0 else 0,
        progressive=bool(image.info.get("progressive") or image.info.get("progression")),
        segments=segments,
    )


def _read_jpeg(data: bytes, name: str, max_pixels: int) -> _Decoded:
    # JpegImageFile, not Image.open: phones append gain maps and depth, which Pillow would take for frames (MPO)
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    _check_size(name, image.width, image.height, max_pixels)
    return _of_pil(image, name, "jpeg", lossy=True, jpeg=_jpeg_coding(image))


def _read_webp(data: bytes, name: str, max_pixels: int) -> _Decoded:
    _check_size(name, *containers.webp_size(data), max_pixels)  # Pillow makes room for all of it on opening
    image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    _refuse_several(name, image.n_frames)
    return _of_pil(image, name, "webp", lossy=not containers.webp_is_lossless(data))


def _read_bmp(data: bytes, name: str, max_pixels: int) -> _Decoded:
    image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    _check_size(name, image.width, image.height, max_pixels)
    return _of_pil(image, name, "bmp")


def _read_gif(data: bytes, name: str, max_pixels: int) -> _Decoded:
    image = GifImagePlugin.GifImageFile(io.BytesIO(data))
    _check_size(name, image.width, image.height, max_pixels)
    _refuse_several(name, image.n_frames)
    decoded = _of_pil(image, name, "png")
    decoded.notes.append("A GIF's 256 colours cannot hold a fill: it is written as PNG.")
    return decoded


def _plugin(format: str) -> Callable[[io.BytesIO], ImageFile.ImageFile] | None:
    """Pillow's reader of HEIC or AVIF, where this installation has one."""
    Image.init()
    key = {"heic": "HEIF", "avif": "AVIF"}[format]
    if key not in Image.OPEN:
        try:
            import pillow_heif
        except ImportError:
            return None
        register = getattr(pillow_heif, f"register_{key.lower()}_opener", None)
        if register is not None:
            register()
    return Image.OPEN[key][0] if key in Image.OPEN else None  # type: ignore[return-value]


def _read_plugged(format: str) -> Callable[[bytes, str, int], _Decoded]:
    def read_plugged(data: bytes, name: str, max_pixels: int) -> _Decoded:
        factory = _plugin(format)
        if factory is None:
            raise BadImage(f"{name} is {format.upper()}, which needs one more package: pip install pillow-heif.")
        image = factory(io.BytesIO(data))
        _check_size(name, image.width, image.height, max_pixels)
        if format == "avif":  # a HEIC's further pictures are bursts and depth; its primary one is what is shown
            _refuse_several(name, getattr(image, "n_frames", 1))
        decoded = _of_pil(image, name, format, lossy=True)
        if int(image.info.get("bit_depth", 8)) > 8:
            decoded.notes.append(f"Its {image.info['bit_depth']} bits were read as 8.")
        return decoded

    return read_plugged


# ------------------------------------------------------------------------------------- read: PNG and TIFF, 16-bit


def _read_png(data: bytes, name: str, max_pixels: int) -> _Decoded:
    width, height, bits, kind = struct.unpack(">IIBB", data[16:26])
    interlaced = data[28]
    _check_size(name, width, height, max_pixels)
    chunks = list(containers.png_chunks(memoryview(data)))
    if any(chunk == b"acTL" for chunk, _ in chunks):
        frames = sum(chunk == b"fcTL" for chunk, _ in chunks)
        _refuse_several(name, frames)
    around = [(chunk, bytes(content)) for chunk, content in chunks if chunk not in PNG_PIXELS]
    extras = tuple(
        (chunk, content) for chunk, content in around if chunk in PNG_KEPT and not content.startswith(PNG_PROFILES)
    )
    key = next((bytes(content) for chunk, content in chunks if chunk == b"tRNS"), None)
    in_strips = bits in (8, 16) and kind in PNG_SAMPLES and interlaced == 0 and key is None
    if bits != 16 and not in_strips:
        return _of_pil(PngImagePlugin.PngImageFile(io.BytesIO(data)), name, "png", png_extras=extras)
    # Pillow tells the metadata, from the same file around a single pixel.
    stub = containers.png_file(
        [
            (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
            *around,
            (b"IDAT", zlib.compress(b"\0\0")),
            (b"IEND", b""),
        ]
    )
    decoded = _of_pil(PngImagePlugin.PngImageFile(io.BytesIO(stub)), name, "png", png_extras=extras)
    if in_strips:
        decoded.array = _png_in_strips([content for chunk, content in chunks if chunk == b"IDAT"], data[16:26])
        return decoded
    array = _opencv(containers.png_file([(chunk, content) for chunk, content in chunks if chunk in PNG_PIXELS[:5]]))
    if kind == 4 and array.ndim == 3:  # OpenCV repeats the grey
        array = np.ascontiguousarray(array[..., [0, 3]])
    if kind == 0 and key is not None:  # OpenCV forgets a transparent grey
        grey = array if array.ndim == 2 else array[..., 0]
        array = np.dstack([grey, np.where(grey == int.from_bytes(key[:2], "big"), 0, 0xFFFF).astype(np.uint16)])
    if array.dtype != np.uint16 or array.shape[:2] != (height, width):
        raise ValueError("it was not decoded at 16 bits")
    decoded.array = array
    return decoded


def _png_in_strips(packed: Sequence[memoryview], header: bytes) -> Pixels:
    """The pixels of a PNG (`header`: its size, depth and kind) that is not interlaced, from its IDAT chunks.

    Each strip is shown to the decoder as a small PNG of its own, below the row above it.
    """
    width, height, bits, kind = struct.unpack(">IIBB", header)
    samples = PNG_SAMPLES[kind]
    array = np.empty((height, width, samples) if samples > 1 else (height, width), np.uint8 if bits == 8 else np.uint16)
    length = 1 + array[0].nbytes  # of a packed row: its filter, its samples
    rows = max(1, STRIP_BYTES // length)
    above = bytes(length)
    stream, left = zlib.decompressobj(), iter(packed)
    waiting, top = bytearray(), 0
    source: bytes | memoryview = b""
    while top < height:
        wanted = min(rows, height - top) * length
        while len(waiting) < wanted:
            source = source or next(left, b"")
            more = stream.decompress(source, wanted - len(waiting))
            if not more and not source:
                raise ValueError("the file is cut off")
            waiting += more
            source = stream.unconsumed_tail
        strip = _decode_png_rows(b"".join((above, waiting)), width, bits, kind)[1:]
        array[top : top + len(strip)] = strip
        above = b"\0" + strip[-1].astype(">u2" if bits == 16 else np.uint8).tobytes()
        top += len(strip)
        waiting.clear()
    return array


def _decode_png_rows(packed: bytes, width: int, bits: int, kind: int) -> Pixels:
    """Rows of a PNG as they lie in its stream, filters and all, as (h,W) or (h,W,C)."""
    seen_as = 6 if (bits, kind) == (16, 4) else kind  # 16-bit grey and alpha lie in a file exactly as 8-bit RGBA does
    bits_seen = 8 if seen_as != kind else bits
    height = len(packed) // (1 + width * PNG_SAMPLES[kind] * bits // 8)
    header = struct.pack(">IIBBBBB", width, height, bits_seen, seen_as, 0, 0, 0)
    body = zlib.compress(packed, 0)
    whole = containers.png_file([(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")])
    if bits == 16 and seen_as == kind:
        return _opencv(whole)
    with io.BytesIO(whole) as file:
        image = PngImagePlugin.PngImageFile(file)
        array = _copied(image)
        image.close()
    return array.view(">u2").astype(np.uint16) if seen_as != kind else array


def _opencv(data: bytes) -> NDArray[np.uint16]:
    """OpenCV's decoder, RGB(A) order; ValueError where it gives up."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("its pixels cannot be decoded")
    if array.ndim == 3 and array.shape[2] in (3, 4):  # in place: a photo of 48 MP has 288 MB
        cv2.cvtColor(array, cv2.COLOR_BGR2RGB if array.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=array)
    return array  # type: ignore[return-value]


def _read_tiff(data: bytes, name: str, max_pixels: int) -> _Decoded:
    pages = list(containers.directories(data))
    page = pages[0]
    if containers.DNG_VERSION in page.entries or page.number(containers.SUBFILE_TYPE, 0) & 1:
        raise BadImage(f"{name} is a camera's raw file. Develop it to TIFF, PNG or JPEG first.")
    width, height = page.number(containers.IMAGE_WIDTH, 0), page.number(containers.IMAGE_LENGTH, 0)
    _check_size(name, width, height, max_pixels)
    whole = sum(not other.number(containers.SUBFILE_TYPE, 0) & 1 for other in pages)
    _refuse_several(name, whole, "pages")
    bits, kinds = page.numbers(containers.BITS_PER_SAMPLE, (1,)), page.numbers(containers.SAMPLE_FORMAT, (1,))
    if len({*bits}) > 1 or bits[0] not in (1, 2, 4, 8, 16) or any(kind not in (1, 4) for kind in kinds):
        sort = {2: "signed", 3: "floating-point"}.get(kinds[0], "integer")
        raise BadImage(f"{name} holds {bits[0]}-bit {sort} samples. Convert it to 8 or 16 bits per channel.")
    notes: list[str] = []
    extra, samples = page.number(containers.EXTRA_SAMPLES, 2), page.number(containers.SAMPLES_PER_PIXEL, 1)
    unexplained = extra == 0 and samples == 4 and page.number(containers.PHOTOMETRIC, 1) == 2
    icc = page.raw(containers.ICC)
    if bits[0] == 16:
        array: Pixels = _tiff16(data, page, name)
    else:
        straight = {containers.EXTRA_SAMPLES: containers.shorts(page.order, 2)}  # as other programs take it
        found = _tiff_in_strips(data, page, lambda part: _pil_tiff(part, name), straight if unexplained else {})
        if found is not None:
            array = found
        else:
            known = _patched(data, page, containers.ORIENTATION, 1)  # Pillow would turn it, we turn everything alike
            if unexplained:
                known = _patched(known, page, containers.EXTRA_SAMPLES, 2)
            image = _Tiff(io.BytesIO(known))
            image.load()
            array = _array_of_pil(image, name, notes)
            icc = _bytes(image.info.get("icc_profile"))  # CMYK's is gone by now
    if unexplained and not array[..., -1].any():
        array = array[..., :-1]  # no alpha after all: the photo would be invisible
    if extra == 1:
        notes.append(PREMULTIPLIED)
    if array.shape[:2] != (height, width):
        raise ValueError("its size and its pixels disagree")
    across, down = page.ratio(containers.X_RESOLUTION), page.ratio(containers.Y_RESOLUTION)
    unit = {2: 1.0, 3: 2.54}.get(page.number(containers.RESOLUTION_UNIT, 2), 0.0)
    turn = page.number(containers.ORIENTATION, 1)
    turn = turn if 1 <= turn <= 8 else 1
    xmp = page.raw(containers.XMP)
    return _Decoded(
        array=array,
        format="tiff",
        orientation=turn,
        icc=icc,
        exif=containers.exif_of_tiff(data, page),
        xmp=xmp.rstrip(b"\0") if xmp else None,
        dpi=_dpi((across * unit, down * unit)) if across and down else None,
        lossy=page.number(containers.COMPRESSION, 1) in (6, 7, 34892, 50001),
        notes=notes,
    )


class _Tiff(TiffImagePlugin.TiffImageFile):
    """Pillow's reader without its check of the size, which was made before, against our limit."""

    def load_prepare(self) -> None:
        """Makes room for the pixels."""
        ImageFile.ImageFile.load_prepare(self)


def _pil_tiff(data: bytes, name: str) -> Pixels:
    with io.BytesIO(data) as file:  # closed, for Pillow's readers refer to themselves and would be kept for a while
        image = _Tiff(file)
        image.load()
        array = _array_of_pil(image, name, [])
        image.close()
    return array


def _tiff_in_strips(
    data: bytes,
    page: containers.Directory,
    decode: Callable[[bytes], Pixels],
    replaced: Mapping[int, containers.Entry],
) -> Pixels | None:
    """The pixels of a TIFF in strips, a few of them at a time: each time the decoder is shown a small TIFF of them.

    `replaced`: tags to show it otherwise. None where the file is not laid out so, and has to be decoded at once.
    """
    order, height = page.order, page.number(containers.IMAGE_LENGTH, 0)
    offsets, counts = page.numbers(containers.STRIP_OFFSETS), page.numbers(containers.STRIP_SIZES)
    samples = page.number(containers.SAMPLES_PER_PIXEL, 1)
    bits = page.number(containers.BITS_PER_SAMPLE, 1)
    length = -(-page.number(containers.IMAGE_WIDTH, 0) * samples * bits // 8)  # bytes of a row
    rows = min(page.number(containers.ROWS_PER_STRIP, height), height)
    fits = page.number(containers.PLANAR, 1) == 1 and page.number(containers.EXTRA_SAMPLES, 2) != 1
    if not fits or containers.TILE_OFFSETS in page.entries or page.number(containers.PHOTOMETRIC, 1) > 6:
        return None
    if page.number(containers.PHOTOMETRIC, 1) == 5:  # CMYK: its profile counts
        return None
    if len(offsets) == 1 and page.number(containers.COMPRESSION, 1) == 1:  # one strip, but its rows can be told apart
        rows = max(1, STRIP_BYTES // length)
        starts = range(0, height, rows)
        offsets = tuple(offsets[0] + top * length for top in starts)
        counts = tuple(min(rows, height - top) * length for top in starts)
    if len(offsets) < 2 or not len(offsets) == len(counts) == -(-height // rows):
        return None
    if any(start + count > len(data) for start, count in zip(offsets, counts, strict=True)):
        raise ValueError("the file is cut off")
    shown = {tag: page.entries[tag] for tag in TIFF_DECODED if tag in page.entries} | dict(replaced)
    together = max(1, 4 * STRIP_BYTES // (rows * length))
    view, array, top = memoryview(data), None, 0
    for first in range(0, len(offsets), together):
        strips = [view[offsets[k] : offsets[k] + counts[k]] for k in range(first, min(first + together, len(offsets)))]
        places = [8, *(8 + int(end) for end in np.cumsum([len(strip) for strip in strips]))]
        at = places.pop()
        here = min(len(strips) * rows, height - top)
        entries = shown | {
            containers.IMAGE_LENGTH: containers.longs(order, here),
            containers.ROWS_PER_STRIP: containers.longs(order, rows),
            containers.STRIP_OFFSETS: containers.longs(order, *places),
            containers.STRIP_SIZES: containers.longs(order, *(len(strip) for strip in strips)),
        }
        end = at + at % 2
        directory = containers.pack_directory(order, entries, end)
        part = decode(b"".join((containers.pack_header(order, end), *strips, b"\0" * (at % 2), directory)))
        if array is None:
            array = np.empty((height, *part.shape[1:]), part.dtype)
        if part.shape != (here, *array.shape[1:]) or part.dtype != array.dtype:
            raise ValueError("its strips are not alike")
        array[top : top + here] = part
        top += here
    return array


def _patched(data: bytes, page: containers.Directory, tag: int, number: int) -> bytes:
    """The file with another 16-bit number under a tag, where it has that tag."""
    entry = page.entries.get(tag)
    if entry is None or entry.kind != 3:
        return data
    return data[: entry.place] + struct.pack(page.order + "H", number) + data[entry.place + 2 :]


def _tiff16(data: bytes, page: containers.Directory, name: str) -> NDArray[np.uint16]:
    """16-bit samples through OpenCV, behind a directory of only what decoding needs.

    OpenCV knows neither grey with alpha nor separate planes: the first is shown to it as a grey picture of twice
    the width, the second as one grey picture per plane. It does not turn white-is-zero round either.
    """
    samples = page.number(containers.SAMPLES_PER_PIXEL, 1)
    colour = {0: 1, 1: 1, 2: 3}.get(page.number(containers.PHOTOMETRIC, 1))
    if colour is None or samples not in (colour, colour + 1):
        raise BadImage(f"{name} is a 16-bit TIFF that is neither grey nor RGB. Convert it to 16-bit RGB or to 8 bits.")
    order, width = page.order, page.number(containers.IMAGE_WIDTH, 0)
    tiled = containers.TILE_OFFSETS in page.entries
    where, sizes = (
        (containers.TILE_OFFSETS, containers.TILE_SIZES)
        if tiled
        else (containers.STRIP_OFFSETS, containers.STRIP_SIZES)
    )
    offsets, counts = page.numbers(where), page.numbers(sizes)
    if not offsets or len(offsets) != len(counts):
        raise ValueError("its strips are not listed")
    if any(start + count > len(data) for start, count in zip(offsets, counts, strict=True)):
        raise ValueError("the file is cut off")
    wide = containers.TILE_WIDTH if tiled else containers.IMAGE_WIDTH
    compression = page.number(containers.COMPRESSION, 1)
    if compression not in TIFF_COMPRESSIONS:
        raise BadImage(f"{name} is a 16-bit TIFF of compression {compression}. Save it with LZW, Deflate or none.")
    predicted = page.number(containers.PREDICTOR, 1) == 2 and compression not in (1, 32773)

    def grey_or_rgb(offsets: tuple[int, ...], counts: tuple[int, ...], samples: int, *, factor: int = 1) -> Any:
        entries = {
            tag: page.entries[tag]
            for tag in (
                containers.COMPRESSION,
                containers.FILL_ORDER,
                containers.ROWS_PER_STRIP,
                containers.TILE_WIDTH,
                containers.TILE_LENGTH,
            )
            if tag in page.entries
        }
        entries |= {
            containers.IMAGE_WIDTH: containers.longs(order, width * factor),
            containers.IMAGE_LENGTH: containers.longs(order, page.number(containers.IMAGE_LENGTH, 0)),
            containers.BITS_PER_SAMPLE: containers.shorts(order, *[16] * samples),
            containers.PHOTOMETRIC: containers.shorts(order, 1 if samples == 1 else 2),
            containers.SAMPLES_PER_PIXEL: containers.shorts(order, samples),
            where: containers.longs(order, *offsets),
            sizes: containers.longs(order, *counts),
        }
        if samples == 4:
            entries[containers.EXTRA_SAMPLES] = containers.shorts(order, 2)
        if factor > 1:
            entries[wide] = containers.longs(order, page.number(wide, 0) * factor)
        elif predicted:
            entries[containers.PREDICTOR] = containers.shorts(order, 2)
        at = len(data) + len(data) % 2
        return _opencv(
            containers.pack_header(order, at)
            + data[8:].ljust(at - 8, b"\0")
            + containers.pack_directory(order, entries, at)
        )

    if page.number(containers.PLANAR, 1) == 2 and samples > 1:
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
        shown = {containers.PHOTOMETRIC: containers.shorts(order, 1 if samples == 1 else 2)}
        if samples == 4:
            shown[containers.EXTRA_SAMPLES] = containers.shorts(order, 2)
        found = _tiff_in_strips(data, page, _opencv, shown)
        array = grey_or_rgb(offsets, counts, samples) if found is None else found
    if array.dtype != np.uint16 or array.shape[2:] != (() if samples == 1 else (samples,)):
        raise ValueError("it was not decoded at 16 bits")
    if page.number(containers.PHOTOMETRIC, 1) == 0:
        array[..., : None if array.ndim == 2 else 1] ^= 0xFFFF
    if samples == colour + 1 and page.number(containers.EXTRA_SAMPLES, 0) == 1:
        array = _straight(array)
    return array


def _straight(array: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Premultiplied colours divided by their alpha."""
    alpha = array[..., -1:].astype(np.float64)
    colour = np.minimum(array[..., :-1] * (65_535 / np.maximum(alpha, 1)), 65_535)
    return np.concatenate([np.rint(colour).astype(np.uint16), array[..., -1:]], axis=2)


_READERS: Mapping[str, Callable[[bytes, str, int], _Decoded]] = {
    "jpeg": _read_jpeg,
    "png": _read_png,
    "webp": _read_webp,
    "tiff": _read_tiff,
    "bmp": _read_bmp,
    "gif": _read_gif,
    "heic": _read_plugged("heic"),
    "avif": _read_plugged("avif"),
}


# ------------------------------------------------------------------------------------- read: arrays and tensors


def _array_of_tensor(tensor: Tensor) -> NDArray[Any]:
    """(H,W), (C,H,W) or (1,C,H,W) to (H,W[,C])."""
    given = "x".join(map(str, tensor.shape))
    if tensor.ndim == 4:
        if tensor.shape[0] != 1:
            raise BadImage(f"the tensor is a batch of {tensor.shape[0]} ({given}). Give one photo at a time.")
        tensor = tensor[0]
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and not 1 <= tensor.shape[0] <= 4):
        raise BadImage(f"the tensor is {given}; a photo is HxW, CxHxW or 1xCxHxW with 1 to 4 channels.")
    tensor = tensor.detach().cpu()
    tensor = tensor.float() if tensor.is_floating_point() else tensor
    array: NDArray[Any] = tensor.resolve_conj().numpy()
    return array if array.ndim == 2 else array.transpose(1, 2, 0)


def _from_array(array: NDArray[Any], max_pixels: int) -> Photo:
    """(H,W[,C]) of a known type; the Photo never shares memory with it."""
    given = "x".join(map(str, array.shape))
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        raise BadImage(f"the array is {given}; a photo is HxW or HxWxC with 1 to 4 channels.")
    _check_size("the array", array.shape[1], array.shape[0], max_pixels)
    if array.dtype == np.bool_:
        values = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype.kind == "u" and array.dtype.itemsize <= 2:  # of either byte order
        values = array.astype(array.dtype.newbyteorder("="), order="C")  # a copy
    elif np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= -1e-6 and high <= 1 + 1e-6):  # also what is not a number
            raise BadImage(f"the array's floats run from {low:g} to {high:g}, not from 0 to 1. Scale them.")
        values = _quantise(array, 255).astype(np.uint8)
    else:
        raise BadImage(f"the array is of {array.dtype}. Give uint8, uint16, bool, or float from 0 to 1.")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    return _upright_photo(_Decoded(array=values, format="png"))


def _quantise(values: NDArray[Any], top: int) -> NDArray[Any]:
    """[0,1] to the nearest of 0 .. top, still float."""
    rounded: NDArray[Any] = np.rint(np.clip(values, 0, 1) * top)
    return rounded


# ------------------------------------------------------------------------------------------ tensors, PIL, paste


def to_image(photo: Photo) -> Tensor:
    """The photo's colours as an image: (1,3,H,W) float32 in [0,1]."""
    import torch

    top = np.float32(np.iinfo(photo.pixels.dtype).max)
    planes = np.ascontiguousarray(photo.pixels.transpose(2, 0, 1), dtype=np.float32)  # always a copy: the dtype changes
    planes /= top
    return torch.from_numpy(planes)[None]


def to_array(photo: Photo) -> Pixels:
    """The photo in its own mode and depth: (H,W), (H,W,2), (H,W,3) or (H,W,4)."""
    colour = _grey(photo.pixels) if photo.mode in ("L", "LA") else photo.pixels
    if photo.alpha is None:
        return colour
    return np.dstack([colour, photo.alpha])


def _grey(pixels: Pixels) -> Pixels:
    """(H,W) luma, ITU-R 601; exact where the three channels are equal."""
    grey: Pixels = np.empty(pixels.shape[:2], pixels.dtype)
    rows = max(1, STRIP_BYTES // (pixels.shape[1] * 3 * pixels.itemsize))
    for top in range(0, len(grey), rows):
        grey[top : top + rows] = cv2.cvtColor(np.ascontiguousarray(pixels[top : top + rows]), cv2.COLOR_RGB2GRAY)
    return grey


def to_pil(photo: Photo) -> Image.Image:
    """The photo as a PIL image, upright, with its profile in `info`. 16 bits become 8, save in grey."""
    array = to_array(photo)
    if photo.depth == 16 and photo.mode != "L":
        narrow = np.empty(array.shape, np.uint8)
        rows = max(1, STRIP_BYTES // array[0].nbytes)
        for top in range(0, len(array), rows):  # strips: the sums are twice as wide as the photo
            narrow[top : top + rows] = (array[top : top + rows].astype(np.uint32) + 128) // 257
        array = narrow
    image = Image.fromarray(array)
    kept = {"icc_profile": photo.icc, "exif": photo.exif, "xmp": photo.xmp, "dpi": photo.dpi}
    image.info.update({key: value for key, value in kept.items() if value is not None})
    return image


def paste(photo: Photo, fill: NDArray[Any], hole: NDArray[np.bool_], *, top: int = 0, left: int = 0) -> Photo:
    """A new photo with the fill in the hole; every other bit, and all of alpha, stays.

    `fill`: float (h,w,3) in [0,1], rounded to the photo's depth; `hole`: bool (h,w). Both are the window whose upper
    left corner lies at (`top`, `left`) of the photo. A grey photo takes the fill's luma.
    """
    height, width = hole.shape
    assert hole.dtype == np.bool_ and fill.shape == (height, width, 3), (hole.dtype, hole.shape, fill.shape)
    assert 0 <= top <= photo.height - height and 0 <= left <= photo.width - width, "the window leaves the photo"
    colours = fill[hole].astype(np.float32)
    assert np.isfinite(colours).all(), "the fill is not finite"
    if photo.mode in ("L", "LA"):
        colours = (np.clip(colours, 0, 1) @ np.array([0.299, 0.587, 0.114], np.float32))[:, None]
    pixels = photo.pixels.copy()
    pixels[top : top + height, left : left + width][hole] = _quantise(colours, np.iinfo(pixels.dtype).max)
    return replace(photo, pixels=pixels)


# ------------------------------------------------------------------------------------------------------- write


def is_lossless(photo: Photo, *, format: str = "same", quality: int | None = None) -> bool:
    """Whether `encode` with these options keeps every pixel."""
    name = _format(photo, format)
    return name in ("png", "tiff", "bmp") or (name == "webp" and quality is None and not photo.lossy)


def encode(photo: Photo, *, format: str = "same", quality: int | None = None) -> bytes:
    """The photo as a file's bytes, with all metadata that the format can hold.

    `format`: one of FORMATS, or "same". `quality`: 1 to 100, for JPEG, WebP, HEIC and AVIF. None repeats a JPEG's
    own tables, and keeps WebP lossless unless the source was lossy; else JPEG 95, the others 90.
    Raises BadImage where the format cannot hold the photo's depth, transparency or size.
    """
    return b"".join(encode_parts(photo, format=format, quality=quality))


def encode_parts(
    photo: Photo, *, format: str = "same", quality: int | None = None, lay: Lay | None = None
) -> Iterator[bytes | memoryview]:
    """The bytes of `encode`, part by part; `lay` puts a fill over the photo's rows as they are written."""
    name = _format(photo, format)
    if quality is not None and not 1 <= quality <= 100:
        raise BadImage(f"quality {quality} is not between 1 and 100.")
    if photo.depth == 16 and name not in ("png", "tiff"):
        raise BadImage(f"the photo has 16 bits per channel and {name.upper()} holds 8. Choose png or tiff.")
    if photo.alpha is not None and name in ("jpeg", "bmp"):
        if photo.alpha.min() < np.iinfo(photo.alpha.dtype).max:
            raise BadImage(f"the photo has transparency and {name.upper()} holds none. Choose png, webp or tiff.")
        photo = replace(photo, alpha=None, mode=photo.mode[:-1])  # opaque everywhere: nothing is lost
    side = max(photo.width, photo.height)
    if side > LONGEST_SIDE.get(name, side):
        raise BadImage(
            f"{name.upper()} holds at most {LONGEST_SIDE[name]} pixels a side, not {side}. Choose png or tiff."
        )
    return _encoded(name, photo, quality, lay)


def _encoded(name: str, photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    """A writer's parts; every encoder's complaint becomes one line."""
    try:
        yield from _WRITERS[name](photo, quality, lay)
    except MemoryError:
        raise TooLarge(f"the photo does not fit into memory as {name.upper()}. Make it smaller.") from None
    except (OSError, ValueError, struct.error, cv2.error) as error:
        raise BadImage(f"the photo cannot be written as {name.upper()} ({error}). Choose png or tiff.") from error


def write(
    photo: Photo,
    path: str | os.PathLike[str],
    *,
    format: str = "same",
    quality: int | None = None,
    lay: Lay | None = None,
) -> Path:
    """Writes the photo, all or nothing, and returns the path; `lay` as in `encode_parts`.

    `format` "same" takes what the path's suffix says, or the photo's own where the path has none; a format that
    contradicts the suffix is BadImage, because the file would lie about itself.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        if format != "same" and _format(photo, format) != SUFFIXES[suffix]:
            raise BadImage(
                f"{path.name} would hold {format}, but its suffix says {SUFFIXES[suffix]}. Change one of them."
            )
        format = SUFFIXES[suffix]
    elif suffix and format == "same":
        raise BadImage(f"no photo can be written as {suffix} ({path.name}). Choose one of {', '.join(SUFFIXES)}.")
    write_atomic(path, encode_parts(photo, format=format, quality=quality, lay=lay))
    return path


def _format(photo: Photo, format: str) -> str:
    """The format's own name: "same" and aliases resolved."""
    name = format.lower().lstrip(".")
    name = photo.format if name == "same" else ALIASES.get(name, name)
    if name not in FORMATS:
        raise BadImage(f"no photo can be written as {format!r}. Choose one of {', '.join(FORMATS)}.")
    return name


_Writer: TypeAlias = Callable[[Photo, "int | None", "Lay | None"], Iterator[bytes | memoryview]]


def _rows(photo: Photo, lay: Lay | None, top: int, bottom: int) -> Pixels:
    """Rows of the photo in its own mode and depth, with the fill laid over."""
    pixels = photo.pixels[top:bottom]
    if lay is not None:
        pixels = pixels.copy()
        lay(pixels, top)
    alpha = None if photo.alpha is None else photo.alpha[top:bottom]
    return to_array(replace(photo, pixels=pixels, alpha=alpha))


def _strip_rows(photo: Photo) -> int:
    """How many rows of the photo are written at a time."""
    return max(1, STRIP_BYTES // (photo.width * len(photo.mode) * photo.pixels.itemsize))


def _strips(photo: Photo, lay: Lay | None) -> Iterator[tuple[int, Pixels]]:
    """(first row, rows) of the photo in its own mode and depth, strip by strip."""
    step = _strip_rows(photo)
    for top in range(0, photo.height, step):
        yield top, _rows(photo, lay, top, min(top + step, photo.height))


def _save(photo: Photo, plugin: str, lay: Lay | None, **options: Any) -> Iterator[memoryview]:
    """Pillow's encoder, given only what is there."""
    yield memoryview(_saved(_rows(photo, lay, 0, photo.height), plugin, **options))


def _saved(array: Pixels, plugin: str, **options: Any) -> bytes:
    file = io.BytesIO()
    given = {key: value for key, value in options.items() if value is not None}
    Image.fromarray(array).save(file, plugin, **given)
    return file.getvalue()


def _icc_for_rgb(photo: Photo) -> bytes | None:
    """The profile, unless it speaks of grey and the format stores a grey photo as RGB."""
    return None if photo.icc is not None and photo.icc[16:20] == b"GRAY" else photo.icc


def _write_jpeg(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    coding = photo.jpeg
    options: dict[str, Any] = {"quality": quality or QUALITY["jpeg"]}
    if coding is not None and quality is None:
        options = {"qtables": [list(table) for table in coding.tables], "subsampling": coding.subsampling}
    elif coding is not None:
        options["subsampling"] = coding.subsampling
    else:
        options["subsampling"] = 0 if options["quality"] >= 90 else 2
    if photo.exif is not None and len(photo.exif) <= 65_527:  # a segment's room, less its "Exif" prefix
        options["exif"] = b"Exif\0\0" + photo.exif
    if photo.xmp is not None and len(photo.xmp) <= 65_504:
        options["xmp"] = photo.xmp
    if coding is not None:
        options |= {"progressive": coding.progressive, "extra": coding.segments}
    about = {"icc_profile": photo.icc, "dpi": photo.dpi, **options}
    if options.get("progressive"):  # its scans go over the whole picture
        return _save(photo, "JPEG", lay, **about)
    return _jpeg_in_strips(photo, lay, about)


def _jpeg_in_strips(photo: Photo, lay: Lay | None, options: dict[str, Any]) -> Iterator[bytes]:
    """A baseline JPEG, encoded strip by strip and joined by restart markers: the same pixels as encoded at once.

    At a restart a decoder begins anew, as it does at the start of a strip that was encoded alone; blocks know nothing
    of those above them. The strips share their tables, which is checked.
    """
    wide, tall = {"L": (8, 8)}.get(photo.mode, {0: (8, 8), 1: (16, 8), 2: (16, 16)}[options["subsampling"]])
    across = -(-photo.width // wide)  # blocks
    rows = 16 * max(1, min(65_535 // (2 * across), 4 * STRIP_BYTES // (16 * photo.width * len(photo.mode))))
    if photo.height <= rows or across * 2 > 65_535:
        yield from map(bytes, _save(photo, "JPEG", lay, **options))
        return
    coding: list[tuple[int, bytes]] | None = None
    for number, top in enumerate(range(0, photo.height, rows)):
        array = _rows(photo, lay, top, min(top + rows, photo.height))
        segments, bits = containers.jpeg_parts(_saved(array, "JPEG", **options))
        if coding is None:
            coding = containers.jpeg_coding(segments)
            yield containers.jpeg_head(segments, height=photo.height, restart=across * rows // tall)
            options = {key: options[key] for key in JPEG_CODING if key in options}  # without what the head has said
        else:
            if containers.jpeg_coding(segments) != coding:
                raise ValueError("the encoder does not repeat its tables")
            yield bytes((0xFF, 0xD0 + (number - 1) % 8))
        yield bits
    yield b"\xff\xd9"


def _write_webp(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    lossless = is_lossless(photo, format="webp", quality=quality)
    options: dict[str, Any] = {"method": 0} if lossless else {"quality": quality or QUALITY["webp"]}
    if photo.alpha is not None:
        options["exact"] = True  # the colour under full transparency is kept
    options |= {"lossless": lossless, "icc_profile": _icc_for_rgb(photo), "exif": photo.exif, "xmp": photo.xmp}
    return _save(photo, "WEBP", lay, **options)


def _write_bmp(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    return _save(photo, "BMP", lay, dpi=photo.dpi)


def _write_plugged(format: str) -> _Writer:
    def write_plugged(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
        plugin = {"heic": "HEIF", "avif": "AVIF"}[format]
        if _plugin(format) is None or plugin not in Image.SAVE:
            raise BadImage(f"writing {format.upper()} needs one more package: pip install pillow-heif. Or choose png.")
        chroma = {"chroma": 444} if format == "heic" else {"subsampling": "4:4:4"}
        quality = quality or QUALITY[format]
        icc = _icc_for_rgb(photo)
        return _save(photo, plugin, lay, quality=quality, icc_profile=icc, exif=photo.exif, xmp=photo.xmp, **chroma)

    return write_plugged


def _write_png(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    """Our own chunks, then the pixels: filters chosen strip by strip by Pillow or OpenCV, compressed as one stream."""
    kind = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}[photo.mode]
    header = struct.pack(">IIBBBBB", photo.width, photo.height, photo.depth, kind, 0, 0, 0)
    yield containers.png_file([(b"IHDR", header), *_png_metadata(photo)])
    stream = zlib.compressobj(PNG_LEVEL, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    above: Pixels | None = None
    for _, rows in _strips(photo, lay):
        # The row above goes along, because filters look at it, and is dropped again.
        filtered = _png_rows(rows if above is None else np.concatenate([above, rows]))
        skip = 0 if above is None else len(filtered) // (len(rows) + 1)
        above = rows[-1:].copy()
        packed = stream.compress(memoryview(filtered)[skip:])
        if packed:
            yield containers.png_chunk(b"IDAT", packed)
    yield containers.png_chunk(b"IDAT", stream.flush())
    yield containers.png_chunk(b"IEND", b"")


def _png_rows(array: Pixels) -> bytes:
    """(h,W[,C]) as PNG's rows, each with its filter, before compression."""
    if array.dtype == np.uint8 or (array.ndim == 3 and array.shape[2] == 2):
        if array.dtype == np.uint16:  # neither can: 16-bit grey and alpha lie in a file exactly as 8-bit RGBA does
            array = array.astype(">u2").view(np.uint8)
        file = io.BytesIO()
        Image.fromarray(array).save(file, "PNG", compress_level=0)
        body = file.getvalue()
    else:
        if array.ndim == 3:
            array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR if array.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
        done, encoded = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 0])
        if not done:
            raise ValueError("the encoder failed")
        body = encoded.tobytes()
    return zlib.decompress(b"".join(content for name, content in containers.png_chunks(body) if name == b"IDAT"))


def _png_metadata(photo: Photo) -> list[tuple[bytes, bytes]]:
    chunks: list[tuple[bytes, bytes]] = []
    if photo.icc is not None:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(photo.icc)))
    chunks += photo.png_extras
    if photo.dpi is not None:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(number / METRE) for number in photo.dpi), 1)))
    if photo.exif is not None:
        chunks.append((b"eXIf", photo.exif))
    if photo.xmp is not None:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + photo.xmp))
    return chunks


def _write_tiff(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
    """Deflate with horizontal differences, in strips, in the byte order of the EXIF block that goes with it.

    The header says where the directory lies, behind all strips: larger ones wait in a temporary file.
    """
    with tempfile.SpooledTemporaryFile(max_size=SPOOLED) as packed:
        yield from _tiff_parts(photo, lay, packed)


def _tiff_parts(photo: Photo, lay: Lay | None, packed: IO[bytes]) -> Iterator[bytes]:
    height, width, samples = photo.height, photo.width, len(photo.mode)
    order = containers.exif_order(photo.exif)
    rows = _strip_rows(photo)
    counts: list[int] = []
    for _, strip in _strips(photo, lay):
        strip = strip.reshape(len(strip), width, samples)
        difference = strip.copy()
        difference[:, 1:] -= strip[:, :-1]  # wraps round, as the format wants
        raw = difference.astype(strip.dtype.newbyteorder(order)).tobytes()
        counts.append(packed.write(zlib.compress(raw, TIFF_LEVEL)))
    offsets = [8, *(8 + int(end) for end in np.cumsum(counts[:-1]))]
    at = 8 + sum(counts) + sum(counts) % 2
    if at >= 1 << 32:
        raise TooLarge("the photo is over the 4 GB that a TIFF can hold. Choose png.")
    entries: dict[int, containers.Entry] = {}
    if photo.exif is not None:
        entries |= containers.descriptive_entries(photo.exif, containers.directory(photo.exif))
    entries |= {
        containers.IMAGE_WIDTH: containers.longs(order, width),
        containers.IMAGE_LENGTH: containers.longs(order, height),
        containers.BITS_PER_SAMPLE: containers.shorts(order, *[photo.depth] * samples),
        containers.COMPRESSION: containers.shorts(order, 8),
        containers.PHOTOMETRIC: containers.shorts(order, 2 if samples > 2 else 1),
        containers.STRIP_OFFSETS: containers.longs(order, *offsets),
        containers.ORIENTATION: containers.shorts(order, 1),
        containers.SAMPLES_PER_PIXEL: containers.shorts(order, samples),
        containers.ROWS_PER_STRIP: containers.longs(order, rows),
        containers.STRIP_SIZES: containers.longs(order, *counts),
        containers.PLANAR: containers.shorts(order, 1),
        containers.PREDICTOR: containers.shorts(order, 2),
        containers.SAMPLE_FORMAT: containers.shorts(order, *[1] * samples),
    }
    if photo.alpha is not None:
        entries[containers.EXTRA_SAMPLES] = containers.shorts(order, 2)  # straight alpha
    if photo.dpi is not None:
        entries[containers.X_RESOLUTION] = containers.fraction(order, photo.dpi[0])
        entries[containers.Y_RESOLUTION] = containers.fraction(order, photo.dpi[1])
        entries[containers.RESOLUTION_UNIT] = containers.shorts(order, 2)
    for tag, kind, value in ((containers.XMP, 1, photo.xmp), (containers.ICC, 7, photo.icc)):
        if value is not None:
            entries[tag] = containers.Entry(kind, len(value), value)
    yield containers.pack_header(order, at)
    packed.seek(0)
    while part := packed.read(STRIP_BYTES):
        yield part
    yield b"\0" * (sum(counts) % 2)
    yield containers.pack_directory(order, entries, at)


_WRITERS: Mapping[str, _Writer] = {
    "jpeg": _write_jpeg,
    "png": _write_png,
    "webp": _write_webp,
    "tiff": _write_tiff,
    "bmp": _write_bmp,
    "heic": _write_plugged("heic"),
    "avif": _write_plugged("avif"),
}
