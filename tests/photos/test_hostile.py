"""Small files that are built to freeze or to eat: each is read or refused within seconds and little memory.

Every file is read in a process of its own, whose CPU time and memory the system limits (limited.py): one that breaks a
promise dies.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from limited import Limited
from PIL import Image

from manyfill.photos.directories import Entry, longs, pack_directory, pack_header, shorts
from manyfill.photos.png import png_chunk, png_file

Answered = Callable[..., str]
resource = pytest.importorskip("resource")  # limits of a process: not on Windows

CPU_SECONDS, MEMORY = 6, 400 << 20  # beyond what the libraries take when they are loaded
FORMATS = ("png", "tiff", "jpeg", "webp", "avif")
READER = """
import pathlib
from manyfill import photos
from manyfill.errors import ManyfillError

def answer(path, formats):
    try:
        photos.size_of(pathlib.Path(path))
    except ManyfillError:
        pass
    try:
        photo = photos.read(path)
        for format in formats:
            photos.encode(photo, format=format)
    except ManyfillError as error:
        print("refused:", error)
    else:
        print("read:", photo.width, photo.height, *photo.notes)
"""


@pytest.fixture(scope="module")
def _reader() -> Iterator[Limited]:
    with Limited(READER, seconds=CPU_SECONDS, memory=MEMORY) as reader:
        yield reader


@pytest.fixture
def answered(_reader: Limited, tmp_path: Path) -> Answered:
    """What a process with limits says to a file, which it then writes in each of the formats."""

    def answer(data: bytes | Path, formats: Sequence[str] = FORMATS) -> str:
        path = data if isinstance(data, Path) else tmp_path / "photo"
        if not isinstance(data, Path):
            path.write_bytes(data)
        return _reader(str(path), formats).replace(str(tmp_path), "")  # which bears the test's name

    return answer


def saved(format: str, size: tuple[int, int] = (16, 12), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (90, 120, 60)).save(file, format, **options)
    return file.getvalue()


def with_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A small PNG with more chunks."""
    header = (b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0))
    return png_file([header, *chunks, (b"IDAT", zlib.compress(bytes(8))), (b"IEND", b"")])


def webp_with(name: bytes, content: bytes) -> bytes:
    """A small WebP in the extended format, with one more chunk."""
    picture = saved("WEBP", lossless=True)[12:]
    flags = {b"XMP ": 4, b"EXIF": 8}.get(name, 0)
    body = b"WEBPVP8X" + struct.pack("<IIHBHB", 10, flags, 15, 0, 11, 0) + picture
    body += name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_with(*segments: bytes, behind: bytes = b"") -> bytes:
    """A small JPEG with more segments."""
    data = saved("JPEG")
    return data[:2] + b"".join(segments) + data[2:] + behind


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


# ------------------------------------------------------------------------------------------------------------ XMP


