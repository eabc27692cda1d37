"""MI-GAN's form against a graph that was written from the published file, and what may be wrong with such files.

Tolerance 1e-4 of [-1,1]: two runtimes add in another order.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from parity import small_migan
from torch.testing import assert_close

from manyfill import trunks
from manyfill.errors import BadWeights, UnknownModel
from manyfill.nets import CompletionNet
from manyfill.nets.adapter import AdapterConfig, PluralisticTrunk
from manyfill.nets.migan import MIGANConfig

SMALL = MIGANConfig(size=32, width=8, max_width=16, working=32)


def sample(size: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(size + batch)
    hole = torch.zeros(batch, 1, size, size)
    hole[..., size // 4 : size // 2, size // 3 : -2] = 1
    return torch.rand(batch, 3, size, size, generator=g), hole


@torch.no_grad()
def test_a_trunk_draws_what_its_file_draws(tmp_path: Path) -> None:
    file = small_migan.write(tmp_path / "small.onnx")
    net = trunks.read_migan(file, working=32)
    image, hole = sample(32)
    known = 1 - hole
    seen = torch.cat([known - 0.5, (2 * image - 1) * known], 1).numpy()
    (expected,) = onnxruntime.InferenceSession(str(file)).run(None, {small_migan.INPUT: seen})
    pictures = net.synthesise(net.encode(image, hole))
    assert_close(pictures[-1], torch.from_numpy(expected), atol=1e-4, rtol=0)
    assert [picture.shape[-1] for picture in pictures] == [4, 8, 16, 32]


@torch.no_grad()
def test_a_trunk_never_looks_under_the_hole(tmp_path: Path) -> None:
    net = trunks.read_migan(small_migan.write(tmp_path / "small.onnx"), working=32)
    image, hole = sample(32, batch=2)
    other = torch.where(hole > 0, torch.rand(image.shape), image)
    assert torch.equal(net(image, hole).image, net(other, hole).image)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 48), (64, 32)])
def test_a_trunk_runs_at_other_sizes(tmp_path: Path, height: int, width: int) -> None:
    net = trunks.read_migan(small_migan.write(tmp_path / "small.onnx"), working=32)
    image, hole = torch.rand(1, 3, height, width), torch.zeros(1, 1, height, width)
    drawn = net(image, hole).image
    assert drawn.shape == image.shape and drawn.min() >= 0 and drawn.max() <= 1
    assert isinstance(net, CompletionNet) and net.multiple == 8 and net.noise_shape(height, width) is None


def test_a_file_that_is_no_trunk_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_bytes(b"not an onnx file at all")
    with pytest.raises(BadWeights, match=r"cannot be read as an ONNX file|holds no MI-GAN"):
        trunks.read_migan(text)
    model = onnx.load(str(small_migan.write(tmp_path / "small.onnx")))
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "model.synthesis.b8.conv2.conv2.weight"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, str(tmp_path / "broken.onnx"))
    with pytest.raises(BadWeights, match="is not MI-GAN's pipeline"):
        trunks.read_migan(tmp_path / "broken.onnx", working=32)


def test_a_trunk_does_not_name_another_file_to_be_opened(tmp_path: Path) -> None:
    model = onnx.load(str(small_migan.write(tmp_path / "small.onnx")))
    tensor = model.graph.initializer[0]
    (tmp_path / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    (tmp_path / "outside.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadWeights, match="cannot be read as an ONNX file"):
        trunks.read_migan(tmp_path / "outside.onnx", working=32)


def test_a_trunk_that_was_not_fetched_is_named_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="manyfill fetch migan"):
        trunks.fill(PluralisticTrunk(AdapterConfig(trunk=SMALL, latent_level=2, modulated=(1, 2))))


def test_an_adapter_refuses_another_trunk(tmp_path: Path) -> None:
    net = PluralisticTrunk(AdapterConfig(trunk=SMALL, latent_level=2, modulated=(1, 2)))
    with pytest.raises(BadWeights, match="not the trunk"):
        trunks.fill(net, small_migan.write(tmp_path / "wide.onnx", width=16, max_width=32))
