"""Photos, masks and outputs behind addresses (`stores`): what a worker fetches, completes and puts there.

A worker fetches its photo, completes it in a folder of its own, puts the outputs to their address, and last of all says
in a note for that photo that it is done: object stores do not append.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from manyfill import photos
from manyfill.completer import Completer
from manyfill.errors import CannotWrite, ManyfillError
from manyfill.files import Stamp
from manyfill.jobs.manifest import fingerprint
from manyfill.jobs.pairing import chosen, pairs
from manyfill.jobs.photo import attempt
from manyfill.jobs.records import Done, Failed, FileRecord, Options, Skipped, Target, Task, json_text
from manyfill.stores import Found, Store

NOTES = "manifest"  # folder of the outputs that has a note for each photo that is done


@dataclass(frozen=True)
class Addresses:
    """A job whose photos, masks and outputs lie behind addresses; `masks` and `only` as a Job has them."""

    photos: str
    masks: str | None
    out: str
    options: Options
    model_file: Path | None = None
    only: tuple[str, ...] = ()
    force: bool = False  # replace also what we did not write


@dataclass(frozen=True)
class Errand:
    """One photo behind an address: what is fetched, what is put where."""

    name: str  # its path inside the folder of photos
    photos: Store
    masks: Store | None
    mask: str | None  # its path inside `masks`; "": `masks` is the mask itself
    out: Store
    stem: str
    note: dict[str, Any]  # what was asked: with which options, of which files
    earlier: Mapping[str, int] = field(default_factory=dict)  # what we wrote for it: path in `out` -> size
    force: bool = False

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


def errands(job: Addresses, model_sha256: str) -> Iterator[Errand | Skipped | Failed]:
    """The photos behind the addresses of a job in the order of their names, those skipped that are noted as done."""
    source, out = Store(job.photos), Store(job.out)
    masks = None if job.masks is None else Store(job.masks)
    inside, done = _pictures(source, without=(job.out, job.masks)), out.files()
    one_mask = masks is not None and masks.is_file()
    found = {} if masks is None or one_mask else _pictures(masks, without=(job.out,))
    names = chosen([Path(name) for name in inside], job.only, job.photos)
    earlier = out.read_all([name for name in done if name.startswith(f"{NOTES}/") and name.endswith(".json")])
    key = fingerprint(job.options, model_sha256)
    beside = None if masks is None or one_mask else [Path(name) for name in found]
    for pair in pairs(names, beside, job.masks or ""):
        if isinstance(pair, Failed):
            yield pair
            continue
        name, mask = pair.photo.as_posix(), "" if pair.mask is None else pair.mask.as_posix()
        note = {"photo": name, "key": key, "photo_is": asdict(inside[name])}
        if masks is not None:
            note["mask_is"] = {"of": masks.address} if one_mask else asdict(found[mask])
        errand = Errand(name, source, masks, mask if masks is not None else None, out, pair.stem, note, force=job.force)
        known = _note(earlier.get(errand.note_name, b""))
        status, files = known.pop("status", "done"), _sizes(known.pop("files", None))
        if status == "done" and known == note and files and all(_fits(done, *each) for each in files.items()):
            yield Skipped(name)
        else:
            yield replace(errand, earlier=files)


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


def _sizes(files: Any) -> dict[str, int]:
    """The outputs that a note speaks of and their sizes; -1 where an earlier version noted names alone."""
    if isinstance(files, list):
        return {str(name): -1 for name in files}
    try:
        return {name: int(about["size"]) for name, about in files.items()}
    except (AttributeError, TypeError, KeyError, ValueError):  # there is none, or somebody edited it
        return {}


def _fits(there: Mapping[str, Found], name: str, size: int) -> bool:
    return name in there and size in (-1, there[name].size)


def run_errand(completer: Completer, errand: Errand, options: Options, model_file: Path | None) -> Done | Failed:
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
            done = attempt(completer, task, options, model_file=model_file)
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
    data = {
        (parent / path.name).as_posix(): sidecar.to_json().encode()
        if path == task.target.sidecar
        else path.read_bytes()
        for path in map(Path, done.files)
    }
    stamps = {name: Stamp(len(part), 0, sha256(part).hexdigest()) for name, part in data.items()}
    notes = list(done.notes)
    for name, found in errand.out.some(list(data)).items():
        known = errand.earlier.get(name)
        if errand.force or not found.size or known in (-1, found.size):
            continue
        if known is None:
            raise CannotWrite(
                f"{errand.out.place(name)} already exists, and manyfill has no record of writing it. Say where else"
                " to: -o ADDRESS; or replace it: --force."
            )
        kept = f"{Path(name).with_suffix('').as_posix()}_kept_{found.size}{Path(name).suffix}"
        errand.out.write(kept, errand.out.read(name))
        notes.append(f"{errand.out.place(name)} was not as it was written; what it was is now {kept}")
    about = {name: {"size": stamp.size, "sha256": stamp.sha256} for name, stamp in stamps.items()}

    def note(status: str, files: Any) -> None:
        errand.out.write(errand.note_name, json_text({**errand.note, "status": status, "files": files}).encode())

    note("begun", sorted({*about, *errand.earlier}))
    for name, part in data.items():
        errand.out.write(name, part)
    note("done", about)
    return replace(
        done,
        sidecar=sidecar,
        files=tuple(errand.out.place(name) for name in data),
        outputs={Path(name).name: stamp for name, stamp in stamps.items()},
        notes=tuple(notes),
    )
