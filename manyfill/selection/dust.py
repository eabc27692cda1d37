"""Dust, hairs and scratches of a scan, without a network: what is thin, flat, sharp, and not like what is around.

A top-hat (what an opening by a disc takes away) finds whatever is thinner than the disc: specks, hairs and scratches,
pale on scans of negatives, dark on scans of prints; but leaves and wires as well. Dust lies on the film, so its edges
are as sharp as the scanner is, sharper than the lens drew the picture; it is opaque, so its middle is as bright as its
edge; it ends all around, where what belongs to the picture goes on; and it stands out of what the same filter finds
around it. A row of numbers weighs these and their products. Only cores are looked at, because a speck that touches a
leaf is one piece with it further down; what is found then reaches down its slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box
from manyfill.checking import Check, go_on
from manyfill.selection.shapes import Floats, mean_around

TILE = 1024
LONG = 3  # times as long as wide: a panorama, or a strip of film, is not scaled by its length
FEATURES = (
    "contrast", "flatness", "standing out", "against the opposite", "edge", "sharpness", "tint", "inner contrast",
    "area", "length to width", "goes on around",
)  # fmt: skip
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Search:
    """Constants of the detector. Weights and products are fitted on synthetic dust by tools/measure_dust.py --fit."""

    disc: int = 13  # pixels across: what is thinner is found; times the photo's scale
    surroundings: int = 41  # pixels across, likewise
    scale: float = 3000.0  # longer side of a photo, in pixels, up to which the sizes above hold as they are
    strong: float = 0.08  # contrast, of 1, of what is looked at
    apart: float = 1.0  # and how far it stands out of what the filter leaves around, as a logarithm
    core: float = 0.7  # share of the contrast near by that separates pieces
    weak: float = 0.4  # and down to which they reach once they are found
    ring: int = 7  # pixels across, times the photo's scale: what is this near goes on around it
    weights: tuple[float, ...] = (0.7031, 2.431, 2.29, -2.707, 6.946, 1.852, 13.04, -47.91, -1.713, 0.6739, 10.66)
    products: tuple[float, ...] = (  # of each feature with itself and those after it
        -20.05, -5.098, -10.11, 0.1582, 6.594, 4.655, -27.6, 13.9, 2.627, -2.428, -10.05,
        -14.18, -0.9889, -0.5309, -14.22, 4.652, -47.09, -51.71, 3.788, -3.91, -12.28,
        0.06067, -0.003981, -1.074, 0.1177, 7.229, 1.539, -0.8617, 0.3811, -1.635,
        -0.1563, -2.049, 0.1503, -3.836, 12.94, -0.2509, 0.1157, -3.076,
        0.301, -0.8205, -2.766, -18.36, 1.784, -3.889, -1.542,
        0.04513, -6.013, 2.025, -0.9207, 1.689, 0.9861,
        -7.233, 19.68, -2.438, -1.001, -1.185,
        -83.11, -0.7581, 10.36, -7.826,
        -0.1014, 0.01196, -2.362,
        0.05938, -0.3468,
        -0.6929,
    )  # fmt: skip
    bias: float = -5.66  # of what is dust beyond doubt
    kind_bias: float = -2.66  # of the kind, pale or dark, that most of that is: a scan has one kind
    kind_share: float = 3.0  # times as much of that kind as of the other
    width: float = 6.0  # pixels: what is wider on average, or all tangled up, is no dust


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be dust in a picture."""

    labels: NDArray[np.int32]  # (H,W) of their cores, 0: nothing
    contrast: Floats  # (H,W), of 1
    features: Rows  # (n, len(FEATURES)), of labels 1 .. n
    areas: Rows  # (n,), pixels
    widths: Rows  # (n,), pixels at the usual scale, on average


