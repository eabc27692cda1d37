"""One training step: the critics' update, then the network's, as in PICNet's release (1 : 1)."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from manyfill import losses, masks, trunks
from manyfill.errors import BadMask, ManyfillError
from manyfill.nets import families
from manyfill.nets.adapter import PluralisticTrunk
from manyfill.nets.discriminators import critic
from manyfill.nets.perceptual import FEATURES, Chosen, pyramid
from manyfill.nets.picnet import PICNet
from manyfill.nets.projected import ProjectedCritic
from manyfill.objectives import Nets, Terms
from manyfill.recipes import Recipe
from manyfill.training import processes
from manyfill.training.processes import Together, World, share

SCHEDULES = ("constant", "cosine", "step")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class BadRecipe(ManyfillError):
    """A recipe that cannot run on these machines."""


class Diverged(ManyfillError):
    """A loss or its gradient became infinite or not a number; the weights are as they were before."""


def check(recipe: Recipe, world: World | None = None) -> None:
    """Raises BadRecipe with the fix. Without `world`: all that does not depend on processes and device."""
    for field, choices in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("features", FEATURES)):
        given = getattr(recipe, field)
        if given is not None and given not in choices:
            raise BadRecipe(f"there is no {field} {given!r}. There are: {', '.join(choices)}.")
    _check_numbers(recipe)
    _check_objective(recipe)
    if recipe.features is not None and recipe.features_levels is not None:
        count = FEATURES[recipe.features].count
        if any(not 0 <= level < count for level in recipe.features_levels):
            raise BadRecipe(
                f"features_levels {recipe.features_levels}: '{recipe.features}' has {count} maps, 0 to {count - 1}."
            )
    with torch.device("meta"):
        net = _network(recipe)
    if recipe.size % net.multiple:
        raise BadRecipe(
            f"crops of {recipe.size} pixels do not fit the network. Make `size` a multiple of {net.multiple}."
        )
    wanted, sampling = recipe.objective.samples, net.noise_shape(recipe.size, recipe.size) is not None
    if wanted != sampling:
        kinds = {True: "sample", False: "give one fill"}
        raise BadRecipe(
            f"{type(recipe.objective).__name__} trains networks that {kinds[wanted]}, and {type(net).__name__} is one "
            f"of those that {kinds[sampling]}. Choose another objective, or another network."
        )
    if recipe.posterior_std is not None and not isinstance(net, PICNet):
        raise BadRecipe(f"`posterior_std` is for PICNet: a {type(net).__name__} has no posterior. Leave it out.")
    if recipe.objective.critics and recipe.size < recipe.critic.smallest:
        raise BadRecipe(
            f"crops of {recipe.size} pixels are too small for the critic. It needs {recipe.critic.smallest}."
        )
    if world is not None:
        _check_here(recipe, world)


def _check_numbers(recipe: Recipe) -> None:
    """Counts, rates and shares in their range; masks that exist."""
    least = dict.fromkeys(("size", "batch", "accumulate", "images", "features_every", "checkpoint_every", "keep"), 1)
    least |= {"pictures_every": 1, "mix": 1, **dict.fromkeys(("workers", "warmup", "ema", "features_shift"), 0)}
    for field, low in least.items():
        given = getattr(recipe, field)
        if given is None and field in ("checkpoint_every", "pictures_every", "mix"):
            continue
        if not isinstance(given, int) or given < low:
            raise BadRecipe(f"`{field}` is {given!r}: expected a whole number of {low} or more.")
    for field in (
        "lr",
        "lr_critic",
        "clip",
        "posterior_std",
        "cache_side",
        "features_side",
        "cache_gib",
        "checkpoint_minutes",
    ):
        given, frozen = getattr(recipe, field), field.startswith("lr")  # a rate of 0 trains nothing, and may be meant
        if given is not None and not (
            isinstance(given, int | float) and (frozen or given > 0) and 0 <= given < math.inf
        ):
            raise BadRecipe(f"`{field}` is {given!r}: expected a number above 0.")
    if not all(0 <= beta < 1 for beta in recipe.betas) or recipe.weight_decay < 0:
        raise BadRecipe(f"`betas` {recipe.betas} must lie in [0, 1), `weight_decay` {recipe.weight_decay} not below 0.")
    if not 0 <= recipe.scale[0] <= recipe.scale[1]:
        raise BadRecipe(f"`scale` is {recipe.scale}: expected the lower bound first, neither below 0.")
    try:
        masks.mixture(recipe.masks)
    except BadMask as error:
        raise BadRecipe(f"`masks`: {error}") from None
    if recipe.compile is not None and recipe.compile not in (known := torch.compiler.list_backends()):
        raise BadRecipe(f"there is no `compile` backend {recipe.compile!r} here. There are: {', '.join(known)}.")


def _check_objective(recipe: Recipe) -> None:
    """Weights of terms that exist, a network for those that look at features, a GAN loss that exists."""
    objective = recipe.objective
    kind = type(objective).__name__
    for name, weight in objective.weights.items():
        if name not in objective.terms:
            near = difflib.get_close_matches(name, objective.terms, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise BadRecipe(f"{kind} has no term '{name}'.{hint} There are: {', '.join(objective.terms)}.")
        if not (isinstance(weight, int | float) and math.isfinite(weight)):
            raise BadRecipe(f"the weight of '{name}' is {weight!r}: expected a number.")
    if not any(objective.weights.values()):
        raise BadRecipe(f"no term of {kind} has a weight: nothing would be learned.")
    wanted = [name for name in objective.feature_terms if objective.weights.get(name)]
    if wanted and recipe.features is None:
        raise BadRecipe(
            f"'{wanted[0]}' compares feature maps: set `features` to one of {', '.join(FEATURES)}, or its weight to 0."
        )
    if not (isinstance(truths := getattr(objective, "truths", 1), int) and truths >= 1):
        raise BadRecipe(f"`truths` is {truths!r}: expected a whole number of 1 or more.")
    if (gan := getattr(objective, "gan", None)) is not None and gan not in losses.GANS:
        raise BadRecipe(f"there is no `gan` {gan!r}. There are: {', '.join(losses.GANS)}.")


def _check_here(recipe: Recipe, world: World) -> None:
    parts = world.size * recipe.accumulate
    if recipe.batch % parts:
        raise BadRecipe(
            f"a batch of {recipe.batch} cannot be divided among {world.size} processes with {recipe.accumulate} parts "
            f"each. Set `batch` to a multiple of {parts} in a recipe of your own."
        )
    if recipe.precision == "fp16" and world.device.type == "cpu":
        raise BadRecipe('fp16 needs a GPU. On a CPU set `precision` to "fp32", or "bf16" where it is the faster.')


def _network(recipe: Recipe) -> Any:
    kind = next(net for config, net in families().values() if isinstance(recipe.net, config))
    return kind(recipe.net)


def build(recipe: Recipe) -> Nets:
    """Fresh networks of a recipe, initial values drawn from its seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        critics = {name: critic(recipe.critic) for name in recipe.objective.critics}
        net = _network(recipe)
    if isinstance(net, PluralisticTrunk):
        trunks.fill(net)
    features = None
    if recipe.features is not None:
        features = pyramid(
            recipe.features, side=recipe.features_side, levels=recipe.features_levels, shift=recipe.features_shift
        )
    return Nets(net, critics, features)


