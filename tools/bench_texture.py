"""CPU time of a whole fill on one thread, turn by turn with `pypatchmatch` in the same process.

OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tools/bench_texture.py
OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tools/bench_texture.py --size 1024 --rounds 3

The benchmark's photo, its middle square at --size, with a square hole of 25 % in its middle. Printed for each: the
median of the rounds after a first one that is not counted, the least and the most, and pypatchmatch's time in the same
round over its own (median). CPU time counts all threads and no waiting; on a busy machine caches are still shared.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import manyfill
from manyfill import masks, photos

PHOTO = Path(__file__).parents[1] / "benchmarks" / "photos" / "farm.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pluralistic-fusion")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pixels = photos.read(PHOTO).pixels
    side = min(pixels.shape[:2])
    left = (pixels.shape[1] - side) // 2
    photo = cv2.resize(pixels[:side, left : left + side], (asked.size, asked.size), interpolation=cv2.INTER_AREA)
    hole = masks.center(asked.size, asked.size, np.random.default_rng(0))
    ours = manyfill.load(asked.model, device="cpu", engine="torch")
    patchmatch, pypatchmatch = manyfill.load("patchmatch"), manyfill.load("pypatchmatch")
    fills = {
        "net + texture": lambda seed: ours.complete(photo, hole, seed=seed, texture="photo"),
        "net alone": lambda seed: ours.complete(photo, hole, seed=seed, texture="net"),
        "patchmatch": lambda seed: patchmatch.complete(photo, hole, seed=seed),
        "pypatchmatch": lambda seed: pypatchmatch.complete(photo, hole, seed=seed),
    }
    took = np.zeros((asked.rounds + 1, len(fills)))
    for number in range(asked.rounds + 1):
        for column, fill in enumerate(fills.values()):
            began = time.process_time()
            fill(number)
            took[number, column] = time.process_time() - began
    took = took[1:]
    for name, own in zip(fills, took.T, strict=True):
        times = np.median(took[:, -1] / own)
        print(f"{name}: {np.median(own):.2f} s ({own.min():.2f} … {own.max():.2f}), pypatchmatch takes {times:.2f} x")


if __name__ == "__main__":
    main()
