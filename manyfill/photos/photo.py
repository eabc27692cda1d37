"""Photo: a decoded file, with all that is needed to write it back as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from manyfill.errors import BadImage
from manyfill.photos.motion import Video

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
QUALITY = {"jpeg": 95, "webp": 90, "heic": 90, "avif": 90}  # where the user names none and the source gives no hint


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was coded, so that coding it again changes as little as it can."""

    tables: tuple[tuple[int, ...], ...]  # quantisation, 64 numbers each, row by row
    subsampling: int  # Pillow's: 0 = 4:4:4, 1 = 4:2:2, 2 = 4:2:0
    progressive: bool = False
    segments: bytes = b""  # IPTC captions and the comment, as they lie in the file


@dataclass(frozen=True, eq=False, repr=False)
class Photo:
    """A decoded photo, upright, with all that is needed to write it back as it was.

    Treat the arrays as read-only; `paste` and `dataclasses.replace` make new photos.
    """

    pixels: Pixels  # (H,W,3) RGB, uint8 or uint16, orientation already applied; grey: three equal channels
    alpha: Pixels | None = None  # (H,W) of the same dtype, straight (not premultiplied); None: the file had none
    format: str = "png"  # "jpeg" "png" "webp" "tiff" "bmp" "heic" "avif"
    mode: str = "RGB"  # colour model to write back, one of MODES
    icc: bytes | None = None
    exif: bytes | None = None  # TIFF structure without the "Exif" prefix, orientation 1, its thumbnail blank
    thumbnail: int | None = None  # where in `exif` the directory of its thumbnail, now blank, lies
    xmp: bytes | None = None
    cicp: tuple[int, int] | None = None  # primaries and transfer, ITU-T H.273; None: sRGB, or as the profile says
    dpi: tuple[float, float] | None = None  # (horizontal, vertical)
    path: Path | None = None  # where it was read from
    lossy: bool = False  # whether the file that it was read from had been compressed with loss
    jpeg: JpegCoding | None = None
    png_extras: tuple[tuple[bytes, bytes], ...] = ()  # (name, content): gamma, text and the like
    tiff_extras: bytes | None = None  # a TIFF's further tags (GeoTIFF, private ones) in a block like EXIF's
    video: Video | None = None  # a motion photo's, where it is to be kept
    missing: str | None = None  # what a file lacks that was cut off, in words that are in `notes`, too
    notes: tuple[str, ...] = field(default=())  # what reading could not keep, for people

    def __post_init__(self) -> None:
        """Asserts what every function here relies on."""
        assert self.pixels.ndim == 3 and self.pixels.shape[2] == 3, f"pixels are {self.pixels.shape}, not (H,W,3)"
        assert self.pixels.dtype in (np.uint8, np.uint16), f"pixels are {self.pixels.dtype}"
        assert self.mode in MODES and self.format in FORMATS, (self.mode, self.format)
        assert self.mode.endswith("A") == (self.alpha is not None), f"mode {self.mode} and alpha disagree"
        if self.alpha is not None:
            assert self.alpha.shape == self.pixels.shape[:2] and self.alpha.dtype == self.pixels.dtype

    def __repr__(self) -> str:
        where = "" if self.path is None else f", {self.path.name}"
        return f"<photo {self.width}x{self.height}, {self.depth} bits, {self.mode}, {self.format}{where}>"

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


def format_named(photo: Photo, format: str) -> str:
    """The format's own name: "same" and aliases resolved."""
    name = format.lower().lstrip(".")
    name = photo.format if name == "same" else ALIASES.get(name, name)
    if name not in FORMATS:
        raise BadImage(f"no photo can be written as {format!r}. Choose one of {', '.join(FORMATS)}.")
    return name


def is_lossless(photo: Photo, *, format: str = "same", quality: int | None = None) -> bool:
    """Whether `encode` with these options keeps every pixel."""
    name = format_named(photo, format)
    return name in ("png", "tiff", "bmp") or (name == "webp" and quality is None and not photo.lossy)
