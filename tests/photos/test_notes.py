"""Nothing is lost in silence: what cannot be kept is a note, and stale marks go with what they speak of."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from manyfill import photos
from manyfill.errors import BadImage
from manyfill.photos.directories import Entry, Order, directory, longs, pack_directory, pack_header
from manyfill.photos.png import png_chunks, png_file

RNG = np.random.default_rng(3)


def smooth(height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + x, 30 + y, 60 + (x + y) // 2], 2).astype(np.uint8)


def saved(format: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(smooth())).save(file, format, **options)
    return file.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg(*segments: bytes, behind: bytes = b"") -> bytes:
    data = saved("JPEG", quality=92)
    return data[:2] + b"".join(segments) + data[2:] + behind


def xmp(attributes: bytes, inside: bytes = b"") -> bytes:
    names = (
        b'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:G2="http://ns.google.com/photos/1.0/camera/" '
        b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        b'xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    )
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b"<rdf:Description " + names + b" " + attributes + b">" + inside + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def xmp_segment(packet: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)


def rough() -> Image.Image:
    """400 rows of clouds."""
    return Image.fromarray(cv2.resize(RNG.integers(0, 256, (100, 75, 3)).astype(np.uint8), (300, 400)))


VIDEO = b"\0\0\0\x18ftypmp42" + bytes(5000)


# -------------------------------------------------------------------------------- what lies beside the picture


@pytest.mark.parametrize(
    ("attributes", "inside"),
    [
        (b'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" dc:title="t"', b""),
        (b"G2:MicroVideo='1' G2:MicroVideoOffset='5012' dc:title=\"t\"", b""),
        (
            b'dc:title="t"',
            b"<GCamera:MotionPhoto>1</GCamera:MotionPhoto><GCamera:MicroVideoOffset>9</GCamera:MicroVideoOffset>",
        ),
        (
            b'dc:title="t"',
            b"<Container:Directory><rdf:Seq><rdf:li><Container:Item/></rdf:li></rdf:Seq></Container:Directory>",
        ),
    ],
)
def test_a_motion_photos_video_goes_with_its_marks_and_that_is_noted(attributes: bytes, inside: bytes) -> None:
    photo = photos.read(jpeg(xmp_segment(xmp(attributes, inside)), behind=VIDEO))
    written = photos.encode(photo)
    for mark in (b"MotionPhoto", b"MicroVideo", b"ftyp", b"Container:Item"):
        assert mark not in written
    assert b'dc:title="t"' in written and b"</rdf:Description>" in written
    assert any("motion-photo video" in note for note in photos.notes(photo))


def test_a_gain_map_goes_with_every_mark_and_that_is_noted() -> None:
    marks = [
        xmp_segment(xmp(b'hdrgm:Version="1.0" hdrgm:GainMapMax="2"', b"<hdrgm:Gamma><rdf:Seq/></hdrgm:Gamma>")),
        segment(0xE2, b"MPF\0II*\0" + bytes(80)),
        segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(9)),
    ]
    photo = photos.read(jpeg(*marks, behind=saved("JPEG", Image.new("L", (16, 16)))))
    written = photos.encode(photo)
    assert photo.xmp is not None and b"hdrgm:V" not in photo.xmp and b"hdrgm:G" not in photo.xmp
    assert b"MPF\0" not in written and b"21496" not in written and written.count(b"\xff\xd8\xff") == 1
    assert "HDR gain map" in photos.notes(photo)[0] and "further pictures" in photos.notes(photo)[0]


def test_extended_xmp_private_segments_and_bytes_behind_are_noted() -> None:
    packet = xmp_segment(xmp(b'xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF" dc:title="t"'))
    further = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8) + b"<x/>")
    photo = photos.read(jpeg(packet, further, segment(0xE4, b"maker"), segment(0xEB, b"JP\0"), behind=b"x" * 700))
    (note,) = photo.notes
    for word in ("extended XMP", "APP4", "APP11", "700 bytes"):
        assert word in note
    assert photo.xmp is not None and b"HasExtendedXMP" not in photo.xmp and b"dc:title" in photo.xmp


def test_a_plain_photo_of_a_camera_has_no_note_of_its_own() -> None:
    block = pack_header("<", 8) + pack_directory("<", {271: Entry(2, 4, b"Cam\0")}, 8)
    plain = jpeg(segment(0xE1, b"Exif\0\0" + block), xmp_segment(xmp(b'dc:title="t"')), behind=bytes(40))
    assert photos.read(plain).notes == ()
    for format in ("PNG", "TIFF", "WEBP", "BMP"):
        assert photos.notes(photos.read(saved(format, **({"lossless": True} if format == "WEBP" else {})))) == ()


# ------------------------------------------------------------------------------------------- what a format holds


def test_every_lossy_format_says_that_it_encodes_again_and_no_other_does() -> None:
    photo = photos.read(smooth())
    for format in photos.FORMATS:
        told = any("re-encodes" in note for note in photos.notes(photo, format=format))
        assert told != photos.is_lossless(photo, format=format), format
    assert "re-encodes" in photos.notes(photo, format="webp", quality=80)[0]
    assert "re-encodes" in photos.notes(photos.read(saved("WEBP", quality=80)))[0]


def test_what_a_format_cannot_hold_is_named_exactly_where_it_is_lost() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a house")
    png = photos.read(saved("PNG", pnginfo=text, dpi=(300, 300)))
    full = replace(
        png,
        exif=pack_header("<", 8)
        + pack_directory("<", {34665: Entry(4, 1, {37500: Entry(7, 70_000, bytes(70_000))})}, 8),
        xmp=b"<x/>" * 20_000,
        icc=saved_profile(),
        tiff_extras=pack_header("<", 8) + pack_directory("<", {60_000: longs("<", 1)}, 8),
    )
    for format in photos.FORMATS:
        if format == "heic":
            pytest.importorskip("pillow_heif")
        said = " ".join(photos.notes(full, format=format))
        again = photos.read(photos.encode(full, format=format))
        for held, word in (
            (again.exif, "EXIF"),
            (again.xmp, "XMP"),
            (again.icc, "colour profile"),
            (again.dpi, "dots per inch"),
            (again.png_extras, "texts"),
            (again.tiff_extras, "further TIFF tags"),
        ):
            assert bool(held) != (word in said), (format, word, said)


def saved_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_captions_of_a_jpeg_are_missed_in_other_formats() -> None:
    captions = b"Photoshop 3.0\x008BIM\4\4\0\0\0\0\0\7CAPTION\0"
    photo = photos.read(jpeg(segment(0xED, captions)))
    assert not any("captions" in note for note in photos.notes(photo))
    assert any("captions" in note for note in photos.notes(photo, format="png"))


def test_one_bit_ten_bits_and_cmyk_are_noted() -> None:
    bits = Image.fromarray(smooth()).convert("1")
    for format in ("PNG", "TIFF", "BMP"):
        assert "1 bit" in photos.read(saved(format, bits)).notes[0], format
    assert "CMYK" in photos.read(saved("JPEG", Image.fromarray(smooth()).convert("CMYK"))).notes[0]
    heif = pytest.importorskip("pillow_heif")
    wide = (smooth().astype(np.uint16) * 257).tobytes()
    file = io.BytesIO()
    heif.from_bytes(mode="RGB;16", size=(128, 96), data=wide).save(file, quality=95)
    assert "bits were read as 8" in photos.read(file.getvalue()).notes[0]


def test_a_broken_profile_is_noted_and_not_written() -> None:
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)),
        (b"iCCP", b"p\0\0" + b"not zlib"),
        (b"IDAT", zlib.compress(bytes(6))),
        (b"IEND", b""),
    ]
    photo = photos.read(png_file(chunks))
    assert photo.icc is None and "profile is damaged" in photo.notes[0]


# ------------------------------------------------------------------------------------- files that end too early


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_without_its_end_mark_or_a_few_bytes_is_read_and_that_is_noted(
    progressive: bool, subsampling: int
) -> None:
    image = rough()
    data = saved("JPEG", image, progressive=progressive, subsampling=subsampling, quality=90)
    whole = photos.read(data)
    for cut in (1, 2, 3, 40):
        photo = photos.read(data[:-cut])
        assert "ends too early" in photo.notes[0]
        top = slice(0, 200) if progressive else slice(0, 368)
        assert np.abs(photo.pixels[top].astype(int) - whole.pixels[top]).max() <= (90 if progressive else 0)
        with pytest.raises(BadImage, match="cut off"):
            photos.read(data[:-cut], strict=True)
    assert photos.read(data, strict=True).notes == ()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_jpeg_that_lacks_more_is_refused(progressive: bool, share: float) -> None:
    image = rough()
    data = saved("JPEG", image, progressive=progressive, quality=90)
    with pytest.raises(BadImage, match="cut off"):
        photos.read(data[: int(share * len(data))])


def test_of_a_jpeg_that_lacks_a_tenth_the_missing_rows_are_counted() -> None:
    image = rough()
    data = saved("JPEG", image, quality=90, subsampling=0)
    photo = photos.read(data[: int(0.93 * len(data))])
    assert "its last 32 rows are missing" in photo.notes[0]  # 28 of 400, and most of four more
    assert (photo.pixels[-20:] == 128).all() and photo.pixels[:360].std() > 20


def test_a_png_with_empty_chunks_of_pixels_is_read() -> None:
    array = smooth()
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in array))
    for kind, raw in ((2, packed), (3, zlib.compress(b"".join(b"\0" + row.tobytes() for row in array[..., 0])))):
        half = len(raw) // 2
        palette = [(b"PLTE", bytes(range(256)) * 3)] if kind == 3 else []
        header = (b"IHDR", struct.pack(">IIBBBBB", 128, 96, 8, kind, 0, 0, 0))
        parts = [(b"IDAT", b""), (b"IDAT", raw[:half]), (b"IDAT", b""), (b"IDAT", raw[half:]), (b"IDAT", b"")]
        data = png_file([header, *palette, *parts, (b"IEND", b"")])
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(photos.read(data).pixels, np.asarray(image.convert("RGB")))


# ------------------------------------------------------------------------------------------- tags of a domain


GEO = {33550: (12, 3), 33922: (12, 6), 34735: (3, 8), 34736: (12, 2), 34737: (2, 9)}


def geotiff(*, order: str = "<", orientation: int = 1, more: dict[int, tuple[int, bytes]] | None = None) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    sizes = {12: 8, 3: 2, 2: 1}
    extra = [
        (tag, kind, n, bytes((k * 7 + 1) % 120 + 1 for k in range(n * sizes[kind])), True)
        for tag, (kind, n) in GEO.items()
    ]
    extra += [(tag, kind, len(raw), raw, True) for tag, (kind, raw) in (more or {}).items()]
    extra += [(274, 3, 1, orientation, True)]
    file = io.BytesIO()
    tifffile.imwrite(file, smooth(), photometric="rgb", byteorder=order, extratags=extra, metadata=None)
    return file.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("exif", [False, True])
def test_geographic_and_private_tags_are_kept_from_tiff_to_tiff(order: str, exif: bool) -> None:
    more = {60_001: (7, b"private"), 42_113: (2, b"-9999\0")} | ({271: (2, b"Camera\0")} if exif else {})
    data = geotiff(order=order, more=more)
    before = directory(data).entries
    photo = photos.read(data)
    after = directory(photos.encode(photo)).entries
    for tag in (*GEO, *more):
        assert (after[tag].kind, after[tag].length, bytes(after[tag].value)) == (
            before[tag].kind,
            before[tag].length,
            bytes(before[tag].value),
        ), tag
    assert photos.notes(photo) == ()
    assert any("further TIFF tags" in note for note in photos.notes(photo, format="png"))


def test_every_tag_of_a_jpegs_exif_is_found_again_in_a_tiff() -> None:
    entries = {271: Entry(2, 4, b"Cam\0"), 50_341: Entry(7, 8, b"PrintIM\0"), 60_002: longs("<", 7)}
    block = pack_header("<", 8) + pack_directory("<", entries, 8)
    photo = photos.read(jpeg(segment(0xE1, b"Exif\0\0" + block)))
    after = directory(photos.encode(photo, format="tiff")).entries
    for tag, entry in entries.items():
        assert bytes(after[tag].value) == entry.value, tag


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("place", [96, 97, 5000])
def test_a_makers_note_stays_where_it_points_to_itself(order: Order, place: int) -> None:
    note = b"MAKER" + struct.pack(order + "I", place + 9) + b"pointed at"  # as Canon's and Sony's do
    inner = {37500: Entry(7, len(note), note)}
    block = bytearray(
        pack_header(order, 8) + pack_directory(order, {271: Entry(2, 4, b"Cam\0"), 34665: Entry(4, 1, inner)}, 8)
    )
    at = block.index(note)
    where = block.index(struct.pack(order + "I", at))
    block[where : where + 4] = struct.pack(order + "I", place)
    block = block.ljust(place, b"\0") + note
    photo = photos.read(jpeg(segment(0xE1, b"Exif\0\0" + bytes(block))))

    def found(data: bytes) -> bytes:
        entry = directory(data, directory(data).number(34665, 0)).entries[37500]
        (target,) = struct.unpack_from(order + "I", entry.value, 5)
        return data[target : target + 10]

    tiff = photos.encode(photo, format="tiff")
    assert found(tiff) == b"pointed at" and (photos.read(tiff).pixels == photo.pixels).all()
    back = photos.read(tiff)
    assert back.exif is not None and found(back.exif) == b"pointed at"
    again = photos.read(photos.encode(back, format="jpeg")).exif
    assert again is not None and found(again) == b"pointed at"
    assert found(photos.encode(back)) == b"pointed at"


@pytest.mark.parametrize("compression", ["jpeg2000", "webp"])
def test_a_tiff_of_a_rare_compression_is_not_called_damaged(compression: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, smooth(), photometric="rgb", compression=compression)
    with pytest.raises(BadImage, match="compressed in a way that is not read here"):
        photos.read(file.getvalue())


@pytest.mark.parametrize("address", ["https://example.com/a.jpg", "HTTP://x/y", "data:image/png;base64,iV", "s3://b/a"])
def test_an_address_is_not_called_a_missing_file(address: str) -> None:
    with pytest.raises(BadImage, match="is an address, not a file"):
        photos.read(address)


@pytest.mark.parametrize("format", ["avif", "webp", "png", "heic"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_exif_block_is_written_as_it_is_and_not_packed_again(format: str, order: Order) -> None:
    if format == "heic":
        pytest.importorskip("pillow_heif")
    inner = {37510: Entry(7, 12, b"ASCII\0\0\0word"), 37500: Entry(7, 9, b"makernote"), 36864: Entry(7, 4, b"0232")}
    entries = {271: Entry(2, 4, b"Cam\0"), 274: Entry(3, 1, struct.pack(order + "H", 1)), 34665: Entry(4, 1, inner)}
    block = pack_header(order, 8) + pack_directory(order, entries, 8)
    photo = replace(photos.read(smooth()), exif=block)
    again = photos.read(photos.encode(photo, format=format)).exif
    assert again is not None
    before, after = (directory(data, directory(data).number(34665, 0)).entries for data in (block, again))
    assert [(tag, *entry) for tag, entry in before.items()] == [(tag, *entry) for tag, entry in after.items()]
    assert len(again) == len(block) and bytes(directory(again).entries[271].value) == b"Cam\0"


def test_canons_raw_files_are_called_raw() -> None:
    data = saved("TIFF", compression="jpeg")
    raw = data[:4] + struct.pack("<I", 16) + b"CR\2\0" + bytes(4) + b"\0\0" + bytes(4) + data
    with pytest.raises(BadImage, match="camera's raw file"):
        photos.read(raw)


def test_ycbcr_in_planes_is_refused_in_one_clear_line() -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((3, 48, 64), np.uint8), photometric="ycbcr", planarconfig="separate")
    with pytest.raises(BadImage, match="is a TIFF of YCbCr in separate planes"):
        photos.read(file.getvalue())


def test_what_says_where_pixels_lie_goes_when_they_are_turned() -> None:
    photo = photos.read(geotiff(orientation=6))
    assert not set(GEO) & set(directory(photos.encode(photo)).entries)
    assert "geographic tag" in photo.notes[0]


def test_layers_and_previews_of_photoshop_go_and_captions_stay() -> None:
    resources = b"8BIM\4\x0c\0\0\0\0\0\4OLD!" + b"8BIM\4\4\0\0\0\0\0\7CAPTION\0"
    data = geotiff(more={34377: (7, resources), 37724: (7, b"Adobe Photoshop Document Data Block\0")})
    photo = photos.read(data)
    written = photos.encode(photo)
    assert b"CAPTION" in written and b"OLD!" not in written and b"Document Data" not in written
    assert "Photoshop layers" in photo.notes[0]


# ------------------------------------------------------------------------------------------------- HEIC


def heic(orientation: int) -> bytes:
    """As some phones write it: EXIF alone says how it is turned, no box of the format's own."""
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[271], exif[274] = "Cam", 1
    file = io.BytesIO()
    heif.from_pillow(Image.fromarray(smooth())).save(file, exif=exif.tobytes(), quality=-1, chroma=444)
    data, before = file.getvalue(), exif.tobytes().removeprefix(b"Exif\0\0")
    exif[274] = orientation
    assert b"irot" not in data and data.count(before) == 1
    return data.replace(before, exif.tobytes().removeprefix(b"Exif\0\0"))


