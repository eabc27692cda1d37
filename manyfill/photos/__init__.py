"""Photo files: path, bytes, PIL image, array or tensor to Photo, Photo to image tensor, and Photo to file.

The only place that understands files. What a Photo was read with, it is written with: depth, colour model, alpha,
ICC profile, EXIF, XMP, resolution, JPEG tables. Pixels outside a pasted hole are bit-identical through read, paste,
write and read wherever the format is lossless (PNG, TIFF, BMP, WebP of a lossless source).

imagecodecs decodes PNG and TIFF, Pillow the rest; neither sees metadata, which are read here, within bounds: no small
file can freeze or eat. A fill is laid over each strip of the photo as it is written: no copy of the photo is made. What
cannot be kept is a note (`Photo.notes`, `notes`).
"""

from manyfill.files import sweep, write_atomic
from manyfill.photos.arrays import paste, to_8_bits, to_array, to_image, to_pil
from manyfill.photos.canvas import extended
from manyfill.photos.decoded import grey_rows
from manyfill.photos.notes import notes, reencodes
from manyfill.photos.photo import (
    ALIASES,
    FORMATS,
    MAX_PIXELS,
    MODES,
    SUFFIXES,
    JpegCoding,
    Lay,
    Photo,
    Pixels,
    is_lossless,
)
from manyfill.photos.reading import load, read, reading_cost, size_of
from manyfill.photos.writing import encode, encode_parts, in_strips, write

__all__ = [
    "ALIASES",
    "FORMATS",
    "MAX_PIXELS",
    "MODES",
    "SUFFIXES",
    "JpegCoding",
    "Lay",
    "Photo",
    "Pixels",
    "encode",
    "encode_parts",
    "extended",
    "grey_rows",
    "in_strips",
    "is_lossless",
    "load",
    "notes",
    "paste",
    "read",
    "reading_cost",
    "reencodes",
    "size_of",
    "sweep",
    "to_8_bits",
    "to_array",
    "to_image",
    "to_pil",
    "write",
    "write_atomic",
]
