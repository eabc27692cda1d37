"""The registry of mask kinds. A new kind is one file and one line here."""

from __future__ import annotations

from manyfill.masks.bins import binned
from manyfill.masks.deepfill import box, strokes, strokes_and_box
from manyfill.masks.dfnet import free_form
from manyfill.masks.drawing import MaskFn
from manyfill.masks.holes import BINS
from manyfill.masks.lama import medium, thick, thick_training, thin
from manyfill.masks.outpainting import border
from manyfill.masks.picnet import boxes, center, lines
from manyfill.masks.shapes import blobs

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
