"""A model that was loaded before a fork fills after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyfill import weights
from manyfill.nets.picnet import PICNet, PICNetConfig

REPOSITORY = Path(__file__).parent.parent
TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1)
SECONDS = 240  # a child that hangs does so for ever

FORK = """
import multiprocessing, sys
import torch
import manyfill
completer = manyfill.load(sys.argv[1], device="cpu", engine="torch")
big = torch.ones(1000, 1000)

def fill():
    (big @ big).sum()  # in as many threads as there are
    return completer.complete("photo.png", "hole.png")[0].array.tobytes()

here = fill()
with multiprocessing.get_context("fork").Pool(1) as pool:
    there = pool.apply(fill)
print(torch.get_num_threads(), here == there == fill())
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (28, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    hole = np.zeros((28, 40), np.uint8)
    hole[8:18, 10:24] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    return weights.save(PICNet(TINY), tmp_path / "tiny.safetensors")


def run(folder: Path, *arguments: object) -> list[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_fills_as_its_parent_does_which_keeps_its_threads(model: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "-c", FORK, model) == ["2 True"]


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_the_example_of_many_processes_fills(model: Path, tmp_path: Path, start: str) -> None:
    if start == "forkserver" and not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    example = REPOSITORY / "examples" / "many_processes.py"
    pair = ("photo.png", "hole.png")
    assert run(tmp_path, example, "out", *pair, "--model", model, "--workers", 1, "--start", start) == [
        str(Path("out") / "photo_filled.png")
    ]
    assert (tmp_path / "out" / "photo_filled.png").is_file()
