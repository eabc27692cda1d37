"""Several processes, started as users start them: by torchrun, on this machine's CPU (gloo).

Networks without batch norm, whose statistics are each process's own.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from manyfill.recipes import RECIPES
from manyfill.training import train
from manyfill.training.processes import World, join, share

RECIPE = replace(
    RECIPES["tiny"], net=replace(RECIPES["tiny"].net, fusion_scales=0), batch=4, images=16, checkpoint_every=8, keep=9
)
RUN = """
import os, shutil, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_processes import RECIPE
from manyfill.training import train
from manyfill.training.checkpoint import Checkpoints
from manyfill.training.step import Step

killed, usual = os.environ.get("KILLED"), Step.__call__

def step(self, image, hole, noise, images_seen):
    if killed and os.environ["RANK"] == "1" and images_seen == 12 and not os.path.exists(killed):
        Path(killed).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(self, image, hole, noise, images_seen)

def write_slowly(self, state, write=Checkpoints.write):
    time.sleep(1)  # process 1 is done long before, and must not look for the checkpoint yet
    return write(self, state)

Step.__call__, Checkpoints.write = step, write_slowly
photos, run, kept = map(Path, sys.argv[2:])
train(RECIPE, [photos], run, images=8, device="cpu", line_seconds=0.0)
if os.environ["RANK"] == "0":
    shutil.copytree(run, kept, dirs_exist_ok=True)
train(RECIPE, [photos], run, images=16, device="cpu", line_seconds=0.0)
"""


def launch(processes: int, photos: Path, run_dir: Path, at_8: Path, script: Path, killed: Path | None = None) -> None:
    """A run of 8 images, a copy of which is kept, that goes on to 16.

    With `killed`, a file that is not there yet, process 1 dies in its fourth step, and torchrun starts both again.
    """
    script.write_text(RUN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["--max-restarts=1"] if killed else []
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [*command, str(script), here, str(photos), str(run_dir), str(at_8)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "KILLED": str(killed or "")},
    )
    assert done.returncode == 0, done.stderr


def terms(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines]


def test_two_processes_are_one_with_the_same_batch_may_change_in_number_and_are_restarted_where_one_dies(
    photos: Path, tmp_path: Path
) -> None:
    """Of a run of two processes that stops at a checkpoint, or loses one between two, every bit is the same.

    Against one process: losses to 1e-3, weights to a thousandth of a unit but for one in a hundred.

    Gradients are summed in another order, and Adam's first steps go by a gradient's sign alone, also where it is
    nothing but rounding (a bias before an instance norm).
    """
    train(RECIPE, [photos], tmp_path / "one", device="cpu", line_seconds=0.0)
    launch(2, photos, tmp_path / "two-two", tmp_path / "two", tmp_path / "run.py")
    train(RECIPE, [photos], tmp_path / "two", device="cpu", line_seconds=0.0)
    for run, name in itertools.product(("two", "two-two"), ("000000000008.pt", "000000000016.pt")):
        for one, two in zip(terms(tmp_path / "one"), terms(tmp_path / run), strict=True):
            assert two == pytest.approx(one, rel=1e-3, abs=1e-4)
        states = [torch.load(tmp_path / which / "checkpoints" / name, weights_only=True) for which in ("one", run)]
        ours, theirs = (
            torch.cat([value.flatten() for value in state["step"]["nets"]["net"].values()]) for state in states
        )
        apart = (ours - theirs).abs()
        assert (apart > 1e-3).float().mean() < 0.01 and apart.max() < 4 * 4 * RECIPE.lr, name

    launch(2, photos, tmp_path / "killed", tmp_path / "at-8", tmp_path / "run.py", tmp_path / "was-killed")
    assert (tmp_path / "was-killed").exists()
    stopped, killed = (
        torch.load(tmp_path / run / "checkpoints/000000000016.pt", weights_only=True)["step"]["nets"]["net"]
        for run in ("two-two", "killed")
    )
    assert all(torch.equal(stopped[name], killed[name]) for name in stopped)


def test_alone_we_are_the_main_process_and_sharing_changes_nothing() -> None:
    world = join("cpu")
    assert (world.rank, world.size, world.main, world.device) == (0, 1, True, torch.device("cpu"))
    assert world.any(True) == (True,) and world.any(False, True) == (False, True)
    tensor = torch.ones(2)
    share([tensor])
    assert torch.equal(tensor, torch.ones(2))
    assert not World(1, 2, torch.device("cpu")).main
