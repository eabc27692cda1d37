"""What whole jobs take: engines side by side, a folder with one and two workers, four fills of a 12 MP photo."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TOOLS = Path(__file__).parents[1] / "tools"
PHOTOS = Path(__file__).parent / "photos"
SIDE = 512  # short side of the photos of the folder
HOLE = 0.06  # of a photo


def tables(*, sizes: str = "256 512", repeats: int = 3, photos: int = 8) -> Iterator[str]:
    """The section of docs/benchmarks.md, line by line; measured as it is written."""
    yield "## Engines, folders, large photos"
    yield ""
    yield from _engines(sizes.split(), repeats)
    yield from _folder(photos)
    yield from _large()


def _engines(sizes: list[str], repeats: int) -> Iterator[str]:
    command = [
        sys.executable,
        str(TOOLS / "bench_engines.py"),
        "--json",
        "--cpu-time",
        "--threads",
        "1",
        "--fills",
        "2",
    ]
    done = subprocess.run(
        [*command, "--sizes", *sizes, "--repeats", str(repeats)], capture_output=True, text=True, check=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    names = {name: None for each in found for name in each["rows"]}
    yield (
        "Networks of the published sizes with random weights, a fill at a time; processor time of one thread, in "
        f"brackets how many times as fast as the published way. More: [engines.md](engines.md). {_amx()}"
    )
    yield ""
    yield "| ms per fill | " + " | ".join(f"{each['net']} {each['size']}²" for each in found) + " |"
    yield "| --- |" + " ---: |" * len(found)
    for name in names:
        cells = []
        for each in found:
            first = next(iter(each["rows"].values()))[0]
            row = each["rows"].get(name)
            cells.append("–" if row is None else f"{row[0]:.0f} ({first / row[0]:.1f} x)")
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def _amx() -> str:
    """Whether this CPU multiplies matrices in bfloat16: without, bf16 gains little."""
    info = Path("/proc/cpuinfo")
    has = info.is_file() and "amx_bf16" in info.read_text()
    return "This CPU has AMX in bfloat16." if has else "This CPU has no AMX."


def _folder(count: int) -> Iterator[str]:
    import cv2
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        (folder / "masks").mkdir()
        files = sorted(path for path in PHOTOS.iterdir() if path.suffix == ".jpg")
        for number in range(count):
            pixels = cv2.imread(str(files[number % len(files)]))
            scale = SIDE / min(pixels.shape[:2])
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / "photos" / f"{number:02}.jpg"), pixels)
            height, width = pixels.shape[:2]
            hole, rest = np.zeros((height, width), np.uint8), (1 - HOLE**0.5) / 2
            hole[int(rest * height) : height - int(rest * height), int(rest * width) : width - int(rest * width)] = 255
            cv2.imwrite(str(folder / "masks" / f"{number:02}.png"), hole)
        yield (
            f"A folder of {count} photos with a short side of {SIDE} pixels and a hole of {HOLE:.0%}, one fill each: "
            "`manyfill complete photos/ --mask masks/ -o fills/ --workers N`, without the start of the program."
        )
        yield ""
        yield "| workers | photos/s |"
        yield "| ---: | ---: |"
        for workers in (1, 2):
            out = folder / f"fills{workers}"
            command = ["complete", str(folder / "photos"), "--mask", str(folder / "masks"), "-o", str(out)]
            done = subprocess.run(
                [sys.executable, "-m", "manyfill", *command, "--workers", str(workers)],
                capture_output=True,
                text=True,
                check=True,
            )
            (rate,) = re.findall(r"([\d.]+) photos/s", done.stderr)
            yield f"| {workers} | {rate} |"
        yield ""


def _large() -> Iterator[str]:
    sys.path.insert(0, str(TOOLS))
    from bench_memory import Case, measure

    with tempfile.TemporaryDirectory() as folder:
        estimated, peak, seconds = measure(Case("JPEG", 12, "1 MP", 4), Path(folder), threads=None)
    yield (
        "Four fills of a 12 MP JPEG with a hole of 1 MP, end to end with the start of the program, contact sheet and "
        f"sidecar: {seconds:.0f} s, at most {peak:.0f} MiB of memory (estimated beforehand: {estimated:.0f} MiB)."
    )
    yield ""
