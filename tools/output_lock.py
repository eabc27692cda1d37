"""Show that a move changes nothing: record sha256 of everything that is written, and compare after the change.

python tools/output_lock.py record build/lock.json    before
python tools/output_lock.py check build/lock.json     after: exit status 0 where all is the same, else what differs

Recorded, each by the command line, with its sidecar but for the time that it took, or with the words it is refused in:
- the demo's photos with every model and filler that is here, their heat maps and explanations, and a replay;
- unfinished pictures (previews), and each option that changes pixels;
- each kind of photo (format, depth, grey, alpha, palette, CMYK, one bit, turned) in each format that --format names;
- masks of each way to select, a larger canvas, a folder and its manifest, numbers of `evaluate`;
- the golden files of the tests.
A key that is new or gone is a difference, too. Compare runs of one machine and one set of packages only: last bits may
depend on both. All of it takes some minutes; --quick leaves out all but one photo and one model of the demo, --only
takes what begins with a word (demo, replay, previews, options, formats, select, extend, folder, evaluate, golden).
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms

from manyfill.errors import BadImage, MissingExtra

HERE = Path(__file__).parents[1]
PHOTOS = HERE / "examples" / "photos"
GOLDEN = HERE / "tests" / "golden"
FORMATS = ("same", "png", "jpg", "webp", "tiff")
PLAIN = ("grey8", "rgb8", "rgba8", "grey16", "rgb16", "rgba16")
PARTS = ("demo", "replay", "previews", "options", "formats", "select", "extend", "folder", "evaluate", "golden")
PASSING = ("seconds", "changed_ns", "pictures", "files")  # of a run, or checksums of what tells its time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "check"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true", help="one photo and one model in the demo's place")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; repeat it for more")
    asked = parser.parse_args()
    now = dict(outputs(quick=asked.quick, only=asked.only or PARTS))
    if asked.what == "record":
        asked.file.parent.mkdir(parents=True, exist_ok=True)
        asked.file.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        refused = sum(name.endswith("/refused") for name in now)
        print(f"{len(now)} outputs recorded in {asked.file}; {refused} of them say why there is none")
        return 0
    before = json.loads(asked.file.read_text())
    if asked.only:
        before = {name: digest for name, digest in before.items() if name.split("/")[0] in asked.only}
    differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    for name in differing:
        print(f"{'new' if name not in before else 'gone' if name not in now else 'other'}: {name}")
    print(f"{len(now)} outputs, {len(differing)} of them not as recorded")
    return 1 if differing else 0


def outputs(*, quick: bool, only: Collection[str] = PARTS) -> Iterator[tuple[str, str]]:
    """Name to sha256; names begin with one of PARTS."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if not {"demo", "replay"}.isdisjoint(only):
            for name, digest in _demo(home / "demo", quick=quick):
                if name.split("/")[0] in only:
                    yield name, digest
        if "previews" in only:
            yield from _previews(quick=quick)
        if "options" in only:
            yield from _options()
        if "formats" in only:
            yield from _formats(home / "formats")
        if "select" in only:
            yield from _selections(home / "select")
        if "extend" in only:
            yield from _attempt("extend", home / "extend", *_complete("farm", "--extend", "0,20%,0,10%"))
        if "folder" in only:
            yield from _folder(home / "folder")
        if "evaluate" in only:
            yield from _evaluated(home / "evaluate")
    for path in sorted(GOLDEN.rglob("*")) if "golden" in only else ():
        if path.is_file():
            yield f"golden/{path.relative_to(GOLDEN).as_posix()}", _digest(path.read_bytes())


def _demo(home: Path, *, quick: bool) -> Iterator[tuple[str, str]]:
    """Fills, sheets, heat maps, explanations; and one replay."""
    from manyfill.fillers import FILLERS
    from manyfill.zoo import DEFAULT, ZOO

    names = ["farm"] if quick else sorted(path.stem for path in PHOTOS.glob("*.jpg"))
    models = [DEFAULT] if quick else [*ZOO, *(name for name, filler in FILLERS.items() if filler.version)]
    for name in names:
        for model in models if name == names[0] else [DEFAULT]:
            asked = _complete(name, "--model", model, "-n", 3, "--uncertainty", "--explain")
            yield from _attempt(f"demo/{model}", home / model / name, *asked)
    yield from _attempt("replay", home / "again", "replay", home / DEFAULT / names[0] / f"{names[0]}.json")


