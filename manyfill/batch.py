"""Photos on disk to fills on disk: one photo, a folder that can be interrupted, the replay of either from a sidecar.

Several photos of a folder may be in work at once: while the network draws one, others are decoded, textured and
encoded. What runs them is an argument of `carry_out`; `cluster` hands in another one. A folder job keeps
`manifest.jsonl` beside its outputs, one JSON object a line, appended when a photo is finished. The same job again skips
what is done with the same options, model, photo and mask; what failed is tried again.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manyfill import __version__, photos, resolution, sheet
from manyfill.completer import Completer, Completion, read_photo, spread
from manyfill.errors import BadImage, BadMask, ManyfillError

log = logging.getLogger(__name__)

MANIFEST = "manifest.jsonl"
FORMATS = {"png": ".png", "jpg": ".jpg", "webp": ".webp", "tiff": ".tiff"}  # what --format offers, beside "same"

Progress = Callable[[str, int, int], None]  # stage, done, total


# ── what is asked for, what came of it ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Options:
    """How photos are completed and written: all that changes an output's bytes, besides model, photo and mask."""

    n: int = 1
    seed: int = 0
    polarity: str = "white"
    grow: int = 0  # pixels
    band: int = 0  # pixels
    diversity: float = 1.0
    texture: str | float = "auto"
    max_memory: int | None = None  # bytes
    format: str = "same"
    quality: int | None = None
    sheet: bool = True
    uncertainty: bool = False
    explain: bool = False

    def complete(self) -> dict[str, Any]:
        """Those that `Completer.complete` takes, without `n` and `seed`."""
        names = ("polarity", "grow", "band", "diversity", "texture", "max_memory")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Target:
    """Where the files of one photo go: `stem_1.jpg` … with sheet and sidecar, or one plain file."""

    folder: Path
    stem: str
    numbered: bool = True  # False: one fill, called stem + suffix, and no sidecar
    suffix: str | None = None  # None: as the format says

    def fill(self, rank: int, suffix: str) -> Path:
        """Path of the fill of this rank (1 = best)."""
        return self.folder / f"{self.stem}{f'_{rank}' if self.numbered else ''}{self.suffix or suffix}"

    def extra(self, name: str) -> Path:
        """Path of the sheet, the uncertainty map or the explanation."""
        return self.folder / f"{self.stem}_{name}.png"

    @property
    def sidecar(self) -> Path:
        """Path of the JSON sidecar."""
        return self.folder / f"{self.stem}.json"


@dataclass(frozen=True)
class Task:
    """One photo to do. `mask` None: the photo's own transparency is the hole."""

    name: str  # how the job calls it: its path inside the folder
    photo: Path
    mask: Path | None
    target: Target


@dataclass(frozen=True)
class FileRecord:
    """A file that went in: its path, relative to the sidecar where that is possible, and its content."""

    file: str
    sha256: str


@dataclass(frozen=True)
class ModelRecord:
    """The model that was used; `file` is its weights' path, relative to the sidecar, or None for an installed model."""

    name: str
    sha256: str
    file: str | None = None


@dataclass(frozen=True)
class FillRecord:
    """A fill that came out, best first."""

    file: str
    seed: int
    score: float | None
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """Everything needed to make the same bytes again; `stem.json` beside the fills."""

    version: str  # of manyfill
    made_with: Mapping[str, str]  # package -> version, and the device: what else could change a byte
    photo: FileRecord
    mask: FileRecord | None
    height: int
    width: int
    hole_ratio: float
    model: ModelRecord
    options: Options
    seconds: float
    fills: tuple[FillRecord, ...]
    sheet: str | None = None
    uncertainty: str | None = None
    explain: str | None = None

    def to_json(self) -> str:
        """Readable JSON, keys in the order of the fields."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """Raises ManyfillError where the file is missing or not a sidecar."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                **{
                    **raw,
                    "photo": FileRecord(**raw["photo"]),
                    "mask": None if raw["mask"] is None else FileRecord(**raw["mask"]),
                    "model": ModelRecord(**raw["model"]),
                    "options": Options(**raw["options"]),
                    "fills": tuple(FillRecord(**fill) for fill in raw["fills"]),
                }
            )
        except FileNotFoundError:
            raise ManyfillError(f"there is no sidecar {path}.") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = f"no entry {error}" if isinstance(error, KeyError) else str(error)
            raise ManyfillError(f"{path} is not a sidecar that this version can read: {what}.") from error


