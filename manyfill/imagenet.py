"""ImageNet's AlexNet and VGG16 with LPIPS' heads, as published: where they are kept, and whether they are right.

`lpips_jax.py` brings them into the user's cache. Nothing that completes a photo needs them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from safetensors.torch import load_file
from torch import Tensor

from manyfill.download import cache_folder
from manyfill.errors import BadWeights

Kind = Literal["alex", "vgg"]

# `fingerprint` of torchvision's convolutions (`features.0.weight` ...) and the release's heads (`lin0.model.1.weight`
PUBLISHED: dict[Kind, str] = {
    "alex": "815991aa12e4eb67a6be70f80197c853ed56e47ec755caa6c1ee435a16d7e445",
    "vgg": "92f8d35a575355309045c32d8f162dbaa3a5e4a1e4207adbcf669ac3db1f7780",
}


def kept(kind: Kind) -> Path:
    """Where the converted network is kept, whether it is there or not."""
    return cache_folder() / f"lpips-{kind}.safetensors"


def read(kind: Kind) -> dict[str, Tensor]:
    """The published network's tensors, float32, in torchvision's layout, with LPIPS v0.1's heads (Zhang et al. 2018).

    Raises BadWeights where the file is absent (it says how to get it), cannot be read, or holds other numbers: with
    those a distance would be another number and must not be called LPIPS.
    """
    path = kept(kind)
    if not path.is_file():
        raise BadWeights(
            f"the published network for this, {path.name}, is not in the cache. "
            "Fetch it once, 64 MB: manyfill fetch lpips"
        )
    try:
        tensors = load_file(path)
    except Exception as error:  # whatever a damaged file raises
        raise BadWeights(
            f"{path} cannot be read ({type(error).__name__}). Fetch it again: manyfill fetch lpips"
        ) from error
    if fingerprint(tensors) != PUBLISHED[kind]:
        raise BadWeights(
            f"{path} does not hold the published numbers. Delete it and fetch it again: manyfill fetch lpips"
        )
    return tensors


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and float32 values, in order of the names: the same in whatever file they are kept."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().float().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
