"""Photos of a folder or of tar shards as endless training samples: (image, hole), item i from (seed, i) alone.

`open_photos` finds the photos and decodes each at most once into RAM; `Samples` cuts, turns and lights them and
draws a hole on each. No sample depends on the order in which samples are asked for, on the number of workers, or on
what is in the cache.
"""

from __future__ import annotations

import io
import math
import os
import struct
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from manyfill import photos as files
from manyfill.errors import BadImage, TooLarge
from manyfill.files import open_regular
from manyfill.masks import MaskFn
from manyfill.places import Place, Places
from manyfill.pool import Fellows, Writer

SUFFIXES = tuple(files.SUFFIXES)
Pixels = NDArray[np.uint8]  # (H,W,3) RGB

# what Pillow's decoders raise on damaged files
DECODER_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, TypeError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


# ── photos ────────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def open_photos(
    sources: Path | str | Sequence[Path | str], *, short_side: int | None = None, cache_bytes: int = 4 << 30
) -> PhotoSet:
    """Find the photos of folders (recursive), .tar shards (webdataset layout: KEY.jpg, KEY.json) and single files.

    The order is sorted by name within a source, sources as given. Tar files inside a folder count, too.
    `short_side` reduces larger photos while they are read, which saves time and RAM: use size / smallest scale.
    `cache_bytes` bounds the RAM for decoded photos; what does not fit is decoded again each time. Raises BadImage
    when nothing is found.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    places = Places()
    for source in sources:
        path = Path(source)
        if path.is_dir():
            walked: set[str] = set()
            for folder, folders, files in os.walk(path, followlinks=True):
                folders.sort()
                if os.path.realpath(folder) in walked:  # a link back up would never end
                    folders.clear()
                    continue
                walked.add(os.path.realpath(folder))
                for file in sorted(files):
                    if file.startswith("."):
                        continue
                    inner = Path(folder, file)
                    if inner.suffix.lower() == ".tar":
                        places.extend(_index_tar(inner))
                    elif inner.suffix.lower() in SUFFIXES:
                        places.extend([Place(str(inner), str(inner))])
        elif not path.exists():
            raise BadImage(f"no photos: {path} does not exist. Give a folder of photos or a .tar shard.")
        elif path.suffix.lower() == ".tar":
            places.extend(_index_tar(path))
        elif path.suffix.lower() in SUFFIXES:
            places.extend([Place(str(path), str(path))])
        else:
            raise BadImage(f"{path} is neither a folder nor a .tar shard nor a photo ({' '.join(SUFFIXES)}).")
    if len(places) and all(place.broken for place in places):
        raise BadImage(str(places[0].broken))
    if not len(places):
        where = ", ".join(str(source) for source in sources) or "an empty list of sources"
        raise BadImage(
            f"no photos found in {where}: looked for {' '.join(SUFFIXES)} in folders, their subfolders and .tar shards."
        )
    return PhotoSet(places, short_side=short_side, cache_bytes=cache_bytes)


def members_of(path: Path) -> tuple[list[tuple[str, int, int]], str | None]:
    """The files in an uncompressed tar: name, place and bytes; and what is wrong behind the last of them, or None.

    Each lies in the tar, whatever its header says. Links, devices and files with gaps are passed over.
    """
    found: list[tuple[str, int, int]] = []
    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            length = os.fstat(file.fileno()).st_size
            for member in tar:
                if not member.isreg() or member.issparse():
                    continue
                if member.size < 0 or not 0 <= member.offset_data <= length - member.size:
                    raise tarfile.ReadError("damaged partway through")
                found.append((member.name, member.offset_data, member.size))
            file.seek(tar.offset)  # where the next header would be: tarfile takes any damage there for the end
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("damaged partway through")
    except RecursionError:  # headers that only say how the next one is to be read, thousands of them
        return found, "damaged partway through"
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        return found, str(getattr(error, "strerror", None) or error)
    return found, None


def _index_tar(path: Path) -> list[Place]:
    """Find the photos of an uncompressed tar by offset; of a damaged one those in front of the damage.

    In webdataset's layout a sample's fields are what follows the first dot (KEY.jpg, KEY.mask.png): the photo is
    KEY.jpg. A name with dots, as an ordinary folder may have, counts where no such photo stands beside it.
    """
    members, damage = members_of(path)
    places: list[Place] = []
    if damage is not None:  # skipped and listed, as a damaged photo is
        rest = f"; the {len(members)} files in front of it are taken" if members else ""
        places.append(
            Place(str(path), str(path), broken=f"{path} cannot be read as an uncompressed .tar: {damage}{rest}")
        )

    def split(name: str) -> tuple[str, str]:
        folder, _, base = name.rpartition("/")
        key, _, field = base.partition(".")
        return f"{folder}/{key}", f".{field.lower()}"

    keys = {split(name)[0] for name, _, _ in members if split(name)[1] in SUFFIXES}
    for name, offset, size in sorted(members):
        key, field = split(name)
        dotted = Path(name).suffix.lower() in SUFFIXES and key not in keys
        if (field in SUFFIXES or dotted) and not name.rpartition("/")[2].startswith("."):
            places.append(Place(f"{path}/{name}", str(path), offset, size))
    return places


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


# ── samples ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far a sample may stray from its photo. The defaults are mild: what another camera might have taken."""

    squeeze: float = 0.0  # the whole photo, aspect ignored, at this many times the sample's side; 0: cut, aspect kept
    flip: float = 0.5  # probability, left-right
    flip_vertical: float = 0.0  # probability, upside down; for textures
    rotate: float = 3.0  # degrees, uniform in +-; PICNet's +-3, but cut inside: no black corners
    rotate_share: float = 0.5  # share of the samples that are turned at all: turning softens
    exposure: float = 0.2  # stops (factor of two), uniform in +-
    contrast: float = 0.15  # around the sample's mean, log-uniform factor within 1 +- this
    colour: float = 0.05  # gain per channel (white balance), log-uniform factor within 1 +- this
    saturation: float = 0.2  # log-uniform factor within 1 +- this

    def squeezed(self) -> Augmentation:
        """The same of the whole photo squeezed to a square."""
        return replace(self, squeeze=1.0)


