"""Networks become a weights file: safetensors with the networks' configs, spectral norm folded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from manyfill import files, trunks
from manyfill.nets import families
from manyfill.nets.adapter import PluralisticTrunk
from manyfill.nets.blocks import fold_spectral_norm
from manyfill.nets.discriminators import Critic


def save(
    net: nn.Module,
    path: Path | str,
    *,
    critic: Critic | None = None,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write a weights file, spectral norm folded, atomically; `dtype` is the storage type of the floating tensors."""
    path = Path(path)
    config: Any = net.config
    family = next(name for name, (kind, _) in families().items() if isinstance(config, kind))
    tensors = {f"net.{name}": value for name, value in _stored(_own_state(net), dtype).items()}
    text = {"family": family, "config": json.dumps(_folded_config(config))}
    if isinstance(net, PluralisticTrunk):
        text |= {"trunk": trunks.NAME, "trunk_sha256": net.trunk_sha256}
    if critic is not None:
        tensors |= {f"critic.{name}": value for name, value in _stored(critic.state_dict(), dtype).items()}
        text["critic"] = json.dumps(_folded_config(critic.config))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(path, _ordered(to_bytes(tensors, metadata={**(metadata or {}), **text})))
    return path


def _ordered(data: bytes) -> bytes:
    """A safetensors file with its metadata in order: the library's own order differs from call to call."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header = {"__metadata__": dict(sorted(header.pop("__metadata__", {}).items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _own_state(net: nn.Module) -> Mapping[str, Tensor]:
    """What a weights file holds of a network: an adapter's trunk stays where its authors publish it."""
    return net.adapter_state() if isinstance(net, PluralisticTrunk) else net.state_dict()


def _stored(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    folded = fold_spectral_norm({name: value.detach().cpu() for name, value in state.items()})
    return {k: v.to(dtype).contiguous() if v.is_floating_point() else v.contiguous() for k, v in folded.items()}


def _folded_config(config: Any) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    return {**values, "spectral_norm": False} if "spectral_norm" in values else values
