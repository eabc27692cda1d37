"""Folder jobs that are killed at each step lose nothing, and no record lies (`tools/kill_jobs.py`)."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tooling

from manyfill import labelling
from manyfill.labels import Label, LabelSet, write_shard


@pytest.fixture
def tool() -> ModuleType:
    return tooling.load("kill_jobs")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_job_that_is_killed_at_each_of_its_steps_ends_as_one_that_was_not(tool: ModuleType, tmp_path: Path) -> None:
    outcome = tool.attack(tmp_path, kills=0, count=1)
    assert outcome.kills > 20
    assert (outcome.lost, outcome.lying) == ([], [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_job_that_is_killed_now_and_then_ends_as_one_that_was_not(tool: ModuleType, tmp_path: Path) -> None:
    outcome = tool.attack(tmp_path, kills=12, workers=2, count=4)
    assert outcome.kills >= 12
    assert (outcome.lost, outcome.lying) == ([], [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_labels_that_are_killed_at_each_step_are_whole_or_not_there(tool: ModuleType, tmp_path: Path) -> None:
    job = labelling.Labelling(data=("photos",), masks={"strokes": 1.0})
    pixels, hole = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), bool)

    def work() -> None:
        labelling._claim(job, tmp_path)
        for shard in range(2):
            write_shard(labelling._path(job, tmp_path, shard), [Label("k", pixels, hole, (pixels,))])

    step = 1
    while tool.killed(partial(tool.kill_at, step, work)):
        step += 1
        assert all(len(LabelSet(shard)) == 1 for shard in tmp_path.glob("*.tar"))
        labelling._claim(job, tmp_path)  # the note is whole, too
    assert step > 6 and len(list(tmp_path.glob("*.tar"))) == 2
