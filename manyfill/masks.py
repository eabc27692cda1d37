"""Holes: read from what a user hands in, drawn by the field's generators, measured, grown and hashed.

A hole is a float tensor (B,1,H,W) of zeros and ones, 1 = missing. What users call a mask has a polarity; it becomes
a hole in one place, `read_hole`. Everything else here is 1 = hole.

Generators share one signature, `(height, width, rng) -> (1,1,H,W)`. Sources that give pixels at a fixed size (256
or 512) are scaled with sqrt(height*width), so that the hole ratio stays about the same at any size and aspect
ratio. Drawing is OpenCV's, not antialiased. The same rng state gives the same hole.
"""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manyfill import photos
from manyfill.errors import BadImage, BadMask
from manyfill.files import Content
from manyfill.options import other_size, parse_colour

MaskFn = Callable[[int, int, np.random.Generator], Tensor]
Canvas = NDArray[np.uint8]  # (H,W), 1 = hole

# Hole-ratio bins of the NVIDIA irregular mask test set (Liu et al. 2018): low < ratio <= high.
BINS: tuple[tuple[float, float], ...] = ((0.01, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6))

# How far a pixel may be from the colour that marks the hole, of 1 and per channel: JPEG moves flat colours by less.
COLOUR_SPREAD = 32 / 255


# ── what a user hands in ──────────────────────────────────────────────────────────────────────────────────────────────


def read_hole(source: Any, *, polarity: str = "white", size: tuple[int, int] | None = None) -> Tensor:
    """Turn a user's mask into a hole (1,1,H,W) float {0,1}.

    `source`: path, bytes, PIL image, Photo, array (H,W[,C]) or tensor ([1,]C,H,W) / (H,W) of bool, uint8, uint16 or
    float in [0,1]; integer arrays that hold only 0 and 1 count as bool. `polarity`: "white" fills where the mask is
    white, "black" where it is black, "alpha" where it is transparent (OpenAI's rule), a colour such as "#ff00ff" where
    it has that colour, within COLOUR_SPREAD: then a photo that was painted on is its own mask. Otherwise the cut is at
    50 %. Where a white or black mask has an alpha channel, its transparent part counts as not painted. `size` is the
    photo's (height, width).

    Raises BadMask for another size than the photo's, a photo handed in by mistake, a missing alpha channel or an
    unreadable file. An empty hole is legal.
    """
    return torch.from_numpy(read_marked(source, polarity=polarity, size=size).astype(np.float32))[None, None]


