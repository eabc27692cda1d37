"""Checkpoints on disk: written whole or not at all, and warm starts from any weights file."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from manyfill import files, weights
from manyfill.errors import BadWeights
from manyfill.nets.blocks import settle

MARK = b"\nmanyfill sha256 "  # at a checkpoint's end, before the checksum of all that is in front; torch passes it over
_TRAILER = len(MARK) + 64


def write(path: Path, state: dict[str, Any]) -> None:
    """Save atomically, with a checksum: a crash leaves the previous file. Raises CannotWrite, as on a full disk."""
    part = path.with_name(path.name + ".part")
    try:
        with files.in_words(path), part.open("wb") as file:
            through = _Hashing(file)
            try:
                torch.save(state, through)  # type: ignore[arg-type]  # it asks for no more than to write
            except RuntimeError:  # torch's own words for it: "unexpected pos 64 vs 0"
                if through.refused is not None:
                    raise through.refused from None
                raise
            file.write(MARK + through.digest.hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())
        with files.in_words(path):
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Load what `write` wrote. Raises BadWeights where the file is damaged."""
    try:
        if not is_whole(path):
            raise BadWeights("its checksum differs")
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        kind = str(error) if isinstance(error, BadWeights) else type(error).__name__
        raise BadWeights(
            f"checkpoint {path} cannot be read ({kind}). Remove it to go on from the one before, or to start again."
        ) from error
    return state


def is_whole(path: Path) -> bool:
    """Whether a checkpoint is as it was written: by the checksum at its end, or those inside where there is none."""
    try:
        return _fits_its_checksum(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, zlib.error):
        return False


def _fits_its_checksum(path: Path) -> bool:
    with files.open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _TRAILER))
        trailer = file.read()
        if not trailer.startswith(MARK):  # of an earlier version, or cut off
            with zipfile.ZipFile(file) as archive:
                return archive.testzip() is None
        file.seek(0)
        digest, left = hashlib.sha256(), size - _TRAILER
        while left:
            block = file.read(min(left, 1 << 20))
            digest.update(block)
            left -= len(block)
    return digest.hexdigest().encode() == trailer.removeprefix(MARK)


class _Hashing:
    """A file to write to, and the checksum of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()
        self.refused: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        self.file.flush()


class Checkpoints:
    """RUN/checkpoints/IMAGES.pt, the newest `keep` of them, but two at least: one to fall back to."""

    def __init__(self, run_dir: Path, keep: int) -> None:
        self.folder = run_dir / "checkpoints"
        self.keep = max(2, keep)
        self._damaged: set[Path] = set()

    def newest(self) -> Path | None:
        """The file to resume from, None in a new run: the newest that is whole, else the newest."""
        found = sorted(self.folder.glob("[0-9]*.pt"), reverse=True)
        for path in found:
            if is_whole(path):
                for damaged in found[: found.index(path)]:
                    self._pass_over(damaged, path)
                return path
        return found[0] if found else None

    def _pass_over(self, damaged: Path, path: Path) -> None:
        if damaged not in self._damaged and os.environ.get("RANK", "0") == "0":  # one of torchrun's processes tells
            print(f"checkpoint {damaged} is damaged; {path.name} before it is the last good one", file=sys.stderr)
        self._damaged.add(damaged)

    def write(self, state: dict[str, Any]) -> Path:
        """Write the checkpoint of `state["images_seen"]`, then let go of damaged ones and of the oldest."""
        with files.in_words(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{state['images_seen']:012d}.pt"
        write(path, state)
        for damaged in self._damaged - {path}:
            damaged.unlink(missing_ok=True)
        self._damaged = set()
        for old in sorted(self.folder.glob("[0-9]*.pt"))[: -self.keep]:
            old.unlink()
        return path


@dataclass(frozen=True)
class Started:
    """What a warm start copied."""

    copied: tuple[str, ...]  # our tensors that have their values
    fresh: tuple[str, ...]  # those that keep their initial ones
    unused: tuple[str, ...]  # theirs that have no place here
    share: float  # of the network's weights, by count, that were copied

    def __str__(self) -> str:
        """In one line for people."""
        text = (
            f"{len(self.copied)} of {len(self.copied) + len(self.fresh)} tensors fit ({self.share:.0%} of the weights)"
        )
        for what, names in (("fresh", self.fresh), ("not used", self.unused)):
            if names:
                text += f"; {what}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        return text


LEAST = 0.5  # of the weights: a start that takes less is no start from that model


def warm_start(net: nn.Module, critics: nn.ModuleDict, name_or_path: str, *, partial: bool = False) -> Started:
    """Copy every tensor that fits from a model or weights file; says what did and did not fit.

    Raises BadWeights where less than half of the network's weights would be taken, unless `partial`, and where none
    would.

    Where our input has more channels than theirs (the hole beside the photo), the new ones start at zero, so that the
    network begins as what it was; where it has fewer, theirs are dropped. A plain output head of PICNet becomes the
    `raw` of a fusion head, and the reverse. Files hold no u and v of spectral norm: power iterations find them again.
    """
    source = weights.load(name_or_path)
    theirs = source.net.state_dict()  # type: ignore[attr-defined]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    started = _started(net, theirs, _copy(net, theirs))
    if not started.copied or (started.share < LEAST and not partial):
        net.load_state_dict(before)
        way = "" if not started.copied else " Add --partial to start from so little all the same."
        raise BadWeights(f"{name_or_path} does not fit this recipe's network: {started}.{way}")
    if source.critic is not None:
        for critic in critics.values():
            _copy(critic, source.critic.state_dict())
    settle(net)
    settle(critics)
    return started


def _started(net: nn.Module, theirs: dict[str, Tensor], fresh: list[str]) -> Started:
    ours = {name: value for name, value in net.state_dict().items() if not name.endswith((".u", ".v"))}
    copied = [name for name in ours if name not in fresh]
    used = {other for name in copied for other in (name, name.replace(".to_raw.", "."), _fused(name))}
    learned = {name: parameter.numel() for name, parameter in net.named_parameters()}
    return Started(
        tuple(copied),
        tuple(name for name in ours if name in fresh),
        tuple(name for name in theirs if name not in used and not name.endswith((".u", ".v"))),
        sum(learned.get(name, 0) for name in copied) / max(sum(learned.values()), 1),
    )


def _fused(name: str) -> str:
    return name.replace(".conv1.", ".to_raw.conv1.") if ".heads." in name else name


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
    fused = _fused(name)
    return theirs[fused] / 2 if fused in theirs else None