@dataclass(frozen=True)
class Done:
    """A photo that was completed."""

    name: str
    sidecar: Sidecar
    files: tuple[Path | str, ...]  # all that was written, fills first; addresses where that is not a folder


@dataclass(frozen=True)
class Skipped:
    """A photo that an earlier run completed with the same options."""

    name: str


@dataclass(frozen=True)
class Failed:
    """A photo that could not be completed, and why, in one line."""

    name: str
    error: str


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


@dataclass
class Summary:
    """What a folder job did."""

    done: int = 0
    skipped: int = 0
    failed: list[Failed] = field(default_factory=list)
    seconds: float = 0.0


# ── one photo ───────────────────────────────────────────────────────────────────────────────────────────────────────


def complete_photo(
    completer: Completer,
    task: Task,
    options: Options,
    *,
    model_file: Path | None = None,
    progress: Progress | None = None,
) -> Done:
    """Complete one photo and write its files, each atomically, the sidecar last."""
    start = time.perf_counter()
    photo = read_photo(task.photo, options.max_memory)
    mask = task.photo if task.mask is None else task.mask
    completions = completer.complete(
        photo, mask, n=options.n, seed=options.seed, progress=progress, **options.complete()
    )
    seconds = round(time.perf_counter() - start, 3)
    folder = task.target.folder
    sidecar = Sidecar(
        version=__version__,
        made_with=made_with(completer),
        photo=_record(task.photo, folder),
        mask=None if task.mask is None else _record(task.mask, folder),
        height=photo.height,
        width=photo.width,
        hole_ratio=float(completions[0].hole.mean()),
        model=ModelRecord(
            completer.name, completer.sha256, None if model_file is None else _relative(model_file, folder)
        ),
        options=options,
        seconds=seconds,
        fills=(),
    )
    return _write(task, photo, completions, sidecar)


def replay(
    completer: Completer,
    sidecar: Sidecar,
    task: Task,
    *,
    model_file: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Done, list[str]]:
    """Make the files of a sidecar again, each fill from its own seed.

    Returns what was written, and the names of the fills whose bytes differ from those recorded (another version or
    device). Raises ManyfillError where photo, mask or model are not those recorded.
    """
    _same(task.photo, sidecar.photo, "photo", BadImage)
    if task.mask is not None and sidecar.mask is not None:
        _same(task.mask, sidecar.mask, "mask", BadMask)
    if completer.sha256 != sidecar.model.sha256:
        raise ManyfillError(
            f"model '{completer.name}' has changed since the fills were made: sha256 {completer.sha256[:12]}…,"
            f" recorded {sidecar.model.sha256[:12]}…. Install the version that made the fills,"
            " or name its weights: --model FILE."
        )
    photo = photos.read(task.photo)
    mask = task.photo if task.mask is None else task.mask
    options = sidecar.options.complete()
    completions = []
    for index, fill in enumerate(sidecar.fills):
        if progress is not None:
            progress("fill", index, len(sidecar.fills))
        (completion,) = completer.complete(photo, mask, n=1, seed=fill.seed, **options)
        completions.append(replace(completion, score=fill.score))
    folder = task.target.folder
    again = replace(
        sidecar,
        photo=replace(sidecar.photo, file=_relative(task.photo, folder)),
        mask=None if task.mask is None or sidecar.mask is None
        else replace(sidecar.mask, file=_relative(task.mask, folder)),
        model=replace(sidecar.model, file=None if model_file is None else _relative(model_file, folder)),
    )  # fmt: skip
    done = _write(task, photo, completions, again)
    pairs = zip(sidecar.fills, done.sidecar.fills, strict=True)
    return done, [new.file for old, new in pairs if old.sha256 != new.sha256]


def made_with(completer: Completer) -> dict[str, str]:
    """Versions, device and engine that a picture's bytes may depend on."""
    engine = getattr(completer, "engine", "torch")
    found = {"device": str(getattr(completer, "device", "cpu")), "engine": engine}
    packages = ["torch", "numpy", "pillow", "opencv-python-headless"]
    if engine.startswith("openvino"):
        packages.append("openvino")
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # another build of the same library, such as opencv-python
            found[package] = "unknown"
    return found


