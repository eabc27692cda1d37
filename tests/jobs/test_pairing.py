"""Which photos a folder job takes, and which mask belongs to each."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from filling import fates, small_job, write_mask, write_photo
from hypothesis import given
from hypothesis import strategies as st

from manyfill.completer import Completer
from manyfill.errors import ManyfillError
from manyfill.jobs.folder import Job, tasks
from manyfill.jobs.pairing import output_stems
from manyfill.jobs.records import Failed, Options, Task


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "x", "x/y"]), st.sampled_from(["a", "A", "a_png", "a_jpg", "b.c"]),
            st.sampled_from([".png", ".jpg", ".JPG", ".webp"]),
        ),
        unique=True,
    )
)  # fmt: skip
def test_no_two_photos_share_their_outputs_names(parts: list[tuple[str, str, str]]) -> None:
    names = [Path(folder) / f"{stem}{suffix}" for folder, stem, suffix in parts]
    stems = output_stems(names)
    assert len({(name.parent, stem.casefold()) for name, stem in stems.items()}) == len(names)


def test_masks_pair_by_stem_and_prefer_the_very_name(tmp_path: Path) -> None:
    names = ("a.jpg", "a.png", "b.jpg", "c.jpg")
    for name in names:
        write_photo(tmp_path / "photos" / name)
    for name in ("a.jpg", "a.png", "b.jpg.png", "b.png", "c.png", "c.webp"):
        write_mask(tmp_path / "masks" / name)
    job = Job(tmp_path / "photos", tmp_path / "masks", tmp_path / "out", Options())
    found = {task.name: task for task in tasks(job)}
    paired = {name: task.mask.name for name, task in found.items() if isinstance(task, Task) and task.mask}
    assert paired == {"a.jpg": "a.jpg", "a.png": "a.png", "b.jpg": "b.jpg.png"}
    failed = found["c.jpg"]
    assert isinstance(failed, Failed) and "2 masks fit" in failed.error


def test_outputs_and_masks_inside_the_folder_are_not_taken_for_photos(completer: Completer, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/a.png")
    write_photo(tmp_path / "photos/.hidden/b.png")
    write_mask(tmp_path / "photos/masks/a.png")
    photos = tmp_path / "photos"
    job = Job(photos, photos / "masks", photos / "fills", Options(texture="net"))
    for _ in range(2):
        assert [fate.name for fate in fates(completer, job)] == ["a.png"]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (("*.png",), ["a.png", "sub/c.png"]),
        (("sub/*",), ["sub/b.jpg", "sub/c.png"]),
        (("a.*", "*/b.jpg"), ["a.png", "sub/b.jpg"]),
    ],
)
def test_only_photos_that_fit_a_pattern_are_taken(tmp_path: Path, only: tuple[str, ...], expected: list[str]) -> None:
    job = dataclasses.replace(small_job(tmp_path, ("a.png", "sub/b.jpg", "sub/c.png")), only=only)
    assert [task.name for task in tasks(job)] == expected


def test_a_pattern_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    job = dataclasses.replace(small_job(tmp_path), only=("*.tif",))
    with pytest.raises(ManyfillError, match=r"none of the 2 photos .* fits --only \*\.tif"):
        list(tasks(job))
