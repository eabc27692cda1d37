"""Pictures for people, without a whole photo in memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from filling import files_in, one
from PIL import Image

from manyfill import photos, sheet
from manyfill.completer import Completer, Completion, uncertainty
from manyfill.jobs import gallery
from manyfill.jobs.photo import complete_photo, replay
from manyfill.jobs.records import Options, Sidecar, Target, Task


@pytest.mark.parametrize(("texture", "words"), [("photo", "blue"), ("net", "orange")])
def test_an_explanation_shows_what_was_copied_and_what_the_net_drew(
    completer: Completer, tmp_path: Path, texture: str, words: str
) -> None:
    done = complete_photo(completer, one(tmp_path), Options(n=2, texture=texture, explain=True, sheet=False))
    assert done.sidecar.explain == "photo_explain.png"
    drawn = np.asarray(Image.open(tmp_path / "out/photo_explain.png")).astype(int)
    red, blue = drawn[..., 0], drawn[..., 2]
    tinted = np.abs(red - blue) > 60
    hole_tile = (red > 120) & (blue > 60) & (drawn[..., 1] < 100)  # the marked hole on the second tile
    assert (tinted & ~hole_tile).any()
    more = "blue" if (blue > red)[tinted & ~hole_tile].mean() > 0.5 else "orange"
    assert more == words
    again = dataclasses.replace(one(tmp_path), target=Target(tmp_path / "again", "photo"))
    assert replay(completer, Sidecar.read(tmp_path / "out/photo.json"), again)[1] == []
    assert files_in(tmp_path / "again") == files_in(tmp_path / "out")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_sheet_and_heat_map_are_drawn_strip_by_strip_as_at_once(
    completer: Completer, channels: int, dtype: type, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    pixels = (rng.random((90, 1800, channels)) * np.iinfo(dtype).max).astype(dtype)
    hole = np.zeros((90, 1800), bool)
    hole[20:60, 300:380] = True
    source = photos.read(pixels[..., 0] if channels == 1 else pixels)
    photos.write(source, tmp_path / "photo.png")
    Image.fromarray(hole).save(tmp_path / "hole.png")
    task = Task("photo", tmp_path / "photo.png", tmp_path / "hole.png", Target(tmp_path / "fills", "photo"))
    complete_photo(completer, task, Options(n=2, uncertainty=True, texture="net"))
    fills = completer.complete(source, hole, n=2, texture="net")
    heat = np.asarray(sheet.heat_map(photos.to_pil(source), uncertainty(fills)))
    if channels != 4:  # the checkerboard under what is transparent begins anew in each strip
        assert np.array_equal(np.asarray(Image.open(tmp_path / "fills" / "photo_uncertainty.png")), heat)
    at_once = sheet.contact_sheet(photos.to_pil(source), hole, [fill.image for fill in fills], labels=["a", "b"])
    ours = sheet.contact_sheet(
        gallery.Shown(Completion(source, 0, None, hole)),
        hole,
        [gallery.Shown(fill) for fill in fills],
        labels=["a", "b"],
    )
    assert ours.size == at_once.size
    assert np.abs(np.asarray(ours, np.float32) - np.asarray(at_once)).mean() < 4  # noise, shrunk in another way
