"""Weights on disk: safetensors that carry their network's config, and the import of the authors' checkpoints.

A weights file holds `net.*` and, where there are any, `critic.*` tensors; its metadata holds the family, both configs
as JSON and free text (recipe, commit, data, licence). Spectral norm is folded on saving, so a file never depends on
call counts.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from manyfill import fetchables, files, trunks, zoo
from manyfill.download import sha256_of
from manyfill.errors import BadWeights, ManyfillError
from manyfill.nets import CompletionNet, families
from manyfill.nets.adapter import PluralisticTrunk
from manyfill.nets.blocks import fold_spectral_norm
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.discriminators import Critic, CriticConfig
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.typed import of_json


@dataclass(frozen=True)
class Weights:
    """A network ready for use, and where it came from."""

    net: CompletionNet
    critic: Critic | None
    metadata: dict[str, str]
    sha256: str
    path: Path


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


def import_picnet(
    encoder: Path | str, generator: Path | str, discriminator: Path | str | None, out: Path | str
) -> Path:
    """The authors' PICNet checkpoints (`latest_net_E.pth`, `_G.pth`, optionally `_D.pth`) as one weights file.

    Strict: a key that is missing, left over or of another shape raises BadWeights and names it.
    """
    net = PICNet(PICNetConfig())
    state = {f"encoder.{name}": value for name, value in _renamed(encoder, _ENCODER_NAMES).items()}
    state |= {f"generator.{name}": value for name, value in _renamed(generator, _GENERATOR_NAMES).items()}
    _load_strict(net, state, f"{encoder} or {generator}", _RELEASED_PICNET)
    critic = None
    if discriminator is not None:
        critic = Critic(CriticConfig())
        scores = _renamed(discriminator, _CRITIC_NAMES)
        unused = ("attention.alpha", "attention.model.")  # in the release's state dict, in no computation
        scores = {name: value for name, value in scores.items() if not name.startswith(unused)}
        _load_strict(critic, scores, str(discriminator), _RELEASED_CRITIC)
    return save(net, out, critic=critic, metadata={"imported": "PICNet checkpoints of the authors' release"})


def import_dfnet(checkpoint: Path | str, out: Path | str, channels: str = "bgr") -> Path:
    """The authors' DFNet checkpoint as a weights file; `channels` is the order it was trained on (the release: bgr).

    Fusion levels, alpha channels and upsampling are read off the shapes. Raises BadWeights as `import_picnet` does.
    """
    if channels not in ("bgr", "rgb"):
        raise BadWeights(f"channels is {channels!r}; say 'bgr' (the authors' release) or 'rgb'.")
    state = _renamed(checkpoint, _DFNET_NAMES)
    levels = sorted({int(name.split(".")[1]) for name in state if name.startswith("fusion.")})
    alpha = state.get("fusion.0.to_alpha.6.bias")
    if alpha is None:
        raise BadWeights(f"{checkpoint} has no tensor 'fuse_0.blend.blend.6.conv.bias': not a DFNet checkpoint.")
    deconv = any(".up." in name for name in state)
    try:
        config = DFNetConfig(
            fusion_levels=tuple(levels),
            alpha_channels=alpha.shape[0] if alpha.ndim else 0,
            upsampling="deconv" if deconv else "nearest",
        )
    except ValueError as error:
        raise BadWeights(f"{checkpoint} is of no network that DFNet can be: {error}.") from error
    with torch.device("meta"):
        net = DFNet(config)
    _load_strict(net, state, str(checkpoint), _RELEASED_DFNET)
    if channels == "bgr":
        net.load_state_dict(_bgr_to_rgb(state, levels), assign=True)
    return save(net, out, metadata={"imported": f"DFNet checkpoint of the authors' release, {channels}"})


# ── reading and filling ───────────────────────────────────────────────────────────────────────────────────────────────


def _locate(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise BadWeights(f"there is no weights file {path}.")
        return path
    return zoo.find(str(name_or_path)).path


_MOST = {"levels": 10, "scales": 10, "fusion_scales": 10, "fusion_levels": 10, "kernels": 10, "infer_blocks": 64,
         "alpha_channels": 4, "size": 4096}  # fmt: skip
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
        _compare(module, ours, str(path))
    strangers = [name for name in shapes if not name.startswith(tuple(modules))]
    if strangers:
        raise BadWeights(f"{path} holds tensors of no network that it names: {', '.join(strangers[:5])}.")


def _fill(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Give a module its tensors, in float32. Raises BadWeights for numbers that are none."""
    wanted = module.state_dict()
    for name, value in state.items():
        if value.is_floating_point() != wanted[name].is_floating_point():
            raise BadWeights(f"{path}: {name} is of {value.dtype}, expected {wanted[name].dtype}.")
        if value.is_floating_point():
            state[name] = value.float()
            if not bool(torch.isfinite(state[name]).all()):
                raise BadWeights(f"{path}: {name} holds numbers that are not finite. Fetch or train it again.")
    module.load_state_dict(state, assign=True)


