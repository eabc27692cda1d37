"""Fetch a file once into the user's cache, checked by its sha256. Nothing that completes a photo needs this."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, IncompleteRead
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from .errors import BadWeights, UnknownModel

CHUNK = 1 << 20  # bytes
TIMEOUT = 30.0  # seconds without a byte
SCHEMES = ("https", "http", "file")


def cache_folder() -> Path:
    """Where fetched files are kept: $MANYFILL_CACHE, else $XDG_CACHE_HOME/manyfill, else ~/.cache/manyfill."""
    if own := os.environ.get("MANYFILL_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "manyfill"
    return Path.home() / ".cache" / "manyfill"


def sha256_of(path: Path) -> str:
    """sha256 of a file, lower-case hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def cached_path(url: str, sha256: str) -> Path:
    """Where `fetch` keeps this file: named by its content, so that a new version never hides behind an old name."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name or "file"
    return cache_folder() / f"{sha256[:12]}-{name}"


def fetch(url: str, sha256: str, *, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """The file behind `url`, from the cache when it is there and whole, else fetched.

    `progress` hears (bytes so far, bytes in all or None). The file appears in the cache under its final name only when
    its sha256 is right: an interrupted or damaged download leaves nothing behind, and two processes may fetch at once.

    Raises UnknownModel when the file cannot be had, BadWeights when it is not the expected file.
    """
    if urlsplit(url).scheme not in SCHEMES:
        raise UnknownModel(f"cannot fetch '{url}': expected an address that begins with https://, http:// or file://")
    sha256 = sha256.lower()
    path = cached_path(url, sha256)
    if path.is_file() and sha256_of(path) == sha256:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UnknownModel(
            f"cannot write to the cache folder {path.parent} ({error.strerror}). "
            "Set MANYFILL_CACHE to a folder that you can write to."
        ) from error
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            got, digest = _copy(url, file.write, progress)
            file.flush()
            os.fsync(file.fileno())
        if digest != sha256:
            raise BadWeights(
                f"{url} is not the expected file: sha256 {digest} ({got} bytes), expected {sha256}. "
                "Try again; if that does not help, the file was changed at its source: do not use it."
            )
        os.replace(partial, path)
    except (OSError, HTTPException) as error:
        raise UnknownModel(
            f"cannot fetch {url} ({_reason(error)}). Try again with a network connection, "
            f"or bring the file by hand to {path} (sha256 {sha256})."
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
    return path


def _copy(
    url: str, write: Callable[[bytes], object], progress: Callable[[int, int | None], None] | None
) -> tuple[int, str]:
    """Stream `url` into `write`; bytes written and their sha256. A body shorter than announced is an OSError."""
    digest = hashlib.sha256()
    got = 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        announced = response.headers.get("Content-Length")
        total = int(announced) if announced and announced.isdigit() else None
        while chunk := response.read(CHUNK):
            write(chunk)
            digest.update(chunk)
            got += len(chunk)
            if progress is not None:
                progress(got, total)
    if total is not None and got < total:
        raise OSError(f"the connection broke off after {got} of {total} bytes")
    return got, digest.hexdigest()


def _reason(error: Exception) -> str:
    """What went wrong, in words, without the wrapping that urllib adds."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, IncompleteRead):  # newer Pythons say so themselves
        return "the connection broke off"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