NO_AUGMENTATION = Augmentation(
    flip=0.0, rotate=0.0, rotate_share=0.0, exposure=0.0, contrast=0.0, colour=0.0, saturation=0.0
)


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """(image (3,S,S) float32 in [0,1], hole (1,S,S) float32, 1 = missing); item i depends only on (seed, i).

    Each pass over the photos is a fresh permutation (`shuffle=False`: in order). `scale` is how many pixels of a
    sample one pixel of the photo becomes, log-uniform: 1 is native resolution; a factor is raised where the crop
    would not fit into the photo. So (0.25, 1) takes crops of `size` to 4 `size` pixels, and (0, 0) always the
    largest square. A photo smaller than `size` is enlarged. A photo that cannot be read is replaced by another,
    drawn from the same seed.

    `mix` is for sets that no memory holds: shards are read one after the other, in another order each pass, and only
    so many photos in a row are mixed with each other. The disk then reads on instead of jumping about.

    `length` only bounds `len`; without it `len` is that of the photos, and any index from 0 up is legal: the clock
    may run on.
    """

    def __init__(
        self,
        photos: PhotoSet,
        *,
        size: int,
        masks: MaskFn,
        seed: int,
        length: int | None = None,
        scale: tuple[float, float] = (0.25, 1.0),
        augment: Augmentation | None = None,
        shuffle: bool = True,
        mix: int | None = None,
    ) -> None:
        assert size >= 1 and 0 <= scale[0] <= scale[1], f"size {size}, scale {scale}"
        self.photos = photos
        self.size = size
        self.masks = masks
        self.seed = seed
        self.length = length
        self.scale = scale
        self.augment = Augmentation() if augment is None else augment
        self.shuffle = shuffle
        self.mix = mix
        self._orders: dict[int, NDArray[np.int64]] = {}
        # one sample is too small to share out, and OpenCV's thread pool does not survive a fork
        cv2.setNumThreads(1)

    def __len__(self) -> int:
        return len(self.photos) if self.length is None else self.length

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index < 0 or (self.length is not None and index >= self.length):
            raise IndexError(f"sample {index} of {len(self)}")
        rng = np.random.default_rng([self.seed, index])
        pixels = self._photo(index, rng)
        image = self._light(self._cut(pixels, rng), rng)
        hole = self.masks(self.size, self.size, rng)[0]
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), hole

    def _photo(self, index: int, rng: np.random.Generator) -> Pixels:
        """Photo of sample `index`; where it cannot be read, another one at random."""
        epoch, position = divmod(index, len(self.photos))
        choice = position
        if self.shuffle:
            order = self._orders.get(epoch)
            if order is None:
                order = self._order(epoch)
                self._orders = {**dict(list(self._orders.items())[-1:]), epoch: order}  # batches straddle two passes
            choice = int(order[position])
        for _ in range(1000):
            try:
                return self.photos[choice]
            except BadImage:
                choice = int(rng.integers(len(self.photos)))
        raise BadImage("almost none of the photos can be read. See `skipped` for the reasons.")

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """The photos of one pass: any order; with `mix`, shard by shard, and only so many photos mixed."""
        rng = np.random.default_rng([self.seed, epoch, 0x6F72646572])
        if self.mix is None:
            return rng.permutation(len(self.photos))
        starts = np.flatnonzero(np.diff(self.photos.shards, prepend=np.uint32(0xFFFFFFFF)))
        shards = np.split(np.arange(len(self.photos)), starts[1:])
        order = np.concatenate([shards[k] for k in rng.permutation(len(shards))])
        for first in range(0, len(order), self.mix):
            rng.shuffle(order[first : first + self.mix])
        return order

    def _cut(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Cut a square out at a random scale, place and angle, (S,S,3), antialiased."""
        size, augment = self.size, self.augment
        if augment.squeeze:
            return self._flip(self._squeeze(pixels, rng), rng)
        turned = rng.random() < augment.rotate_share and augment.rotate > 0
        angle = math.radians(rng.uniform(-augment.rotate, augment.rotate)) if turned else 0.0
        spread = math.cos(angle) + abs(math.sin(angle))  # side of the upright square around a turned one
        short = min(pixels.shape[:2])
        least = size * spread / short  # the largest square that fits
        low, high = (max(bound, least) for bound in self.scale)
        scale = math.exp(rng.uniform(math.log(low), math.log(high)))
        side = min(short, max(1, round(size * spread / scale)))  # of the upright square, in pixels of the photo
        top = int(rng.integers(0, pixels.shape[0] - side, endpoint=True))
        left = int(rng.integers(0, pixels.shape[1] - side, endpoint=True))
        square = pixels[top : top + side, left : left + side]
        upright = math.ceil(size * spread) if turned else size
        if side != upright:
            way = cv2.INTER_AREA if side > upright else cv2.INTER_CUBIC
            square = cv2.resize(square, (upright, upright), interpolation=way)  # type: ignore[assignment]
        if turned:
            matrix = cv2.getRotationMatrix2D(((upright - 1) / 2, (upright - 1) / 2), math.degrees(angle), 1.0)
            matrix[:, 2] = matrix[:, 2] + (size - upright) / 2
            square = cv2.warpAffine(  # type: ignore[assignment]
                square, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
            )
        return self._flip(square, rng)

    def _flip(self, square: Pixels, rng: np.random.Generator) -> Pixels:
        down, across = rng.random() < self.augment.flip_vertical, rng.random() < self.augment.flip
        return square[:: -1 if down else 1, :: -1 if across else 1]

    def _squeeze(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """The whole photo as a square, cut to (S,S,3) at random and turned about its middle, as PICNet's release does.

        Where a turned square would look outside, the release leaves black corners; here the photo goes on mirrored.
        """
        size, augment = self.size, self.augment
        side = max(size, round(size * augment.squeeze))
        way = cv2.INTER_AREA if side < min(pixels.shape[:2]) else cv2.INTER_LINEAR
        whole = cv2.resize(pixels, (side, side), interpolation=way)
        top, left = (int(rng.integers(0, side - size, endpoint=True)) for _ in range(2))
        turned = augment.rotate > 0 and rng.random() < augment.rotate_share
        if not turned:
            return np.asarray(whole[top : top + size, left : left + size], np.uint8)
        angle = float(rng.uniform(-augment.rotate, augment.rotate))
        middle = (left + (size - 1) / 2, top + (size - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, angle, 1.0)
        matrix[:, 2] -= left, top
        flags, border = cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
        return np.asarray(cv2.warpAffine(whole, matrix, (size, size), flags=flags, borderMode=border), np.uint8)

    def _light(self, pixels: Pixels, rng: np.random.Generator) -> NDArray[np.float32]:
        """Vary exposure, contrast, white balance and saturation as one affine map of the colours; float32 in [0,1]."""
        augment = self.augment

        def factor(by: float, count: int) -> NDArray[np.float64]:
            return np.asarray(np.exp(rng.uniform(-1, 1, count) * math.log1p(by)))

        exposure = 2 ** (rng.uniform(-1, 1) * augment.exposure)
        contrast, saturation = factor(augment.contrast, 1)[0], factor(augment.saturation, 1)[0]
        gains = factor(augment.colour, 3)
        image = np.asarray(pixels, dtype=np.float32) / np.float32(255)
        if (augment.exposure, augment.contrast, augment.colour, augment.saturation) == (0, 0, 0, 0):
            return image
        grey = np.full((3, 1), 1.0) @ np.array([[0.299, 0.587, 0.114]])
        matrix = exposure * gains[:, None] * (saturation * np.eye(3) + (1 - saturation) * grey)
        mean = matrix @ np.array(cv2.mean(image)[:3])
        affine = np.concatenate([contrast * matrix, ((1 - contrast) * mean)[:, None]], axis=1)
        lit = cv2.transform(image, affine.astype(np.float32))
        return np.clip(lit, 0.0, 1.0).astype(np.float32, copy=False)
