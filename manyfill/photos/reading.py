"""Path, bytes, open file, PIL image, array or tensor to Photo."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

from manyfill.errors import BadImage, TooLarge
from manyfill.files import Content, open_regular
from manyfill.files import read as read_file
from manyfill.photos import tags
from manyfill.photos.arrays import array_of_tensor, from_array
from manyfill.photos.bmp import read_bmp, read_gif
from manyfill.photos.decoded import Decoded, check_size, upright_photo
from manyfill.photos.heif import reader
from manyfill.photos.jpeg import coding_of_pil, read_jpeg
from manyfill.photos.photo import FORMATS, MAX_PIXELS, QUALITY, Photo
from manyfill.photos.pillow import decoded_of_pil
from manyfill.photos.png import PNG_SIGNATURE, read_png
from manyfill.photos.sizes import upright_size
from manyfill.photos.tiff import read_tiff
from manyfill.photos.webp import read_webp

READING_IN_STRIPS, READING_AT_ONCE = 8, 14  # bytes a pixel of photo and mask, and of what decoding them takes
HEAD, PROGRESSIVE = 1 << 18, b"\xff\xc2"  # a progressive JPEG's coefficients are all held at once
_ADDRESS = re.compile(r"(?i:https?://|s3://|data:image/)[^,]{0,60}")
MAX_FILE = 8 << 30  # bytes: twice what the largest photo takes without compression
_READERS: Mapping[str, Callable[[bytes, str, int], Decoded]] = {
    "jpeg": read_jpeg,
    "png": read_png,
    "webp": read_webp,
    "tiff": read_tiff,
    "bmp": read_bmp,
    "gif": read_gif,
    "heic": reader("heic"),
    "avif": reader("avif"),
}


@dataclass(frozen=True)
class _Wish:
    """What the caller of `read` allows and asks for."""

    max_pixels: int
    strict: bool
    keep_video: bool


def read(source: Any, *, max_pixels: int = MAX_PIXELS, strict: bool = False, keep_video: bool = False) -> Photo:
    """Decodes a photo, upright and at its own depth.

    `source`: a path, or a file that was read (`load`); its bytes, or an open binary file; a PIL image; an array (H,W),
    (H,W,1|2|3|4) of uint8, uint16, bool, or float in [0,1] (which becomes 8 bits); a torch tensor (H,W), (C,H,W),
    (1,C,H,W); or a Photo.
    Raises BadImage for whatever is not one still photo, TooLarge (before decoding) over `max_pixels`. A JPEG that lacks
    no more than an eighth at its end is read, with a note; `strict` refuses it. `keep_video`: a motion photo's video
    is kept, and written again behind a JPEG; else it is dropped with a note, because it shows the photo as it was.
    """
    wish = _Wish(max_pixels, strict, keep_video)
    if isinstance(source, Photo):
        check_size("the photo", source.width, source.height, max_pixels)
        with _in_words("the photo", _damaged(source.format)):
            _check_whole(source.missing, wish)
        return source
    if isinstance(source, str) and (found := _ADDRESS.match(source)) is not None:
        raise BadImage(f"{found[0]}... is an address, not a file. Download it, and give the file or its bytes.")
    if isinstance(source, (str, os.PathLike)):
        source = load(Path(os.fspath(source)))
    if isinstance(source, Content):
        return _decode(source.data, str(source.path), source.path, wish)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), "the photo", None, wish)
    if isinstance(source, Image.Image):
        return _from_pil(source, wish)
    if isinstance(source, np.ndarray):
        return from_array(source, max_pixels)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.Tensor):
        return from_array(array_of_tensor(source), max_pixels)
    if hasattr(source, "read"):
        return _decode(bytes(source.read()), "the photo", None, wish)
    raise BadImage(
        f"a photo cannot be read from {type(source).__name__}. Give a path, bytes, a PIL image, an array or a tensor."
    )


def size_of(path: Path) -> tuple[int, int] | None:
    """(height, width) of a file's photo as it is shown, upright, undecoded; None where only reading it tells.

    Raises BadImage for what is no photo at all.
    """
    data = load(path).data
    return upright_size(data, _format_of(data, str(path)))


def reading_cost(source: Any) -> int:
    """Bytes a pixel that reading this photo, and then its mask, takes at most; by the first bytes of its file."""
    head = b""
    if isinstance(source, (str, os.PathLike)):
        try:
            with open_regular(Path(os.fspath(source))) as file:
                head = file.read(HEAD)
        except (OSError, ValueError):  # reading will say so
            head = b""
    elif isinstance(source, Content):
        head = source.data[:HEAD]
    elif isinstance(source, (bytes, bytearray, memoryview)):
        head = bytes(source[:HEAD])
    format = _sniff(head)
    if format == "png" and len(head) > 24:
        return READING_IN_STRIPS * (2 if head[24] == 16 else 1)
    return READING_IN_STRIPS if format == "jpeg" and PROGRESSIVE not in head else READING_AT_ONCE


def load(path: Path) -> Content:
    """A regular file's bytes, and what tells later whether it is still the same.

    Raises BadImage in words for whatever the system says, and for a pipe, socket, device or folder.
    """
    try:
        if (size := os.stat(path).st_size) > MAX_FILE:
            raise TooLarge(f"{path} has {size >> 30:,} GiB, more than the largest photo. Is it one?")
        return read_file(path)
    except FileNotFoundError:
        raise BadImage(f"there is no file {path}. Check the spelling.") from None
    except MemoryError:
        raise TooLarge(f"{path} does not fit into this machine's memory. Make it smaller.") from None
    except (OSError, ValueError) as error:
        if path.is_dir():
            raise BadImage(f"{path} is a folder, not a photo. Give one file in it.") from None
        raise BadImage(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def _sniff(data: bytes) -> str | None:
    """The format by the file's first bytes; a name tells nothing."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == PNG_SIGNATURE:
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


