"""The adapter: PICNet's latent and DFNet's blend on a frozen trunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from manyfill import weights
from manyfill.errors import BadWeights
from manyfill.fetchables import FETCHABLES
from manyfill.nets import CompletionNet
from manyfill.nets.adapter import SURE, AdapterConfig, PluralisticTrunk, continued, near_known
from manyfill.nets.migan import MIGANConfig
from manyfill.objectives import DualPath, Nets

TRUNK = MIGANConfig(size=32, width=8, max_width=16, working=32)
TINY = AdapterConfig(trunk=TRUNK, latent=4, latent_level=2, width=8, infer_blocks=1, modulated=(1, 2), scales=3,
                     fusion_scales=1)  # fmt: skip


def tiny() -> PluralisticTrunk:
    torch.manual_seed(0)
    return PluralisticTrunk(TINY).eval()


def sample(batch: int = 2) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(batch)
    hole = torch.zeros(batch, 1, 32, 32)
    hole[..., 8:22, 5:20] = 1
    return torch.rand(batch, 3, 32, 32, generator=g), hole


@torch.no_grad()
def test_an_untrained_adapter_is_its_trunk() -> None:
    net = tiny()
    image, hole = sample()
    drawn = net.decode(net.encode(image, hole), torch.randn(2, *net.noise_shape(32, 32)))
    alone = net.trunk(image, hole).image
    assert drawn.raw is not None and drawn.alpha is not None
    assert_close(drawn.raw, alone, atol=1e-6, rtol=0)
    least = float(torch.sigmoid(torch.tensor(SURE)))
    assert_close(drawn.alpha, (1 - near_known(hole) * (1 - least)).expand_as(drawn.alpha))
    assert ((drawn.image - alone).abs() * hole).max() <= 1 - least


@torch.no_grad()
def test_noise_moves_the_fill_once_a_modulation_has_learnt_something() -> None:
    net = tiny()
    image, hole = sample()
    torch.nn.init.normal_(net.modulations["2"].leave.weight, std=0.5)  # type: ignore[arg-type, union-attr]
    encoded = net.encode(image, hole)
    noise = torch.randn(2, *net.noise_shape(32, 32))
    one, again, other = (net.decode(encoded, x).image for x in (noise, noise, -noise))
    assert torch.equal(one, again) and not torch.allclose(one, other, atol=1e-3)
    mean = net.decode(encoded, None).raw
    assert mean is not None
    assert_close(mean, net.trunk(image, hole).image, atol=1e-6, rtol=0)  # the likeliest answer stays the trunk's
    assert isinstance(net, CompletionNet) and net.working_size == 32 and net.multiple == 8


@torch.no_grad()
def test_nothing_under_the_hole_reaches_a_fill() -> None:
    net = tiny()
    image, hole = sample()
    other = torch.where(hole > 0, torch.rand(image.shape), image)
    noise = torch.zeros(2, *net.noise_shape(32, 32))
    assert torch.equal(net(image, hole, noise).image, net(other, hole, noise).image)


def test_only_the_adapter_learns_and_all_of_it() -> None:
    net = tiny().train()
    for modulation in net.modulations.values():
        torch.nn.init.normal_(modulation.leave.weight, std=0.1)  # type: ignore[arg-type, union-attr]
    torch.nn.init.normal_(net.fusion.correct.weight, std=0.1)
    torch.nn.init.normal_(net.fusion.to_alpha.weight, std=0.1)
    objective = DualPath(
        weights={"kl_rec": 1, "kl_gen": 1, "appearance_rec": 1, "appearance_gen": 1, "hole_rec": 1, "mean": 1,
                 "spread": 1},
        mean_share=0.5, plain_resize=True,
    )  # fmt: skip
    image, hole = sample(4)
    nets = Nets(net, {})
    shape = objective.noise_shape(net, 32)  # type: ignore[arg-type]
    out = objective.forward(nets, image, hole, torch.randn(4, *shape))
    terms = objective.generator_terms(nets, image, hole, out)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    without = [name for name, p in net.named_parameters() if not name.startswith("trunk.") and p.grad is None]
    assert without == [] and all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert all(p.grad is None for p in net.trunk.parameters())
    assert [p.image.shape[-1] for p in out.generative] == [8, 16, 32]


def test_a_weights_file_holds_the_adapter_alone_and_needs_its_trunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parity import small_migan

    from manyfill import trunks

    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    net = tiny()
    file = small_migan.write(FETCHABLES["migan"].paths[0])
    trunks.fill(net)
    path = weights.save(net, tmp_path / "adapted.safetensors")
    found = weights.load(path)
    assert not any(name.startswith("net.trunk.") for name in _names(path))
    image, hole = sample()
    noise = torch.randn(2, *net.noise_shape(32, 32))
    with torch.no_grad():
        assert_close(found.net(image, hole, noise).image, net(image, hole, noise).image)  # type: ignore[operator]
    small_migan.write(file, seed=1)
    with pytest.raises(BadWeights, match="not the file that"):
        weights.load(path)
    file.unlink()
    with pytest.raises(BadWeights, match="manyfill fetch migan"):
        weights.load(path)


def _names(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return list(file.keys())


def test_fusion_reaches_a_few_pixels_into_a_hole() -> None:
    hole = torch.zeros(1, 1, 64, 64)
    hole[..., 10:54] = 1
    near = near_known(hole)[0, 0, 32]
    assert near[9] == 1 and near[10] > 0.9 and 0 < near[14] < 0.6 and (near[18:46] == 0).all()


def test_the_photo_is_continued_into_the_hole() -> None:
    image, hole = sample(1)
    flat = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand_as(image)
    assert_close(continued(flat * (1 - hole), hole, 3), flat)
    found = continued(image * (1 - hole), hole, 3)
    assert torch.equal(found * (1 - hole), image * (1 - hole))
    assert continued(torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8), 2).abs().max() == 0
    half = torch.zeros(1, 1, 8, 16)
    half[..., 8:] = 1  # nothing near is known there after one level: the mean of the rest
    assert_close(continued(flat[..., :8, :16] * (1 - half), half, 1), flat[..., :8, :16])


@pytest.mark.parametrize("changes", [{"modulated": (9,)}, {"latent_level": 4}, {"scales": 9}, {"trained_from": 4}])
def test_a_config_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"trunk has|expected"):
        AdapterConfig(**{"trunk": TRUNK, "latent_level": 2, "modulated": (1, 2), **changes})  # type: ignore[arg-type]


@torch.no_grad()
def test_other_seeds_see_the_photo_in_other_ways_and_each_can_be_had_again() -> None:
    from manyfill.completer import Completer

    net = tiny()
    completer = Completer.of_net(net)
    rng = torch.Generator().manual_seed(3)
    photo = (torch.rand(48, 40, 3, generator=rng) * 255).byte().numpy()
    mask = torch.zeros(48, 40, dtype=torch.bool)
    mask[12:30, 10:28] = True
    fills = completer.complete(photo, mask.numpy(), n=3, texture="net")
    assert len({fill.array.tobytes() for fill in fills}) == 3  # untrained, the latent says nothing: views do
    for fill in fills:
        (again,) = completer.complete(photo, mask.numpy(), seed=fill.seed, texture="net")
        assert again.array.tobytes() == fill.array.tobytes()
        assert (fill.array[~mask.numpy()] == photo[~mask.numpy()]).all()
    plain = [completer.complete(photo, mask.numpy(), seed=seed, diversity=0, texture="net")[0] for seed in (0, 5)]
    first = completer.complete(photo, mask.numpy(), seed=0, texture="net")[0]
    assert plain[0].array.tobytes() == plain[1].array.tobytes() == first.array.tobytes()


def test_it_is_drawn_in_squares() -> None:
    from manyfill.completer import Completer

    completer = Completer.of_net(tiny())
    mask = np.zeros((48, 80), bool)
    mask[12:30, 10:28] = True
    side = completer.drawer.plan(mask)[0].padded[0]
    assert {window.padded for window in completer.drawer.plan(mask)} == {(side, side)}


def test_the_command_line_says_which_model_it_took_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from parity import small_migan

    from manyfill import trunks, zoo
    from manyfill.cli.options import load

    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    small_migan.write(FETCHABLES["migan"].paths[0])
    net = tiny()
    trunks.fill(net)
    path = weights.save(net, tmp_path / "tiny.safetensors")
    entry = replace(zoo.ZOO["pluralistic-migan"], file=str(path))
    monkeypatch.setitem(zoo.ZOO, "pluralistic-migan", entry)
    completer, _ = load(zoo.AUTO, engine="torch")
    assert completer.name == "pluralistic-migan"
    assert "model: pluralistic-migan, as its trunk was fetched" in capsys.readouterr().err
