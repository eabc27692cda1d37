"""A teacher that is asked: views, what is kept of them, and a run that goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from parity import small_migan
from PIL import Image

from manyfill import labelling
from manyfill.cli import run
from manyfill.errors import ManyfillError
from manyfill.fetchables import FETCHABLES


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> labelling.Labelling:
    """Photos, and a small network in the teacher's place."""
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "cache"))
    FETCHABLES["migan"].paths[0].parent.mkdir()
    small_migan.write(FETCHABLES["migan"].paths[0])
    rng = np.random.default_rng(1)
    (tmp_path / "photos").mkdir()
    for k in range(2):
        picture = np.kron(rng.integers(0, 255, (20, 20, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
        Image.fromarray(picture).save(tmp_path / "photos" / f"{k}.png")
    return labelling.Labelling(data=(str(tmp_path / "photos"),), masks={"center": 1.0}, size=128, per_photo=2)


def test_every_view_comes_back_to_its_place(job: labelling.Labelling) -> None:
    """A teacher that draws what it sees: whatever view it is shown, the answer lies where the photo does."""
    worker = labelling.Worker(labelling.Labelling(**{**vars(job), "views": len(labelling.VIEWS)}))
    image, hole = (x[None] for x in worker.samples[0])

    class Seer:
        def encode(self, image: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
            return image

        def decode(self, encoded: torch.Tensor) -> object:
            from manyfill.nets import Prediction

            return Prediction(encoded)

    worker.teacher = Seer()  # type: ignore[assignment]
    seen = (image * (1 - hole))[0].numpy().transpose(1, 2, 0)
    near, nearer = (torch.nn.functional.max_pool2d(hole, 2 * r + 1, 1, r)[0, 0].numpy() > 0 for r in (8, 6))
    known = near & ~nearer  # beyond what is grown, and not so far that a shift loses it
    for name, answer in zip(labelling.VIEWS, worker.asked(image, hole), strict=True):
        apart = np.abs(answer - seen)[known]
        assert apart.mean() < 0.05 if name == "half size" else apart.max() < 0.01, name


def test_a_run_writes_shards_and_goes_on_where_it_stopped(job: labelling.Labelling, tmp_path: Path) -> None:
    job = replace(job, per_shard=2)
    told: list[tuple[int, int]] = []
    out = tmp_path / "labels"
    total = labelling.label(job, out, progress=lambda done, total, _: told.append((done, total)))
    shards = sorted(out.glob("*.tar"))
    assert total == 4 and len(shards) == 2 and told == [(0, 4), (2, 4), (4, 4)]
    before = [shard.read_bytes() for shard in shards]
    shards[1].unlink()
    told.clear()
    labelling.label(job, out, progress=lambda done, total, _: told.append((done, total)))
    assert [shard.read_bytes() for shard in sorted(out.glob("*.tar"))] == before and told == [(2, 4), (4, 4)]
    assert labelling.label(job, out) == 4


def test_truths_are_no_farther_from_the_photo_than_our_own_search(job: labelling.Labelling) -> None:
    worker = labelling.Worker(job)
    found = [label for k in range(3) if (label := worker.label(k)) is not None]
    for label in found:
        assert label.truths and len(label.truths) == len(label.facts["truths"])
        assert all(truth["pd_eff"] <= label.facts["search_pd_eff"] for truth in label.facts["truths"])
        assert all(np.array_equal(truth[~label.hole], label.photo[~label.hole]) for truth in label.truths)
        json.dumps(label.facts)


def test_a_teacher_that_was_not_fetched_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (200, 200)).save(tmp_path / "a.png")
    assert run(["label", "--data", str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 2
    assert "manyfill fetch migan" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"views": 0}, {"views": 9}, {"size": 200}])
def test_a_job_that_cannot_be_done_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ManyfillError, match=r"expected|needs"):
        labelling.Labelling(data=("photos",), masks={"center": 1.0}, **wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks its worker, which is quicker than a fresh one")
def test_workers_end_with_a_parent_that_was_killed() -> None:
    code = """
import os, threading, time
from multiprocessing import get_context
from manyfill import labelling

def work():
    threading.Thread(target=labelling._end_with_parent, daemon=True).start()
    time.sleep(60)
    print("it stayed", flush=True)

worker = get_context("fork").Process(target=work)
worker.start()
print(worker.pid, flush=True)
worker.join()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)  # it is there
        parent.send_signal(signal.SIGKILL)
        assert parent.stdout.read() == ""  # until the worker, which holds its other end, has gone
    with pytest.raises(ProcessLookupError):
        for _ in range(1000):
            os.kill(worker, 0)
            time.sleep(0.01)
