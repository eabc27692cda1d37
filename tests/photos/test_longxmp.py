"""XMP and EXIF longer than a JPEG's segment: nothing of them is lost on the way from file to file."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from manyfill import photos
from manyfill.photos.directories import Entry, pack_directory, pack_header
from manyfill.photos.longxmp import joined, parted, parts_of
from manyfill.photos.photo import Photo
from manyfill.photos.segments import APP1, EXIF, EXTENDED_XMP, XMP, taken_apart

DC = "http://purl.org/dc/elements/1.1/"
MINE = "http://example.com/mine/"


def packet(inside: str, says: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        f'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"{says}>{inside}</rdf:RDF></x:xmpmeta>'
        f'{" " * 2000}<?xpacket end="w"?>'
    ).encode()


def described(inside: str, attributes: str = "") -> str:
    return f'<rdf:Description rdf:about="" xmlns:dc="{DC}" xmlns:my="{MINE}"{attributes}>{inside}</rdf:Description>'


def properties(xmp: bytes | None) -> dict[str, str]:
    """Name to text of every property in the packet, as an XML reader has it."""
    assert xmp is not None
    found: dict[str, str] = {}
    for one in ElementTree.fromstring(xmp.strip(b"\0")).iter():
        if one.tag.endswith("}Description"):
            found |= {key: value for key, value in one.attrib.items() if not key.endswith("}about")}
            found |= {each.tag: "".join(each.itertext()) for each in one}
    return found


def segments(data: bytes, signature: bytes) -> list[bytes]:
    return list(taken_apart(data).contents(APP1, signature))


def segment(content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, APP1, len(content) + 2) + content


def jpeg(*contents: bytes) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), 90).save(file, "JPEG")
    data = file.getvalue()
    return data[:2] + b"".join(map(segment, contents)) + data[2:]


LONG = "word " * 40_000
BOTH = packet(described(f"<my:long>{LONG}</my:long><my:empty/><dc:title>t</dc:title>", ' my:short="s"'))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_long_packet_is_written_in_several_segments_and_read_as_one(progressive: bool) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 32), 90).save(file, "JPEG", progressive=progressive)
    photo = replace(photos.read(file.getvalue()), xmp=BOTH)
    data = photos.encode(photo)
    assert len(segments(data, XMP)) == 1 and len(segments(data, EXTENDED_XMP)) == 4
    kinds = [content.partition(b"\0")[0] + b"\0" for marker, content in taken_apart(data).told if marker == APP1]
    assert kinds == [XMP, *[EXTENDED_XMP] * 4]  # in this order: some readers look right behind the first
    main = properties(segments(data, XMP)[0])
    assert main[f"{{{DC}}}title"] == "t" and main[f"{{{MINE}}}short"] == "s" and f"{{{MINE}}}long" not in main
    again = photos.read(data)
    assert again.notes == () and properties(again.xmp) == properties(BOTH)
    assert b"HasExtendedXMP" not in (again.xmp or b"")
    assert not any("XMP" in note for note in photos.notes(photo))
    with Image.open(io.BytesIO(data)) as seen:
        seen.load()


def test_the_parts_are_named_by_the_md5_of_what_they_make() -> None:
    two = parted(BOTH)
    assert two is not None
    parts = list(parts_of(two[1]))
    whole = b"".join(part[40:] for part in parts)
    (name,) = {part[:32] for part in parts}
    assert name.decode() == hashlib.md5(whole).hexdigest().upper() and name in two[0]
    assert [struct.unpack(">II", part[32:40]) for part in parts] == [
        (len(whole), at) for at in range(0, len(whole), 65_400)
    ]


@pytest.mark.parametrize("format", ["png", "tiff", "webp", "avif"])
def test_extended_xmp_goes_to_other_formats_as_one_packet(format: str) -> None:
    main, second = parted(BOTH) or (b"", b"")
    data = jpeg(XMP + main, *(EXTENDED_XMP + part for part in parts_of(second)))
    again = photos.read(photos.encode(photos.read(data), format=format))
    assert properties(again.xmp) == properties(BOTH)


def test_parts_in_any_order_and_those_of_another_packet_are_told_apart() -> None:
    main, second = parted(BOTH) or (b"", b"")
    parts = list(parts_of(second))
    stranger = b"F" * 32 + struct.pack(">II", 4, 0) + b"<x/>"
    found, whole = joined(main, [stranger, *reversed(parts)])
    assert whole and properties(found)[f"{{{MINE}}}long"] == LONG


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts[:-1],
        lambda parts: parts[1:],
        lambda parts: [parts[0][:36] + b"\0\0\0\1" + parts[0][40:], *parts[1:]],
        lambda parts: [part[:32] + b"\xff\xff\xff\xff" + part[36:] for part in parts],
        lambda parts: [b"short"],
    ],
    ids=["no last", "no first", "moved", "a length of 4 GB", "short"],
)
def test_an_extension_that_lacks_a_part_is_noted(change: object) -> None:
    main, second = parted(BOTH) or (b"", b"")
    parts = change(list(parts_of(second)))  # type: ignore[operator]
    photo = photos.read(jpeg(XMP + main, *(EXTENDED_XMP + part for part in parts)))
    assert "extended XMP" in photo.notes[0] and properties(photo.xmp)[f"{{{DC}}}title"] == "t"


def test_namespaces_declared_further_out_come_along_and_contradictions_are_noted() -> None:
    main = packet(described("<dc:title>t</dc:title>"))
    second = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:far="http://far/"><rdf:RDF xmlns:near="http://near/" '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" near:a="1">'
        b"<far:b>2</far:b></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    found, whole = joined(main, parts_of(second))
    assert whole and properties(found) == {f"{{{DC}}}title": "t", "{http://near/}a": "1", "{http://far/}b": "2"}
    other = packet(described("<dc:title>t</dc:title>"), ' xmlns:near="http://another/"')
    assert joined(other, parts_of(second)) == (other, False)


def test_what_an_extension_says_of_the_old_pixels_goes() -> None:
    depth = (
        '<rdf:Description rdf:about="" xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" GDepth:Data="AAAA"/>'
    )
    main = packet(described("<dc:title>t</dc:title>"))
    photo = photos.read(jpeg(XMP + main, *(EXTENDED_XMP + part for part in parts_of(packet(depth)))))
    assert photo.xmp is not None and b"GDepth:" not in photo.xmp and "depth map" in photo.notes[0]


@pytest.mark.parametrize(
    "bad",
    [
        b"<x:xmpmeta" + b"a" * 70_000,
        packet("<rdf:Description>" + LONG),
        b'<!DOCTYPE a [<!ENTITY b "cc">]>' + BOTH,
        packet("<rdf:Description>" + "<a>" * 70_000),
        BOTH.decode().encode("utf-16"),
        packet(described("", f' my:long="{LONG}"')),
    ],
    ids=["no end", "not closed", "document type", "deep", "utf-16", "a long attribute"],
)
def test_a_long_packet_that_cannot_be_parted_is_noted(bad: bytes) -> None:
    photo = Photo(np.zeros((8, 8, 3), np.uint8), format="jpeg", xmp=bad)
    assert parted(bad) is None and any("XMP of" in note for note in photos.notes(photo))
    assert photos.read(photos.encode(photo)).xmp is None


def block(size: int) -> bytes:
    entries = {
        271: Entry(2, 5, b"Cam!\0"),
        34665: Entry(4, 1, {37500: Entry(7, size, bytes(range(256)) * (size // 256))}),
    }
    return pack_header("<", 8) + pack_directory("<", entries, 8)


@pytest.mark.parametrize("size", [60 << 10, 64 << 10, 300 << 10])
def test_exif_of_any_length_stays_whole(size: int) -> None:
    photo = Photo(np.zeros((8, 8, 3), np.uint8), format="jpeg", exif=block(size))
    data = photos.encode(photo)
    assert photos.notes(photo) == photos.notes(Photo(photo.pixels, format="jpeg"))
    assert photos.read(data).exif == photo.exif
    with Image.open(io.BytesIO(data)) as seen:
        assert seen.info["exif"] == b"Exif\0\0" + block(size) and seen.getexif()[271] == "Cam!"


def test_a_second_exif_block_is_noted_and_does_not_mix_with_the_first() -> None:
    photo = photos.read(jpeg(EXIF + block(256), EXIF + block(512)))
    assert photo.exif is not None and len(photo.exif) == len(block(256))
    assert photo.notes == ("Its further EXIF blocks were not kept, only the first.",)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_finds_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(photos.encode(Photo(np.zeros((8, 8, 3), np.uint8), format="jpeg", exif=block(99 << 10), xmp=BOTH)))
    told = subprocess.run(["exiftool", "-Make", "-XMP-dc:Title", "-b", file], capture_output=True).stdout
    assert told == b"Cam!t"
    long = subprocess.run(["exiftool", "-XMP:Long", "-b", "-U", file], capture_output=True).stdout
    assert re.sub(rb"\s+$", b"", long) == LONG.encode().rstrip()
