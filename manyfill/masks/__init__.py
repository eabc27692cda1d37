"""Holes: read from what a user hands in, drawn by the field's generators, measured, grown and hashed.

What users call a mask has a polarity; it becomes a hole in one place, `read_hole`: an array (H,W) of bool, True =
missing. Everything else here is 1 = hole, too.

Generators share one signature, `(height, width, rng) -> (1,1,H,W)`, a float tensor of zeros and ones. Sources that
give pixels at a fixed size (256 or 512) are scaled with sqrt(height*width), so that the hole ratio stays about the
same at any size and aspect ratio. Drawing is OpenCV's, not antialiased. The same rng state gives the same hole.
"""

from manyfill.masks.bins import binned
from manyfill.masks.deepfill import box, strokes, strokes_and_box
from manyfill.masks.dfnet import free_form
from manyfill.masks.drawing import MaskFn
from manyfill.masks.holes import BINS, grow, ratio, set_hash
from manyfill.masks.kinds import KINDS
from manyfill.masks.lama import medium, thick, thick_training, thin
from manyfill.masks.mixing import mixture, within
from manyfill.masks.outpainting import border
from manyfill.masks.picnet import boxes, center, lines
from manyfill.masks.reading import COLOUR_SPREAD, read_hole
from manyfill.masks.shapes import blobs

__all__ = [
    "BINS",
    "COLOUR_SPREAD",
    "KINDS",
    "MaskFn",
    "binned",
    "blobs",
    "border",
    "box",
    "boxes",
    "center",
    "free_form",
    "grow",
    "lines",
    "medium",
    "mixture",
    "ratio",
    "read_hole",
    "set_hash",
    "strokes",
    "strokes_and_box",
    "thick",
    "thick_training",
    "thin",
    "within",
]