def read_marked(
    source: Any,
    *,
    polarity: str = "white",
    size: tuple[int, int] | None = None,
    strict: bool = False,
    notes: list[str] | None = None,
) -> NDArray[np.bool_]:
    """What `read_hole` reads, as (H,W) bool: a quarter of the memory, which counts for a photo of 48 MP.

    Rows that a file lacks at its end are not marked, which is added to `notes`; `strict`: it is refused with BadMask.
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
    top = int(np.iinfo(photo.pixels.dtype).max)
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
        top = 1 if high <= 1 else 65535 if array.dtype == np.uint16 else 255
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


# ── measuring and changing holes ──────────────────────────────────────────────────────────────────────────────────────


def ratio(hole: Tensor) -> float:
    """Share of missing pixels, in [0, 1]."""
    return float(hole.detach().cpu().numpy().mean(dtype=np.float64))


def grow(hole: Tensor, pixels: int) -> Tensor:
    """Dilate by a disc: missing is whatever lies within `pixels` (Euclidean, between pixel centres) of a missing pixel.

    (B,1,H,W) -> (B,1,H,W), same dtype and device; 0 pixels gives an equal tensor.
    """
    assert pixels >= 0, f"grow by {pixels} pixels: must not be negative"
    assert hole.ndim == 4 and hole.shape[1] == 1, f"hole has the shape {tuple(hole.shape)}, expected (B,1,H,W)"
    grown = hole.clone()
    for one in grown:
        one[0] = torch.from_numpy(grow_marked(one[0].detach().cpu().numpy() >= 0.5, pixels)).to(one)
    return grown


def grow_marked(marked: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """What `grow` does, for one hole as (H,W) bool; memory and time go with the hole's surroundings."""
    grown = marked.copy()
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    if pixels and len(rows):
        part = tuple(slice(max(0, int(at[0]) - pixels), int(at[-1]) + pixels + 1) for at in (rows, columns))
        known = (~marked[part]).astype(np.uint8)
        if known.any():
            distance = cv2.distanceTransform(known, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            grown[part] = distance <= pixels + 1e-3  # the transform is exact up to float32 rounding of the root
    return grown


def set_hash(holes: Iterable[Tensor]) -> str:
    """Sha256 of a set of holes, in order: shape and bits of each. Names the masks that a number was measured on."""
    digest = hashlib.sha256()
    for hole in holes:
        bits = hole.detach().cpu().numpy() >= 0.5
        digest.update(repr(tuple(bits.shape)).encode())
        digest.update(np.packbits(bits).tobytes())
    return digest.hexdigest()


# ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _blank(height: int, width: int) -> Canvas:
    assert height >= 1 and width >= 1, f"a hole of {height}x{width} pixels cannot be drawn"
    return np.zeros((height, width), np.uint8)


def _hole(canvas: Canvas) -> Tensor:
    return torch.from_numpy(canvas.astype(np.float32))[None, None]


def _whole(rng: np.random.Generator, low: float, high: float) -> int:
    """I[low, high]: a whole number, both ends included."""
    low_int = int(low)
    return int(rng.integers(low_int, max(low_int, int(high)), endpoint=True))


def _side(height: int, width: int) -> float:
    """Side of the square with the same area."""
    return math.sqrt(height * width)


def _thickness(pixels: float) -> int:
    return max(1, round(pixels))


def _line(canvas: Canvas, start: tuple[float, float], end: tuple[float, float], thickness: int) -> None:
    """Draw a segment with round caps from (x, y) to (x, y)."""
    cv2.line(canvas, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1, thickness)


def center(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """Middle half of each axis: 25 % hole. PICNet's mask type 0 and the papers' centre-hole protocol."""
    canvas = _blank(height, width)
    canvas[height // 4 : max(height // 4 + 1, 3 * height // 4), width // 4 : max(width // 4 + 1, 3 * width // 4)] = 1
    return _hole(canvas)


def box(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One box of 3/8 to 1/2 of each axis, anywhere: DeepFill v2's training box (128 px at 256, shrunk by I[0,16]
    per side).

    Scaled with each axis.
    """
    canvas = _blank(height, width)
    span = []
    for length in (height, width):
        side = max(1, length // 2)
        start = _whole(rng, 0, length - side)
        shrink = _whole(rng, 0, length / 16)
        span.append((start + shrink, max(start + shrink + 1, start + side - shrink)))
    (top, bottom), (left, right) = span
    canvas[top:bottom, left:right] = 1
    return _hole(canvas)


def boxes(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One to five rectangles: PICNet's random regular mask (its mask type 1). Relative to each axis; mean ratio .30."""
    canvas = _blank(height, width)
    count = _whole(rng, 1, 5)
    for _ in range(count):
        span = []
        for length in (height, width):
            start = _whole(rng, 0, length - length / (count + 1))
            span.append((start, start + _whole(rng, length / (count + 7), length - start)))
        (top, bottom), (left, right) = span
        canvas[top:bottom, left:right] = 1
    return _hole(canvas)


def lines(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """16 to 64 lines, discs and ellipse arcs: PICNet's random irregular mask (its mask type 2). Mean ratio .53.

    Thickness and radius I[4,20] are pixels at 256 upstream; here they scale with the side. Upstream needs square
    pictures of 64 pixels or more and mixes up the axes; here any size works and x runs along the width.
    """
    canvas = _blank(height, width)
    scale = _side(height, width) / 256
    for _ in range(_whole(rng, 16, 64)):
        kind = rng.random()
        x, y = _whole(rng, 1, width), _whole(rng, 1, height)
        pen = _thickness(_whole(rng, 4, 20) * scale)
        if kind < 0.6:
            _line(canvas, (x, y), (_whole(rng, 1, width), _whole(rng, 1, height)), pen)
        elif kind < 0.8:
            cv2.circle(canvas, (x, y), pen, 1, -1)
        else:
            axes = (_whole(rng, 1, width), _whole(rng, 1, height))
            turn, begin, end = (_whole(rng, 3, 180) for _ in range(3))
            cv2.ellipse(canvas, (x, y), axes, turn, begin, end, 1, pen)
    return _hole(canvas)


def _deepfill_stroke(canvas: Canvas, width_px: int, rng: np.random.Generator) -> None:
    """Draw one brush stroke of DeepFill v2 (Yu et al. 2019, released code): a zig-zag of 4 to 11 segments around 2
    pi / 5.
    """
    height, width = canvas.shape
    mean_angle, angle_range = 2 * math.pi / 5, 2 * math.pi / 15
    low = mean_angle - rng.uniform(0, angle_range)
    high = mean_angle + rng.uniform(0, angle_range)
    reach = math.hypot(height, width) / 8
    x, y = float(rng.integers(0, width)), float(rng.integers(0, height))
    for segment in range(_whole(rng, 4, 11)):
        angle = rng.uniform(low, high)
        if segment % 2 == 0:
            angle = 2 * math.pi - angle
        length = min(max(rng.normal(reach, reach / 2), 0.0), 2 * reach)
        end_x = min(max(x + length * math.cos(angle), 0.0), float(width))
        end_y = min(max(y + length * math.sin(angle), 0.0), float(height))
        _line(canvas, (x, y), (end_x, end_y), width_px)
        x, y = end_x, end_y


def _flipped(canvas: Canvas, rng: np.random.Generator) -> Canvas:
    """Flip along either axis with probability one half."""
    down, across = rng.random(2) < 0.5
    return np.ascontiguousarray(canvas[:: -1 if down else 1, :: -1 if across else 1])


def strokes(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One to three brush strokes of DeepFill v2 (Yu et al. 2019). Mean ratio .15.

    Brush width U(12,40) is pixels at 256 upstream; here it scales with the side, as the segments already do.
    Upstream's random flips are lost (the flipped copy is thrown away); we flip, as was meant. OpenCV's round caps
    stand for the discs at the joints.
    """
    canvas = _blank(height, width)
    scale = _side(height, width) / 256
    for _ in range(_whole(rng, 1, 3)):
        _deepfill_stroke(canvas, _thickness(int(rng.uniform(12, 40)) * scale), rng)
    return _hole(_flipped(canvas, rng))


def strokes_and_box(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """`strokes` or-ed with `box`: the training mask of DeepFill v2's released code (one per sample here, one per
    batch there).
    """
    brushed, boxed = strokes(height, width, rng), box(height, width, rng)
    return torch.from_numpy(np.maximum(brushed.numpy(), boxed.numpy()))


def _dfnet_stroke(canvas: Canvas, segments: int, width_px: int, rng: np.random.Generator) -> None:
    """Draw one stroke of DFNet's generator in unit coordinates."""
    height, width = canvas.shape
    x, y = rng.uniform(0.25, 0.75, 2)
    angle = 0.0
    for segment in range(segments):
        angle = math.pi - angle + rng.uniform(-0.75 * math.pi, 0.75 * math.pi)
        if segment % 2 == 0:
            angle = 2 * math.pi - angle
        length = rng.uniform(0.1, 0.3)
        end_x = min(max(x + length * math.cos(angle), 0.0), 1.0)
        end_y = min(max(y + length * math.sin(angle), 0.0), 1.0)
        _line(canvas, (x * width, y * height), (end_x * width, end_y * height), width_px)
        x, y = end_x, end_y


def free_form(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One to five thin poly-lines with 10 to 40 vertices in all: DFNet's generator (Hong et al. 2019), brush 2 % of
    the short side.

    Drawn once, not rejected: mean ratio .083. The authors keep masks between .1 and .2: `within(free_form, 0.1,
    0.2)`.
    """
    canvas = _blank(height, width)
    vertices, count = _whole(rng, 10, 40), _whole(rng, 1, 5)
    for _ in range(count):
        _dfnet_stroke(canvas, vertices // count, max(1, int(0.02 * min(height, width))), rng)
    return _hole(canvas)


# LaMa's configurations (Suvorov et al. 2022): strokes (min, max), max_width, max_len, box weight against line weight 1,
# box margin, box side (min, max), box count (min, max); at side 256 and 512.
_LaMaRow = tuple[float, float, float, float, float, float, float, float, float, float]
_LAMA: dict[str, tuple[_LaMaRow, _LaMaRow]] = {
    "thin": ((4, 50, 10, 40, 0, 0, 0, 0, 0, 0), (4, 70, 20, 100, 0, 0, 0, 0, 0, 0)),
    "medium": ((4, 5, 50, 100, 0.3, 0, 10, 50, 1, 5), (4, 10, 100, 200, 0.3, 0, 30, 150, 1, 5)),
    "thick": ((1, 5, 100, 200, 0.3, 10, 30, 150, 1, 3), (1, 5, 250, 450, 0.3, 10, 30, 300, 1, 4)),
    # abl-04, published for 256 only: twice the pixels at 512
    "thick_training": ((1, 5, 100, 200, 1, 10, 30, 150, 1, 4), (1, 5, 200, 400, 1, 20, 60, 300, 1, 4)),
}


def _lama(height: int, width: int, rng: np.random.Generator, at_256: _LaMaRow, at_512: _LaMaRow) -> Tensor:
    """Draw thick poly-lines or boxes as LaMa does; parameters between 256 and 512 are interpolated, beyond them
    scaled.
    """
    canvas = _blank(height, width)
    side = _side(height, width)
    blend = min(max((side - 256) / 256, 0.0), 1.0)
    scale = side / 256 if side < 256 else max(1.0, side / 512)
    row = [(1 - blend) * a + blend * b for a, b in zip(at_256, at_512, strict=True)]
    strokes_min, strokes_max, max_width, max_len, box_weight, margin, box_min, box_max, count_min, count_max = row
    if rng.random() * (1 + box_weight) < 1:
        for stroke in range(
            _whole(rng, strokes_min, round(strokes_max) + 1)
        ):  # their class adds one before an inclusive draw
            x, y = _whole(rng, 0, width - 1), _whole(rng, 0, height - 1)
            for _ in range(_whole(rng, 1, 5)):
                angle = 0.01 + _whole(rng, 0, 3)  # max_angle 4: four directions
                if stroke % 2 == 0:
                    angle = 2 * math.pi - angle
                length = int((10 + _whole(rng, 0, max_len - 1)) * scale)
                pen = _thickness((5 + _whole(rng, 0, max_width - 1)) * scale)
                end_x = int(min(max(x + length * math.sin(angle), 0), width))
                end_y = int(min(max(y + length * math.cos(angle), 0), height))
                _line(canvas, (x, y), (end_x, end_y), pen)
                x, y = end_x, end_y
    else:
        for _ in range(_whole(rng, count_min, round(count_max))):
            span = []
            for length in (height, width):
                edge = min(int(margin * scale), (length - 1) // 2)
                extent = min(max(1, int(_whole(rng, box_min, box_max) * scale)), length - 2 * edge)
                start = _whole(rng, edge, length - edge - extent)
                span.append((start, start + extent))
            (top, bottom), (left, right) = span
            canvas[top:bottom, left:right] = 1
    return _hole(canvas)


def thin(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """LaMa's thin (narrow) test masks: 4 to 51 fine strokes. Mean ratio .29 at 256, before LaMa's cut at .5."""
    return _lama(height, width, rng, *_LAMA["thin"])


def medium(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """LaMa's medium test masks: 4 to 6 strokes, or small boxes. Mean ratio .25 at 256, before LaMa's cut at .5."""
    return _lama(height, width, rng, *_LAMA["medium"])


def thick(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """LaMa's thick (wide) test masks: 1 to 6 very wide strokes, or boxes. Mean ratio .40 at 256, before LaMa's cut
    at .5.
    """
    return _lama(height, width, rng, *_LAMA["thick"])


def thick_training(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """LaMa's training masks for Places and CelebA: the thick lines of 256 and boxes, one to one. Mean ratio .34."""
    return _lama(height, width, rng, *_LAMA["thick_training"])


def blobs(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """One to three smooth, object-like shapes that cover about 3 to 50 %. Our own: what a user paints to remove a
    thing.

    A shape is a closed curve around a random centre: an ellipse of aspect 1 to 2.5, turned, its radius modulated by
    harmonics 2 to 7 with amplitudes that fall as 1/k, like the silhouettes of things.
    """
    canvas = _blank(height, width)
    count = _whole(rng, 1, 3)
    share = math.exp(rng.uniform(math.log(0.03), math.log(0.5))) / count  # of the picture, per shape
    phi = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    harmonics = np.arange(2, 8)
    for _ in range(count):
        radius = math.sqrt(share * rng.uniform(0.5, 1.5) * height * width / math.pi)
        aspect = math.sqrt(rng.uniform(1, 2.5))
        amplitude = rng.normal(0, 0.28, 6) / harmonics
        wave = 1 + (amplitude * np.cos(np.outer(phi, harmonics) + rng.uniform(0, 2 * math.pi, 6))).sum(axis=1)
        across, along = radius * aspect * wave * np.cos(phi), radius / aspect * wave * np.sin(phi)
        turn = rng.uniform(0, math.pi)
        x = rng.uniform(0.1, 0.9) * width + across * math.cos(turn) - along * math.sin(turn)
        y = rng.uniform(0.1, 0.9) * height + across * math.sin(turn) + along * math.cos(turn)
        cv2.fillPoly(canvas, [np.stack([x, y], axis=1).round().astype(np.int32)], 1)
    return _hole(canvas)


def border(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """Outpainting: one to four sides of the picture are missing, 5 to 40 % of an axis in all. Our own."""
    canvas = _blank(height, width)
    sides = rng.permutation(4)[: _whole(rng, 1, 4)]
    for axis, length in enumerate((height, width)):
        missing = [int(side) // 2 for side in sides if side % 2 == axis]  # 0: top or left, 1: bottom or right
        for far in missing:
            depth = min(max(1, round(length * rng.uniform(0.05, 0.4) / len(missing))), length)
            where = slice(length - depth, length) if far else slice(0, depth)
            canvas[(where, slice(None)) if axis == 0 else (slice(None), where)] = 1
    return _hole(canvas)


def _binned(bin_index: int, height: int, width: int, rng: np.random.Generator) -> Tensor:
    """Draw strokes of DeepFill v2 or DFNet until the ratio lies in bin `bin_index` (0 to 5); see `binned`."""
    low, high = BINS[bin_index]
    pixels = height * width
    least, most = math.floor(low * pixels) + 1, math.floor(high * pixels + 1e-9)  # hole pixels: low < ratio <= high
    if low * pixels >= least or least > most:
        raise BadMask(
            f"{height}x{width} pixels cannot have a hole ratio over {low:g} and up to {high:g}. Use a larger size."
        )
    side = _side(height, width)
    target = _whole(rng, least, most)  # every ratio in the bin is about as likely
    bound = min(most, target + pixels // 50)
    brush = side * math.exp(rng.uniform(math.log(0.015), math.log(0.12)))
    deepfill = rng.random() < 0.5
    guarded = rng.random() < 0.5
    guard_y, guard_x = (int(length * 50 / 512) if guarded else 0 for length in (height, width))
    inside = (slice(guard_y, height - guard_y), slice(guard_x, width - guard_x))
    inner = np.zeros((height - 2 * guard_y, width - 2 * guard_x), np.uint8)
    count = 0
    for _ in range(200):
        if count >= target:
            break
        proposal = np.zeros_like(inner)
        if deepfill:
            _deepfill_stroke(proposal, _thickness(brush), rng)
            proposal = _flipped(proposal, rng)
        else:
            _dfnet_stroke(proposal, _whole(rng, 4, 12), _thickness(brush), rng)
        proposal |= inner
        area = int(np.count_nonzero(proposal))
        if area <= bound:
            inner, count = proposal, area
        else:
            brush = max(1.0, 0.7 * brush)  # overshoot: rejected, the next stroke is finer
    if count < target:  # the rest is grown from the edge of what is there, nearest pixels first
        if count == 0:
            inner[rng.integers(0, inner.shape[0]), rng.integers(0, inner.shape[1])] = 1
        distance = cv2.distanceTransform(1 - inner, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        inner.reshape(-1)[np.argsort(distance, axis=None, kind="stable")[:target]] = 1
    canvas = _blank(height, width)
    canvas[inside] = inner
    return _hole(canvas)


def binned(bin_index: int) -> MaskFn:
    """Generator whose hole ratio always lies in `BINS[bin_index]`, low < ratio <= high, evenly spread over the bin.

    Strokes of DeepFill v2 or DFNet with a brush log-uniform in .015 to .12 of the side are added until the ratio is
    reached; strokes that overshoot are rejected and the brush made finer. Half of the holes keep 50/512 of the side
    away from the border. Stands for the NVIDIA irregular mask test set, whose licence is unknown. Raises BadMask
    where no such hole exists (a few pixels).
    """
    assert 0 <= bin_index < len(BINS), f"bin {bin_index}: there are {len(BINS)}, counted from 0"
    return partial(_binned, bin_index)


KINDS: dict[str, MaskFn] = {
    "center": center,
    "box": box,
    "boxes": boxes,
    "lines": lines,
    "strokes": strokes,
    "strokes_and_box": strokes_and_box,
    "free_form": free_form,
    "thin": thin,
    "medium": medium,
    "thick": thick,
    "thick_training": thick_training,
    "blobs": blobs,
    "border": border,
    **{f"bin{index + 1}": binned(index) for index in range(len(BINS))},
}


@dataclass(frozen=True)
class _Mixture:
    """Draws one of several kinds, each with its probability; a class so that data workers can pickle it."""

    names: tuple[str, ...]
    cumulative: tuple[float, ...]

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> Tensor:
        index = int(np.searchsorted(self.cumulative, rng.random(), side="right"))
        return KINDS[self.names[min(index, len(self.names) - 1)]](height, width, rng)


def mixture(weights: Mapping[str, float]) -> MaskFn:
    """Generator that draws one kind of `KINDS` per hole, with probabilities proportional to `weights`.

    Raises BadMask for an unknown kind, a negative weight or weights that are all zero.
    """
    for name, weight in weights.items():
        if name not in KINDS:
            close = difflib.get_close_matches(name, KINDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise BadMask(f"no mask kind {name!r}.{hint} All: {', '.join(KINDS)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise BadMask(f"mask kind {name!r} has the weight {weight:g}; expected a number of 0 or more.")
    total = sum(weights.values())
    if not total > 0:
        raise BadMask("all mask weights are zero. Give at least one kind a weight above 0.")
    names = tuple(name for name, weight in weights.items() if weight > 0)
    cumulative = np.cumsum([weights[name] / total for name in names])
    return _Mixture(names, tuple(float(value) for value in cumulative))


@dataclass(frozen=True)
class _Within:
    """Redraws until the hole ratio fits; a class so that data workers can pickle it."""

    draw: MaskFn
    low: float
    high: float
    tries: int

    def __call__(self, height: int, width: int, rng: np.random.Generator) -> Tensor:
        for _ in range(self.tries):
            hole = self.draw(height, width, rng)
            if self.low <= ratio(hole) < self.high:
                return hole
        raise BadMask(
            f"no hole with a ratio of {self.low:g} to {self.high:g} in {self.tries} tries at {height}x{width}. "
            "Choose another kind or a wider range."
        )


def within(draw: MaskFn, low: float, high: float, *, tries: int = 1000) -> MaskFn:
    """Generator that redraws until low <= ratio < high, as DFNet's authors do. Raises BadMask after `tries` misses."""
    return _Within(draw, low, high, tries)
