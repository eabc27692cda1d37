"""What becomes of the bytes in a request, and what answers are made of. No paths, no URLs: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill import masks, photos, sheet
from manyfill.checking import Check, go_on
from manyfill.completer import Completion, ceiling
from manyfill.errors import BadMask, TooLarge
from manyfill.options import Margins
from manyfill.photos import Lay, Photo
from manyfill.server import small
from manyfill.server.errors import Refusal

PREVIEW_SIDE = 1600  # longer side of a result's preview, pixels: sharp on a page, quick to load
PARTIAL_SIDE = 1024  # of a partial picture
SMALL_QUALITY = 85  # of both, as WebP or JPEG
LEAST_SPREAD = 0.02  # of fills that disagree nowhere: what is less is no colour
SHOWN = ("png", "jpeg", "webp")  # what browsers and OpenAI's clients show


@dataclass(frozen=True)
class Encoded:
    """A small picture as a file's bytes."""

    data: bytes
    format: str
    width: int
    height: int

    @property
    def length(self) -> int:
        """Bytes."""
        return len(self.data)

    @property
    def notes(self) -> tuple[str, ...]:
        """None: a preview is not the photo."""
        return ()

    def pieces(self) -> Iterator[bytes]:
        """The bytes, in one piece."""
        yield self.data

    @property
    def media_type(self) -> str:
        """MIME type."""
        return f"image/{self.format}"

    @property
    def size(self) -> str:
        """`WxH`, as OpenAI writes it."""
        return f"{self.width}x{self.height}"


class Encoder(Protocol):
    """`photos.encode_parts`, or what does the same elsewhere."""

    def __call__(
        self, photo: Photo, *, format: str, quality: int | None, lay: Lay | None
    ) -> Generator[bytes | memoryview, None, None]:
        """The photo's file, with a fill laid over it."""
        ...


@dataclass(frozen=True)
class Finished:
    """A fill, and the file that it is to become when somebody wants to have it."""

    fill: Completion
    asked: str = "same"  # a format
    quality: int | None = None
    scaled: tuple[int, int] | None = None  # width and height, where they are not the photo's own

    @property
    def format(self) -> str:
        """Of the file."""
        return self.fill.source.format if self.asked == "same" else photos.ALIASES.get(self.asked, self.asked)

    @property
    def media_type(self) -> str:
        """MIME type."""
        return f"image/{self.format}"

    @property
    def size(self) -> str:
        """`WxH`, as OpenAI writes it."""
        width, height = self.scaled or (self.fill.source.width, self.fill.source.height)
        return f"{width}x{height}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading, filling and writing could not keep, for people."""
        kept = photos.notes(self.fill.source, format=self.asked, quality=self.quality)
        return (*kept, *self.fill.cautions)

    def parts(self, at_once: Encoder) -> Generator[bytes | memoryview, None, None]:
        """The file, strip by strip; `at_once` writes it where its format knows no strips."""
        photo, lay = self.fill.source, self.fill.lay if self.scaled is None else None
        if self.scaled is not None:
            photo = resized(self.fill.photo, *self.scaled)
        write: Encoder = photos.encode_parts if photos.in_strips(photo, self.asked) else at_once
        return write(photo, format=self.asked, quality=self.quality, lay=lay)

    def preview(self) -> Encoded:
        """Small."""
        if self.scaled is None:
            return preview_of(self.fill)
        return preview(resized(self.fill.photo, *self.scaled))


def unfilled(photo: Photo) -> Completion:
    """A photo as it came, where a fill is expected."""
    return Completion(photo, 0, None, np.broadcast_to(np.False_, (photo.height, photo.width)))


# ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def openai_mask(photo: Photo, mask: Photo | None) -> tuple[Photo, str]:
    """The mask and its polarity by OpenAI's rule: transparent = fill; without a mask the photo's own transparency.

    A mask in which nothing is transparent is read as the rest of the world has it: white = fill.
    """
    if mask is None:
        if photo.alpha is None:
            raise BadMask(
                "Nothing says what to fill. Send a mask (transparent or white = fill), or a picture that is "
                "transparent where it is to be filled."
            )
        return photo, "alpha"
    if mask.alpha is None or mask.alpha.min() == np.iinfo(mask.alpha.dtype).max:
        return replace(mask, alpha=None, mode=mask.mode.removesuffix("A")), "white"
    return mask, "alpha"


def check_hole(fill: Completion) -> None:
    """Raise BadMask where there was nothing to fill: the photo itself is not an answer."""
    if not fill.hole.any():
        raise BadMask("the mask marks nothing to fill. Make it transparent, or white, where to fill.")


