"""The folder job on Ray: workers on many machines, one manifest.

Each worker is a Ray actor that holds the model; photos, masks and outputs lie where every machine sees them under the
same path, or behind addresses. The process that started the job hands out photos and alone writes the manifest, so that
nothing is noted twice. Where a worker dies, with its machine or for want of memory, Ray starts another one and hands it
the photo again: outputs are written atomically and are the same bytes each time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from manyfill import zoo
from manyfill.completer import Completer
from manyfill.errors import ManyfillError, MissingExtra
from manyfill.fillers import FILLERS
from manyfill.jobs.addresses import Addresses, Errand, errands, run_errand
from manyfill.jobs.folder import Job, Running, Summary, carry_out, work_through
from manyfill.jobs.photo import Progress, attempt
from manyfill.jobs.records import Done, Failed, Fate, Options, Task

TRIES = 3  # workers that a photo may cost before it counts as failed


@dataclass(frozen=True)
class Model:
    """What every worker loads, and the sha256 that its weights must have."""

    name_or_path: str
    device: str = "auto"
    engine: str = "auto"
    sha256: str = ""


class Worker:
    """Holds the model on one machine."""

    def __init__(self, model: Model) -> None:
        """Raises ManyfillError where this machine has other weights under that name."""
        self.completer = Completer.from_pretrained(model.name_or_path, device=model.device, engine=model.engine)
        if self.completer.sha256 != model.sha256:
            raise ManyfillError(
                f"model '{model.name_or_path}' is another one on machine {os.uname().nodename}: sha256"
                f" {self.completer.sha256[:12]}…, expected {model.sha256[:12]}…. Install the same version everywhere."
            )

    def attempt(self, task: Task | Errand, options: Options, model_file: Path | None) -> Done | Failed:
        """One photo, from file to files."""
        if isinstance(task, Errand):
            return run_errand(self.completer, task, options, model_file)
        return attempt(self.completer, task, options, model_file=model_file)


def complete_addresses(
    model: Model,
    job: Addresses,
    *,
    address: str = "auto",
    workers: int | None = None,
    report: Callable[[Fate], None] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """`complete_folder` for photos behind addresses. What is done is noted in `manifest/` beside the fills.

    Raises as `complete_folder` does, MissingExtra where a package is missing for such an address.
    """
    model = _absolute(model)
    model_file = None if job.model_file is None else job.model_file.absolute()

    def run(left: Iterator[Errand]) -> Generator[tuple[Errand, Done | Failed], None, None]:
        with _connected(address) as ray:
            yield from _on_actors(ray, model, replace(job, model_file=model_file), left, workers)

    plan = list(errands(job, model.sha256))
    return work_through(plan, run, finish=lambda *_: None, total=len(plan), report=report, progress=progress)


def complete_folder(
    model: Model,
    job: Job,
    *,
    address: str = "auto",
    workers: int | None = None,
    report: Callable[[Fate], None] | None = None,
    progress: Progress | None = None,
    kind: type[Any] = Worker,
    tries: int = TRIES,
) -> Summary:
    """What `folder.complete_folder` does, on a Ray cluster: the same files, and a manifest that either resumes.

    `address`: a cluster's, or "auto": the one in RAY_ADDRESS or of this machine, else Ray is started on this machine.
    `workers`: None takes one per core, or one per GPU where the device is not the CPU and the cluster has GPUs.
    `kind` is the class that works on the photos; a photo may cost `tries` of them, 2 or more, before it counts as
    failed.
    Raises MissingExtra without Ray, ManyfillError where the cluster cannot be reached or a worker cannot load the
    model, and as `folder.complete_folder` does.
    """
    here = _everywhere_the_same(job)
    model = _absolute(model)

    def run(left: Iterator[Task]) -> Running:
        with _connected(address) as ray:
            yield from _on_actors(ray, model, here, left, workers, kind, tries)

    return carry_out(here, model.sha256, run, report=report, progress=progress)


def _absolute(model: Model) -> Model:
    """The model by a path that a worker, whose current folder is another one, finds too."""
    if model.name_or_path in zoo.ZOO or model.name_or_path in FILLERS:
        return model
    return replace(model, name_or_path=str(Path(model.name_or_path).absolute()))


def _everywhere_the_same(job: Job) -> Job:
    """The job with absolute paths: a worker's current folder is another one."""
    return replace(
        job,
        photos=job.photos.absolute(),
        masks=None if job.masks is None else job.masks.absolute(),
        out=job.out.absolute(),
        model_file=None if job.model_file is None else job.model_file.absolute(),
    )


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected; what was connected before stays so."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use to a server
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("--ray needs the ray extra: pip install 'manyfill[ray]'") from error
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(None if address == "auto" else address, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # refused, timed out, another version: Ray has many words for it
        why = " ".join(str(error).split())[:200]
        raise ManyfillError(f"there is no Ray cluster at {address}: {why}. Start one: ray start --head") from error
    try:
        yield ray
    finally:
        ray.shutdown()


Each = TypeVar("Each", Task, Errand)


def _on_actors(
    ray: Any,
    model: Model,
    job: Job | Addresses,
    left: Iterator[Each],
    workers: int | None,
    kind: type[Any] = Worker,
    tries: int = TRIES,
) -> Generator[tuple[Each, Done | Failed], None, None]:
    """Each task with what came of it, in the order in which they finish."""
    found = ray.cluster_resources()
    on_gpus = model.device != "cpu" and found.get("GPU", 0) >= 1
    count = workers or max(1, int(found["GPU" if on_gpus else "CPU"]))
    share = {"num_cpus": 0, "num_gpus": 1} if on_gpus else {"num_cpus": 1}
    hire = ray.remote(kind).options(max_restarts=-1, max_task_retries=tries - 1, **share)
    actors: list[Any] = []
    running: dict[Any, tuple[Each, Any]] = {}

    def hand(actor: Any, task: Each) -> None:  # one at a time: none waits behind a photo that kills its worker
        running[actor.attempt.remote(task, job.options, job.model_file)] = task, actor

    try:
        for task in islice(left, count):  # no more workers than photos
            actors.append(hire.remote(model))
            hand(actors[-1], task)
        while running:
            (finished,), _ = ray.wait(list(running), num_returns=1)
            task, actor = running.pop(finished)
            try:
                fate: Done | Failed = ray.get(finished)
            except ray.exceptions.ActorDiedError as error:  # no model: other photos would fare no better
                raise ManyfillError(f"a worker cannot start: {_last_line(error)}") from error
            except ray.exceptions.RayError as error:
                fate = Failed(task.name, f"{tries} workers died of it. {_last_line(error)}")
            yield task, fate
            for following in islice(left, 1):
                hand(actor, following)
    finally:
        for actor in actors:
            ray.kill(actor)


def _last_line(error: Exception) -> str:
    """Of a worker's traceback, what it ends in."""
    return str(error).strip().splitlines()[-1].strip()