@torch.no_grad()
def narrow_posterior(net: PICNet, std: float) -> None:
    """Let q(z | I_c) begin as N(m, std^2), so that the decoder can hear the latent at once.

    Under wide noise a decoder that can fill from context alone learns to ignore z, and q then collapses onto its prior.
    """
    head, latent = net.encoder.posterior, net.config.latent
    for conv, bias in ((head.conv2, math.log(math.expm1(std))), (head.bypass, 0.0)):  # softplus of it gives std
        assert conv.bias is not None, "PICNet's convolutions have biases"
        conv.weight[latent:] = 0
        conv.bias[latent:] = bias


def learning_rate(recipe: Recipe, images_seen: int) -> float:
    """Factor on the recipe's rates at this point of the clock."""
    ramp = min(1.0, (images_seen + recipe.batch) / recipe.warmup) if recipe.warmup else 1.0
    done = min(images_seen / recipe.images, 1.0)
    if recipe.schedule == "cosine":
        return ramp * (0.5 + 0.5 * math.cos(math.pi * done))
    if recipe.schedule == "step":
        return float(ramp * 0.1 ** int(4 * done))
    assert recipe.schedule == "constant", f"no schedule {recipe.schedule!r}"
    return ramp


class Step:
    """Networks, their average and their optimisers; called once per batch.

    With more processes (torch.distributed) each one is called with its share of the batch, and gradients are averaged
    while the backward passes run (`processes.Together`).
    """

    def __init__(self, recipe: Recipe, nets: Nets, device: torch.device) -> None:
        self.recipe = recipe
        self.device = device
        self.nets = nets.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.nets.net).eval().requires_grad_(False)
        self.optimiser = self._optimiser(self.nets.net.parameters(), recipe.lr)
        critics = self.nets.critics
        self._critics_own = [parameter for parameter in critics.parameters() if parameter.requires_grad]
        self.lr_critic = recipe.lr if recipe.lr_critic is None else recipe.lr_critic
        self.critic_optimiser = self._optimiser(self._critics_own, self.lr_critic) if len(critics) else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self.nets.train()
        self._together, self._critics_together = Together(self.nets.net.parameters()), Together(self._critics_own)
        if recipe.compile is not None:
            for module in _callable_parts(self.nets):
                module.compile(backend=recipe.compile)

    def _optimiser(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        fast: dict[str, Any] = {"fused": True} if self.device.type == "cuda" else {"foreach": True}
        recipe = self.recipe
        return torch.optim.AdamW(parameters, lr=lr, betas=recipe.betas, weight_decay=recipe.weight_decay, **fast)

    def __call__(self, image: Tensor, hole: Tensor, noise: Tensor | None, images_seen: int) -> Terms:
        """Both updates; image (B,3,S,S), hole (B,1,S,S). Returns every unweighted term, detached. Raises Diverged.

        Where the objective wants several truths of each hole, image is (B,truths,3,S,S), the one to draw first.
        `accumulate` parts of the batch go through one after the other, for less memory. As the network's terms want
        the critics of after their update, the parts' forward passes are then made twice. Batch norm (DFNet, fusion
        blocks) sees a part of one process's share at a time, as on the several GPUs of DFNet's release.
        """
        nets, objective, parts = self.nets, self._objective(images_seen), self._parts(image, hole, noise)
        if isinstance(nets.features, Chosen):
            nets.features.move(self.recipe.seed, images_seen)
        factor = learning_rate(self.recipe, images_seen)
        amp = torch.autocast(
            self.device.type, PRECISIONS[self.recipe.precision], enabled=self.recipe.precision != "fp32"
        )
        told: list[Terms] = []
        out: Any = None
        if self.critic_optimiser is not None:
            self._critics_learn(True)
            self.critic_optimiser.zero_grad(set_to_none=True)
            losses = []
            for number, part in enumerate(parts, 1):
                self._look(images_seen, number)
                with amp, torch.set_grad_enabled(len(parts) == 1):
                    out = objective.forward(nets, *part)
                with amp:
                    terms = objective.discriminator_terms(nets, *part[:2], out)
                if number == len(parts):
                    self._critics_together.expect()
                losses.append(self._backward(torch.stack(list(terms.values())).sum() / len(parts)))
                told.append(terms)
            self._critics_together.finish()
            self._update(self.critic_optimiser, losses, factor * self.lr_critic)
            self._critics_learn(False)
        self.optimiser.zero_grad(set_to_none=True)
        losses = []
        for number, part in enumerate(parts, 1):
            self._look(images_seen, number)
            with amp:
                if out is None or len(parts) > 1:
                    out = objective.forward(nets, *part)
                terms = objective.generator_terms(nets, *part[:2], out)
            if absent := [name for name, weight in objective.weights.items() if weight and name not in terms]:
                raise BadRecipe(f"{type(objective).__name__} does not give the term '{absent[0]}' that has a weight.")
            weights = [objective.weights.get(name, 0.0) * term for name, term in terms.items()]
            total = torch.stack(weights).sum()
            if number == len(parts):
                self._together.expect()
            losses.append(self._backward(total / len(parts)))
            told.append({**terms, "total": total})
        self._together.finish()
        self._update(self.optimiser, losses, factor * self.recipe.lr)
        self.scaler.update()
        self._average(images_seen)
        names = {name: None for terms in told for name in terms}
        return {
            name: torch.stack([terms[name].detach() for terms in told if name in terms]).mean(dtype=torch.float32)
            for name in names
        }

    def _critics_learn(self, learn: bool) -> None:
        """Whether the critics' own parameters get gradients; what is frozen in them never does."""
        for parameter in self._critics_own:
            parameter.requires_grad_(learn)

    def _look(self, images_seen: int, part: int) -> None:
        """Tell critics that look at pictures in random ways which samples this part holds."""
        share = self.recipe.batch // processes.size()
        first = images_seen + processes.rank() * share + (part - 1) * share // self.recipe.accumulate
        for judge in self.nets.critics.values():
            if isinstance(judge, ProjectedCritic):
                judge.move(self.recipe.seed, first)

    def _objective(self, images_seen: int) -> Any:
        """The recipe's objective; feature terms at every k-th step alone, k times as heavy."""
        objective, every = self.recipe.objective, self.recipe.features_every
        if every == 1:
            return objective
        now = (images_seen // self.recipe.batch) % every == 0
        heavy = {name: (every if now else 0.0) * objective.weights.get(name, 0.0) for name in objective.feature_terms}
        return replace(objective, weights={**objective.weights, **heavy})

    def _parts(self, image: Tensor, hole: Tensor, noise: Tensor | None) -> list[tuple[Tensor | None, ...]]:
        """Image, hole, noise and, where the objective wants them, all truths, of each part."""
        several = image.ndim == 5
        truths = image.to(self.device, non_blocking=True) if several else None
        image = image[:, 0] if several else image
        image = image.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        hole = hole.to(self.device, non_blocking=True)
        noise = None if noise is None else noise.to(self.device, non_blocking=True)
        count = self.recipe.accumulate
        assert image.shape[0] % count == 0, f"{image.shape[0]} images do not make {count} equal parts"
        given = (image, hole, noise, truths) if several else (image, hole, noise)
        return list(zip(*([None] * count if x is None else x.chunk(count) for x in given), strict=True))

    def _backward(self, loss: Tensor) -> Tensor:
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _update(self, optimiser: torch.optim.Optimizer, losses: list[Tensor], lr: float) -> None:
        """Refuse what is not finite in any process, clip, step."""
        gradients = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        loss = torch.stack(losses).sum()
        share([loss])
        self.scaler.unscale_(optimiser)
        norm = nn.utils.get_total_norm(gradients)
        scaled = self.scaler.is_enabled()  # then an infinite gradient is an overflow: the scaler skips this update
        if not torch.isfinite(loss if scaled else loss + norm):
            raise Diverged(f"the loss became {loss.item()}, its gradient {norm.item()}: stopped.")
        for group in optimiser.param_groups:
            group["lr"] = lr
            if self.recipe.clip is not None:
                nn.utils.clip_grads_with_norm_(group["params"], self.recipe.clip, norm)
        self.scaler.step(optimiser)

    @torch.no_grad()
    def _average(self, images_seen: int) -> None:
        """EMA of weights and buffers; its memory is at most a tenth of the clock: the start is soon forgotten."""
        keep = 0.0
        if self.recipe.ema:
            memory = min(self.recipe.ema, max((images_seen + self.recipe.batch) / 10, 1e-8))
            keep = 0.5 ** (self.recipe.batch / memory)
        pairs = list(zip(self.average.state_dict().values(), self.nets.net.state_dict().values(), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in floats], [value for _, value in floats], 1 - keep)
        for mean, value in pairs:
            if not mean.is_floating_point():
                mean.copy_(value)

    def state(self) -> dict[str, object]:
        """Everything that the next step depends on, besides the clock."""
        return {
            "nets": {"net": self.nets.net.state_dict(), "critics": self.nets.critics.state_dict()},
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "critic_optimiser": None if self.critic_optimiser is None else self.critic_optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load(self, state: dict[str, dict[str, object]]) -> None:
        """Restore what `state` gave; rates and the like are the recipe's, which may have changed since."""
        self.nets.net.load_state_dict(state["nets"]["net"])
        self.nets.critics.load_state_dict(state["nets"]["critics"])
        self.average.load_state_dict(state["average"])
        self._load(self.optimiser, state["optimiser"])
        if self.critic_optimiser is not None:
            self._load(self.critic_optimiser, state["critic_optimiser"])
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])

    def _load(self, optimiser: torch.optim.Optimizer, state: dict[str, object]) -> None:
        optimiser.load_state_dict(state)
        for group in optimiser.param_groups:
            group |= {"betas": self.recipe.betas, "weight_decay": self.recipe.weight_decay}


def _callable_parts(nets: Nets) -> Iterable[nn.Module]:
    """The largest modules that are called as one; a completion network's own methods call several."""
    for child in [*nets.net.children(), nets.critics, *([nets.features] if nets.features is not None else [])]:
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from child.children()
        else:
            yield child
