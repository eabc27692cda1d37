"""Other people's networks, frozen, as trunks: read from files that `manyfill fetch` brings. Nothing here is shipped.

An ONNX file holds what it computes and the weights by name; we write the network ourselves (nets/) and take the
weights alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from manyfill.download import sha256_of
from manyfill.errors import BadWeights, ManyfillError, UnknownModel
from manyfill.fetchables import fetched_path
from manyfill.nets.adapter import PluralisticTrunk
from manyfill.nets.migan import DEEPEST, GAIN, MIGAN, MIGANConfig

NAME = "migan"  # in fetchables: the one trunk so far

_LAYERS = {
    "conv1.conv1": "conv1.depthwise",
    "conv1.conv2": "conv1.pointwise",
    "conv2.conv1": "conv2.depthwise",
    "conv2.conv2": "conv2.pointwise",
    "torgb": "to_picture",
}
_NAME = re.compile(r"model\.(encoder|synthesis)\.b(\d+)\.(.+)\.(weight|bias)")


def read_migan(file: Path, *, working: int = 512) -> MIGAN:
    """MI-GAN's generator from its authors' whole pipeline as one ONNX file; shown squares of `working` pixels.

    Raises BadWeights where the file is another one, ManyfillError where the package onnx is missing.
    """
    state = migan_state(file)
    levels = len({name.split(".")[1] for name in state if name.startswith("encoder.")})
    size = DEEPEST * 2 ** (levels - 1)
    width = state["from_picture.weight"].shape[0]
    widest = max(value.shape[0] for name, value in state.items() if name.endswith("pointwise.weight"))
    net = MIGAN(MIGANConfig(size=size, width=width, max_width=widest, working=working))
    shapes = net.state_dict()
    wrong = [name for name in shapes if name not in state or state[name].shape != shapes[name].shape]
    wrong += [name for name in state if name not in shapes]
    if wrong:
        raise BadWeights(f"{file} is not MI-GAN's pipeline: {', '.join(wrong[:3])} do not fit.")
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def fill(net: PluralisticTrunk, file: Path | None = None) -> None:
    """Put the fetched trunk's weights into a network with an adapter, and the sha256 of their file.

    Raises UnknownModel where the trunk has not been fetched, BadWeights where it is another one.
    """
    file = trunk_file() if file is None else file
    trunk = read_migan(file, working=net.config.trunk.working)
    if trunk.config != net.config.trunk:
        raise BadWeights(f"{file} is not the trunk that this adapter was trained on.")
    net.trunk, net.trunk_sha256 = trunk, sha256_of(file)


def trunk_file() -> Path:
    """Where `manyfill fetch migan` has put the trunk. Raises UnknownModel where it has not."""
    path = fetched_path(NAME)
    if path is None:
        raise UnknownModel("the trunk of this model has not been fetched yet. Fetch it once: manyfill fetch migan")
    return path


def migan_state(file: Path) -> dict[str, Tensor]:
    """The weights in an ONNX file of MI-GAN under the names of `nets.migan`, the activations' gain multiplied in."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ManyfillError(
            "reading a trunk needs the package onnx. Install it: pip install 'manyfill[onnx]'."
        ) from error
    try:
        graph = onnx.load(str(file), load_external_data=False).graph  # no file names another one to be opened
        tensors = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in graph.initializer}
    except Exception as error:  # whatever protobuf raises on other files, and numpy on tensors that are not in it
        raise BadWeights(f"{file} cannot be read as an ONNX file ({type(error).__name__}).") from error
    sides = sorted({int(found[2]) for name in tensors if (found := _NAME.fullmatch(name))}, reverse=True)
    if not sides or f"model.encoder.b{sides[0]}.fromrgb.weight" not in tensors:
        raise BadWeights(f"{file} holds no MI-GAN: it has no tensor named model.encoder.b512.fromrgb.weight.")
    state = {
        f"from_picture.{kind}": tensors[f"model.encoder.b{sides[0]}.fromrgb.{kind}"] for kind in ("weight", "bias")
    }
    for name, value in tensors.items():
        found = _NAME.fullmatch(name)
        if found and found[3] in _LAYERS:
            state[f"{found[1]}.{sides.index(int(found[2]))}.{_LAYERS[found[3]]}.{found[4]}"] = value
    for node in graph.node:  # the noise has lost its name: it is what is added in synthesis/bN/convK
        place = re.fullmatch(r"/model/synthesis/b(\d+)/(conv[12])/Add", node.name)
        constants = [tensors[each] for each in node.input if each in tensors]
        if place and len(constants) == 1:
            state[f"synthesis.{sides.index(int(place[1]))}.{place[2]}.noise"] = constants[0].reshape(int(place[1]), -1)
    gained = (".depthwise.weight", ".depthwise.bias", ".pointwise.weight", ".noise")  # all that an act comes after
    return {
        name: value * GAIN if name.endswith(gained) or name.startswith("from_picture.") else value
        for name, value in state.items()
    }
