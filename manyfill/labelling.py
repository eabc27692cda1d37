"""Ask a teacher for several truths of each hole: `manyfill label`, for training on `labels.py`'s shards.

Windows and holes are those of training. The teacher sees each mirrored, upside down, with its hole grown (views.py);
each answer goes through the texture stage where that brings it nearer to the photo, and is dropped where our own patch
search, which nobody taught, is nearer.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manyfill import files, masks, memory, texture, trunks
from manyfill.data import Augmentation, Samples, open_photos
from manyfill.errors import ManyfillError
from manyfill.labels import Label, write_shard
from manyfill.metrics.perceptual import feature_distance
from manyfill.nets.perceptual import EfficientNetLite0
from manyfill.views import PLAIN, View, draw_through

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

PER_SHARD = 128  # labels; a shard is some 20 MB at 256 pixels
VIEWS = {
    "plain": PLAIN,
    "mirrored": View(mirrored=True),
    "upside down": View(turned=True),
    "grown": View(grown=0.5),
    "half size": View(halved=True),
    "shifted": View(down=0.5, right=0.5),
}
AUGMENTATION = Augmentation(exposure=0.0, contrast=0.0, colour=0.0, saturation=0.0)  # light is the training's


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """What is labelled, and how; a run is resumed by the same description."""

    data: tuple[str, ...]
    masks: Mapping[str, float]
    views: int = 4  # the first so many of VIEWS
    per_photo: int = 40
    size: int = 256
    scale: tuple[float, float] = (0.25, 1.0)
    seed: int = 0
    textured: bool = True
    cache_side: int = 768
    per_shard: int = PER_SHARD  # labels; it says which label is in which shard, so keep it for a folder

    def __post_init__(self) -> None:
        if not 1 <= self.views <= len(VIEWS):
            raise ManyfillError(f"views is {self.views}; expected 1 to {len(VIEWS)}.")
        if self.size % 128:
            raise ManyfillError(f"size is {self.size}; the teacher needs a multiple of 128.")


def label(
    job: Labelling,
    out: Path,
    *,
    processes: int = 1,
    most: int | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> int:
    """Write shards of labels into a folder; shards that are there are kept. Returns the number of labels tried.

    Raises Busy where another process labels into the folder, ManyfillError where its shards were made in another way.

    `most`: at most so many labels in all. Raises UnknownModel where the teacher has not been fetched.
    """
    trunks.trunk_file()  # before anything is begun
    with files.lock(out / ".lock", f"the labels in {out}"):
        return _label(job, out, processes, most, progress)


def _label(
    job: Labelling,
    out: Path,
    processes: int,
    most: int | None,
    progress: Callable[[int, int, dict[str, float]], None] | None,
) -> int:
    _claim(job, out)
    total = len(open_photos(list(job.data), short_side=job.cache_side)) * job.per_photo
    total = total if most is None else min(total, most)
    shards = list(range(-(-total // job.per_shard)))
    open_ones = [shard for shard in shards if not _path(job, out, shard).is_file()]
    done, start = (
        total - sum(min(job.per_shard, total - shard * job.per_shard) for shard in open_ones),
        time.monotonic(),
    )
    began = done
    kept = 0
    if progress is not None and open_ones:
        progress(done, total, {})
    for tried, found in _work(job, out, open_ones, total, processes):
        done += tried
        kept += found
        if progress is not None:
            pace = (done - began) / max(time.monotonic() - start, 1e-9)
            progress(done, total, {"windows_per_second": pace, "seconds_left": (total - done) / pace, "labels": kept})
    return total


def _claim(job: Labelling, out: Path) -> None:
    """Note how the shards are made. Raises ManyfillError where others of the same names were made in another way."""
    note = out / f"labels-{job.seed}-{job.size}.json"
    ours = json.loads(
        json.dumps({**asdict(job), "data": [str(Path(path).absolute()) for path in job.data]}, sort_keys=True)
    )
    try:
        theirs = json.loads(files.read(note).data)
    except FileNotFoundError:
        theirs = ours
    except (OSError, ValueError, RecursionError):
        theirs = None
    if not isinstance(theirs, dict):
        raise ManyfillError(f"{note} is damaged, or not of manyfill. Say where else to: --out DIR; or remove it.")
    other = next((name for name in ours if theirs.get(name) != ours[name]), None)
    if other is not None:
        raise ManyfillError(
            f"{out} holds labels made in another way ({other}: {str(theirs.get(other))[:100]} there,"
            f" {str(ours[other])[:100]} here). Say where else to: --out DIR; or take another --seed."
        )
    files.write_atomic(note, json.dumps(ours, indent=1).encode())


def _work(job: Labelling, out: Path, shards: Sequence[int], total: int, processes: int) -> Iterator[tuple[int, int]]:
    if processes == 1:
        worker = Worker(job)
        for shard in shards:
            yield worker.shard(out, shard, total)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(job,)) as pool:
        yield from pool.map(_do, [out] * len(shards), shards, [total] * len(shards))


_worker: Worker | None = None


def _begin(job: Labelling) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    memory.keep_freed()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _worker = Worker(job)


def _end_with_parent() -> None:
    """A parent that was killed can stop nobody; a worker would go on through all that had been handed out."""
    parent = parent_process()
    assert parent is not None, "a worker was started by somebody"
    parent.join()
    os._exit(1)


def _do(out: Path, shard: int, total: int) -> tuple[int, int]:
    assert _worker is not None, "the process was begun"
    return _worker.shard(out, shard, total)


def _path(job: Labelling, out: Path, shard: int) -> Path:
    return out / f"labels-{job.seed}-{job.size}-{shard:05d}.tar"


class Worker:
    """Photos, teacher and ruler of one process."""

    def __init__(self, job: Labelling) -> None:
        self.job = job
        self.samples = Samples(
            open_photos(list(job.data), short_side=job.cache_side, cache_bytes=1 << 30),
            size=job.size,
            masks=masks.mixture(job.masks),
            seed=job.seed,
            scale=job.scale,
            augment=AUGMENTATION,
        )
        self.teacher = trunks.read_migan(trunks.trunk_file(), working=job.size)
        self.teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.features = EfficientNetLite0()

    def shard(self, out: Path, number: int, total: int) -> tuple[int, int]:
        """Label one shard's windows and write it; how many were tried, how many have a truth."""
        first = number * self.job.per_shard
        last = min(first + self.job.per_shard, total)
        labels = [found for index in range(first, last) if (found := self.label(index)) is not None]
        write_shard(_path(self.job, out, number), labels)
        return last - first, len(labels)

    @torch.inference_mode()
    def label(self, index: int) -> Label | None:
        """The truths of one window; None where the teacher never came nearer than the photo's own patches."""
        image, hole = (x[None] for x in self.samples[index])
        photo, missing = _pixels(image[0]), hole[0, 0].numpy() > 0.5
        search = self._patched(photo, missing, None, index)
        truth_maps = self.features(image)

        def far(pictures: Sequence[Floats]) -> list[float]:
            batch = torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2))
            maps = [m.expand(len(pictures), -1, -1, -1) for m in truth_maps]
            shown = {id(batch): self.features(batch)}
            same = image.expand(len(pictures), -1, -1, -1)
            distances = feature_distance(
                lambda x: shown.get(id(x), maps), batch, same, hole.expand(len(pictures), -1, -1, -1)
            )
            return [float(distance) for distance in distances]

        drawn = [np.where(missing[..., None], fill, photo) for fill in self.asked(image, hole)]
        answers = list(zip(drawn, [False] * len(drawn), strict=True))
        if self.job.textured:
            answers += [(self._patched(photo, missing, fill, index), True) for fill in drawn]
        distances = far([search] + [picture for picture, _ in answers])
        limit, distances = distances[0], distances[1:]
        truths, facts = [], []
        for view in range(len(drawn)):
            best = min(range(view, len(answers), len(drawn)), key=lambda k: distances[k])
            if distances[best] <= limit:
                truths.append(np.rint(answers[best][0] * 255).astype(np.uint8))
                facts.append(
                    {"view": list(VIEWS)[view], "textured": answers[best][1], "pd_eff": round(distances[best], 4)}
                )
        if not truths:
            return None
        told = {"truths": facts, "search_pd_eff": round(limit, 4), "index": index, "hole_ratio": float(missing.mean())}
        return Label(f"{index:08d}", np.rint(photo * 255).astype(np.uint8), missing, tuple(truths), told)

    def asked(self, image: Tensor, hole: Tensor) -> list[Floats]:
        """The teacher's answers, one per view, (S,S,3) in [0,1]."""

        def draw(image: Tensor, hole: Tensor) -> Tensor:
            image = image.to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=_has_bf16()):
                return self.teacher.decode(self.teacher.encode(image, hole)).image.float()

        views = list(VIEWS.values())[: self.job.views]
        return [_pixels(draw_through(view, draw, image, hole)[0]) for view in views]

    def _patched(self, photo: Floats, missing: Bools, guide: Floats | None, index: int) -> Floats:
        made = texture.synthesize(photo, missing, guide, seed=self.job.seed + index)
        return np.asarray(np.where(missing[..., None], made.image, photo).clip(0, 1), np.float32)


def _pixels(image: Tensor) -> Floats:
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0), np.float32)


def _has_bf16() -> bool:
    """Whether this CPU multiplies in bfloat16: then the teacher runs in half the time."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
