"""How well an adapter's fusion joins its trunk's picture to the photo, before anything else closes the seam.

python tools/measure_seam.py PHOTOS [--model pluralistic-migan] [--side 256]

Each photo's middle square gets one seeded hole of the six ratio bins in turn. The known pixels stay the photo's; the
hole is taken from (a) the fused picture, (b) the picture before fusion, (c) the trunk's own picture. Printed as means
over photos, 0-255: the error of missing pixels within 1 and 4 pixels of known ones, and the step across the border
less the photo's own; below them each photo's difference to (a), with its standard error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from manyfill import masks, weights
from manyfill.data import open_photos
from manyfill.metrics.seam import boundary_error, gradient_jump
from manyfill.nets.adapter import PluralisticTrunk

MEASURES = ("error, 1 px", "error, 4 px", "step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", default="pluralistic-migan")
    parser.add_argument("--side", type=int, default=256)
    asked = parser.parse_args()

    net = weights.load(asked.model).net
    if not isinstance(net, PluralisticTrunk):
        raise SystemExit(f"{asked.model} is not an adapter: it has no trunk to compare with.")
    photos = open_photos(asked.photos, short_side=asked.side)
    found = np.array([measured(net, np.ascontiguousarray(photos[k]), asked.side, k) for k in range(len(photos))])
    print(
        f"{len(found)} photos at {asked.side} pixels\n\n| hole taken from | {' | '.join(MEASURES)} |\n|---|---|---|---|"
    )
    for name, row in zip(("fused picture", "picture before fusion", "trunk's picture"), found.mean(0), strict=True):
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} |")
    for name, other in (("before fusion", found[:, 1]), ("trunk", found[:, 2])):
        apart = found[:, 0] - other
        error = apart.std(0, ddof=1) / len(apart) ** 0.5
        print(f"fused - {name}: " + ", ".join(f"{d:+.2f} ± {e:.2f}" for d, e in zip(apart.mean(0), error, strict=True)))


@torch.inference_mode()
def measured(net: PluralisticTrunk, photo: np.ndarray, side: int, index: int) -> list[list[float]]:
    """The three measures of the three pictures for one photo (H,W,3) uint8."""
    height, width = photo.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = cv2.resize(photo[top : top + short, left : left + short], (side, side), interpolation=cv2.INTER_AREA)
    truth = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255
    hole = masks.binned(index % 6)(side, side, np.random.default_rng([0, index])).float().view(1, 1, side, side)
    seen = truth * (1 - hole)
    fused = net.decode(net.encode(seen, hole), None)
    assert fused.raw is not None, "an adapter draws a raw picture"
    drawn = (fused.image, fused.raw, net.trunk.decode(net.trunk.encode(seen, hole)).image)
    pasted = [seen + picture * hole for picture in drawn]
    return [
        [*(float(boundary_error(p, truth, hole, width)) for width in (1, 4)), float(gradient_jump(p, truth, hole))]
        for p in pasted
    ]


if __name__ == "__main__":
    main()
