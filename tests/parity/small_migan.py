"""A small network of MI-GAN's form as an ONNX file, node by node as in the published one, with its names.

Written from the published graph and not from our network: zeros are put between pixels, filters are plain convolutions,
and the activation's gain stands in the graph.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT, OUTPUT = "seen", "drawn"


class _Graph:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.count = 0

    def constant(self, name: str, array: np.ndarray) -> str:
        self.tensors.append(numpy_helper.from_array(array.astype(array.dtype), name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        fan = int(np.prod(shape[1:])) or 1
        return self.constant(name, (self.rng.standard_normal(shape) / fan**0.5).astype(np.float32))

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: object) -> str:
        self.count += 1
        out = f"x{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=name or f"n{self.count}", **attributes))
        return out

    def act(self, x: str) -> str:
        x = self.node("LeakyRelu", x, alpha=0.2)
        return self.node("Clip", self.node("Mul", x, "gain"), "low", "high")


def write(path: Path, *, size: int = 32, width: int = 8, max_width: int = 16, seed: int = 0) -> Path:
    """Write the file; it maps `seen` (1,4,size,size) to `drawn` (1,3,size,size)."""
    g = _Graph(seed)
    for name, value in (("gain", 2**0.5), ("low", -256.0), ("high", 256.0)):
        g.constant(name, np.array(value, np.float32))
    line = np.array([1, 3, 3, 1], np.float32)
    sides = []
    side = size
    while side >= 4:
        sides.append(side)
        side //= 2
    widths = {side: min(width * size // side, max_width) for side in sides}

    def separable(x: str, stem: str, wide: int, out: int, middle: object = None, noise: int = 0) -> str:
        x = g.node("Conv", x, g.weight(f"{stem}.conv1.weight", wide, 1, 3, 3), g.weight(f"{stem}.conv1.bias", wide),
                   group=wide, pads=[1, 1, 1, 1])  # fmt: skip
        x = g.act(x)
        if middle == "halve":
            name = g.constant(f"down{g.count}", np.tile(np.outer(line, line) / 64, (wide, 1, 1, 1)).astype(np.float32))
            x = g.node("Conv", x, name, group=wide, strides=[2, 2], pads=[1, 1, 1, 1])
        x = g.node("Conv", x, g.weight(f"{stem}.conv2.weight", out, wide, 1, 1))
        if middle == "double":
            x = double(x, out, noise)
        if noise:
            added = g.constant(f"onnx::Add_{g.count}", g.rng.standard_normal((noise, noise)).astype(np.float32) * 0.1)
            place = f"/{stem.replace('.', '/')}/Add"
            x = g.node("Add", x, added, name=place)
        return g.act(x)

    def double(x: str, channels: int, to: int) -> str:
        x = g.node("Resize", x, "", g.constant(f"scales{g.count}", np.array([1, 1, 2, 2], np.float32)),
                   mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
        zeros = np.zeros((1, 1, to, to), np.float32)
        zeros[..., ::2, ::2] = 1
        x = g.node("Mul", x, g.constant(f"zeros{g.count}", zeros))
        x = g.node("Pad", x, g.constant(f"pads{g.count}", np.array([0, 0, 2, 2, 0, 0, 1, 1], np.int64)))
        kernel = np.tile(np.outer(line, line) / 16, (channels, 1, 1, 1)).astype(np.float32)
        return g.node("Conv", x, g.constant(f"up{g.count}", kernel), group=channels)

    stem = f"model.encoder.b{size}.fromrgb"
    x = g.node("Conv", INPUT, g.weight(f"{stem}.weight", width, 4, 1, 1), g.weight(f"{stem}.bias", width))
    x = g.act(x)
    skips = {}
    for side in sides:
        wide, deeper = widths[side], widths[max(side // 2, 4)]
        skips[side] = separable(x, f"model.encoder.b{side}.conv1", wide, wide)
        x = separable(skips[side], f"model.encoder.b{side}.conv2", wide, deeper, "halve" if side > 4 else None)
    picture = ""
    for side in reversed(sides):
        wide, deeper, noise = widths[side], widths[max(side // 2, 4)], 0 if side == 4 else side
        stem = f"model.synthesis.b{side}"
        x = separable(x, f"{stem}.conv1", deeper, wide, "double" if side > 4 else None, noise)
        x = separable(g.node("Add", x, skips[side]), f"{stem}.conv2", wide, wide, None, noise)
        drawn = g.node("Conv", x, g.weight(f"{stem}.torgb.weight", 3, wide, 1, 1), g.weight(f"{stem}.torgb.bias", 3))
        picture = g.node("Add", double(picture, 3, side), drawn) if picture else drawn
    g.nodes.append(helper.make_node("Identity", [picture], [OUTPUT]))
    shape = [1, 4, size, size]
    graph = helper.make_graph(
        g.nodes,
        "migan",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, 3, size, size])],
        g.tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
