"""DFNet's total against the authors' (fixture: parity/dfnet; tolerance 1e-5 relative), and what each term may touch.

The published dual path with its gradients: training/test_step.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from parity import released
from torch import Tensor, nn
from torch.testing import assert_close

from manyfill import losses
from manyfill.nets.blocks import settle
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.discriminators import Critic, CriticConfig
from manyfill.nets.perceptual import Features
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.objectives import (
    CVAE,
    Deterministic,
    DualPath,
    DualPathOutputs,
    InstanceBlind,
    Nets,
    SinglePathOutputs,
    StructureTexture,
    complete,
)

# ── the authors' DFNet ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def published() -> tuple[Nets, Tensor, Tensor, list[Any]]:
    """Networks, image, hole and predictions whose pictures are leaves."""
    nets = Nets(released.dfnet(), {}, released.StandInVGG16())
    image, hole = released.dfnet_inputs(256)
    with torch.no_grad():
        out = StructureTexture().forward(nets, image, hole, None)
    return nets, image, hole, [prediction._replace(image=prediction.image.requires_grad_()) for prediction in out]


def number(name: str) -> float:
    return float(released.expected("dfnet/parity_dfnet.npz", f"loss.{name}"))


def test_the_published_total_and_its_gradient(published: tuple[Nets, Tensor, Tensor, list[Any]]) -> None:
    objective = StructureTexture(tv_as_released=True)
    out = published[3]
    terms = objective.generator_terms(*published)
    weighted = {name: objective.weights[name] * term for name, term in terms.items()}
    released_names = {
        "reconstruction": "reconstruction",
        "perceptual": "perceptual",
        "style": "style",
        "tv": "total_variation",
    }
    for ours, theirs in released_names.items():
        assert weighted[ours].item() == pytest.approx(number(f"official.{theirs}_loss"), rel=1e-5)
    assert not terms["tv"].requires_grad, "the release computes it on the target"
    total = torch.stack(list(weighted.values())).sum()
    assert total.item() == pytest.approx(number("official.total"), rel=1e-5)
    gradients = torch.autograd.grad(total, [prediction.image for prediction in out])
    for k, gradient in enumerate(gradients):
        assert gradient.abs().mean().item() == pytest.approx(number(f"grad_result_absmean.{k}"), rel=1e-4)


@torch.no_grad()
def test_each_published_term(published: tuple[Nets, Tensor, Tensor, list[Any]]) -> None:
    nets, image, hole, out = published
    assert nets.features is not None
    for k, prediction in enumerate(out):
        target = losses.resize_plain(image, *prediction.image.shape[-2:])
        assert losses.l1(prediction.image, target).item() == pytest.approx(number(f"l1.{k}"), rel=1e-5)
        if k < 3:
            drawn, truth = nets.features(prediction.image), nets.features(target)
            for j, (a, b) in enumerate(zip(drawn, truth, strict=True)):
                assert losses.perceptual([a], [b]).item() == pytest.approx(number(f"percep.{k}.{j}"), rel=1e-5)
                assert losses.style([a], [b]).item() == pytest.approx(number(f"style.{k}.{j}"), rel=1e-5)
    only_tv = StructureTexture(weights={"tv": 0.1})
    for name, region in (("known", hole), ("hole", 1 - hole)):
        tv = 0.1 * only_tv.generator_terms(nets, image, region, out)["tv"]
        assert tv.item() == pytest.approx(number(f"tv_on_results_{name}"), rel=1e-5)


# ── tiny networks ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Edges(Features):
    """Two fixed random layers."""

    name = "edges"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layers = nn.ModuleList([nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 3, stride=2)])
        self._freeze()

    def forward(self, image: Tensor) -> list[Tensor]:
        first = torch.tanh(self.layers[0](image))
        return [first, torch.tanh(self.layers[1](first))]


EVERYTHING = {
    **DualPath().weights,
    **{"hole_rec": 8.0, "mean": 8.0, "spread": 8.0, "palette": 8.0},
    **{"feature_rec": 1.0, "feature_mean": 1.0, "style_gen": 1.0},
}


def dual_path(**changes: Any) -> DualPath:
    return DualPath(**({"weights": EVERYTHING, "mean_share": 0.5} | changes))


def picnets(fusion_scales: int = 1, *, noise: bool = False) -> Nets:
    torch.manual_seed(0)
    config = PICNetConfig(
        size=48,
        width=4,
        max_width=8,
        latent=4,
        levels=3,
        scales=2,
        infer_blocks=1,
        fusion_scales=fusion_scales,
        noise=noise,
    )
    critics = {name: Critic(CriticConfig(width=4, max_width=8, levels=4)) for name in ("gen", "rec")}
    nets = Nets(PICNet(config), critics, Edges())
    settle(nets, 10)
    return nets


def dfnets() -> Nets:
    torch.manual_seed(0)
    config = DFNetConfig(size=32, width=4, max_width=8, kernels=(7, 5, 3), fusion_levels=(0, 1))
    return Nets(DFNet(config), {}, Edges())


def sample(side: int = 48, batch: int = 2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    hole = torch.zeros(batch, 1, side, side)
    hole[..., side // 4 : side // 2, side // 4 : -side // 4] = 1
    return torch.rand(batch, 3, side, side), hole


def run(objective: DualPath, nets: Nets, batch: int = 2) -> tuple[Tensor, Tensor, DualPathOutputs]:
    image, hole = sample(batch=batch)
    torch.manual_seed(2)
    noise = torch.randn(batch, *objective.noise_shape(nets.net, 48))  # type: ignore[arg-type]
    return image, hole, objective.forward(nets, image, hole, noise)


def gradients(term: Tensor, tensors: list[Tensor]) -> list[bool]:
    """Which of the tensors a term moves; every gradient must be finite."""
    found = torch.autograd.grad(term, tensors, allow_unused=True, retain_graph=True)
    assert all(torch.isfinite(g).all() for g in found if g is not None)
    return [g is not None and bool(g.any()) for g in found]


# term: what it moves, of (reconstructive pictures, generative pictures, posterior, prior)
MOVES = {
    "kl_rec": (False, False, True, False),
    "kl_gen": (False, False, False, True),
    "appearance_rec": (True, False, True, False),
    "appearance_gen": (False, True, False, True),
    "adversarial_rec": (True, False, True, False),
    "adversarial_gen": (False, True, False, True),
    "hole_rec": (True, False, True, False),
    "mean": (False, True, False, True),
    "spread": (False, True, False, True),
    "palette": (False, True, False, True),
    "feature_rec": (True, False, True, False),
    "feature_mean": (False, True, False, True),
    "style_gen": (False, True, False, True),
}


@pytest.fixture(scope="module")
def one_run() -> tuple[Nets, Tensor, Tensor, DualPathOutputs, dict[str, Tensor]]:
    nets, objective = picnets().eval(), dual_path()
    nets.critics.requires_grad_(False)
    image, hole, out = run(objective, nets)
    return nets, image, hole, out, objective.generator_terms(nets, image, hole, out)


@pytest.mark.parametrize("name", sorted(MOVES))
def test_each_generator_term_alone_moves_its_path_and_no_other(
    name: str, one_run: tuple[Nets, Tensor, Tensor, DualPathOutputs, dict[str, Tensor]]
) -> None:
    nets, _, _, out, terms = one_run
    assert set(terms) == set(MOVES)
    rec, gen = out.reconstructive[-1].image, out.generative[-1].image
    assert tuple(gradients(terms[name], [rec, gen, out.posterior.mean, out.prior.mean])) == MOVES[name]
    weights = [p for n, p in nets.net.named_parameters() if n == "encoder.blocks.0.conv1.weight"]
    assert gradients(terms[name], weights) == [True]


def test_the_generators_terms_leave_critics_and_features_alone() -> None:
    nets, objective = picnets().eval(), dual_path()
    nets.critics.requires_grad_(False)
    torch.stack(list(objective.generator_terms(nets, *run(objective, nets)).values())).sum().backward()
    assert all(p.grad is None for p in [*nets.critics.parameters(), *nets.features.parameters()])  # type: ignore[union-attr]


def test_the_critics_terms_leave_the_network_alone() -> None:
    nets, objective = picnets().eval(), dual_path()
    terms = objective.discriminator_terms(nets, *run(objective, nets))
    assert set(terms) == {"critic_gen", "critic_rec"}
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is None for p in nets.net.parameters())
    moved = {name: p.grad is not None and bool(p.grad.any()) for name, p in nets.critics.named_parameters()}
    # gamma starts at zero, where the query has no effect yet
    assert {name for name in moved if not moved[name]} == {n for n in moved if ".attention.query." in n}


@pytest.mark.parametrize("fusion_scales", [0, 2])
@pytest.mark.parametrize("first_step", [True, False])
def test_every_parameter_receives_a_gradient_in_one_step(fusion_scales: int, first_step: bool) -> None:
    """But the query at the very first step, as gamma and alpha start at zero (Zheng et al. 2019, release)."""
    nets, objective = picnets(fusion_scales).train(), DualPath()
    if not first_step:
        with torch.no_grad():
            nets.net.generator.attention.gamma.fill_(0.5)
            nets.net.generator.attention.alpha.fill_(0.5)
    terms = objective.generator_terms(nets, *run(objective, nets))
    torch.stack([objective.weights[name] * term for name, term in terms.items()]).sum().backward()
    without = {name for name, p in nets.net.named_parameters() if p.grad is None or not p.grad.any()}
    # a bias in front of an instance norm has no effect: its gradient is zero up to rounding
    without = {name for name in without if not (".decoders." in name and name.endswith("conv1.bias"))}
    assert without == ({f"generator.attention.query.{kind}" for kind in ("weight", "bias")} if first_step else set())


def test_the_same_noise_gives_the_same_terms_and_another_noise_others() -> None:
    nets, objective = picnets().eval(), dual_path()
    with torch.no_grad():
        first, second = (objective.generator_terms(nets, *run(objective, nets)) for _ in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)
        image, hole = sample()
        other = objective.forward(nets, image, hole, torch.zeros(2, 8, 6, 6))
        assert not torch.equal(
            objective.generator_terms(nets, image, hole, other)["appearance_rec"], first["appearance_rec"]
        )


def test_the_first_kl_follows_the_release_unless_the_papers_is_asked_for() -> None:
    nets = picnets().eval()
    with torch.no_grad():
        image, hole, out = run(dual_path(), nets)
        q = torch.distributions.Normal(out.posterior.mean, out.posterior.std)
        std = losses.latent_prior_std((1 - hole).mean((1, 2, 3))).view(-1, 1, 1, 1).expand_as(q.mean)
        prior = torch.distributions.Normal(torch.zeros_like(std), std)
        for as_in_paper, pair in ((False, (prior, q)), (True, (q, prior))):
            term = dual_path(kl_as_in_paper=as_in_paper).generator_terms(nets, image, hole, out)["kl_rec"]
            assert_close(term, torch.distributions.kl_divergence(*pair).mean(), atol=1e-5, rtol=1e-5)


def test_what_is_under_the_hole_is_free_on_the_generative_path() -> None:
    nets, objective = picnets(0).eval(), DualPath()
    with torch.no_grad():
        image, hole, out = run(objective, nets)
        truth = [losses.resize_corners(image, *p.image.shape[-2:]) for p in out.generative]
        known = [losses.resize_corners(1 - hole, *p.image.shape[-2:]) for p in out.generative]
        painted = [
            p._replace(image=torch.where(m > 0, x, torch.rand_like(x)))
            for p, x, m in zip(out.generative, truth, known, strict=True)
        ]
        terms = objective.generator_terms(nets, image, hole, replace(out, generative=painted, reconstructive=painted))
    assert terms["appearance_gen"] == 0
    assert terms["appearance_rec"] > 0.1


def test_a_share_of_the_pictures_decodes_the_mean() -> None:
    nets = picnets().eval()
    with torch.no_grad():
        image, hole, out = run(dual_path(mean_share=0.5), nets, batch=4)
        mean = nets.net.decode(nets.net.encode(image, hole), None).image  # type: ignore[operator]
    assert out.is_mean.flatten().tolist() == [1, 1, 0, 0]
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(out.generative[-1].image, mean, strict=True)]
    assert same == [True, True, False, False]


def test_samples_are_asked_to_stray_as_far_as_the_truth_does_and_no_farther() -> None:
    objective = dual_path(mean_share=0.5, spread_share=0.5)
    nets = picnets(fusion_scales=0).eval()
    with torch.no_grad():
        image, hole, out = run(objective, nets, batch=2)
        assert out.centre is not None

        def spread(share_of_the_way: float) -> float:
            """The term when each sample lies this share of the way from the mean to the truth."""
            drawn = []
            for centre, picture in zip(out.centre or [], out.generative, strict=True):
                truth = losses.resize_corners(image, *centre.shape[-2:])[1:]
                moved = centre + share_of_the_way * (truth - centre)
                drawn.append(picture._replace(image=torch.cat([picture.image[:1], moved])))
            return float(objective.generator_terms(nets, image, hole, replace(out, generative=drawn))["spread"])

        assert spread(0.5) < 1e-6
        assert spread(0.0) == pytest.approx(spread(1.0), rel=1e-4) and spread(0.0) > 0.01
        assert spread(0.0) == pytest.approx(2 * spread(0.25), rel=1e-4)


def test_samples_stray_as_far_as_the_truths_of_their_hole_where_it_has_several() -> None:
    """The second hole has four truths, two of them alike; the third one alone, for which the guess stands."""
    objective = dual_path(mean_share=0.34, spread_share=0.5, truths=4)
    nets = picnets(fusion_scales=0).eval()
    with torch.no_grad():
        image, hole, out = run(objective, nets, batch=3)
        assert out.centre is not None
        truths = image[:, None].repeat(1, 4, 1, 1, 1)
        truths[1, 1:] += torch.tensor([0.3, -0.3, -0.3]).view(3, 1, 1, 1)  # mean abs. deviation: 0.2, of three truths
        own = 0.2 * 1.5**0.5
        drawn = []
        for centre, picture in zip(out.centre, out.generative, strict=True):
            size = centre.shape[-2:]
            truth = losses.resize_corners(image, *size)[1:]
            away = torch.cat([torch.full_like(centre[:1], own), 0.5 * (truth - centre)[1:]])
            drawn.append(picture._replace(image=torch.cat([picture.image[:1], centre + away])))
        terms = objective.generator_terms(nets, image, hole, replace(out, generative=drawn, truths=truths))
        assert float(terms["spread"]) < 1e-5
        guess = objective.generator_terms(nets, image, hole, replace(out, generative=drawn))
        assert float(guess["spread"]) > 1e-3


def test_the_mean_is_compared_with_every_truth() -> None:
    """At the truths' median the term is least; each truth counts alike."""
    nets = picnets(fusion_scales=0).eval()
    objective = dual_path(mean_share=1.0, truths=3)
    objective = replace(objective, weights={**objective.weights, "mean": 1.0, "spread": 0.0})
    with torch.no_grad():
        image, hole, out = run(objective, nets, batch=2)
        truths = torch.stack([torch.full_like(image, level) for level in (0.2, 0.4, 0.9)], 1)

        def mean(level: float) -> float:
            flat = [p._replace(image=torch.full_like(p.image, level)) for p in out.generative]
            return float(
                objective.generator_terms(nets, image, hole, replace(out, generative=flat, truths=truths))["mean"]
            )

        scales = len(out.generative)
        for level in (0.3, 0.4, 0.5):
            apart = sum(abs(level - truth) for truth in (0.2, 0.4, 0.9)) / 3
            assert mean(level) == pytest.approx(2 * scales * apart, rel=1e-4)
        assert mean(0.4) < min(mean(0.3), mean(0.5))