def xmps() -> dict[str, bytes]:
    many = 1 << 20
    return {
        "thumbnails that begin": b"<xmp:Thumbnails " * (many // 16),
        "motion photos": b'\nGCamera:MotionPhoto="' * (many // 22),
        "motion photos, spaced": b"\nGCamera:MotionPhoto" + b" " * many,
        "elements of gain maps": b"<hdrgm:A><hdrgm:B " * (many // 18),
        "namespaces": b'xmlns:a="http://ns.adobe.com/xap/1.0/" ' * (many // 40),
        "orientations": b"tiff:Orientation   " * (many // 19),
        "names": b" xmlns:" + b"a" * many,
    }


@pytest.mark.parametrize("what", xmps())
def test_xmp_costs_its_length_and_no_more(what: str, answered: Answered) -> None:
    xmp = xmps()[what]
    assert answered(with_chunks((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))).startswith("read: 3 2")


@pytest.mark.parametrize("format", ["webp", "jpeg", "tiff", "avif"])
def test_xmp_costs_no_more_in_other_formats(format: str, answered: Answered) -> None:
    xmp = xmps()["thumbnails that begin"]
    if format == "webp":
        data = webp_with(b"XMP ", xmp)
    elif format == "jpeg":
        data = jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp[:65_000]))
    else:
        data = saved(format.upper(), **({"tiffinfo": {700: xmp}} if format == "tiff" else {"xmp": xmp}))
    assert answered(data).startswith("read: 16 12")


RDF = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
END = b"</rdf:RDF></x:xmpmeta>"


def names(count: int) -> bytes:
    return b"".join(b' xmlns:n%d="u"' % number for number in range(count))


def long_xmps() -> dict[str, bytes]:
    """Over a JPEG's segment: taken apart when a JPEG is written."""
    many = 1 << 20
    one = RDF + b'<rdf:Description xmlns:a="u"><a:b>c</a:b></rdf:Description>'
    return {
        "blanks": one + END + b" " * many + b"<?xpacket en",
        "blanks inside": one.replace(b">c<", b">" + b" " * many + b"<") + END + b'<?xpacket end="w"?>',
        "blanks and an end": one + END + b" " * many + b'<?xpacket end="w"?>',
        "blanks in pieces": one + END + (b" " * 99 + b"<") * (many // 100) + b"<?xpacket end?>",
        "packets that begin": b"<rdf:RDF " * (many // 9),
        "namespaces of everything": RDF + b"<rdf:Description" + names(2000) + b">" + b"<n0:b/>" * (many // 7)
        + b"</rdf:Description>" + END,
        "many namespaces, many descriptions": RDF.replace(b"<rdf:RDF", b"<rdf:RDF" + names(200))
        + b"<rdf:Description><n0:b>c</n0:b></rdf:Description>" * (many // 50) + END,
        "depth": RDF + b"<rdf:Description>" + b"<a>" * (many // 7) + b"</a>" * (many // 7) + b"</rdf:Description>"
        + END,
        "entities": b"<!DOCTYPE x [<!ENTITY a '" + b"a" * 1000 + b"'>"
        + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10 if n else b"&a;" * 10) for n in range(9))
        + b"]>" + one + b"&a8;" + END + b" " * 70_000,
    }  # fmt: skip


@pytest.mark.parametrize("what", long_xmps())
def test_long_xmp_is_parted_at_a_cost_of_its_length(what: str, answered: Answered) -> None:
    xmp = long_xmps()[what]
    assert answered(with_chunks((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))).startswith("read: 3 2")


@pytest.mark.parametrize("what", ["packets that begin", "namespaces", "blanks", "names"])
@pytest.mark.parametrize("broken", [False, True])
def test_extended_xmp_is_joined_at_a_cost_of_its_length(what: str, broken: bool, answered: Answered) -> None:
    second = {
        "packets that begin": b"<rdf:RDF " * (4 << 20) ,
        "namespaces": RDF[:-1] + b" xmlns:a=\"'" * (1 << 20),
        "blanks": RDF + b" " * (32 << 20),
        "names": b"HasExtendedXMP " * (1 << 21),
    }[what]  # fmt: skip
    main = RDF + b'<rdf:Description xmpNote:HasExtendedXMP="' + b"A" * 32 + b'"/>' + (b"" if broken else END)
    size = 65_000
    parts = [
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">II", len(second), at)
                + second[at : at + size])
        for at in range(0, len(second), size)
    ]  # fmt: skip
    data = jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main), *parts)
    assert answered(data).startswith("read: 16 12")


# ----------------------------------------------------------------------------------------------------------- EXIF


def overlapping(size: int, tags: int, *, inner: bool = False) -> bytes:
    """An EXIF block whose tags' values are each nearly all of it."""
    room = size - 14 - 12 * tags - 40
    entries = [struct.pack("<HHII", 40_000 + k, 7, room, 40 + 12 * tags) for k in range(tags)]
    crowded = struct.pack("<H", tags) + b"".join(entries) + bytes(4)
    if not inner:
        return (b"II*\0\x08\0\0\0" + crowded).ljust(size, b"\0")
    outer = struct.pack("<HHHIII", 1, 34665, 4, 1, 26, 0)
    return (b"II*\0\x08\0\0\0" + outer + crowded).ljust(size, b"\0")


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("format", ["png", "webp", "jpeg", "avif", "tiff", "heic", "text"])
def test_overlapping_values_of_exif_are_not_copied(format: str, inner: bool, answered: Answered) -> None:
    exif = overlapping(360_000, 12_000, inner=inner)
    if format == "png":
        data = with_chunks((b"eXIf", exif))
    elif format == "text":
        data = with_chunks(
            (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 1\n" + exif.hex().encode()))
        )
    elif format == "webp":
        data = webp_with(b"EXIF", exif)
    elif format == "jpeg":
        pieces = range(0, len(exif), 65_000)
        data = jpeg_with(*(segment(0xE1, b"Exif\0\0" + exif[at : at + 65_000]) for at in pieces))
    elif format == "tiff":
        data = exif if not inner else in_a_tiff(exif)
    else:
        data = heif_with(format, exif)
    answer = answered(data)
    if format not in ("tiff", "avif"):
        assert answer.startswith("read:"), answer
    assert inner or format in ("tiff", "avif") or "EXIF block is damaged" in answer


def in_a_tiff(crowded: bytes) -> bytes:
    """A small TIFF whose EXIF directory is the one inside that block."""
    entries = {
        256: longs("<", 3),
        257: longs("<", 2),
        258: shorts("<", 8),
        259: shorts("<", 1),
        262: shorts("<", 1),
        273: longs("<", 8),
        277: shorts("<", 1),
        278: longs("<", 2),
        279: longs("<", 6),
        34665: longs("<", 26),
    }
    at = len(crowded) + len(crowded) % 2
    return pack_header("<", at) + crowded[8:].ljust(at - 8, b"\0") + pack_directory("<", entries, at)


def heif_with(format: str, exif: bytes) -> bytes:
    """A small HEIC or AVIF with a harmless EXIF block of that size, then replaced."""
    if format == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    mark = b"II*\0\x08\0\0\0\0\0\0\0\0\0" + b"\x5a" * (len(exif) - 14)
    data = saved({"heic": "HEIF", "avif": "AVIF"}[format], (64, 64), exif=mark)
    assert data.count(mark[14:]) == 1
    at = data.index(mark[14:]) - 14
    return data[:at] + exif + data[at + len(exif) :]


def test_overlapping_pieces_of_a_thumbnail_are_blanked_once(answered: Answered) -> None:
    pieces, size = 300_000, 2_900_000
    room = size - 200
    second = {
        273: Entry(4, pieces, struct.pack("<I", 100) * pieces),
        279: Entry(4, pieces, struct.pack("<I", room) * pieces),
    }
    first = struct.pack("<HHHII", 1, 274, 3, 1, 1) + struct.pack("<I", 26)
    exif = (b"II*\0\x08\0\0\0" + first + pack_directory("<", second, 26)).ljust(size, b"\1")
    assert answered(with_chunks((b"eXIf", exif))).startswith("read: 3 2")


# ----------------------------------------------------------------------------------------------------------- TIFF


def tiff_of(height: int, counts: list[int], *, width: int = 16, tile: int = 0, size: int = 1 << 20) -> bytes:
    """A deflated grey TIFF whose strips (or tiles) all begin at the same place."""
    packed = zlib.compress(bytes(width * max(1, tile)))
    where, sizes = (324, 325) if tile else (273, 279)
    entries = {
        256: longs("<", width),
        257: longs("<", height),
        258: shorts("<", 8),
        259: shorts("<", 8),
        262: shorts("<", 1),
        277: shorts("<", 1),
        where: longs("<", *[8] * len(counts)),
        sizes: longs("<", *counts),
    }
    entries |= {322: longs("<", width), 323: longs("<", tile)} if tile else {278: longs("<", 1)}
    at = size
    return pack_header("<", at) + packed.ljust(at - 8, b"\0") + pack_directory("<", entries, at)


@pytest.mark.parametrize("tile", [0, 16])
def test_overlapping_strips_and_tiles_are_read_at_a_cost_of_the_picture_or_refused(
    tile: int, answered: Answered
) -> None:
    rows = 16 if tile else 1
    answer = answered(tiff_of(20_000 * rows, [1_000_000] * 20_000, tile=tile))
    assert answer.startswith("refused:") and "overlap" in answer
    few = answered(tiff_of(200 * rows, [10_000] * 200, tile=tile))  # as programs that write a blank one once
    assert few.startswith("read: 16"), few


@pytest.mark.parametrize("tags", [0, 1, 2000])
def test_a_chain_of_pages_is_not_followed_to_its_end(tags: int, answered: Answered) -> None:
    first = in_a_tiff(bytes(40))
    page = struct.pack("<H", tags) + b"".join(struct.pack("<HHII", 60_000 + k, 3, 1, 0) for k in range(tags))
    step = len(page) + 4
    at = len(first)
    count = (24 << 20) // step
    chain = b"".join(page + struct.pack("<I", at + (k + 1) * step) for k in range(count))
    pointer = first.rindex(bytes(4))
    offset = struct.unpack_from("<I", first, 4)[0]
    pointer = offset + 2 + 12 * struct.unpack_from("<H", first, offset)[0]
    data = first[:pointer] + struct.pack("<I", at) + first[pointer + 4 :] + chain
    answer = answered(data)
    assert answer.startswith("read: 3 2") and "pages" in answer


# ----------------------------------------------------------------------------------------------------------- JPEG


def test_a_progressive_jpeg_of_thousands_of_scans_is_refused(answered: Answered) -> None:
    data = saved("JPEG", (2048, 2048), progressive=True)
    last = data.rindex(b"\xff\xda")
    bomb = data[:-2] + data[last:-2] * 3000 + b"\xff\xd9"
    answer = answered(bomb)
    assert answer.startswith("refused:") and "scans" in answer
    assert answered(data).startswith("read: 2048 2048")


@pytest.mark.parametrize(
    "between",
    [
        segment(0xE5, b"") * 2_000_000,
        segment(0xFE, b"") * 2_000_000,
        b"\xff\x01" * 4_000_000,
        b"\xff" * 8_000_000,
        b"\xff\x00" * 4_000_000,
        b"junk" * 2_000_000,
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000) * 100,
    ],
    ids=["APP5", "comments", "TEM", "fill", "stuffed", "junk", "captions"],
)
def test_what_lies_between_segments_costs_its_length(between: bytes, answered: Answered) -> None:
    assert answered(jpeg_with(between)).split(":")[0] in ("read", "refused")


def test_what_lies_behind_a_jpeg_costs_its_length(answered: Answered) -> None:
    behind = b"\xff\xd8\xff\xda\0\2" * 2_000_000
    assert answered(jpeg_with(behind=behind)).startswith("read: 16 12")


# ------------------------------------------------------------------------------------------------------------ PNG


def test_pngs_of_a_million_chunks_are_refused(answered: Answered) -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(8))) + png_chunk(b"IEND", b"")
    for name, content in ((b"IDAT", b""), (b"tEXt", b"a\0b"), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>")):
        data = b"\x89PNG\r\n\x1a\n" + header + png_chunk(name, content) * 1_000_000 + pixels
        answer = answered(data)
        assert answer.startswith("refused:") and "chunks" in answer


def test_one_long_chunk_of_pixels_is_read_in_a_time_of_its_length(answered: Answered) -> None:
    height, width = 3000, 4000
    noise = np.random.default_rng(0).integers(0, 256, (height, width + 1), np.uint8)
    noise[:, 0] = 0
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = png_file([header, (b"IDAT", zlib.compress(noise, 0)), (b"IEND", b"")])
    assert answered(data, ()).startswith("read: 4000 3000")


def test_of_many_compressed_texts_one_is_inflated(answered: Answered) -> None:
    packed = zlib.compress(bytes(15 << 20), 9)
    for name, content in (
        (b"zTXt", b"Raw profile type exif\0\0" + packed),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed[:-2]),
        (b"iCCP", b"a profile\0\0" + packed[:-2]),
    ):
        assert answered(with_chunks(*[(name, content)] * 2000)).startswith("read: 3 2")


