"""`manifest.jsonl` beside the outputs of a folder job: what earlier runs did, so that the same job again goes on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from manyfill import files
from manyfill.errors import CannotRead
from manyfill.files import Stamp
from manyfill.jobs.records import Done, Failed, Options, Task, json_text

log = logging.getLogger(__name__)

MANIFEST = "manifest.jsonl"


def fingerprint(options: Options, model_sha256: str) -> str:
    """Short name of everything besides photo and mask that decides the outputs."""
    named = asdict(options)
    if options.near is None:  # as before these two were options: folders begun then go on
        del named["near"], named["step"]
    if not options.strict:  # likewise; a strict job looks again at what a lenient one filled
        del named["strict"]
    if not options.keep_video:
        del named["keep_video"]
    for name in ("selection", "extend", "extend_to"):
        if getattr(options, name) is None:
            del named[name]
    text = json.dumps({**named, "model": model_sha256}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Manifest:
    """What earlier runs did: the last word on a photo counts; a line torn by a crash is passed over.

    A photo is "begun" before its first file, then "done" with the size, time and checksum of each file, or "failed".
    """

    def __init__(self, out: Path, key: str) -> None:
        self.out, self.key, self.path = out, key, out / MANIFEST
        self._last: dict[str, bytes] = {}  # by photo: its last line, which is read when it is asked for
        self._done: dict[str, bytes] = {}  # by photo: its last line that says "done"
        try:
            with files.open_regular(self.path) as lines:
                for line in lines:
                    self._learn(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise CannotRead(f"{self.path} cannot be read: {error.strerror or error}.") from None

    def last(self, name: str) -> dict[str, Any]:
        """What was last said of a photo; nothing where it is not known."""
        return dict(json.loads(self._last.get(name, b"{}")))

    def has(self, task: Task) -> bool:
        """Whether this very photo with this very mask was done with the same options, and its files are as written."""
        entry = self.last(task.name)
        if entry.get("status") != "done" or entry.get("key") != self.key:
            return False
        try:
            if isinstance(entry["files"], list):  # earlier versions noted names alone
                whole = all((self.out / name).is_file() for name in entry["files"])
            else:
                whole = all(Stamp(**stamp).fits(self.out / name) for name, stamp in entry["files"].items())
            pairs = ((task.photo, entry["photo_is"]), (task.mask, entry["mask_is"]))
            return whole and all(_unchanged(path, record) for path, record in pairs)
        except (KeyError, TypeError, AttributeError):  # a line that somebody edited
            return False

    def earlier(self, task: Task) -> dict[str, Stamp]:
        """The files that were written for a photo when it was last done, by their names."""
        try:
            written = json.loads(self._done[task.name])["files"]
            return {Path(name).name: Stamp(**stamp) for name, stamp in written.items()}
        except (KeyError, TypeError, AttributeError):  # never done, by an earlier version, or edited
            return {}

    def begin(self, task: Task) -> None:
        """Note that a photo is handed out; should a power cut take the line, its files' checksums tell the same."""
        self._append({"photo": task.name, "status": "begun", "key": self.key}, sync=False)

    def note(self, task: Task | None, fate: Done | Failed) -> None:
        """Note what came of a photo."""
        if isinstance(fate, Failed):
            self._append({"photo": fate.name, "status": "failed", "error": fate.error})
        elif task is not None:
            folder = task.target.folder.relative_to(self.out)
            self._append(
                {
                    "photo": task.name,
                    "status": "done",
                    "key": self.key,
                    "files": {(folder / name).as_posix(): asdict(stamp) for name, stamp in fate.outputs.items()},
                    "seconds": fate.sidecar.seconds,
                    "photo_is": asdict(fate.photo_is),
                    "mask_is": None if fate.mask_is is None else asdict(fate.mask_is),
                }
            )

    def _append(self, entry: dict[str, Any], *, sync: bool = True) -> None:
        line = json_text(entry)
        files.append(self.path, line, sync=sync)
        self._learn(line.encode())

    def _learn(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            self._last[entry["photo"]] = line
            if entry["status"] == "done":
                self._done[entry["photo"]] = line
        except (ValueError, TypeError, KeyError):
            log.debug("passed over a damaged line of %s", self.path)


def _unchanged(path: Path | None, known: Mapping[str, Any] | None) -> bool:
    if path is None or known is None:
        return path is None and known is None
    stamp = Stamp(**known)
    return stamp.fits(path.resolve())  # a link to a photo is as good as the photo