def _format_of(data: bytes, name: str) -> str:
    """The format; BadImage for an empty file or an unknown one."""
    if not data:
        raise BadImage(f"{name} is empty (0 bytes).")
    format = _sniff(data)
    if format is None:
        raise BadImage(
            f"{name} is not a photo of a known format. Manyfill reads JPEG, PNG, WebP, TIFF, BMP, HEIC, AVIF."
        )
    return format


def _decode(data: bytes, name: str, path: Path | None, wish: _Wish) -> Photo:
    """A file's bytes to a Photo; every decoder's complaint becomes one line."""
    format = _format_of(data, name)
    with _in_words(name, _damaged(format)):
        decoded = _READERS[format](data, name, wish.max_pixels)
        _check_whole(decoded.missing, wish)
        return upright_photo(decoded, path, keep_video=wish.keep_video)


def _check_whole(missing: str | None, wish: _Wish) -> None:
    """ValueError for a file that lacks something, where that is not allowed."""
    if wish.strict and missing is not None:
        raise ValueError("the file is cut off")


def _damaged(format: str) -> str:
    return f"a damaged or cut off {format.upper()} file"


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


def _from_pil(image: Image.Image, wish: _Wish) -> Photo:
    """A PIL image of the user's; one that is still unread is read here, so that 16 bits stay 16."""
    check_size("the photo", image.width, image.height, wish.max_pixels)
    format = {"MPO": "JPEG", "DIB": "BMP", "HEIF": "HEIC"}.get(image.format or "", image.format or "").lower()
    if isinstance(image, ImageFile.ImageFile) and ";16" in str(image.tile) and image.fp is not None:
        place = image.fp.tell()
        image.fp.seek(0)
        data = image.fp.read()
        image.fp.seek(place)
        return _decode(data, "the photo", None, wish)
    with _in_words("the photo", "damaged or cut off"):
        if image.mode == "F":  # in [0,1], as arrays of floats are
            return from_array(np.asarray(image), wish.max_pixels)
        decoded = decoded_of_pil(image, "the photo", format if format in FORMATS else "png", lossy=format in QUALITY)
        decoded.orientation, decoded.exif = _orientation(image), decoded.exif or _text_exif(image)
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            decoded.jpeg = coding_of_pil(image)
        return upright_photo(decoded)


def _text_exif(image: Image.Image) -> bytes | None:
    """EXIF that a PNG holds as text."""
    return image.getexif().tobytes().removeprefix(b"Exif\0\0") if "Raw profile type exif" in image.info else None


def _orientation(image: Image.Image) -> int:
    """1 to 8 as Pillow has it, for the user may have changed it there; 1 for anything else."""
    try:
        found = int(image.getexif().get(tags.ORIENTATION, 1))
    except (ValueError, TypeError, KeyError, SyntaxError, struct.error, OSError):
        return 1  # damaged EXIF: browsers show such a photo as it is stored
    return found if 1 <= found <= 8 else 1
