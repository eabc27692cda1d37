"""Which photos a folder job takes, and which mask belongs to each."""

from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path

import pytest
from filling import fates, small_job, write_mask, write_photo
from hypothesis import given
from hypothesis import strategies as st

from manyfill.completer import Completer
from manyfill.errors import ManyfillError
from manyfill.jobs.folder import Job, complete_folder, tasks
from manyfill.jobs.pairing import Pair, find_photos, output_stems, pairs
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


E_ACUTE = {"NFC": "caf\u00e9", "NFD": "cafe\u0301"}


@pytest.mark.parametrize(
    ("photo", "mask"),
    [
        (f"{E_ACUTE['NFD']}.png", f"{E_ACUTE['NFC']}.png"),
        (f"{E_ACUTE['NFC']}/a.jpg", f"{E_ACUTE['NFD']}/a.png"),
        ("IMG_1.JPG", "img_1.png"),
        (f"{E_ACUTE['NFD']}.JPG", f"{E_ACUTE['NFC'].upper()}.PNG"),
        ("strasse.jpg", "STRASSE.png"),
    ],
)
def test_names_that_look_alike_pair(photo: str, mask: str) -> None:
    assert [pair.mask for pair in pairs([Path(photo)], [Path(mask), Path("other.png")], "masks")] == [Path(mask)]  # type: ignore[union-attr]


def test_the_nearest_spelling_counts() -> None:
    masks = [Path(f"{E_ACUTE[form]}.png") for form in ("NFC", "NFD")] + [Path("A.png"), Path("a.png"), Path("B.png")]
    names = [Path(f"{E_ACUTE[form]}.jpg") for form in ("NFC", "NFD")] + [Path("a.jpg"), Path("A.jpg"), Path("b.jpg")]
    found = [pair.mask for pair in pairs(names, masks, "masks") if isinstance(pair, Pair)]
    assert [str(mask) for mask in found] == [str(masks[0]), str(masks[1]), "a.png", "A.png", "B.png"]
    (failed,) = pairs([Path("c.jpg")], [Path("C.png"), Path("C.tif")], "masks")
    assert isinstance(failed, Failed) and "2 masks fit" in failed.error


def test_outputs_of_names_that_look_alike_are_kept_apart() -> None:
    names = [Path(f"{E_ACUTE[form]}.jpg") for form in ("NFC", "NFD")] + [Path("X/a.png"), Path("x/a.png")]
    stems = output_stems(names)
    alike = {unicodedata.normalize("NFC", str(name.parent / stem)).casefold() for name, stem in stems.items()}
    assert len(alike) == len(names)


def test_linked_folders_are_gone_through_once_and_loops_end(tmp_path: Path) -> None:
    write_photo(tmp_path / "disk/r.png")
    write_photo(tmp_path / "in/a.png")
    write_photo(tmp_path / "in/z/own.png")
    (tmp_path / "in/linked").symlink_to("../disk")
    (tmp_path / "in/m").symlink_to("z")  # comes before z, whose own path is taken all the same
    (tmp_path / "in/z/up").symlink_to("..")
    (tmp_path / "disk/back").symlink_to(tmp_path / "in")
    (tmp_path / "in/gone").symlink_to("nowhere")
    found = find_photos(tmp_path / "in")
    names = [path.relative_to(tmp_path / "in").as_posix() for path in found.photos]
    assert names == ["a.png", "linked/r.png", "z/own.png"]
    told = " ".join(found.notes)
    assert f"{tmp_path}/in/m is a link to {tmp_path}/in/z, whose photos are taken once" in told
    assert len(found.notes) == 3 and "in/z/up" in told and "linked/back" in told


def test_a_link_to_the_outputs_is_not_searched(tmp_path: Path) -> None:
    write_photo(tmp_path / "in/a.png")
    write_photo(tmp_path / "out/a_1.png")
    (tmp_path / "in/results").symlink_to("../out")
    assert [path.name for path in find_photos(tmp_path / "in", without=[tmp_path / "out"]).photos] == ["a.png"]


def test_linked_folders_are_completed_and_what_is_passed_over_is_told(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png",))
    write_photo(tmp_path / "disk/r.png")
    (job.photos / "linked").symlink_to(tmp_path / "disk")
    (job.photos / "twice").symlink_to(tmp_path / "disk")
    assert job.masks is not None
    job = dataclasses.replace(job, masks=job.masks / "a.png")
    summary = complete_folder(completer, job)
    assert summary.done == 2 and (job.out / "linked/r_1.png").is_file() and not (job.out / "twice").exists()
    assert len(summary.notes) == 1 and "twice is a link to" in summary.notes[0]


@pytest.mark.parametrize(
    ("masks", "mate"),
    [
        (["a_mask.png"], "a_mask.png"),
        (["A-mask.PNG"], "A-mask.PNG"),
        (["a.jpg_mask.png"], "a.jpg_mask.png"),
        (["a_mask.png", "a.png"], "a.png"),  # its very own name counts more
        (["a_mask.png", "a-mask.png"], "a_mask.png"),
        (["b_mask.png", "mask_a.png", "a_mask_2.png"], None),
    ],
)
def test_masks_may_have_mask_behind_their_photos_name(masks: list[str], mate: str | None) -> None:
    (found,) = pairs([Path("sub/a.jpg")], [Path("sub") / mask for mask in masks], "masks")
    if mate is None:
        assert isinstance(found, Failed) and "or with _mask behind it" in found.error
    else:
        assert isinstance(found, Pair) and found.mask == Path("sub") / mate
