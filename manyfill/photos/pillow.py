"""What Pillow decodes and encodes for several formats: pixels of every mode, and its view of the metadata."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageCms

from manyfill.errors import BadImage
from manyfill.photos.decoded import ONE_BIT, PREMULTIPLIED, Decoded
from manyfill.photos.laying import laid_rows
from manyfill.photos.photo import MODES, Lay, Photo, Pixels
from manyfill.photos.strips import STRIP_BYTES

T = TypeVar("T")


def array_of_pil(image: Image.Image, name: str, notes: list[str]) -> Pixels:
    """A loaded PIL image's pixels: palette to RGB(A), 1-bit to grey, CMYK to RGB, a transparent colour to alpha."""
    if image.mode in ("P", "PA", "RGBa", "La") or (image.mode in ("1", "L", "RGB") and "transparency" in image.info):
        if image.mode in ("RGBa", "La"):
            notes.append(PREMULTIPLIED)
        clear = image.mode != "P" or image.has_transparency_data
        if image.mode == "1":
            image = image.convert("L")
        image = image.convert({"L": "LA", "La": "LA"}.get(image.mode, "RGBA" if clear else "RGB"))
    elif image.mode == "1":
        notes.append(ONE_BIT)
        image = image.convert("L")
    elif image.mode == "CMYK":
        image = _rgb_of_cmyk(image, notes)
    elif image.mode in ("YCbCr", "HSV", "RGBX"):
        image = image.convert("RGB")
    if image.mode in MODES:
        return copied(image)
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "I":
        wide = np.asarray(image)
        if wide.size and wide.min() >= 0 and wide.max() <= 65_535:
            return wide.astype(np.uint16)
    raise BadImage(f"{name} has pixels of type {image.mode!r}. Convert it to 8 or 16 bits per channel, grey or RGB.")


def copied(image: Image.Image, *, strip_bytes: int = STRIP_BYTES) -> Pixels:
    """A PIL image's pixels; in strips, because Pillow makes two more copies of whatever it is asked for at once."""
    channels = len(image.getbands())
    array = np.empty((image.height, image.width, channels) if channels > 1 else (image.height, image.width), np.uint8)
    rows = max(1, strip_bytes // (image.width * channels))
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        array[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return array


def _rgb_of_cmyk(image: Image.Image, notes: list[str]) -> Image.Image:
    """Through the file's own CMYK profile into sRGB where it has one, by the plain formula where it has none."""
    profile = image.info.pop("icc_profile", None)  # it speaks of CMYK: wrong for what is written
    notes.append("CMYK was converted to sRGB and is written as such.")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def finite_dpi(found: object) -> tuple[float, float] | None:
    """Pillow's resolution as two finite positive floats, or nothing."""
    try:
        across, down = (float(number) for number in found)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    fine = all(math.isfinite(number) and 0 < number < 1e6 for number in (across, down))
    return (across, down) if fine else None


def as_bytes(found: object) -> bytes | None:
    """What Pillow holds as text or bytes, as bytes; None for anything else."""
    return found.encode() if isinstance(found, str) else bytes(found) if isinstance(found, (bytes, bytearray)) else None


def decoded_of_pil(image: Image.Image, name: str, format: str, **more: Any) -> Decoded:
    """A PIL image, loaded here, with the metadata that Pillow holds as bytes; EXIF is parsed by `metadata` alone."""
    image.load()
    notes: list[str] = []
    info = image.info
    array = array_of_pil(image, name, notes)
    return Decoded(
        array=array,
        format=format,
        icc=as_bytes(info.get("icc_profile")),
        exif=(as_bytes(info.get("exif")) or b"").removeprefix(b"Exif\0\0") or None,
        xmp=as_bytes(info.get("xmp")),
        dpi=finite_dpi(info.get("dpi")),
        notes=notes,
        **more,
    )


def interruptible(work: Callable[[], T]) -> T:
    """What `work` gives or raises. It is done in a thread of its own where Ctrl-C would else wait for one long call.

    Python sees a signal only between two calls, and only in the main thread. Work that was left ends with the process.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # the main thread raises it
            done.set_exception(error)

    threading.Thread(target=run, name="encoder", daemon=True).start()
    return done.result()


def save_with_pillow(photo: Photo, plugin: str, lay: Lay | None, **options: Any) -> Iterator[memoryview]:
    """Pillow's encoder for a whole picture, given only what is there; Ctrl-C does not wait for it."""
    array = laid_rows(photo, lay, 0, photo.height)
    yield memoryview(interruptible(lambda: saved_by_pillow(array, plugin, **options)))


def saved_by_pillow(array: Pixels, plugin: str, **options: Any) -> bytes:
    """Pillow's encoder, given only the options that are not None."""
    file = io.BytesIO()
    given = {key: value for key, value in options.items() if value is not None}
    Image.fromarray(array).save(file, plugin, **given)
    return file.getvalue()