def test_the_deterministic_rival_is_compared_with_every_truth() -> None:
    nets = picnets(fusion_scales=0).eval()
    objective = Deterministic(weights={"hole": 1.0, "appearance": 1.0}, truths=2)
    with torch.no_grad():
        image, hole = sample()
        truths = torch.stack([torch.zeros_like(image), torch.ones_like(image)], 1)
        out = objective.forward(nets, image, hole, None, truths)
        several = objective.generator_terms(nets, image, hole, out)
        for name in ("hole", "appearance"):
            alone = [
                objective.generator_terms(nets, truth, hole, replace(out, truths=None))[name]
                for truth in truths.unbind(1)
            ]
            assert float(several[name]) == pytest.approx(float(sum(alone)) / 2, rel=1e-5)


def test_a_colour_is_as_far_from_the_palette_as_from_the_nearest_known_pixel() -> None:
    """All known pixels (0.2, 0.2, 0.2), the sample (0.5, 0.2, 0.2): 0.1 on each of two scales, in [-1,1] units 0.4."""
    objective = dual_path(mean_share=0.0)
    nets = picnets(fusion_scales=0).eval()
    with torch.no_grad():
        _, hole, out = run(objective, nets)
        image = torch.where(hole > 0, 0.9, 0.2).expand(-1, 3, -1, -1)
        drawn = []
        for picture in out.generative:
            colour = torch.full_like(picture.image, 0.2)
            colour[:, 0] = 0.5
            drawn.append(picture._replace(image=colour))
        term = objective.generator_terms(nets, image, hole, replace(out, generative=drawn))["palette"]
    assert float(term) == pytest.approx(0.4, abs=1e-5)


