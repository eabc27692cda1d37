"""What an earlier run did is not done again, unless something changed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from filling import fates, files_in, small_job, write_photo
from PIL import Image

from manyfill.completer import Completer
from manyfill.jobs.folder import complete_folder
from manyfill.jobs.manifest import Manifest
from manyfill.jobs.photo import Target, Task
from manyfill.jobs.records import Done, Failed, Skipped


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
    manifest.add_failure(Failed("b.png", "why"))
    assert Manifest(tmp_path, "k").finished["b.png"]["error"] == "why"
