"""Pictures for people: the contact sheet `photo | hole | fills`, labelled grids, and heat maps over a photo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GAP = 12  # between tiles and round the sheet, pixels
THIN = 4  # between the tiles of a grid, pixels
TEXT = (15, 30)  # height of letters under the tiles, least and greatest; the title's are a fifth higher
PAPER, INK, FAINT = (250, 250, 248), (28, 28, 30), (120, 120, 124)
HOLE = (255, 0, 110)  # a colour that is rare in photos
COPIED, DRAWN = (0, 130, 255), (255, 130, 0)  # blue and orange, distinct for the colour-blind, too
ARROW = (255, 255, 255)
TILE = (160, 760)  # a tile's least and greatest width, pixels
ROWS = 64  # of a heat map that are coloured at a time: it takes some 60 bytes a pixel
PER_ROW = 6  # tiles at most, so that each can be judged on a small screen
ASPECT = 2.0  # width to height of a sheet that fits both a screen and a page


@dataclass(frozen=True)
class Box:
    """A rectangle of a photo, in pixels; bottom and right are outside."""

    top: int
    left: int
    bottom: int
    right: int


class Shown(Protocol):
    """A photo that need not lie in memory as a picture: parts of it are made as they are wanted."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def height(self) -> int:
        """Rows."""

    def part(self, box: Box, width: int) -> Image.Image:
        """A part of it, smaller by a whole number where it stays at least so many pixels wide."""


