"""PICNet's parity weights, inputs and noise: our own recipe, from names alone.

The fixtures beside this file hold only numbers that the authors' network computed from these weights and inputs.

For a canonical tensor name K of shape S, with n = default_rng(first 8 bytes of sha256(K),
little-endian).standard_normal(S):
    K ends in ".weight_u" or ".weight_v"      n / ||n||
    K ends in ".gamma" or ".alpha"            0.5 + 0.1 n
    two dimensions or more                    n / sqrt(fan_in), fan_in = prod(S[1:])
    one dimension, ends in ".weight"          1 + 0.1 n              (scale of the instance norm)
    one dimension, anything else              0.05 n                 (biases)
in float64, rounded once to float32. The release registers most convolutions twice; the first name is hashed, and
aliases_*.json maps the other to it. No "E.", "G." or "module." in front enters the hash.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "picnet"
Float32 = NDArray[np.float32]


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def make_tensor(name: str, shape: tuple[int, ...]) -> Float32:
    n = _rng(name).standard_normal(shape)
    if name.endswith((".weight_u", ".weight_v")):
        value = n / np.sqrt((n * n).sum())
    elif name.endswith((".gamma", ".alpha")):
        value = 0.5 + 0.1 * n
    elif len(shape) >= 2:
        value = n / np.sqrt(math.prod(shape[1:]))
    elif name.endswith(".weight"):
        value = 1.0 + 0.1 * n
    else:
        value = 0.05 * n
    return value.astype(np.float32)


def make_state(net: str) -> dict[str, Float32]:
    """State dict of "E", "G" or "D" under the released names, aliases included."""
    keys = json.loads((FOLDER / f"keys_{net}.json").read_text())
    canonical = json.loads((FOLDER / f"aliases_{net}.json").read_text())
    state: dict[str, Float32] = {}
    for name, shape in keys.items():
        first = canonical.get(name, name)
        state[name] = state[first] if first in state else make_tensor(first, tuple(shape))
    return state


def make_inputs(batch: int = 1) -> tuple[Float32, Float32]:
    """Image in [0,1] and mask (1 = known, 0 = hole), both (batch,3,256,256)."""
    y, x = np.meshgrid(np.arange(256.0), np.arange(256.0), indexing="ij")
    image = np.empty((batch, 3, 256, 256))
    for b in range(batch):
        for c in range(3):
            image[b, c] = (
                0.5
                + 0.25 * np.sin(2 * np.pi * ((c + 1) * x / 64 + y / 97 + b / 7))
                + 0.25 * np.cos(2 * np.pi * ((2 * c + 1) * y / 128 - x / 53))
            )
    hole = np.zeros((256, 256), bool)
    hole[64:192, 64:192] = True
    hole |= (y - 40) ** 2 + (x - 200) ** 2 <= 21**2
    hole[205:231, 13:77] = True
    mask = np.broadcast_to(np.where(hole, 0.0, 1.0), (batch, 3, 256, 256))
    return image.astype(np.float32), np.ascontiguousarray(mask, dtype=np.float32)


def make_noise(tag: str, batch: int = 1) -> Float32:
    """Standard normal (batch,128,8,8); tags "picnet-z", "picnet-eps-p", "picnet-eps-q"."""
    return _rng(tag).standard_normal((batch, 128, 8, 8)).astype(np.float32)