def _complete(name: str, *options: object) -> tuple[object, ...]:
    """The arguments that complete a photo of the demo."""
    return "complete", PHOTOS / f"{name}.jpg", "--mask", PHOTOS / f"{name}_hole.png", *options


def _previews(*, quick: bool) -> Iterator[tuple[str, str]]:
    """Every unfinished picture."""
    import manyfill
    from manyfill.options import FillOptions

    completer = manyfill.load("pluralistic-fusion", engine="torch")
    shown: list[bytes] = []
    options = FillOptions(n=1 if quick else 2, texture="net")
    preview = lambda fill, *_: shown.append(fill.array.tobytes())  # noqa: E731
    list(completer.stream(PHOTOS / "farm.jpg", PHOTOS / "farm_hole.png", options, preview=preview))
    yield "previews", _digest(b"".join(shown))


def _options() -> Iterator[tuple[str, str]]:
    """Each option that changes pixels."""
    import manyfill
    from manyfill.options import FillOptions

    completer = manyfill.load("pluralistic-fusion", engine="torch")
    for name, given in {
        "band": {"band": 6}, "grow": {"grow": 3}, "diversity": {"diversity": 1.5}, "near": {"near": 3, "step": 0.3},
        "half the texture": {"texture": 0.5},
    }.items():  # fmt: skip
        options = FillOptions(**{"texture": "net", **given})
        fills = completer.stream(PHOTOS / "farm.jpg", PHOTOS / "farm_hole.png", options)
        yield f"options/{name}", _digest(b"".join(fill.array.tobytes() for fill in fills))


def _formats(home: Path) -> Iterator[tuple[str, str]]:
    """Each kind of photo in each format; by a network where it is a plain PNG, by a filler where it is not."""
    home.mkdir()
    hole = np.zeros((54, 72), np.uint8)
    hole[20:34, 30:48] = 255
    cv2.imwrite(str(home / "hole.png"), hole)
    cv2.imwrite(str(home / "hole_turned.png"), np.ascontiguousarray(np.rot90(hole)))
    for name, data in _kinds().items():
        source = home / name
        source.write_bytes(data)
        plain = source.suffix == ".png" and source.stem in PLAIN
        model, engine = ("fusion", ("--engine", "torch")) if plain else ("telea", ())
        mask = "hole_turned" if "turned" in name else "hole"
        for format in FORMATS:
            asked = ("--mask", home / f"{mask}.png", "--model", model, "--format", format, *engine)
            out = home / "out" / format / name.replace(".", "_")  # a folder
            yield from _attempt(f"formats/{format}/{name}", out, "complete", source, *asked)


def _kinds() -> dict[str, bytes]:
    """File name to content: small photos of every kind that can be made here."""
    from manyfill import photos

    small = np.random.default_rng(0).random((6, 8, 4)).astype(np.float32)
    picture = cv2.resize(small, (72, 54), interpolation=cv2.INTER_LINEAR)
    found: dict[str, bytes] = {}
    for kind, depth in ((np.uint8, 8), (np.uint16, 16)):
        pixels = np.rint(picture * np.iinfo(kind).max).astype(kind)
        pixels[..., 3] |= 1  # nowhere wholly transparent
        parts = {"grey": pixels[..., 0], "grey-alpha": pixels[..., [0, 3]], "rgb": pixels[..., :3], "rgba": pixels}
        for mode, part in parts.items():
            photo = photos.read(np.ascontiguousarray(part))
            for format in ("png", "tiff", *(("bmp", "webp", "jpeg", "avif", "heic") if depth == 8 else ())):
                with contextlib.suppress(BadImage, MissingExtra):  # a format that cannot hold it, or is not here
                    found[f"{mode}{depth}.{format}"] = photos.encode(photo, format=format)
    image = Image.fromarray(np.rint(picture[..., :3] * 255).astype(np.uint8))
    turned = Image.Exif()
    turned[0x0112], turned[0x010F] = 6, "a camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, kind, made, options in (
        ("palette.png", "PNG", image.quantize(32), {}),
        ("one-bit.png", "PNG", image.convert("1"), {}),
        ("palette.gif", "GIF", image.quantize(32), {}),
        ("cmyk.jpg", "JPEG", image.convert("CMYK"), {}),
        ("progressive.jpg", "JPEG", image, {"progressive": True, "quality": 80}),
        ("tables.jpg", "JPEG", image, {"quality": 61, "subsampling": 2, "comment": b"a comment", "dpi": (300, 300)}),
        ("turned.jpg", "JPEG", image, {"exif": turned.tobytes(), "icc_profile": profile}),
        ("turned.webp", "WEBP", image, {"exif": turned.tobytes(), "lossless": True}),
        ("lossy.webp", "WEBP", image, {"quality": 70}),
        ("lzw.tiff", "TIFF", image, {"compression": "tiff_lzw"}),
        ("jpeg.tiff", "TIFF", image, {"compression": "jpeg"}),
        ("cmyk.tiff", "TIFF", image.convert("CMYK"), {}),
    ):
        memory = io.BytesIO()
        made.save(memory, kind, **options)
        found[name] = memory.getvalue()
    return found


