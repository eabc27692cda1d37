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
        raise BadWeights(
            f"checkpoint {path} cannot be read ({kind}). Remove it to go on from the one before, or afresh."
        ) from error
    return state


class Checkpoints:
    """RUN/checkpoints/IMAGES.pt, the newest `keep` of them."""

    def __init__(self, run_dir: Path, keep: int) -> None:
        self.folder = run_dir / "checkpoints"
        self.keep = keep

    def newest(self) -> Path | None:
        """The file to resume from, None in a new run."""
        return max(self.folder.glob("[0-9]*.pt"), default=None)

    def write(self, state: dict[str, Any]) -> Path:
        """Write the checkpoint of `state["images_seen"]`, then let go of the oldest ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{state['images_seen']:012d}.pt"
        write(path, state)
        for old in sorted(self.folder.glob("[0-9]*.pt"))[: -self.keep]:
            old.unlink()
        return path


def warm_start(net: nn.Module, critics: nn.ModuleDict, name_or_path: str) -> list[str]:
    """Copy every tensor that fits from a model or weights file; returns the names that stay fresh.

    Where our input has more channels than theirs (the hole beside the photo), the new ones start at zero, so that the
    network begins as what it was; where it has fewer, theirs are dropped. A plain output head of PICNet becomes the
    `raw` of a fusion head, and the reverse. Files hold no u and v of spectral norm: power iterations find them again.
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
    with torch.no_grad():
        for name, value in module.state_dict().items():
            other = _counterpart(name, theirs)
            if other is None or value.ndim != other.ndim:
                fresh.append(name)
            elif other.shape == value.shape:
                value.copy_(other)
            elif value.ndim > 1 and (value.shape[0], value.shape[2:]) == (other.shape[0], other.shape[2:]):
                shared = min(value.shape[1], other.shape[1])
                value[:, shared:] = 0
                value[:, :shared].copy_(other[:, :shared])
            else:
                fresh.append(name)
    return fresh


def _counterpart(name: str, theirs: dict[str, Tensor]) -> Tensor | None:
    """Their tensor for ours of this name.

    A plain head ends in tanh, and (tanh(x) + 1) / 2 = sigmoid(2x); a fusion head ends in sigmoid.
    """
    if name in theirs:
        return theirs[name]
    if ".to_raw." in name and name.replace(".to_raw.", ".") in theirs:
        return 2 * theirs[name.replace(".to_raw.", ".")]
    fused = name.replace(".conv1.", ".to_raw.conv1.")
    return theirs[fused] / 2 if ".heads." in name and fused in theirs else None
