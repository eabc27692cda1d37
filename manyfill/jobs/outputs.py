"""The files of one photo, put in place together; nothing is replaced but what we wrote.

All are written beside their places first. Then a hidden note of their checksums is left, they are renamed, and the note
is removed: where a run is killed between two renames, the next one still knows which files are its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from manyfill import files
from manyfill.errors import CannotWrite, ManyfillError
from manyfill.files import Parcel, Stamp
from manyfill.jobs import ledger
from manyfill.jobs.records import Sidecar, Target, Task, json_text


class Outputs:
    """What lies where the files of a photo go, and what may become of it.

    A file may be replaced where our sidecar, the job's manifest, the note of a killed run or the user's cache
    (`ledger`) has its checksum, or where it is empty. A job that goes on also makes again what somebody changed or
    damaged; that file is kept under another name. Everything else is refused, but for `task.force`; photo and mask
    themselves are refused always.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.stamps: dict[str, Stamp] = {}  # what was added
        self.notes: list[str] = []
        self._ours = _claimed(task)
        self._parcel = Parcel()

    def check(self, paths: Iterable[Path]) -> None:
        """Raise CannotWrite for the first of these that may not be replaced: before minutes of work are spent on it."""
        for path in paths:
            self._check(path)

    def add(self, path: Path, data: bytes | Iterable[bytes | memoryview]) -> str:
        """Write one of the files beside its place, and return its sha256. Raises CannotWrite."""
        self._check(path)
        self.stamps[path.name] = self._parcel.add(path, data)
        return self.stamps[path.name].sha256

    def put(self) -> None:
        """Put all of them in place, and clear away what an earlier run left that this one did not write again."""
        target = self.task.target
        for name in self.stamps:
            self._check(target.folder / name)
        if not target.numbered:
            self._parcel.put()
            self._remember()
            return
        files.write_atomic(_note(target), json_text(self._claims()).encode())
        try:
            if self._is_ours(target.sidecar):
                target.sidecar.unlink(missing_ok=True)  # it would speak of fills that are being replaced
            for name in self.stamps:
                self._set_aside(target.folder / name)
            self._parcel.put()
            self._clear_away()
        except BaseException:
            self._remember()
            raise
        finally:
            _note(target).unlink(missing_ok=True)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        self._parcel.__exit__()

    def _check(self, path: Path) -> None:
        if any(given is not None and _same(path, given) for given in (self.task.photo, self.task.mask)):
            raise ManyfillError(
                f"{path} is the photo or the mask itself, which is never overwritten. Say where to: -o PATH."
            )
        if not os.path.lexists(path):
            return
        if path.is_dir() and not path.is_symlink():
            raise CannotWrite(f"{path} is a folder. Name a file in it.")
        if self.task.force or self._is_ours(path) or self._is_changed(path):
            return
        raise ledger.refusal(path)

    def _is_ours(self, path: Path) -> bool:
        """Whether nothing would be lost: what we wrote, as we wrote it, or an empty file."""
        return ledger.is_ours(path, self._ours.get(path.name, ()))

    def _is_changed(self, path: Path) -> bool:
        """Whether a job that goes on finds something else where it wrote a file."""
        return self.task.earlier is not None and path.name in self._ours and path.is_file() and not path.is_symlink()

    def _remember(self) -> None:
        """Note in the cache which files are ours that no sidecar speaks of."""
        for name, known in self._claims().items():
            path = self.task.target.folder / name
            if path.is_file() and not path.is_symlink() and (sha256 := files.sha256_of(path)) in known:
                ledger.remember(path, sha256)

    def _claims(self) -> dict[str, list[str]]:
        """By name, the checksums of all that an earlier run wrote and this one writes."""
        claims = {name: {each for each in known if each is not None} for name, known in self._ours.items()}
        for name, stamp in self.stamps.items():
            claims.setdefault(name, set()).add(stamp.sha256)
        return {name: sorted(known) for name, known in claims.items()}

    def _set_aside(self, path: Path) -> None:
        if self.task.force or not self._is_changed(path) or self._is_ours(path):
            return
        kept = path.with_stem(f"{path.stem}_kept")
        while os.path.lexists(kept):
            kept = kept.with_stem(f"{kept.stem}_")
        path.rename(kept)
        self.notes.append(f"{path} was not as it was written; what it was is now {kept.name}")

    def _clear_away(self) -> None:
        """Files of an earlier run with more fills or other pictures: removed by a job that goes on, else only told."""
        left = [self.task.target.folder / name for name in self._ours if name not in self.stamps]
        left = [path for path in sorted(left) if path.is_file() and not path.is_symlink()]
        for path in left if self.task.earlier is not None else ():
            if files.sha256_of(path) in self._ours[path.name]:
                path.unlink()
        there = [path.name for path in left if path.exists()]
        if there:
            self.notes.append(f"left of an earlier run in {self.task.target.folder}: {', '.join(there)}")


def _claimed(task: Task) -> dict[str, set[str | None]]:
    """The files that we wrote for this photo, by name, and their checksums; None: any content."""
    claimed: defaultdict[str, set[str | None]] = defaultdict(set)
    for name, stamp in (task.earlier or {}).items():
        if name == Path(name).name:  # a manifest may be anybody's: it speaks of this folder alone
            claimed[name].add(stamp.sha256)
    target = task.target
    if not target.numbered:
        return claimed
    try:
        for name, sha256 in Sidecar.read(target.sidecar).written().items():
            if name == Path(name).name:
                claimed[name].add(sha256)
        claimed[target.sidecar.name].add(files.sha256_of(target.sidecar))
    except (ManyfillError, OSError):
        pass  # there is none, or it is somebody else's
    try:
        begun = json.loads(files.read(_note(target)).data)
        for name, known in begun.items():
            claimed[name].update(map(str, known))
    except (OSError, ValueError, AttributeError):
        pass  # as is usual: no run was killed here
    return claimed


def _note(target: Target) -> Path:
    name = hashlib.sha256(os.fsencode(target.stem)).hexdigest()[:16]  # a long stem leaves no room for more letters
    return target.folder / f".manyfill-{name}.begun"


def _same(path: Path, other: Path) -> bool:
    """Whether these are one file, by whatever names."""
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is not there
        return False