def _selections(home: Path) -> Iterator[tuple[str, str]]:
    """Masks of the ways to select that need no weights of others."""
    home.mkdir()
    painted = home / "painted.png"
    photo = np.asarray(Image.open(PHOTOS / "farm.jpg").convert("RGB")).copy()
    photo[40:90, 60:140] = (255, 0, 255)
    Image.fromarray(photo).save(painted)
    height, width = photo.shape[:2]
    for name, options in {
        "box": ("--box", f"{width // 4},{height // 4},{width // 2},{height // 2}"),
        "click": ("--click", f"{width // 3},{height // 2}"),
        "dust": ("--dust",),
        "colour": ("--colour", "#ff00ff"),
    }.items():
        out = home / name
        out.mkdir()
        source = painted if name == "colour" else PHOTOS / "farm.jpg"
        yield from _attempt(f"select/{name}", out, "select", source, *options, to=out / "hole.png")


def _folder(home: Path) -> Iterator[tuple[str, str]]:
    """A folder job, its manifest but for times, and a second run, which has nothing to do."""
    (home / "photos").mkdir(parents=True)
    for name in ("farm", "beach"):
        Image.open(PHOTOS / f"{name}.jpg").resize((96, 64)).save(home / "photos" / f"{name}.png")
    mask = np.zeros((64, 96), np.uint8)
    mask[20:40, 30:60] = 255
    cv2.imwrite(str(home / "mask.png"), mask)
    asked = ("complete", home / "photos", "--mask", home / "mask.png", "--model", "telea", "--workers", 1)
    for run in ("first", "again"):
        yield from _attempt(f"folder/{run}", home / "out", *asked)


def _evaluated(home: Path) -> Iterator[tuple[str, str]]:
    """Numbers of two fillers, as the table of each photo holds them."""
    home.mkdir()
    _run("evaluate", "--model", "telea", "--model", "mean", "--data", PHOTOS, "--photos", 2, "--size", 128,
         "--metrics", "psnr_hole,ssim_hole,l1_hole,gradient_jump", "-o", home / "out")  # fmt: skip
    with open(home / "out" / "report.csv", newline="") as table:
        for row in csv.DictReader(table):
            name = "/".join(("evaluate", row["source"], row["photo"], row["fill"]))
            yield name, _digest(json.dumps({k: v for k, v in row.items() if "seconds" not in k}).encode())


def _attempt(name: str, out: Path, *args: object, to: Path | None = None) -> Iterator[tuple[str, str]]:
    """What a command writes into a folder; where it is refused, the words that say why."""
    try:
        _run(*args, "-o", to or out)
    except RuntimeError as refused:
        yield f"{name}/refused", _digest(re.sub(re.escape(tempfile.gettempdir()) + r"/\w+", "", str(refused)).encode())
        return
    for path in sorted(out.rglob("*")) if out.is_dir() else ():
        if path.is_file() and not path.stem.endswith("sheet"):  # which tells the time that it took
            yield f"{name}/{path.relative_to(out).as_posix()}", _digest(_timeless(path))


def _timeless(path: Path) -> bytes:
    """A file's content; of a sidecar or manifest without what says when, where and how long."""
    if path.suffix not in (".json", ".jsonl"):
        return path.read_bytes()
    lines = [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines()
    return json.dumps([_without_times(json.loads(line)) for line in lines], sort_keys=True).encode()


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_times(each) for name, each in value.items() if name not in PASSING}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def _run(*args: object) -> None:
    from manyfill.cli import run

    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = run([str(arg) for arg in args])
    if code:
        raise RuntimeError(said.getvalue().strip())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
