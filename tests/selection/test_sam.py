"""Objects by networks with SAM's signature."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from networks import put_sam
from pictures import ball, overlap

from manyfill import fetchables, photos
from manyfill.errors import BadMask, BadWeights
from manyfill.selection import Selection, Selector, sam


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("size", [(240, 320), (320, 240), (1500, 2000), (60, 80)])
def test_points_reach_the_networks_in_their_own_frame(cache: Path, size: tuple[int, int]) -> None:
    put_sam(cache)
    height, width = size
    place, radius = (width * 5 // 8, height // 2), min(size) // 4
    pixels, truth = ball(height, width, at=place, radius=radius)
    found = Selector().select(photos.read(pixels), Selection(clicks=(place,), grow=0))
    assert overlap(found.hole, truth) > 0.9 and found.notes == ("Selected by SAM.",)
    rest = Selector().select(photos.read(pixels), Selection(clicks=((2, 2),), grow=0))
    assert overlap(rest.hole, ~truth) > 0.9


def test_a_photo_is_looked_at_once_whatever_is_clicked_in_it(cache: Path) -> None:
    put_sam(cache)
    pixels, _ = ball()
    found = sam.available()
    assert found is not None
    for point in ((200, 110), (5, 5), (200, 100)):
        found.select(pixels, Selection(clicks=(point,)))
    assert found.encoded == 1
    found.select(pixels[::-1], Selection(clicks=((5, 5),)))
    assert found.encoded == 2
    for shade in range(sam.KEPT):
        found.select(np.full_like(pixels, shade), Selection(clicks=((5, 5),)))
    found.select(pixels, Selection(clicks=((5, 5),)))
    assert found.encoded == 3 + sam.KEPT  # the first was forgotten by then


def test_points_to_keep_and_boxes_are_told_apart(cache: Path) -> None:
    put_sam(cache)
    pixels, _ = ball()
    with pytest.raises(BadMask, match="no object was found there"):
        Selector().select(photos.read(pixels), Selection(clicks=((200, 110),), keep=((5, 5),)))
    points, labels = sam._prompts(Selection(clicks=((1, 2),), keep=((3, 4),), box=(10, 20, 30, 40)), 2.0)
    assert points.tolist() == [[3, 5], [7, 9], [20, 40], [60, 80]] and labels.tolist() == [1, 0, 2, 3]
    points, labels = sam._prompts(Selection(scribbles=(((0, 0), (30, 0), (30, 10)),)), 1.0)
    assert labels.tolist() == [1, 1, 1, -1] and points[-1].tolist() == [0, 0]


def test_without_it_grabcut_works_and_says_why(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, _ = ball()
    asked = Selection(clicks=((200, 110),))
    assert "manyfill fetch sam" in Selector().select(photos.read(pixels), asked).notes[0]
    put_sam(cache)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'manyfill[onnx]'" in Selector().select(photos.read(pixels), asked).notes[0]


def test_a_damaged_file_is_named(cache: Path) -> None:
    put_sam(cache)
    fetchables.find("sam").paths[1].write_bytes(b"not a network")
    with pytest.raises(BadWeights, match=r"sam-decoder\.onnx cannot be run.*manyfill fetch sam"):
        Selector().select(photos.read(ball()[0]), Selection(clicks=((200, 110),)))
