"""What a photo's numbers mean as colours: code points (CICP, nclx), PNG's gamma and primaries, as ICC profiles, too.

A format that has no code points carries the same meaning as an ICC profile: primaries and a curve, nothing else. PQ and
HLG light (HDR) cannot be said so; what becomes of it is noted.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from manyfill.photos.photo import Photo

Point: TypeAlias = tuple[float, float]  # a chromaticity, CIE 1931 x and y

D65, DCI = (0.3127, 0.3290), (0.314, 0.351)
SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
# ITU-T H.273, table 2: red, green, blue, white.
PRIMARIES: dict[int, tuple[Point, Point, Point, Point]] = {
    1: SRGB_PRIMARIES,
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), DCI),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}
# Table 3, as the numbers of ICC's parametric curves: type 0 is y = x^g; type 3 has a linear foot.
BT709 = (3, (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081))
CURVES: dict[int, tuple[int, tuple[float, ...]]] = {
    1: BT709,
    4: (0, (2.2,)),
    5: (0, (2.8,)),
    6: BT709,
    8: (0, (1.0,)),
    13: (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)),
    14: BT709,
    15: BT709,
}
HDR = {16: "PQ", 18: "HLG"}  # transfers that no ICC profile of ours says
PLAIN_PRIMARIES, PLAIN_CURVES = (1, 2), (1, 2, 6, 13, 14, 15)  # sRGB, or so near that everybody shows them alike
PNG_GAMMA = 45_455  # of sRGB, in PNG's hundred-thousandths


def meaningful(primaries: int, transfer: int) -> tuple[int, int] | None:
    """Code points that say more than what everybody takes for granted: sRGB."""
    return None if primaries in PLAIN_PRIMARIES and transfer in PLAIN_CURVES else (primaries, transfer)


def profile(photo: Photo) -> bytes | None:
    """The photo's ICC profile, or one of what its code points or PNG chunks say; None: sRGB, or unsayable."""
    if photo.icc is not None:
        return photo.icc
    if photo.cicp is not None:
        if meaningful(*photo.cicp) is None:
            return None
        primaries, transfer = photo.cicp
        points, curve = PRIMARIES.get(primaries), CURVES.get(transfer)
        return None if points is None or curve is None else icc_of(points, curve)
    chunks = dict(photo.png_extras)
    if b"sRGB" in chunks:
        return None
    (gamma,) = struct.unpack(">I", chunks.get(b"gAMA", b"").ljust(4, b"\0")[:4])
    points = SRGB_PRIMARIES
    if len(chunks.get(b"cHRM", b"")) == 32:
        white, *colours = ((x / 100_000, y / 100_000) for x, y in struct.iter_unpack(">II", chunks[b"cHRM"]))
        points = (colours[0], colours[1], colours[2], white)
    near = np.allclose(points, SRGB_PRIMARIES, atol=0.002)
    if near and (not gamma or abs(gamma - PNG_GAMMA) < 500):
        return None
    curve = CURVES[13] if not gamma or abs(gamma - PNG_GAMMA) < 500 else (0, (100_000 / gamma,))
    return icc_of(points, curve)


def icc_for_rgb(photo: Photo) -> bytes | None:
    """The profile, unless it speaks of grey and the format stores a grey photo as RGB."""
    found = profile(photo)
    return None if found is not None and found[16:20] == b"GRAY" else found


def icc_of(points: tuple[Point, Point, Point, Point], curve: tuple[int, tuple[float, ...]]) -> bytes | None:
    """An ICC profile, version 4, of three primaries, a white and a curve; None where they span no colours."""
    to_xyz, adapt = _matrices(points)
    if to_xyz is None or not np.isfinite(to_xyz).all() or np.abs(to_xyz).max() > 100:
        return None
    kind, numbers = curve
    parametric = b"para" + bytes(4) + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, numbers))
    tags: dict[bytes, bytes] = {
        b"desc": _text("RGB by its code points"),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": b"XYZ " + bytes(4) + b"".join(map(_fixed, D50)),
        b"chad": b"sf32" + bytes(4) + b"".join(map(_fixed, adapt.ravel())),
        **{
            name + b"XYZ": b"XYZ " + bytes(4) + b"".join(map(_fixed, to_xyz[:, k]))
            for k, name in enumerate((b"r", b"g", b"b"))
        },
        **{name + b"TRC": parametric for name in (b"r", b"g", b"b")},
    }
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0\0\0\0", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, D50))
    return head.ljust(128, b"\0") + table + body


D50 = (0.9642, 1.0, 0.8249)  # XYZ of ICC's white
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _matrices(points: tuple[Point, Point, Point, Point]) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """(linear RGB to XYZ under D50, the adaptation from the white to D50), after Lindbloom."""
    xyz = np.array([[x, y, 1 - x - y] for x, y in points]).T
    white = xyz[:, 3] / max(xyz[1, 3], 1e-9)
    cone, goal = _BRADFORD @ white, _BRADFORD @ np.array(D50)
    if xyz[1, 3] < 1e-6 or np.abs(cone).min() < 1e-6 or abs(np.linalg.det(xyz[:, :3])) < 1e-9:
        return None, np.eye(3)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(goal / cone) @ _BRADFORD
    scale = np.linalg.solve(xyz[:, :3], white)
    return adapt @ (xyz[:, :3] * scale), adapt


def _fixed(number: float) -> bytes:
    """ICC's fixed-point number."""
    return struct.pack(">i", round(float(number) * 65_536))


def _text(words: str) -> bytes:
    """ICC's text in one language."""
    raw = words.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(raw), 28) + raw
