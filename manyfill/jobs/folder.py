"""A folder of photos, several of them in work at once, interrupted and resumed.

While the network draws one photo, others are decoded, textured and encoded. What runs them is an argument of
`carry_out`; `cluster` hands in another one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from manyfill import files, memory
from manyfill.completer import Completer
from manyfill.errors import ManyfillError
from manyfill.jobs.manifest import MANIFEST, Manifest, fingerprint
from manyfill.jobs.pairing import chosen, find_photos, pairs
from manyfill.jobs.photo import Progress, attempt
from manyfill.jobs.records import Done, Failed, Fate, Options, Skipped, Target, Task

Running = Generator[tuple[Task, Done | Failed], None, None]


MOST_WORKERS = 4  # by default: they share one network, and one interpreter for what lies between library calls
WORKER_MEMORY = 2 * 2**30  # bytes; four fills of a photo of 48 MP stay below


@dataclass(frozen=True)
class Job:
    """A folder of photos. `masks`: a folder of masks that pair by relative stem, one for all, or None: in the photos.

    `only`: patterns of paths inside the folder, of which a photo must fit one; `*` fits any characters, "/" too.
    """

    photos: Path
    masks: Path | None
    out: Path
    options: Options
    model_file: Path | None = None  # the weights, where the model is not an installed one
    only: tuple[str, ...] = ()
    force: bool = False  # replace also files in `out` that we did not write


@dataclass
class Summary:
    """What a folder job did."""

    done: int = 0
    skipped: int = 0
    failed: list[Failed] = field(default_factory=list)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()  # what a person should know of the folder itself, such as links passed over


def complete_folder(
    completer: Completer,
    job: Job,
    *,
    workers: int = 1,
    report: Callable[[Fate], None] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Complete every photo of a folder; what one photo does wrong is reported and never stops the rest.

    `workers` photos are in work at once; files and their bytes do not depend on how many. Each photo's fate is handed
    to `report` when it is known; `progress` is called with ("photos", done, total). Raises ManyfillError where the job
    as a whole makes no sense: no photos, outputs among inputs; Busy where another process works on the same outputs.
    """

    def work(task: Task) -> Done | Failed:
        return attempt(completer, task, job.options, model_file=job.model_file)

    return carry_out(
        job, completer.sha256, lambda left: _in_threads(work, left, workers), report=report, progress=progress
    )


