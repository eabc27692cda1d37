"""Photos to train on, and a run that nothing befell."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from drawn import small_photos
from runs import TINY

from manyfill.training import train


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def never_killed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "never-killed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)  # no curves, whichever module asks first
        train(TINY, [photos], run)
    return run
