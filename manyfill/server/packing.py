"""A photo on its way from one process to another: what it has beside its pixels, then its samples."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from manyfill.photos import Lay, Photo
from manyfill.photos.laying import laid_strips

APART = ("pixels", "alpha", "path")  # of a photo's fields: those that are sent as samples, and one that stays here


def packed(photo: Photo, lay: Lay | None = None) -> tuple[dict[str, Any], Iterator[bytes | memoryview]]:
    """A photo in words for JSON, and the bytes that go with them; `lay` puts a fill over its rows on their way.

    Grey is sent once, though its three channels are one. No copy is made but of a strip at a time.
    """
    state = pickle.dumps({each.name: getattr(photo, each.name) for each in fields(photo) if each.name not in APART}, 4)
    grey, alpha = photo.mode in ("L", "LA"), photo.alpha is not None
    described = {"state": len(state), "height": photo.height, "width": photo.width, "depth": photo.depth,
                 "grey": grey, "alpha": alpha}  # fmt: skip
    return described, _parts(photo, lay, state, grey)


def _parts(photo: Photo, lay: Lay | None, state: bytes, grey: bool) -> Iterator[bytes | memoryview]:
    yield state
    for _, rows in laid_strips(replace(photo, alpha=None, mode="L" if grey else "RGB"), lay):
        yield _bytes(rows)
    if photo.alpha is not None:
        yield _bytes(photo.alpha)


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).data.cast("B")


def unpacked(described: dict[str, Any], stream: IO[bytes], *, pixels: int | None = None) -> Photo:
    """The photo again; whatever is no photo of at most so many pixels raises some exception or other."""
    height, width = int(described["height"]), int(described["width"])
    if min(height, width) < 1 or (pixels is not None and height * width > pixels):
        raise ValueError("a photo of no possible size")
    state = np.empty(int(described["state"]), np.uint8)
    _fill(state, stream)
    beside = _Plain(io.BytesIO(state.tobytes())).load()
    dtype = np.dtype(np.uint8 if described["depth"] == 8 else np.uint16)
    samples: NDArray[Any] = np.empty((height, width) if described["grey"] else (height, width, 3), dtype)
    _fill(samples, stream)
    alpha: NDArray[Any] | None = np.empty((height, width), dtype) if described["alpha"] else None
    if alpha is not None:
        _fill(alpha, stream)
    whole = np.broadcast_to(samples[..., None], (height, width, 3)) if described["grey"] else samples
    return Photo(pixels=whole, alpha=alpha, **beside)


def _fill(array: NDArray[Any], stream: IO[bytes]) -> None:
    view = array.data.cast("B")
    while len(view):
        count = stream.readinto(view)  # type: ignore[attr-defined]  # a pipe has it
        if not count:
            raise EOFError
        view = view[count:]


class _Plain(pickle.Unpickler):
    """Plain values, and the dataclasses that photos are made of."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module.startswith("manyfill.photos.") else None
        if not isinstance(found, type) or found.__module__ != module:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found
