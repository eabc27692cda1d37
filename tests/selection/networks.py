"""Small ONNX files of the same signatures as SAM's and the text networks: what they find is simple to foretell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from manyfill import fetchables

FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT64


def put_sam(folder: Path) -> None:
    """SAM where it is looked for in the cache `folder`."""
    encoder, decoder = (folder / name for name in fetchables.find("sam").files)
    folder.mkdir(parents=True, exist_ok=True)
    _encoder(encoder)
    _decoder(decoder)


def put_text(folder: Path) -> None:
    """The two networks for text likewise."""
    detector, reader = (folder / name for name in fetchables.find("text").files)
    folder.mkdir(parents=True, exist_ok=True)
    _detector(detector)
    _reader(reader)


def _encoder(path: Path) -> None:
    """(1,3,1024,1024) to (1,256,64,64): the picture's colours at a sixteenth, many times."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["small"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Tile", ["small", "times"], ["many"]),
        helper.make_node("Slice", ["many", "from", "to", "axis"], ["out"]),
    ]
    constants = {"times": [1, 86, 1, 1], "from": [0], "to": [256], "axis": [1]}
    _save(path, nodes, [("x", FLOAT, [1, 3, 1024, 1024])], [("out", FLOAT, [1, 256, 64, 64])], constants)


def _decoder(path: Path) -> None:
    """What has the first red value of where the first point is; nothing where a point's label is 0."""
    nodes = [
        helper.make_node("Slice", ["image_embeddings", "zero", "one", "axis1"], ["red"]),  # (1,1,64,64)
        helper.make_node("Slice", ["point_coords", "zero", "one", "axis1"], ["first"]),  # (1,1,2)
        helper.make_node("Div", ["first", "sixteen"], ["cell"]),
        helper.make_node("Cast", ["cell"], ["place"], to=WHOLE),
        helper.make_node("Reshape", ["place", "two"], ["x_y"]),
        helper.make_node("Gather", ["x_y", "swap"], ["y_x"]),
        helper.make_node("Reshape", ["red", "square"], ["plane"]),
        helper.make_node("GatherND", ["plane", "y_x"], ["value"]),
        helper.make_node("Sub", ["red", "value"], ["apart"]),
        helper.make_node("Abs", ["apart"], ["distance"]),
        helper.make_node("Sub", ["half", "distance"], ["near"]),
        helper.make_node("Equal", ["point_labels", "no"], ["stays"]),
        helper.make_node("Cast", ["stays"], ["stays_number"], to=FLOAT),
        helper.make_node("ReduceMax", ["stays_number"], ["any"], keepdims=0),
        helper.make_node("Mul", ["any", "much"], ["against"]),
        helper.make_node("Sub", ["near", "against"], ["seen"]),
        helper.make_node("Mul", ["seen", "clear"], ["logits"]),
        helper.make_node("Resize", ["logits", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("Cast", ["orig_im_size"], ["size"], to=WHOLE),
        helper.make_node("Slice", ["large", "zeros", "size", "axes"], ["masks"]),
        helper.make_node("Identity", ["mask_input"], ["low_res_masks"]),
        helper.make_node("Identity", ["has_mask_input"], ["iou_predictions"]),
    ]
    constants = {
        "zero": [0], "one": [1], "axis1": [1], "two": [2], "swap": [1, 0], "square": [64, 64], "zeros": [0, 0],
        "axes": [2, 3], "sixteen": 16.0, "half": 0.5, "no": 0.0, "much": 100.0, "clear": 40.0,
        "scales": np.array([1, 1, 16, 16], np.float32),
    }  # fmt: skip
    ports = [
        ("image_embeddings", FLOAT, [1, 256, 64, 64]), ("point_coords", FLOAT, [1, "n", 2]),
        ("point_labels", FLOAT, [1, "n"]), ("mask_input", FLOAT, [1, 1, 256, 256]), ("has_mask_input", FLOAT, [1]),
        ("orig_im_size", FLOAT, [2]),
    ]  # fmt: skip
    outputs = [
        ("masks", FLOAT, [1, 1, "h", "w"]), ("iou_predictions", FLOAT, [1]), ("low_res_masks", FLOAT, [1, 1, 256, 256]),
    ]  # fmt: skip
    _save(path, nodes, ports, outputs, constants)


def _detector(path: Path) -> None:
    """Text is where red is bright."""
    nodes = [
        helper.make_node("Slice", ["x", "two", "three", "one"], ["red"]),  # blue first
        helper.make_node("Greater", ["red", "bright"], ["is"]),
        helper.make_node("Cast", ["is"], ["y"], to=FLOAT),
    ]
    _save(path, nodes, [("x", FLOAT, [1, 3, "h", "w"])], [("y", FLOAT, [1, 1, "h", "w"])],
          {"two": [2], "three": [3], "one": [1], "bright": 0.6})  # fmt: skip


def _reader(path: Path) -> None:
    """Three letters in eight steps, the surer the bluer the line."""
    nodes = [
        helper.make_node("Slice", ["x", "zero", "one", "one"], ["blue"]),
        helper.make_node("ReduceMean", ["blue"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "half"], ["light"]),
        helper.make_node("Mul", ["pattern", "light"], ["y"]),
    ]
    pattern = np.zeros((1, 8, 4), np.float32)
    pattern[0, :, 0] = 0.2
    pattern[0, 1::3, 2] = 3
    constants = {"zero": [0], "one": [1], "half": 0.5, "pattern": pattern}
    _save(path, nodes, [("x", FLOAT, [1, 3, "h", "w"])], [("y", FLOAT, [1, 8, 4])], constants)


def _save(path: Path, nodes: list, ports: list, outputs: list, constants: dict) -> None:  # type: ignore[type-arg]
    def tensor(value: object) -> np.ndarray:  # type: ignore[type-arg]
        array = np.array(value)
        return array.astype(np.int64 if array.dtype.kind == "i" else np.float32)

    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info(*port) for port in ports],
        [helper.make_tensor_value_info(*port) for port in outputs],
        [numpy_helper.from_array(tensor(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
