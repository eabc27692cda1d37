"""What an earlier run did is not done again, unless something changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from filling import Watched, fates, files_in, small_job, write_mask, write_photo
from PIL import Image

from manyfill.completer import Completer
from manyfill.errors import Busy, CannotWrite
from manyfill.jobs.folder import complete_folder
from manyfill.jobs.manifest import Manifest
from manyfill.jobs.records import Done, Failed, Sidecar, Skipped, Target, Task


def test_the_same_job_again_skips_what_is_done(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path)
    complete_folder(completer, job)
    before = files_in(job.out)
    assert fates(completer, job) == [Skipped("a.png"), Skipped("sub/b.jpg")]
    assert files_in(job.out) == before


@pytest.mark.parametrize("change", ["options", "photo", "mask", "output gone"])
def test_what_changed_is_done_anew(completer: Completer, tmp_path: Path, change: str) -> None:
    job = small_job(tmp_path, ("a.bmp", "sub/b.jpg"))  # two BMPs of one size have one length
    complete_folder(completer, job)
    expected: list[type] = [Done, Skipped]
    if change == "options":
        job = dataclasses.replace(job, options=dataclasses.replace(job.options, seed=9))
        expected = [Done, Done]
    elif change == "photo":
        write_photo(job.photos / "a.bmp", seed=99)
    elif change == "mask":
        pixels = np.zeros((28, 40), dtype=np.uint8)
        pixels[2:5, 2:6] = 255
        Image.fromarray(pixels).save(tmp_path / "masks/a.png")
    else:
        (job.out / "a_1.bmp").unlink()
    assert [type(fate) for fate in fates(completer, job)] == expected


def test_a_touched_file_of_the_same_content_is_not_done_again(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png",))
    complete_folder(completer, job)
    os.utime(job.photos / "a.png", (1, 1))
    assert fates(completer, job) == [Skipped("a.png")]


def test_a_damaged_manifest_costs_work_and_nothing_else(tmp_path: Path) -> None:
    lines = ["{", "[1]", '"text"', '{"status": "done"}', '{"photo": "a.png", "status": "done", "key": "k"}', "\ufffd"]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    manifest = Manifest(tmp_path, "k")
    task = Task("a.png", write_photo(tmp_path / "a.png"), None, Target(tmp_path, "a"))
    assert not manifest.has(task)
    manifest.note(None, Failed("b.png", "why"))
    assert Manifest(tmp_path, "k").last("b.png")["error"] == "why"


@pytest.mark.parametrize("harm", ["empty", "cut", "other content, same size", "a link", "gone", "sidecar cut"])
def test_a_damaged_output_is_found_and_done_again(completer: Completer, tmp_path: Path, harm: str) -> None:
    job = small_job(tmp_path, ("a.png", "b.png"))
    complete_folder(completer, job)
    path = job.out / ("a.json" if harm == "sidecar cut" else "a_1.png")
    before = path.read_bytes()
    if harm == "a link":
        path.unlink()
        path.symlink_to(job.out / "b_1.png")
    elif harm == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "other content, same size": b"x" * len(before)}.get(harm, before[:-20]))
    fate, other = fates(completer, job)
    assert isinstance(other, Skipped)
    if harm == "a link":  # it is nobody's but the user's
        assert isinstance(fate, Failed) and "is a link to" in fate.error and path.is_symlink()
    else:
        assert isinstance(fate, Done)
        if path.suffix == ".png":
            assert path.read_bytes() == before
        assert fates(completer, job) == [Skipped("a.png"), Skipped("b.png")]


def test_the_manifest_says_begun_before_the_first_file_and_done_with_sizes_and_checksums(
    completer: Completer, tmp_path: Path
) -> None:
    job = small_job(tmp_path, ("a.png",), n=2)
    told: list[tuple[str, set[str]]] = []

    def look() -> None:  # the first moment at which an output could be written
        last = json.loads((job.out / "manifest.jsonl").read_text().splitlines()[-1])
        told.append((last["status"], set(files_in(job.out))))

    complete_folder(Watched(completer, look), job)
    assert told == [("begun", {"manifest.jsonl"})]
    done = json.loads((job.out / "manifest.jsonl").read_text().splitlines()[-1])
    assert done["status"] == "done" and list(done["files"]) == ["a_1.png", "a_2.png", "a.json"]
    for name, stamp in done["files"].items():
        data = (job.out / name).read_bytes()
        assert (stamp["size"], stamp["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_manifest_of_an_earlier_version_is_gone_on_with(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png",))
    complete_folder(completer, job)
    path = job.out / "manifest.jsonl"
    done = json.loads(path.read_text().splitlines()[-1])
    path.write_text(json.dumps({**done, "files": list(done["files"])}) + "\n")
    assert fates(completer, job) == [Skipped("a.png")]
    (job.out / "a_1.png").unlink()
    assert [type(fate) for fate in fates(completer, job)] == [Done]


def test_what_is_noted_of_a_photo_is_of_the_bytes_that_were_decoded(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png",))
    before = (job.photos / "a.png").read_bytes()

    def look() -> None:  # somebody saves another photo while this one is in work
        write_photo(job.photos / "a.png", seed=99)

    complete_folder(Watched(completer, look), job)
    assert Sidecar.read(job.out / "a.json").photo.sha256 == hashlib.sha256(before).hexdigest()
    assert [type(fate) for fate in fates(completer, job)] == [Done]  # the new one is not taken for done


def test_a_photo_that_vanishes_is_one_failed_line(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png", "c.png"))

    def vanish(fate: Done | Skipped | Failed) -> None:
        (job.photos / "b.png").unlink(missing_ok=True)

    summary = complete_folder(completer, job, report=vanish)
    assert (summary.done, [failed.name for failed in summary.failed]) == (2, ["b.png"])
    assert "there is no file" in summary.failed[0].error

    def look() -> None:  # it vanishes after it was read
        (job.photos / "d.png").unlink()

    write_photo(job.photos / "d.png")
    write_mask(tmp_path / "masks/d.png")
    assert complete_folder(Watched(completer, look), job).done == 1


def test_a_second_job_on_the_same_outputs_is_refused(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png"))
    refused: list[str] = []

    def again(_: Done | Skipped | Failed) -> None:
        with pytest.raises(Busy) as error:
            complete_folder(completer, job)
        refused.append(str(error.value))

    assert complete_folder(completer, job, report=again).done == 2
    assert len(refused) == 2 and "another manyfill is at work on the fills in" in refused[0]
    assert complete_folder(completer, job).skipped == 2


def test_a_full_disk_under_the_manifest_ends_the_job_in_one_line(
    completer: Completer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = small_job(tmp_path, ("a.png",))
    complete_folder(completer, job)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="No space left on device"):
        complete_folder(completer, dataclasses.replace(job, options=dataclasses.replace(job.options, seed=3)))
