"""Small pictures of every case, for the page: truth, hole, the first fills, alpha and where the fills disagree."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manyfill import ranking, sheet
from manyfill.boxes import Pixels
from manyfill.evaluation.cases import Case
from manyfill.evaluation.sources import Answer, Source

FOLDER = "pictures"
SIDE = 384  # longer side, pixels
STRIP = 6  # fills that are kept
QUALITY = 85  # of JPEG: some 20 kB each


def keep(out: Path, source: Source, case: Case, answer: Answer) -> None:
    """Write the pictures of one answer; the truth and the hole once."""
    folder = out / FOLDER / safe(case.name)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "hole.jpg").is_file():
        _save(_small(case.pixels, case.hole), folder / "truth.jpg")
        marked = np.where(case.hole[..., None], np.array(sheet.HOLE, np.uint8), case.pixels)
        _save(_small(marked, case.hole), folder / "hole.jpg")
    name = safe(source.label)
    for rank, fill in enumerate(answer.fills[:STRIP], start=1):
        _save(_small(fill, case.hole), folder / f"{name}_{rank}.jpg")
    if len(answer.fills) > 1:
        spread = ranking.uncertainty(answer.fills, case.hole)
        heat = sheet.heat_map(Image.fromarray(case.pixels), spread)
        _save(_small(np.asarray(heat), case.hole), folder / f"{name}_uncertainty.jpg")
    alpha = source.alpha(case, answer.fills[0])
    if alpha is not None:
        grey = np.rint(np.where(case.hole, alpha, 0) * 255).astype(np.uint8)
        _save(_small(np.repeat(grey[..., None], 3, 2), case.hole), folder / f"{name}_alpha.jpg")


def find(out: Path, photo: str, name: str) -> Path | None:
    """A picture that was kept: `truth`, `hole`, LABEL_1 ..."""
    path = out / FOLDER / safe(photo) / f"{name}.jpg"
    return path if path.is_file() else None


def safe(name: str) -> str:
    """A file's name for any photo or source."""
    return re.sub(r"[^\w.+-]+", "_", name)


def _small(pixels: Pixels, hole: NDArray[np.bool_]) -> Image.Image:
    box = sheet.view(hole)
    part = Image.fromarray(pixels).crop((box.left, box.top, box.right, box.bottom))
    part.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return part


def _save(picture: Image.Image, path: Path) -> None:
    partial = path.with_suffix(".part")
    picture.convert("RGB").save(partial, "JPEG", quality=QUALITY)
    partial.replace(path)
