"""PICNet against the authors' network (fixtures: ../parity), and what any of its configurations must do.

Tolerance of the parity tests: 2e-5. The authors' network itself differs by 2e-6 between float32 and float64 and between
one and two threads; the mildest mistake that was tried (eps of the instance norm) changes the picture by 6e-3.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parity import released
from torch import Tensor, nn
from torch.testing import assert_close

from manyfill import weights
from manyfill.nets import CompletionNet, Prediction
from manyfill.nets.blocks import settle
from manyfill.nets.fusion import FusionBlock
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=32, width=4, max_width=8, latent=4, levels=3, scales=2, infer_blocks=1)
FIXTURE = "picnet/parity_picnet.npz"


def close(actual: Tensor, name: str) -> None:
    assert_close(actual, released.expected(FIXTURE, name), atol=2e-5, rtol=0)


def tiny(**changes: object) -> PICNet:
    torch.manual_seed(0)
    net = PICNet(replace(TINY, **changes)).eval()  # type: ignore[arg-type]
    settle(net, 10)  # fresh u and v would saturate every picture
    return net


def sample(height: int = 16, width: int = 16, batch: int = 1) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(height * width + batch)
    hole = torch.zeros(batch, 1, height, width)
    hole[:, :, height // 4 : -height // 4, width // 4 : -width // 4] = 1
    return torch.rand(batch, 3, height, width, generator=g), hole


# ── the published network ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=["data parallel", "plain"])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> weights.Weights:
    folder = tmp_path_factory.mktemp("picnet")
    files = released.picnet_files(folder, data_parallel=request.param == "data parallel")
    return weights.load(weights.import_picnet(files["E"], files["G"], files["D"], folder / "picnet.safetensors"))


@torch.no_grad()
def test_an_imported_checkpoint_draws_what_the_published_network_draws(imported: weights.Weights) -> None:
    net, critic = imported.net, imported.critic
    assert isinstance(net, PICNet) and critic is not None
    seen: list[Tensor] = []
    hook = net.generator.attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image, hole = released.picnet_inputs()

    encoded = net.encode(image, hole)
    close(encoded.prior.mean, "q_mu")
    close(encoded.prior.std, "q_sigma")
    close(encoded.features, "f_m")
    close(encoded.long_term[:, ::8], "f_e_every8th_channel")

    pictures = net.generate(released.picnet_noise("picnet-z"), encoded)
    for side, picture in zip((32, 64, 128, 256), pictures, strict=True):
        close(2 * picture.image - 1, f"out{side}")
    hook.remove()
    close(net.generator.attention.map(seen[0])[0, [0, 333, 512, 1023]], "attn_rows_0_333_512_1023")
    close(critic(hole * pictures[-1].image + (1 - hole) * image), "d_score")


@torch.no_grad()
def test_a_fill_is_the_sample_of_the_prior_for_its_noise(imported: weights.Weights) -> None:
    image, hole = released.picnet_inputs()
    fill = imported.net.decode(imported.net.encode(image, hole), released.picnet_noise("picnet-eps-q"))
    close(2 * fill.image[..., ::2, ::2] - 1, "out256_reparam_stride2")
    assert [tuple(scale.shape[-2:]) for scale in fill.scales] == [(32, 32), (64, 64), (128, 128)]


@torch.no_grad()
def test_in_training_every_call_advances_the_power_iteration_as_published() -> None:
    net, _ = released.spectral_picnet()
    net.train()
    image, hole = released.picnet_inputs()
    z = released.picnet_noise("picnet-z")
    features = net.encoder(net.see(image, hole))
    stats = json.loads((Path(released.__file__).parent / "picnet/parity_stats.json").read_text())
    for level, feature in enumerate(features):
        want = stats[f"feature{level}"]
        measured = [feature.mean().item(), feature.std(correction=0).item(), feature.abs().max().item()]
        assert measured == pytest.approx([want["mean"], want["std"], want["absmax"]], abs=2e-5)
    close(2 * net.generate(z, net.gather(features, image, hole))[-1].image - 1, "out256")
    layers = {
        "E.encoder1.conv2": net.encoder.blocks[2].conv2,
        "G.decoder2.conv2": net.generator.decoders[2].conv2,  # transposed: u has the length of the input channels
        "G.out4.conv1": net.generator.heads[3].conv1,
    }
    for name, layer in layers.items():
        close(layer.u, f"{name}.module.weight_u.after1")
        close(layer.v, f"{name}.module.weight_v.after1")
    second = net.generate(z, net.encode(image, hole))[-1].image
    close(2 * second[..., ::4, ::4] - 1, "out256_call2_stride4")


def test_the_network_is_as_large_as_the_published_one() -> None:
    with torch.device("meta"):
        net = PICNet(PICNetConfig(spectral_norm=False))
    assert sum(p.numel() for p in net.encoder.parameters()) == 3_604_224
    assert sum(p.numel() for p in net.generator.parameters()) == 2_374_016


# ── any configuration ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 40), (48, 24)])
@pytest.mark.parametrize("fusion_scales", [0, 1, 2])
def test_pictures_have_the_size_of_the_photo(height: int, width: int, batch: int, fusion_scales: int) -> None:
    net = tiny(fusion_scales=fusion_scales)
    image, hole = sample(height, width, batch)
    shape = net.noise_shape(height, width)
    assert shape == (4, height // 8, width // 8)
    with torch.no_grad():
        fill = net(image, hole, torch.randn(batch, *shape))
    assert fill.image.shape == image.shape
    assert fill.image.min() >= 0 and fill.image.max() <= 1
    assert [scale.shape for scale in fill.scales] == [(batch, 3, height // 2, width // 2)]
    assert (fill.alpha is None) == (fill.raw is None) == (fusion_scales == 0)


@pytest.mark.parametrize("fusion_scales", range(5))
def test_the_finest_scales_end_in_fusion_blocks(fusion_scales: int) -> None:
    net = tiny(levels=5, scales=4, fusion_scales=fusion_scales, alpha_channels=1)
    assert [isinstance(head, FusionBlock) for head in net.generator.heads] == [
        scale >= 4 - fusion_scales for scale in range(4)
    ]
    image, hole = sample(32, 64)
    with torch.no_grad():
        pictures = net.generate(torch.randn(1, 4, 1, 2), net.encode(image, hole))
    assert [tuple(picture.image.shape[-2:]) for picture in pictures] == [(4, 8), (8, 16), (16, 32), (32, 64)]
    assert [picture.alpha is not None for picture in pictures] == [scale >= 4 - fusion_scales for scale in range(4)]


@pytest.mark.parametrize(
    "changes", [{"scales": 1}, {"scales": 4}, {"fusion_scales": 3}, {"fusion_scales": -1}, {"attention": "all"}]
)
def test_impossible_configs_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        tiny(**changes)


@pytest.mark.parametrize("kind", ["empty", "full", "one pixel"])
@pytest.mark.parametrize(
    "changes", [{}, {"fusion_scales": 2, "sees_hole": True}, {"attention": "none"}, {"attention": "contextual"}]
)
def test_any_hole_gives_a_picture(kind: str, changes: dict[str, object]) -> None:
    image, _ = sample()
    hole = torch.full((1, 1, 16, 16), float(kind == "full"))
    if kind == "one pixel":
        hole[0, 0, 5, 7] = 1
    with torch.no_grad():
        assert torch.isfinite(tiny(**changes)(image, hole).image).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sees_hole": True},
        {"fusion_scales": 2},
        {"fusion_scales": 2, "sees_hole": True},
        {"attention": "none"},
        {"attention": "contextual"},
        {"width": 8, "max_width": 16, "latent": 6},
        {"spectral_norm": False},
        {"instance_norm": False},
    ],
)
def test_what_lies_under_the_hole_never_influences_the_fill(changes: dict[str, object]) -> None:
    net = tiny(**changes)
    image, hole = sample()
    other = image * (1 - hole) + hole * torch.rand_like(image)
    noise = torch.randn(1, *net.noise_shape(16, 16))
    with torch.no_grad():
        one, two = net(image, hole, noise), net(other, hole, noise)
        visible = net(image.flip(1), hole, noise)
    assert torch.equal(one.image, two.image)
    assert not torch.equal(one.image, visible.image)


def test_only_a_network_that_sees_the_hole_tells_mid_grey_from_a_hole() -> None:
    grey, hole = torch.full((1, 3, 16, 16), 0.5), sample()[1]
    for sees_hole in (False, True):
        net = tiny(sees_hole=sees_hole)
        with torch.no_grad():
            same = torch.equal(net.encode(grey, hole).features, net.encode(grey, torch.zeros_like(hole)).features)
        assert same != sees_hole


def test_no_noise_is_the_mean_of_the_prior() -> None:
    net = tiny()
    with torch.no_grad():
        encoded = net.encode(*sample())
        still = net.decode(encoded, None)
        assert torch.equal(still.image, net.decode(encoded, torch.zeros(1, *net.noise_shape(16, 16))).image)
        assert torch.equal(still.image, net.generate(encoded.prior.mean, encoded)[-1].image)
        assert not torch.equal(still.image, net.decode(encoded, torch.ones(1, *net.noise_shape(16, 16))).image)


def test_a_picture_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    net = tiny(fusion_scales=2, sees_hole=True)
    image, hole = sample(batch=3)
    noise = torch.randn(3, *net.noise_shape(16, 16))
    with torch.no_grad():
        together = net(image, hole, noise).image
        alone = torch.cat([net(image[i : i + 1], hole[i : i + 1], noise[i : i + 1]).image for i in range(3)])
    assert_close(alone, together, atol=1e-5, rtol=0)  # sums run in another order


def test_the_same_call_gives_the_same_picture_however_often_it_is_made() -> None:
    net = tiny()
    with torch.no_grad():
        assert torch.equal(net(*sample()).image, net(*sample()).image)


@pytest.mark.parametrize("kind", ["short-long", "contextual"])
def test_the_attention_of_a_pixel_can_be_seen(kind: str) -> None:
    net = tiny(attention=kind)
    image, hole = sample(32, 48)
    with torch.no_grad():
        encoded = net.encode(image, hole)
        noise = torch.randn(1, *net.noise_shape(32, 48))
        kept: list[Tensor] = []
        net.generator.attention.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        net.decode(encoded, noise)
        seen = net.attention_map(encoded, noise, 17, 24)  # of a map of 16 x 24: place (8, 12)
        soft = nn.functional.interpolate(hole, (16, 24), mode="bilinear", align_corners=True)
        want = net.generator.attention.look(kept[0], soft, 8, 12)
    assert seen.shape == (1, 32, 48)
    assert torch.equal(seen[:, ::2, ::2], want) and torch.equal(seen[:, 1::2, 1::2], want)
    assert want.sum().item() == pytest.approx(1, abs=1e-5)


def test_it_is_a_completion_network() -> None:
    net = tiny()
    assert isinstance(net, CompletionNet)
    assert (net.multiple, net.working_size) == (8, 32)


# Of the encoder, the posterior is used in training only (test_objectives.py); the bias before an instance norm has no
# effect.
@pytest.mark.parametrize("changes", [{}, {"fusion_scales": 2, "sees_hole": True}])
def test_a_fill_depends_on_every_parameter_that_is_not_of_training_alone(changes: dict[str, object]) -> None:
    net = tiny(**changes)
    with torch.no_grad():  # both start at zero, where the query would get no gradient
        net.generator.attention.gamma.fill_(0.5)
        net.generator.attention.alpha.fill_(0.5)
    image, hole = sample(32, 32)
    fill: Prediction = net(image, hole, torch.randn(1, *net.noise_shape(32, 32)))
    (fill.image**2).sum().backward()
    without = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    posterior = {name for name, _ in net.named_parameters() if name.startswith("encoder.posterior.")}
    assert posterior <= without
    assert {name for name in without - posterior if not is_before_instance_norm(net, name)} == set()


def is_before_instance_norm(net: nn.Module, name: str) -> bool:
    return name.startswith("generator.decoders.") and name.endswith(".conv1.bias")


# ── skips ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def test_skips_change_nothing_before_they_have_learned() -> None:
    image, hole = sample()
    plain, skipping = tiny(sees_hole=True, fusion_scales=2), tiny(sees_hole=True, fusion_scales=2, skips=True)
    skipping.load_state_dict(plain.state_dict(), strict=False)
    noise = torch.randn(1, *plain.noise_shape(16, 16))
    assert_close(skipping(image, hole, noise).image, plain(image, hole, noise).image)


def test_skips_carry_known_pixels_and_nothing_from_under_the_hole() -> None:
    image, hole = sample(batch=2)
    net = tiny(sees_hole=True, fusion_scales=2, skips=True)
    for skip in net.generator.skips:
        nn.init.normal_(skip.weight, std=0.3)  # type: ignore[arg-type]
    encoded = net.encode(image, hole)
    assert [x.shape[-1] for x in encoded.skips] == [4, 8, 16]
    finest = encoded.skips[-1]
    assert torch.equal(finest[:, 3:], hole) and (finest[:, :3] * hole == 0).all()
    noise = torch.randn(2, *net.noise_shape(16, 16))
    drawn = net.decode(encoded, noise).image
    other = torch.where(hole > 0, torch.rand(image.shape), image)
    assert torch.equal(net(other, hole, noise).image, drawn)
    drawn.mean().backward()  # type: ignore[no-untyped-call]
    assert all(skip.weight.grad.abs().sum() > 0 for skip in net.generator.skips)  # type: ignore[union-attr, operator]
    again = net.decode(encoded.twice().rows(slice(2, 4))._replace(prior=encoded.prior), noise).image
    assert_close(again, drawn)


# ── noise at the decoder's finer maps ─────────────────────────────────────────────────────────────────────────────────


def noisy(**changes: object) -> PICNet:
    """A network with noise whose strengths are no longer zero."""
    net = tiny(noise=True, sees_hole=True, fusion_scales=2, **changes)
    for strength in net.generator.strengths:
        nn.init.normal_(strength, std=0.5)
    return net


@torch.no_grad()
def test_noise_changes_nothing_before_it_has_learned() -> None:
    image, hole = sample()
    plain, noisier = tiny(sees_hole=True, fusion_scales=2), tiny(sees_hole=True, fusion_scales=2, noise=True)
    assert plain.state_dict().keys() == noisier.state_dict().keys() - {"generator.strengths.0", "generator.strengths.1"}
    noisier.load_state_dict(plain.state_dict(), strict=False)
    noise = torch.randn(1, *noisier.noise_shape(16, 16))
    assert_close(noisier(image, hole, noise).image, plain(image, hole, noise[:, :4]).image)


@torch.no_grad()
def test_every_number_of_the_noise_moves_the_fill_where_it_belongs() -> None:
    """4 channels of the latent, then 16 that unfold to the half-size map and 64 for the map of full size."""
    net = noisy(attention="none")
    assert net.noise_shape(16, 24) == (4 + 16 + 64, 2, 3)
    coarse, fine = net._fine(torch.arange(84.0).view(1, 84, 1, 1).expand(1, 84, 2, 3))
    assert coarse.shape == (1, 1, 8, 12) and fine.shape == (1, 1, 16, 24)
    assert coarse[0, 0, :4, :4].flatten().tolist() == list(range(4, 20))
    assert fine[0, 0, 8:, 16:].flatten().tolist() == list(range(20, 84))
    encoded = net.encode(*sample())
    still = net.decode(encoded, torch.zeros(1, 84, 2, 2)).image
    assert torch.equal(still, net.decode(encoded, None).image)
    noise = torch.zeros(1, 84, 2, 2)
    noise[0, 20 + 8 * 3 + 5, 1, 0] = 3.0  # of the finest map: row 8 + 3, column 5
    moved = (net.decode(encoded, noise).image - still).abs().amax((0, 1))
    rows, columns = torch.nonzero(moved, as_tuple=True)
    assert moved[11, 5] > 1e-4 and (rows - 11).abs().max() <= 3 and (columns - 5).abs().max() <= 3


def test_strengths_learn_from_zero_and_the_mean_knows_no_noise() -> None:
    net = tiny(noise=True)
    image, hole = sample(batch=2)
    (net(image, hole, torch.randn(2, *net.noise_shape(16, 16))).image ** 2).sum().backward()
    assert all(strength.grad is not None and strength.grad.any() for strength in net.generator.strengths)


@torch.no_grad()
def test_the_attention_that_is_shown_is_that_of_the_noisy_fill() -> None:
    net = noisy()
    encoded = net.encode(*sample())
    noise = torch.randn(1, *net.noise_shape(16, 16))
    kept: list[Tensor] = []
    net.generator.attention.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    net.decode(encoded, noise)
    z = encoded.prior.sample(noise)
    assert torch.equal(kept[0], net.generator.before_attention(z, encoded, net._fine(noise)))
    assert not torch.equal(kept[0], net.generator.before_attention(z, encoded))
