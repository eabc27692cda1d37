"""Where there is writing in a photo: RapidOCR's detector and reader (PaddleOCR's PP-OCRv4, Apache-2.0).

Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020. What the detector takes for a
line of text has to be readable, too: fences and cows are not. RapidOCR's package would bring opencv-python, which
overwrites the files of opencv-python-headless; so only the two networks are taken out of its wheel (`manyfill fetch
text`, or the wheel where it is installed), and what follows them is done here, with its numbers.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill import fetchables, photos
from manyfill.boxes import Bools
from manyfill.checking import Check, go_on
from manyfill.errors import MissingExtra, UnknownModel
from manyfill.selection.networks import session
from manyfill.selection.shapes import Floats, resized

SHORTEST, LONGEST, MULTIPLE = 736, 1536, 32  # pixels of the sides that the detector is shown; they are multiples
CUT, SURE, UNCLIP = 0.3, 0.5, 1.6  # of a pixel, of a line's mean, and how much lines grow
READABLE = 0.5  # mean certainty of the letters of a line
HIGH, WIDEST = 48, 2400  # pixels of a line that the reader is shown
LEAST = 3  # pixels that a line of text is high at least
MOST_LINES = 1000
PACKAGE, FOLDER = "rapidocr_onnxruntime", "models"


@dataclass(frozen=True)
class Networks:
    """What finds text, and what reads it."""

    detector: Any
    reader: Any


def find_text(pixels: NDArray[Any], *, check: Check = go_on) -> Bools:
    """Where there is writing in a photo (H,W,3): (H,W), whole lines with the space that they take.

    `check()` is called between the lines. Raises UnknownModel and MissingExtra where the networks are not there, saying
    how to get them.
    """
    networks = _networks(*_files())
    pixels = np.ascontiguousarray(pixels)  # once, and not for every line
    height, width = pixels.shape[:2]
    factor = min(max(1.0, SHORTEST / min(height, width)), LONGEST / max(height, width))
    shown = resized(pixels, max(1, round(height * factor)), max(1, round(width * factor)))
    found = np.zeros((height, width), np.uint8)
    scale = np.array([width / shown.shape[1], height / shown.shape[0]])
    check()
    for line in _lines(_detect(networks.detector, shown), check):
        check()
        if _readable(networks.reader, photos.to_8_bits(_straight(pixels, line * scale))):
            cv2.fillPoly(found, [np.rint(line * scale).astype(np.int32)], 1)
    return found.astype(bool)


def _detect(detector: Any, shown: NDArray[np.uint8]) -> Floats:
    """How likely each pixel is inside a line of text."""
    height, width = shown.shape[:2]
    padded = [-(-side // MULTIPLE) * MULTIPLE for side in (height, width)]
    edge = cv2.copyMakeBorder(shown, 0, padded[0] - height, 0, padded[1] - width, cv2.BORDER_REPLICATE)
    return np.asarray(_run(detector, np.asarray(edge, np.uint8))[0, 0, :height, :width], np.float32)


def _lines(shares: Floats, check: Check) -> list[NDArray[np.float64]]:
    """Lines of text as turned rectangles (4,2), x and y, grown to what the letters themselves take."""
    outlines, _ = cv2.findContours((shares > CUT).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for outline in outlines[:MOST_LINES]:
        check()
        centre, (across, down), angle = cv2.minAreaRect(outline)
        if min(across, down) < LEAST:
            continue
        left, top, wide, high = cv2.boundingRect(outline)
        inside = np.zeros((high, wide), np.uint8)
        cv2.drawContours(inside, [outline], -1, 1, -1, offset=(-left, -top))
        if float(shares[top : top + high, left : left + wide][inside > 0].mean()) < SURE:
            continue
        more = across * down * UNCLIP / (2 * (across + down))
        found.append(np.asarray(cv2.boxPoints((centre, (across + 2 * more, down + 2 * more), angle)), np.float64))
    return found


def _straight(pixels: NDArray[Any], line: NDArray[np.float64]) -> NDArray[Any]:
    """A line of text cut out and laid level, HIGH pixels high."""
    order = np.argsort(line[:, 0], kind="stable")  # the two corners on the left, the upper one first
    left, right = (side[np.argsort(side[:, 1])] for side in (line[order[:2]], line[order[2:]]))
    corners = np.array([left[0], right[0], right[1], left[1]], np.float32)
    wide, high = float(np.linalg.norm(corners[1] - corners[0])), float(np.linalg.norm(corners[3] - corners[0]))
    if high > 1.5 * wide:  # from top to bottom
        corners, wide, high = np.roll(corners, 1, axis=0), high, wide
    width = min(WIDEST, max(HIGH // 2, math.ceil(HIGH * wide / max(high, 1))))
    target = np.array([[0, 0], [width, 0], [width, HIGH], [0, HIGH]], np.float32)
    turned = cv2.getPerspectiveTransform(corners, target)
    return np.asarray(
        cv2.warpPerspective(
            np.ascontiguousarray(pixels), turned, (width, HIGH), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    )


def _readable(reader: Any, line: NDArray[np.uint8]) -> bool:
    """Whether there are letters in it, this way up or the other."""
    for way in (line, cv2.rotate(line, cv2.ROTATE_180)):
        shares = _run(reader, np.asarray(way, np.uint8))[0]  # (steps, letters), letter 0 is none
        best = shares.argmax(1)
        starts = (best > 0) & np.concatenate([[True], best[1:] != best[:-1]])
        if starts.any() and float(shares.max(1)[starts].mean()) >= READABLE:
            return True
    return False


def _run(network: Any, picture: NDArray[np.uint8]) -> Floats:
    """What a network makes of a picture (h,w,3), as both want it: blue first, in [-1,1]."""
    image = (picture[..., ::-1].astype(np.float32) / 255 - 0.5) / 0.5
    given = {network.get_inputs()[0].name: np.ascontiguousarray(image.transpose(2, 0, 1)[None])}
    return np.asarray(network.run(None, given)[0], np.float32)


def _files() -> tuple[Path, ...]:
    wanted = fetchables.find("text")
    if wanted.fetched:
        return wanted.paths
    package = importlib.util.find_spec(PACKAGE)  # finds it, runs nothing of it
    for folder in (package.submodule_search_locations or []) if package is not None else []:
        paths = tuple(Path(folder, FOLDER, Path(member).name) for member, _ in wanted.members)
        if all(path.is_file() for path in paths):
            return paths
    raise UnknownModel(
        "what finds text is not in the cache. Fetch it once, 15 MB: manyfill fetch text. Or mark the text by --box."
    )


@functools.cache
def _networks(detector: Path, reader: Path) -> Networks:
    try:
        return Networks(session(detector, "text"), session(reader, "text"))
    except ImportError as error:
        raise MissingExtra("finding text needs onnxruntime. Install it: pip install 'manyfill[text]'") from error
