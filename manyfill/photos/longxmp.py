"""XMP that is longer than a JPEG's segment: joined to one packet when it is read, split again when it is written.

Adobe's XMP Specification, part 3, 1.1.3.1: a first packet names another by its GUID, which is the MD5 of that one's
bytes and lies in as many segments as it needs. Bytes in, bytes out.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from manyfill.photos.segments import LONGEST_XMP

GUID, HEAD = 32, 40  # bytes of the name, and of name, whole length and place, before each part
PART = 65_400  # bytes of the second packet in a segment
MAX_DEPTH = 64  # of elements in each other
MAX_GROWTH = 4  # of a packet that is parted
MAX_NAMESPACES = 256  # of one property: packets have some twenty
NOTE = b"http://ns.adobe.com/xmp/note/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_START = re.compile(rb"<(?P<rdf>[\w.-]{1,64}):RDF\b(?P<says>[^<>]*)>")
_NAMESPACE = re.compile(rb"xmlns:([\w.-]{1,64})\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_NAME = re.compile(rb"HasExtendedXMP\s*(?:=\s*[\"']|>)\s*([0-9A-Za-z]{32})")


def joined(main: bytes | None, parts: Iterable[bytes]) -> tuple[bytes | None, bool]:
    """One packet of the first and of the second's parts, as they lie in a JPEG; and whether nothing of it is missing.

    Where the parts do not fit each other, or the second packet does not fit the first, the first is what is left.
    """
    found = list(parts)
    if not found:
        return main, True
    said = None if main is None else _NAME.search(main)
    second = _assembled(found, None if said is None else said[1])
    whole = None if second is None or main is None else _merged(main, second)
    return (main, False) if whole is None else (whole, True)


def _assembled(parts: Iterable[bytes], name: bytes | None) -> bytes | None:
    """The second packet of that name, in one piece; None where a part of it is missing."""
    pieces: dict[int, bytes] = {}
    lengths = set()
    for part in parts:
        if len(part) < HEAD or (name is not None and part[:GUID].upper() != name.upper()):
            continue
        length, place = struct.unpack_from(">II", part, GUID)
        lengths.add(length)
        pieces[place] = part[HEAD:]
    at, kept = 0, []
    for place in sorted(pieces):
        if place != at:
            return None
        kept.append(pieces[place])
        at += len(pieces[place])
    return b"".join(kept) if lengths == {at} and at else None


def _merged(main: bytes, second: bytes) -> bytes | None:
    """The first packet with what the second describes; None where they call their namespaces by one name."""
    ours, theirs = _START.search(main), _START.search(second)
    if ours is None or theirs is None or ours["rdf"] != theirs["rdf"] or theirs["says"].endswith(b"/"):
        return None
    closing = b"</" + ours["rdf"] + b":RDF"
    end, their_end = main.rfind(closing), second.rfind(closing)
    if their_end < theirs.end():
        return None
    known = _namespaces(ours["says"])
    new = {name: uri for name, uri in _namespaces(second[: theirs.end()]).items() if name != b"x"}
    if any(known.get(name, uri) != uri for name, uri in new.items()):
        return None
    declared = b"".join(b' xmlns:%s="%s"' % pair for pair in new.items() if pair[0] not in known)
    says = ours["says"].rstrip(b"/") + declared
    start = main[: ours.start()] + b"<" + ours["rdf"] + b":RDF" + says + b">"
    inner = b"" if end < 0 else main[ours.end() : end]  # of an empty first packet: <rdf:RDF/>
    rest = closing + b">" + main[ours.end() :] if end < 0 else main[end:]
    return b"".join((start, inner, second[theirs.end() : their_end], rest))


def _namespaces(tags: bytes) -> dict[bytes, bytes]:
    return {found[1]: found[2] or found[3] or b"" for found in _NAMESPACE.finditer(tags)}


# ── parted ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Property:
    """A property of a photo: where its element lies, and what its description's start tag says."""

    start: int
    end: int
    about: dict[str, str]  # attributes: namespaces in scope, and rdf:about
    closed: bool = False  # whether it has an end tag: then that is what expat names as its end