def test_colours_and_gradients_of_the_palette_are_those_of_every_pair_compared() -> None:
    objective = dual_path(mean_share=0.0)
    nets = picnets(fusion_scales=0).eval()
    with torch.no_grad():
        _, hole, out = run(objective, nets)
        image = torch.rand_like(hole.expand(-1, 3, -1, -1))
    drawn = [p._replace(image=torch.rand_like(p.image).requires_grad_()) for p in out.generative]
    wanted = torch.zeros(())
    for picture in drawn[:2]:
        size = picture.image.shape[-2:]
        small, unknown = (losses.resize_corners(x, *size) for x in (image, hole))
        apart = (
            (picture.image.flatten(2)[..., None] - small.flatten(2)[:, :, None]).abs().mean(1)
        )  # (B, drawn, photo's)
        nearest = apart.masked_fill(unknown.flatten(1)[:, None] > 0.01, 9.0).amin(2)
        wanted = wanted + 2 * (nearest * unknown.flatten(1)).sum() / unknown.sum()
    term = objective.generator_terms(nets, image, hole, replace(out, generative=drawn))["palette"]
    assert_close(term, wanted)
    pairs = ([p.image for p in drawn[:2]], [p.image for p in drawn[:2]])
    for ours, theirs in zip(
        torch.autograd.grad(term, pairs[0], retain_graph=True), torch.autograd.grad(wanted, pairs[1]), strict=True
    ):
        assert_close(ours, theirs)


