"""Small ONNX files of the two shapes that users have: what they draw in the hole is the picture from further left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHARE = 5 / 16  # of the side: more than the hole of the probe is wide


def pipeline(path: Path, *, left: int = 160, known: int = 255) -> Path:
    """As MI-GAN's: image and mask uint8 of any size; `known` is the mask's value where the picture is known."""
    nodes = [
        helper.make_node("Cast", ["image"], ["seen"], to=TensorProto.FLOAT),
        *_moved("seen", "moved", left),
        helper.make_node("Cast", ["mask"], ["level"], to=TensorProto.FLOAT),
        helper.make_node("Greater" if known else "Less", ["level", "half"], ["is_known"]),
        helper.make_node("Where", ["is_known", "seen", "moved"], ["joined"]),
        helper.make_node("Cast", ["joined"], ["result"], to=TensorProto.UINT8),
    ]
    kind = TensorProto.UINT8
    ports = [("image", kind, ["b", 3, "h", "w"]), ("mask", kind, ["b", 1, "h", "w"])]
    return _file(path, nodes, ports, ("result", kind, ["b", 3, "h", "w"]), {"half": np.float32(127.5)}, left)


def network(
    path: Path, *, side: int = 64, left: int = 0, low: float = 0, high: float = 1, hole: int = 1, copies: bool = True,
    works: bool = True,
) -> Path:  # fmt: skip
    """As exports of LaMa: float pictures of one size; what it draws has black at `low` and white at `high`.

    `hole`: the mask's value where something is missing. `copies`: known pixels come back, else a bit brighter.
    """
    left = left or round(SHARE * side)
    nodes = [
        *_moved("image", "moved", left),
        helper.make_node("Mul", ["image", "brighter"], ["drawn"]),
        helper.make_node("Greater" if hole else "Less", ["mask", "half"], ["is_hole"]),
        helper.make_node("Where", ["is_hole", "moved" if works else "drawn", "drawn"], ["joined"]),
        helper.make_node("Mul", ["joined", "range"], ["scaled"]),
        helper.make_node("Add", ["scaled", "low"], ["output"]),
    ]
    constants = {"half": 0.5, "range": high - low, "low": low, "brighter": 1.0 if copies else 1.1}
    kind = TensorProto.FLOAT
    ports = [("image", kind, [1, 3, side, side]), ("mask", kind, [1, 1, side, side])]
    output = ("output", kind, [1, 3, side, side])
    return _file(path, nodes, ports, output, {name: np.float32(value) for name, value in constants.items()}, left)


def _moved(name: str, out: str, left: int) -> list[onnx.NodeProto]:
    """The picture moved to the right, its left edge repeated."""
    return [
        helper.make_node("Slice", [name, "start", "end", "last_axis"], [f"{name}_cut"]),
        helper.make_node("Pad", [f"{name}_cut", "pads"], [out], mode="edge"),
    ]


def _file(path: Path, nodes: list, ports: list, output: tuple, constants: dict, left: int) -> Path:  # type: ignore[type-arg]
    whole = {"start": [0], "end": [-left], "last_axis": [3], "pads": [0, 0, 0, left, 0, 0, 0, 0]}
    initialisers = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in whole.items()]
    initialisers += [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes, "moved", [helper.make_tensor_value_info(*port) for port in ports],
        [helper.make_tensor_value_info(*output)], initialisers,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
