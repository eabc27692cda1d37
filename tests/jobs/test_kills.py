"""Folder jobs that are killed at each step lose nothing, and no record lies (`tools/kill_jobs.py`)."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "kill_jobs.py"


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kill_jobs", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_jobs"] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


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
