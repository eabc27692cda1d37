"""What the page needs to open while its server is gone: its worker, and the names and version of what that keeps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

WORKER = "worker.js"
KEPT = (".html", ".js", ".css", ".svg", ".png", ".json", ".jpg")


def worker_of(folder: Path) -> str:
    """The service worker of the page in `folder`: its script, led by the files to keep and their version.

    The version is a hash of all names and bytes, so that whatever changes is a worker of other bytes: browsers then
    install it and the page's files together, and the worker throws the earlier ones away.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in KEPT)
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    names = [path.relative_to(folder).as_posix() for path in files if path.name != WORKER]
    shell = {"version": digest.hexdigest()[:16], "files": ["./", *(name for name in names if name != "index.html")]}
    return f"const SHELL = {json.dumps(shell)};\n" + (folder / WORKER).read_text(encoding="utf-8")
