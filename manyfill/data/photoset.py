"""Photos by index, each decoded at most once into RAM."""

from __future__ import annotations

import io
import math
import struct
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from manyfill import photos as files
from manyfill.boxes import Pixels
from manyfill.errors import BadImage, TooLarge
from manyfill.places import Place, Places
from manyfill.pool import Fellows, Writer

# what Pillow's decoders raise on damaged files
DECODER_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, TypeError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


class PhotoSet:
    """Photos by index, as uint8 arrays (H,W,3) RGB; made by `open_photos`.

    Indices are those of the files that were found, readable or not, in a fixed order. `photos[i]` raises BadImage
    for an unreadable one and notes it in `skipped` (name -> reason) and, as a line, in the file `skipped_log` if that
    is set: there also what workers met. Arrays come from a cache and must not be written to. Pickled (for workers that
    are not forked) it carries the places, not the cache.
    """

    def __init__(self, places: Places, *, short_side: int | None, cache_bytes: int) -> None:
        self._places = places
        self._short_side = short_side
        self.room = cache_bytes  # left for decoded photos
        self._cache: dict[int, Pixels] = {}
        self._lock = threading.Lock()
        self.skipped: dict[str, str] = {}
        self.skipped_log: Path | None = None

    def __len__(self) -> int:
        return len(self._places)

    @property
    def names(self) -> tuple[str, ...]:
        """Path of each photo, or shard.tar/member."""
        return tuple(place.name for place in self._places)

    def __getitem__(self, index: int) -> Pixels:
        kept = self._cache.get(index)
        if kept is not None:
            return kept
        place = self._places[index]
        if place.name in self.skipped:
            raise BadImage(self.skipped[place.name])
        try:
            pixels = _decode(place, self._short_side)
        except (BadImage, TooLarge) as error:
            with self._lock:
                self._skip(place.name, " ".join(str(error).split()))
            raise BadImage(str(error)) from error
        with self._lock:
            if index not in self._cache and pixels.nbytes <= self.room:
                self._cache[index] = pixels
                self.room -= pixels.nbytes
        return pixels

    def _skip(self, name: str, reason: str) -> None:
        self.skipped[name] = reason
        if self.skipped_log is None:
            return
        with self.skipped_log.open("a+") as file:  # other workers and processes write to it, too
            file.seek(0)
            if reason + "\n" not in file:
                file.write(reason + "\n")

    @property
    def shards(self) -> NDArray[np.uint32]:
        """(N,): which tar or folder each photo is in, numbered as first met."""
        return self._places.shards

    @property
    def cached(self) -> int:
        """Number of photos in RAM."""
        return len(self._cache)

    def preload(
        self,
        *,
        threads: int = 2,
        progress: Callable[[int, int], None] | None = None,
        fellows: Fellows | None = None,
    ) -> int:
        """Decode photos into the cache, in order, until all are there or the cache is full; before workers are
        forked.

        `progress(done, total)` is called after every photo. With `fellows` each process of this machine decodes every
        so-many-th photo, and all share one cache of this size. Returns the number of readable photos; where the cache
        holds only some, the others are tried when first used. Raises BadImage when none is readable.
        """
        if fellows is not None:
            self._preload_together(fellows, threads, progress)
        else:
            self._preload_alone(threads, progress)
        if len(self.skipped) == len(self):
            reason = next(iter(self.skipped.values()))
            raise BadImage(f"none of the {len(self)} photos can be read. The first: {reason}")
        return len(self) - len(self.skipped)

    def _preload_together(self, fellows: Fellows, threads: int, progress: Callable[[int, int], None] | None) -> None:
        """Our share of the photos into a file, then everybody's out of their files; no room is left for others."""
        writer = Writer(fellows, self.room // fellows.count)
        self.room = 0
        mine = range(fellows.number, len(self), fellows.count)

        def decode(index: int) -> Pixels | None:
            with suppress(BadImage):
                return self[index]
            return None

        with ThreadPoolExecutor(max(1, threads)) as pool:
            step = 8 * max(1, threads)
            for first in range(0, len(mine), step):
                some = mine[first : first + step]
                fitted = [
                    pixels is None or writer.add(i, pixels)
                    for i, pixels in zip(some, pool.map(decode, some), strict=True)
                ]
                if progress is not None:
                    progress(min(fellows.count * (first + step), len(self)), len(self))
                if not all(fitted):
                    break
        self._cache, self.skipped = writer.finish(self.skipped)

    def _preload_alone(self, threads: int, progress: Callable[[int, int], None] | None) -> None:
        done = 0

        def decode(index: int) -> bool:
            try:
                room, pixels = self.room, self[index]
            except BadImage:
                return True
            return index in self._cache or pixels.nbytes <= room

        full = False
        with ThreadPoolExecutor(max(1, threads)) as pool:
            step = 8 * max(1, threads)
            for first in range(0, len(self), step):
                for fitted in pool.map(decode, range(first, min(first + step, len(self)))):
                    full |= not fitted
                    done += 1
                    if progress is not None:
                        progress(done, len(self))
                if full:
                    break

    def __getstate__(self) -> dict[str, Any]:
        held = sum(pixels.nbytes for pixels in self._cache.values())
        return {
            "places": self._places,
            "short_side": self._short_side,
            "cache_bytes": self.room + held,
            "skipped": dict(self.skipped),
            "skipped_log": self.skipped_log,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        PhotoSet.__init__(self, state["places"], short_side=state["short_side"], cache_bytes=state["cache_bytes"])
        self.skipped, self.skipped_log = state["skipped"], state["skipped_log"]


def _decode(place: Place, short_side: int | None) -> Pixels:
    """Decode a photo, its short side reduced to `short_side` where it is larger. Raises BadImage or TooLarge."""
    try:
        data = place.read()
        with Image.open(io.BytesIO(data)) as picture:
            if picture.mode in ("RGB", "L") and getattr(picture, "n_frames", 1) == 1:
                if short_side is not None:  # a JPEG is decoded at 1/2, 1/4 or 1/8; no other format heeds it
                    scale = max(1.0, min(picture.size) / short_side)
                    picture.draft("RGB", (math.ceil(picture.width / scale), math.ceil(picture.height / scale)))
                small = ImageOps.exif_transpose(picture).convert("RGB")
            else:  # depths, palettes, alpha and animations are the business of photos
                small = Image.fromarray(files.to_8_bits(files.read(data).pixels))
    except (BadImage, TooLarge) as error:
        raise type(error)(f"{place.name}: {error}") from error
    except DECODER_ERRORS as error:
        why = "it is no picture of a known format" if isinstance(error, UnidentifiedImageError) else error
        raise BadImage(f"{place.name} cannot be read: {why}") from error
    if short_side is not None and min(small.size) > short_side:
        scale = min(small.size) / short_side
        size = (max(1, round(small.width / scale)), max(1, round(small.height / scale)))
        # Pillow and not OpenCV: its thread pool must not have run before workers are forked
        small = small.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    array = np.array(small)
    array.setflags(write=False)
    return array
