"""Files that we wrote and that no sidecar mentions, such as `photo_filled.jpg`: noted in the user's cache.

So the same command with another seed may replace its own output, and nothing else. The rule for what may be replaced
is here too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

from manyfill import files
from manyfill.download import cache_folder
from manyfill.errors import CannotWrite
from manyfill.jobs.records import json_text

MOST = 2000  # notes


def check(path: Path, *, force: bool = False) -> None:
    """Raise CannotWrite where a file is there that may not be replaced: what we did not write, but for `force`.

    A link is refused even then: what it points to would be replaced, and that may be anything.
    """
    if path.is_symlink():
        raise CannotWrite(f"{path} is a link to {os.readlink(path)}. Say where else to: -o PATH; or remove the link.")
    if path.is_dir() and not path.is_symlink():
        raise CannotWrite(f"{path} is a folder. Name a file in it.")
    if os.path.lexists(path) and not force and not is_ours(path):
        raise refusal(path)


def write(path: Path, data: bytes, *, force: bool = False) -> None:
    """Write a file that nothing else will speak of. Raises CannotWrite, also where something else came there since."""
    check(path, force=force)
    files.write_atomic(path, data, follow=False)
    remember(path, hashlib.sha256(data).hexdigest())


def is_ours(path: Path, known: Collection[str | None] = ()) -> bool:
    """Whether nothing would be lost: what we wrote, as we wrote it, or an empty file.

    `known`: checksums of what else tells that we wrote there, beside the notes here; None: any content.
    """
    if path.is_symlink() or not path.is_file():
        return False
    if path.stat().st_size == 0:
        return True
    known = {*known, recall(path) or ""}
    return None in known or (known != {""} and files.sha256_of(path) in known)


def refusal(path: Path) -> CannotWrite:
    """The error for a file that is not ours to replace."""
    what = f"a link to {os.readlink(path)}" if path.is_symlink() else "there already"
    return CannotWrite(
        f"{path} is {what}, and nothing says that manyfill wrote it. Say where else to: -o PATH; or replace it:"
        " --force."
    )


def remember(path: Path, sha256: str, *, most: int = MOST) -> None:
    """Note that we wrote a file; beyond `most` notes the older half is forgotten.

    Where the cache cannot be written, nothing is noted, and --force is needed later.
    """
    note = _note(path)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(note, json_text({"file": str(path.absolute()), "sha256": sha256}).encode())
        notes = sorted(note.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
        for old in notes[: -most // 2] if len(notes) > most else ():
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
