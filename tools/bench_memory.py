"""Peak memory of `manyfill complete` beside its own estimate, case by case. Markdown.

    python tools/bench_memory.py                      all cases: twenty minutes of one core
    python tools/bench_memory.py --only 12 jpeg       those whose name holds all of these

Photos are mirrored tilings of examples/photos/farm.jpg. Each case is a process of its own, with one thread; the peak is
what the system says of it at its end (VmHWM, Linux). The estimate is the one that --max-memory is compared with.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

PHOTO = Path(__file__).parents[1] / "examples" / "photos" / "farm.jpg"
CHILD = """
import sys
from manyfill import memory, photos
from manyfill.completer import ceiling
from manyfill.cli import main
from manyfill.jobs import photo as job
read = job.read_photo
def watched(source, max_memory=None, **rest):
    held = memory.resident()
    photo = read(source, max_memory, **rest)
    print("needs", round((held + photos.reading_cost(source) * photo.height * photo.width) / 2**20), file=sys.stderr)
    return photo
job.read_photo = watched
estimate = ceiling.estimate
def told(*task, **options):
    needed = estimate(*task, **options)
    print("needs", round(needed / 2**20), file=sys.stderr)
    return needed
ceiling.estimate = told
try:
    main()
finally:
    print("peak", open("/proc/self/status").read().split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


@dataclass(frozen=True)
class Case:
    """A photo, a hole, and how it is to be completed."""

    kind: str  # of the photo: format, mode, bits
    megapixels: int
    hole: str
    fills: int
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.megapixels} MP {self.kind}, {self.hole}"


CASES = (
    Case("JPEG", 1, "120 px", 1),
    Case("JPEG", 12, "120 px", 1),
    Case("JPEG", 12, "1 MP", 1),
    Case("JPEG", 12, "1 MP", 4),
    Case("JPEG", 48, "120 px", 1),
    Case("JPEG", 48, "1 MP", 4),
    Case("JPEG", 48, "1 MP", 4, ("--uncertainty",)),
    Case("JPEG", 48, "20 %", 1),
    Case("JPEG", 48, "20 %", 4, ("--uncertainty",)),
    Case("JPEG", 48, "200 specks", 1),
    Case("JPEG", 48, "scratch", 1),
    Case("PNG", 48, "1 MP", 1),
    Case("PNG 16 bits", 12, "1 MP", 4),
    Case("PNG 16 bits", 48, "1 MP", 4),
    Case("PNG RGBA", 48, "120 px", 1),
    Case("PNG RGBA", 12, "1 MP", 4),
    Case("PNG grey", 48, "120 px", 1),
    Case("TIFF", 48, "1 MP", 4),
    Case("TIFF 16 bits", 48, "120 px", 1),
    Case("WebP", 12, "120 px", 1),
    Case("JPEG", 400, "120 px", 1),
)


def make_photo(case: Case, path: Path) -> tuple[int, int]:
    """A photo file of this kind; height and width."""
    farm = np.asarray(Image.open(PHOTO).convert("RGB"))
    height = round((case.megapixels * 1e6 * 3 / 4) ** 0.5) if case.megapixels < 400 else 20000
    width = round(case.megapixels * 1e6 / height)
    block = np.block([[[farm], [farm[:, ::-1]]], [[farm[::-1]], [farm[::-1, ::-1]]]])
    pixels = np.tile(block, (-(-height // block.shape[0]), -(-width // block.shape[1]), 1))[:height, :width]
    if "grey" in case.kind:
        pixels = pixels[..., 1]
    if "RGBA" in case.kind:
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
        pixels[:50, :50, 3] = 0
    if "16" in case.kind:
        cv2.imwrite(str(path), pixels[..., ::-1].astype(np.uint16) * 257)
    else:
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=90)
    return height, width


def make_hole(case: Case, height: int, width: int, path: Path) -> None:
    """A mask file."""
    hole, middle = np.zeros((height, width), np.uint8), (height // 2, width // 2)
    if case.hole == "200 specks":
        for y, x in np.random.default_rng(0).integers(0, (height - 5, width - 5), (200, 2)):
            hole[y : y + 5, x : x + 5] = 255
    elif case.hole == "scratch":
        cv2.line(hole, (0, height // 3), (width - 1, height // 2), 255, 2)
    else:
        side = {"120 px": 120, "1 MP": 1000, "20 %": round((0.2 * height * width) ** 0.5)}[case.hole] // 2
        hole[middle[0] - side : middle[0] + side, middle[1] - side : middle[1] + side] = 255
    Image.fromarray(hole).save(path)


def measure(case: Case, folder: Path, *, threads: int | None = 1) -> tuple[float, float, float]:
    """Estimate and peak in MiB, and seconds: of computing with one thread, of the clock with all of them (None)."""
    suffix = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WebP": ".webp"}[case.kind.split()[0]]
    photo, mask = folder / f"photo{suffix}", folder / "hole.png"
    make_hole(case, *make_photo(case, photo), mask)
    out = ["-o", str(folder / "fills")] if case.fills > 1 else ["-o", str(folder / f"filled{suffix}")]
    command = ["complete", str(photo), "--mask", str(mask), "-n", str(case.fills), *out, *case.options]
    names = () if threads is None else ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    limit = {name: str(threads) for name in names}
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *command], capture_output=True, text=True, env={**os.environ, **limit}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    estimate = re.findall(r"needs (\d+)", done.stderr)
    computing = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    seconds = time.perf_counter() - start if threads is None else computing
    return max(map(float, estimate)), int(re.findall(r"peak (\d+)", done.stderr)[-1]) / 1024, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="words, all of which a case's name has to hold")
    asked = parser.parse_args()
    print("| photo, hole | fills | estimate, MiB | measured, MiB | estimate / measured | CPU s |")
    print("|---|--:|--:|--:|--:|--:|")
    for case in CASES:
        if not all(word.lower() in case.name.lower() for word in asked.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            estimate, peak, seconds = measure(case, Path(folder))
        name = " ".join((case.name, *case.options))
        print(
            f"| {name} | {case.fills} | {estimate:.0f} | {peak:.0f} | {estimate / peak:.2f} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
