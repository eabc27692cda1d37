"""Jobs whose holes are selected in the photos, or are the border of a larger canvas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filling import fates, files_in, write_mask, write_photo
from PIL import Image

from manyfill import photos
from manyfill.completer import Completer
from manyfill.errors import BadMask
from manyfill.jobs.folder import Job
from manyfill.jobs.manifest import fingerprint
from manyfill.jobs.photo import complete_photo, replay
from manyfill.jobs.records import Done, Failed, Options, Sidecar, Skipped, Target, Task
from manyfill.selection import Selection


def painted_photo(path: Path, *, paint: bool = True) -> Path:
    """With a patch of magenta."""
    write_photo(path)
    if paint:
        pixels = np.array(Image.open(path))
        pixels[8:18, 10:24] = (255, 0, 255)
        Image.fromarray(pixels).save(path)
    return path


def test_what_was_selected_is_written_and_replayed(tmp_path: Path, completer: Completer) -> None:
    photo = painted_photo(tmp_path / "a.png")
    options = Options(texture="net", sheet=False, selection=Selection(colour="#ff00ff", grow=1))
    done = complete_photo(completer, Task("a", photo, None, Target(tmp_path / "out", "a")), options)
    assert {path.name for path in map(Path, done.files)} == {"a_1.png", "a_hole.png", "a.json"}
    hole = np.array(Image.open(tmp_path / "out/a_hole.png"))
    assert set(np.unique(hole)) == {0, 255} and (hole[8:18, 10:24] == 255).all() and (hole > 0).sum() == 140 + 48
    sidecar = Sidecar.read(tmp_path / "out/a.json")
    assert sidecar.options.selection == options.selection and sidecar.mask is not None
    assert sidecar.mask.file == "a_hole.png" and sidecar.pictures == {"a_hole.png": sidecar.mask.sha256}
    again = Task("a", photo, tmp_path / "out/a_hole.png", Target(tmp_path / "again", "a"))
    done, differing = replay(completer, sidecar, again)
    assert not differing and (tmp_path / "again/a_1.png").read_bytes() == (tmp_path / "out/a_1.png").read_bytes()
    assert Sidecar.read(tmp_path / "again/a.json").options.selection == options.selection


def test_one_plain_file_brings_no_mask(tmp_path: Path, completer: Completer) -> None:
    photo = painted_photo(tmp_path / "a.png")
    options = Options(texture="net", sheet=False, selection=Selection(colour="#ff00ff"))
    complete_photo(completer, Task("a", photo, None, Target(tmp_path, "a_filled", numbered=False)), options)
    assert set(files_in(tmp_path)) == {"a.png", "a_filled.png"}


def test_a_folder_goes_on_and_names_photos_in_which_nothing_was_found(tmp_path: Path, completer: Completer) -> None:
    painted_photo(tmp_path / "photos/a.png")
    painted_photo(tmp_path / "photos/b.png", paint=False)
    options = Options(texture="net", sheet=False, selection=Selection(colour="#ff00ff"))
    job = Job(tmp_path / "photos", None, tmp_path / "out", options)
    first, second = fates(completer, job)
    assert isinstance(first, Done) and isinstance(second, Failed)
    assert "nothing in the photo has the colour #ff00ff" in second.error
    assert isinstance(fates(completer, job)[0], Skipped)
    wider = replace(job, options=replace(options, selection=Selection(colour="#ff00ff", grow=3)))
    assert isinstance(fates(completer, wider)[0], Done)


def test_the_same_key_as_before_where_nothing_is_selected_or_extended() -> None:
    plain = Options()
    assert fingerprint(plain, "") == "8842051d3dd41cb6"
    others = (Options(extend="5"), Options(extend_to="1:1"), Options(selection=Selection(text=True)))
    assert len({fingerprint(each, "") for each in (plain, *others)}) == 4


def test_a_larger_canvas_is_written_noted_and_replayed(tmp_path: Path, completer: Completer) -> None:
    photo, mask = write_photo(tmp_path / "a.png"), write_mask(tmp_path / "m.png")
    options = Options(texture="net", sheet=True, explain=True, uncertainty=True, n=2, extend="4,10%,0,6")
    target = Target(tmp_path / "out", "a")
    for given in (None, mask):
        done = complete_photo(completer, Task("a", photo, given, target), options)
        sidecar = Sidecar.read(target.sidecar)
        assert (sidecar.height, sidecar.width) == (32, 50) and (sidecar.mask is None) == (given is None)
        known = photos.read(photo).pixels
        filled = photos.read(tmp_path / "out/a_1.png").pixels
        outside = np.array(Image.open(mask).convert("L")) == 0 if given else np.ones(known.shape[:2], bool)
        assert filled.shape == (32, 50, 3) and np.array_equal(filled[4:, 6:46][outside], known[outside])
        assert photos.size_of(tmp_path / "out/a_uncertainty.png") == (32, 50)
        _, differing = replay(
            completer, sidecar, Task("a", photo, given, Target(tmp_path / f"again{bool(given)}", "a"))
        )
        assert not differing and done.sidecar.options.extend == "4,10%,0,6"


def test_a_click_outside_is_said_before_anything_is_written(tmp_path: Path, completer: Completer) -> None:
    photo = write_photo(tmp_path / "a.png")
    options = Options(texture="net", selection=Selection(clicks=((900, 5),)))
    with pytest.raises(BadMask, match="click 900,5 is outside the photo, which is 40x28"):
        complete_photo(completer, Task("a", photo, None, Target(tmp_path / "out", "a")), options)
    assert not (tmp_path / "out").exists()
