"""What `manyfill complete` does once its options are read: one photo, a folder here, or a folder on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from manyfill.cli import console
from manyfill.cli.reporter import Reporter
from manyfill.completer import Completer
from manyfill.jobs import addresses as remotes
from manyfill.jobs import cluster as machines
from manyfill.jobs import folder as folders
from manyfill.jobs.addresses import Addresses, Errand
from manyfill.jobs.folder import Job, Summary
from manyfill.jobs.photo import complete_photo
from manyfill.jobs.records import Done, Failed, Options, Skipped, Task


@dataclass(frozen=True)
class Loaded:
    """A model that is loaded here, and how other machines load the same."""

    completer: Completer
    file: Path | None  # its weights, where it is not an installed model
    name: str
    device: str
    engine: str


def one(model: Loaded, task: Task, options: Options, show: Reporter) -> int:
    """Fill one photo; gives the exit code, as all here do."""
    with console.bar(task.photo.name) as progress:
        done = complete_photo(model.completer, task, options, model_file=model.file, progress=progress)
    show.done(done, lambda file: str(task.target.folder / file))
    console.say(f"{console.count(len(done.sidecar.fills), 'fill')} in {done.sidecar.seconds:.1f} s")
    return 0


def folder(model: Loaded, job: Job, show: Reporter, *, workers: int | None) -> int:
    """Fill a folder of photos on this machine."""
    workers = workers or folders.default_workers(job.options.max_memory)
    return _run(job, show, partial(folders.complete_folder, model.completer, job, workers=workers))


def cluster(model: Loaded, job: Job | Addresses, show: Reporter, *, address: str, workers: int | None) -> int:
    """Fill photos in a folder, or behind an address, on a Ray cluster."""
    name = model.name if model.file is None else str(model.file)
    where = machines.Model(name, model.device, model.engine, model.completer.sha256)
    if isinstance(job, Addresses):
        return _run(job, show, partial(machines.complete_addresses, where, job, address=address, workers=workers))
    return _run(job, show, partial(machines.complete_folder, where, job, address=address, workers=workers))


def preview(model: Loaded, job: Job | Addresses, show: Reporter) -> int:
    """Say what would be done, and write nothing."""
    fates: Iterable[Task | Errand | Skipped | Failed]
    if isinstance(job, Addresses):
        fates = remotes.errands(job, model.completer.sha256)
    else:
        fates = folders.preview(job, model.completer.sha256, note=lambda text: console.say(f"note: {text}"))
    counts = {"to do": 0, "done before": 0, "that will fail": 0}
    for fate in fates:
        if isinstance(fate, Failed):
            counts["that will fail"] += 1
            show.failed(fate)
            console.say(f"will fail: {fate.name}: {fate.error}")
        elif isinstance(fate, Skipped):
            counts["done before"] += 1
        else:
            counts["to do"] += 1
            show.planned(fate)
    console.say(f"{', '.join(f'{count} {what}' for what, count in counts.items())}; nothing was written")
    return 1 if counts["that will fail"] else 0


def _run(job: Job | Addresses, show: Reporter, work: Callable[..., Summary]) -> int:
    """Do the work of many photos, and say what became of them."""

    def place(name: str) -> str:
        return f"{job.out.rstrip('/')}/{name}" if isinstance(job, Addresses) else str(job.out / name)

    def report(fate: Done | Skipped | Failed) -> None:
        if isinstance(fate, Done):
            parent = Path(fate.name).parent
            show.done(fate, lambda file: place((parent / file).as_posix()))
        elif isinstance(fate, Failed):
            show.failed(fate)

    with console.bar("photos") as progress:
        summary = work(report=report, progress=progress)
    for note in summary.notes:
        console.say(f"note: {note}")
    parts = [f"{summary.done} done"]
    if summary.skipped:
        parts.append(f"{summary.skipped} done before")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    rate = f", {summary.done / summary.seconds:.2f} photos/s" if summary.done and summary.seconds else ""
    console.say(f"{', '.join(parts)}; {summary.seconds:.1f} s{rate}")
    for failed in summary.failed:
        console.say(f"failed: {failed.name}: {failed.error}")
    return 1 if summary.failed else 0
