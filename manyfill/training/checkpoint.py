"""Checkpoints on disk: written whole or not at all, and warm starts from any weights file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from manyfill import weights
from manyfill.errors import BadWeights
from manyfill.nets.blocks import settle


def write(path: Path, state: dict[str, Any]) -> None:
    """Save atomically: a crash leaves the previous file."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Load what `write` wrote. Raises BadWeights where the file is damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        kind = type(error).__name__
        raise BadWeights(f"checkpoint {path} cannot be read ({kind}). Remove it to start afresh.") from error
    return state


def warm_start(net: nn.Module, critics: nn.ModuleDict, name_or_path: str) -> list[str]:
    """Copy every tensor that fits from a model or weights file; returns the names that stay fresh.

    Where our input has more channels than theirs (the hole beside the photo), the new ones start at zero, so that the
    network begins as what it was. A plain output head of PICNet becomes the `raw` of a fusion head. Files hold no u and
    v of spectral norm: power iterations find them again.
    """
    source = weights.load(name_or_path)
    theirs = source.net.state_dict()  # type: ignore[attr-defined]
    fresh = _copy(net, theirs)
    if source.critic is not None:
        for critic in critics.values():
            _copy(critic, source.critic.state_dict())
    settle(net)
    settle(critics)
    return [name for name in fresh if not name.endswith((".u", ".v"))]


def _copy(module: nn.Module, theirs: dict[str, Tensor]) -> list[str]:
    fresh = []
    ours = module.state_dict()
    with torch.no_grad():
        for name, value in ours.items():
            other = theirs.get(name)
            if other is None:
                other = theirs.get(name.replace(".to_raw.", "."))
            if other is None:
                fresh.append(name)
            elif other.shape == value.shape:
                value.copy_(other)
            elif value.ndim == other.ndim > 1 and value.shape[0] == other.shape[0] and value.shape[1] > other.shape[1]:
                value.zero_()
                value[:, : other.shape[1]].copy_(other)
            else:
                fresh.append(name)
    return fresh
