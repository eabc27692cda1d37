from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from manyfill import weights
from manyfill.errors import BadWeights, CannotWrite, UnknownModel
from manyfill.nets import Prediction
from manyfill.nets.blocks import settle
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.discriminators import Critic, CriticConfig
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.training import checkpoint

CPU = torch.device("cpu")
PLAIN = PICNetConfig(size=32, width=4, max_width=8, latent=4, levels=3, scales=2, infer_blocks=1, spectral_norm=False)
NO_CRITICS = nn.ModuleDict()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "a.pt", {"images_seen": 3, "step": {"x": torch.arange(3.0)}})
    state = checkpoint.read(tmp_path / "a.pt", CPU)
    assert state["images_seen"] == 3 and torch.equal(state["step"]["x"], torch.arange(3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_crash_while_writing_leaves_the_previous_file(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "a.pt", {"images_seen": 3})
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        checkpoint.write(tmp_path / "a.pt", {"images_seen": 4, "unsavable": (i for i in range(3))})
    assert checkpoint.read(tmp_path / "a.pt", CPU) == {"images_seen": 3}


class Payload:
    """Unpickles as a call of `Path.touch`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["empty", "cut", "text", "code"])
def test_a_damaged_checkpoint_says_what_to_do_and_no_code_in_it_runs(tmp_path: Path, kind: str) -> None:
    path, traces = tmp_path / "checkpoint.pt", tmp_path / "traces"
    torch.save({"images_seen": Payload(traces) if kind == "code" else torch.zeros(999)}, path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[:900], "text": b"hello", "code": whole}[kind])
    with pytest.raises(BadWeights, match=r"checkpoint\.pt cannot be read.*Remove it") as caught:
        checkpoint.read(path, CPU)
    assert "\n" not in str(caught.value)
    assert not traces.exists()


@pytest.mark.parametrize("version", ["now", "earlier"])
def test_no_flipped_bit_changes_what_is_read(tmp_path: Path, version: str) -> None:
    """300 bits all over the file: each is noticed, or it does not matter."""
    path = tmp_path / "checkpoint.pt"
    state = {"images_seen": 3, "step": {"x": torch.arange(500.0)}}
    checkpoint.write(path, state) if version == "now" else torch.save(state, path)
    whole = path.read_bytes()
    noticed = 0
    for bit in range(0, 8 * len(whole), max(1, 8 * len(whole) // 300)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            read = checkpoint.read(path, CPU)
        except BadWeights:
            noticed += 1
        else:
            assert read["images_seen"] == 3 and torch.equal(read["step"]["x"], state["step"]["x"])  # type: ignore[index]
    assert noticed > 200


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = checkpoint.Checkpoints(tmp_path, keep=1)
    first, second = (checkpoints.write({"images_seen": seen, "x": torch.zeros(9)}) for seen in (2, 4))
    assert checkpoints.newest() == second and first.is_file(), "one to fall back to"
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 1
    second.write_bytes(data)
    checkpoints = checkpoint.Checkpoints(tmp_path, keep=1)
    assert checkpoints.newest() == first and checkpoints.newest() == first
    assert capsys.readouterr().err.count(f"{second} is damaged") == 1
    third = checkpoints.write({"images_seen": 3})
    assert sorted((tmp_path / "checkpoints").iterdir()) == [first, third]
    first.write_bytes(b"")
    third.write_bytes(b"half a file")
    assert checkpoint.Checkpoints(tmp_path, keep=1).newest() == third  # which says what to do when it is read


def test_a_full_disk_is_one_line_and_leaves_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.write(tmp_path / "a.pt", {"images_seen": 3})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(CannotWrite, match="No space left on device"):
        patch.setattr(os, "fsync", full)
        checkpoint.write(tmp_path / "a.pt", {"images_seen": 4})
    assert checkpoint.read(tmp_path / "a.pt", CPU) == {"images_seen": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def tiny(**changes: Any) -> PICNet:
    torch.manual_seed(1)
    return PICNet(replace(PLAIN, **changes)).eval()


def sample() -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 4:12, 4:12] = 1
    return torch.rand(1, 3, 16, 16), hole


@pytest.fixture
def source(tmp_path: Path) -> tuple[PICNet, str]:
    """A trained network with plain heads, and its file."""
    torch.manual_seed(0)
    net = PICNet(replace(PLAIN, spectral_norm=True)).eval()
    with torch.no_grad():  # or attention would do nothing
        net.generator.attention.gamma.fill_(0.5)
        net.generator.attention.alpha.fill_(0.5)
    settle(net, 100)
    return net, str(weights.save(net, tmp_path / "source.safetensors"))


@pytest.mark.parametrize(
    "changes", [{}, {"spectral_norm": True}, {"sees_hole": True}, {"sees_hole": True, "spectral_norm": True}]
)
@torch.no_grad()
def test_a_warm_start_begins_as_what_it_was(source: tuple[PICNet, str], changes: dict[str, Any]) -> None:
    """Also with one more input, whose weights start at zero, and with spectral norm, not in the file (to 1e-3)."""
    net = tiny(**changes)
    started = checkpoint.warm_start(net, NO_CRITICS, source[1])
    assert (started.fresh, started.unused, started.share) == ((), (), 1.0)
    image, hole = sample()
    assert_close(net(image, hole).image, source[0](image, hole).image, atol=1e-3, rtol=0)
    if changes.get("sees_hole"):
        first = net.encoder.blocks[0].conv1.weight
        assert first.shape[1] == 4 and not first[:, 3].any()


@torch.no_grad()
def test_a_plain_head_becomes_the_raw_picture_of_a_fusion_head_and_the_reverse(
    source: tuple[PICNet, str], tmp_path: Path
) -> None:
    """The coarsest raw picture is the plain one: tanh and sigmoid differ by a factor of two inside (to 1e-5)."""
    image, hole = sample()

    def coarsest(net: PICNet) -> Prediction:
        encoded = net.encode(image, hole)
        return net.generate(encoded.prior.mean, encoded)[0]

    fused = tiny(fusion_scales=2).eval()
    fresh = checkpoint.warm_start(fused, NO_CRITICS, source[1]).fresh
    assert fresh and all(".to_alpha." in name for name in fresh)
    assert_close(coarsest(fused).raw, coarsest(source[0]).image, atol=1e-5, rtol=0)

    plain = tiny().eval()
    path = str(weights.save(fused, tmp_path / "fused.safetensors"))
    back = checkpoint.warm_start(plain, NO_CRITICS, path)
    assert back.fresh == () and all(".to_alpha." in name for name in back.unused) and back.unused
    assert_close(coarsest(plain).image, coarsest(source[0]).image, atol=1e-5, rtol=0)


def test_what_does_not_fit_stays_fresh_and_is_named(source: tuple[PICNet, str]) -> None:
    net = tiny(latent=6)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    started = checkpoint.warm_start(net, NO_CRITICS, source[1])
    fresh = started.fresh
    assert f"{len(started.copied)} of {len(before)} tensors fit" in str(started) and "fresh: encoder." in str(started)
    assert "encoder.prior.conv2.weight" in fresh and "encoder.blocks.0.conv1.weight" not in fresh
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in fresh)

    other = DFNet(DFNetConfig(size=32, width=4, max_width=8, kernels=(3, 3), fusion_levels=(0,)))
    with pytest.raises(
        BadWeights, match=r"does not fit this recipe's network: 0 of \d+ tensors fit .*not used: encoder"
    ):
        checkpoint.warm_start(other, NO_CRITICS, source[1], partial=True)


def test_a_start_that_takes_less_than_half_is_refused_unless_asked_for(source: tuple[PICNet, str]) -> None:
    net = tiny(width=6, max_width=9)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(BadWeights, match=r"does not fit .*% of the weights\).* Add --partial to start from so little"):
        checkpoint.warm_start(net, NO_CRITICS, source[1])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items()), "nothing was copied"
    started = checkpoint.warm_start(net, NO_CRITICS, source[1], partial=True)
    assert started.copied and started.share < 0.5


@torch.no_grad()
def test_critics_start_from_the_critic_of_the_file(tmp_path: Path) -> None:
    config = CriticConfig(width=4, max_width=8, levels=4)
    torch.manual_seed(3)
    critic = Critic(config).eval()
    settle(critic, 100)
    path = weights.save(tiny(), tmp_path / "net.safetensors", critic=critic)
    critics = nn.ModuleDict({"gen": Critic(config), "rec": Critic(config)}).eval()
    checkpoint.warm_start(tiny(), critics, str(path))
    image = torch.rand(1, 3, 48, 48)
    for other in critics.values():
        assert_close(other(image), critic(image), atol=1e-3, rtol=0)


def test_a_model_that_is_not_there_is_unknown() -> None:
    with pytest.raises(UnknownModel):
        checkpoint.warm_start(tiny(), NO_CRITICS, "nothing-of-that-name")
