"""Which photos are measured, at what size, with which holes: the same for every source, on every machine.

A case is one photo with one hole. Photos are 8-bit RGB, reduced until their short side is `size` (never enlarged) and
cropped about their centre to a multiple where one is asked for. A hole depends on (seed, the photo's name, its size)
alone, so that another photo in the folder changes none of the others'; which bin it is of depends on its place.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manyfill import masks
from manyfill.boxes import Bools, Pixels
from manyfill.data import PhotoSet, open_photos
from manyfill.errors import BadMask, ManyfillError
from manyfill.photos import SUFFIXES

BINS = "bins"  # the six hole-ratio bins, one photo after the other
LAMA = ("thin", "medium", "thick")  # whose authors drop holes of more than half of the photo
SHOWN = 10  # names in an error before "and N more"


def photo_of(name: str, rounds: int) -> str:
    """The photo's own name: `Cases.names` has @2, @3 ... added for the further holes of `rounds`."""
    stem, _, again = name.rpartition("@")
    return stem if stem and again.isdecimal() and 2 <= int(again) <= rounds else name


@dataclass(frozen=True)
class Case:
    """One photo with one hole."""

    index: int
    name: str  # the photo's path inside the data, with / and without suffix; "@2" and so on for its further holes
    pixels: Pixels
    hole: Bools
    soft: NDArray[np.float32] | None = None  # (H,W): share of each pixel that is missing, where masks stay grey

    @property
    def ratio(self) -> float:
        """Share of missing pixels."""
        return float(self.hole.mean())

    @property
    def sha256(self) -> str:
        """Of the pixels and the hole."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).tobytes())
        digest.update(np.packbits(self.hole).tobytes())
        if self.soft is not None:
            digest.update(self.soft.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is measured, besides who fills."""

    masks: str = BINS  # a kind of masks.KINDS, "bins", or a folder of masks that pair by stem
    size: int = 512  # short side in pixels; 0: photos as they are
    fit: Literal["keep", "squeeze", "crop"] = "keep"  # aspect kept; or `size` x `size`: all of it, or the middle square
    grey_masks: bool = False  # masks of a folder are resized bilinearly and not cut at 50 % again: DFNet's release
    multiple: int = 1  # height and width are cropped to a multiple of this
    seed: int = 0
    limit: int | None = None  # the first so many photos
    rounds: int = 1  # holes per photo; with "bins" each of another bin


