"""Who fills the holes: a model, a filler without weights, or a folder of what another program made."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from manyfill import photos
from manyfill.boxes import Pixels
from manyfill.completer import Completer, NetDrawer
from manyfill.errors import BadImage, ManyfillError
from manyfill.evaluation.cases import Case, by_stem, listed
from manyfill.fillers import FILLERS

NUMBERED = re.compile(r"(?P<stem>.+)_(?P<number>\d+)")


@dataclass(frozen=True)
class Answer:
    """What a source made of one case, in the order of its seeds."""

    fills: list[Pixels]
    seeds: list[int]
    scores: list[float | None]  # how the source itself ranks them; higher is better
    seconds: list[float]  # per fill; empty where somebody else took the time


class Source(Protocol):
    """One column of the tables."""

    label: str
    facts: dict[str, Any]  # what a reader must know to get the same fills
    exact: bool  # promises to keep known pixels to the last bit

    def prepare(self, names: Sequence[str]) -> None:
        """Find out early whether all photos can be answered. Raises ManyfillError that lists those that cannot."""

    def identity(self, case: Case) -> str:
        """Changes whenever the fills of this case would."""

    def answer(self, case: Case, *, n: int, seed: int) -> Answer:
        """Up to n fills, from seeds seed, seed + 1 ..."""

    def alpha(self, case: Case, fill: Pixels) -> NDArray[np.float32] | None:
        """(H,W): the share of the drawn picture that the fusion block takes, where the source has one."""


@dataclass(eq=False)
class Filling:
    """A model or a filler: fill i is `complete(..., n=1, seed=seed + i)`, nothing chosen from more."""

    completer: Completer
    texture: str | float = "auto"
    label: str = ""
    exact: bool = True
    facts: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        name = self.completer.name
        filler = FILLERS.get(name)
        plain = filler is not None or self.texture == "auto"
        self.label = self.label or (name if plain else f"{name}, texture {self.texture}")
        self.facts = {"kind": "model" if filler is None else "filler", "name": name, "sha256": self.completer.sha256}
        if filler is None:
            self.facts |= {"texture": self.texture, "device": str(self.completer.device)}
            self.facts |= {"engine": self.completer.engine}
        else:
            self.facts |= {"package": f"{filler.package} {filler.version}", "source": filler.source}

    def prepare(self, names: Sequence[str]) -> None:
        """Anything can be filled."""

    def identity(self, case: Case) -> str:
        """The model and how it is run."""
        return repr(sorted((key, value) for key, value in self.facts.items()))

    def answer(self, case: Case, *, n: int, seed: int) -> Answer:
        """Fill by fill, as a user would get each alone."""
        made = Answer([], [], [], [])
        for own in range(seed, seed + (n if self.completer.varied else 1)):
            start = time.perf_counter()
            (fill,) = self.completer.complete(case.pixels, case.hole, n=1, seed=own, texture=self.texture)
            made.seconds.append(time.perf_counter() - start)
            made.fills.append(fill.photo.pixels)
            made.seeds.append(fill.seed)
            made.scores.append(fill.score)
        return made

    def alpha(self, case: Case, fill: Pixels) -> NDArray[np.float32] | None:
        """Of the most likely fill, window by window; what earlier windows filled is seen as it is in `fill`."""
        drawer = self.completer.drawer
        if not isinstance(drawer, NetDrawer):
            return None
        found = np.zeros(case.hole.shape, np.float32)
        unfilled = case.hole.copy()
        for window in drawer.plan(case.hole):
            drawn = drawer.alpha(fill[window.box.part], unfilled[window.box.part], window)
            if drawn is None:
                return None
            own = unfilled[window.core.part]
            found[window.core.part][own] = drawn[own]
            unfilled[window.core.part] = False
        return found


@dataclass(eq=False)
class Folder:
    """Somebody else's results: STEM.png, or STEM_1.png, STEM_2.png ... for several fills of one photo."""

    path: Path
    label: str = ""
    exact: bool = False
    facts: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise ManyfillError(f"--filled {self.path} is not a folder.")
        self.label = self.label or self.path.name
        self.facts = {"kind": "folder", "name": self.path.name}
        self._files: dict[str, list[Path]] = {}

    def prepare(self, names: Sequence[str]) -> None:
        """Every photo needs a result."""
        found = by_stem(self.path)
        numbered: dict[str, dict[int, Path]] = {}
        for stem, path in found.items():
            if match := NUMBERED.fullmatch(stem):
                numbered.setdefault(match["stem"], {})[int(match["number"])] = path
        for name in names:
            if name in found:
                self._files[name] = [found[name]]
            elif name in numbered:
                self._files[name] = [path for _, path in sorted(numbered[name].items())]
        missing = [name for name in names if name not in self._files]
        if missing:
            raise ManyfillError(
                f"{self.path} has no result for {len(missing)} of {len(names)} photos: {listed(missing)}. "
                "Results pair by their path without suffix: NAME.png, or NAME_1.png, NAME_2.png ... for several fills."
            )

    def identity(self, case: Case) -> str:
        """The files' content."""
        return " ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in self._files[case.name])

    def answer(self, case: Case, *, n: int, seed: int) -> Answer:
        """The first n files. Raises BadImage where one cannot be read or has another size than the photo."""
        made = Answer([], [], [], [])
        for number, path in enumerate(self._files[case.name][:n]):
            pixels = photos.read(path).pixels
            if pixels.shape != case.pixels.shape:
                theirs, ours = (f"{array.shape[1]}x{array.shape[0]}" for array in (pixels, case.pixels))
                raise BadImage(
                    f"{path} is {theirs} but the photo is {ours} as it is measured. --write-set DIR writes photos and "
                    "masks as they are measured, for other programs to fill."
                )
            made.fills.append(np.rint(pixels / 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels)
            made.seeds.append(number)
            made.scores.append(None)
        return made

    def alpha(self, case: Case, fill: Pixels) -> None:
        """Unknown."""
        return None
