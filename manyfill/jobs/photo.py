"""One photo, from file to files, and the same again from its sidecar."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from manyfill import __version__, files, photos, selection
from manyfill.completer import Completer, Completion, read_photo
from manyfill.errors import BadImage, BadMask, ManyfillError
from manyfill.files import Content, Stamp
from manyfill.jobs import gallery
from manyfill.jobs.outputs import Outputs
from manyfill.jobs.records import (
    FORMATS,
    Done,
    Failed,
    FileRecord,
    FillRecord,
    ModelRecord,
    Options,
    Sidecar,
    Target,
    Task,
)
from manyfill.selection.selector import Selected

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # stage, done, total


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
    content = photos.load(task.photo)
    photo_is = content.stamp
    photo = read_photo(content, options.max_memory, strict=options.strict, keep_video=options.keep_video)
    del content  # a photo's file can be as large as its pixels
    mask = None if task.mask is None else _load_mask(task.mask)
    outputs = Outputs(task)
    outputs.check(_expected(task.target, options, photo))
    selected = None if options.selection is None else selection.find(photo, options.selection)
    marked = selected.hole if selected is not None else _marked(photo, mask, options)
    written = photos.SUFFIXES[task.target.fill(1, _suffix(options, photo)).suffix.lower()]
    completions = list(completer.stream(photo, marked, options, progress=progress, written=written))
    photo = completions[0].source if options.extends else photo
    seconds = round(time.perf_counter() - start, 3)
    folder = task.target.folder
    sidecar = Sidecar(
        version=__version__,
        made_with=made_with(completer),
        photo=FileRecord(_relative(task.photo, folder), photo_is.sha256),
        mask=None if mask is None else FileRecord(_relative(mask.path, folder), mask.stamp.sha256),
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
    return _write(
        outputs, photo, completions, sidecar, photo_is, None if mask is None else mask.stamp, selected=selected
    )


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
    photo_file = _same(task.photo, sidecar.photo, "photo", BadImage)
    mask = None if task.mask is None or sidecar.mask is None else _same(task.mask, sidecar.mask, "mask", BadMask)
    if completer.sha256 != sidecar.model.sha256:
        raise ManyfillError(
            f"model '{completer.name}' has changed since the fills were made: sha256 {completer.sha256[:12]}…,"
            f" recorded {sidecar.model.sha256[:12]}…. Install the version that made the fills,"
            " or name its weights: --model FILE."
        )
    photo = photos.read(photo_file, keep_video=sidecar.options.keep_video)
    outputs = Outputs(task)
    outputs.check(_expected(task.target, sidecar.options, photo))
    completions = []
    for index, fill in enumerate(sidecar.fills):
        if progress is not None:
            progress("fill", index, len(sidecar.fills))
        options = replace(sidecar.options, n=1, seed=fill.seed)
        (completion,) = completer.stream(photo, _marked(photo, mask, options), options)
        completions.append(replace(completion, score=fill.score))
    photo = completions[0].source if sidecar.options.extends else photo
    folder = task.target.folder
    again = replace(
        sidecar,
        photo=replace(sidecar.photo, file=_relative(task.photo, folder)),
        mask=None if mask is None or sidecar.mask is None
        else replace(sidecar.mask, file=_relative(mask.path, folder)),
        model=replace(sidecar.model, file=None if model_file is None else _relative(model_file, folder)),
    )  # fmt: skip
    done = _write(outputs, photo, completions, again, photo_file.stamp, None if mask is None else mask.stamp)
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
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            name = Path(os.fsdecode(error.filename or "")).name
            return Failed(task.name, f"the name {name} is too long for this disk. Give the photo a shorter one.")
        words = str(error.strerror or error)
        return Failed(task.name, " ".join(f"{words}: {error.filename}".split()) if error.filename else words)
    except Exception as error:  # whatever this photo hit: the rest of the night's work must not stop
        log.debug("%s failed", task.name, exc_info=True)
        return Failed(task.name, f"{type(error).__name__}: {' '.join(str(error).split())}")


def _marked(photo: photos.Photo, mask: Content | None, options: Options) -> photos.Photo | Content | None:
    """What says where the hole is: a mask, or the photo itself; None where only the canvas is enlarged."""
    if mask is not None:
        return mask
    return None if options.extends and options.polarity in ("white", "black") else photo


def _load_mask(path: Path) -> Content:
    try:
        return photos.load(path)
    except BadImage as error:
        raise BadMask(f"mask {path} cannot be read: {error}") from error


def _suffix(options: Options, photo: photos.Photo) -> str:
    return photo.suffix if options.format == "same" else FORMATS[options.format]


def _expected(target: Target, options: Options, photo: photos.Photo) -> list[Path]:
    """The files that will be written, or more of them where fewer fills come out."""
    fills = range(1, options.n + 1 if target.numbered else 2)
    extras = {"uncertainty": options.uncertainty, "explain": options.explain, "sheet": options.sheet}
    return [
        *(target.fill(rank, _suffix(options, photo)) for rank in fills),
        *(target.extra(name) for name, wanted in extras.items() if wanted),
        *([target.hole] if target.numbered and options.selection is not None else []),
        *([target.sidecar] if target.numbered else []),
    ]


def _write(
    outputs: Outputs,
    photo: photos.Photo,
    completions: Sequence[Completion],
    sidecar: Sidecar,
    photo_is: Stamp,
    mask_is: Stamp | None,
    *,
    selected: Selected | None = None,
) -> Done:
    """Write fills, pictures and, last, the sidecar, and put them in place together.

    What was `selected` is written as a mask that the sidecar names: a replay fills the same hole, however well another
    version selects.
    """
    options, target = sidecar.options, outputs.task.target
    target.folder.mkdir(parents=True, exist_ok=True)
    fills: list[FillRecord] = []
    pictures: dict[str, str] = {}

    def draw(name: str, data: Iterable[bytes | memoryview]) -> str:
        path = target.extra(name)
        pictures[path.name] = outputs.add(path, data)
        return path.name

    with outputs:
        for rank, completion in enumerate(completions, start=1):
            path = target.fill(rank, _suffix(options, photo))
            format = photos.SUFFIXES[path.suffix.lower()]
            parts = photos.encode_parts(completion.source, format=format, quality=options.quality, lay=completion.lay)
            fills.append(FillRecord(path.name, completion.seed, completion.score, outputs.add(path, parts)))
            kept = photos.notes(photo, format=format, quality=options.quality)
            sidecar = replace(sidecar, notes=(*kept, *completion.cautions))
        if options.uncertainty:
            sidecar = replace(sidecar, uncertainty=draw("uncertainty", gallery.heat_map(photo, completions)))
        sidecar = replace(sidecar, fills=tuple(fills))
        if selected is not None:
            sidecar = replace(sidecar, notes=(*sidecar.notes, *selected.notes))
        if selected is not None and target.numbered:
            sha256 = outputs.add(target.hole, selection.as_mask(selected.hole))
            pictures[target.hole.name] = sha256
            sidecar = replace(sidecar, mask=FileRecord(target.hole.name, sha256))
        if options.explain:
            sidecar = replace(sidecar, explain=draw("explain", [gallery.explanation(photo, completions)]))
        if options.sheet:
            sidecar = replace(sidecar, sheet=draw("sheet", [gallery.contact_sheet(photo, completions, sidecar)]))
        sidecar = replace(sidecar, pictures=pictures)
        if target.numbered:
            outputs.add(target.sidecar, [sidecar.to_json().encode()])
        outputs.put()
    written = tuple(target.folder / name for name in outputs.stamps)
    return Done(
        outputs.task.name, sidecar, written, photo_is, mask_is, dict(outputs.stamps), notes=tuple(outputs.notes)
    )


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def _same(path: Path, record: FileRecord, what: Literal["photo", "mask"], kind: type[ManyfillError]) -> Content:
    """The file, if it is the one recorded."""
    try:
        content = files.read(path)
    except FileNotFoundError:
        raise kind(f"the {what} {path} is no longer there. Say where it is now: --{what} PATH.") from None
    except OSError as error:
        raise kind(f"the {what} {path} cannot be read: {error.strerror or error}.") from None
    if content.stamp.sha256 != record.sha256:
        raise kind(
            f"the {what} {path} has changed since the fills were made. Put the old one back, or name it: --{what} PATH."
        )
    return content
