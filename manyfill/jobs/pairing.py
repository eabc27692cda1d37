"""Which photos a folder job takes, which mask belongs to each, and what its outputs are called."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from manyfill import photos
from manyfill.errors import ManyfillError
from manyfill.jobs.records import Failed


@dataclass(frozen=True)
class Pair:
    """A photo's path inside the folder, its mask's inside the folder of masks, and the stem of its outputs."""

    photo: Path
    mask: Path | None
    stem: str


def chosen(names: Sequence[Path], only: Sequence[str], folder: str) -> list[Path]:
    """The photos (paths inside `folder`) that fit one of the patterns, if there are any; raises where none is left."""
    fitting = [name for name in names if not only or any(fnmatchcase(name.as_posix(), pattern) for pattern in only)]
    if names and not fitting:
        raise ManyfillError(
            f"none of the {len(names)} photos in {folder} fits --only {' '.join(only)}. Patterns are for"
            " paths inside the folder, such as '*.png' or 'holiday/*'."
        )
    if not names:
        raise ManyfillError(
            f"no photos in {folder}: looked for {' '.join(sorted(photos.SUFFIXES))}, also in sub-folders."
        )
    return fitting


def pairs(names: Sequence[Path], masks: Sequence[Path] | None, folder: str) -> Iterator[Pair | Failed]:
    """Each photo with its mask among `masks` (paths inside `folder`), where these are looked at; else without."""
    stems = output_stems(names)
    candidates: dict[Path, list[Path]] = defaultdict(list)
    for mask in masks or ():
        candidates[mask.with_suffix("")].append(mask)
    for name in names:
        fitting = [None] if masks is None else _fitting(candidates, name)
        if len(fitting) == 1:
            yield Pair(name, fitting[0], stems[name])
            continue
        shown = ", ".join(str(Path(folder) / mask) for mask in fitting if mask)
        why = f"{len(fitting)} masks fit: {shown}" if fitting else f"no mask {name.with_suffix('.*')} in {folder}"
        yield Failed(name.as_posix(), f"{why}. Masks pair by their path without suffix.")


def find_photos(folder: Path, *, without: Iterable[Path] = ()) -> list[Path]:
    """All photos below a folder in the order of their names, without hidden ones and `without` (resolved)."""
    skip = set(without)
    found = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if name[0] != "." and (here / name).resolve() not in skip)
        found += [here / name for name in files if name[0] != "." and Path(name).suffix.lower() in photos.SUFFIXES]
    return sorted(found)


def output_stems(names: Sequence[Path]) -> dict[Path, str]:
    """A stem for each photo's outputs: its own, or with the suffix in it (`a_png`) where two in one folder collide."""
    shared = Counter((name.parent, name.stem.casefold()) for name in names)
    stems = {name: name.stem for name in names if shared[name.parent, name.stem.casefold()] == 1}
    taken = {(name.parent, stem.casefold()) for name, stem in stems.items()}
    for name in names:
        if name in stems:
            continue
        stem = f"{name.stem}_{name.suffix[1:]}"
        while (name.parent, stem.casefold()) in taken:
            stem += "_"
        taken.add((name.parent, stem.casefold()))
        stems[name] = stem
    return stems


def _fitting(masks: Mapping[Path, list[Path]], name: Path) -> list[Path]:
    """Masks for photo `a.jpg`: `a.jpg.png` first, else those of its stem, the one of its very name before others."""
    found = masks.get(name) or masks.get(name.with_suffix("")) or []
    return [name] if name in found else found
