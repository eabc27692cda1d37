"""One training step: the critics' update, then the network's, as in PICNet's release (1 : 1)."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from manyfill.errors import ManyfillError
from manyfill.nets import families
from manyfill.nets.discriminators import Critic
from manyfill.nets.perceptual import FEATURES
from manyfill.nets.picnet import PICNet
from manyfill.objectives import Nets, Terms
from manyfill.recipes import Recipe


class Diverged(ManyfillError):
    """A loss became infinite or not a number; the last checkpoint is good."""


def build(recipe: Recipe) -> Nets:
    """Fresh networks of a recipe, initial values drawn from its seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        kind = next(net for config, net in families().values() if isinstance(recipe.net, config))
        critics = {name: Critic(recipe.critic) for name in recipe.objective.critics}
        net = kind(recipe.net)
    return Nets(net, critics, FEATURES[recipe.features]() if recipe.features else None)


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
    """Networks, their average and their optimisers; called once per batch."""

    def __init__(self, recipe: Recipe, nets: Nets, device: torch.device) -> None:
        self.recipe = recipe
        self.device = device
        self.nets = nets.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.nets.net).eval().requires_grad_(False)
        fast = {"fused": True} if device.type == "cuda" else {"foreach": True}
        common = {"betas": recipe.betas, "weight_decay": recipe.weight_decay, **fast}
        self.optimiser = torch.optim.AdamW(self.nets.net.parameters(), lr=recipe.lr, **common)  # type: ignore[arg-type]
        critics = list(self.nets.critics.parameters())
        self.critic_optimiser = (
            torch.optim.AdamW(critics, lr=recipe.lr if recipe.lr_critic is None else recipe.lr_critic, **common)  # type: ignore[arg-type]
            if critics
            else None
        )
        self.nets.train()

    def __call__(self, image: Tensor, hole: Tensor, noise: Tensor | None, images_seen: int) -> dict[str, float]:
        """Both updates; image (B,3,S,S), hole (B,1,S,S). Returns every unweighted term. Raises Diverged."""
        objective, nets = self.recipe.objective, self.nets
        image = image.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        hole = hole.to(self.device, non_blocking=True)
        noise = None if noise is None else noise.to(self.device, non_blocking=True)
        factor = learning_rate(self.recipe, images_seen)
        amp = torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16")

        with amp:
            out = objective.forward(nets, image, hole, noise)
        reported: Terms = {}
        if self.critic_optimiser is not None:
            nets.critics.requires_grad_(True)
            with amp:
                terms = objective.discriminator_terms(nets, image, hole, out)  # type: ignore[arg-type]
            self._update(self.critic_optimiser, torch.stack(list(terms.values())).sum(), factor)
            nets.critics.requires_grad_(False)
            reported |= terms
        with amp:
            terms = objective.generator_terms(nets, image, hole, out)  # type: ignore[arg-type]
        total = torch.stack([objective.weights.get(name, 0.0) * term for name, term in terms.items()]).sum()
        self._update(self.optimiser, total, factor)
        self._average(images_seen)
        return {name: float(term.detach()) for name, term in {**reported, **terms, "total": total}.items()}

    def _update(self, optimiser: torch.optim.Optimizer, loss: Tensor, factor: float) -> None:
        if not torch.isfinite(loss):
            raise Diverged(
                f"the loss became {loss.item()}: stopped. Resume from the last checkpoint with a lower rate."
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            group["lr"] = factor * group.setdefault("base_lr", group["lr"])
            if self.recipe.clip is not None:
                nn.utils.clip_grad_norm_(group["params"], self.recipe.clip)
        optimiser.step()

    @torch.no_grad()
    def _average(self, images_seen: int) -> None:
        """EMA of weights and buffers; its memory is at most a tenth of the clock: the start is soon forgotten."""
        keep = 0.0
        if self.recipe.ema:
            memory = min(self.recipe.ema, max((images_seen + self.recipe.batch) / 10, 1e-8))
            keep = 0.5 ** (self.recipe.batch / memory)
        for mean, value in zip(self.average.state_dict().values(), self.nets.net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)

    def state(self) -> dict[str, object]:
        """Everything that the next step depends on, besides the clock."""
        return {
            "nets": {"net": self.nets.net.state_dict(), "critics": self.nets.critics.state_dict()},
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "critic_optimiser": None if self.critic_optimiser is None else self.critic_optimiser.state_dict(),
        }

    def load(self, state: dict[str, dict[str, object]]) -> None:
        """Restore what `state` gave."""
        self.nets.net.load_state_dict(state["nets"]["net"])
        self.nets.critics.load_state_dict(state["nets"]["critics"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.critic_optimiser is not None:
            self.critic_optimiser.load_state_dict(state["critic_optimiser"])
