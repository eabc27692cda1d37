"""PNG: its chunks; its pixels read by libpng, through imagecodecs, and written strip by strip."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import cv2
import imagecodecs
import numpy as np
from PIL import Image

from manyfill.photos.colour import profile
from manyfill.photos.decoded import ONE_BIT, Decoded, check_size, refuse_several
from manyfill.photos.laying import laid_strips
from manyfill.photos.photo import Lay, Photo, Pixels
from manyfill.photos.strips import STRIP_BYTES
from manyfill.photos.thumbnail import exif_with_thumbnail

Bytes = TypeVar("Bytes", bytes, memoryview)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_LEVEL = 4  # zlib: as small as Pillow's default of 6 on photos and a quarter faster
METRE = 0.0254  # of an inch, for PNG's pixels per metre
# PNG chunks, other than those with a Photo field of their own, that say how the colours are meant or carry text.
PNG_KEPT = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tEXt", b"zTXt", b"iTXt")
XMP_TEXT, RAW_TEXTS = b"XML:com.adobe.xmp\0", (b"zTXt", b"tEXt")
EXIF_TEXTS = (b"Raw profile type exif\0", b"Raw profile type APP1\0")
PNG_PROFILES = (XMP_TEXT, b"Raw profile type ")  # texts that hold XMP, EXIF or ICC: fields of their own
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# What has a field of its own, or says nothing that is true of changed pixels; told by PNG's third edition.
OWN = (b"iCCP", b"eXIf", b"pHYs", b"acTL", b"fcTL", b"fdAT", b"tIME", b"sBIT", b"bKGD", b"hIST", b"sPLT")
KNOWN = {*PIXELS, *PNG_KEPT, *OWN}
PLAIN = {*PIXELS, b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"tIME", b"sBIT"}  # and what is as short as these
MAX_CHUNKS, BYTES_A_CHUNK = 10_000, 256  # more than so many, and of fewer bytes each: no encoder writes such a file
MAX_INFLATED = 16 << 20  # bytes of a colour profile, of XMP, of EXIF


def read_png(data: bytes, name: str, max_pixels: int) -> Decoded:
    """A PNG's bytes, decoded by libpng, with the metadata that its chunks hold."""
    width, height, bits, kind = struct.unpack(">IIBB", data[16:26])
    check_size(name, width, height, max_pixels)
    around: list[tuple[bytes, bytes]] = []
    frames = 0
    for chunk, content in png_chunks(memoryview(data)):  # and every checksum is right
        if chunk == b"fcTL":
            frames += 1
        elif chunk not in (b"IDAT", b"fdAT", b"IEND"):
            around.append((chunk, bytes(content)))
    refuse_several(name, frames)
    if not {chunk for chunk, _ in around} <= PLAIN:
        data = _pixels_alone(data)
    decoded = Decoded(array=imagecodecs.png_decode(data), format="png")  # to grey, RGB or either with alpha
    if decoded.array.shape[:2] != (height, width) or (bits == 16) != (decoded.array.dtype == np.uint16):
        raise ValueError("it was not decoded at its size and depth")
    if bits == 1 and kind == 0:
        decoded.notes.append(ONE_BIT)
    _tell(decoded, around)
    gone = dict.fromkeys(chunk.decode("latin-1") for chunk, _ in around if _private(chunk) and chunk[3:].isupper())
    if gone:
        decoded.beside.append(f"private chunks ({', '.join(gone)})")
    return decoded


def _private(chunk: bytes) -> bool:
    """Whether a chunk's meaning is unknown here. Its last letter says whether editors may keep it: small, yes."""
    return chunk not in KNOWN


def _pixels_alone(data: bytes) -> bytes:
    """The file without what is told about the photo: libpng would inflate each text and profile."""
    chunks = ((chunk, content) for chunk, content in png_chunks(memoryview(data)) if chunk in PIXELS)
    return b"".join((PNG_SIGNATURE, *(png_chunk(chunk, content) for chunk, content in chunks)))


def _tell(decoded: Decoded, around: Sequence[tuple[bytes, bytes]]) -> None:
    """Puts what the chunks around the pixels say into the photo's fields; what cannot be read is noted."""
    first = {chunk: content for chunk, content in reversed(around)}
    decoded.png_extras = tuple(
        (chunk, content)
        for chunk, content in around
        if (chunk in PNG_KEPT and not content.startswith(PNG_PROFILES)) or (_private(chunk) and chunk[3:].islower())
    )
    said = first.get(b"cICP", b"")
    if len(said) == 4 and said[2:] == b"\0\1":  # whole range, RGB: what we write; any other stays as it is
        decoded.cicp = (said[0], said[1])
        decoded.png_extras = tuple((chunk, content) for chunk, content in decoded.png_extras if chunk != b"cICP")
    across, down, unit = struct.unpack(">IIB", first.get(b"pHYs", bytes(9))[:9].ljust(9, b"\0"))
    decoded.dpi = (across * METRE, down * METRE) if unit == 1 and across and down else None
    decoded.exif = first.get(b"eXIf")
    if b"iCCP" in first:
        decoded.icc = _inflated(first[b"iCCP"].partition(b"\0")[2][1:])
        if decoded.icc is None:
            decoded.notes.append("Its colour profile is damaged and was not kept.")
    # The first text of each kind alone: each may be inflated to its limit.
    for content in [content for chunk, content in around if chunk == b"iTXt" and content.startswith(XMP_TEXT)][:1]:
        body = content[len(XMP_TEXT) :]
        text = body[2:].split(b"\0", 2)[-1]
        decoded.xmp = _inflated(text) if body[:1] == b"\1" else text
    for chunk, content in [each for each in around if each[0] in RAW_TEXTS and each[1].startswith(EXIF_TEXTS)][:1]:
        text = content.partition(b"\0")[2]
        decoded.exif = decoded.exif or _hexadecimal(text if chunk == b"tEXt" else _inflated(text[1:]) or b"")


