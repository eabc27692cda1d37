"""HEIC and AVIF, where Pillow or its plug-in reads them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image, ImageFile

from manyfill.errors import BadImage
from manyfill.photos.colour import icc_for_rgb, meaningful
from manyfill.photos.decoded import Decoded, check_size, refuse_several
from manyfill.photos.laying import Writer
from manyfill.photos.metadata import without_orientation
from manyfill.photos.motion import WHAT
from manyfill.photos.photo import QUALITY, Lay, Photo
from manyfill.photos.pillow import decoded_of_pil, save_with_pillow
from manyfill.photos.thumbnail import exif_with_thumbnail

KNOWN = (b"ftyp", b"meta", b"mdat", b"free", b"skip", b"mpvd", b"moov", b"styp")  # at the top of the file
MAX_BOXES, MAX_META = 100, 16 << 20  # at the top of the file; bytes


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
        meta = _meta(data)
        about = _about(meta)
        image = factory(io.BytesIO(data))
        check_size(name, image.width, image.height, max_pixels)
        if format == "avif":  # a HEIC's further pictures are bursts and depth; its primary one is what is shown
            refuse_several(name, getattr(image, "n_frames", 1))
        further = getattr(image, "n_frames", 1) > 1
        decoded = decoded_of_pil(image, name, format, lossy=True)
        turn = int(image.info.get("original_orientation") or 1)  # of EXIF, which the plug-in has reset to 1
        if 1 < turn <= 8 and b"irot" not in meta and b"imir" not in meta:
            decoded.orientation = turn  # some phones turn in no other way
        nclx = image.info.get("nclx_profile")
        if nclx:
            about["cicp"] = (int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
        if decoded.icc is None and "cicp" in about:
            decoded.cicp = meaningful(*about["cicp"])
        if (bits := max(int(image.info.get("bit_depth", 8)), about.get("bits", 8))) > 8:
            decoded.notes.append(f"Its {bits} bits were read as 8.")
        decoded.beside = [*about.get("beside", ()), *([WHAT] if _has_box(data, b"mpvd") else ())]
        private = dict.fromkeys(kind.decode("latin-1") for kind, _, _ in _boxes(data) if kind not in KNOWN)
        if private:
            decoded.beside.append(f"private boxes ({', '.join(private)})")
        decoded.beside += ["depth map"] * bool(image.info.get("depth_images"))
        decoded.beside += ["HDR gain map" for kind in image.info.get("aux") or () if "gainmap" in str(kind).lower()]
        decoded.beside += ["further pictures"] * further
        return decoded

    return read_plugged


def _meta(data: bytes) -> bytes:
    """The box that tells of the pictures in a HEIF file, which HEIC and AVIF are; nothing where it has none."""
    found = next(((at, size) for kind, at, size in _boxes(data) if kind == b"meta"), (0, 0))
    return data[found[0] : found[0] + min(found[1], MAX_META)]


def _has_box(data: bytes, kind: bytes) -> bool:
    return any(found == kind for found, _, _ in _boxes(data))


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where it begins, size) of the first MAX_BOXES at the top of the file."""
    at = 0
    for _ in range(MAX_BOXES):
        size, kind = struct.unpack_from(">I4s", data, at) if at + 8 <= len(data) else (0, b"")
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size < 8:  # the last, which goes on to the end
            return
        yield kind, at, size
        at += size


def _about(meta: bytes) -> dict[str, Any]:
    """What of the first picture Pillow does not say: code points of its colours, bits, what lies beside it."""
    about: dict[str, Any] = {}
    at = meta.find(b"colrnclx")
    if at >= 0 and at + 12 <= len(meta):
        about["cicp"] = struct.unpack_from(">HH", meta, at + 8)
    at = meta.find(b"av1C")
    if at >= 0 and at + 7 <= len(meta) and meta[at + 6] & 0x40:  # AV1 Codec ISO Media File Format Binding, 2.3
        about["bits"] = 12 if meta[at + 6] & 0x20 else 10
    if b"tmap" in meta:
        about["beside"] = ("HDR gain map",)
    return about


def writer(format: str) -> Writer:
    """The writer of HEIC or AVIF."""

    def write_plugged(photo: Photo, quality: int | None, lay: Lay | None) -> Iterator[bytes | memoryview]:
        encoder = {"heic": "HEIF", "avif": "AVIF"}[format]
        if plugin(format) is None or encoder not in Image.SAVE:
            raise BadImage(f"writing {format.upper()} needs one more package: pip install pillow-heif. Or choose png.")
        options: dict[str, Any] = {"chroma": 444} if format == "heic" else {"subsampling": "4:4:4"}
        if format == "heic" and photo.cicp is not None:
            options |= {"color_primaries": photo.cicp[0], "transfer_characteristics": photo.cicp[1]}
        exif = exif_with_thumbnail(photo, lay)
        if format == "avif" and exif is not None:  # else Pillow packs the block again, its own way
            exif = without_orientation(exif)
        about = {"icc_profile": icc_for_rgb(photo), "exif": exif, "xmp": photo.xmp}
        return save_with_pillow(photo, encoder, lay, quality=quality or QUALITY[format], **about, **options)

    return write_plugged
