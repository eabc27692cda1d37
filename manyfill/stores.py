"""Folders behind addresses such as s3://bucket/photos: listed, read and written through fsspec.

Object stores have no folders, do not append and put an object there whole or not at all: what is asked of a store here
is no more than that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from manyfill.errors import ManyfillError, MissingExtra

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+(://|::)", re.IGNORECASE)
_TOKENS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated", "created")


def is_address(text: str) -> bool:
    """Whether this is an address rather than a path."""
    return _ADDRESS.match(text) is not None


@dataclass(frozen=True)
class Found:
    """A file in a store: its size, and what changes when its content does."""

    size: int
    token: str


def _found(about: dict[str, Any]) -> Found:
    token = next((str(about[key]) for key in _TOKENS if about.get(key) is not None), "")
    return Found(int(about.get("size") or 0), token)


@dataclass(frozen=True)
class Store:
    """A folder, or a single file, behind an address; travels between processes as its address."""

    address: str

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingExtra(f"{self.address} needs the ray extra: pip install 'manyfill[ray]'") from error
        try:
            system, root = url_to_fs(self.address)
        except ImportError as error:  # fsspec names the package: "Install s3fs to access S3"
            raise MissingExtra(f"{self.address} needs one more package: {error}.") from error
        except ValueError as error:
            raise ManyfillError(f"{self.address} is not an address that can be read: {error}.") from error
        system.invalidate_cache()
        return system, str(root).rstrip("/")

    def place(self, name: str) -> str:
        """The address of a file in it."""
        return f"{self.address.rstrip('/')}/{name}"

    def is_file(self) -> bool:
        """Whether the address is that of a single file."""
        system, root = self._opened
        return bool(self._asked(lambda: system.isfile(root)))

    def files(self) -> dict[str, Found]:
        """Path inside the folder -> file, for all of them, also in sub-folders; empty where there is no such folder."""
        system, root = self._opened
        listed = self._asked(lambda: system.find(root, detail=True) if system.exists(root) else {})
        found = {}
        for path, about in listed.items():
            found[path.removeprefix(root).lstrip("/")] = _found(about)
        return found

    def some(self, names: list[str]) -> dict[str, Found]:
        """Those of these files that are there."""
        system, root = self._opened

        def look() -> dict[str, Found]:
            system.invalidate_cache()
            paths = {name: f"{root}/{name}" for name in names}
            return {name: _found(system.info(path)) for name, path in paths.items() if system.exists(path)}

        return dict(self._asked(look))

    def read(self, name: str = "") -> bytes:
        """A file in it, or the file itself."""
        system, root = self._opened
        return bytes(self._asked(lambda: system.cat_file(f"{root}/{name}" if name else root)))

    def read_all(self, names: list[str]) -> dict[str, bytes]:
        """Several files in it, at once where the store can; what cannot be read is left out."""
        system, root = self._opened
        if not names:
            return {}
        read = self._asked(lambda: system.cat([f"{root}/{name}" for name in names], on_error="omit"))
        return {path.removeprefix(root).lstrip("/"): bytes(data) for path, data in read.items()}

    def write(self, name: str, data: bytes) -> None:
        """Put a file into it."""
        system, root = self._opened
        path = f"{root}/{name}"

        def put() -> None:
            system.makedirs(path.rpartition("/")[0], exist_ok=True)  # nothing on an object store
            system.pipe_file(path, data)

        self._asked(put)

    def __getstate__(self) -> dict[str, str]:
        """Without the connection."""
        return {"address": self.address}

    def _asked(self, ask: Any) -> Any:
        """What the store answers; what it refuses, in one line."""
        try:
            return ask()
        except FileNotFoundError as error:
            raise ManyfillError(f"there is no {error}. Check the spelling.") from error
        except Exception as error:  # each store's library has errors of its own
            why = " ".join(str(error).split())[:200] or type(error).__name__
            raise ManyfillError(f"{self.address}: {why}") from error
