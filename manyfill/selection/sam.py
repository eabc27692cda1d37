"""An object from clicks, scribbles or a box by SAM's networks, MobileSAM's size: `manyfill fetch sam`.

Kirillov et al., "Segment Anything", ICCV 2023; Zhang et al., "Faster Segment Anything" (MobileSAM), 2023. The encoder
looks at a photo once; the decoder answers each selection in it in a moment.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manyfill import fetchables
from manyfill.errors import BadWeights
from manyfill.selection.asked import Point, Selection
from manyfill.selection.networks import session
from manyfill.selection.shapes import Floats, resized

SIDE = 1024  # pixels of the longer side that the encoder is shown
MEAN, SPREAD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, as SAM was trained
PROMPTS = 16  # points of a scribble that it is shown
KEPT = 8  # photos whose embeddings are kept: 4 MB each
STAYS, GOES, NOTHING, UPPER_LEFT, LOWER_RIGHT = 0, 1, -1, 2, 3  # labels of its points


class Sam:
    """Encoder and decoder, ready to select. May be used from several threads."""

    def __init__(self, encoder: Path, decoder: Path) -> None:
        self._encoder, self._decoder = session(encoder, "sam"), session(decoder, "sam")
        self._known: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()
        self.encoded = 0  # photos that the encoder was shown

    def select(self, pixels: NDArray[Any], wanted: Selection) -> Floats:
        """What is pointed at in a photo (H,W,3): (h,w), how sure it is in [0,1], its longer side SIDE pixels."""
        height, width = pixels.shape[:2]
        scale = SIDE / max(height, width)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        points, labels = _prompts(wanted, scale)
        given = {
            "image_embeddings": self.embedding(pixels, size),
            "point_coords": points[None],
            "point_labels": labels[None],
            "mask_input": np.zeros((1, 1, SIDE // 4, SIDE // 4), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array(size, np.float32),
        }
        logits = np.asarray(self._decoder.run(None, given)[0], np.float32)[0, 0]
        if logits.shape != size or not np.isfinite(logits).all():
            raise BadWeights("SAM's decoder gave no selection of the photo's shape. Fetch it again: manyfill fetch sam")
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)

    def embedding(self, pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
        """What the encoder sees in a photo, computed once; `size`: (height, width) that it is shown at."""
        shown = resized(pixels, *size)
        name = hashlib.sha256(shown.tobytes()).digest()
        with self._lock:  # a second click on the same photo waits for the first rather than doing it again
            if name not in self._known:
                image = np.zeros((1, 3, SIDE, SIDE), np.float32)
                values = (shown.astype(np.float32) - np.array(MEAN, np.float32)) / np.array(SPREAD, np.float32)
                image[0, :, : size[0], : size[1]] = values.transpose(2, 0, 1)
                port = self._encoder.get_inputs()[0].name
                self._known[name] = np.asarray(self._encoder.run(None, {port: image})[0], np.float32)
                self.encoded += 1
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)
            self._known.move_to_end(name)
            return self._known[name]


def available() -> Sam | None:
    """SAM, where it was fetched and can be run; else None."""
    if missing() is not None:
        return None
    encoder, decoder = fetchables.find("sam").paths
    return Sam(encoder, decoder)


def missing() -> str | None:
    """What keeps SAM from being used, in words; None where nothing does."""
    if not fetchables.find("sam").fetched:
        return "`manyfill fetch sam` (37 MB) finds whole objects better"
    if importlib.util.find_spec("onnxruntime") is None:
        return "SAM was fetched, but it runs with onnxruntime: pip install 'manyfill[onnx]'"
    return None


def _prompts(wanted: Selection, scale: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points (n,2), x and y of what the encoder was shown, and what each means (n)."""
    found: list[tuple[Point, int]] = [(each, GOES) for each in wanted.clicks]
    for line in wanted.scribbles:
        found += [(each, GOES) for each in _along(line, max(1, PROMPTS // len(wanted.scribbles)))]
    found += [(each, STAYS) for each in wanted.keep]
    points = [((x + 0.5) * scale, (y + 0.5) * scale) for (x, y), _ in found]
    labels = [label for _, label in found]
    if wanted.box is not None:
        left, top, right, bottom = (side * scale for side in wanted.box)
        points += [(left, top), (right, bottom)]
        labels += [UPPER_LEFT, LOWER_RIGHT]
    else:
        points.append((0.0, 0.0))  # as SAM's export wants it where there is no box
        labels.append(NOTHING)
    return np.array(points, np.float32), np.array(labels, np.float32)


def _along(line: tuple[Point, ...], number: int) -> list[Point]:
    """Points along a scribble, evenly by its length."""
    path = np.array(line, np.float64)
    if len(path) == 1:
        return [line[0]]
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    at = np.linspace(0, lengths[-1], min(number, max(2, len(path))))
    return [(float(np.interp(each, lengths, path[:, 0])), float(np.interp(each, lengths, path[:, 1]))) for each in at]
