"""`manifest.jsonl` beside the outputs of a folder job: what earlier runs did, so that the same job again goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from manyfill.jobs.photo import Task, sha256_of
from manyfill.jobs.records import Done, Failed, FileRecord, Options

log = logging.getLogger(__name__)

MANIFEST = "manifest.jsonl"


def fingerprint(options: Options, model_sha256: str) -> str:
    """Short name of everything besides photo and mask that decides the outputs."""
    named = asdict(options)
    if options.near is None:  # as before these two were options: folders begun then go on
        del named["near"], named["step"]
    text = json.dumps({**named, "model": model_sha256}, sort_keys=True)
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
    return bool(stat.st_mtime_ns == known["changed_ns"] or sha256_of(path) == known["sha256"])
