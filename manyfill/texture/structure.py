"""Is a photo one texture, or a scene of unlike parts? In scenes, and only there, a strong network's detail is nearer.

Pixels are (H,W,3) uint8, uint16 or float in [0,1], holes (H,W) bool; what lies under the hole is not looked at.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill.boxes import Bools, Box, tight
from manyfill.windows import shrink_hole_to

AROUND = 512  # pixels of the photo around the hole that are looked at
SIDE = 768  # pixels, longer side at which that is done, at most
CELLS = 4  # in a row and in a column
SEEN = 0.25  # of a cell must be known, or it is left out
TEXTURE, SCENE = 0.32, 0.42  # up to here one texture, from here on a scene; chosen on 57 photos, docs/adapters.md
SURELY = 0.6  # and from here on beyond doubt: in between lie textures that repeat from one end to the other


def unlikeness(pixels: NDArray[Any], hole: Bools) -> float:
    """How unlike the parts around a hole are: 0 for one even texture, about 0.4 to 1.3 for a scene.

    The larger of two deviations between the cells of a grid: of their mean colours, as a share of that between pixels,
    and of the logarithm of their detail (mean absolute Laplacian, 0..255). 0 where too little is known to say.
    """
    whole = Box(0, 0, *hole.shape)
    found = tight(hole, whole)
    if found is None:
        return 0.0
    box = found.grown(AROUND, whole)
    scale = min(1.0, SIDE / max(box.height, box.width))
    height, width = max(1, round(box.height * scale)), max(1, round(box.width * scale))
    seen = np.asarray(cv2.resize(pixels[box.part], (width, height), interpolation=cv2.INTER_AREA))
    most = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    small = seen.astype(np.float32) * np.float32(255 / most)
    known = ~shrink_hole_to(hole[box.part], (height, width))
    if not known.any():
        return 0.0
    shown = known.astype(np.uint8)
    deviation = float(cv2.meanStdDev(small, mask=shown)[1].mean())
    # Detail is looked for where all that the filter reads is known.
    clear = cv2.erode(shown, np.ones((3, 3), np.uint8))
    detail = np.abs(cv2.Laplacian(cv2.transform(small, np.full((1, 3), 1 / 3, np.float32)), cv2.CV_32F))
    colours, details = [], []
    for row in range(CELLS):
        for column in range(CELLS):
            cell = (
                slice(row * height // CELLS, (row + 1) * height // CELLS),
                slice(column * width // CELLS, (column + 1) * width // CELLS),
            )
            if known[cell].size and known[cell].mean() > SEEN and clear[cell].any():
                colours.append(cv2.mean(small[cell], shown[cell])[:3])
                details.append(np.log1p(cv2.mean(detail[cell], clear[cell])[0]))
    if len(colours) < CELLS or deviation == 0:
        return 0.0
    return max(float(np.std(colours, axis=0).mean()) / deviation, float(np.std(details)))


def surely_a_scene(pixels: NDArray[Any], hole: Bools) -> float:
    """0 for textures and what may be one, 1 for scenes beyond doubt."""
    return float(np.clip((unlikeness(pixels, hole) - SCENE) / (SURELY - SCENE), 0, 1))


def share(pixels: NDArray[Any], hole: Bools, in_scenes: float) -> float:
    """How much of a fill's detail the photo's patches are to give: 1 in textures, `in_scenes` in scenes."""
    if in_scenes == 1:
        return 1.0
    scene = np.clip((unlikeness(pixels, hole) - TEXTURE) / (SCENE - TEXTURE), 0, 1)
    return float(1 + scene * (in_scenes - 1))