class Cases:
    """The photos of a folder or of shards, each with its hole; decoded when asked for."""

    def __init__(self, data: Path | str | Sequence[Path | str], setup: Setup) -> None:
        sources = [data] if isinstance(data, str | Path) else list(data)
        self.setup = setup
        self.data = [str(source) for source in sources]
        if setup.fit != "keep" and not setup.size:
            raise ManyfillError(f"--fit {setup.fit} needs a size in pixels: --size 256.")
        short = setup.size if setup.fit == "keep" else 0
        self._photos: PhotoSet = open_photos(sources, short_side=short or None, cache_bytes=0)
        stems = _names(self._photos.names, [Path(source) for source in sources])[: setup.limit]
        self.names = stems + [f"{stem}@{again}" for again in range(2, setup.rounds + 1) for stem in stems]
        self._count = len(stems)
        self._files: dict[str, Path] = {}
        drawn = setup.masks == BINS or setup.masks in masks.KINDS
        if drawn and setup.grey_masks:
            raise ManyfillError("masks stay grey where they come from files: --masks DIR.")
        if not drawn:
            self._files = _pair(self.names, Path(setup.masks))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Case:
        """Raises BadImage where the photo cannot be read, BadMask where its mask does not fit or marks nothing."""
        pixels = self._fitted(self._photos[index % self._count])
        height, width = pixels.shape[:2]
        multiple = self.setup.multiple
        if min(height, width) < multiple:
            raise BadMask(f"{width}x{height} pixels are fewer than the multiple of {multiple} that was asked for.")
        part = _centre(height, multiple), _centre(width, multiple)
        pixels = np.ascontiguousarray(pixels[part])
        soft = self._soft(index, *pixels.shape[:2]) if self.setup.grey_masks else None
        hole = self.hole(index, *pixels.shape[:2])
        if not hole.any():
            raise BadMask("its mask marks nothing to fill.")
        return Case(index, self.names[index], pixels, hole, soft)

    def _fitted(self, pixels: Pixels) -> Pixels:
        """As large as they are measured: (S,S,3) where they are to be squeezed or cropped, small ones enlarged."""
        size = self.setup.size
        if self.setup.fit == "keep":
            return pixels
        if self.setup.grey_masks:  # DFNet's release: OpenCV's default, not antialiased
            return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
        if self.setup.fit == "crop":
            pixels = pixels[_middle(*pixels.shape[:2])]
        small = Image.fromarray(np.ascontiguousarray(pixels)).resize((size, size), Image.Resampling.BILINEAR)
        return np.array(small)

    def _soft(self, index: int, height: int, width: int) -> NDArray[np.float32]:
        """A mask file at the photo's size, grey at the rim."""
        whole = masks.read_hole(self._files[self.names[index]]).astype(np.float32)
        return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    def hole(self, index: int, height: int, width: int) -> Bools:
        """The hole of one photo, at the size at which it is measured."""
        name = self.names[index]
        if name in self._files and self.setup.grey_masks:
            return self._soft(index, height, width) > 0
        if name in self._files and self.setup.fit != "keep":
            whole = masks.read_hole(self._files[name])
            if self.setup.fit == "crop":
                whole = whole[_middle(*whole.shape)]
            small = cv2.resize(whole.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
            return np.asarray(small > 0)
        if name in self._files:
            return _fit(self._files[name], height, width, self.setup.multiple)
        again, photo = divmod(index, self._count)
        kind = f"bin{(photo + again) % len(masks.BINS) + 1}" if self.setup.masks == BINS else self.setup.masks
        draw = masks.KINDS[kind]
        if kind in LAMA:
            draw = masks.within(draw, 1e-9, 0.5)
        own = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        hole = draw(height, width, np.random.default_rng([self.setup.seed, own]))
        return hole[0, 0].numpy() > 0.5

    def set_hash(self, sizes: Sequence[tuple[int, int, int]]) -> str:
        """`masks.set_hash` of the holes of (index, height, width)."""
        return masks.set_hash(self.hole(*size) for size in sizes)


def bin_of(ratio: float) -> int | None:
    """Which of `masks.BINS` a hole belongs to; None outside of them."""
    return next((k for k, (low, high) in enumerate(masks.BINS) if low < ratio <= high), None)


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first few, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def by_stem(folder: Path) -> dict[str, Path]:
    """Pictures below a folder by their path without suffix. Raises ManyfillError where two have the same."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            stem = path.relative_to(folder).with_suffix("").as_posix()
            if stem in found:
                raise ManyfillError(f"{found[stem]} and {path} have the same name without suffix. Keep one of them.")
            found[stem] = path
    return found


def _names(found: Sequence[str], sources: Sequence[Path]) -> list[str]:
    """Short names: relative to the source they came from; the source's own name in front where there are several."""
    names = []
    for name in found:
        source = next(
            s for s in sources if name == str(s) or name.startswith(f"{s}{os.sep}") or name.startswith(f"{s}/")
        )
        inner = source.name if name == str(source) else name[len(str(source)) + 1 :]
        stem = PurePosixPath(Path(inner).as_posix()).with_suffix("").as_posix()
        names.append(f"{source.stem}/{stem}" if len(sources) > 1 and name != str(source) else stem)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManyfillError(f"several photos have the same name without suffix: {listed(twice)}. Rename them.")
    return names


def _pair(names: Sequence[str], folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        near = difflib.get_close_matches(str(folder), [BINS, *masks.KINDS], n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ManyfillError(
            f"no masks '{folder}': neither a folder nor a kind.{hint} Kinds: bins, {', '.join(masks.KINDS)}."
        )
    found = by_stem(folder)
    missing = [name for name in names if name not in found]
    if missing:
        raise BadMask(
            f"{len(missing)} of {len(names)} photos have no mask in {folder}: {listed(missing)}. "
            "Masks pair by their path without suffix."
        )
    return {name: found[name] for name in names}


def _centre(length: int, multiple: int) -> slice:
    kept = length // multiple * multiple
    return slice((length - kept) // 2, (length - kept) // 2 + kept)


def _fit(path: Path, height: int, width: int, multiple: int) -> Bools:
    """A mask of the photo's size as measured, or of the larger one that it was before; nearest neighbour."""
    hole = masks.read_hole(path)
    if hole.shape == (height, width):
        return hole
    scale = min(hole.shape[0] / height, hole.shape[1] / width)
    target = round(hole.shape[0] / scale), round(hole.shape[1] / scale)
    if scale < 1 or not all(
        0 <= side - own < max(multiple, 2) for side, own in zip(target, (height, width), strict=True)
    ):
        raise BadMask(
            f"mask {path} is {hole.shape[1]}x{hole.shape[0]} but the photo is {width}x{height} as it is measured "
            "(width x height). Give the mask the photo's size."
        )
    small = cv2.resize(hole.astype(np.uint8), target[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    top, left = (small.shape[0] - height) // 2, (small.shape[1] - width) // 2
    return np.asarray(small[top : top + height, left : left + width] > 0)


def _middle(height: int, width: int) -> tuple[slice, slice]:
    """The largest square about the centre."""
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return slice(top, top + side), slice(left, left + side)