@pytest.mark.parametrize("name", [b"iCCP", b"iTXt", b"zTXt"])
def test_compressed_texts_and_profiles_are_not_inflated_without_end(name: bytes, answered: Answered) -> None:
    packed = zlib.compress(bytes(1 << 29), 1)
    content = {
        b"iCCP": b"a profile\0\0" + packed,
        b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + packed,
        b"zTXt": b"Raw profile type exif\0\0" + packed,
    }[name]
    assert answered(with_chunks((name, content))).startswith("read: 3 2")


# --------------------------------------------------------------------------------------------- GIF, BMP and WebP


def gif(between: bytes, frames: int = 1) -> bytes:
    data = saved("GIF")
    start = data.index(b",", 13 + (3 << (data[10] & 7) + 1))
    return data[:start] + between + data[start:-1] * frames + b";"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (gif(b"!\xfe" + b"\xff".ljust(256, b"c") * 60_000 + b"\0"), "read: 16 12"),
        (gif(b"!\xfe" + b"\1c" * 4_000_000 + b"\0"), "refused:"),
        (gif(b"!\xfe\0" * 3_000_000), "read: 16 12"),
        (gif(b"", 200_000), "refused:"),
        (saved("BMP", (16, 12))[:30] + b"\1\0\0\0" + saved("BMP")[34:54] + b"\1\7" * 16_000_000, "refused:"),
        (webp_with(b"JUNK", b"")[:-8] + b"JUNK\0\0\0\0" * 2_000_000, "read: 16 12"),
    ],
    ids=["comment", "short blocks", "comments", "frames", "runs", "chunks"],
)
def test_other_formats_cost_their_length(data: bytes, says: str, answered: Answered) -> None:
    assert answered(data).startswith(says)


# ---------------------------------------------------------------------------------------------- not regular files


def a_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def a_link_to_a_pipe(path: Path) -> Path:
    path.symlink_to(a_pipe(path.with_name("pipe")))
    return path


def a_link_to_zeros(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def a_sparse_file(path: Path) -> Path:
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    return path


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (a_pipe, "not a regular file"),
        (a_link_to_a_pipe, "not a regular file"),
        (a_link_to_zeros, "not a regular file"),
        (a_sparse_file, "1,024 GiB"),
    ],
)
def test_what_is_not_a_regular_file_is_said_so_at_once(
    made: Callable[[Path], Path], says: str, answered: Answered, tmp_path: Path
) -> None:
    answer = answered(made(tmp_path / "photo.jpg"))
    assert answer.startswith("refused:") and says in answer