def _load_strict(module: nn.Module, state: Mapping[str, Tensor], source: str, released: _Rules = ()) -> None:
    """Fill a module; `released` turns our names back into those of the file for the message."""
    _compare(module, {name: tuple(value.shape) for name, value in state.items()}, source, released)
    module.load_state_dict(dict(state), assign=True)


def _compare(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], source: str, released: _Rules = ()) -> None:
    """Raise BadWeights where names or shapes of tensors are not the module's."""
    wanted = module.state_dict()
    problems = [f"missing {_rename(name, released)}" for name in wanted if name not in shapes]
    problems += [f"left over {_rename(name, released)}" for name in shapes if name not in wanted]
    problems += [
        f"{_rename(name, released)} is {shapes[name]}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in shapes and shapes[name] != tuple(value.shape)
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise BadWeights(f"{source} does not fit {type(module).__name__}: {'; '.join(problems[:5])}{more}.")


def _own_state(net: nn.Module) -> Mapping[str, Tensor]:
    """What a weights file holds of a network: an adapter's trunk stays where its authors publish it."""
    return net.adapter_state() if isinstance(net, PluralisticTrunk) else net.state_dict()


def _stored(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    folded = fold_spectral_norm({name: value.detach().cpu() for name, value in state.items()})
    return {k: v.to(dtype).contiguous() if v.is_floating_point() else v.contiguous() for k, v in folded.items()}


def _folded_config(config: Any) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    return {**values, "spectral_norm": False} if "spectral_norm" in values else values


# ── the authors' names ────────────────────────────────────────────────────────────────────────────────────────────────
# Each rule: pattern of a released name -> ours. The release registers most convolutions of PICNet twice; both names are
# read.

_Rules = Iterable[tuple[str, str]]
_FIRST_BLOCK = [("model.0", "conv1"), ("model.2", "conv2"), ("shortcut.1", "bypass")]
_RES_BLOCK = [("model.1", "conv1"), ("model.3", "conv2"), ("shortcut.0", "bypass")]
_UP_BLOCK = [("model.0", "norm1"), ("model.2", "conv1"), ("model.3", "norm2"), ("model.5", "conv2"),
             ("shortcut.0", "bypass")]  # fmt: skip
_HEAD = [("model.2", "conv1")]


def _block(theirs: str, ours: str, layers: _Rules) -> list[tuple[str, str]]:
    return [(rf"^{theirs}\.{re.escape(a)}\.", rf"{ours}.{b}.") for a, b in layers] + [(rf"^{theirs}\.", f"{ours}.")]


_SPECTRAL = [
    (r"\.module\.weight_bar$", ".weight"),
    (r"\.module\.weight_([uv])$", r".\1"),
    (r"\.module\.bias$", ".bias"),
]
_ENCODER_NAMES = [
    *_block("block0", "blocks.0", _FIRST_BLOCK),
    *(rule for i in range(4) for rule in _block(f"encoder{i}", f"blocks.{i + 1}", _RES_BLOCK)),
    *(rule for i in range(6) for rule in _block(f"infer_prior{i}", f"infer.{i}", _RES_BLOCK)),
    *_block("prior", "prior", _RES_BLOCK),
    *_block("posterior", "posterior", _RES_BLOCK),
    *_SPECTRAL,
]
_ATTENTION = _block(r"attn\d\.model", "attention.model", _RES_BLOCK)
_ATTENTION += [(r"^attn\d\.query_conv\.", "attention.query."), (r"^attn\d\.", "attention.")]
_GENERATOR_NAMES = [
    *_block("generator", "entry", _RES_BLOCK),
    *(rule for i in range(5) for rule in _block(f"decoder{i}", f"decoders.{i}", _UP_BLOCK)),
    *(rule for i in range(1, 5) for rule in _block(f"out{i}", f"heads.{i - 1}", _HEAD)),
    *_ATTENTION,
    *_SPECTRAL,
]
_CRITIC_NAMES = [
    *_block("block0", "first", _FIRST_BLOCK),
    *(rule for i in range(4) for rule in _block(f"encoder{i}", f"blocks.{i}", _RES_BLOCK)),
    *_block("block1", "last", _RES_BLOCK),
    *_ATTENTION,
    (r"^conv\.(\d+\.)?", "score."),
    *_SPECTRAL,
]
_DFNET_NAMES = [
    (r"^en_(\d+)\.encode\.0\.conv(\.1)?\.", r"encoder.\1.conv."),
    (r"^en_(\d+)\.encode\.1\.", r"encoder.\1.norm."),
    (r"^de_(\d+)\.decode\.0\.conv\.", r"decoder.\1.conv."),
    (r"^de_(\d+)\.decode\.1\.", r"decoder.\1.norm."),
    (r"^de_(\d+)\.up\.up\.trans_conv\.", r"decoder.\1.up."),
    (r"^fuse_(\d+)\.map2img\.0\.conv\.", r"fusion.\1.to_raw."),
    (r"^fuse_(\d+)\.blend\.blend\.(\d)\.(conv\.)?", r"fusion.\1.to_alpha.\2."),
]

# The way back, for messages: of two released names, the one that says what it is.
_UNSPECTRAL = [
    (r"(conv1|conv2|bypass|^conv)\.weight$", r"\1.module.weight_bar"),
    (r"(conv1|conv2|bypass|^conv)\.([uv])$", r"\1.module.weight_\2"),
    (r"(conv1|conv2|bypass|^conv)\.bias$", r"\1.module.bias"),
]
_RELEASED_PICNET = [
    (r"^encoder\.blocks\.0\.", "block0."),
    *((rf"^encoder\.blocks\.{i + 1}\.", f"encoder{i}.") for i in range(4)),
    (r"^encoder\.infer\.(\d)\.", r"infer_prior\1."),
    (r"^encoder\.", ""),
    (r"^generator\.entry\.", "generator."),
    (r"^generator\.decoders\.(\d)\.norm1\.", r"decoder\1.model.0."),
    (r"^generator\.decoders\.(\d)\.norm2\.", r"decoder\1.model.3."),
    (r"^generator\.decoders\.(\d)\.", r"decoder\1."),
    *((rf"^generator\.heads\.{i - 1}\.", f"out{i}.") for i in range(1, 5)),
    (r"^generator\.attention\.query\.", "attn1.query_conv."),
    (r"^generator\.attention\.", "attn1."),
    *_UNSPECTRAL,
]
_RELEASED_CRITIC = [
    (r"^first\.", "block0."),
    (r"^blocks\.(\d)\.", r"encoder\1."),
    (r"^last\.", "block1."),
    (r"^attention\.query\.", "attn2.query_conv."),
    (r"^attention\.", "attn2."),
    (r"^score\.", "conv."),
    *_UNSPECTRAL,
]
_RELEASED_DFNET = [
    (r"^encoder\.(\d+)\.conv\.", r"en_\1.encode.0.conv.1."),
    (r"^encoder\.(\d+)\.norm\.", r"en_\1.encode.1."),
    (r"^decoder\.(\d+)\.conv\.", r"de_\1.decode.0.conv."),
    (r"^decoder\.(\d+)\.norm\.", r"de_\1.decode.1."),
    (r"^decoder\.(\d+)\.up\.", r"de_\1.up.up.trans_conv."),
    (r"^fusion\.(\d+)\.to_raw\.", r"fuse_\1.map2img.0.conv."),
    (r"^fusion\.(\d+)\.to_alpha\.([036])\.", r"fuse_\1.blend.blend.\2.conv."),
    (r"^fusion\.(\d+)\.to_alpha\.([14])\.", r"fuse_\1.blend.blend.\2."),
]


def _renamed(path: Path | str, rules: _Rules) -> dict[str, Tensor]:
    """A released state dict under our names; DataParallel's leading `module.` is stripped once."""
    released = _read_pth(Path(path))
    if all(name.startswith("module.") for name in released):
        released = {name.removeprefix("module."): value for name, value in released.items()}
    state: dict[str, Tensor] = {}
    for theirs, value in released.items():
        name = _rename(theirs, rules)
        if name in state and not torch.equal(state[name], value):
            raise BadWeights(f"{path} holds two different tensors for {name} (one of them as {theirs!r}).")
        state[name] = value
    return state


def _rename(name: str, rules: _Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _read_pth(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise BadWeights(f"there is no checkpoint {path}.")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own text goes on for pages and advises to run the code in the file
        raise BadWeights(
            f"{path} cannot be read as a PyTorch checkpoint of plain tensors ({type(error).__name__}); pickled code is"
            " never run. Download it again, or save its state_dict()."
        ) from error
    for key in ("state_dict", "model", "net"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise BadWeights(f"{path} is not a state dict (name to tensor).")
    return dict(loaded)


def _bgr_to_rgb(state: Mapping[str, Tensor], levels: Iterable[int]) -> dict[str, Tensor]:
    """Swap the colour channels of everything that touches a picture, so that the network speaks RGB."""
    state = dict(state)

    def swap(name: str, axis: int, starts: Iterable[int]) -> None:
        value = state[name]
        order = list(range(value.shape[axis]))
        for start in starts:
            order[start], order[start + 2] = order[start + 2], order[start]
        state[name] = value.index_select(axis, torch.tensor(order))

    swap("encoder.0.conv.weight", 1, [0])
    swap(
        "decoder.0.conv.weight", 1, [state["decoder.0.conv.weight"].shape[1] - 4]
    )  # the skip comes after what was upsampled
    for k in levels:
        stem = f"fusion.{k}."
        swap(stem + "to_raw.weight", 0, [0])
        swap(stem + "to_raw.bias", 0, [0])
        swap(stem + "to_alpha.0.weight", 1, [0, 3])
        if state[stem + "to_alpha.6.bias"].shape[0] == 3:
            swap(stem + "to_alpha.6.weight", 0, [0])
            swap(stem + "to_alpha.6.bias", 0, [0])
    return state
