"""What is asked of a job and what came of it: options, tasks, the sidecar beside the fills, the fate of a photo."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from manyfill import files
from manyfill.errors import ManyfillError
from manyfill.files import Stamp
from manyfill.options import MOST_FILLS, FillOptions
from manyfill.selection.asked import Selection
from manyfill.typed import of_json

FORMATS = {"png": ".png", "jpg": ".jpg", "webp": ".webp", "tiff": ".tiff"}  # what --format offers, beside "same"
SIDECAR_BYTES = 4 << 20  # ours have some kilobytes


@dataclass(frozen=True, kw_only=True)
class Options(FillOptions):
    """How photos are completed and written: all that changes an output's bytes, besides model, photo and mask."""

    format: str = "same"
    quality: int | None = None
    sheet: bool = True
    uncertainty: bool = False
    explain: bool = False
    selection: Selection | None = None  # what to fill, where no mask says it

    def __post_init__(self) -> None:
        """Check each value, those of the fill too. Raises ManyfillError."""
        super().__post_init__()
        if self.format != "same" and self.format not in FORMATS:
            raise ManyfillError(f"format is {self.format!r}; expected same, {', '.join(FORMATS)}.")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ManyfillError(f"quality is {self.quality}; expected 1 to 100.")


@dataclass(frozen=True)
class Target:
    """Where the files of one photo go: `stem_1.jpg` … with sheet and sidecar, or one plain file."""

    folder: Path
    stem: str
    numbered: bool = True  # False: one fill, called stem + suffix, and no sidecar
    suffix: str | None = None  # None: as the format says

    def fill(self, rank: int, suffix: str) -> Path:
        """Path of the fill of this rank (1 = best)."""
        return self.folder / f"{self.stem}{f'_{rank}' if self.numbered else ''}{self.suffix or suffix}"

    def extra(self, name: str) -> Path:
        """Path of the sheet, the uncertainty map or the explanation."""
        return self.folder / f"{self.stem}_{name}.png"

    @property
    def hole(self) -> Path:
        """Path of the mask of what was selected."""
        return self.extra("hole")

    @property
    def sidecar(self) -> Path:
        """Path of the JSON sidecar."""
        return self.folder / f"{self.stem}.json"


@dataclass(frozen=True)
class Task:
    """One photo to do. `mask` None: the options say what is selected, or the photo's own transparency is the hole."""

    name: str  # how the job calls it: its path inside the folder
    photo: Path
    mask: Path | None
    target: Target
    earlier: Mapping[str, Stamp] | None = None  # of a job that can go on: what it wrote for this photo, by file name
    force: bool = False  # replace also what we did not write


@dataclass(frozen=True)
class FileRecord:
    """A file that went in: its path, relative to the sidecar where that is possible, and its content."""

    file: str
    sha256: str


@dataclass(frozen=True)
class ModelRecord:
    """The model that was used; `file` is its weights' path, relative to the sidecar, or None for an installed model."""

    name: str
    sha256: str
    file: str | None = None


@dataclass(frozen=True)
class FillRecord:
    """A fill that came out, best first."""

    file: str
    seed: int
    score: float | None
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """Everything needed to make the same bytes again; `stem.json` beside the fills."""

    version: str  # of manyfill
    made_with: Mapping[str, str]  # package -> version, and the device: what else could change a byte
    photo: FileRecord
    mask: FileRecord | None
    height: int
    width: int
    hole_ratio: float
    model: ModelRecord
    options: Options
    seconds: float
    fills: tuple[FillRecord, ...]
    sheet: str | None = None
    uncertainty: str | None = None
    explain: str | None = None
    notes: tuple[str, ...] = ()  # what reading the photo or writing it so could not keep
    pictures: Mapping[str, str] = field(default_factory=dict)  # sheet, heat map, explanation: file name -> sha256

    def to_json(self) -> str:
        """Readable JSON, keys in the order of the fields."""
        return json_text(asdict(self), indent=2) + "\n"

    def written(self) -> dict[str, str | None]:
        """The files that it speaks of, by name, and their sha256; None where an earlier version did not note it."""
        pictures = {name: None for name in (self.sheet, self.uncertainty, self.explain) if name is not None}
        return {**pictures, **self.pictures, **{fill.file: fill.sha256 for fill in self.fills}}

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """Raises ManyfillError where the file is missing or not a sidecar."""
        try:
            if path.stat().st_size > SIDECAR_BYTES:
                raise ValueError(f"it has more than {SIDECAR_BYTES >> 20} MiB")
            found = of_json(cls, json.loads(files.read(path).data), "the sidecar")
            if not 1 <= len(found.fills) <= MOST_FILLS:
                raise ValueError(f"it has {len(found.fills)} fills; expected 1 to {MOST_FILLS}")
            return found
        except FileNotFoundError:
            raise ManyfillError(f"there is no sidecar {path}.") from None
        except OSError as error:
            raise ManyfillError(f"the sidecar {path} cannot be read: {error.strerror or error}.") from None
        except (ValueError, TypeError, RecursionError, ManyfillError) as error:
            what = str(error)[:300].rstrip(".")
            raise ManyfillError(f"{path} is not a sidecar that this version can read: {what}.") from error


@dataclass(frozen=True)
class Done:
    """A photo that was completed."""

    name: str
    sidecar: Sidecar
    files: tuple[Path | str, ...]  # all that was written, fills first; addresses where that is not a folder
    photo_is: Stamp  # of the bytes that were decoded
    mask_is: Stamp | None
    outputs: Mapping[str, Stamp]  # by file name
    notes: tuple[str, ...] = ()  # what a person should know of the files


@dataclass(frozen=True)
class Skipped:
    """A photo that an earlier run completed with the same options."""

    name: str


@dataclass(frozen=True)
class Failed:
    """A photo that could not be completed, and why, in one line."""

    name: str
    error: str


Fate = Done | Skipped | Failed


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Readable JSON in valid UTF-8: bytes of a file name that is not UTF-8 (lone surrogates in Python) are escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found.group()):04x}", text)
