"""Where photos are and where their fills go, as a command line names them: paths, folders, files, addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manyfill.cli.options import check_pictures
from manyfill.errors import ManyfillError

if TYPE_CHECKING:
    from manyfill.jobs.addresses import Addresses
    from manyfill.jobs.folder import Job
    from manyfill.jobs.records import Options, Target, Task


@dataclass(frozen=True)
class Inputs:
    """Photo or photos, mask or masks, outputs, as they were typed and found to make sense together.

    `target` is there for one photo alone, `out` for anything else.
    """

    photo: str
    mask: str | None
    out: str
    target: Target | None
    addresses: bool  # whether any of them is one

    def task(self, *, force: bool) -> Task:
        """The one photo, as a task."""
        from manyfill.jobs.records import Task

        assert self.target is not None
        mask = None if self.mask is None else Path(self.mask)
        return Task(self.photo, Path(self.photo), mask, self.target, force=force)

    def job(self, options: Options, model_file: Path | None, *, only: tuple[str, ...], force: bool) -> Job | Addresses:
        """The many photos, as a job."""
        from manyfill.jobs.addresses import Addresses
        from manyfill.jobs.folder import Job

        if self.addresses:
            mask = None if self.mask is None else _as_address(self.mask)
            return Addresses(
                _as_address(self.photo), mask, _as_address(self.out), options, model_file, only=only, force=force
            )
        masks = None if self.mask is None else Path(self.mask)
        return Job(Path(self.photo), masks, Path(self.out), options, model_file, only=only, force=force)


def find(
    photo: str, mask: str | None, out: str | None, *, fills: int, format: str, of_folders: Mapping[str, Any]
) -> Inputs:
    """Check what can be checked without reading a photo. `of_folders`: options that one photo cannot have, by name.

    Raises ManyfillError, BadImage and BadMask where files are missing, are no pictures or do not fit each other.
    """
    from manyfill import stores

    addresses = [each for each in (photo, mask, out) if each is not None and stores.is_address(each)]
    if addresses:
        if of_folders["--ray"] is None:
            raise ManyfillError(f"{addresses[0]} is an address; those are for --ray auto or --ray ADDRESS.")
        if out is None:
            raise ManyfillError(f"{photo}: say which folder or address its fills go to: -o {addresses[0]}-fills")
        return Inputs(photo, mask, out, None, addresses=True)
    place, its_mask = _existing(photo), None if mask is None else _existing(mask)
    target = _target_of(place, its_mask, fills, out, format, of_folders)
    if target is not None:
        check_pictures(place, its_mask)
        return Inputs(photo, mask, str(target.folder), target, addresses=False)
    if out is None:
        raise ManyfillError(f"{photo} is a folder; say which folder its fills go to: -o DIR.")
    if Path(out).exists() and not Path(out).is_dir():
        raise ManyfillError(f"-o {Path(out)} is a file; the fills of a folder go to a folder.")
    return Inputs(photo, mask, out, None, addresses=False)


def _as_address(text: str) -> str:
    """A path as an address, beside others that are addresses; every machine has to see it."""
    from manyfill import stores

    return text if stores.is_address(text) else f"file://{Path(text).absolute().as_posix()}"


def _existing(text: str) -> Path:
    """A path that is there."""
    path = Path(text)
    if not path.exists():
        raise ManyfillError(f"'{text}' does not exist. Check the spelling.")
    return path


def _target_of(
    photo: Path, mask: Path | None, fills: int, out: str | None, format: str, of_folders: Mapping[str, Any]
) -> Target | None:
    """Where the fills of one photo go; None for a folder of photos."""
    if photo.is_dir():
        return None
    for option, given in of_folders.items():
        if given:
            raise ManyfillError(f"{option} is for a folder of photos, but {photo} is one photo. Leave it out.")
    if mask is not None and mask.is_dir():
        raise ManyfillError(f"--mask {mask} is a folder, but {photo} is one photo. Name the photo's mask.")
    return _target(photo, fills, None if out is None else Path(out), format)


def _target(photo: Path, fills: int, out: Path | None, format: str) -> Target:
    """Where the fills of one photo go, as a Target."""
    from manyfill.jobs.records import FORMATS, Target
    from manyfill.photos import SUFFIXES

    if out is None:
        if fills > 1:
            return Target(photo.parent / "fills", photo.stem)
        return Target(photo.parent, f"{photo.stem}_filled", numbered=False)
    suffix = out.suffix.lower()
    if out.is_dir() or not suffix:
        if out.exists() and not out.is_dir():
            raise ManyfillError(
                f"-o {out} is a file without a suffix. Name a folder, or a file with one, such as {out}.png."
            )
        return Target(out, photo.stem)
    if suffix not in SUFFIXES:
        from PIL import Image

        if suffix in Image.registered_extensions() or out.exists():
            known = " ".join(sorted(set(FORMATS.values())))
            raise ManyfillError(f"cannot write {out}: suffix {out.suffix}. Those that can be written: {known}.")
        return Target(out, photo.stem)
    if fills > 1:
        raise ManyfillError(
            f"-o {out} is one file, but -n asks for {fills} fills. Name a folder: -o {out.with_suffix('')}/"
        )
    if format != "same" and SUFFIXES[suffix] != SUFFIXES[FORMATS[format]]:
        raise ManyfillError(f"-o {out} and --format {format} disagree. Leave one of them out.")
    return Target(out.parent, out.stem, numbered=False, suffix=out.suffix)
