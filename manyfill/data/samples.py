"""Training samples: photos cut, turned and lit, with a hole drawn on each; item i depends only on (seed, i)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from manyfill.boxes import Pixels
from manyfill.data.photoset import PhotoSet
from manyfill.errors import BadImage
from manyfill.masks import MaskFn


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
