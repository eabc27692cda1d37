"""How well `manyfill select --dust` finds dust: synthetic dust, hairs and scratches over photos whose truth is known.

    python tools/measure_dust.py PHOTOS [--enlarge 2] [--per 1] [--seed 0]
    python tools/measure_dust.py PHOTOS --fit        the weights of manyfill/selection/dust.py, from these photos

Photos are enlarged first: a scan has more pixels than its film has detail, while dust is as sharp as the scanner. With
--enlarge 1 the photos are as sharp as the dust, which is harder than scans are.
Recall: the share of the dust's pixels that are found. Precision: the share of what is found that lies on dust, or
within 2 pixels of it, where its soft rim is. Both over the photos together, and as the median of photos.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill import photos
from manyfill.selection.dust import FEATURES, Search, candidates, find_dust

RIM = 2  # pixels
MOST = 1400  # pixels a side that are looked at
VISIBLE = 0.15  # contrast to what is around, of 1, that a piece of dust has at least
AROUND = 12  # pixels around a piece that it touches, or is compared with
LOUDER = 3.0  # and that contrast, in standard deviations of what is around: in foliage nobody sees less


def dusty(pixels: NDArray[np.uint8], rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A photo (H,W,3) with specks, hairs and scratches on it, and where they are (H,W).

    White as on scans of negatives, or dark as on scans of prints; soft by a pixel, as scanners are. A piece that would
    hardly be seen where it falls is left out.
    """
    height, width = pixels.shape[:2]
    side = (height * width) ** 0.5
    out = pixels.astype(np.float32) / 255
    truth = np.zeros((height, width), bool)
    pale = rng.random() < 0.5
    for kind in ["speck"] * round(side / 14) + ["hair"] * max(1, round(side / 160)) + ["scratch"] * round(side / 250):
        drawn = np.zeros((height, width), np.float32)
        x, y = int(rng.integers(width)), int(rng.integers(height))
        if kind == "speck":
            axes = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
            cv2.ellipse(drawn, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        elif kind == "hair":
            angle, points = rng.uniform(0, 2 * np.pi), [(x, y)]
            bend = rng.uniform(-0.25, 0.25)
            for _ in range(int(rng.integers(5, 14))):
                angle += bend + rng.normal(0, 0.1)
                points.append((round(points[-1][0] + 8 * np.cos(angle)), round(points[-1][1] + 8 * np.sin(angle))))
            cv2.polylines(drawn, [np.array(points, np.int32)], False, 1.0, int(rng.integers(1, 3)))
        else:
            length, lean = rng.uniform(0.15, 0.6) * height, rng.normal(0, 0.04)
            end = (round(x + lean * length), round(y + length))
            cv2.line(drawn, (x, y), end, 1.0, int(rng.integers(1, 3)))
        rows, columns = np.nonzero(drawn)
        left, top = max(0, int(columns.min()) - AROUND), max(0, int(rows.min()) - AROUND)
        part = np.s_[top : int(rows.max()) + AROUND + 1, left : int(columns.max()) + AROUND + 1]
        soft = cv2.GaussianBlur(drawn[part], (0, 0), 0.6) * rng.uniform(0.7, 1.0)
        covered, before, known = soft > 0.3, out[part], truth[part]
        if not covered.any():
            continue
        colour = np.float32(rng.uniform(0.85, 1.0) if pale else rng.uniform(0.0, 0.12))
        laid = before + soft[..., None] * (colour - before)
        near = cv2.dilate(covered.astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool) & ~covered & ~known
        if not near.any():
            continue
        contrast = abs(float(laid[covered].mean()) - float(before[near].mean()))
        if contrast < max(VISIBLE, LOUDER * float(before[near].mean(1).std())):
            continue
        out[part], truth[part] = laid, known | covered
    return np.rint(np.clip(out, 0, 1) * 255).astype(np.uint8), truth


def score(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Pixels of dust, of them found; pixels found, of them on dust or its rim."""
    rim = cv2.dilate(truth.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8)).astype(bool)
    near = cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)  # as the hole grows at least
    return int(truth.sum()), int((truth & near).sum()), int(found.sum()), int((found & rim).sum())


def scans(
    sources: list[Any], *, enlarge: float = 2, per: int = 1, seed: int = 0, most: int = MOST
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Each photo as a dusty scan, its upper left corner of at most `most` pixels a side, and where the dust is."""
    for number, source in enumerate(sources):
        pixels = photos.read(source).pixels
        pixels = np.ascontiguousarray(pixels >> 8 if pixels.dtype == np.uint16 else pixels, np.uint8)
        if enlarge != 1:
            pixels = np.asarray(
                cv2.resize(pixels, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8
            )
        for turn in range(per):
            yield dusty(np.ascontiguousarray(pixels[:most, :most]), np.random.default_rng([seed, number, turn]))


def measure(sources: list[Any], *, search: Search | None = None, **how: Any) -> NDArray[np.int64]:
    """`score` for each of the `scans`: (n, 4)."""
    return np.array([score(find_dust(scanned, search), truth) for scanned, truth in scans(sources, **how)])


def fit(sources: list[Any], **how: Any) -> tuple[list[float], list[float], float]:
    """Weights, products and bias: logistic regression of which candidates are dust, large ones counting more."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    search = Search()
    features, dust, areas = [], [], []
    for scanned, truth in scans(sources, **how):
        rim = cv2.dilate(truth.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8))
        for bright in (True, False):
            there = candidates(scanned, search, bright=bright)
            share = np.bincount(there.labels.ravel(), rim.ravel(), len(there.areas) + 1)[1:] / there.areas
            thin = there.widths <= search.width
            features.append(there.features[thin])
            dust.append(share[thin] > 0.5)
            areas.append(there.areas[thin])
    x, y, weight = np.concatenate(features), np.concatenate(dust), np.concatenate(areas) ** 0.8
    x = PolynomialFeatures(2, include_bias=False).fit_transform(x)  # products in the order of np.triu_indices
    scaler = StandardScaler().fit(x)
    found = LogisticRegression(max_iter=5000, C=0.3).fit(scaler.transform(x), y, sample_weight=weight)
    weights = found.coef_[0] / scaler.scale_
    bias = float(found.intercept_[0] - weights @ scaler.mean_)
    return weights[: len(FEATURES)].tolist(), weights[len(FEATURES) :].tolist(), bias


def rates(rows: NDArray[np.int64]) -> tuple[float, float]:
    """Recall and precision."""
    dust, hit, found, right = rows.sum(0)
    return float(hit / max(1, dust)), float(right / max(1, found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("--per", type=int, default=1, help="times that each photo gets dust")
    parser.add_argument("--enlarge", type=float, default=2, help="times that photos are enlarged before they get dust")
    parser.add_argument("--fit", action="store_true", help="print weights fitted on these photos")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sources = sorted(path for path in given.photos.rglob("*") if path.suffix.lower() in photos.SUFFIXES)
    how = {"per": given.per, "seed": given.seed, "enlarge": given.enlarge}
    if given.fit:
        weights, products, bias = fit(sources, **how)
        for name, weight in zip(FEATURES, weights, strict=True):
            print(f"{weight:11.4g}  {name}")
        for one, other, weight in zip(*np.triu_indices(len(FEATURES)), products, strict=True):
            print(f"{weight:11.4g}  {FEATURES[one]} x {FEATURES[other]}")
        print(f"{bias:11.4g}  bias")
        return
    rows = measure(sources, **how)
    each = np.array([rates(row[None]) for row in rows])
    for source, (recall, precision) in zip(np.repeat(np.array(sources, object), given.per), each, strict=True):
        print(f"{source.name:<28} recall {recall:.3f}  precision {precision:.3f}")
    recall, precision = rates(rows)
    print(
        f"{len(rows)} photos: recall {recall:.3f}, precision {precision:.3f};"
        f" medians {np.median(each[:, 0]):.3f} and {np.median(each[:, 1]):.3f}"
    )


if __name__ == "__main__":
    main()
