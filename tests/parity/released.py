"""Checkpoints as the authors' programs would have saved them, holding our parity weights; our networks with them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parity import dfnet_weights, picnet_weights
from torch import Tensor, nn

from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.discriminators import Critic
from manyfill.nets.perceptual import Features
from manyfill.nets.picnet import PICNet
from manyfill.weights import released as names


@cache
def numbers(file: str) -> dict[str, Any]:
    """Arrays of a fixture, such as "dfnet/parity_dfnet.npz"."""
    with np.load(Path(__file__).parent / file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def expected(file: str, name: str) -> Tensor:
    return torch.from_numpy(numbers(file)[name])


def tensors(state: dict[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """As torch tensors; what was one array under two names stays one."""
    kept: dict[int, Tensor] = {}
    for value in state.values():
        kept.setdefault(id(value), torch.from_numpy(np.array(value)))
    return {prefix + name: kept[id(value)] for name, value in state.items()}


# ── PICNet ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def picnet_files(folder: Path, *, data_parallel: bool = True) -> dict[str, Path]:
    """latest_net_E.pth, _G.pth and _D.pth; with `data_parallel` every name begins with `module.`, as in the release."""
    paths = {net: folder / f"latest_net_{net}.pth" for net in "EGD"}
    for net, path in paths.items():
        torch.save(tensors(picnet_weights.make_state(net), "module." if data_parallel else ""), path)
    return paths


def spectral_picnet() -> tuple[PICNet, Critic]:
    """Network and critic as they are in training: released weights with their u and v, before any power iteration."""
    net, critic = PICNet(), Critic()
    _fill(net.encoder, "E", names.ENCODER_NAMES)
    _fill(net.generator, "G", names.GENERATOR_NAMES)
    _fill(critic, "D", names.CRITIC_NAMES)
    return net, critic


def _fill(module: nn.Module, net: str, rules: Any) -> None:
    state = {names.rename(k, rules): v for k, v in tensors(picnet_weights.make_state(net)).items()}
    state = {k: v for k, v in state.items() if net != "D" or not k.startswith(("attention.alpha", "attention.model."))}
    module.load_state_dict(state)


def picnet_inputs(batch: int = 1) -> tuple[Tensor, Tensor]:
    """Image in [0,1] and hole."""
    image, mask = picnet_weights.make_inputs(batch)
    return torch.from_numpy(image), 1 - torch.from_numpy(mask)[:, :1]


def picnet_noise(tag: str, batch: int = 1) -> Tensor:
    return torch.from_numpy(picnet_weights.make_noise(tag, batch))


# ── DFNet ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def dfnet_file(folder: Path, shapes: dict[str, tuple[int, ...]] | None = None, *, data_parallel: bool = False) -> Path:
    """A checkpoint of the published network, or of the shapes of one of its options."""
    path = folder / "model_places2.pth"
    state = dfnet_weights.make_state(shapes or dfnet_weights.published_shapes())
    torch.save(tensors(state, "module." if data_parallel else ""), path)
    return path


def dfnet(shapes: dict[str, tuple[int, ...]] | None = None, **config: Any) -> DFNet:
    """Our network with the parity weights as they are (colours not swapped), in eval mode, without a file."""
    state = tensors(dfnet_weights.make_state(shapes or dfnet_weights.published_shapes()))
    with torch.device("meta"):
        net = DFNet(DFNetConfig(**config))
    net.load_state_dict({names.rename(k, names.DFNET_NAMES): v for k, v in state.items()}, assign=True)
    return net.eval()


def dfnet_inputs(size: int) -> tuple[Tensor, Tensor]:
    """Image in [0,1] and hole."""
    image, mask = dfnet_weights.make_inputs(size)
    return torch.from_numpy(image), 1 - torch.from_numpy(mask)


class StandInVGG16(Features):
    """VGG16's first three stages with our parity weights: maps after pool1, pool2, pool3, picture fed raw in [0,1]."""

    name = "stand-in-vgg16"

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        channels = 3
        for wide, indices in ((64, (0, 2)), (128, (5, 7)), (256, (10, 12, 14))):
            layers: list[nn.Module] = []
            for index in indices:
                conv, name = nn.Conv2d(channels, wide, 3, padding=1), f"vgg16.features.{index}"
                for kind, parameter in conv.named_parameters():
                    value = dfnet_weights.value_for(f"{name}.{kind}", tuple(parameter.shape), 1.5)
                    parameter.data = torch.from_numpy(value.copy())
                layers += [conv, nn.ReLU()]
                channels = wide
            self.stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self._freeze()

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            image = stage(image)
            maps.append(image)
        return maps
