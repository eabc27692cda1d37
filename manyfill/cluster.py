"""The folder job of `batch` on Ray: workers on many machines, one manifest.

Each worker is a Ray actor that holds the model; photos, masks and outputs lie where every machine sees them under the
same path. The process that started the job hands out photos and alone writes the manifest, so that nothing is noted
twice. Where a worker dies, with its machine or for want of memory, Ray starts another one and hands it the photo anew:
outputs are written atomically and are the same bytes each time.

Photos, masks and outputs may also lie behind addresses (`stores`). Then a worker fetches its photo, completes it in a
folder of its own, puts the outputs there, and last of all a note for that photo: object stores do not append.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from manyfill import batch, photos, zoo
from manyfill.batch import (
    Done,
    Failed,
    Fate,
    FileRecord,
    Job,
    Options,
    Progress,
    Running,
    Skipped,
    Summary,
    Target,
    Task,
)
from manyfill.completer import Completer
from manyfill.errors import ManyfillError, MissingExtra
from manyfill.fillers import FILLERS
from manyfill.stores import Found, Store

NOTES = "manifest"  # folder of the outputs that has a note for each photo that is done
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
            return _run_errand(self.completer, task, options, model_file)
        return batch.attempt(self.completer, task, options, model_file=model_file)


@dataclass(frozen=True)
class Addresses:
    """A job whose photos, masks and outputs lie behind addresses; `masks` and `only` as a Job has them."""

    photos: str
    masks: str | None
    out: str
    options: Options
    model_file: Path | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Errand:
    """One photo behind an address: what is fetched, what is put where."""

    name: str  # its path inside the folder of photos
    photos: Store
    masks: Store | None
    mask: str | None  # its path inside `masks`; "": `masks` is the mask itself
    out: Store
    stem: str
    note: dict[str, Any]  # that says, once it is there, that this photo is done: with which options, of which files

    @property
    def note_name(self) -> str:
        """Where the note is kept."""
        return f"{NOTES}/{self.name}.json"

    @property
    def mask_address(self) -> str | None:
        """Where its mask lies."""
        if self.masks is None:
            return None
        return self.masks.place(self.mask) if self.mask else self.masks.address


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
    return batch.see_through(plan, run, finish=lambda *_: None, total=len(plan), report=report, progress=progress)


def errands(job: Addresses, model_sha256: str) -> Iterator[Errand | Skipped | Failed]:
    """The photos behind the addresses of a job in the order of their names, those skipped that are noted as done."""
    source, out = Store(job.photos), Store(job.out)
    masks = None if job.masks is None else Store(job.masks)
    inside, done = _pictures(source, without=(job.out, job.masks)), out.files()
    one_mask = masks is not None and masks.is_file()
    found = {} if masks is None or one_mask else _pictures(masks, without=(job.out,))
    names = batch.chosen([Path(name) for name in inside], job.only, job.photos)
    earlier = out.read_all([name for name in done if name.startswith(f"{NOTES}/") and name.endswith(".json")])
    key = batch.fingerprint(job.options, model_sha256)
    beside = None if masks is None or one_mask else [Path(name) for name in found]
    for pair in batch.pairs(names, beside, job.masks or ""):
        if isinstance(pair, Failed):
            yield pair
            continue
        name, mask = pair.photo.as_posix(), "" if pair.mask is None else pair.mask.as_posix()
        note = {"photo": name, "key": key, "photo_is": asdict(inside[name])}
        if masks is not None:
            note["mask_is"] = {"of": masks.address} if one_mask else asdict(found[mask])
        errand = Errand(name, source, masks, mask if masks is not None else None, out, pair.stem, note)
        known = _note(earlier.get(errand.note_name, b""))
        files = known.pop("files", [""])
        yield Skipped(name) if known == note and all(file in done for file in files) else errand


def _pictures(store: Store, *, without: tuple[str | None, ...]) -> dict[str, Found]:
    """The photos in a store by name, without hidden ones and those in folders of it that are `without`."""
    prefixes = [address.rstrip("/") + "/" for address in without if address is not None]
    return {
        name: about
        for name, about in sorted(store.files().items())
        if Path(name).suffix.lower() in photos.SUFFIXES
        and not any(part.startswith(".") for part in Path(name).parts)
        and not any(store.place(name).startswith(prefix) for prefix in prefixes)
        and store.place(name) not in without
    }


def _note(data: bytes) -> dict[str, Any]:
    """What a note says; nothing where it is damaged or missing."""
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _run_errand(completer: Completer, errand: Errand, options: Options, model_file: Path | None) -> Done | Failed:
    """Fetch a photo and its mask, complete it in a folder of its own, put what came of it, and last the note."""
    try:
        with tempfile.TemporaryDirectory(prefix="manyfill-") as folder:
            photo = Path(folder, "photo", Path(errand.name).name)
            photo.parent.mkdir()
            photo.write_bytes(errand.photos.read(errand.name))
            mask = None
            if errand.masks is not None:
                mask = Path(folder, "mask", Path(errand.mask or errand.masks.address).name)
                mask.parent.mkdir()
                mask.write_bytes(errand.masks.read(errand.mask or ""))
            task = Task(errand.name, photo, mask, Target(Path(folder, "fills"), errand.stem))
            done = batch.attempt(completer, task, options, model_file=model_file)
            if isinstance(done, Failed):
                return Failed(done.name, done.error.replace(str(photo), errand.photos.place(errand.name)))
            return _put(errand, task, done, model_file)
    except (ManyfillError, OSError) as error:
        return Failed(errand.name, " ".join(str(error).split()))


def _put(errand: Errand, task: Task, done: Done, model_file: Path | None) -> Done:
    """Outputs to their address; the sidecar names what was fetched by its address."""
    parent = Path(errand.name).parent
    sidecar = replace(done.sidecar, photo=FileRecord(errand.photos.place(errand.name), done.sidecar.photo.sha256))
    if model_file is not None:
        sidecar = replace(sidecar, model=replace(sidecar.model, file=model_file.as_posix()))
    address = errand.mask_address
    if sidecar.mask is not None and address is not None:
        sidecar = replace(sidecar, mask=FileRecord(address, sidecar.mask.sha256))
    names = []
    for path in map(Path, done.files):
        data = sidecar.to_json().encode() if path == task.target.sidecar else path.read_bytes()
        names.append((parent / path.name).as_posix())
        errand.out.write(names[-1], data)
    note = json.dumps({**errand.note, "files": names}, ensure_ascii=False)
    errand.out.write(errand.note_name, note.encode())
    return Done(done.name, sidecar, tuple(errand.out.place(name) for name in names))


def complete_folder(
    model: Model,
    job: Job,
    *,
    address: str = "auto",
    workers: int | None = None,
    report: Callable[[Fate], None] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """What `batch.complete_folder` does, on a Ray cluster: the same files, and a manifest that either resumes.

    `address`: a cluster's, or "auto": the one in RAY_ADDRESS or of this machine, else Ray is started on this machine.
    `workers`: None takes one per core, or one per GPU where the device is not the CPU and the cluster has GPUs.
    Raises MissingExtra without Ray, ManyfillError where the cluster cannot be reached or a worker cannot load the
    model, and as `batch.complete_folder` does.
    """
    here = _everywhere_the_same(job)
    model = _absolute(model)

    def run(left: Iterator[Task]) -> Running:
        with _connected(address) as ray:
            yield from _on_actors(ray, model, here, left, workers)

    return batch.carry_out(here, model.sha256, run, report=report, progress=progress)


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
    ray: Any, model: Model, job: Job | Addresses, left: Iterator[Each], workers: int | None
) -> Generator[tuple[Each, Done | Failed], None, None]:
    """Each task with what came of it, in the order in which they finish."""
    found = ray.cluster_resources()
    on_gpus = model.device != "cpu" and found.get("GPU", 0) >= 1
    count = workers or max(1, int(found["GPU" if on_gpus else "CPU"]))
    share = {"num_cpus": 0, "num_gpus": 1} if on_gpus else {"num_cpus": 1}
    hire = ray.remote(Worker).options(max_restarts=-1, max_task_retries=TRIES - 1, **share)
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
                fate = Failed(task.name, f"{TRIES} workers died of it. {_last_line(error)}")
            yield task, fate
            for following in islice(left, 1):
                hand(actor, following)
    finally:
        for actor in actors:
            ray.kill(actor)


def _last_line(error: Exception) -> str:
    """Of a worker's traceback, what it ends in."""
    return str(error).strip().splitlines()[-1].strip()
