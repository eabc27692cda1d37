"""What is not kept, in words: nothing is lost in silence.

Reading notes what it changed on the photo (`Photo.notes`); this adds what the format to be written cannot hold. Every
door (command line, sidecar, server, Python) shows the same sentences.
"""

from __future__ import annotations

from manyfill.photos.colour import HDR, meaningful, profile
from manyfill.photos.longxmp import parted
from manyfill.photos.motion import KEPT, WHAT
from manyfill.photos.photo import Photo, format_named, is_lossless
from manyfill.photos.png import KNOWN
from manyfill.photos.segments import LONGEST_XMP

TEXTS = (b"tEXt", b"zTXt", b"iTXt")
LIGHT = (b"mDCV", b"cLLI")


def reencodes(format: str) -> str:
    """The note that is true of every photo written in that format with loss."""
    return f"{_called(format)} re-encodes the known pixels too; PNG and TIFF keep them exactly as they were."


def _called(format: str) -> str:
    return {"webp": "WebP"}.get(format, format.upper())


def notes(photo: Photo, *, format: str = "same", quality: int | None = None) -> tuple[str, ...]:
    """All that reading this photo could not keep, and that `encode` with these options cannot; one sentence each."""
    name = format_named(photo, format)
    found = [note for note in photo.notes if note != KEPT or name == "jpeg"]
    if not is_lossless(photo, format=name, quality=quality):
        found.append(reencodes(name))
    gone = list(_unheld(photo, name))
    if gone:
        found.append(f"Not kept, because {_called(name)} cannot hold it: {', '.join(gone)}.")
    return tuple(dict.fromkeys(found))


def _unheld(photo: Photo, name: str) -> list[str]:
    """What the photo has and the format cannot hold."""
    gone: list[str] = []
    icc = profile(photo)
    if icc is not None and (name == "bmp" or (name in ("webp", "heic", "avif") and icc[16:20] == b"GRAY")):
        gone.append("colour profile")
    if photo.cicp is not None and meaningful(*photo.cicp) and icc is None and name not in ("png", "heic"):
        gone.append(f"the meaning of its colours ({HDR.get(photo.cicp[1], 'code points')} {photo.cicp})")
    if photo.exif is not None and name == "bmp":
        gone.append("EXIF")
    if photo.xmp is not None and name == "bmp":
        gone.append("XMP")
    if photo.xmp is not None and name == "jpeg" and len(photo.xmp) > LONGEST_XMP and parted(photo.xmp) is None:
        gone.append(f"XMP of {len(photo.xmp):,} bytes that is not well-formed")
    if photo.video is not None and name != "jpeg":
        gone.append(WHAT)
    if photo.dpi is not None and name in ("webp", "heic", "avif"):
        gone.append("resolution in dots per inch")
    if name != "png":
        gone += ["private chunks of the PNG"] * any(chunk not in KNOWN for chunk, _ in photo.png_extras)
        gone += ["texts of the PNG"] * any(chunk in TEXTS for chunk, _ in photo.png_extras)
        gone += ["brightness of the display it was made for"] * any(chunk in LIGHT for chunk, _ in photo.png_extras)
    if name != "tiff" and photo.tiff_extras is not None:
        gone.append("further TIFF tags")
    if name != "jpeg" and photo.jpeg is not None and photo.jpeg.segments:
        gone.append("captions (IPTC) and comments of the JPEG")
    return gone