def _write(task: Task, photo: photos.Photo, completions: Sequence[Completion], sidecar: Sidecar) -> Done:
    options, target = sidecar.options, task.target
    inputs = {path.resolve() for path in (task.photo, task.mask) if path is not None}
    suffix = photo.suffix if options.format == "same" else FORMATS[options.format]
    target.folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    fills: list[FillRecord] = []

    def keep(path: Path, data: Iterable[bytes | memoryview]) -> str:
        """Write a file, and tell its sha256."""
        if path.resolve() in inputs:
            raise ManyfillError(
                f"{path} is the photo or the mask itself, which is never overwritten. Say where to: -o PATH."
            )
        digest = hashlib.sha256()

        def passing() -> Iterator[bytes | memoryview]:
            for part in data:
                digest.update(part)
                yield part

        photos.write_atomic(path, passing())
        files.append(path)
        return digest.hexdigest()

    for rank, completion in enumerate(completions, start=1):
        path = target.fill(rank, suffix)
        format = photos.SUFFIXES[path.suffix.lower()]
        parts = photos.encode_parts(completion.source, format=format, quality=options.quality, lay=completion.lay)
        fills.append(FillRecord(path.name, completion.seed, completion.score, keep(path, parts)))
    hole = completions[0].hole
    before = _Shown(Completion(photo, 0, None, hole))
    if options.uncertainty:
        path = target.extra("uncertainty")
        keep(path, _heat_map(before, completions))
        sidecar = replace(sidecar, uncertainty=path.name)
    sidecar = replace(sidecar, fills=tuple(fills))
    if options.explain:
        path = target.extra("explain")
        drawn = sheet.contact_sheet(
            before,
            hole,
            [_Explained(completion) for completion in completions],
            title="blue: copied from elsewhere in the photo · orange: drawn by the network",
            labels=[f"{100 * _copied(completion):.0f} % copied" for completion in completions],
        )
        keep(path, [_png(drawn)])
        sidecar = replace(sidecar, explain=path.name)
    if options.sheet:
        path = target.extra("sheet")
        labels = [f"seed {fill.seed}" + ("" if fill.score is None else f" · score {fill.score:.3f}") for fill in fills]
        shown = [_Shown(completion) for completion in completions]
        drawn = sheet.contact_sheet(before, hole, shown, title=_title(sidecar), labels=labels)
        keep(path, [_png(drawn)])
        sidecar = replace(sidecar, sheet=path.name)
    if target.numbered:
        keep(target.sidecar, [sidecar.to_json().encode()])
    return Done(task.name, sidecar, tuple(files))


