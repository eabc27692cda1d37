"""The papers' side-by-sides as pictures, and attention over a photo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from manyfill import masks, photos, sheet
from manyfill.boxes import Box, Pixels
from manyfill.comparison import scores
from manyfill.completer import Completer, NetDrawer
from manyfill.errors import ManyfillError
from manyfill.nets import CompletionNet
from manyfill.nets.dfnet import DFNet
from manyfill.nets.picnet import PICNet
from manyfill.objectives import complete
from manyfill.scaling import to_net
from manyfill.windows import plan

Query = tuple[float, float]  # row and column as shares of height and width

SHOWN = 5  # fills in a row
MAP_SIDE = 512  # least width in pixels of a photo's attention map


# ── the three figures ─────────────────────────────────────────────────────────────────────────────────────────────────


def strategies(fills: Mapping[str, Tensor], image: Tensor, hole: Tensor) -> Image.Image:
    """Per photo of image (B,3,H,W): one row per strategy with its fills (N,B,3,H,W): photo | hole | fills."""
    rows = [
        [
            _picture(image[i]),
            _with_hole(image[i], hole[i]),
            *_upto(SHOWN, [_picture(one) for one in drawn[:SHOWN, i]]),
        ]
        for i in range(len(image))
        for drawn in fills.values()
    ]
    return sheet.grid(
        rows,
        row_labels=_words(fills) * len(image),
        column_labels=["photo", "hole", *(f"fill {k + 1}" for k in range(SHOWN))],
        group=len(fills),
    )


def attention(
    nets: Mapping[str, CompletionNet], image: Tensor, hole: Tensor, points: list[tuple[int, int]]
) -> Image.Image:
    """Per photo: one row per kind of attention, photo | hole | where the point looks | likeliest fill | samples."""
    samples = SHOWN - 2
    fills = {name: scores.draw(net, image, hole, fills=samples) for name, net in nets.items()}
    rows = []
    for i, (row, column) in enumerate(points):
        one, missing = image[i : i + 1], hole[i : i + 1]
        for name, net in nets.items():
            seen = attention_picture(cast(PICNet, net), one, missing, row, column, side=2 * sheet.TILE[0])
            rows.append(
                [
                    _picture(one[0]),
                    _with_hole(one[0], missing[0]),
                    Image.fromarray(seen),
                    _picture(_likeliest(net, one, missing)[0]),
                    *_upto(samples, [_picture(fill) for fill in fills[name][:, i]]),
                ]
            )
    names = ["photo", "hole", "looks at", "likeliest fill", *(f"fill {k + 1}" for k in range(samples))]
    return sheet.grid(rows, row_labels=_words(nets) * len(points), column_labels=names, group=len(nets))


@torch.no_grad()
def fusion_blocks(nets: Mapping[str, CompletionNet], image: Tensor, hole: Tensor) -> Image.Image:
    """Per photo: one row per network, photo | hole | the picture of each level, coarse to fine | alpha | completed."""
    dfnets = {name: cast(DFNet, net) for name, net in nets.items()}
    levels = max(max(net.config.fusion_levels, default=0) for net in dfnets.values()) + 1
    rows: list[list[Image.Image | None]] = []
    for i in range(len(image)):
        one, missing = image[i : i + 1], hole[i : i + 1]
        for net in dfnets.values():
            pictures = net.generate(net.encode(one, missing))
            finest = pictures[-1]
            shown = [_picture(picture.image[0], side=one.shape[-1]) for picture in pictures]
            alpha = None if finest.alpha is None else _picture(finest.alpha[0].mean(0, keepdim=True).expand(3, -1, -1))
            free: list[Image.Image | None] = [None] * (levels - len(shown))
            filled = _picture(complete(finest.image, one, missing)[0])
            rows.append([_picture(one[0]), _with_hole(one[0], missing[0]), *free, *shown, alpha, filled])
    names = [f"level {k}" for k in reversed(range(levels))]
    return sheet.grid(
        rows,
        row_labels=_words(nets) * len(image),
        column_labels=["photo", "hole", *names, "alpha", "completed"],
        group=len(nets),
    )


# ── attention ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def attention_picture(
    net: PICNet, image: Tensor, hole: Tensor, row: int, column: int, *, side: int | None = None
) -> Pixels:
    """Where the pixel (row, column) looks while the likeliest fill is drawn, over that fill: uint8 (H,W,3) RGB.

    image (1,3,H,W) in [0,1], hole (1,1,H,W). Yellow is where it looks most, violet where hardly at all; nothing is
    tinted where the network has no attention. The point is marked, the hole outlined. `side`: the result's width in
    pixels, the image's own if None.
    """
    seen = net.attention_map(net.encode(image, hole), None, row, column)[0].cpu().numpy()
    fill = _pixels(_likeliest(cast(CompletionNet, net), image, hole)[0])
    return _draw_attention(fill, seen, hole[0, 0].cpu().numpy() > 0.5, row, column, side or image.shape[-1])


def attention_of_photo(name_or_path: str | Path, photo: Any, mask: Any, query: Query | None = None) -> Pixels:
    """`attention_picture` of an installed model or weights file, for a photo of any size: uint8 (h,w,3) RGB.

    Shows the part of the photo that the network sees while it fills the queried point (of the whole photo; default:
    deep in the hole). Raises ManyfillError where the model has no attention or the point is out of its sight.
    """
    completer = Completer.from_pretrained(name_or_path, device="cpu")
    net: object = completer.drawer.net if isinstance(completer.drawer, NetDrawer) else None
    if not isinstance(net, PICNet) or net.config.attention == "none":
        raise ManyfillError(f"model '{name_or_path}' has no attention to show. Take one of PICNet's kind: pluralistic.")
    source = photos.read(photo)
    missing = masks.read_hole(mask, size=(source.height, source.width))
    if not missing.any():
        raise ManyfillError("the mask marks no hole, so nothing is drawn and nothing is looked at. White = fill.")
    row, column = point_of(missing, query)
    windows = plan(missing, working_size=net.working_size, multiple=net.multiple)
    at = Box(row, column, 1, 1)
    window = next((w for w in windows if missing[row, column] and at.shared(w.core)), None)
    window = window or next((w for w in windows if at.shared(w.box)), None)
    if window is None:
        raise ManyfillError(
            f"the point (row {row}, column {column}) is too far from the hole: the model never sees it. Query a point "
            "in the hole or near it."
        )
    image, hole = to_net(source.pixels[window.box.part], missing[window.box.part], window)
    inner, offset = window.inner, window.offset
    near = at.inside(window.box)
    there = [
        offset[axis] + int((place + 0.5) * inner[axis] / length)
        for axis, (place, length) in enumerate([(near.top, window.box.height), (near.left, window.box.width)])
    ]
    with torch.inference_mode():
        seen = net.attention_map(net.encode(image, hole), None, *there)[0].numpy()
    seen = seen[offset[0] : offset[0] + inner[0], offset[1] : offset[1] + inner[1]]  # without what was padded
    fill = completer.complete(source, missing, n=1, diversity=0.0, texture="net")[0].photo
    pixels = photos.to_8_bits(fill.pixels[window.box.part])
    side = max(MAP_SIDE, window.box.width)
    return _draw_attention(pixels, seen, missing[window.box.part], near.top, near.left, side)


def point_of(hole: NDArray[np.bool_], query: Query | None) -> tuple[int, int]:
    """Row and column of a query on a picture with this hole (H,W); by default the hole's deepest pixel."""
    height, width = hole.shape
    if query is not None:
        return min(int(query[0] * height), height - 1), min(int(query[1] * width), width - 1)
    padded = np.pad(hole.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # of many that are equally deep (a square's middle, a stroke's spine) the one nearest to their centre
    rows, columns = np.nonzero(depth >= depth.max() - 0.5)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(rows[nearest]), int(columns[nearest])


def _draw_attention(
    pixels: Pixels, seen: NDArray[Any], hole: NDArray[np.bool_], row: int, column: int, side: int
) -> Pixels:
    """Heat `seen` (h,w) over a picture (H,W,3), the outline of its hole, and a ring with a dot at the point."""
    scale = side / pixels.shape[1]
    size = (side, max(1, round(pixels.shape[0] * scale)))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    share = seen / seen.max() if seen.max() > 0 else seen
    heat = cv2.resize(np.sqrt(share).astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    drawn = np.array(sheet.heat_map(picture, heat))
    missing = cv2.resize(hole.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    edges, _ = cv2.findContours(missing, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thick = max(1, round(side / 250))
    cv2.drawContours(drawn, edges, -1, (255, 255, 255), thick)
    marked = Image.fromarray(drawn)
    pen = ImageDraw.Draw(marked)
    x, y, radius = (column + 0.5) * scale, (row + 0.5) * scale, max(2.0, side / 40)
    for wide, colour in ((3 * thick, sheet.PAPER), (thick, sheet.HOLE)):  # a ring that shows on every ground
        reach = radius + wide / 2
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=wide)
    pen.ellipse((x - thick, y - thick, x + thick, y + thick), fill=sheet.HOLE)
    return np.asarray(marked)


@torch.no_grad()
def _likeliest(net: CompletionNet, image: Tensor, hole: Tensor) -> Tensor:
    return complete(net.decode(net.encode(image, hole), None).image, image, hole)


# ── tiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pixels(x: Tensor) -> Pixels:
    """(3,H,W) in [0,1] to uint8 (H,W,3)."""
    return np.asarray((255 * x.float().clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())


def _picture(x: Tensor, *, side: int | None = None) -> Image.Image:
    """A tile; with `side`, a coarse picture whose pixels are to be seen as squares."""
    picture = Image.fromarray(_pixels(x))
    return picture if side is None else picture.resize((side, side), Image.Resampling.NEAREST)


def _with_hole(image: Tensor, hole: Tensor) -> Image.Image:
    return _picture(image * (1 - hole) + 0.5 * hole)


def _words(names: Iterable[str]) -> list[str]:
    return [name.replace("-", " ") for name in names]


def _upto(count: int, pictures: list[Image.Image]) -> list[Image.Image | None]:
    return [*pictures, *[None] * (count - len(pictures))]
