"""DFNet's parity weights and inputs: our own recipe, from names alone.

The fixture beside this file holds only numbers that the authors' network computed from these weights and inputs.

For a tensor name K of shape S, with z = default_rng(first 8 bytes of sha256(K), little-endian).standard_normal(S):
    K ends in 'num_batches_tracked'      1 (int64) K ends in 'running_mean'             0.05 z K ends in 'running_var'
    1 + 0.1 |z| two dimensions or more               z gain / sqrt(fan_in), fan_in = prod(S[1:]), gain 1.0 for 'fuse_*',
    1.5 elsewhere one dimension, ends in '.weight'     1 + 0.05 z             (scale of the batch norm) one dimension,
    ends in '.bias'       0.05 z
in float64, rounded once to float32. Gain 1.5 keeps the signal of order one over the 16 layers; 1.0 in the fusion blocks
keeps the sigmoids out of saturation.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "dfnet"
Float32 = NDArray[np.float32]


@cache
def value_for(name: str, shape: tuple[int, ...], gain: float | None = None) -> NDArray[Any]:
    """The tensor of that name; read-only use, as it is kept."""
    gain = (1.0 if name.startswith("fuse_") else 1.5) if gain is None else gain
    if name.endswith("num_batches_tracked"):
        return np.array(1, dtype=np.int64)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    z = np.random.default_rng(seed).standard_normal(shape)
    if name.endswith("running_mean"):
        value = 0.05 * z
    elif name.endswith("running_var"):
        value = 1.0 + 0.1 * np.abs(z)
    elif len(shape) >= 2:
        value = z * (gain / math.sqrt(math.prod(shape[1:])))
    elif name.endswith(".weight"):
        value = 1.0 + 0.05 * z
    else:
        assert name.endswith(".bias"), name
        value = 0.05 * z
    return value.astype(np.float32)


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Name to shape of the published network, in the order of its state dict."""
    return {name: tuple(shape) for name, shape in json.loads((FOLDER / "keys.json").read_text()).items()}


def variant_shapes(tag: str) -> dict[str, tuple[int, ...]]:
    """Name to shape of an option of the release: blend0, blend012, blend07, calpha1, bilinear, deconv."""
    shapes = published_shapes()
    levels = {"blend0": range(1), "blend012": range(3), "blend07": range(8)}.get(tag, range(6))
    shapes = {name: shape for name, shape in shapes.items() if not name.startswith("fuse_")}
    alpha = 1 if tag == "calpha1" else 3
    for level in levels:
        block = f"fuse_{level}"
        shapes[f"{block}.map2img.0.conv.weight"] = (3, shapes[f"de_{level}.decode.0.conv.weight"][0], 1, 1)
        shapes[f"{block}.map2img.0.conv.bias"] = (3,)
        for index, out, fan_in, side in ((0, 32, 6, 1), (3, alpha, 32, 3), (6, alpha, alpha, 1)):
            shapes[f"{block}.blend.blend.{index}.conv.weight"] = (out, fan_in, side, side)
            shapes[f"{block}.blend.blend.{index}.conv.bias"] = (out,)
            if index < 6:
                norm = f"{block}.blend.blend.{index + 1}"
                shapes |= {f"{norm}.{kind}": (out,) for kind in ("weight", "bias", "running_mean", "running_var")}
                shapes[f"{norm}.num_batches_tracked"] = ()
    if tag == "deconv":
        for level in range(8):
            deep = shapes[f"en_{level}.encode.0.conv.1.weight"][0]
            shapes[f"de_{level}.up.up.trans_conv.weight"] = (deep, deep, 2, 2)
            shapes[f"de_{level}.up.up.trans_conv.bias"] = (deep,)
    return shapes


def make_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    return {name: value_for(name, shape) for name, shape in shapes.items()}


def make_inputs(size: int) -> tuple[Float32, Float32]:
    """Image (1,3,H,W) in [0,1] and mask (1,1,H,W), 1 = known; integer arithmetic only, so exact everywhere."""
    y, x = np.mgrid[0:size, 0:size].astype(np.int64)
    s = size // 256
    yy, xx = y // s, x // s
    planes = []
    for c in range(3):
        p = 3 * xx + 5 * (c + 1) * yy // 2 + ((xx * xx + (c + 2) * yy * yy) >> 6) + 37 * c
        p = p + 11 * ((x + 2 * y) % 7) + 40 * (((xx // 24) + (yy // 40)) % 2)
        planes.append(np.mod(p, 256))
    image = np.stack(planes).astype(np.uint8).astype(np.float32) / np.float32(255)
    hole = (x - 150 * s) ** 2 + (y - 96 * s) ** 2 < (44 * s) ** 2
    hole |= (x >= 30 * s) & (x < 46 * s) & (y >= 60 * s) & (y < 210 * s)
    hole |= (np.abs(x - y - 10 * s) < 6 * s) & (y > 120 * s)
    hole |= (x >= 236 * s) & (y >= 20 * s) & (y < 70 * s)
    return np.ascontiguousarray(image[None]), np.where(hole, 0, 1).astype(np.float32)[None, None]
