"""Krita's pixels to PNG files and back to a layer. Python alone: no Krita, no Qt."""

from __future__ import annotations

import struct
import zlib
from array import array

FULL = bytes(255 if value >= 128 else 0 for value in range(256))  # a selection's cut, at half


def cut(selection: bytes) -> bytes:
    """A selection (one byte a pixel, 0 to 255) as hole: 255 where to fill, else 0."""
    return selection.translate(FULL)


def photo_png(bgra: bytes, hole: bytes, width: int, height: int, depth: int) -> bytes:
    """Krita's BGRA of 8 or 16 bits as a PNG, opaque in the hole: what is transparent there is to be filled, too."""
    samples = _samples(bgra, depth)
    blue, red = samples[0::4], samples[2::4]
    samples[0::4], samples[2::4] = red, blue
    samples[3::4] = _joined(samples[3::4], _samples(_widened(hole, depth), depth), either=True)
    if depth == 16:
        samples.byteswap()  # PNG has the big end first
    return _png(samples.tobytes(), width, height, depth, kind=6)


def mask_png(hole: bytes, width: int, height: int) -> bytes:
    """A hole as a grey PNG: white = fill."""
    return _png(hole, width, height, 8, kind=0)


def layer(rgba: bytes, hole: bytes, depth: int) -> bytes:
    """A fill (RGBA of 8 or 16 bits, this machine's byte order) as Krita's BGRA, transparent outside the hole."""
    samples = _samples(rgba, depth)
    red, blue = samples[0::4], samples[2::4]
    samples[0::4], samples[2::4] = blue, red
    samples[3::4] = _joined(samples[3::4], _samples(_widened(hole, depth), depth), either=False)
    return samples.tobytes()


def _samples(values: bytes, depth: int) -> array[int]:
    return array({8: "B", 16: "H"}[depth], values)


def _widened(hole: bytes, depth: int) -> bytes:
    if depth == 8:
        return hole
    twice = bytearray(2 * len(hole))
    twice[0::2] = twice[1::2] = hole
    return bytes(twice)


def _joined(one: array[int], other: array[int], *, either: bool) -> array[int]:
    """Bit by bit `or`, else `and`, of all samples at once."""
    ours, theirs = int.from_bytes(one.tobytes(), "big"), int.from_bytes(other.tobytes(), "big")
    found = ours | theirs if either else ours & theirs
    return array(one.typecode, found.to_bytes(len(one) * one.itemsize, "big"))


def _png(samples: bytes, width: int, height: int, depth: int, *, kind: int) -> bytes:
    line = len(samples) // height
    rows = b"".join(b"\0" + samples[at : at + line] for at in range(0, len(samples), line))
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
