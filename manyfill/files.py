"""Files put in place whole: a crash, a full disk or Ctrl-C leaves what lay there before, and nothing half written."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from manyfill.errors import CannotWrite


def write_atomic(path: str | os.PathLike[str], data: bytes | Iterable[bytes | memoryview]) -> None:
    """Puts the data at the path at once: what lay there stays until all is on the disk; a failure leaves nothing new.

    A link is followed. Raises CannotWrite with the system's reason.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".manyfill-{secrets.token_hex(8)}.part")
    try:
        if target.is_dir():
            raise CannotWrite(f"{path} is a folder. Name a file in it.")
        with open(partial, "xb") as file:  # not tempfile: its files are private to the user, whatever the umask says
            for part in (data,) if isinstance(data, bytes) else data:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        _remove(partial)
        if not target.parent.is_dir():
            raise CannotWrite(f"there is no folder {target.parent}. Make it first.") from None
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}.") from None
    except BaseException:
        _remove(partial)
        raise
    _sync_folder(target.parent)


def sweep(folder: Path, *, older_than: float = 3600.0) -> None:
    """Remove what killed processes left half written below a folder: hidden files untouched for so many seconds."""
    for partial in folder.rglob(".manyfill-*.part"):
        try:
            if time.time() - partial.stat().st_mtime > older_than:
                partial.unlink(missing_ok=True)
        except OSError:  # its writer has finished, or it is not ours to remove
            continue


def _remove(partial: Path) -> None:
    try:
        partial.unlink(missing_ok=True)
    except OSError:
        return  # its folder is missing or not ours: then so is the file


def _sync_folder(folder: Path) -> None:
    """Puts the rename itself on the disk, where the system lets one open a folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