@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_heic_that_only_its_exif_turns_is_turned_once(orientation: int, turned: int) -> None:
    photo = photos.read(heic(orientation))
    expected = np.rot90(smooth(), turned)
    assert photo.pixels.shape == expected.shape and np.abs(photo.pixels.astype(int) - expected).mean() < 3
    for format in ("jpeg", "png"):
        again = photos.read(photos.encode(photo, format=format))
        assert again.pixels.shape == expected.shape


def test_a_heic_that_its_own_boxes_turn_is_not_turned_again() -> None:
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[274] = 6
    file = io.BytesIO()
    heif.from_pillow(Image.fromarray(smooth())).save(file, exif=exif.tobytes())
    assert b"irot" in file.getvalue()
    assert photos.read(file.getvalue()).pixels.shape == (128, 96, 3)


def test_a_heics_video_is_missed() -> None:
    data = heic(1) + struct.pack(">I4s", 8 + len(VIDEO), b"mpvd") + VIDEO
    assert any("motion-photo video" in note for note in photos.read(data).notes)
    assert photos.read(heic(1)).notes == ()


# ------------------------------------------------------------------------------------ private parts of every format


def test_private_chunks_of_a_png_are_kept_where_the_format_says_they_may_be_and_else_noted() -> None:
    raw = b"".join(b"\0" + row.tobytes() for row in smooth())
    header = (b"IHDR", struct.pack(">IIBBBBB", 128, 96, 8, 2, 0, 0, 0))
    quiet = [(b"sBIT", b"\5\6\5"), (b"bKGD", bytes(6)), (b"tIME", b"\7\xe0\1\1\1\1\1")]
    may, may_not = [(b"vpAg", b"page"), (b"zzZz", b"mine")], [(b"caBX", b"credentials"), (b"prVT", b"x")]
    data = png_file([header, *quiet, *may, *may_not, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")])
    photo = photos.read(data)
    written = dict(png_chunks(photos.encode(photo)))
    assert all(written[name] == content for name, content in may)
    assert not {name for name, _ in (*quiet, *may_not)} & set(written)
    assert photo.notes == ("Not kept, because it belongs to the photo as it was: its private chunks (caBX, prVT).",)
    assert "private chunks of the PNG" in photos.notes(photo, format="tiff")[-1]
    assert photos.read(png_file([header, *quiet, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")])).notes == ()


def test_private_chunks_of_webp_and_boxes_of_heif_are_noted() -> None:
    data = saved("WEBP", lossless=True)
    more = b"C2PA" + struct.pack("<I", 4) + b"abcd"
    photo = photos.read(data[:4] + struct.pack("<I", len(data) - 8 + len(more)) + data[8:] + more)
    assert "private chunks (C2PA)" in photo.notes[0] and photos.read(data).notes == ()
    for format in ("AVIF", "HEIF"):
        if format == "HEIF":
            pytest.importorskip("pillow_heif").register_heif_opener()
        data = saved(format)
        assert photos.read(data).notes == ()
        assert "private boxes (uuid)" in photos.read(data + struct.pack(">I4s", 24, b"uuid") + bytes(16)).notes[0]


def test_a_profile_of_a_jpeg_that_lacks_a_part_is_noted_and_not_written() -> None:
    profile = bytes(range(256)) * 600
    parts = [segment(0xE2, b"ICC_PROFILE\0" + bytes([k + 1, 3]) + profile[k * 51_200 :][:51_200]) for k in range(3)]
    for whole in (parts, parts[::-1], [*parts, parts[2]], parts * 2):
        photo = photos.read(jpeg(*whole))
        assert photo.icc == profile and photo.notes == ()
    for some in (parts[:2], parts[1:], [parts[0], parts[2]], parts[:1]):
        photo = photos.read(jpeg(*some))
        assert photo.icc is None and photo.notes == ("Its colour profile is damaged and was not kept.",)


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 0), (0, 1, 2), (2, 0, 1)])
def test_each_component_of_a_jpeg_keeps_its_own_table(numbers: tuple[int, int, int]) -> None:
    tables = [[2] * 64, [5] * 64, [9] * 64]
    data = bytearray(saved("JPEG", qtables=tables, subsampling=0))
    frame = data.index(b"\xff\xc0")
    for place, number in zip((12, 15, 18), numbers, strict=True):
        data[frame + place] = number
    photo = photos.read(bytes(data))
    with Image.open(io.BytesIO(photos.encode(photo))) as again:
        again.load()
        used = [again.quantization[layer[3]][0] for layer in again.layer]  # type: ignore[attr-defined]
    assert used == [tables[number][0] for number in numbers]
    assert np.abs(photos.read(photos.encode(photo)).pixels.astype(int) - photo.pixels).max() <= 10
