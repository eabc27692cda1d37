"""A motion photo's video: dropped unless it is asked for, and then found by the marks that phones look for."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import manyfill
from manyfill import photos
from manyfill.photos.motion import KEPT, UNKNOWN, WHAT, video_behind


def box(kind: bytes, content: bytes = b"", *, wide: bool = False) -> bytes:
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


VIDEO = box(b"ftyp", b"mp42\0\0\0\0") + box(b"mdat", bytes(range(256)) * 9, wide=True) + box(b"moov", b"track")
OLD = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:G="http://ns.google.com/photos/1.0/camera/" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="t" G:MotionPhoto="1" '
    b'G:MotionPhotoPresentationTimestampUs="712345"/></rdf:RDF></x:xmpmeta>'
)


def motion_photo(xmp: bytes | None = OLD, behind: bytes = VIDEO, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    image.save(file, "JPEG", **({} if xmp is None else {"xmp": xmp}), **options)
    return file.getvalue() + behind


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("xmp", [OLD, None])
def test_a_kept_video_lies_behind_the_fill_where_its_marks_say(xmp: bytes | None, progressive: bool) -> None:
    fill = manyfill.complete(motion_photo(xmp, progressive=progressive), hole(), model="telea", keep_video=True)[0]
    data = photos.encode(fill.photo)
    assert data.endswith(VIDEO) and KEPT in fill.notes
    again = photos.read(data, keep_video=True)
    assert again.video is not None and again.video.data == VIDEO
    assert again.video.moment == (712_345 if xmp else UNKNOWN)
    said = data[: -len(VIDEO)]
    for pattern in (rb'MicroVideoOffset="(\d+)"', rb'Semantic="MotionPhoto"\s+Item:Length="(\d+)"'):
        (length,) = map(int, re.findall(pattern, said))
        assert data[-length:] == VIDEO
    assert said.count(b"PresentationTimestampUs") == 2  # the old mark is gone
    assert (b'dc:title="t"' in said) == (xmp is not None)
    twice = photos.encode(again)
    assert twice.count(b"MotionPhotoVersion") == 1 and twice.endswith(VIDEO)


def test_without_the_option_the_video_goes_with_its_marks_and_that_is_noted(tmp_path: Path) -> None:
    (fill,) = manyfill.complete(motion_photo(), hole(), model="telea")
    data = fill.save(tmp_path / "a.jpg").read_bytes()
    assert b"ftyp" not in data and b"MotionPhoto" not in data
    assert any(WHAT in note for note in fill.notes) and KEPT not in fill.notes


@pytest.mark.parametrize("format", ["png", "tiff", "webp"])
def test_other_formats_say_that_they_cannot_hold_the_video(format: str) -> None:
    photo = photos.read(motion_photo(), keep_video=True)
    notes = photos.notes(photo, format=format)
    assert any(WHAT in note and "cannot hold" in note for note in notes) and KEPT not in notes
    assert b"MotionPhoto" not in photos.encode(photo, format=format)


def test_the_video_ends_where_its_boxes_end() -> None:
    samsung = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + VIDEO + b"SEFH" + bytes(40) + b"SEFT"
    for behind, found in (
        (samsung, VIDEO),
        (VIDEO + b"\0\0", VIDEO),
        (VIDEO[:-3], None),
        (b"", None),
        (b"ftyp", None),
        (box(b"ftyp", b"heic") + box(b"mdat", b"x"), None),
        (
            VIDEO + struct.pack(">I4s", 0, b"free") + b"to the end",
            VIDEO + struct.pack(">I4s", 0, b"free") + b"to the end",
        ),
    ):
        video = video_behind(memoryview(behind), None)
        assert (None if video is None else video.data) == found


def hole() -> np.ndarray:
    marked = np.zeros((48, 64), bool)
    marked[20:30, 20:40] = True
    return marked