@dataclass(frozen=True)
class _Shown:
    """A fill for a sheet, a part at a time: four of 48 MP would be as many as 0.8 GB as pictures."""

    completion: Completion

    @property
    def width(self) -> int:
        return self.completion.source.width

    @property
    def height(self) -> int:
        return self.completion.source.height

    def part(self, box: sheet.Box, width: int) -> Image.Image:
        """Means of blocks, as whole as they come: what is left over at the right and below is not shown."""
        factor = max(1, (box.right - box.left) // max(1, 2 * width))
        rows, columns = (box.bottom - box.top) // factor, (box.right - box.left) // factor
        parts = []
        step = max(1, 2**20 // (columns * factor * factor))  # rows of the picture
        for top in range(0, rows, step):
            count = min(step, rows - top)
            parts.append(
                self.strip(resolution.Box(box.top + top * factor, box.left, count * factor, columns * factor), factor)
            )
        if len(parts) == 1:
            return parts[0]
        whole = Image.new(parts[0].mode, (columns, rows))
        for number, part in enumerate(parts):
            whole.paste(part, (0, number * step))
        return whole

    def strip(self, box: resolution.Box, factor: int) -> Image.Image:
        """A part whose sides are multiples of the factor, at 1/factor."""
        source = self.completion.source
        alpha = None if source.alpha is None else source.alpha[box.part]
        strip = photos.to_pil(replace(source, pixels=self.completion.pixels(box), alpha=alpha))
        return strip.reduce(factor) if factor > 1 else strip


@dataclass(frozen=True)
class _Explained(_Shown):
    """A fill coloured by where it comes from."""

    def strip(self, box: resolution.Box, factor: int) -> Image.Image:
        """As of `_Shown`; shares and hole are means of the same blocks."""
        drawn = super().strip(box, factor)
        share, hole = self.completion.copied(box), self.completion.hole[box.part].astype(np.float32)
        copied, filled = (
            np.asarray(cv2.resize(x, drawn.size, interpolation=cv2.INTER_AREA), np.float32) for x in (share, hole)
        )
        return sheet.origins(drawn, copied / np.maximum(filled, np.float32(1e-6)), filled)


def _copied(completion: Completion) -> float:
    """Share of the fill that is the photo's own patches."""
    hole = completion.hole
    box = resolution.tight(hole, resolution.Box(0, 0, *hole.shape))
    if box is None:
        return 0.0
    return sum(float(completion.copied(tile).sum()) for tile in box.tiles(1024)) / float(np.count_nonzero(hole))


def _heat_map(before: _Shown, completions: Sequence[Completion]) -> Iterator[bytes | memoryview]:
    """`sheet.heat_map` of the fills as a PNG's bytes, coloured strip by strip."""

    def lay(rows: NDArray[Any], top: int) -> None:
        box = resolution.Box(top, 0, *rows.shape[:2])
        rows[...] = np.asarray(sheet.heat_map(before.strip(box, 1), spread(completions, box)))

    paper = np.broadcast_to(np.uint8(0), before.completion.source.pixels.shape)
    return photos.encode_parts(photos.Photo(paper), format="png", lay=lay)


def _title(sidecar: Sidecar) -> str:
    fills = f"{len(sidecar.fills)} fill{'s' if len(sidecar.fills) != 1 else ''}"
    name = PurePosixPath(sidecar.photo.file).name
    return f"{name} · {sidecar.width}x{sidecar.height} · {sidecar.model.name} · {fills} in {sidecar.seconds:.1f} s"


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _record(path: Path, folder: Path) -> FileRecord:
    return FileRecord(_relative(path, folder), _sha256(path))


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _same(path: Path, record: FileRecord, what: Literal["photo", "mask"], kind: type[ManyfillError]) -> None:
    if not path.is_file():
        raise kind(f"the {what} {path} is not there any more. Say where it is now: --{what} PATH.")
    if _sha256(path) != record.sha256:
        raise kind(
            f"the {what} {path} has changed since the fills were made. Put the old one back, or name it: --{what} PATH."
        )


# ── a folder ────────────────────────────────────────────────────────────────────────────────────────────────────────


Fate = Done | Skipped | Failed
Running = Generator[tuple[Task, Done | Failed], None, None]

MOST_WORKERS = 4  # by default: they share one network, and one interpreter for what lies between library calls
WORKER_MEMORY = 2 * 2**30  # bytes; four fills of a photo of 48 MP stay below


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
    as a whole makes no sense: no photos, outputs amid inputs.
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
    plan = list(tasks(job))
    photos.sweep(job.out)
    manifest = Manifest(job.out, fingerprint(job.options, model_sha256))
    checked = (Skipped(task.name) if isinstance(task, Task) and manifest.has(task) else task for task in plan)
    return see_through(checked, run, finish=manifest.note, total=len(plan), report=report, progress=progress)


Errand = TypeVar("Errand")  # what a worker is handed: a Task, or a photo behind an address


def see_through(
    plan: Iterable[Errand | Skipped | Failed],
    run: Callable[[Iterator[Errand]], Generator[tuple[Errand, Done | Failed], None, None]],
    *,
    finish: Callable[[Errand | None, Done | Failed], None],
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

    def left() -> Iterator[Errand]:
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
        for errand, fate in finished:
            finish(errand, fate)
            count(fate)
    summary.seconds = time.perf_counter() - start
    return summary


def attempt(completer: Completer, task: Task, options: Options, *, model_file: Path | None = None) -> Done | Failed:
    """`complete_photo`, with whatever goes wrong as one line."""
    try:
        return complete_photo(completer, task, options, model_file=model_file)
    except ManyfillError as error:
        return Failed(task.name, " ".join(str(error).split()))
    except Exception as error:  # whatever this photo hit: the rest of the night's work must not stop
        log.debug("%s failed", task.name, exc_info=True)
        return Failed(task.name, f"{type(error).__name__}: {' '.join(str(error).split())}")


def preview(job: Job, model_sha256: str) -> Iterator[Task | Skipped | Failed]:
    """What `complete_folder` would do, photo by photo; nothing is completed or written. Raises as it does."""
    manifest = Manifest(job.out, fingerprint(job.options, model_sha256))
    for task in tasks(job):
        yield Skipped(task.name) if isinstance(task, Task) and manifest.has(task) else task


def default_workers(max_memory: int | None = None) -> int:
    """Photos to work on at once on this machine: one per core and 2 GiB of free memory, at most MOST_WORKERS.

    One where memory has a ceiling, which is a photo's.
    """
    if max_memory is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, MOST_WORKERS, _free_memory() // WORKER_MEMORY))


def _free_memory() -> int:
    """Bytes that can be had without swapping; where the system does not tell, enough for two workers."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 2 * WORKER_MEMORY


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


def tasks(job: Job) -> Iterator[Task | Failed]:
    """The photos of a job in the order of their names; one without a mask is a Failed. Raises as `complete_folder`."""
    root, out = job.photos.resolve(), job.out.resolve()
    masks = None if job.masks is None or job.masks.is_file() else job.masks.resolve()
    for path, what in ((root, "photos"), (masks, "masks")):
        if path == out:
            raise ManyfillError(
                f"-o {job.out} is the folder of the {what}. Name another folder, so that nothing gets mixed up."
            )
    if masks == root:
        raise ManyfillError(f"--mask {job.masks} is the folder of the photos. Keep the masks in a folder of their own.")
    found = find_photos(job.photos, without=[path for path in (out, masks) if path is not None])
    if job.masks is not None and job.masks.is_file():  # one mask for all, which may lie among the photos
        found = [path for path in found if path.resolve() != job.masks.resolve()]
    names = chosen([path.relative_to(job.photos) for path in found], job.only, str(job.photos))
    candidates = None if masks is None else [path.relative_to(masks) for path in find_photos(masks, without=[out])]
    for pair in pairs(names, candidates, str(job.masks)):
        if isinstance(pair, Failed):
            yield pair
            continue
        mask = job.masks if pair.mask is None or job.masks is None else job.masks / pair.mask
        target = Target(job.out / pair.photo.parent, pair.stem)
        yield Task(pair.photo.as_posix(), job.photos / pair.photo, mask, target)


@dataclass(frozen=True)
class Pair:
    """A photo's path inside the folder, its mask's inside the folder of masks, and the stem of its outputs."""

    photo: Path
    mask: Path | None
    stem: str


def chosen(names: Sequence[Path], only: Sequence[str], folder: str) -> list[Path]:
    """The photos (paths inside `folder`) that fit one of the patterns, if there are any; raises where none is left."""
    fitting = [name for name in names if not only or any(fnmatchcase(name.as_posix(), pattern) for pattern in only)]
    if names and not fitting:
        raise ManyfillError(
            f"none of the {len(names)} photos in {folder} fits --only {' '.join(only)}. Patterns are for"
            " paths inside the folder, such as '*.png' or 'holiday/*'."
        )
    if not names:
        raise ManyfillError(
            f"no photos in {folder}: looked for {' '.join(sorted(photos.SUFFIXES))}, also in sub-folders."
        )
    return fitting


def pairs(names: Sequence[Path], masks: Sequence[Path] | None, folder: str) -> Iterator[Pair | Failed]:
    """Each photo with its mask among `masks` (paths inside `folder`), where these are looked at; else without."""
    stems = output_stems(names)
    candidates: dict[Path, list[Path]] = defaultdict(list)
    for mask in masks or ():
        candidates[mask.with_suffix("")].append(mask)
    for name in names:
        fitting = [None] if masks is None else _fitting(candidates, name)
        if len(fitting) == 1:
            yield Pair(name, fitting[0], stems[name])
            continue
        shown = ", ".join(str(Path(folder) / mask) for mask in fitting if mask)
        why = f"{len(fitting)} masks fit: {shown}" if fitting else f"no mask {name.with_suffix('.*')} in {folder}"
        yield Failed(name.as_posix(), f"{why}. Masks pair by their path without suffix.")


def find_photos(folder: Path, *, without: Iterable[Path] = ()) -> list[Path]:
    """All photos below a folder in the order of their names, without hidden ones and `without` (resolved)."""
    skip = set(without)
    found = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if name[0] != "." and (here / name).resolve() not in skip)
        found += [here / name for name in files if name[0] != "." and Path(name).suffix.lower() in photos.SUFFIXES]
    return sorted(found)


def output_stems(names: Sequence[Path]) -> dict[Path, str]:
    """A stem for each photo's outputs: its own, or with the suffix in it (`a_png`) where two in one folder collide."""
    shared = Counter((name.parent, name.stem.casefold()) for name in names)
    stems = {name: name.stem for name in names if shared[name.parent, name.stem.casefold()] == 1}
    taken = {(name.parent, stem.casefold()) for name, stem in stems.items()}
    for name in names:
        if name in stems:
            continue
        stem = f"{name.stem}_{name.suffix[1:]}"
        while (name.parent, stem.casefold()) in taken:
            stem += "_"
        taken.add((name.parent, stem.casefold()))
        stems[name] = stem
    return stems


def _fitting(masks: Mapping[Path, list[Path]], name: Path) -> list[Path]:
    """Masks for photo `a.jpg`: `a.jpg.png` first, else those of its stem, the one of its very name before others."""
    found = masks.get(name) or masks.get(name.with_suffix("")) or []
    return [name] if name in found else found


# ── the manifest ────────────────────────────────────────────────────────────────────────────────────────────────────


def fingerprint(options: Options, model_sha256: str) -> str:
    """Short name of everything besides photo and mask that decides the outputs."""
    text = json.dumps({**asdict(options), "model": model_sha256}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Manifest:
    """What earlier runs finished: its last word on a photo counts; a line torn by a crash is passed over."""

    def __init__(self, out: Path, key: str) -> None:
        self.out, self.key, self.path = out, key, out / MANIFEST
        self.finished: dict[str, dict[str, Any]] = {}
        self.torn = False
        if self.path.is_file():
            text = self.path.read_text(encoding="utf-8", errors="replace")
            self.torn = bool(text) and not text.endswith("\n")
            for line in text.splitlines():
                try:
                    entry = json.loads(line)
                    self.finished[entry["photo"]] = entry
                except (ValueError, TypeError, KeyError):
                    log.debug("passed over a damaged line of %s", self.path)

    def has(self, task: Task) -> bool:
        """Whether this very photo with this very mask was done with the same options, and its files are still there."""
        entry = self.finished.get(task.name)
        if entry is None or entry.get("status") != "done" or entry.get("key") != self.key:
            return False
        try:
            here = all((self.out / name).is_file() for name in entry["files"])
            pairs = ((task.photo, entry["photo_is"]), (task.mask, entry["mask_is"]))
            return here and all(_unchanged(path, record) for path, record in pairs)
        except (KeyError, TypeError):  # a line that somebody edited
            return False

    def note(self, task: Task | None, fate: Done | Failed) -> None:
        """Note what came of a photo."""
        if isinstance(fate, Failed):
            self.add_failure(fate)
        elif task is not None:
            self.add(task, fate)

    def add(self, task: Task, done: Done) -> None:
        """Note a photo that is done."""
        self._append(
            {
                "photo": task.name,
                "status": "done",
                "key": self.key,
                "files": [Path(path).relative_to(self.out).as_posix() for path in done.files],
                "seconds": done.sidecar.seconds,
                "photo_is": _identity(task.photo, done.sidecar.photo),
                "mask_is": _identity(task.mask, done.sidecar.mask),
            }
        )

    def add_failure(self, failed: Failed) -> None:
        """Note a photo that failed."""
        self._append({"photo": failed.name, "status": "failed", "error": failed.error})

    def _append(self, entry: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = "\n" * self.torn + json.dumps(entry, ensure_ascii=False) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.torn = False


def _identity(path: Path | None, record: FileRecord | None) -> dict[str, Any] | None:
    if path is None or record is None:
        return None
    stat = path.stat()
    return {"size": stat.st_size, "changed_ns": stat.st_mtime_ns, "sha256": record.sha256}


def _unchanged(path: Path | None, known: Mapping[str, Any] | None) -> bool:
    """By size and time of change; where only the time differs, by content."""
    if path is None or known is None:
        return path is None and known is None
    stat = path.stat()
    if stat.st_size != known["size"]:
        return False
    return bool(stat.st_mtime_ns == known["changed_ns"] or _sha256(path) == known["sha256"])
