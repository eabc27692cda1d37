"""Tars that are built to freeze, to eat or to lie: what lies in front of the lie is read, within bounds."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from limited import Limited
from PIL import Image

from manyfill.errors import BadImage
from manyfill.labels import Label, LabelSet, write_shard

pytest.importorskip("resource")  # limits of a process: not on Windows

READER = """
import pathlib
from manyfill.data import open_photos
from manyfill.errors import ManyfillError

def answer(path):
    photos = open_photos([pathlib.Path(path)])
    read = 0
    for index in range(min(len(photos), 20)):
        try:
            read += photos[index].size > 0
        except ManyfillError:
            pass
    print(read)
"""


@pytest.fixture(scope="module")
def read() -> Iterator[Limited]:
    """How many photos of a tar can be read, at most 20."""
    with Limited(READER, seconds=21, memory=400 << 20) as reader:
        yield reader


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 99, 9)).save(file, "PNG")
    return file.getvalue()


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def header(name: bytes, size: int | bytes, kind: bytes = b"0", magic: bytes = b"ustar\x0000") -> bytes:
    head = bytearray(512)
    head[: len(name)], head[100:108], head[156:157], head[257:265] = name, b"0000644\0", kind, magic
    head[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def pax(**says: str) -> bytes:
    body = b""
    for key, value in says.items():
        record = f" {key.replace('_', '.')}={value}\n".encode()
        length = len(record) + len(str(len(record) + 3))
        body += str(length).encode() + record
    return header(b"p", len(body), b"x") + padded(body)


GOOD = header(b"a.png", len(picture())) + padded(picture())
NEXT = header(b"b.png", len(picture())) + padded(picture())
SPARSE = {"GNU_sparse_major": "1", "GNU_sparse_minor": "0"}


@pytest.mark.parametrize(
    "rest",
    [
        header(b"b.png", 8**11 - 1) + b"xx",
        header(b"b.png", b"\xff" * 11 + b"\0") + NEXT,
        header(b"b.png", b"\x80" + b"\0" * 3 + b"\x7f" * 8) + NEXT,
        header(b"c.txt", 0) * 100_000,
        header(b"c.png", 0) * 50_000,
        pax(size="9" * 18) + NEXT,
        pax(size="-5") + NEXT,
        pax(path="x/" * 200_000 + "z.png") + NEXT,
        pax(a="b") * 20_000 + NEXT,
        (header(b"L", 20, b"L", b"ustar  \0") + padded(b"n" * 20)) * 20_000 + NEXT,
        pax(**SPARSE, GNU_sparse_realsize="9" * 13) + header(b"b.png", 512) + padded(b"1\n0\n999999999999\n"),
        pax(**SPARSE, GNU_sparse_realsize="99999") + header(b"b.png", 512) + padded(b"99999999999\n"),
        header(b"h.png", 0, b"1") + header(b"s.png", 0, b"2") + header(b"f.png", 0, b"6"),
    ],
    ids=range(13),
)
def test_what_a_tar_says_of_itself_is_not_believed(rest: bytes, read: Limited, tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(GOOD + rest + bytes(1024))
    assert int(read(str(path))) >= 1


def bomb() -> bytes:
    file = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("part", "data", "says"),
    [
        ("truth1.jpg", b"not a picture", "cannot identify"),
        ("hole.png", bomb(), "more than 2048"),
        ("photo.jpg", picture(), "different sizes"),
        ("json", b"[" * 100_000, "recursion"),
        ("json", b"[]", "facts"),
        ("truth2.jpg", picture(), "truth1"),
    ],
)
def test_a_damaged_label_is_one_line_that_names_its_shard(part: str, data: bytes, says: str, tmp_path: Path) -> None:
    pixels, hole = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), bool)
    write_shard(tmp_path / "whole.tar", [Label("k", pixels, hole, (pixels,))])
    files = {"photo.jpg": b"", "hole.png": b"", "truth1.jpg": b"", "json": b""}
    whole = (tmp_path / "whole.tar").read_bytes()
    at = 0
    while whole[at : at + 1] != b"\0":
        size = int(whole[at + 124 : at + 135], 8)
        files[whole[at : at + 100].rstrip(b"\0").decode().partition(".")[2]] = whole[at + 512 : at + 512 + size]
        at += 512 + len(padded(whole[at + 512 : at + 512 + size]))
    files[part] = data
    if part == "truth2.jpg":
        del files["truth1.jpg"]
    tar = b"".join(header(f"k.{name}".encode(), len(each)) + padded(each) for name, each in files.items())
    (tmp_path / "shard.tar").write_bytes(tar + bytes(1024))
    with pytest.raises(BadImage, match=says) as refused:
        LabelSet(tmp_path / "shard.tar")[0]
    assert "shard.tar" in str(refused.value) and "\n" not in str(refused.value)
    assert json.loads(json.dumps(LabelSet(tmp_path / "whole.tar")[0].facts)) == {}


def test_a_shard_of_labels_that_lies_is_refused_in_one_line(tmp_path: Path) -> None:
    for number, tar in enumerate((b"rubbish" * 200, GOOD + header(b"b.png", 8**11 - 1), pax(a="b") * 20_000)):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(tar + bytes(1024))
        with pytest.raises(BadImage, match=rf"{number}\.tar cannot be read as a shard of labels"):
            LabelSet(path)
