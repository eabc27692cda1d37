"""LaMa's masks (Suvorov et al. 2022): thin, medium and thick strokes and boxes."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from manyfill.masks.drawing import as_hole, blank, line, mean_side, thickness, whole

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
    canvas = blank(height, width)
    side = mean_side(height, width)
    blend = min(max((side - 256) / 256, 0.0), 1.0)
    scale = side / 256 if side < 256 else max(1.0, side / 512)
    row = [(1 - blend) * a + blend * b for a, b in zip(at_256, at_512, strict=True)]
    strokes_min, strokes_max, max_width, max_len, box_weight, margin, box_min, box_max, count_min, count_max = row
    if rng.random() * (1 + box_weight) < 1:
        for stroke in range(
            whole(rng, strokes_min, round(strokes_max) + 1)
        ):  # their class adds one before an inclusive draw
            x, y = whole(rng, 0, width - 1), whole(rng, 0, height - 1)
            for _ in range(whole(rng, 1, 5)):
                angle = 0.01 + whole(rng, 0, 3)  # max_angle 4: four directions
                if stroke % 2 == 0:
                    angle = 2 * math.pi - angle
                length = int((10 + whole(rng, 0, max_len - 1)) * scale)
                pen = thickness((5 + whole(rng, 0, max_width - 1)) * scale)
                end_x = int(min(max(x + length * math.sin(angle), 0), width))
                end_y = int(min(max(y + length * math.cos(angle), 0), height))
                line(canvas, (x, y), (end_x, end_y), pen)
                x, y = end_x, end_y
    else:
        for _ in range(whole(rng, count_min, round(count_max))):
            span = []
            for length in (height, width):
                edge = min(int(margin * scale), (length - 1) // 2)
                extent = min(max(1, int(whole(rng, box_min, box_max) * scale)), length - 2 * edge)
                start = whole(rng, edge, length - edge - extent)
                span.append((start, start + extent))
            (top, bottom), (left, right) = span
            canvas[top:bottom, left:right] = 1
    return as_hole(canvas)


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
