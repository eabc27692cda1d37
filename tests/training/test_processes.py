"""Several processes, started as users start them: by torchrun, on this machine's CPU (gloo).

Networks without batch norm, whose statistics are each process's own.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs import FOUR

from manyfill.training import train
from manyfill.training.processes import World, join, share

RUN = """
import os, shutil, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
sys.modules["matplotlib.figure"] = None  # no curves: they take time
from runs import FOUR
from manyfill.training import train
from manyfill.training.checkpoint import Checkpoints
from manyfill.training.step import Step

dies, usual = None, Step.__call__

def step(self, image, hole, noise, images_seen):
    if dies and os.environ["RANK"] == "1" and images_seen == 12 and not dies.exists():
        dies.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(self, image, hole, noise, images_seen)

def write_slowly(self, state, write=Checkpoints.write):
    time.sleep(0.5)  # process 1 is done long before, and must not look for the checkpoint yet
    return write(self, state)

Step.__call__, Checkpoints.write = step, write_slowly
photos, whole, kept, killed, was_killed = map(Path, sys.argv[2:])
train(FOUR, [photos], whole, images=8, device="cpu", line_seconds=0.0)
if os.environ["RANK"] == "0" and not was_killed.exists():
    shutil.copytree(whole, kept)
train(FOUR, [photos], whole, images=16, device="cpu", line_seconds=0.0)
dies = was_killed
for images in (8, 16):
    train(FOUR, [photos], killed, images=images, device="cpu", line_seconds=0.0)
"""


def launch(photos: Path, folder: Path) -> None:
    """Two processes of torchrun: a run of 8 images, `two`, that goes on to 16 as `two-two`, and the same as `killed`.

    In the last, process 1 dies in its fourth step, once, and torchrun starts both again, from the first line.
    """
    (folder / "run.py").write_text(RUN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    paths = [photos, *(folder / name for name in ("two-two", "two", "killed", "was-killed"))]
    done = subprocess.run(
        [*command, str(folder / "run.py"), str(Path(__file__).parent), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr


def terms(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines]


@pytest.mark.usefixtures("without_curves")
def test_two_processes_are_one_with_the_same_batch_may_change_in_number_and_are_restarted_where_one_dies(
    photos: Path, tmp_path: Path
) -> None:
    """Of a run of two processes that stops at a checkpoint, or loses one between two, every bit is the same.

    Against one process: losses to 1e-3, weights to a thousandth of a unit but for one in a hundred.

    Gradients are summed in another order, and Adam's first steps go by a gradient's sign alone, also where it is
    nothing but rounding (a bias before an instance norm).
    """
    train(FOUR, [photos], tmp_path / "one", device="cpu", line_seconds=0.0)
    launch(photos, tmp_path)
    train(FOUR, [photos], tmp_path / "two", device="cpu", line_seconds=0.0)
    for run, name in itertools.product(("two", "two-two"), ("000000000008.pt", "000000000016.pt")):
        for one, two in zip(terms(tmp_path / "one"), terms(tmp_path / run), strict=True):
            assert two == pytest.approx(one, rel=1e-3, abs=1e-4)
        states = [torch.load(tmp_path / which / "checkpoints" / name, weights_only=True) for which in ("one", run)]
        ours, theirs = (
            torch.cat([value.flatten() for value in state["step"]["nets"]["net"].values()]) for state in states
        )
        apart = (ours - theirs).abs()
        assert (apart > 1e-3).float().mean() < 0.01 and apart.max() < 4 * 4 * FOUR.lr, name

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
