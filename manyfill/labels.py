"""Labels: windows of photos with holes and several truths for each hole, in tar shards; training samples from them.

A teacher that is asked again gives another believable answer to the same hole; a sample is one of them, or the photo
itself. `labelling.py` makes the shards. A shard holds, per label, KEY.photo.jpg, KEY.hole.png (white = missing),
KEY.truth1.jpg ... and KEY.json.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from manyfill import files
from manyfill.boxes import Bools, Pixels
from manyfill.data import Samples
from manyfill.data.finding import members_of
from manyfill.data.photoset import DECODER_ERRORS
from manyfill.errors import BadImage

LARGEST = 2048  # pixels of a side: labels have a few hundred
QUALITY = 95  # of the JPEGs: what is lost is far below what a teacher gets wrong


@dataclass(frozen=True, eq=False)
class Label:
    """One hole and its truths."""

    key: str
    photo: Pixels
    hole: Bools
    truths: tuple[Pixels, ...]  # the teacher's; known pixels are the photo's
    facts: dict[str, Any] = field(default_factory=dict)  # view and distance of each truth, where the window lies


def write_shard(path: Path, labels: Sequence[Label]) -> None:
    """Write labels as one uncompressed tar, atomically; the same labels give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for label in labels:
            parts = {"photo.jpg": _jpeg(label.photo), "hole.png": _png(label.hole)}
            parts |= {f"truth{k}.jpg": _jpeg(truth) for k, truth in enumerate(label.truths, 1)}
            parts["json"] = json.dumps(label.facts, sort_keys=True).encode()
            for name, data in parts.items():
                member = tarfile.TarInfo(f"{label.key}.{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(path, buffer.getvalue())


class LabelSet:
    """The labels of shards, by index; read from the shards when asked for."""

    def __init__(self, sources: Path | Sequence[Path]) -> None:
        """`sources`: shards, or folders of them. Raises BadImage where there is no label."""
        given = [sources] if isinstance(sources, Path) else list(sources)
        shards = [shard for one in given for shard in (sorted(one.glob("*.tar")) if one.is_dir() else [one])]
        self._places: list[tuple[Path, str, dict[str, tuple[int, int]]]] = []
        for shard in shards:
            self._places += [(shard, key, parts) for key, parts in _index(shard).items()]
        if not self._places:
            where = ", ".join(map(str, given)) or "an empty list"
            raise BadImage(f"no labels in {where}. Make some: manyfill label --teacher migan --data DIR --out LABELS")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Label:
        shard, key, parts = self._places[index]
        try:
            with shard.open("rb") as file:

                def read(name: str) -> bytes:
                    offset, size = parts[name]
                    file.seek(offset)
                    return file.read(size)

                photo, hole = _decode(read("photo.jpg"), "RGB"), np.asarray(_decode(read("hole.png"), "L") > 127)
                count = sum(name.startswith("truth") for name in parts)
                truths = [_decode(read(f"truth{k}.jpg"), "RGB") for k in range(1, count + 1)]
                facts = json.loads(read("json"))
            sizes = {photo.shape[:2], hole.shape, *(truth.shape[:2] for truth in truths)}
            if len(sizes) > 1 or not isinstance(facts, dict):
                raise ValueError("its pictures are of different sizes" if len(sizes) > 1 else "its facts are none")
        except (*DECODER_ERRORS, RecursionError) as error:
            why = " ".join(str(error).split())[:200].rstrip(".")
            raise BadImage(
                f"label {key} in {shard} is damaged: {why}. Remove the shard, or have it made again: manyfill label."
            ) from error
        whole = tuple(np.where(hole[..., None], truth, photo) for truth in truths)
        return Label(key, photo, hole, whole, facts)


class LabelSamples(Dataset[tuple[Tensor, Tensor]]):
    """(image (3,S,S), hole (1,S,S)) as `data.Samples` gives them, the image with one truth of its hole.

    With `truths` above 1 image is (truths,3,S,S): that one first, then others of the same hole, the photo among them;
    where there are fewer they come again, and a plain photo is its own only truth.

    Item i depends only on (seed, i). `photo_share` of the samples keep what the photo shows. With `plain`, `share` of
    all items are labels and the others plain photos. Labels of another size are reduced by pixel areas; a place that a
    missing pixel touches is missing.
    """

    def __init__(
        self,
        labels: LabelSet,
        *,
        size: int,
        seed: int,
        photo_share: float = 0.34,
        plain: Samples | None = None,
        share: float = 0.5,
        truths: int = 1,
    ) -> None:
        self.labels, self.size, self.seed, self.truths = labels, size, seed, truths
        self.photo_share, self.plain, self.share = photo_share, plain, share
        side = labels[0].photo.shape[0]
        if side % size:
            raise BadImage(f"labels of {side} pixels do not fit crops of {size}. Make `size` {side}, or a part of it.")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, index, 0x6C6162656C])
        if self.plain is not None and rng.random() >= self.share:
            image, hole = self.plain[index]
            return (image.expand(self.truths, *image.shape) if self.truths > 1 else image), hole
        label = self.labels[int(rng.integers(len(self.labels)))]
        own = not label.truths or rng.random() < self.photo_share
        all_truths = (label.photo, *label.truths)
        drawn = 0 if own else 1 + int(rng.integers(len(label.truths)))
        flip = rng.random() < 0.5
        order = [drawn]
        if self.truths > 1:
            order += rng.permutation([k for k in range(len(all_truths)) if k != drawn]).tolist()
        pictures = [self._image(all_truths[order[k % len(order)]], flip=flip) for k in range(self.truths)]
        missing = label.hole[:, ::-1] if flip else label.hole
        if missing.shape[0] != self.size:
            times = missing.shape[0] // self.size
            missing = np.asarray(missing.reshape(self.size, times, self.size, times).any((1, 3)))
        image = torch.stack(pictures) if self.truths > 1 else pictures[0]
        return image, torch.from_numpy(missing.astype(np.float32))[None]

    def _image(self, picture: Pixels, *, flip: bool) -> Tensor:
        """(3,S,S) in [0,1]."""
        if flip:
            picture = picture[:, ::-1]
        if picture.shape[0] != self.size:
            picture = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / np.float32(255))


def _index(shard: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """Where the parts of each label lie: key -> part -> (offset, size)."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    members, damage = members_of(shard)
    if damage is not None:
        raise BadImage(f"{shard} cannot be read as a shard of labels: {damage}. Remove it, or have it made again.")
    for name, offset, size in members:
        key, _, part = name.partition(".")
        found.setdefault(key, {})[part] = (offset, size)
    return {key: parts for key, parts in sorted(found.items()) if {"photo.jpg", "hole.png", "json"} <= set(parts)}


def _jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()


def _png(hole: Bools) -> bytes:
    out = io.BytesIO()
    Image.fromarray(hole).save(out, "PNG")
    return out.getvalue()


def _decode(data: bytes, mode: str) -> Pixels:
    with Image.open(io.BytesIO(data)) as picture:
        if max(picture.size) > LARGEST:
            raise ValueError(f"it is {picture.width}x{picture.height}, more than {LARGEST} wide or high")
        return np.array(picture.convert(mode))
