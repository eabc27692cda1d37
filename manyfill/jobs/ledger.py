"""Files that we wrote and that no sidecar speaks of, such as `photo_filled.jpg`: noted in the user's cache.

So the same command with another seed may replace its own output, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from manyfill import files
from manyfill.download import cache_folder
from manyfill.errors import CannotWrite
from manyfill.jobs.records import json_text

MOST = 2000  # notes; beyond it, the older half is forgotten


def remember(path: Path, sha256: str) -> None:
    """Note that we wrote a file. Where the cache cannot be written nothing is noted, and --force is needed later."""
    note = _note(path)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(note, json_text({"file": str(path.absolute()), "sha256": sha256}).encode())
        notes = sorted(note.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
        for old in notes[: -MOST // 2] if len(notes) > MOST else ():
            old.unlink(missing_ok=True)
    except (OSError, CannotWrite):
        return


def recall(path: Path) -> str | None:
    """The sha256 of what we last wrote there, None where we know nothing of it."""
    try:
        return str(json.loads(files.read(_note(path)).data)["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(path: Path) -> Path:
    place = os.path.realpath(path.parent), path.name  # the folder may have several names, the file has this one
    name = hashlib.sha256(os.fsencode(os.path.join(*place))).hexdigest()[:32]
    return cache_folder() / "written" / f"{name}.json"
