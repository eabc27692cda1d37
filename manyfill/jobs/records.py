"""What is asked of a job and what came of it: options, the sidecar beside the fills, the fate of a photo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from manyfill.errors import ManyfillError
from manyfill.options import FillOptions


@dataclass(frozen=True, kw_only=True)
class Options(FillOptions):
    """How photos are completed and written: all that changes an output's bytes, besides model, photo and mask."""

    format: str = "same"
    quality: int | None = None
    sheet: bool = True
    uncertainty: bool = False
    explain: bool = False


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

    def to_json(self) -> str:
        """Readable JSON, keys in the order of the fields."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """Raises ManyfillError where the file is missing or not a sidecar."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                **{
                    **raw,
                    "photo": FileRecord(**raw["photo"]),
                    "mask": None if raw["mask"] is None else FileRecord(**raw["mask"]),
                    "model": ModelRecord(**raw["model"]),
                    "options": Options(**raw["options"]),
                    "fills": tuple(FillRecord(**fill) for fill in raw["fills"]),
                }
            )
        except FileNotFoundError:
            raise ManyfillError(f"there is no sidecar {path}.") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = f"no entry {error}" if isinstance(error, KeyError) else str(error)
            raise ManyfillError(f"{path} is not a sidecar that this version can read: {what}.") from error


@dataclass(frozen=True)
class Done:
    """A photo that was completed."""

    name: str
    sidecar: Sidecar
    files: tuple[Path | str, ...]  # all that was written, fills first; addresses where that is not a folder


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
