"""One photo, from file to files, and the same again from its sidecar."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from manyfill import __version__, files, photos
from manyfill.completer import Completer, Completion, read_photo
from manyfill.errors import BadImage, BadMask, ManyfillError
from manyfill.jobs import gallery
from manyfill.jobs.records import Done, Failed, FileRecord, FillRecord, ModelRecord, Options, Sidecar

log = logging.getLogger(__name__)

FORMATS = {"png": ".png", "jpg": ".jpg", "webp": ".webp", "tiff": ".tiff"}  # what --format offers, beside "same"

Progress = Callable[[str, int, int], None]  # stage, done, total


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
    completions = list(completer.stream(photo, mask, options, progress=progress))
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
    completions = []
    for index, fill in enumerate(sidecar.fills):
        if progress is not None:
            progress("fill", index, len(sidecar.fills))
        (completion,) = completer.stream(photo, mask, replace(sidecar.options, n=1, seed=fill.seed))
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


def attempt(completer: Completer, task: Task, options: Options, *, model_file: Path | None = None) -> Done | Failed:
    """`complete_photo`, with whatever goes wrong as one line."""
    try:
        return complete_photo(completer, task, options, model_file=model_file)
    except ManyfillError as error:
        return Failed(task.name, " ".join(str(error).split()))
    except Exception as error:  # whatever this photo hit: the rest of the night's work must not stop
        log.debug("%s failed", task.name, exc_info=True)
        return Failed(task.name, f"{type(error).__name__}: {' '.join(str(error).split())}")


def _write(task: Task, photo: photos.Photo, completions: Sequence[Completion], sidecar: Sidecar) -> Done:
    options, target = sidecar.options, task.target
    inputs = {path.resolve() for path in (task.photo, task.mask) if path is not None}
    suffix = photo.suffix if options.format == "same" else FORMATS[options.format]
    target.folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
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

        files.write_atomic(path, passing())
        written.append(path)
        return digest.hexdigest()

    for rank, completion in enumerate(completions, start=1):
        path = target.fill(rank, suffix)
        format = photos.SUFFIXES[path.suffix.lower()]
        parts = photos.encode_parts(completion.source, format=format, quality=options.quality, lay=completion.lay)
        fills.append(FillRecord(path.name, completion.seed, completion.score, keep(path, parts)))
    if options.uncertainty:
        path = target.extra("uncertainty")
        keep(path, gallery.heat_map(photo, completions))
        sidecar = replace(sidecar, uncertainty=path.name)
    sidecar = replace(sidecar, fills=tuple(fills))
    if options.explain:
        path = target.extra("explain")
        keep(path, [gallery.explanation(photo, completions)])
        sidecar = replace(sidecar, explain=path.name)
    if options.sheet:
        path = target.extra("sheet")
        keep(path, [gallery.contact_sheet(photo, completions, sidecar)])
        sidecar = replace(sidecar, sheet=path.name)
    if target.numbered:
        keep(target.sidecar, [sidecar.to_json().encode()])
    return Done(task.name, sidecar, tuple(written))


def _record(path: Path, folder: Path) -> FileRecord:
    return FileRecord(_relative(path, folder), sha256_of(path))


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _same(path: Path, record: FileRecord, what: Literal["photo", "mask"], kind: type[ManyfillError]) -> None:
    if not path.is_file():
        raise kind(f"the {what} {path} is not there any more. Say where it is now: --{what} PATH.")
    if sha256_of(path) != record.sha256:
        raise kind(
            f"the {what} {path} has changed since the fills were made. Put the old one back, or name it: --{what} PATH."
        )