def test_without_a_known_pixel_there_is_no_palette() -> None:
    objective = dual_path(mean_share=0.0)
    nets = picnets(fusion_scales=0).eval()
    with torch.no_grad():
        image, hole, out = run(objective, nets)
        assert float(objective.generator_terms(nets, image, torch.ones_like(hole), out)["palette"]) == 0


class Listening(nn.Module):
    """A critic that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        self.shown.append(image)
        return image.mean((1, 2, 3), keepdim=True)


@pytest.mark.parametrize("composite", [False, True])
def test_the_critic_sees_the_raw_picture_or_the_completed_one(composite: bool) -> None:
    nets, objective = picnets().eval(), DualPath(composite_for_critic=composite)
    nets.critics = nn.ModuleDict({"gen": Listening(), "rec": Listening()})
    with torch.no_grad():
        image, hole, out = run(objective, nets)
        objective.discriminator_terms(nets, image, hole, out)
    for name, pictures in (("gen", out.generative), ("rec", out.reconstructive)):
        real, fake = nets.critics[name].shown
        drawn = pictures[-1].image
        assert torch.equal(real, image)
        assert torch.equal(fake, complete(drawn, image, hole) if composite else drawn)


def test_noise_on_the_finer_maps_is_for_the_generative_path_alone() -> None:
    """A reconstruction is compared pixel by pixel, so noise could only harm it."""
    nets = picnets(noise=True).eval()
    objective = DualPath(mean_share=0.5)
    for strength in nets.net.generator.strengths:  # type: ignore[union-attr]
        nn.init.normal_(strength)
    image, hole = sample(batch=2)
    noise = torch.randn(2, *objective.noise_shape(nets.net, 48))  # type: ignore[arg-type]
    other = noise.clone()
    half = noise.shape[1] // 2
    other[:, nets.net.config.latent : half] += 1  # type: ignore[union-attr,misc]
    other[:, half + nets.net.config.latent :] += 1  # type: ignore[union-attr,misc,operator]
    with torch.no_grad():
        a, b = (objective.forward(nets, image, hole, x) for x in (noise, other))
    assert torch.equal(a.reconstructive[-1].image, b.reconstructive[-1].image)
    assert torch.equal(a.generative[-1].image[0], b.generative[-1].image[0])  # the mean
    assert not torch.equal(a.generative[-1].image[1], b.generative[-1].image[1])


class Judging(nn.Module):
    """A critic of four places that likes bright ones."""

    def seen(self, hole: Tensor) -> Tensor:
        return hole

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(image.mean(1, keepdim=True), 2)


@pytest.mark.parametrize("inside", [False, True])
def test_the_critic_judges_everywhere_or_where_the_hole_is(inside: bool) -> None:
    nets, objective = picnets().eval(), DualPath(gan="hinge", critic_inside=inside)
    nets.critics = nn.ModuleDict({"gen": Judging(), "rec": Judging()})
    with torch.no_grad():
        image, hole, out = run(objective, nets)
        found = objective.discriminator_terms(nets, image, hole, out)
        found |= objective.generator_terms(nets, image, hole, out)
    weight = nn.functional.adaptive_avg_pool2d(hole, 2) if inside else torch.ones(len(hole), 1, 2, 2)
    assert weight.std() > 0 or not inside

    def mean(scores: Tensor) -> Tensor:
        return (scores * weight).sum() / weight.sum()

    real, drawn = (Judging()(picture) for picture in (image, out.generative[-1].image))
    assert_close(found["critic_gen"], (mean((1 - real).relu()) + mean((1 + drawn).relu())) / 2)
    assert_close(found["adversarial_gen"], -mean(drawn))


def test_a_critic_whose_term_has_no_weight_is_not_there() -> None:
    assert DualPath().critics == ("gen", "rec")
    weights = {**DualPath().weights, "adversarial_rec": 0.0}
    assert DualPath(weights=weights).critics == ("gen",)
    nets, objective = picnets().eval(), DualPath(weights=weights)
    with torch.no_grad():
        found = run(objective, nets)
        assert set(objective.discriminator_terms(nets, *found)) == {"critic_gen"}
        assert "adversarial_rec" not in objective.generator_terms(nets, *found)


def test_completed_keeps_the_known_pixels() -> None:
    image, hole = sample()
    drawn = torch.rand_like(image)
    completed = complete(drawn, image, hole)
    inside = hole.bool().expand_as(image)
    assert torch.equal(completed[~inside], image[~inside]) and torch.equal(completed[inside], drawn[inside])


@pytest.mark.parametrize("name", ["reconstruction", "perceptual", "style", "tv"])
def test_each_term_of_dfnet_alone_moves_the_picture(name: str) -> None:
    nets, objective = dfnets(), StructureTexture()
    image, hole = sample(32)
    out = objective.forward(nets, image, hole, None)
    assert [p.image.shape[-1] for p in out] == [32, 16]
    terms = objective.generator_terms(nets, image, hole, out)
    assert set(terms) == {"reconstruction", "perceptual", "style", "tv"}
    assert all(gradients(terms[name], [p.image for p in out]))
    terms[name].backward()
    assert all(p.grad is None for p in nets.features.parameters())  # type: ignore[union-attr]
    assert objective.discriminator_terms(nets, image, hole, out) == {} and objective.critics == ()


def test_every_parameter_of_dfnet_receives_a_gradient_in_one_step() -> None:
    nets, objective = dfnets().train(), StructureTexture()
    image, hole = sample(32)
    terms = objective.generator_terms(nets, image, hole, objective.forward(nets, image, hole, None))
    torch.stack([objective.weights[name] * term for name, term in terms.items()]).sum().backward()
    assert [name for name, p in nets.net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_terms_of_no_weight_need_no_features() -> None:
    nets = dfnets()
    nets.features = None
    image, hole = sample(32)
    objective = StructureTexture(weights={"reconstruction": 6.0})
    out = objective.forward(nets, image, hole, None)
    assert set(objective.generator_terms(nets, image, hole, out)) == {"reconstruction"}
    with pytest.raises(AssertionError, match="need a feature network"):
        StructureTexture().generator_terms(nets, image, hole, out)


@pytest.mark.parametrize("name", ["appearance", "hole", "feature", "adversarial"])
def test_each_term_of_the_deterministic_rival_alone_moves_the_picture(name: str) -> None:
    nets = picnets().eval()
    nets.critics.requires_grad_(False)
    objective = Deterministic(weights={"appearance": 20.0, "hole": 5.0, "feature": 1.0, "adversarial": 1.0})
    image, hole = sample()
    out = objective.forward(nets, image, hole, None)
    with torch.no_grad():
        assert torch.equal(out.pictures[-1].image, nets.net.decode(nets.net.encode(image, hole), None).image)  # type: ignore[operator]
    terms = objective.generator_terms(nets, image, hole, out)
    assert set(terms) == {"appearance", "hole", "feature", "adversarial"}
    assert gradients(terms[name], [out.pictures[-1].image]) == [True]
    terms[name].backward()
    assert all(p.grad is None for p in [*nets.critics.parameters(), *nets.features.parameters()])  # type: ignore[union-attr]
    assert (
        set(objective.discriminator_terms(nets, image, hole, out))
        == {"critic_gen"}
        == {"critic_" + c for c in objective.critics}
    )
    assert Deterministic(weights={"appearance": 1.0}).discriminator_terms(nets, image, hole, out) == {}


# ── the rivals that sample ────────────────────────────────────────────────────────────────────────────────────────────

EXTRAS = {"hole": 1.0, "feature": 1.0, "style": 1.0}
RIVALS = {
    "cvae": CVAE(weights={**CVAE().weights, **EXTRAS}),
    "instance blind": InstanceBlind(weights={**InstanceBlind().weights, **EXTRAS}),
}


def run_rival(objective: CVAE | InstanceBlind, nets: Nets) -> tuple[Tensor, Tensor, SinglePathOutputs]:
    image, hole = sample()
    torch.manual_seed(2)
    shape = objective.noise_shape(nets.net, 48)  # type: ignore[arg-type]
    assert shape is not None
    return image, hole, objective.forward(nets, image, hole, torch.randn(2, *shape))


@pytest.mark.parametrize("name", ["kl", "appearance", "hole", "adversarial", "feature", "style"])
def test_each_term_of_the_cvae_alone_moves_what_it_should(name: str) -> None:
    nets, objective = picnets().eval(), RIVALS["cvae"]
    nets.critics.requires_grad_(False)
    image, hole, out = run_rival(objective, nets)
    assert out.posterior is not None
    terms = objective.generator_terms(nets, image, hole, out)
    assert set(terms) == {"kl", "appearance", "hole", "adversarial", "feature", "style"}
    moved = gradients(terms[name], [out.pictures[-1].image, out.posterior.mean, out.prior.mean])
    assert moved == ([False, True, True] if name == "kl" else [True, True, False])  # z is the posterior's
    terms[name].backward()
    assert all(p.grad is None for p in [*nets.critics.parameters(), *nets.features.parameters()])  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["kl", "appearance", "adversarial", "feature", "style"])
def test_each_term_of_the_instance_blind_rival_alone_moves_what_it_should(name: str) -> None:
    nets, objective = picnets().eval(), RIVALS["instance blind"]
    nets.critics.requires_grad_(False)
    image, hole, out = run_rival(objective, nets)
    terms = objective.generator_terms(nets, image, hole, out)
    assert set(terms) == {"kl", "appearance", "adversarial", "feature", "style"} and out.posterior is None
    assert gradients(terms[name], [out.pictures[-1].image, out.prior.mean]) == [name != "kl", True]
    terms[name].backward()
    assert all(p.grad is None for p in [*nets.critics.parameters(), *nets.features.parameters()])  # type: ignore[union-attr]


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_a_rivals_critic_term_leaves_the_network_alone(name: str) -> None:
    nets = picnets().eval()
    terms = RIVALS[name].discriminator_terms(nets, *run_rival(RIVALS[name], nets))
    assert set(terms) == {"critic_gen"} and RIVALS[name].critics == ("gen",)
    terms["critic_gen"].backward()
    assert all(p.grad is None for p in nets.net.parameters())
    assert any(p.grad is not None and p.grad.any() for p in nets.critics["gen"].parameters())
    critic_free = replace(RIVALS[name], weights={"kl": 1.0})
    assert critic_free.critics == () and critic_free.discriminator_terms(nets, *run_rival(critic_free, nets)) == {}


def test_the_cvaes_posterior_sees_hidden_and_visible_pixels_and_its_prior_the_visible_alone() -> None:
    nets, objective = picnets().eval(), CVAE()
    image, hole, out = run_rival(objective, nets)
    for region in (hole, 1 - hole):
        other = objective.forward(nets, image * (1 - region) + region * 0.3, hole, torch.zeros(2, 4, 6, 6))
        assert other.posterior is not None and out.posterior is not None
        assert not torch.equal(other.posterior.mean, out.posterior.mean)
        assert torch.equal(other.prior.mean, out.prior.mean) == (region is hole)


def test_the_cvaes_kl_is_that_from_posterior_to_prior() -> None:
    nets = picnets().eval()
    with torch.no_grad():
        image, hole, out = run_rival(CVAE(), nets)
        q, p = (torch.distributions.Normal(n.mean, n.std) for n in (out.posterior, out.prior) if n is not None)
        term = CVAE().generator_terms(nets, image, hole, out)["kl"]
    assert_close(term, torch.distributions.kl_divergence(q, p).mean(), atol=1e-5, rtol=1e-5)


def test_what_the_hole_held_never_reaches_the_instance_blind_rival() -> None:
    nets, objective = picnets(0).eval(), InstanceBlind()
    with torch.no_grad():
        image, hole, out = run_rival(objective, nets)
        other = image * (1 - hole) + hole * torch.rand_like(image)
        same = objective.forward(nets, other, hole, torch.zeros(2, 4, 6, 6)).prior
        assert torch.equal(same.mean, out.prior.mean)
        # coarse targets mix hole and visible pixels; at full size only the visible count
        finest = replace(out, pictures=out.pictures[-1:])
        terms = [objective.generator_terms(nets, x, hole, finest) for x in (image, other)]
        assert torch.equal(terms[0]["appearance"], terms[1]["appearance"])
        whole = InstanceBlind(whole_appearance=True)
        terms = [whole.generator_terms(nets, x, hole, finest) for x in (image, other)]
        assert not torch.equal(terms[0]["appearance"], terms[1]["appearance"])


@pytest.mark.parametrize("as_in_paper", [False, True])
def test_the_instance_blind_prior_is_held_to_the_holes_size(as_in_paper: bool) -> None:
    nets, objective = picnets().eval(), InstanceBlind(kl_as_in_paper=as_in_paper)
    with torch.no_grad():
        image, hole, out = run_rival(objective, nets)
        std = losses.latent_prior_std((1 - hole).mean((1, 2, 3))).view(-1, 1, 1, 1).expand_as(out.prior.std)
        pair = [torch.distributions.Normal(torch.zeros_like(std), std), torch.distributions.Normal(*out.prior)]
        want = torch.distributions.kl_divergence(*(pair[::-1] if as_in_paper else pair)).mean()
        assert_close(objective.generator_terms(nets, image, hole, out)["kl"], want, atol=1e-5, rtol=1e-5)


# ── WGAN-GP, by any objective with a critic ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "objective",
    [DualPath(gan="wgan-gp"), Deterministic(gan="wgan-gp"), CVAE(gan="wgan-gp"), InstanceBlind(gan="wgan-gp")],
)
def test_every_objective_can_punish_the_critics_gradient(objective: Any) -> None:
    nets = picnets()
    image, hole = sample()
    torch.manual_seed(3)
    noise = torch.randn(2, *objective.noise_shape(nets.net, 48))
    out = objective.forward(nets, image, hole, noise)
    assert_close(out.mix, torch.distributions.Normal(0, 1).cdf(noise[:, -1:, :1, :1]))
    terms = objective.discriminator_terms(nets, image, hole, out)
    assert set(terms) == {f"{kind}_{name}" for name in objective.critics for kind in ("critic", "penalty")}
    for name, critic in nets.critics.items():
        if name in objective.critics:
            # biases only move the kinks of a leaky ReLU; gamma starts at zero, where the query has no effect yet
            weights = {n: p for n, p in critic.named_parameters() if n.endswith(".weight") and ".query." not in n}
            assert all(gradients(terms[f"penalty_{name}"], list(weights.values())))
    assert not any(terms[name].requires_grad and _reaches(terms[name], nets.net) for name in terms)
    nets.eval()
    with torch.no_grad():
        scores = nets.critics["gen"]((out.pictures if hasattr(out, "pictures") else out.generative)[-1].image)
        adversarial = objective.generator_terms(nets, image, hole, out)
    name = "adversarial_gen" if isinstance(objective, DualPath) else "adversarial"
    assert_close(adversarial[name], -scores.mean())


def _reaches(term: Tensor, module: nn.Module) -> bool:
    found = torch.autograd.grad(term, list(module.parameters()), allow_unused=True, retain_graph=True)
    return any(g is not None for g in found)


def test_without_wgan_no_noise_goes_to_the_critic() -> None:
    net: Any = picnets().net
    for plain, gp in ((DualPath(), DualPath(gan="wgan-gp")), (CVAE(), CVAE(gan="wgan-gp"))):
        (channels, *side), (more, *same) = plain.noise_shape(net, 48), gp.noise_shape(net, 48)  # type: ignore[misc]
        assert (more, same) == (channels + 1, side)
    assert Deterministic().noise_shape(net, 48) is None
