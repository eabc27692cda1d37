"""Kill folder jobs again and again, and look for lost files and for records that lie.

    python tools/kill_jobs.py                   200 kills at random moments, then one at each step of a job
    python tools/kill_jobs.py --kills 0         only the latter

The job is run in forked processes with a tiny untrained network. After each kill: whatever the manifest or a sidecar
says is done has its files, with the bytes that were noted; every file under its own name is whole; photos, masks and a
stranger's file are as they were. In the end every fill is what a job that was never killed makes. Exit code 0: all so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from manyfill import photos, weights
from manyfill.completer import Completer
from manyfill.jobs.folder import Job, complete_folder
from manyfill.jobs.records import Options, Sidecar
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1)


@dataclass
class Outcome:
    """What was found."""

    kills: int = 0
    lost: list[str] = field(default_factory=list)
    lying: list[str] = field(default_factory=list)


def set_up(folder: Path, count: int) -> tuple[Completer, Job]:
    """A model and a job of so many small photos, with a stranger's file among the outputs."""
    torch.manual_seed(0)
    model = weights.save(PICNet(TINY), folder / "tiny.safetensors")
    rng = np.random.default_rng(0)
    mask = np.zeros((28, 40), np.uint8)
    mask[8:18, 10:24] = 255
    for name in ("photos", "out"):
        (folder / name).mkdir()
    Image.fromarray(mask).save(folder / "hole.png")
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (28, 40, 3), dtype=np.uint8)).save(folder / f"photos/{number:02}.png")
    (folder / "out" / "strange_1.png").write_bytes(b"somebody's")
    options = Options(n=2, texture="net", sheet=False)
    job = Job(folder / "photos", folder / "hole.png", folder / "out", options)
    return Completer.from_pretrained(model, device="cpu", engine="torch"), job


def killed(work: Callable[[], object], after: float | None = None) -> bool:
    """Run it in a forked process, killed after so many seconds, or by itself; whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("the job failed")
    return os.WIFSIGNALED(status)


def kill_at(step: int, work: Callable[[], object]) -> None:
    """Do the work, and die before its n-th step that something on the disk would show."""
    taken = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def counting(*args: object, **named: object) -> object:
            nonlocal taken
            taken += 1
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **named)

        return counting

    for name in ("fsync", "replace", "rename", "unlink", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    work()


def examine(job: Job, before: dict[str, str], outcome: Outcome) -> None:
    """Compare what is said with what is there."""
    for name, digest in before.items():
        if _digest(job.out.parent / name) != digest:
            outcome.lost.append(f"{name} changed")
    for path in job.out.glob("[0-9]*"):
        if path.suffix == ".png":
            try:
                photos.read(path)
            except Exception as error:
                outcome.lying.append(f"{path.name} is not whole: {error}")
        else:
            outcome.lying += [
                f"{path.name} speaks of a {name} that is another"
                for name, digest in Sidecar.read(path).written().items()
                if _digest(job.out / name) != digest
            ]
    last = {}
    for line in _lines(job.out / "manifest.jsonl"):
        last[line["photo"]] = line
    for line in last.values():
        for name, stamp in line["files"].items() if line["status"] == "done" else ():
            if _digest(job.out / name) != stamp["sha256"]:
                outcome.lying.append(f"the manifest speaks of a {name} that is another")


def _lines(path: Path) -> Iterator[dict[str, object]]:
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue  # torn by a kill


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"


def fills(job: Job) -> dict[str, str]:
    """The finished pictures by name."""
    return {path.name: _digest(path) for path in sorted(job.out.glob("[0-9]*.png"))}


def attack(folder: Path, *, kills: int, workers: int = 1, count: int = 2, seed: int = 0) -> Outcome:
    """At random moments `kills` times, or, where that is 0, once at each step; both also over fills of before."""
    completer, job = set_up(folder, count)
    outcome, rng = Outcome(), random.Random(seed)
    before = {path.relative_to(folder).as_posix(): _digest(path) for path in folder.rglob("*") if path.is_file()}
    expected = []
    for number in range(2):
        plain = replace(job, out=folder / f"never_killed_{number}", options=replace(job.options, seed=10 * number))
        began = time.monotonic()
        complete_folder(completer, plain, workers=workers)
        seconds = time.monotonic() - began
        expected.append(fills(plain))
    round_, step = 0, 0
    while round_ < 2 or outcome.kills < kills:
        now = replace(job, options=replace(job.options, seed=10 * (round_ % 2)))

        def work(now: Job = now) -> object:
            return complete_folder(completer, now, workers=workers)

        if kills:
            enough = outcome.kills >= kills
            died = killed(work, None if enough else rng.uniform(0, 1.2 * seconds))
        else:
            step += 1
            at = step
            died = killed(lambda work=work, at=at: kill_at(at, work))
        outcome.kills += died
        examine(job, before, outcome)
        if not died:  # it came to its end
            if fills(job) != expected[round_ % 2]:
                outcome.lost.append(f"round {round_}: fills differ from those of a job that was never killed")
            round_, step = round_ + 1, 0
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    failed = False
    for kills in (given.kills, 0) if given.kills else (0,):
        with tempfile.TemporaryDirectory(prefix="kill-jobs-") as folder:
            outcome = attack(Path(folder), kills=kills, workers=given.workers if kills else 1, count=6 if kills else 2)
        what = "at random moments" if kills else "at each step"
        print(f"{outcome.kills} kills {what}: {len(outcome.lost)} lost, {len(outcome.lying)} lying")
        for line in dict.fromkeys(outcome.lost + outcome.lying):
            print(f"  {line}")
        failed |= bool(outcome.lost or outcome.lying)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
