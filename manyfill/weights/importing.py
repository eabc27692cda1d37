"""The authors' checkpoints become weights files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from manyfill.errors import BadWeights
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.discriminators import Critic, CriticConfig
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.weights.fitting import load_strict
from manyfill.weights.released import (
    CRITIC_NAMES,
    DFNET_NAMES,
    ENCODER_NAMES,
    GENERATOR_NAMES,
    RELEASED_CRITIC,
    RELEASED_DFNET,
    RELEASED_PICNET,
    Rules,
    rename,
)
from manyfill.weights.writing import save


def import_picnet(
    encoder: Path | str, generator: Path | str, discriminator: Path | str | None, out: Path | str
) -> Path:
    """The authors' PICNet checkpoints (`latest_net_E.pth`, `_G.pth`, optionally `_D.pth`) as one weights file.

    Strict: a key that is missing, left over or of another shape raises BadWeights and names it.
    """
    net = PICNet(PICNetConfig())
    state = {f"encoder.{name}": value for name, value in _renamed(encoder, ENCODER_NAMES).items()}
    state |= {f"generator.{name}": value for name, value in _renamed(generator, GENERATOR_NAMES).items()}
    load_strict(net, state, f"{encoder} or {generator}", RELEASED_PICNET)
    critic = None
    if discriminator is not None:
        critic = Critic(CriticConfig())
        scores = _renamed(discriminator, CRITIC_NAMES)
        unused = ("attention.alpha", "attention.model.")  # in the release's state dict, in no computation
        scores = {name: value for name, value in scores.items() if not name.startswith(unused)}
        load_strict(critic, scores, str(discriminator), RELEASED_CRITIC)
    return save(net, out, critic=critic, metadata={"imported": "PICNet checkpoints of the authors' release"})


def import_dfnet(checkpoint: Path | str, out: Path | str, channels: str = "bgr") -> Path:
    """The authors' DFNet checkpoint as a weights file; `channels` is the order it was trained on (the release: bgr).

    Fusion levels, alpha channels and upsampling are read off the shapes. Raises BadWeights as `import_picnet` does.
    """
    if channels not in ("bgr", "rgb"):
        raise BadWeights(f"channels is {channels!r}; say 'bgr' (the authors' release) or 'rgb'.")
    state = _renamed(checkpoint, DFNET_NAMES)
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
        raise BadWeights(f"{checkpoint} is not a DFNet that can be built: {error}.") from error
    with torch.device("meta"):
        net = DFNet(config)
    load_strict(net, state, str(checkpoint), RELEASED_DFNET)
    if channels == "bgr":
        net.load_state_dict(bgr_to_rgb(state, levels), assign=True)
    return save(net, out, metadata={"imported": f"DFNet checkpoint of the authors' release, {channels}"})


def _renamed(path: Path | str, rules: Rules) -> dict[str, Tensor]:
    """A released state dict under our names; DataParallel's leading `module.` is stripped once."""
    released = read_pth(Path(path))
    if all(name.startswith("module.") for name in released):
        released = {name.removeprefix("module."): value for name, value in released.items()}
    state: dict[str, Tensor] = {}
    for theirs, value in released.items():
        name = rename(theirs, rules)
        if name in state and not torch.equal(state[name], value):
            raise BadWeights(f"{path} holds two different tensors for {name} (one of them as {theirs!r}).")
        state[name] = value
    return state


def read_pth(path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint file; code in it is never run. Raises BadWeights."""
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


def bgr_to_rgb(state: Mapping[str, Tensor], levels: Iterable[int]) -> dict[str, Tensor]:
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
