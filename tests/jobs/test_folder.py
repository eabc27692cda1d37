"""Folder jobs: names, resume, failures, workers. A tiny untrained net completes real files."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filling import fates, files_in, small_job, write_mask, write_photo
from PIL import Image

from manyfill import memory
from manyfill.completer import Completer
from manyfill.errors import ManyfillError
from manyfill.jobs import folder
from manyfill.jobs.folder import Job, complete_folder, default_workers, preview
from manyfill.jobs.photo import replay
from manyfill.jobs.records import Done, Failed, Options, Sidecar, Skipped, Target, Task


def test_a_folder_keeps_its_sub_folders_and_its_formats(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, n=2)
    summary = complete_folder(completer, job)
    assert (summary.done, summary.skipped, summary.failed) == (2, 0, [])
    assert set(files_in(job.out)) == {
        "a_1.png", "a_2.png", "a.json", "sub/b_1.jpg", "sub/b_2.jpg", "sub/b.json", "manifest.jsonl",
    }  # fmt: skip


def test_an_interrupted_job_ends_as_one_that_was_not(
    completer: Completer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a.png", "b.png", "c.png")
    whole, cut = small_job(tmp_path / "whole", names), small_job(tmp_path / "cut", names)
    complete_folder(completer, whole)

    def stop(fate: Done | Skipped | Failed) -> None:
        if fate.name == "b.png":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete_folder(completer, cut, report=stop)
    with (cut.out / "manifest.jsonl").open("a") as file:  # what a power cut leaves
        file.write('{"photo": "c.png", "status": "do')
    assert fates(completer, cut)[:2] == [Skipped("a.png"), Skipped("b.png")]
    assert fates(completer, cut) == [Skipped("a.png"), Skipped("b.png"), Skipped("c.png")]
    for name in ("a_1.png", "b_1.png", "c_1.png"):
        assert (cut.out / name).read_bytes() == (whole.out / name).read_bytes()


def test_what_is_wrong_with_one_photo_stops_no_other_and_is_tried_again(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png", "c.png", "d.png"))
    (job.photos / "a.png").write_bytes(b"no picture")
    (tmp_path / "masks/b.png").unlink()
    write_mask(tmp_path / "masks/c.png", width=10, height=10)
    summary = complete_folder(completer, job)
    assert summary.done == 1
    assert [failed.name for failed in summary.failed] == ["a.png", "b.png", "c.png"]
    assert all("\n" not in failed.error for failed in summary.failed)
    assert "no mask b.*" in summary.failed[1].error
    assert "10x10" in summary.failed[2].error
    write_photo(job.photos / "a.png")
    write_mask(tmp_path / "masks/b.png")
    again = fates(completer, job)
    assert [type(fate) for fate in again] == [Done, Done, Failed, Skipped]


def test_an_unexpected_fault_in_one_photo_is_a_failure_too(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png"))
    job.out.mkdir()
    (job.out / "a_1.png").mkdir()  # the output's name is taken by a folder
    summary = complete_folder(completer, job)
    assert summary.done == 1
    assert [failed.name for failed in summary.failed] == ["a.png"]


def test_one_mask_serves_all_and_may_lie_among_the_photos(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path)
    mask = write_mask(job.photos / "hole.png")
    assert [fate.name for fate in fates(completer, dataclasses.replace(job, masks=mask))] == ["a.png", "sub/b.jpg"]


def test_without_masks_each_photos_own_transparency_is_the_hole(completer: Completer, tmp_path: Path) -> None:
    pixels = np.full((28, 40, 4), 255, dtype=np.uint8)
    pixels[8:18, 10:24, 3] = 0
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels, "RGBA").save(tmp_path / "photos/a.png")
    job = Job(tmp_path / "photos", None, tmp_path / "out", Options(polarity="alpha", texture="net", sheet=False))
    assert complete_folder(completer, job).done == 1
    assert Sidecar.read(job.out / "a.json").hole_ratio == pytest.approx(140 / (28 * 40))
    assert np.asarray(Image.open(job.out / "a_1.png"))[..., 3].min() == 255


def test_photos_of_the_same_stem_are_kept_apart(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.jpg", "a.png"))
    write_mask(tmp_path / "masks/a.png")
    complete_folder(completer, job)
    assert {"a_jpg_1.jpg", "a_jpg.json", "a_png_1.png", "a_png.json"} < set(files_in(job.out))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda job: dataclasses.replace(job, out=job.photos), "folder of the photos"),
        (lambda job: dataclasses.replace(job, out=job.masks), "folder of the masks"),
        (lambda job: dataclasses.replace(job, masks=job.photos), "in their own folder"),
    ],
)
def test_a_job_that_would_mix_things_up_is_refused(
    completer: Completer, tmp_path: Path, change: Callable[[Job], Job], message: str
) -> None:
    with pytest.raises(ManyfillError, match=message):
        complete_folder(completer, change(small_job(tmp_path)))


def test_a_folder_without_photos_is_refused(completer: Completer, tmp_path: Path) -> None:
    with pytest.raises(ManyfillError, match="no photos in"):
        complete_folder(completer, Job(tmp_path, None, tmp_path / "out", Options(polarity="alpha")))


def test_several_workers_write_the_same_bytes_and_one_line_for_each_photo(completer: Completer, tmp_path: Path) -> None:
    names = tuple(f"{letter}.png" for letter in "abcdefg")
    alone, together = small_job(tmp_path / "alone", names, n=2), small_job(tmp_path / "together", names, n=2)
    (together.photos / "c.png").write_bytes(b"no picture")
    complete_folder(completer, alone)
    summary = complete_folder(completer, together, workers=3)
    assert (summary.done, [failed.name for failed in summary.failed]) == (6, ["c.png"])
    lines = [json.loads(line) for line in (together.out / "manifest.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["status"] != "begun"]
    assert sorted(line["photo"] for line in lines) == sorted(names)
    pictures = {name: data for name, data in files_in(together.out).items() if name.endswith(".png")}
    assert len(pictures) == 12
    assert pictures == {name: files_in(alone.out)[name] for name in pictures}


def test_workers_are_in_work_at_the_same_time(tmp_path: Path) -> None:
    tasks = [Task(name, tmp_path / name, None, Target(tmp_path, name)) for name in "abcd"]
    both = threading.Barrier(2, timeout=180)  # breaks where the second never comes

    def work(task: Task) -> Failed:
        both.wait()
        return Failed(task.name, "")

    assert sorted(task.name for task, _ in folder._in_threads(work, iter(tasks), 2)) == ["a", "b", "c", "d"]


def test_an_interrupted_job_of_several_workers_is_resumed(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, tuple(f"{letter}.png" for letter in "abcdef"))

    def stop(fate: Done | Skipped | Failed) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete_folder(completer, job, workers=2, report=stop)
    seen: list[Done | Skipped | Failed] = []
    summary = complete_folder(completer, job, workers=2, report=seen.append)
    assert (summary.done, summary.skipped) == (5, 1)
    assert sorted(fate.name for fate in seen) == [f"{letter}.png" for letter in "abcdef"]


def test_by_default_workers_fit_the_machine_and_one_keeps_a_ceiling() -> None:
    assert 1 <= default_workers() <= min(os.cpu_count() or 1, folder.MOST_WORKERS)
    assert default_workers(max_memory=2**30) == 1


def test_a_colour_painted_onto_the_photos_is_the_hole(completer: Completer, tmp_path: Path) -> None:
    path = write_photo(tmp_path / "photos/a.png")
    pixels = np.asarray(Image.open(path)).copy()
    pixels[8:18, 10:24] = 255, 0, 255
    Image.fromarray(pixels).save(path)
    job = Job(tmp_path / "photos", None, tmp_path / "out", Options(polarity="#ff00ff", texture="net", sheet=False))
    assert complete_folder(completer, job).done == 1
    assert Sidecar.read(job.out / "a.json").hole_ratio == pytest.approx(140 / (28 * 40))
    filled = np.asarray(Image.open(job.out / "a_1.png"))
    assert not np.all(filled[8:18, 10:24] == (255, 0, 255), axis=-1).any()


def test_a_preview_tells_what_would_be_done_and_writes_nothing(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png", "c.png"))
    complete_folder(completer, dataclasses.replace(job, only=("a.png",)))
    (tmp_path / "masks/b.png").unlink()
    before = files_in(tmp_path)
    assert [type(fate) for fate in preview(job, completer.sha256)] == [Skipped, Failed, Task]
    assert files_in(tmp_path) == before


def test_a_name_that_is_not_utf8_is_done_resumed_and_replayed(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "z.png"), sheet=True)
    strange = Path(os.fsdecode(os.fsencode(job.photos) + b"/caf\xe9.png"))
    try:
        write_photo(strange, seed=7)
    except OSError:
        pytest.skip("this file system takes no such name")
    job = dataclasses.replace(job, masks=tmp_path / "masks" / "a.png")
    assert complete_folder(completer, job).done == 3
    assert complete_folder(completer, job).skipped == 3
    (job.out / "manifest.jsonl").read_text(encoding="utf-8")  # and it is valid UTF-8
    sidecar = job.out / f"{strange.stem}.json"
    sidecar.read_text(encoding="utf-8")
    task = Task(strange.name, strange, job.masks, Target(tmp_path / "again", strange.stem))
    done, differing = replay(completer, Sidecar.read(sidecar), task)
    assert differing == [] and done.sidecar.photo.file == f"../photos/{strange.name}"


@pytest.mark.parametrize(
    "stem",
    [
        "\u00e9",
        "e\u0301",
        "\U0001f642",
        "\u202egnp.exe",
        "dot..",
        "space ",
        " space",
        "two\nlines",
        "\x1b[31m",
        "*",
        "%s{}",
    ],
)
def test_any_name_is_done_with_its_sheet_resumed_and_replayed(stem: str, completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png",), sheet=True)
    job = dataclasses.replace(job, masks=tmp_path / "masks" / "a.png")
    photo = write_photo_under(job.photos / f"{stem}.png")
    before = photo.read_bytes()
    assert (complete_folder(completer, job).done, complete_folder(completer, job).skipped) == (2, 2)
    sidecar = job.out / f"{stem}.json"
    task = Task(photo.name, photo, job.masks, Target(tmp_path / "again", stem))
    assert replay(completer, Sidecar.read(sidecar), task)[1] == []
    assert photo.read_bytes() == before and len({each.name for each in job.out.glob("*.png")}) > 2


def write_photo_under(path: Path) -> Path:
    try:
        write_photo(path, seed=7)
    except OSError:
        pytest.skip("this file system takes no such name")
    return path


def test_a_name_that_grows_too_long_is_one_failed_line_that_says_so(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png",))
    job = dataclasses.replace(job, masks=tmp_path / "masks" / "a.png")
    write_photo_under(job.photos / f"{'x' * 250}.png")
    summary = complete_folder(completer, job)
    (failed,) = summary.failed
    assert summary.done == 1 and "is too long for this disk. Give the photo a shorter one." in failed.error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes by name")
def test_what_is_no_regular_file_is_one_failed_line(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png",))
    os.mkfifo(job.photos / "pipe.png")
    os.mkfifo(tmp_path / "masks/b.png")
    write_photo(job.photos / "b.png")
    (job.photos / "zero.png").symlink_to("/dev/zero")
    (job.photos / "gone.png").symlink_to("nowhere.png")
    (job.photos / "linked.png").symlink_to("pipe.png")
    for name in ("pipe", "zero", "gone", "linked"):
        write_mask(tmp_path / f"masks/{name}.png")
    (job.photos / "folder.jpg").mkdir()
    for _ in range(2):
        failed = {each.name: each.error for each in complete_folder(completer, job).failed}
        assert failed.keys() == {"pipe.png", "b.png", "zero.png", "gone.png", "linked.png"}
        assert failed["gone.png"].startswith("there is no file")
        assert all("not a regular file" in error for name, error in failed.items() if name != "gone.png")
    assert (job.out / "a_1.png").is_file()


def test_by_default_workers_heed_a_containers_limits(tmp_path: Path) -> None:
    system, group = tmp_path / memory.SYSTEM, tmp_path / memory.GROUP
    system.parent.mkdir()
    group.mkdir(parents=True)

    def workers() -> int:
        return default_workers(root=tmp_path, affinity=16)

    system.write_text(f"MemAvailable: {64 * 2**20} kB\n")
    assert workers() == folder.MOST_WORKERS
    (group / "memory.max").write_text(f"{5 * 2**30}\n")
    (group / "memory.current").write_text("0\n")
    assert workers() == 2
    (group / "memory.max").write_text("max\n")
    (group / "cpu.max").write_text("250000 100000\n")
    assert workers() == 3
    (group / "cpu.max").write_text("max 100000\n")
    system.write_text("")
    assert workers() == 2


def test_a_strict_job_refuses_damaged_photos_and_masks_also_where_a_lenient_one_filled_them(
    completer: Completer, tmp_path: Path
) -> None:
    job = small_job(tmp_path, ("photo.jpg", "mask.png", "whole.jpg"))
    Image.open(tmp_path / "masks/mask.png").save(tmp_path / "masks/mask.jpg")
    (tmp_path / "masks/mask.png").unlink()
    for damaged in (tmp_path / "photos/photo.jpg", tmp_path / "masks/mask.jpg"):
        damaged.write_bytes(damaged.read_bytes()[:-2])
    assert [type(fate) for fate in fates(completer, job)] == [Done] * 3
    strict = dataclasses.replace(job, options=dataclasses.replace(job.options, strict=True))
    before = files_in(job.out)
    seen = {fate.name: fate for fate in fates(completer, strict)}
    for name, what in (("photo.jpg", "photo.jpg"), ("mask.png", "mask.jpg")):
        failed = seen[name]
        assert isinstance(failed, Failed) and what in failed.error and "the file is cut off" in failed.error
    assert isinstance(seen["whole.jpg"], Done)
    changed = {name for name, data in files_in(job.out).items() if before.get(name) != data}
    assert changed <= {"manifest.jsonl", "whole.json"}  # its options say strict
    assert [type(fate) for fate in fates(completer, strict)].count(Skipped) == 1