@dataclass
class _Reader:
    """Finds the properties in a packet: x:xmpmeta, rdf:RDF, rdf:Description, and then each is one."""

    parser: expat.XMLParserType
    packet: bytes
    found: list[_Property] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # of the elements that are open
    scopes: list[dict[str, str]] = field(default_factory=list)

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """An element's start tag."""
        if len(self.names) >= MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        if self.names[-1:] == ["rdf:Description"] and self.names[-2:-1] == ["rdf:RDF"]:
            self.found.append(_Property(self.parser.CurrentByteIndex, -1, self.scopes[-1]))
        self.names.append(name)
        scope = {key: value for key, value in attributes.items() if key.startswith("xmlns") or key == "rdf:about"}
        outer = self.scopes[-1] if self.scopes else {}
        if len(outer) + len(scope) > MAX_NAMESPACES:
            raise ValueError("it has hundreds of namespaces")
        self.scopes.append({**outer, **scope} if scope else outer)

    def finish(self, name: str) -> None:
        """An element's end tag; of an empty element both are the same."""
        self.names.pop()
        self.scopes.pop()
        if self.names[-1:] == ["rdf:Description"] and self.names[-2:-1] == ["rdf:RDF"] and self.found:
            last = self.found[-1]
            last.end = self.parser.CurrentByteIndex
            last.closed = self.packet.startswith(f"</{name}".encode(), last.end)

    def refuse(self, *_: object) -> None:
        """A document type: entities can grow without bound."""
        raise ValueError("it has a document type")


def _properties(packet: bytes) -> list[_Property]:
    """Every property that is an element. Raises ValueError and expat's errors."""
    parser = expat.ParserCreate()
    reader = _Reader(parser, packet)
    parser.StartElementHandler, parser.EndElementHandler = reader.begin, reader.finish
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.Parse(packet, True)
    for one in reader.found:
        if one.closed:
            one.end = packet.find(b">", one.end) + 1
    return reader.found


def parted(packet: bytes) -> tuple[bytes, bytes] | None:
    """A packet that is longer than a segment as two, the first of which fits and names the second.

    The largest properties go to the second, so that programs that know only the first packet still find the others.
    None where the packet cannot be parted: it is not well-formed, or not UTF-8.
    """
    try:
        packet.decode()
        properties = _properties(packet)
    except (UnicodeError, ValueError, expat.ExpatError):
        return None
    start = _START.search(packet)
    if start is None or start["rdf"] != b"rdf":
        return None
    packet = _unpadded(packet)
    left, moved = len(packet), []
    for one in sorted(properties, key=lambda each: each.start - each.end):
        if left <= LONGEST_XMP - 1024:  # what names the second packet comes on top
            break
        moved.append(one)
        left -= one.end - one.start
    if left > LONGEST_XMP - 1024:
        return None
    pieces, length = [], 0
    for piece in _second(packet, sorted(moved, key=lambda each: each.start)):
        pieces.append(piece)
        length += len(piece)
        if length > MAX_GROWTH * len(packet):  # what holds for all is said of each
            return None
    second = b"".join(pieces)
    kept, at = [], 0
    for one in sorted(moved, key=lambda each: each.start):
        kept.append(packet[at : one.start])
        at = one.end
    kept.append(packet[at:])
    first = b"".join(kept)
    name = hashlib.md5(second, usedforsecurity=False).hexdigest().upper().encode()
    end = first.rfind(b"</rdf:RDF")
    note = b'<rdf:Description rdf:about="" xmlns:xmpNote="%s" xmpNote:HasExtendedXMP="%s"/>' % (NOTE, name)
    return first[:end] + note + first[end:], second


def _unpadded(packet: bytes) -> bytes:
    """Without the blanks that programs leave behind a packet, to change it in place."""
    end = packet.rfind(b"<?xpacket end")
    return packet if end < 0 else packet[:end].rstrip() + b"\n" + packet[end:]


def _second(packet: bytes, moved: Iterable[_Property]) -> Iterator[bytes]:
    yield b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="%s">' % RDF.encode()
    for _, together in groupby(moved, key=lambda one: id(one.about)):  # of one description
        inner = list(together)
        about = {"rdf:about": "", **inner[0].about}
        said = "".join(
            f" {key}={quoteattr(value)}" for key, value in about.items() if key not in ("xmlns:x", "xmlns:rdf")
        )
        yield f"<rdf:Description{said}>".encode()
        yield from (packet[one.start : one.end] for one in inner)
        yield b"</rdf:Description>"
    yield b"</rdf:RDF></x:xmpmeta>"


def parts_of(second: bytes) -> Iterator[bytes]:
    """What the segments of the second packet hold, behind the signature of their kind."""
    name = hashlib.md5(second, usedforsecurity=False).hexdigest().upper().encode()
    for place in range(0, len(second), PART):
        yield name + struct.pack(">II", len(second), place) + second[place : place + PART]
