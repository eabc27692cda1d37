"""XMP made to agree with upright pixels that a fill has changed: marks of what is gone go, too. Bytes in, bytes out.

Packets are changed by plain search, never parsed to a tree: what is not touched stays as it was, byte for byte, and the
work is linear in the packet's length whatever it holds. Names are found by their namespaces, under any prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_PREFIXES = 4  # for one namespace: programs use one


class _Mark(NamedTuple):
    """What a namespace says about something that is not in the picture itself."""

    uri: bytes
    prefixes: tuple[bytes, ...]  # the usual ones, which hold where a packet declares none
    names: bytes  # of attributes and elements, as a regular expression
    what: str  # for people; "": nothing that they would miss


_THUMBNAILS = _Mark(b"http://ns.adobe.com/xap/1.0/", (b"xmp", b"xap"), rb"Thumbnails", "")
_STALE = (
    _Mark(
        b"http://ns.google.com/photos/1.0/camera/",
        (b"GCamera", b"Camera"),
        rb"(?:MotionPhoto|MicroVideo)\w{0,64}",
        "motion-photo video",
    ),
    _Mark(b"http://ns.google.com/photos/1.0/container/", (b"Container", b"GContainer"), rb"\w{1,64}", ""),
    _Mark(b"http://ns.google.com/photos/1.0/container/item/", (b"Item",), rb"\w{1,64}", ""),
    _Mark(b"http://ns.google.com/photos/1.0/image/", (b"GImage",), rb"\w{1,64}", "unprocessed original"),
    _Mark(b"http://ns.google.com/photos/1.0/depthmap/", (b"GDepth",), rb"\w{1,64}", "depth map"),
    _Mark(b"http://ns.google.com/photos/1.0/audio/", (b"GAudio",), rb"\w{1,64}", "sound"),
    _Mark(b"http://ns.adobe.com/hdr-gain-map/1.0/", (b"hdrgm",), rb"\w{1,64}", "HDR gain map"),
    _Mark(b"http://ns.apple.com/HDRGainMap/1.0/", (b"HDRGainMap",), rb"\w{1,64}", "HDR gain map"),
    _Mark(b"http://ns.adobe.com/xmp/note/", (b"xmpNote",), rb"HasExtendedXMP", ""),
)


def upright_xmp(xmp: bytes) -> bytes:
    """The XMP packet for pixels that were already turned upright, without the thumbnails of the old photo."""
    xmp = re.sub(rb'(tiff:Orientation\s*(?:=\s*["\']|>)\s*)[2-8]', rb"\g<1>1", xmp)
    return _without(xmp, _THUMBNAILS)


_REGIONS = (
    _Mark(b"http://www.metadataworkinggroup.com/schemas/regions/", (b"mwg-rs",), rb"Regions", "face regions"),
    _Mark(b"http://ns.microsoft.com/photo/1.2/", (b"MP",), rb"RegionInfo", "face regions"),
)


def moved_xmp(xmp: bytes, *, height: int, width: int) -> tuple[bytes, tuple[str, ...]]:
    """The packet for a larger canvas of that size, without regions, whose places would be wrong; what those are."""
    for names, value in (
        (rb"tiff:ImageWidth|exif:PixelXDimension", width),
        (rb"tiff:ImageLength|exif:PixelYDimension", height),
    ):
        xmp = re.sub(rb"((?:" + names + rb")\s*(?:=\s*[\"']|>)\s*)\d{1,9}", rb"\g<1>%d" % value, xmp)
    return _removed(xmp, _REGIONS)


def without_stale(xmp: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The packet without marks of what lies beside the picture in its file (video, gain map, depth); what those are.

    What they point to is not written: it shows the old photo, or belongs to its pixels.
    """
    return _removed(xmp, _STALE)


def _removed(xmp: bytes, marks: tuple[_Mark, ...]) -> tuple[bytes, tuple[str, ...]]:
    """The packet without what the marks name, and what of it people would miss."""
    gone: dict[str, None] = {}
    for mark in marks:
        changed = _without(xmp, mark)
        if changed != xmp and mark.what:
            gone[mark.what] = None
        xmp = changed
    return xmp, tuple(gone)


def _without(xmp: bytes, mark: _Mark) -> bytes:
    """The packet without all attributes and elements that the mark names."""
    for prefix in _prefixes(xmp, mark):
        if prefix + b":" not in xmp:
            continue
        name = re.escape(prefix) + b":(?:" + mark.names + b")"
        xmp = re.sub(rb"\s" + name + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')", b"", xmp)
        xmp = b"".join(_outside(xmp, re.compile(rb"<(" + name + rb")(?=[\s/>])")))
    return xmp


def _prefixes(xmp: bytes, mark: _Mark) -> list[bytes]:
    """What a namespace is called in this packet."""
    found = dict.fromkeys(mark.prefixes)
    for said in re.finditer(rb"xmlns:([\w.-]{1,64})\s*=\s*[\"']" + re.escape(mark.uri) + rb"[\"']", xmp):
        found[said[1]] = None
        if len(found) >= MAX_PREFIXES + len(mark.prefixes):
            break
    return list(found)


def _outside(xmp: bytes, start: re.Pattern[bytes]) -> Iterator[bytes]:
    """The pieces between elements that begin so; where one has no end, the rest is gone with it."""
    at = 0
    while begun := start.search(xmp, at):
        yield xmp[at : begun.start()]
        tag_end = xmp.find(b">", begun.end())
        if tag_end < 0:
            return
        if xmp[tag_end - 1 : tag_end] == b"/":
            at = tag_end + 1
            continue
        closing = b"</" + begun[1] + b">"
        end = xmp.find(closing, tag_end)
        if end < 0:
            return
        at = end + len(closing)
    yield xmp[at:]
