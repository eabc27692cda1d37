"""Small photos, masks and jobs, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from manyfill.completer import Completer
from manyfill.jobs.folder import Job, complete_folder
from manyfill.jobs.records import Done, Failed, Options, Skipped, Target, Task
from manyfill.nets.picnet import PICNetConfig

TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1)


def write_photo(path: Path, *, width: int = 40, height: int = 28, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    small.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def write_mask(path: Path, *, width: int = 40, height: int = 28) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width), dtype=np.uint8)
    pixels[8:18, 10:24] = 255
    Image.fromarray(pixels).save(path)
    return path


def small_job(folder: Path, names: tuple[str, ...] = ("a.png", "sub/b.jpg"), **options: object) -> Job:
    for number, name in enumerate(names):
        write_photo(folder / "photos" / name, seed=number)
        write_mask((folder / "masks" / name).with_suffix(".png"))
    plain = {"texture": "net", "sheet": False, **options}
    return Job(folder / "photos", folder / "masks", folder / "out", Options(**plain))


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fates(completer: Completer, job: Job) -> list[Done | Skipped | Failed]:
    seen: list[Done | Skipped | Failed] = []
    complete_folder(completer, job, report=seen.append)
    return seen


def one(folder: Path, name: str = "photo.png", mask: str = "hole.png", stem: str | None = None) -> Task:
    photo, hole = write_photo(folder / name), write_mask(folder / mask)
    return Task(name, photo, hole, Target(folder / "out", stem or photo.stem))


class Watched(Completer):
    """The same completer, which calls somebody before it begins with a photo that was read."""

    def __init__(self, completer: Completer, look: Callable[[], None]) -> None:
        self.__dict__.update(completer.__dict__)
        self.look = look

    def stream(self, *args: Any, **options: Any) -> Any:
        self.look()
        return super().stream(*args, **options)
