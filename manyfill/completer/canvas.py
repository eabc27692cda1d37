"""Photo and hole on a larger canvas, whose border is to be filled."""

from __future__ import annotations

import numpy as np

from manyfill import photos
from manyfill.boxes import Bools
from manyfill.completer.ceiling import check_canvas
from manyfill.options import Margins
from manyfill.photos import Photo


def extended(photo: Photo, hole: Bools, by: Margins, max_memory: int | None) -> tuple[Photo, Bools]:
    """The photo at its place on the canvas, and what is to be filled there: its own hole and the border.

    Raises TooLarge before memory is taken.
    """
    height, width = by.around(photo.height, photo.width)
    check_canvas(photo, height, width, max_memory)
    canvas = photos.extended(photo, top=by.top, right=by.right, bottom=by.bottom, left=by.left)
    filled = np.ones((height, width), bool)
    filled[by.top : by.top + photo.height, by.left : by.left + photo.width] = hole
    return canvas, filled
