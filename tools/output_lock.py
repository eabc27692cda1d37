"""Show that a move changes nothing: record sha256 of everything that is written, and compare after the change.

python tools/output_lock.py record build/lock.json    before
python tools/output_lock.py check build/lock.json     after: exit status 0 where all is the same, else what differs

Recorded: the demo's fills with every installed model and filler, previews, a replay, each file format with each depth
and kind of photo, and the golden files of the tests. A key that is new or gone is a difference, too. Compare runs of
one machine and one set of packages only: last bits may depend on both.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parents[1]
PHOTOS = HERE / "examples" / "photos"
GOLDEN = HERE / "tests" / "golden"
FORMATS = ("png", "jpg", "webp", "tiff")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "check"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true", help="one photo and one model in the demo's place")
    asked = parser.parse_args()
    now = dict(outputs(quick=asked.quick))
    if asked.what == "record":
        asked.file.parent.mkdir(parents=True, exist_ok=True)
        asked.file.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        print(f"{len(now)} outputs recorded in {asked.file}")
        return 0
    before = json.loads(asked.file.read_text())
    differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    for name in differing:
        print(f"{'new' if name not in before else 'gone' if name not in now else 'other'}: {name}")
    print(f"{len(now)} outputs, {len(differing)} of them not as recorded")
    return 1 if differing else 0


def outputs(*, quick: bool) -> Iterator[tuple[str, str]]:
    """Name to sha256."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        yield from _demo(home / "demo", quick=quick)
        yield from _previews(quick=quick)
        yield from _formats(home / "formats")
    for path in sorted(GOLDEN.rglob("*")):
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
            out = home / model / name
            _run("complete", PHOTOS / f"{name}.jpg", "--mask", PHOTOS / f"{name}_hole.png", "--model", model, "-n", 3,
                 "-o", out, "--uncertainty", "--explain")  # fmt: skip
            yield from _files(f"demo/{model}", out, leave_out=("json", "sheet"))
    _run("replay", home / DEFAULT / names[0] / f"{names[0]}.json", "-o", home / "again")
    yield from _files("replay", home / "again", leave_out=("json", "sheet"))


def _previews(*, quick: bool) -> Iterator[tuple[str, str]]:
    """Every unfinished picture, and each option that changes pixels."""
    import manyfill
    from manyfill.options import FillOptions

    completer = manyfill.load("pluralistic-fusion", engine="torch")
    photo, hole = PHOTOS / "farm.jpg", PHOTOS / "farm_hole.png"
    shown: list[bytes] = []
    options = FillOptions(n=1 if quick else 2, texture="net")
    list(completer.stream(photo, hole, options, preview=lambda fill, *_: shown.append(fill.array.tobytes())))
    yield "previews", _digest(b"".join(shown))
    for name, given in {
        "band": {"band": 6}, "grow": {"grow": 3}, "diversity": {"diversity": 1.5}, "near": {"near": 3, "step": 0.3},
        "half the texture": {"texture": 0.5},
    }.items():  # fmt: skip
        fills = completer.stream(photo, hole, FillOptions(**{"texture": "net", **given}))
        yield f"options/{name}", _digest(b"".join(fill.array.tobytes() for fill in fills))


def _formats(home: Path) -> Iterator[tuple[str, str]]:
    """Each format of each kind of photo, by the command line."""
    home.mkdir()
    rng = np.random.default_rng(0)
    small = rng.random((6, 8, 4)).astype(np.float32)
    picture = cv2.resize(small, (72, 54), interpolation=cv2.INTER_LINEAR)
    hole = np.zeros((54, 72), np.uint8)
    hole[20:34, 30:48] = 255
    cv2.imwrite(str(home / "hole.png"), hole)
    for kind, depth in ((np.uint8, 8), (np.uint16, 16)):
        pixels = np.rint(picture * np.iinfo(kind).max).astype(kind)
        pixels[..., 3] |= 1  # nowhere wholly transparent
        for mode, part in (("grey", pixels[..., 0]), ("rgb", pixels[..., :3]), ("rgba", pixels)):
            source = home / f"{mode}{depth}.png"
            cv2.imwrite(str(source), part)
            for format in FORMATS:
                out = home / format / f"{mode}{depth}"
                with contextlib.suppress(RuntimeError):  # a format that cannot hold it says so, and has no file
                    _run("complete", source, "--mask", home / "hole.png", "--model", "fusion", "--engine", "torch",
                         "--format", format, "-o", out, "--no-sheet")  # fmt: skip
                yield from _files(f"formats/{format}/{mode}{depth}", out, leave_out=("json",))


def _run(*args: object) -> None:
    from manyfill.cli import run

    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = run([str(arg) for arg in args])
    if code:
        raise RuntimeError(f"manyfill {' '.join(map(str, args))}: {said.getvalue().strip()}")


def _files(name: str, folder: Path, *, leave_out: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What was written; not what tells the time it took, as sidecars and sheets do."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.stem.endswith(leave_out) and path.suffix[1:] not in leave_out:
            yield f"{name}/{path.relative_to(folder).as_posix()}", _digest(path.read_bytes())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