def bright(photo: Photo, mask: Photo, *, empty: bool = False) -> Photo:
    """What IOPaint takes as the hole, white: the mask's brightness over 127 of 255, whatever its alpha.

    Raises BadMask for another size than the photo's, and where nothing is that bright, unless it may be `empty`.
    """
    if (mask.height, mask.width) != (photo.height, photo.width):
        raise BadMask(
            f"the mask is {mask.width}x{mask.height} but the photo is {photo.width}x{photo.height} (width x height). "
            "Send a mask of the photo's size."
        )
    hole = np.empty((mask.height, mask.width), np.uint8)
    shift = mask.depth - 8
    strip = max(1, 2**20 // mask.width)
    for top in range(0, mask.height, strip):
        red, green, blue = (np.moveaxis(mask.pixels[top : top + strip] >> shift, -1, 0)).astype(np.uint32)
        # Pillow's "L", which IOPaint converts to: ITU-R 601-2 in 16 bits, rounded
        hole[top : top + strip] = 255 * ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16 > 127)
    if mask.missing is not None and (lost := photos.grey_rows(mask.pixels)):
        hole[-lost:] = 0
    if not hole.any() and not empty:
        raise BadMask("the mask marks nothing: no pixel of it is brighter than mid-grey. Paint white where to fill.")
    return Photo(np.broadcast_to(hole[..., None], (*hole.shape, 3)), mode="L", missing=mask.missing)


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_canvas(photo: Photo, by: Margins, *, max_pixels: int) -> None:
    """Raise TooLarge where the photo with these margins has more pixels than allowed."""
    height, width = by.around(photo.height, photo.width)
    if height * width > max_pixels and height * width > photo.height * photo.width:
        raise TooLarge(
            f"the canvas would be {width}x{height}, {height * width / 1e6:,.1f} million pixels; the limit is"
            f" {max_pixels / 1e6:,.1f} million. Extend it less."
        )


def check_larger(photo: Photo, by: Margins, room: int) -> None:
    """Raise TooLarge where the photo on its larger canvas takes more than `room` bytes of memory."""
    height, width = by.around(photo.height, photo.width)
    needed = height * width * photo.depth // 8 * (3 if photo.alpha is None else 4)
    if needed > room:
        raise TooLarge(
            f"a canvas of {width}x{height} takes {needed >> 20} MiB of memory; there are {room >> 20} MiB for it. "
            "Extend it less, or allow more: --max-memory."
        )


def check_format(photo: Photo, format: str, *, opaque: bool) -> None:
    """Raise BadImage at once where a format cannot hold what the photo has; `opaque`: the fill will cover it all."""
    alpha = None if photo.alpha is None else np.full((1, 1), photo.alpha.min(), photo.alpha.dtype)
    if opaque and alpha is not None:
        alpha[:] = np.iinfo(alpha.dtype).max
    photos.encode(Photo(photo.pixels[:1, :1], alpha=alpha, format=photo.format, mode=photo.mode), format=format)


def encode(photo: Photo, *, format: str, quality: int | None = None) -> Encoded:
    """The photo with all its metadata; `format` "same": as it came."""
    data = photos.encode(photo, format=format, quality=quality)
    name = photo.format if format == "same" else photos.ALIASES.get(format, format)
    return Encoded(data, name, photo.width, photo.height)


def check_room(photo: Photo, format: str, quality: int | None, room: int) -> None:
    """Raise TooLarge where writing a photo in this format takes more than `room` bytes of memory."""
    name = photo.format if format == "same" else format
    needed = ceiling.writing(photo, format, quality)
    if needed > room:
        raise TooLarge(
            f"to write a photo of {photo.width}x{photo.height} as {name.upper()} takes {int(needed) >> 20} MiB of "
            f"memory at once; there are {room >> 20} MiB for it. Ask for png or jpeg, or allow more: --max-memory."
        )


def check_size(photo: Photo, width: int, height: int, *, max_pixels: int) -> None:
    """Raise Refusal where this size has another shape than the photo, or too many pixels."""
    words = None
    if width * height > max_pixels:
        words = f"It has more than {max_pixels / 1e6:,.1f} million pixels. Ask for a smaller one."
    elif abs(width * photo.height - height * photo.width) > max(photo.width, photo.height, width, height):
        words = (
            f"The photo is {photo.width}x{photo.height} (width x height), which is another shape: it would be "
            "squashed. Leave size away to get the photo's own."
        )
    if words is not None:
        raise Refusal(400, f"Invalid value for 'size': '{width}x{height}'. {words}", code="invalid_value", param="size")


def resized(photo: Photo, width: int, height: int) -> Photo:
    """The photo at another size, same depth and metadata."""
    if (width, height) == (photo.width, photo.height):
        return photo
    how = cv2.INTER_AREA if width < photo.width else cv2.INTER_CUBIC
    alpha = None if photo.alpha is None else np.asarray(cv2.resize(photo.alpha, (width, height), interpolation=how))
    return replace(photo, pixels=np.asarray(cv2.resize(photo.pixels, (width, height), interpolation=how)), alpha=alpha)


def preview(photo: Photo, side: int = PREVIEW_SIDE) -> Encoded:
    """A small picture to show instead of the whole one."""
    return encode(small.shrunk(photo, side), format="webp", quality=SMALL_QUALITY)


def preview_of(fill: Completion, side: int = PREVIEW_SIDE, *, format: str = "webp") -> Encoded:
    """The same of a fill, of which no whole is made."""
    quality = None if format == "png" else SMALL_QUALITY
    return encode(small.shrunk_fill(fill, side), format=format, quality=quality)


def heat_map(fills: list[Completion], *, check: Check = go_on) -> Encoded:
    """Where the fills disagree, over the photo in grey, scaled to where they do most: small, JPEG."""
    below, spread = small.shrunk_fill(fills[0], PREVIEW_SIDE), small.shrunk_spread(fills, PREVIEW_SIDE, check=check)
    spread /= max(float(spread.max()), LEAST_SPREAD)  # the whole of the legend is used
    picture = photos.read(sheet.heat_map(photos.to_pil(replace(below, icc=None)), spread))
    return encode(picture, format="jpeg", quality=90)


def region_of(mask: Photo, photo: Photo) -> NDArray[np.bool_]:
    """A lasso's picture (H,W): transparent or white = the region, as for masks."""
    marked, polarity = openai_mask(photo, mask)
    return masks.read_hole(marked, polarity=polarity, size=(photo.height, photo.width))
