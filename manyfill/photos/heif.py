"""HEIC and AVIF, where Pillow or its plug-in reads them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from PIL import Image, ImageFile

from manyfill.errors import BadImage
from manyfill.photos.decoded import Decoded, check_size, refuse_several
from manyfill.photos.laying import Writer
from manyfill.photos.photo import QUALITY, Lay, Photo
from manyfill.photos.pillow import decoded_of_pil, icc_for_rgb, save_with_pillow


def plugin(format: str) -> Callable[[io.BytesIO], ImageFile.ImageFile] | None:
    """Pillow's reader of HEIC or AVIF, where this installation has one."""
    Image.init()
    key = {"heic": "HEIF", "avif": "AVIF"}[format]
    if key not in Image.OPEN:
        try:
            import pillow_heif
        except ImportError:
            return None
        register = getattr(pillow_heif, f"register_{key.lower()}_opener", None)
        if register is not None:
            register()
    return Image.OPEN[key][0] if key in Image.OPEN else None  # type: ignore[return-value]


def reader(format: str) -> Callable[[bytes, str, int], Decoded]:
    """The reader of HEIC or AVIF, which says what to install where Pillow cannot read them."""

    def read_plugged(data: bytes, name: str, max_pixels: int) -> Decoded:
        factory = plugin(format)
        if factory is None:
            raise BadImage(f"{name} is {format.upper()}, which needs one more package: pip install pillow-heif.")
        image = factory(io.BytesIO(data))
        check_size(name, image.width, image.height, max_pixels)
        if format == "avif":  # a HEIC's further pictures are bursts and depth; its primary one is what is shown
            refuse_several(name, getattr(image, "n_frames", 1))
        decoded = decoded_of_pil(image, name, format, lossy=True)
        if int(image.info.get("bit_depth", 8)) > 8:
            decoded.notes.append(f"Its {image.info['bit_depth']} bits were read as 8.")
        return decoded

    return read_plugged


def writer(format: str) -> Writer:
    """The writer of HEIC or AVIF."""

    def write_plugged(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
        encoder = {"heic": "HEIF", "avif": "AVIF"}[format]
        if plugin(format) is None or encoder not in Image.SAVE:
            raise BadImage(f"writing {format.upper()} needs one more package: pip install pillow-heif. Or choose png.")
        chroma = {"chroma": 444} if format == "heic" else {"subsampling": "4:4:4"}
        about = {"icc_profile": icc_for_rgb(photo), "exif": photo.exif, "xmp": photo.xmp}
        return save_with_pillow(photo, encoder, lay, quality=quality or QUALITY[format], **about, **chroma)

    return write_plugged