def contact_sheet(
    photo: Image.Image | Shown,
    hole: NDArray[np.bool_],
    fills: Sequence[Image.Image | Shown],
    *,
    title: str = "",
    labels: Sequence[str] = (),
    columns: int | None = None,
    max_width: int = 2400,
) -> Image.Image:
    """Lay out photo | hole | fills, best first, on one RGB picture at most `max_width` pixels wide.

    Where the hole is small in its photo, the hole and the fills are shown closer; the photo then has a frame round
    that part. `hole` (H, W) is True where filled; `labels` has one text per fill, after its number; `columns` is found
    when not given.
    """
    near = view(hole)
    close = (near.bottom - near.top, near.right - near.left) != hole.shape
    tiles = len(fills) + 2
    columns = columns or _columns(tiles, photo.width / photo.height)
    widest = min((max_width - GAP) // columns - GAP, TILE[1])
    width = min(widest, max(photo.width, TILE[0]))
    height = max(1, round(width * photo.height / photo.width))
    if height > 2 * widest:  # a tall strip: keep the sheet in proportion
        width, height = max(1, round(2 * widest * photo.width / photo.height)), 2 * widest
    cell = max(width, TILE[0])  # room for the label under a narrow tile
    size = min(max(round(cell / 24), TEXT[0]), TEXT[1])
    below, above = 2 * size, 2 * size + 10  # lines for label and title

    whole = Box(0, 0, photo.height, photo.width)
    pictures = [_tile(photo, whole, width, height)]
    if close:
        _frame(pictures[0], near, photo.width, photo.height)
    pictures.append(_mark(_tile(photo, near, width, height), _tile_hole(hole, near, width, height)))
    pictures.extend(_tile(fill, near, width, height) for fill in fills)
    texts = ["photo", f"hole · {100 * float(hole.mean()):.3g} %"]
    texts.extend(f"{rank} · {label}" if label else f"{rank}" for rank, label in _numbered(fills, labels))

    rows = math.ceil(tiles / columns)
    sheet_width = GAP + columns * (cell + GAP)
    sheet = Image.new("RGB", (sheet_width, above + rows * (height + below + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (GAP, size // 2), title, size=round(1.2 * size), colour=INK, room=sheet_width - 2 * GAP)
    for index, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        left = GAP + (index % columns) * (cell + GAP)
        top = above + (index // columns) * (height + below + GAP)
        sheet.paste(picture, (left, top))
        _write(draw, (left, top + height + size // 3), text, size=size, colour=INK if index > 1 else FAINT, room=cell)
    return sheet


def grid(
    rows: Sequence[Sequence[Image.Image | None]],
    *,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    side: int = 128,
    group: int = 0,
) -> Image.Image:
    """Pictures of one shape in rows and columns with thin gaps, names on the left and on top; None leaves a place free.

    Every tile is `side` pixels wide. After each `group` rows (0: never) the gap is wider, so that rows of one photo
    stand together.
    """
    first = next(picture for row in rows for picture in row if picture is not None)
    height = max(1, round(side * first.height / first.width))
    size = min(max(side // 9, TEXT[0]), TEXT[1])
    font = ImageFont.load_default(size)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    row_labels = [_on_one_line(label) for label in row_labels]
    beside = GAP + max(math.ceil(measure.textlength(label, font)) for label in row_labels)
    tops = [
        GAP + 2 * size + index * (height + THIN) + (index // group * GAP if group else 0) for index in range(len(rows))
    ]
    lefts = [beside + GAP + index * (side + THIN) for index in range(len(column_labels))]
    sheet = Image.new("RGB", (lefts[-1] + side + GAP, tops[-1] + height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for left, label in zip(lefts, column_labels, strict=True):
        _write(draw, (left, GAP), label, size=size, colour=FAINT, room=side)
    for top, label, row in zip(tops, row_labels, rows, strict=True):
        _write(draw, (GAP, top + (height - size) // 2), label, size=size, colour=INK, room=beside)
        for left, picture in zip(lefts, row, strict=True):
            if picture is not None:
                how = Image.Resampling.BICUBIC if picture.width < side else Image.Resampling.LANCZOS
                sheet.paste(_flat(picture).resize((side, height), how), (left, top))
    return sheet


def heat_map(photo: Image.Image, uncertainty: NDArray[np.floating[Any]]) -> Image.Image:
    """The photo in grey under the spread of its fills (H, W) in [0, 1]: violet where they agree, yellow where not."""
    return Image.fromarray(heat(np.asarray(_flat(photo).convert("L")), np.asarray(uncertainty)), "RGB")


def heat(grey: NDArray[np.uint8], spread: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """`heat_map` of any rows: grey (h, W) and spread (h, W) to colours (h, W, 3)."""
    spread = np.clip(np.asarray(spread, dtype=np.float32), 0, 1)
    steps = np.linspace(0, 1, 6)
    ramp = np.array([(60, 10, 100), (120, 30, 130), (190, 50, 110), (235, 95, 60), (250, 160, 30), (250, 240, 110)])
    mixed = np.repeat(grey[..., None], 3, axis=2)
    for top in range(0, len(grey), ROWS):
        rows, under = spread[top : top + ROWS], mixed[top : top + ROWS].astype(np.float32)
        colour = np.stack([np.interp(rows, steps, ramp[:, channel]) for channel in range(3)], axis=-1)
        weight = np.where(rows > 0, 0.35 + 0.6 * rows, 0)[..., None]
        mixed[top : top + ROWS] = np.rint((1 - weight) * under + weight * colour)
    return mixed


def origins(fill: Image.Image, share: NDArray[np.floating[Any]], hole: NDArray[np.floating[Any]]) -> Image.Image:
    """The fill in grey, its hole coloured by origin: `COPIED` the photo's own patches, `DRAWN` the network.

    share (H, W) in [0, 1] is that of the patches, hole (H, W) in [0, 1].
    """
    grey = np.asarray(_flat(fill).convert("L"), np.float32)[..., None]
    colour = share[..., None] * np.array(COPIED, np.float32) + (1 - share[..., None]) * np.array(DRAWN, np.float32)
    weight = 0.6 * hole[..., None]
    return Image.fromarray(np.rint((1 - weight) * grey + weight * colour).astype(np.uint8), "RGB")


def arrowed(picture: Image.Image, pairs: NDArray[np.floating[Any]]) -> Image.Image:
    """The picture with arrows (K,4): y, x to point at and y, x to come from, in its pixels; these may lie outside."""
    drawn = picture.copy()
    draw = ImageDraw.Draw(drawn)
    thin = max(1, round(max(picture.size) / 400))
    for colour, width in ((INK, 3 * thin), (ARROW, thin)):
        for y, x, from_y, from_x in pairs:
            length = math.hypot(x - from_x, y - from_y)
            if length < 1:
                continue
            angle, head = math.atan2(y - from_y, x - from_x), min(10.0 * thin, length / 2)
            draw.line((from_x, from_y, x, y), fill=colour, width=width)
            for side in (-0.5, 0.5):
                end = x - head * math.cos(angle + side), y - head * math.sin(angle + side)
                draw.line((x, y, *end), fill=colour, width=width)
    return drawn


def view(hole: NDArray[np.bool_]) -> Box:
    """The part of a photo to show: the hole and about as much around it, in the photo's proportions; or all of it."""
    height, width = hole.shape
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    if not len(rows):
        return Box(0, 0, height, width)
    tall, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    share = max(2 * tall / height, 2 * wide / width, min(1.0, 128 / max(height, width)))
    if share > 0.6:
        return Box(0, 0, height, width)
    size_h, size_w = max(1, round(share * height)), max(1, round(share * width))
    top = min(max(0, (int(rows[0]) + int(rows[-1]) + 1 - size_h) // 2), height - size_h)
    left = min(max(0, (int(columns[0]) + int(columns[-1]) + 1 - size_w) // 2), width - size_w)
    return Box(top, left, top + size_h, left + size_w)


def _columns(tiles: int, aspect: float) -> int:
    """How many tiles go in a row so that the sheet's aspect is pleasant and few cells stay empty."""

    def badness(columns: int) -> float:
        rows = math.ceil(tiles / columns)
        return abs(math.log(columns * aspect / rows / ASPECT)) + (columns * rows - tiles) / tiles

    return min(range(min(tiles, PER_ROW), 0, -1), key=badness)


def _numbered(fills: Sequence[Any], labels: Sequence[str]) -> list[tuple[int, str]]:
    texts = [*labels, *[""] * (len(fills) - len(labels))]
    return [(index + 1, texts[index]) for index in range(len(fills))]


def _flat(picture: Image.Image) -> Image.Image:
    """RGB, transparent parts over a grey checkerboard as viewers show them."""
    if "A" not in picture.getbands():
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    rgba = picture.convert("RGBA")
    rows, columns = np.ogrid[: rgba.height, : rgba.width]
    checks = np.where((rows // 8 + columns // 8) % 2, 216, 240).astype(np.uint8)
    under = Image.fromarray(checks, "L").convert("RGBA")
    return Image.alpha_composite(under, rgba).convert("RGB")


def _tile(picture: Image.Image | Shown, box: Box, width: int, height: int) -> Image.Image:
    if not isinstance(picture, Image.Image):
        part = picture.part(box, width)
    elif (box.left, box.top, box.right, box.bottom) == (0, 0, *picture.size):
        part = picture
    else:
        part = picture.crop((box.left, box.top, box.right, box.bottom))
    enlarged = part.width < width
    how = Image.Resampling.BICUBIC if enlarged else Image.Resampling.LANCZOS
    return _flat(part).resize((width, height), how, reducing_gap=None if enlarged else 2.0)


def _tile_hole(hole: NDArray[np.bool_], box: Box, width: int, height: int) -> NDArray[np.float32]:
    part = Image.fromarray(hole[box.top : box.bottom, box.left : box.right].astype(np.uint8) * 255, "L")
    resized = part.resize((width, height), Image.Resampling.BOX)
    return np.asarray(resized, dtype=np.float32) / np.float32(255)


def _mark(picture: Image.Image, hole: NDArray[np.float32]) -> Image.Image:
    """Lay the hole over a tile: tinted and striped, so that it shows on every photo and without colour vision."""
    pixels = np.asarray(picture, dtype=np.float32)
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    stripes = np.where((rows + columns) % 14 < 5, 0.85, 0.6)[..., None]
    weight = stripes * hole[..., None]
    mixed = (1 - weight) * pixels + weight * np.array(HOLE, dtype=np.float32)
    return Image.fromarray(np.rint(mixed).astype(np.uint8), "RGB")


def _frame(tile: Image.Image, box: Box, photo_width: int, photo_height: int) -> None:
    across, down = tile.width / photo_width, tile.height / photo_height
    edges = (box.left * across, box.top * down, box.right * across - 1, box.bottom * down - 1)
    ImageDraw.Draw(tile).rectangle(edges, outline=HOLE, width=2)


def _on_one_line(text: str) -> str:
    """A name as it can be drawn: file names may hold line ends, and bytes that are no letters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, *, size: int, colour: tuple[int, int, int], room: int
) -> None:
    font, text = ImageFont.load_default(size), _on_one_line(text)
    if draw.textlength(text, font) > room:
        while text and draw.textlength(text + "...", font) > room:
            text = text[:-1]
        text += "..."
    draw.text(at, text, fill=colour, font=font)
