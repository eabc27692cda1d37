"""ONNX files of others: recognised by what they take, probed for what their numbers mean, refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxfiles
import pytest
import torch
from onnx import TensorProto, helper

from manyfill.errors import BadWeights, ManyfillError
from manyfill.onnxmodel import ENGINES, OnnxModel, Port, Signature, recognise


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "cache"))


FLOATS, BYTES = "float32", "uint8"


def test_both_shapes_are_recognised_whatever_their_inputs_are_called_and_in_any_order() -> None:
    pipeline = (Port("image", BYTES, (None, 3, None, None)), Port("mask", BYTES, (None, 1, None, None)))
    assert recognise(pipeline, "x.onnx") == Signature("image", "mask", BYTES, None)
    network = (Port("m", FLOATS, (1, 1, 512, 512)), Port("l_image_", FLOATS, (1, 3, 512, 512)))
    assert recognise(network, "x.onnx") == Signature("l_image_", "m", FLOATS, 512)


@pytest.mark.parametrize(
    "ports",
    [
        (),
        (Port("x", FLOATS, (1, 4, 512, 512)),),
        (Port("image", FLOATS, (1, 3, 512, 512)),),
        (Port("image", FLOATS, (1, 3, 512, 512)), Port("mask", FLOATS, (1, 1, 256, 256))),
        (Port("image", FLOATS, (1, 3, 512, 512)), Port("mask", BYTES, (1, 1, 512, 512))),
        (Port("image", FLOATS, (1, 512, 512, 3)), Port("mask", FLOATS, (1, 512, 512, 1))),
        (Port("image", FLOATS, (8, 3, 512, 512)), Port("mask", FLOATS, (8, 1, 512, 512))),
        (Port("image", "int64", (1, 3, 512, 512)), Port("mask", "int64", (1, 1, 512, 512))),
        (Port("image", FLOATS, (1, 3, 64, 64)), Port("mask", FLOATS, (1, 1, 64, 64)), Port("z", FLOATS, (1, 8))),
        (Port("image", FLOATS, (1, 3, 512, 384)), Port("mask", FLOATS, (1, 1, 512, 384))),
    ],
)
def test_what_fits_neither_shape_is_refused_saying_what_was_found_and_expected(ports: tuple[Port, ...]) -> None:
    with pytest.raises(BadWeights) as refused:
        recognise(ports, "their.onnx")
    text = str(refused.value)
    assert text.startswith("their.onnx is not a completion model that manyfill can run: it takes ")
    assert all(f"'{port.name}' {port.kind} (" in text for port in ports)
    assert "255 = known, as MI-GAN's" in text and "1 = hole, as exports of LaMa" in text and "\n" not in text


MADE: dict[str, Callable[[Path], Path]] = {
    "pipeline": lambda path: onnxfiles.pipeline(path),
    "pipeline, 255 = hole": lambda path: onnxfiles.pipeline(path, known=0),
    "network": lambda path: onnxfiles.network(path),
    "network, 0 = hole": lambda path: onnxfiles.network(path, hole=0),
    "network, draws 0 to 255": lambda path: onnxfiles.network(path, high=255),
    "network, draws -1 to 1": lambda path: onnxfiles.network(path, low=-1, high=1),
    "network, draws all": lambda path: onnxfiles.network(path, copies=False),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MADE)
def test_mask_and_range_are_found_out_and_what_is_drawn_is_right(name: str, engine: str, tmp_path: Path) -> None:
    model = OnnxModel(MADE[name](tmp_path / "a.onnx"), engine=engine)
    assert model.engine == engine and model.meaning.copies == (name != "network, draws all")
    side = model.signature.side or 200
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(image, size=(side, side), mode="bilinear")
    left = 160 if name.startswith("pipeline") else round(onnxfiles.SHARE * side)
    hole = torch.zeros(1, 1, side, side)
    hole[..., 10:20, side - 20 : side - 12] = 1
    drawn = model.draw(image, hole)
    expected = torch.cat([image[..., :1].expand(-1, -1, -1, left), image], 3)[..., :side]
    assert (drawn - expected)[hole.expand_as(image) > 0].abs().max() < 1.1 / 255
    known = (drawn - image)[hole.expand_as(image) == 0].abs()
    assert known.max() < (1.1 / 255 if model.meaning.copies else 0.11)


@pytest.mark.parametrize("name", ["pipeline", "network"])
def test_nothing_under_the_hole_is_seen(name: str, tmp_path: Path) -> None:
    model = OnnxModel(MADE[name](tmp_path / "a.onnx"))
    side = model.signature.side or 200
    image, hole = torch.rand(1, 3, side, side), torch.zeros(1, 1, side, side)
    hole[..., 20:40, 10:50] = 1
    others = torch.where(hole > 0, torch.rand(1, 3, side, side), image)
    assert torch.equal(model.draw(image, hole), model.draw(others, hole))


def test_smaller_pictures_are_drawn_by_a_network_of_one_size(tmp_path: Path) -> None:
    model = OnnxModel(MADE["network"](tmp_path / "a.onnx"))
    for size in ((64, 64), (32, 32), (5, 60), (1, 1), (64, 2)):
        image, hole = torch.full((1, 3, *size), 0.4), torch.zeros(1, 1, *size)
        hole[..., 0, 0] = 1
        assert torch.allclose(model.draw(image, hole), image, atol=1e-5) or size == (1, 1)


def test_what_does_not_complete_is_refused_in_one_line(tmp_path: Path) -> None:
    useless = onnxfiles.network(tmp_path / "useless.onnx", works=False)
    with pytest.raises(BadWeights, match=r"useless\.onnx takes what a completion model takes, but on a probe picture"):
        OnnxModel(useless)
    kind, shape = TensorProto.FLOAT, [1, 3, 64, 64]
    ports = [helper.make_tensor_value_info(name, kind, [1, count, 64, 64]) for name, count in (("i", 3), ("m", 1))]
    nodes = [helper.make_node("Concat", ["i", "m"], ["o"], axis=1)]
    graph = helper.make_graph(nodes, "g", ports, [helper.make_tensor_value_info("o", kind, [1, 4, *shape[2:]])])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), str(tmp_path / "four.onnx"))
    with pytest.raises(BadWeights, match=r"four\.onnx draws \(1, 4, 64, 64\) for a picture of \(1, 3, 64, 64\)"):
        OnnxModel(tmp_path / "four.onnx")
    (tmp_path / "torn.onnx").write_bytes(useless.read_bytes()[:200])
    (tmp_path / "text.onnx").write_text("not an ONNX file at all")
    for name in ("torn.onnx", "text.onnx"):
        with pytest.raises(BadWeights, match=rf"{name}.* cannot be read as an ONNX file|takes nothing") as refused:
            OnnxModel(tmp_path / name)
        assert "\n" not in str(refused.value)
    with pytest.raises(BadWeights, match=r"there is no model file"):
        OnnxModel(tmp_path / "missing.onnx")
    with pytest.raises(ManyfillError, match="engine 'torch' does not run ONNX files; expected auto, onnxruntime"):
        OnnxModel(useless, engine="torch")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino-f32"])
@pytest.mark.parametrize("where", ["../secret.bin", "{outer}/secret.bin", "link.bin"])
def test_a_file_does_not_name_another_one_to_be_opened(where: str, engine: str, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.bin").write_bytes(np.float32(0.5).tobytes())
    (inner / "link.bin").symlink_to(tmp_path / "secret.bin")
    model = onnx.load(str(onnxfiles.network(inner / "their.onnx")))
    (half,) = (each for each in model.graph.initializer if each.name == "half")
    half.ClearField("raw_data")
    half.data_location = TensorProto.EXTERNAL
    half.external_data.add(key="location", value=where.format(outer=tmp_path))
    (inner / "their.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadWeights, match=r"their\.onnx cannot be read as an ONNX file") as refused:
        OnnxModel(inner / "their.onnx", engine=engine)
    assert "\n" not in str(refused.value)


def test_a_network_of_enormous_pictures_is_refused_before_one_is_made() -> None:
    ports = (Port("image", FLOATS, (1, 3, 60_000, 60_000)), Port("mask", FLOATS, (1, 1, 60_000, 60_000)))
    with pytest.raises(BadWeights, match="60000"):
        recognise(ports, "their.onnx")


def test_the_probe_is_made_once_and_what_it_found_is_kept(tmp_path: Path) -> None:
    path = MADE["network, draws 0 to 255"](tmp_path / "a.onnx")
    found = OnnxModel(path).meaning
    (note,) = (tmp_path / "cache/onnx").iterdir()
    note.write_text(json.dumps({**json.loads(note.read_text()), "high": 254.0}))
    assert OnnxModel(path).meaning.high == 254.0  # what was kept is what is used
    note.write_text("{torn")
    assert OnnxModel(path).meaning == found and json.loads(note.read_text())["high"] == 255.0


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    model = OnnxModel(onnxfiles.network(tmp_path / "a.onnx"))
    image = torch.full((1, 3, 64, 64), float("nan"))
    with pytest.raises(BadWeights, match="drew values that are not numbers"):
        model.draw(image, torch.zeros(1, 1, 64, 64))
    assert np.isfinite(model.draw(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).numpy()).all()