def _hexadecimal(text: bytes) -> bytes | None:
    """EXIF as ImageMagick wrote it into texts: a name, a length, lines of hexadecimal digits."""
    try:
        raw = bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return None
    return raw.removeprefix(b"Exif\0\0") or None


def _inflated(packed: bytes) -> bytes | None:
    """A compressed text or profile, as far as MAX_INFLATED allows; None where it is damaged or longer."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(packed, MAX_INFLATED)
    except zlib.error:
        return None
    return raw if stream.eof else None


def write_png(
    photo: Photo, quality: int | None, lay: Lay | None, *, strip_bytes: int = STRIP_BYTES
) -> Iterator[bytes | memoryview]:
    """Our own chunks, then the pixels: filters chosen strip by strip by Pillow or OpenCV, compressed as one stream."""
    kind = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}[photo.mode]
    header = struct.pack(">IIBBBBB", photo.width, photo.height, photo.depth, kind, 0, 0, 0)
    yield png_file([(b"IHDR", header), *_png_metadata(photo, lay)])
    stream = zlib.compressobj(PNG_LEVEL, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    above: Pixels | None = None
    for _, rows in laid_strips(photo, lay, strip_bytes):
        # The row above goes along, because filters look at it, and is dropped again.
        filtered = _png_rows(rows if above is None else np.concatenate([above, rows]))
        skip = 0 if above is None else len(filtered) // (len(rows) + 1)
        above = rows[-1:].copy()
        packed = stream.compress(memoryview(filtered)[skip:])
        if packed:
            yield png_chunk(b"IDAT", packed)
    yield png_chunk(b"IDAT", stream.flush())
    yield png_chunk(b"IEND", b"")


def _png_rows(array: Pixels) -> bytes:
    """(h,W[,C]) as PNG's rows, each with its filter, before compression."""
    if array.dtype == np.uint8 or (array.ndim == 3 and array.shape[2] == 2):
        if array.dtype == np.uint16:  # neither can: 16-bit grey and alpha lie in a file exactly as 8-bit RGBA does
            array = array.astype(">u2").view(np.uint8)
        file = io.BytesIO()
        Image.fromarray(array).save(file, "PNG", compress_level=0)
        body = file.getvalue()
    else:
        if array.ndim == 3:
            array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR if array.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
        done, encoded = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 0])
        if not done:
            raise ValueError("the encoder failed")
        body = encoded.tobytes()
    return zlib.decompress(b"".join(content for name, content in png_chunks(body) if name == b"IDAT"))


def _png_metadata(photo: Photo, lay: Lay | None) -> list[tuple[bytes, bytes]]:
    chunks: list[tuple[bytes, bytes]] = []
    if photo.cicp is not None:
        chunks.append((b"cICP", bytes((*photo.cicp, 0, 1))))
    icc = photo.icc if photo.format == "png" else profile(photo)  # for programs that do not know cICP
    if icc is not None:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    chunks += photo.png_extras
    if photo.dpi is not None:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(number / METRE) for number in photo.dpi), 1)))
    exif = exif_with_thumbnail(photo, lay)
    if exif is not None:
        chunks.append((b"eXIf", exif))
    if photo.xmp is not None:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + photo.xmp))
    return chunks


def png_chunks(data: Bytes) -> Iterator[tuple[bytes, Bytes]]:
    """Yields (name, content) up to and with IEND; ValueError where a chunk is cut off or its checksum is wrong.

    Of a memoryview, contents are views into it.
    """
    place = len(PNG_SIGNATURE)
    name, number = b"", 0
    while name != b"IEND":
        number += 1
        if number > MAX_CHUNKS and number * BYTES_A_CHUNK > len(data):
            raise ValueError(f"it has more than {number - 1:,} chunks")
        head = data[place : place + 8]
        if len(head) < 8:
            raise ValueError("the file is cut off")
        size, name = struct.unpack(">I4s", head)
        content = data[place + 8 : place + 8 + size]
        checksum = data[place + 8 + size : place + 12 + size]
        if len(content) < size or len(checksum) < 4:
            raise ValueError("the file is cut off")
        if zlib.crc32(content, zlib.crc32(name)) != int.from_bytes(checksum, "big"):
            raise ValueError(f"the checksum of its {name.decode('latin-1')} chunk is wrong")
        yield name, content
        place += 12 + size


def png_chunk(name: bytes, content: bytes | memoryview) -> bytes:
    """One chunk as it lies in the file: length, name, content, checksum."""
    checksum = zlib.crc32(content, zlib.crc32(name))
    return b"".join((struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)))


def png_file(chunks: Iterable[tuple[bytes, bytes | memoryview]]) -> bytes:
    """A PNG file of these chunks, in this order."""
    return b"".join((PNG_SIGNATURE, *(png_chunk(name, content) for name, content in chunks)))