def carry_out(
    job: Job,
    model_sha256: str,
    run: Callable[[Iterator[Task]], Running],
    *,
    report: Callable[[Fate], None] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Hand what earlier runs left to do to `run`, and keep the manifest of what comes back, in any order.

    `report`, `progress` and errors as `complete_folder` has them. Only this process writes the manifest.
    """
    notes: list[str] = []
    plan = list(tasks(job, note=notes.append))
    with files.lock(job.out / MANIFEST, f"the fills in {job.out}"):
        files.sweep(job.out)
        manifest = Manifest(job.out, fingerprint(job.options, model_sha256))

        def checked() -> Iterator[Task | Skipped | Failed]:
            for task in plan:
                if isinstance(task, Failed):
                    yield task
                elif manifest.has(task):
                    yield Skipped(task.name)
                else:
                    manifest.begin(task)
                    yield replace(task, earlier=manifest.earlier(task))

        summary = work_through(checked(), run, finish=manifest.note, total=len(plan), report=report, progress=progress)
    return replace(summary, notes=tuple(notes))


Each = TypeVar("Each")  # what a worker is handed: a Task, or a photo behind an address


def work_through(
    plan: Iterable[Each | Skipped | Failed],
    run: Callable[[Iterator[Each]], Generator[tuple[Each, Done | Failed], None, None]],
    *,
    finish: Callable[[Each | None, Done | Failed], None],
    total: int,
    report: Callable[[Fate], None] | None,
    progress: Progress | None,
) -> Summary:
    """Hand what is left of a plan to `run`, let `finish` note what comes of it, and count."""
    start = time.perf_counter()
    summary = Summary()

    def count(fate: Fate) -> None:
        if isinstance(fate, Skipped):
            summary.skipped += 1
        elif isinstance(fate, Failed):
            summary.failed.append(fate)
        else:
            summary.done += 1
        if report is not None:
            report(fate)
        if progress is not None:
            progress("photos", summary.done + summary.skipped + len(summary.failed), total)

    def left() -> Iterator[Each]:
        for each in plan:
            if isinstance(each, Failed):
                finish(None, each)
                count(each)
            elif isinstance(each, Skipped):
                count(each)
            else:
                yield each

    if progress is not None:
        progress("photos", 0, total)
    with closing(run(left())) as finished:
        for each_, fate in finished:
            finish(each_, fate)
            count(fate)
    summary.seconds = time.perf_counter() - start
    return summary


def preview(
    job: Job, model_sha256: str, *, note: Callable[[str], None] | None = None
) -> Iterator[Task | Skipped | Failed]:
    """What `complete_folder` would do, photo by photo; nothing is completed or written. Raises as it does."""
    manifest = Manifest(job.out, fingerprint(job.options, model_sha256))
    for task in tasks(job, note=note):
        yield Skipped(task.name) if isinstance(task, Task) and manifest.has(task) else task


def default_workers(max_memory: int | None = None, *, root: Path = memory.ROOT, affinity: int | None = None) -> int:
    """Photos to work on at once on this machine: one per core and 2 GiB of free memory, at most MOST_WORKERS.

    A container's limits count. One where memory has a ceiling, which is a photo's; two where the system does not say
    how much is free. `root` holds the kernel's files; `affinity`: cores that may be used, None: this process's.
    """
    if max_memory is not None:
        return 1
    free = memory.available(root)
    return max(1, min(cores(root, affinity), MOST_WORKERS, 2 if free is None else free // WORKER_MEMORY))


def cores(root: Path = memory.ROOT, affinity: int | None = None) -> int:
    """Cores that this process may keep busy: those of its affinity, in a container no more than its share of time."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = here if affinity is None else affinity
    try:
        quota, period = (root / memory.GROUP / "cpu.max").read_text().split()
        return max(1, min(found, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no container, or no limit: "max"
        return found


def _in_threads(work: Callable[[Task], Done | Failed], left: Iterator[Task], workers: int) -> Running:
    """Each task with what came of it, in the order in which they finish; threads share the network's memory."""
    if workers == 1:
        for task in left:
            yield task, work(task)
        return
    with ThreadPoolExecutor(workers) as pool:
        running: dict[Future[Done | Failed], Task] = {}
        while True:
            for task in islice(left, workers + 1 - len(running)):  # one waits, so that no thread does
                running[pool.submit(work, task)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def tasks(job: Job, *, note: Callable[[str], None] | None = None) -> Iterator[Task | Failed]:
    """The photos of a job in the order of their names; one without a mask is a Failed. Raises as `complete_folder`.

    `note` hears of folders that are passed over.
    """
    root, out = job.photos.resolve(), job.out.resolve()
    masks = None if job.masks is None or job.masks.is_file() else job.masks.resolve()
    for path, what in ((root, "photos"), (masks, "masks")):
        if path == out:
            raise ManyfillError(
                f"-o {job.out} is the folder of the {what}. Name another folder, so that nothing gets mixed up."
            )
    if masks == root:
        raise ManyfillError(f"--mask {job.masks} is the folder of the photos. Keep the masks in their own folder.")
    found = find_photos(job.photos, without=[path for path in (out, masks) if path is not None])
    if note is not None:
        for text in found.notes:
            note(text)
    there = found.photos
    if job.masks is not None and job.masks.is_file():  # one mask for all, which may lie among the photos
        there = tuple(path for path in there if path.resolve() != job.masks.resolve())
    names = chosen([path.relative_to(job.photos) for path in there], job.only, str(job.photos))
    candidates = None
    if masks is not None:
        candidates = [path.relative_to(masks) for path in find_photos(masks, without=[out]).photos]
    for pair in pairs(names, candidates, str(job.masks)):
        if isinstance(pair, Failed):
            yield pair
            continue
        mask = job.masks if pair.mask is None or job.masks is None else job.masks / pair.mask
        target = Target(job.out / pair.photo.parent, pair.stem)
        yield Task(pair.photo.as_posix(), job.photos / pair.photo, mask, target, force=job.force)
