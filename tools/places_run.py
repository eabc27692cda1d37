"""Train for some minutes on a set of Places2's size, and say what it takes: python tools/places_run.py DIR.

DIR gets tar shards of 18 small JPEGs each, of which 50 are real and the others links to them: the index, the order of
the shards and the reading are those of 1.8 million photos, and the disk holds a few megabytes. Then `manyfill train`
runs on them under torchrun, with a small network, in as many processes as asked for, and is watched: memory of each
process, its own and what it shares, images a second, what checkpoints take.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from manyfill.data import open_photos

REAL = 50  # shards that are files of their own
PHOTOS = 18  # in a shard: 100,000 of them are Places365-Standard's 1,803,460 photos, but for 3,460
SIDE = 256

RECIPE = """\
from dataclasses import replace

from manyfill.recipes import RECIPES

run = replace(
    RECIPES["tiny"], name="places-run", batch=8, images=10**9, scale=(0.25, 1.0), workers=1, mix=8192,
    checkpoint_every=None, pictures_every=None, checkpoint_minutes=1.0,
)
"""


def make(folder: Path, shards: int) -> None:
    """The shards."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(min(REAL, shards)):
        with tarfile.open(folder / f"{number:06d}.tar", "w") as tar:
            for index in range(PHOTOS):
                coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
                out = io.BytesIO()
                coarse.resize((4 * SIDE // 3, SIDE), Image.Resampling.BICUBIC).save(out, "JPEG", quality=85)
                member = tarfile.TarInfo(f"Places365_train_{number:04d}{index:04d}.jpg")
                member.size = out.tell()
                tar.addfile(member, io.BytesIO(out.getvalue()))
    for number in range(REAL, shards):
        os.symlink(f"{number % REAL:06d}.tar", folder / f"{number:06d}.tar")


def memory(pid: int) -> dict[str, float]:
    """MiB of a process: all that it sees, its share of it, and what is its own alone."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("Rss", "Pss", "Private_Dirty", "Private_Clean"):
            found[name] = int(value.split()[0]) / 1024
    return {"sees": found["Rss"], "share": found["Pss"], "own": found["Private_Dirty"] + found["Private_Clean"]}


def below(pid: int) -> list[int]:
    """Processes that it has started, and those that these have."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *below(int(child))]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, after the index is there")
    asked = parser.parse_args()
    shards = asked.dir / "shards"
    if not shards.exists():
        make(shards, asked.shards)

    began, cpu = time.perf_counter(), time.process_time()
    found = open_photos(shards)
    places = found._places
    print(
        f"index: {len(found):,} photos in {asked.shards:,} shards, {places.nbytes / 1e6:.0f} MB, "
        f"{places.nbytes / len(found):.0f} bytes a photo; {time.process_time() - cpu:.0f} s of CPU, "
        f"{time.perf_counter() - began:.0f} s by the clock",
        flush=True,
    )
    del found, places

    (asked.dir / "places_recipe.py").write_text(RECIPE)
    run = asked.dir / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={asked.processes}"]
    command += ["-m", "manyfill", "train", "--recipe", f"{asked.dir}/places_recipe.py:run", "--data", str(shards)]
    command += ["--out", str(run), "--device", "cpu", "--max-minutes", str(asked.minutes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    training = subprocess.Popen(command, env=environment)
    highest: dict[int, dict[str, float]] = {}
    first = None
    while training.poll() is None:
        time.sleep(2)
        if first is None and (run / "stats.jsonl").is_file():
            first = time.perf_counter() - began
        for pid in below(training.pid) if first is not None else ():
            try:
                now = memory(pid)
                name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (OSError, KeyError):
                continue
            if b"train" in name:
                highest[pid] = {key: max(value, highest.get(pid, {}).get(key, 0)) for key, value in now.items()}
    print(f"first numbers after {first or 0:.0f} s" if first else "it never came to a first step")
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    speeds = sorted(row["images_per_second"] for row in rows)
    middle = speeds[len(speeds) // 2]
    print(f"{rows[-1]['images_seen']:,} images; {middle:.1f} images/s in the median of {len(rows)} lines")
    for number, most in enumerate(sorted(highest.values(), key=lambda most: -most["own"])):
        print(f"process {number}: " + ", ".join(f"{what} {value:.0f} MiB" for what, value in most.items()))
    written = [path.stat().st_size for path in (run / "checkpoints").iterdir()]
    print(f"checkpoints: {len(written)} of {max(written) / 1e6:.1f} MB on disk")


if __name__ == "__main__":
    main()
