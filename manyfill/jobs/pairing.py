"""Which photos a folder job takes, which mask belongs to each, and what its outputs are called."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from manyfill import photos
from manyfill.errors import ManyfillError
from manyfill.jobs.records import Failed

MASK_ENDINGS = ("_mask", "-mask")  # that other programs put behind the photo's name


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
    """Each photo with its mask among `masks` (paths inside `folder`), where these are looked at; else without.

    Names that look alike belong together: whether they are spelled the same, or only once é is one letter rather than
    e and an accent (Macs write the latter), or only in the same case. The nearest spelling counts; where none has the
    photo's own name, `a_mask` and `a-mask` are for `a`.
    """
    stems = output_stems(names)
    spelled = [_by_stem(masks or (), spelling) for spelling in _SPELLINGS]
    for name in names:
        fitting = [None] if masks is None else _fitting(spelled, name)
        if len(fitting) == 1:
            yield Pair(name, fitting[0], stems[name])
            continue
        shown = ", ".join(str(Path(folder) / mask) for mask in fitting if mask)
        why = f"{len(fitting)} masks fit: {shown}" if fitting else f"no mask {name.with_suffix('.*')} in {folder}"
        yield Failed(name.as_posix(), f"{why}. Masks pair by their path without suffix, or with _mask behind it.")


def _composed(path: Path) -> str:
    return unicodedata.normalize("NFC", path.as_posix())


_SPELLINGS: tuple[Callable[[Path], str], ...] = (Path.as_posix, _composed, lambda path: _composed(path).casefold())
Spelled = Mapping[str, Sequence[Path]]  # a path without its suffix, in one spelling -> masks


def _by_stem(masks: Iterable[Path], spelling: Callable[[Path], str]) -> Spelled:
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for mask in masks:
        found[spelling(mask.with_suffix(""))].append(mask)
    return found


def _fitting(spelled: Sequence[Spelled], name: Path) -> Sequence[Path]:
    """Masks for photo `a.jpg`: `a.jpg.png` first, else those of its stem, the one of its very name before others.

    Without any, `a_mask.png` and the like.
    """
    for ending in ("", *MASK_ENDINGS):
        for spelling, masks in zip(_SPELLINGS, spelled, strict=True):
            names = (name.with_name(name.name + ending), name.with_name(name.stem + ending))
            found = masks.get(spelling(names[0])) or masks.get(spelling(names[1])) or ()
            same = [mask for mask in found if spelling(mask) == spelling(name)]
            if found:
                return same if len(same) == 1 else found
    return ()


@dataclass(frozen=True)
class Found:
    """The photos below a folder, in the order of their names, and what a person should know of the search."""

    photos: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def find_photos(folder: Path, *, without: Iterable[Path] = ()) -> Found:
    """All photos below a folder, without hidden ones and `without` (resolved).

    Links to folders are followed, but no folder is gone through twice: first what lies in the folder itself, then
    what is linked, in the order of their names. What is passed over for that is noted.
    """
    skip = set(without)
    found: list[Path] = []
    notes: list[str] = []
    seen: dict[Path, Path] = {}  # where a folder really is -> by which path it was gone through
    linked = [folder]
    while linked:
        start = linked.pop(0)
        if start.resolve() in seen and start != folder:
            notes.append(f"{start} is a link to {seen[start.resolve()]}, whose photos are taken once")
            continue
        for parent, folders, names in os.walk(start, onerror=lambda error: notes.append(_unreadable(error))):
            here = Path(parent)
            if here.resolve() in seen:
                folders.clear()
                continue
            seen[here.resolve()] = here
            folders[:] = sorted(name for name in folders if name[0] != "." and (here / name).resolve() not in skip)
            linked += [here / name for name in folders if (here / name).is_symlink()]
            folders[:] = [name for name in folders if not (here / name).is_symlink()]
            found += [here / name for name in names if name[0] != "." and Path(name).suffix.lower() in photos.SUFFIXES]
        linked.sort()
    return Found(tuple(sorted(found)), tuple(notes))


def _unreadable(error: OSError) -> str:
    return f"the folder {error.filename} cannot be read: {error.strerror}; photos in it are left out"


def output_stems(names: Sequence[Path]) -> dict[Path, str]:
    """A stem for each photo's outputs: its own, or with the suffix in it (`a_png`) where two in one folder collide."""

    def alike(name: Path, stem: str) -> str:  # on the file systems of Macs and Windows these are one name
        return unicodedata.normalize("NFC", (name.parent / stem).as_posix()).casefold()

    shared = Counter(alike(name, name.stem) for name in names)
    stems = {name: name.stem for name in names if shared[alike(name, name.stem)] == 1}
    taken = {alike(name, stem) for name, stem in stems.items()}
    for name in names:
        if name in stems:
            continue
        stem = f"{name.stem}_{name.suffix[1:]}"
        while alike(name, stem) in taken:
            stem += "_"
        taken.add(alike(name, stem))
        stems[name] = stem
    return stems
