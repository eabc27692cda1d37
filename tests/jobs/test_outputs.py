"""Nothing is replaced but what we wrote; what belongs together is put in place together."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from filling import files_in, one, small_job, write_mask, write_photo

from manyfill.completer import Completer
from manyfill.errors import CannotWrite, ManyfillError
from manyfill.jobs import ledger
from manyfill.jobs.folder import complete_folder
from manyfill.jobs.outputs import Outputs
from manyfill.jobs.photo import complete_photo, replay
from manyfill.jobs.records import Options, Sidecar, Target, Task

PLAIN = Options(texture="net", sheet=False)
TWO = Options(texture="net", sheet=False, n=2)


@pytest.mark.parametrize(
    "name", ["photo_1.png", "photo_2.png", "photo.json", "photo_sheet.png", "photo_uncertainty.png"]
)
def test_a_strangers_file_in_the_way_is_refused_before_anything_is_drawn(
    completer: Completer, tmp_path: Path, name: str
) -> None:
    task = one(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(b'{"somebody": "else"}')
    options = Options(texture="net", n=2, uncertainty=True)
    stages: list[str] = []
    with pytest.raises(CannotWrite, match=rf"{name} is there already, .*--force"):
        complete_photo(completer, task, options, progress=lambda stage, *_: stages.append(stage))
    assert not stages
    assert files_in(tmp_path / "out") == {name: b'{"somebody": "else"}'}
    complete_photo(completer, dataclasses.replace(task, force=True), options)
    assert Sidecar.read(tmp_path / "out/photo.json").written().keys() < files_in(tmp_path / "out").keys()


def test_our_own_files_are_replaced_and_what_somebody_changed_is_not(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    complete_photo(completer, task, TWO)
    complete_photo(completer, task, dataclasses.replace(TWO, seed=7))
    assert Sidecar.read(tmp_path / "out/photo.json").options.seed == 7
    (tmp_path / "out/photo_2.png").write_bytes(b"retouched by hand")
    with pytest.raises(CannotWrite, match=r"photo_2\.png is there already"):
        complete_photo(completer, task, TWO)
    (tmp_path / "out/photo_2.png").write_bytes(b"")  # nothing is lost
    complete_photo(completer, task, TWO)


def test_fills_of_an_earlier_run_with_more_of_them_are_told_of_and_stay(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    complete_photo(completer, task, dataclasses.replace(TWO, sheet=True))
    (note,) = complete_photo(completer, task, PLAIN).notes
    assert "photo_2.png" in note and "photo_sheet.png" in note
    assert {"photo_2.png", "photo_sheet.png"} < files_in(tmp_path / "out").keys()


@pytest.mark.parametrize("to", ["another photo", "the photo", "nothing"])
def test_a_link_in_the_way_is_not_followed(completer: Completer, tmp_path: Path, to: str) -> None:
    task = one(tmp_path)
    other = write_photo(tmp_path / "other.png", seed=5)
    before = {path: path.read_bytes() for path in (other, task.photo)}
    link = tmp_path / "out.png"
    link.symlink_to({"another photo": other, "the photo": task.photo, "nothing": tmp_path / "gone.png"}[to])
    plain = dataclasses.replace(task, target=Target(tmp_path, "out", numbered=False, suffix=".png"))
    with pytest.raises(ManyfillError, match="never overwritten" if to == "the photo" else "is a link to"):
        complete_photo(completer, plain, PLAIN)
    if to != "the photo":
        complete_photo(completer, dataclasses.replace(plain, force=True), PLAIN)
        assert not link.is_symlink() and not (tmp_path / "gone.png").exists()
    assert {path: path.read_bytes() for path in before} == before


def test_force_still_spares_the_photo_and_the_mask_by_any_name(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    for victim in (task.photo, task.mask):
        assert victim is not None
        os.link(victim, tmp_path / "same.png")
        target = Target(tmp_path, "same", numbered=False, suffix=".png")
        with pytest.raises(ManyfillError, match="never overwritten"):
            complete_photo(completer, dataclasses.replace(task, target=target, force=True), PLAIN)
        (tmp_path / "same.png").unlink()


def test_a_replay_spares_strangers_too(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    sidecar = complete_photo(completer, task, PLAIN).sidecar
    again = dataclasses.replace(task, target=Target(tmp_path / "again", "photo"))
    (tmp_path / "again").mkdir()
    (tmp_path / "again/photo_1.png").write_bytes(b"somebody's")
    with pytest.raises(CannotWrite, match="there already"):
        replay(completer, sidecar, again)
    assert files_in(tmp_path / "again") == {"photo_1.png": b"somebody's"}


@pytest.mark.parametrize("end", ["kill", "Ctrl-C"])
def test_a_run_that_ended_between_two_renames_is_gone_on_with(
    completer: Completer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    task = one(tmp_path)
    real = os.replace

    def until_the_second_fill(old: str, new: str) -> None:
        if str(new).endswith("photo_2.png"):
            if end == "kill":  # nothing is cleared away then
                patch.setattr(Path, "unlink", lambda *_, **__: None)
                patch.setattr(ledger, "remember", lambda *_: None)
            raise KeyboardInterrupt
        real(old, new)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", until_the_second_fill)
        complete_photo(completer, task, TWO)
    left = {name for name in files_in(tmp_path / "out") if not name.endswith(".part")}
    assert "photo_1.png" in left and "photo.json" not in left
    assert len(left) == (2 if end == "kill" else 1)  # a note for the next run
    complete_photo(completer, task, dataclasses.replace(TWO, seed=5))
    left = {name for name in files_in(tmp_path / "out") if not name.endswith(".part")}
    assert left == {"photo_1.png", "photo_2.png", "photo.json"}


def test_without_any_record_our_own_fills_are_somebodys(completer: Completer, tmp_path: Path) -> None:
    complete_photo(completer, one(tmp_path), TWO)
    (tmp_path / "out/photo.json").unlink()
    with pytest.raises(CannotWrite, match="nothing says that manyfill wrote it"):
        complete_photo(completer, one(tmp_path), TWO)


def test_one_plain_fill_is_replaced_by_the_next_unless_somebody_changed_it(
    completer: Completer, tmp_path: Path
) -> None:
    task = dataclasses.replace(one(tmp_path), target=Target(tmp_path, "photo_filled", numbered=False))
    complete_photo(completer, task, PLAIN)
    complete_photo(completer, task, dataclasses.replace(PLAIN, seed=3))
    retouched = (tmp_path / "photo_filled.png").read_bytes() + b"retouched"
    (tmp_path / "photo_filled.png").write_bytes(retouched)
    with pytest.raises(CannotWrite, match="nothing says that manyfill wrote it"):
        complete_photo(completer, task, PLAIN)
    assert (tmp_path / "photo_filled.png").read_bytes() == retouched


def test_names_are_not_too_long_for_the_files_beside_them(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path, name="p" * 240 + ".png")
    complete_photo(completer, task, PLAIN)
    assert len(files_in(tmp_path / "out")) == 2


def test_a_failed_encoder_leaves_what_was_there(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    complete_photo(completer, task, PLAIN)
    before = files_in(tmp_path / "out")
    with pytest.raises(RuntimeError), Outputs(task) as outputs:
        outputs.add(tmp_path / "out/photo_1.png", b"new")
        raise RuntimeError("the encoder failed")
    assert files_in(tmp_path / "out") == before


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_job_leaves_a_strangers_file_and_does_the_rest(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png"))
    job.out.mkdir()
    (job.out / "a_1.png").write_bytes(b"somebody's")
    summary = complete_folder(completer, job)
    assert (summary.done, [failed.name for failed in summary.failed]) == (1, ["a.png"])
    assert "--force" in summary.failed[0].error and (job.out / "a_1.png").read_bytes() == b"somebody's"
    assert complete_folder(completer, dataclasses.replace(job, force=True)).done == 1
    assert (job.out / "a_1.png").read_bytes() != b"somebody's"


def test_a_folder_job_keeps_what_somebody_changed_beside_the_fill_that_it_makes_again(
    completer: Completer, tmp_path: Path
) -> None:
    job = small_job(tmp_path, ("a.png", "b.png"))
    complete_folder(completer, job)
    before = files_in(job.out)
    (job.out / "a_1.png").write_bytes(b"retouched by hand")
    (job.out / "b_1.png").write_bytes(b"")
    notes: list[str] = []
    summary = complete_folder(completer, job, report=lambda fate: notes.extend(getattr(fate, "notes", ())))
    assert (summary.done, summary.skipped) == (2, 0)
    after = files_in(job.out)
    assert after.pop("a_1_kept.png") == b"retouched by hand"
    assert {name: after[name] for name in ("a_1.png", "b_1.png")} == {
        name: before[name] for name in ("a_1.png", "b_1.png")
    }
    assert after.keys() == before.keys() and len(notes) == 1 and "a_1_kept.png" in notes[0]


def test_a_folder_job_with_fewer_fills_takes_its_further_ones_away_and_nobody_elses(
    completer: Completer, tmp_path: Path
) -> None:
    job = small_job(tmp_path, ("a.png",), n=3)
    complete_folder(completer, job)
    (job.out / "a_2.png").write_bytes(b"retouched by hand")
    (job.out / "a_4.png").write_bytes(b"somebody's")
    complete_folder(completer, dataclasses.replace(job, options=dataclasses.replace(job.options, n=1)))
    assert files_in(job.out).keys() == {"a.json", "a_1.png", "a_2.png", "a_4.png", "manifest.jsonl"}


def test_a_mask_may_not_be_overwritten_by_a_folder_job(completer: Completer, tmp_path: Path) -> None:
    photo, mask = write_photo(tmp_path / "in/a.png"), write_mask(tmp_path / "out/a_1.png")
    before = mask.read_bytes()
    with pytest.raises(ManyfillError):
        complete_photo(completer, Task("a.png", photo, mask, Target(tmp_path / "out", "a"), force=True), PLAIN)
    assert mask.read_bytes() == before
