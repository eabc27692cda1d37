"""A weights file becomes networks: checked before anything is built or read at size."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from manyfill import fetchables, trunks, zoo
from manyfill.download import sha256_of
from manyfill.errors import BadWeights, ManyfillError
from manyfill.nets import CompletionNet, families
from manyfill.nets.adapter import PluralisticTrunk
from manyfill.nets.discriminators import Critic, CriticConfig
from manyfill.typed import of_json
from manyfill.weights.fitting import compare


@dataclass(frozen=True)
class Weights:
    """A network ready for use, and where it came from."""

    net: CompletionNet
    critic: Critic | None
    metadata: dict[str, str]
    sha256: str
    path: Path


def load(name_or_path: str | Path, *, device: str | torch.device = "cpu") -> Weights:
    """Network and critic of an installed model or a .safetensors file, in eval mode.

    Raises UnknownModel where there is neither, BadWeights where the file is damaged or does not fit the network it
    names.
    """
    path = _locate(name_or_path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            found = _modules(metadata, path)
            given = _given(metadata, path)
            _check_header(file, found, path, given)
            states = {
                prefix: {
                    name: given[whole] if (whole := f"{prefix}{name}") in given else file.get_tensor(whole)
                    for name in module.state_dict()
                }
                for prefix, module in found.items()
            }
    except (SafetensorError, OSError) as error:
        raise BadWeights(f"{path} cannot be read as a safetensors file: {error}. Fetch or train it again.") from error
    for prefix, module in found.items():
        _fill(module, states.pop(prefix), path)
        module.to(device).eval().requires_grad_(False)
    net, critic = found["net."], found.get("critic.")
    if isinstance(net, PluralisticTrunk):
        net.trunk_sha256 = metadata.get("trunk_sha256", "")
    return Weights(cast(CompletionNet, net), cast("Critic | None", critic), metadata, sha256_of(path), path)


def _given(metadata: Mapping[str, str], path: Path) -> dict[str, Tensor]:
    """The tensors that a file leaves to another one: those of the trunk that it stands on, by their names here."""
    trunk = trunk_of(metadata, path)
    return {} if trunk is None else {f"net.trunk.{name}": x for name, x in trunks.migan_state(trunk).items()}


def trunk_of(metadata: Mapping[str, str], path: Path) -> Path | None:
    """The fetched file that these weights stand on: metadata `trunk` (a name of `fetchables`) and `trunk_sha256`.

    None where they stand alone. Raises BadWeights where it was not fetched, or is another file than at training.
    """
    name = metadata.get("trunk")
    if name is None:
        return None
    trunk = fetchables.fetched_path(name)
    if trunk is None:
        raise BadWeights(
            f"{path.name} needs the weights of '{name}', which are not in the cache."
            f" Fetch them once: manyfill fetch {name}"
        )
    if (digest := sha256_of(trunk)) != metadata.get("trunk_sha256", digest):
        raise BadWeights(f"{trunk} is not the file that {path.name} was trained on: sha256 {digest}.")
    return trunk


def _locate(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise BadWeights(f"there is no weights file {path}.")
        return path
    return zoo.find(str(name_or_path)).path


_MOST = {"levels": 10, "scales": 10, "fusion_scales": 10, "fusion_levels": 10, "kernels": 10, "infer_blocks": 64,
         "mixers": 64, "alpha_channels": 4, "size": 4096}  # fmt: skip
"""What a network of a file may have at most, because it is built before its tensors are looked at: halvings, so that no
picture must be padded to a giant, blocks, and the side that it sees at once. Other numbers: _WIDEST."""
_WIDEST = 16_384


def _modules(metadata: Mapping[str, str], path: Path) -> dict[str, nn.Module]:
    """The networks that a file says it is for, by the prefix of their tensors: shapes, without any numbers."""
    kinds = families()
    if "config" in metadata and metadata.get("family") not in (None, *kinds):
        raise BadWeights(
            f"{path} is for a network '{metadata['family']}', and there are: {', '.join(kinds)}. "
            "Where a plug-in adds it, name its file: --plugin FILE.py."
        )
    if metadata.get("family") not in kinds or "config" not in metadata:
        raise BadWeights(f"{path} does not say which network it is for. Only files written by manyfill can be loaded;"
                         " the authors' checkpoints come in through `manyfill import`.")  # fmt: skip
    config_kind, net_kind = kinds[metadata["family"]]
    wanted: dict[str, tuple[type[Any], Callable[[Any], nn.Module]]] = {"net.": (config_kind, net_kind)}
    texts = {"net.": metadata["config"]}
    if "critic" in metadata:
        wanted["critic."], texts["critic."] = (CriticConfig, Critic), metadata["critic"]
    found = {}
    for prefix, (kind, build) in wanted.items():
        config = _config(kind, texts[prefix], path)
        with torch.device("meta"):  # no memory and no time for values that are thrown away
            found[prefix] = build(config)
    return found


def _config(kind: type[Any], text: str, path: Path) -> Any:
    """The config that a file carries, types and sizes checked. Raises BadWeights."""
    try:
        raw = json.loads(text)
        for name, value in raw.items() if isinstance(raw, dict) else ():
            most = _MOST.get(name, _WIDEST)
            if isinstance(value, list) and len(value) > most:
                raise ValueError(f"{name} has {len(value)} entries; expected at most {most}")
            for number in value if isinstance(value, list) else [value]:
                top = _WIDEST if isinstance(value, list) else most
                if isinstance(number, int | float) and not 0 <= number <= top:
                    raise ValueError(f"{name} is {number}; expected 0 to {top}")
        return of_json(kind, raw, "its config")
    except (TypeError, ValueError, AssertionError, RecursionError, ManyfillError) as error:
        raise BadWeights(f"{path} was written for another version of {kind.__name__}: {str(error)[:300]}.") from error


def _check_header(file: Any, modules: Mapping[str, nn.Module], path: Path, given: Mapping[str, Tensor]) -> None:
    """Compare names and shapes before any tensor is read. Raises BadWeights."""
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    shapes |= {name: tuple(value.shape) for name, value in given.items()}
    for prefix, module in modules.items():
        ours = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        compare(module, ours, str(path))
    strangers = [name for name in shapes if not name.startswith(tuple(modules))]
    if strangers:
        raise BadWeights(f"{path} holds tensors that belong to none of its networks: {', '.join(strangers[:5])}.")


def _fill(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Give a module its tensors, in float32. Raises BadWeights for numbers that are none."""
    wanted = module.state_dict()
    for name, value in state.items():
        if value.is_floating_point() != wanted[name].is_floating_point():
            raise BadWeights(f"{path}: {name} is of {value.dtype}, expected {wanted[name].dtype}.")
        if value.is_floating_point():
            state[name] = value.float()
            if not _finite(state[name]):
                raise BadWeights(f"{path}: {name} holds numbers that are not finite. Fetch or train it again.")
    module.load_state_dict(state, assign=True)


def _finite(value: Tensor) -> bool:
    """Whether all numbers are. Least and greatest are found in one pass; `isfinite().all()` takes five."""
    return value.numel() == 0 or all(math.isfinite(float(end)) for end in torch.aminmax(value))
