"""Masks as users hand them in become holes here, and nowhere else."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from manyfill import photos
from manyfill.boxes import Bools
from manyfill.errors import BadImage, BadMask
from manyfill.files import Content
from manyfill.options import other_size, parse_colour

# How far a pixel may be from the colour that marks the hole, of 1 and per channel: JPEG moves flat colours by less.
COLOUR_SPREAD = 32 / 255


def read_hole(
    source: Any,
    *,
    polarity: str = "white",
    size: tuple[int, int] | None = None,
    strict: bool = False,
    notes: list[str] | None = None,
) -> Bools:
    """Turn a user's mask into a hole (H,W) bool, True = missing.

    `source`: path, bytes, PIL image, Photo, array (H,W[,C]) or tensor ([1,]C,H,W) / (H,W) of bool, uint8, uint16 or
    float in [0,1]; integer arrays that hold only 0 and 1 count as bool. `polarity`: "white" fills where the mask is
    white, "black" where it is black, "alpha" where it is transparent (OpenAI's rule), a colour such as "#ff00ff" where
    it has that colour, within COLOUR_SPREAD: then a photo that was painted on is its own mask. Otherwise the cut is at
    50 %. Where a white or black mask has an alpha channel, its transparent part counts as not painted. `size` is the
    photo's (height, width).

    Raises BadMask for another size than the photo's, a photo handed in by mistake, a missing alpha channel or an
    unreadable file. Rows that a file lacks at its end are not marked, which is added to `notes`; `strict` refuses it.
    An empty hole is legal.
    """
    colour = parse_colour(polarity) if polarity.startswith("#") else None
    if colour is None and polarity not in ("white", "black", "alpha"):
        raise BadMask(
            f"mask polarity is {polarity!r}; expected 'white', 'black', 'alpha' or a colour such as '#ff00ff'"
            " (what the hole looks like)."
        )
    name = f"mask {source}" if isinstance(source, str | Path | Content) else "mask"
    planes, alpha, top = _planes(source, name, polarity, strict=strict, notes=[] if notes is None else notes)
    height, width = planes.shape[:2]
    if size is not None and (height, width) != tuple(size):
        raise other_size(name, (height, width), (size[0], size[1]))
    if polarity == "alpha" and alpha is None:
        raise BadMask(
            f"{name} has no alpha channel, so polarity 'alpha' finds no hole in it. "
            "Hand in an RGBA picture that is transparent where to fill, or use polarity 'white' or 'black'."
        )
    hole = np.empty((height, width), bool)
    grey = coloured = opaque = 0
    strip = max(1, 2**20 // width)  # rows at a time: a large mask never lies in memory as floats
    for rows in (slice(top_row, top_row + strip) for top_row in range(0, height, strip)):
        paint = [planes[rows, :, channel].astype(np.float32) / np.float32(top) for channel in range(planes.shape[2])]
        cover = None if alpha is None else alpha[rows].astype(np.float32) / np.float32(top)
        if colour is not None:
            channels = paint if len(paint) == 3 else paint[:1] * 3
            apart = [abs(channel - value) for channel, value in zip(channels, colour, strict=True)]
            hole[rows] = reduce(np.maximum, apart) <= COLOUR_SPREAD
            hole[rows] &= True if cover is None else cover >= 0.5
            continue
        if cover is not None:
            opaque += int(np.count_nonzero(cover >= 0.5))
            if polarity == "alpha":
                paint = [1 - cover]
            elif polarity == "white":  # laid over the colour of the known part: what is transparent was not painted
                paint = [colour * cover for colour in paint]
            else:
                paint = [colour * cover + (1 - cover) for colour in paint]
        darkest, lightest = reduce(np.minimum, paint), reduce(np.maximum, paint)
        grey += int(np.count_nonzero((lightest > 0.1) & (darkest < 0.9)))
        coloured += int(np.count_nonzero(lightest - darkest > 0.25))
        white = reduce(np.add, paint) >= 0.5 * len(paint)
        hole[rows] = ~white if polarity == "black" else white
    _refuse_undecided(grey / hole.size, coloured / hole.size, name, polarity)
    if polarity != "alpha" and alpha is not None and not hole.any() and 0 < opaque < hole.size:
        raise BadMask(
            f"{name} has nothing {polarity} in it, but a transparent part. "
            "If that part is the hole, use polarity 'alpha'."
        )
    return hole


_Planes = tuple[NDArray[Any], NDArray[Any] | None, int]  # colours (H,W,C), alpha (H,W), the value that stands for 1


def _planes(source: Any, name: str, polarity: str, *, strict: bool, notes: list[str]) -> _Planes:
    """Take any mask apart: arrays here, because theirs may be bool or of zeros and ones, the rest by `photos`."""
    if isinstance(source, Tensor):
        return _planes_of_array(source.detach().cpu().numpy(), channels_first=True)
    if isinstance(source, np.ndarray):
        return _planes_of_array(source, channels_first=False)
    try:
        photo = photos.read(source, strict=strict)
    except BadImage as error:
        raise BadMask(f"{name} cannot be read: {error}") from error
    top = _top(photo.pixels) if photo.alpha is None else int(np.iinfo(photo.pixels.dtype).max)
    if polarity != "alpha" and photo.pixels.max() == 1:
        raise BadMask(
            f"{name} holds only the values 0 and 1 of {top}, so it is black all over. "
            f"Multiply it by {top}, or hand it in as a bool array."
        )
    colours = photo.pixels[..., :1] if photo.mode in ("L", "LA") else photo.pixels
    if photo.missing is not None:
        notes.append(photo.missing.replace("The file", "The mask's file", 1).replace("and grey", "and not marked"))
        if lost := photos.grey_rows(photo.pixels):
            colours = colours.copy()
            colours[-lost:] = top if polarity == "black" else 0
    return colours, photo.alpha, top


def _top(array: NDArray[Any]) -> int:
    """The value that stands for 1; 255 in 16 bits that hold nothing above: such a mask would else mark nothing."""
    return 255 if array.dtype == np.uint8 or 1 < array.max() <= 255 else 65_535


def _planes_of_array(array: NDArray[Any], *, channels_first: bool) -> _Planes:
    """Take an array (channels last) or a tensor's (channels first) apart; leading axes of length 1 are dropped."""
    shape = tuple(array.shape)
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        array = array[..., None]
    elif array.ndim == 3 and (channels_first or (array.shape[2] > 4 and array.shape[0] == 1)):
        array = np.moveaxis(array, 0, 2)
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4 or 0 in array.shape:
        raise BadMask(
            f"mask has the shape {shape}; expected (H, W), (H, W, channels) or, for a tensor, (channels, H, W)."
        )
    low, high = array.min(), array.max()
    if array.dtype == bool:
        top = 1
    elif np.issubdtype(array.dtype, np.floating):
        top = 1
        if not (low >= 0 and high <= 1):  # also where a value is not a number
            raise BadMask(
                f"mask is a float array with values {low:g} to {high:g}; expected [0, 1]. Divide it by its maximum."
            )
    elif np.issubdtype(array.dtype, np.integer):
        top = 1 if high <= 1 else _top(array) if array.dtype == np.uint16 else 255
        if low < 0 or high > top:
            raise BadMask(f"mask has values {low} to {high}; expected 0 to {top}.")
    else:
        raise BadMask(f"mask is an array of {array.dtype}; expected bool, uint8, uint16 or float in [0, 1].")
    if array.shape[2] in (2, 4):
        return array[..., :-1], array[..., -1], top
    return array, None, top


def _refuse_undecided(grey: float, coloured: float, name: str, polarity: str) -> None:
    """Raise BadMask for a picture that is neither black nor white: most likely the photo itself.

    `grey` and `coloured` are shares of its pixels. Antialiased and soft brushes and JPEG noise leave a minority of
    greys and next to no colour; hence half and 1 %.
    """
    if polarity == "alpha":
        if grey > 0.5:
            raise BadMask(
                f"{name} is neither opaque nor transparent: {grey:.0%} of it is in between. "
                "Make it fully transparent where to fill and opaque elsewhere."
            )
    elif grey > 0.5 or coloured > 0.01:
        what = f"{coloured:.0%} of it is coloured" if coloured > 0.01 else f"{grey:.0%} of it is mid-grey"
        raise BadMask(
            f"{name} is neither black nor white: {what}. Was the photo handed in as the mask? "
            "Hand in a black picture that is white where to fill (or say which polarity it has)."
        )
