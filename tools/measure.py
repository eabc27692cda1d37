"""A first measure of models on photos: how near to the truth, how different from each other.

python tools/measure.py PHOTOS [--models NAME ...] [--texture auto net] [--count 24] [--fills 4]

Each photo (reduced to a short side of 384 at most) gets one seeded hole of the six ratio bins in turn. Printed per
model, as means over photos: PSNR and L1 (0-255) in the hole, of the best-ranked fill and of the nearest to the truth
(best of n), and the mean pairwise L1 (0-255) between the fills in the hole. OpenCV's Telea is measured beside them.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np

import manyfill
from manyfill import masks
from manyfill.data import open_photos

SIDE = 384  # pixels, short side


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(float(np.mean((a - b) ** 2)), 1e-9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--models", nargs="+", default=["fusion", "pluralistic", "pluralistic-fusion"])
    parser.add_argument("--texture", nargs="+", default=["net", "auto"])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--fills", type=int, default=4)
    asked = parser.parse_args()

    photos = open_photos(asked.photos, short_side=SIDE)
    cases = []
    for index in range(min(asked.count, len(photos))):
        pixels = np.ascontiguousarray(photos[index])
        hole = masks.binned(index % 6)(*pixels.shape[:2], np.random.default_rng([0, index]))
        cases.append((pixels, hole[0, 0].numpy() > 0.5))

    print(f"{len(cases)} photos; masks {masks.set_hash([masks.read_hole(hole) for _, hole in cases])[:12]}")
    print("| filler | texture | PSNR | L1 | PSNR, best of n | between fills |\n|---|---|---|---|---|---|")
    rows = [(psnr(p[h] * 1.0, telea(p, h)[h] * 1.0), mean_l1(p[h], telea(p, h)[h])) for p, h in cases]
    print("| telea | | {:.2f} | {:.2f} | | |".format(*np.mean(rows, 0)))
    for name, texture in itertools.product(asked.models, asked.texture):
        completer = manyfill.load(name)
        rows = []
        for pixels, hole in cases:
            fills = [f.array[hole] for f in completer.complete(pixels, hole, n=asked.fills, texture=texture)]
            truth = pixels[hole]
            apart = [mean_l1(a, b) for a, b in itertools.combinations(fills, 2)]
            best = max(psnr(fill * 1.0, truth * 1.0) for fill in fills)
            first = fills[0]
            rows.append((psnr(first * 1.0, truth * 1.0), mean_l1(first, truth), best, np.mean(apart) if apart else 0.0))
        print("| {} | {} | {:.2f} | {:.2f} | {:.2f} | {:.2f} |".format(completer.name, texture, *np.mean(rows, 0)))


def mean_l1(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(np.abs(a.astype(float) - b.astype(float))))


def telea(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.inpaint(pixels, hole.astype(np.uint8) * 255, 3, cv2.INPAINT_TELEA))


if __name__ == "__main__":
    main()
