"""Where a fill says that it was copied from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from manyfill.boxes import Box
from manyfill.completer import Completer
from manyfill.completer.merging import merge
from manyfill.completer.origins import arrows, copied_share, noted


def test_places_are_those_of_the_photo_at_full_size() -> None:
    sources = np.full((4, 6), -1, np.int32)
    sources[1, 2], sources[2, 3] = 0 * 6 + 5, 3 * 6 + 1
    confidence = np.ones((4, 6), np.float32)
    confidence[2, 3] = 0.4  # drawn, mostly
    found = noted(sources, confidence, sources >= 0, Box(10, 20, 8, 12), 2)
    assert found.tolist() == [[10 + 2 * 1 + 1, 20 + 2 * 2 + 1, 10 + 2 * 0 + 1, 20 + 2 * 5 + 1]]


def test_arrows_are_few_and_far_apart() -> None:
    rows, columns = np.mgrid[0:20, 0:20]
    every = np.stack([rows.ravel(), columns.ravel(), rows.ravel(), columns.ravel() + 50], axis=1).astype(np.int32)
    picked = arrows([every[:200], every[200:]], 5)
    assert len(picked) == 5 and len(np.unique(picked[:, :2], axis=0)) == 5
    assert {(0, 0), (19, 19)} <= {tuple(one) for one in picked[:, :2].tolist()}
    assert len(arrows([])) == 0


def test_a_fill_says_truly_where_its_pixels_come_from() -> None:
    grain = np.random.default_rng(0).integers(0, 256, (160, 160, 3)).astype(np.uint8)
    grain[::2] //= 2
    hole = np.zeros((160, 160), bool)
    hole[60:100, 60:100] = True
    fill, other = Completer.from_pretrained("pluralistic").complete(grain, hole, n=2, texture="photo")
    places = arrows(fill.origins, 30)
    assert len(places) and hole[places[:, 0], places[:, 1]].all() and not hole[places[:, 2], places[:, 3]].any()
    to, start = (fill.photo.pixels[places[:, at], places[:, at + 1]].astype(int) for at in (0, 2))
    shuffled = fill.photo.pixels[np.roll(places[:, 2], 1), np.roll(places[:, 3], 1)].astype(int)
    assert np.abs(to - start).mean() < 0.7 * np.abs(to - shuffled).mean()  # votes of several patches blur the copy
    assert 0.5 < copied_share(fill) <= 1

    region = np.zeros_like(hole)
    region[:, 80:] = True
    mixed = np.concatenate(merge(fill, other, region).origins)
    ours = {tuple(one) for part in fill.origins for one in part.tolist()}
    theirs = {tuple(one) for part in other.origins for one in part.tolist()}
    assert all(tuple(one) in (theirs if one[1] >= 80 else ours) for one in mixed.tolist()) and len(mixed)


def test_on_the_beach_no_fill_takes_the_sky_into_the_surf() -> None:
    """The sample photo, whose sky is as pale as its surf and has nothing of its detail; the horizon is at row 205."""
    photos = Path(__file__).parents[1] / "examples" / "photos"
    hole = np.asarray(Image.open(photos / "beach_hole.png").convert("L")) > 127
    fills = Completer.from_pretrained("pluralistic-fusion").complete(photos / "beach.jpg", hole, n=4)
    places = np.concatenate([part for fill in fills for part in fill.origins])
    assert len(places) > 200
    assert (places[:, 2] < 205).mean() < 0.015  # 0.075 where far places cost no more than in a texture
