"""Twenty everyday removals, beside other programs: contact sheets for docs/removals.md, and every fill at full size.

    python tools/removals.py train-scene-000.tar train-scene-100.tar ... -o removals/

The photos are public domain or CC0, from the shards named in docs/data/; what is to go is drawn here, roughly, as a
person would paint it. Shown are: the photo with its hole, then one fill each (the first by seed) of --models. A model
with ":net" after its name is shown without texture. Everything in removals/ is at full size; sheet_1.webp and so on
show the part around each hole.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import manyfill
from manyfill.boxes import Box, tight, whole

CELL = 300  # pixels of a picture in the sheets, its longer side
ROWS = 7
MOST = 400_000  # bytes of a sheet
HOLE = (255, 0, 110)


@dataclass(frozen=True)
class Removal:
    """What goes from a photo: polygons, lines with their width in pixels, specks.

    Points are "x,y x,y ...", in percent of the photo's width and height.
    """

    key: str
    what: str
    areas: Sequence[str] = ()
    lines: Sequence[tuple[int, str]] = ()
    specks: int = 0

    def hole(self, height: int, width: int) -> NDArray[np.bool_]:
        """(H,W)."""
        drawn = np.zeros((height, width), np.uint8)

        def placed(points: str) -> NDArray[np.int32]:
            shares = np.array([pair.split(",") for pair in points.split()], float) / 100
            return np.rint(shares * (width, height)).astype(np.int32)

        for area in self.areas:
            cv2.fillPoly(drawn, [placed(area)], 1)
        for thick, points in self.lines:
            cv2.polylines(drawn, [placed(points)], False, 1, thick)
        rng = np.random.default_rng(0)
        for _ in range(self.specks):
            place = (int(rng.integers(width)), int(rng.integers(height)))
            cv2.circle(drawn, place, int(rng.integers(1, 3)), 1, cv2.FILLED)
        return drawn.astype(bool)


REMOVALS = [
    Removal("d84fe9ae28db", "a sign in a desert", ["3,27 45,27 45,80 3,80"]),
    Removal("efb391c960ab", "a sign at a forest road", ["79,58 90,58 90,88 79,88"]),
    Removal(
        "fe7c4050e10b",
        "a flag in front of a building",
        ["58,5 66,8 78,33 72,52 62,70 45,68 50,40"],
        lines=[(16, "60,0 97,55")],
    ),
    Removal("7ca12fa7be66", "a person on a slope above the sea", ["61,49 71,49 71,97 61,97"]),
    Removal("245369a64f4f", "two people in the distance", ["44,37 60,37 60,77 44,77"]),
    Removal("79e7bfcbc58e", "a person on grass", ["8,66 19,24 23,20 35,24 34,52 30,90 19,90 6,76"]),
    Removal("5afdbe07adec", "a boat full of people", ["9,26 30,32 83,36 100,43 100,55 72,77 16,62 11,50"]),
    Removal("bfda40e182fa", "a rod in front of the sky", lines=[(10, "91,-1 49,44")]),
    Removal(
        "4995228348ca",
        "three wires across sky and stone",
        lines=[(3, "0,10 100,30"), (3, "0,20 100,36"), (4, "0,50 100,42")],
    ),
    Removal("35246fcdb2df", "dust on a scan: 600 specks", specks=600),
    Removal("7752992ed2b6", "a lighthouse in front of the sky", ["18,5 31,5 31,72 18,72"]),
    Removal("03fe27daa666", "two masts in front of an evening sky", ["5,22 12,22 12,97 5,97", "19,4 24,4 24,97 19,97"]),
    Removal(
        "eedb0e42b200", "a bird on grass", ["4,60 42,47 69,12 80,6 95,9 95,18 82,25 78,52 93,79 90,88 50,89 45,74 5,72"]
    ),
    Removal("6b51cd76523d", "a bison in tall grass", ["30,55 37,22 46,9 60,2 84,5 90,40 82,66 78,92 36,92"]),
    Removal("1046d7e5ea57", "a donkey on a meadow", ["3,36 14,30 30,12 42,7 92,8 98,70 91,89 30,89 5,86"]),
    Removal(
        "848d18823e4d", "an aircraft above water", ["6,9 20,8 28,18 38,40 62,54 86,42 91,50 90,64 74,84 40,84 18,54"]
    ),
    Removal("bb8c5b47c7bc", "a whale in the sea", ["7,18 35,17 48,26 54,12 66,12 82,26 92,60 72,84 36,84 28,62 8,44"]),
    Removal("67059ccae400", "a part of a wall of stone blocks", ["40,38 62,38 62,66 40,66"]),
    Removal("255ccf138a77", "a dove on asphalt", ["5,10 25,8 50,28 97,48 97,56 80,60 70,90 35,90 28,60 7,30"]),
    Removal("ba88b67838b2", "a lorry on a road", ["0,0 16,0 47,50 47,72 30,80 0,80"]),
]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["auto", "pluralistic-fusion", "migan:net", "pypatchmatch"])
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    found = dict(photos_of(asked.shards, {removal.key for removal in REMOVALS}))
    lost = [removal.key for removal in REMOVALS if removal.key not in found]
    if lost:
        parser.error(f"the shards lack {', '.join(lost)}. Give all train-scene shards.")
    models = {name: manyfill.load(name.removesuffix(":net")) for name in asked.models}
    rows = []
    for number, removal in enumerate(REMOVALS, start=1):
        photo = found[removal.key]
        hole = removal.hole(*photo.shape[:2])
        shown = [np.where(hole[..., None], np.uint8(HOLE), photo)]
        Image.fromarray(shown[0]).save(asked.out / f"{number:02}_hole.png")
        took = []
        for name, model in models.items():
            start = time.perf_counter()
            texture = "net" if name.endswith(":net") else "auto"
            shown.append(model.complete(photo, hole, texture=texture)[0].array)
            took.append(f"{name} {time.perf_counter() - start:.1f} s")
            Image.fromarray(shown[-1]).save(asked.out / f"{number:02}_{name.removesuffix(':net')}.png")
        view = around(hole)
        rows.append(np.hstack([cell(picture[view.part], number) for picture in shown]))
        print(f"{number:2} {removal.what}: {', '.join(took)}", flush=True)
    sheets(rows, asked.out)


def sheets(rows: Sequence[NDArray[np.uint8]], out: Path) -> None:
    for number, first in enumerate(range(0, len(rows), ROWS), start=1):
        sheet = Image.fromarray(np.vstack(rows[first : first + ROWS]))
        for quality in (82, 74, 66, 58, 50, 40):
            made = io.BytesIO()
            sheet.save(made, "webp", quality=quality, method=6)
            if made.tell() <= MOST:
                break
        (out / f"sheet_{number}.webp").write_bytes(made.getvalue())


def photos_of(shards: Sequence[Path], keys: set[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for shard in shards:
        with tarfile.open(shard) as members:
            for member in members:
                key, dot, kind = member.name.partition(".")
                if key in keys and dot and kind == "jpg" and (data := members.extractfile(member)) is not None:
                    yield key, np.asarray(Image.open(io.BytesIO(data.read())).convert("RGB"))


def around(hole: NDArray[np.bool_]) -> Box:
    """The hole with half as much again on each side, as wide as it is high and half again at most."""
    at = tight(hole, whole(hole))
    assert at is not None, "something is to be removed"
    return at.grown(max(40, at.height // 3, at.width // 3), whole(hole))


def cell(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Reduced to fit, on black, with its number."""
    height, width = picture.shape[:2]
    scale = min(CELL / width, 0.7 * CELL / height, 1)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    out = np.zeros((int(0.7 * CELL) + 4, CELL + 4, 3), np.uint8)
    top, left = (out.shape[0] - small.shape[0]) // 2, (out.shape[1] - small.shape[1]) // 2
    out[top : top + small.shape[0], left : left + small.shape[1]] = small
    cv2.putText(out, str(number), (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(out, str(number), (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return out


if __name__ == "__main__":
    main()