def find_dust(pixels: NDArray[Any], search: Search | None = None, *, check: Check = go_on) -> Bools:
    """Where there is dust on a photo (H,W,3): (H,W). Works tile by tile: memory does not go with the photo.

    `check()` is called between the tiles.
    """
    search = search or Search()
    height, width = pixels.shape[:2]
    times = max(1.0, min(max(height, width), LONG * min(height, width)) / search.scale)
    frame = Box(0, 0, height, width)
    margin = round(times * 2 * search.surroundings)
    sure, likely = np.zeros((2, height, width), bool), np.zeros((2, height, width), bool)
    for tile in frame.tiles(TILE):
        seen = tile.grown(margin, frame)
        for kind, bright in enumerate((True, False)):
            check()
            there = candidates(pixels[seen.part], search, bright=bright, times=times)
            scores = np.where(there.widths <= search.width, _scores(there.features, search), -np.inf)
            for bias, plane in ((search.bias, sure[kind]), (search.kind_bias, likely[kind])):
                cores = np.concatenate([[False], scores + bias > 0])[there.labels]
                plane[tile.part] = _reaching(there.contrast, cores, search.weak)[tile.inside(seen).part]
    amounts = [int(np.count_nonzero(plane)) for plane in sure]
    most = int(np.argmax(amounts))
    if amounts[most] and amounts[most] >= search.kind_share * amounts[1 - most]:
        sure[most] = likely[most]
    return np.asarray(sure[0] | sure[1])


def _scores(features: Rows, search: Search) -> Rows:
    """How much each row of features looks like dust: a weighted sum of them and of their products, two by two."""
    one, other = np.triu_indices(features.shape[1])
    products = features[:, one] * features[:, other]
    return np.asarray(features @ np.array(search.weights) + products @ np.array(search.products), np.float64)


def candidates(pixels: NDArray[Any], search: Search, *, bright: bool, times: float = 1.0) -> Candidates:
    """What is thin and brighter than its surroundings, or darker; with what tells dust from other things."""
    colours = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    colours = colours if bright else 1 - colours
    level = np.ascontiguousarray(colours.min(2))  # of the weakest colour: what is bright in one alone is no dust
    tint = colours.max(2) - level
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_odd(search.disc * times),) * 2)
    hat = _filtered(level, cv2.MORPH_TOPHAT, disc)
    side = _odd(search.surroundings * times)
    usual = mean_around(np.minimum(hat, 2 * mean_around(hat, side)), side)
    opposite = mean_around(_filtered(level, cv2.MORPH_BLACKHAT, disc), side)
    fine = level - cv2.GaussianBlur(level, (0, 0), 1.5)
    smooth = cv2.GaussianBlur(level, (0, 0), 0.7)
    slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    standing = np.log((hat + 0.01) / (usual + 0.01))

    strong = (hat > search.strong) & (standing > search.apart)
    cores = _reaching(hat, strong, search.core)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cores.astype(np.uint8), connectivity=8)
    flat = labels.ravel()
    areas = np.maximum(np.bincount(flat, minlength=count), 1).astype(np.float64)

    def mean(values: Floats) -> Rows:
        return np.asarray(np.bincount(flat, values.ravel(), count) / areas)

    def most(values: Any) -> Rows:
        found: Rows = np.zeros(count)
        np.maximum.at(found, np.asarray(labels[cores], np.int64), values[cores])
        return found

    ring = cv2.dilate(labels.astype(np.float32), np.ones((_odd(search.ring * times),) * 2, np.uint8)).astype(np.int32)
    ring[labels > 0] = 0
    around = np.bincount(ring.ravel(), hat.ravel(), count) / np.maximum(np.bincount(ring.ravel(), minlength=count), 1)
    length = np.hypot(boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT]) / times
    extent = areas / times**2
    contrast = mean(hat)
    features = np.stack(
        [
            contrast,
            np.log((contrast + 0.01) / (most(hat) + 0.01)),
            mean(standing),
            np.log((most(hat) + 0.01) / (mean(opposite) + 0.01)),
            np.log((most(slope) + 0.01) / (mean(mean_around(slope, side)) + 0.01)),
            np.log((most(fine) + 0.01) / (mean(mean_around(np.abs(fine), side)) + 0.01)),
            mean(tint),
            most(level) - mean(level),
            np.log(extent + 1),
            np.log(length**2 / extent),
            np.log((around + 0.01) / (contrast + 0.01)),
        ],
        axis=1,
    )
    return Candidates(np.asarray(labels, np.int32), hat, features[1:], areas[1:], (extent / length)[1:])


def _reaching(contrast: Floats, cores: Bools, share: float) -> Bools:
    """Cores, and what is near them with at least this share of their contrast."""
    near = cv2.dilate(contrast * cores, np.ones((5, 5), np.uint8))
    return np.asarray((contrast > share * near) & (near > 0))


def _filtered(level: Floats, way: int, disc: NDArray[Any]) -> Floats:
    return np.asarray(cv2.morphologyEx(level, way, disc, borderType=cv2.BORDER_REFLECT), np.float32)


def _odd(pixels: float) -> int:
    return 2 * round((pixels - 1) / 2) + 1
