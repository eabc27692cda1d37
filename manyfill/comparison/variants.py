"""What is compared with what: recipes that differ from a base recipe in one field, and bases that a CPU can train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from manyfill.data import Augmentation
from manyfill.errors import ManyfillError
from manyfill.nets.attention import ATTENTIONS
from manyfill.nets.dfnet import DFNetConfig
from manyfill.nets.discriminators import CriticConfig
from manyfill.nets.picnet import PICNetConfig
from manyfill.objectives import CVAE, Deterministic, DualPath, InstanceBlind
from manyfill.recipes import RECIPES, Recipe

FUSION_COUNTS = (0, 1, 3, 6)  # fusion blocks, from the finest level up

# Slim and without norms, as the open recipes; three scales put attention on 16 x 16 places of a 64-pixel crop.
_SLIM = PICNetConfig(
    size=64,
    width=16,
    max_width=64,
    latent=64,
    scales=3,
    infer_blocks=2,
    spectral_norm=False,
    instance_norm=False,
)
_SMALL = {  # what all bases share: no data process beside the one core, no pictures on the way
    "size": 64,
    "scale": (0.1, 0.6),
    "augment": Augmentation(),
    "starts_from": None,
    "clip": 10.0,
    "precision": "fp32",
    "cache_side": 640,
    "workers": 0,
    "checkpoint_every": 1000,
    "pictures_every": 10**9,
}
_strategies = replace(
    RECIPES["picnet-center"],
    name="strategies",
    source="the PICNet paper's terms and weights (a_KL = 20 for each of 3 scales) and its direction of the first KL; "
    "small nets and crops, a higher rate and an average of the weights, for short budgets",
    net=_SLIM,
    objective=DualPath(
        weights={
            "kl_rec": 60.0,
            "kl_gen": 60.0,
            "appearance_rec": 20.0,
            "appearance_gen": 20.0,
            "adversarial_rec": 1.0,
            "adversarial_gen": 1.0,
        },
        kl_as_in_paper=True,
    ),
    critic=CriticConfig(width=16, max_width=64, levels=4),
    batch=16,
    lr=5e-4,
    betas=(0.5, 0.99),
    ema=1000,
    **_SMALL,  # type: ignore[arg-type]
)
_attention = replace(
    RECIPES["open-start"],
    name="attention",
    source="open-start without its feature terms: dual path without critics, whose mean fill takes shape within a few "
    "thousand images, so that there is something to attend to; centre holes, plain heads",
    net=_SLIM,
    objective=replace(
        RECIPES["open-start"].objective,
        weights={k: v for k, v in RECIPES["open-start"].objective.weights.items() if not k.startswith("feature")},
    ),
    features=None,
    masks={"center": 1.0},
    **_SMALL,  # type: ignore[arg-type]
)
_fusion = replace(
    RECIPES["open-fusion"],
    name="fusion-blocks",
    source="open-fusion at half its width, in smaller steps for short budgets",
    net=replace(cast(DFNetConfig, RECIPES["open-fusion"].net), width=16, max_width=128),
    batch=8,
    warmup=400,
    **_SMALL,  # type: ignore[arg-type]
)
BASES: dict[str, Recipe] = {"strategies": _strategies, "attention": _attention, "fusion-blocks": _fusion}


def variants(kind: str, base: Recipe) -> dict[str, Recipe]:
    """Name to recipe; each is `base` but for one field. Raises ManyfillError where `base` has no such field."""
    make = _KINDS[kind]
    return {name: replace(recipe, name=f"{base.name}-{name}") for name, recipe in make(base).items()}


def _strategies_of(base: Recipe) -> dict[str, Recipe]:
    """The strategies of Zheng et al. 2019, fig. 2: the rivals take over the weights of the dual path's terms."""
    dual = base.objective
    if not isinstance(dual, DualPath):
        raise ManyfillError(
            f"recipe '{base.name}' trains by {type(dual).__name__}; strategies are compared with the dual path's "
            "weights. Give --base a recipe with a DualPath objective, such as picnet-center."
        )
    w = dual.weights
    adversarial = {"adversarial": w.get("adversarial_gen", 0.0)}
    picture = {"appearance": w["appearance_rec"], "hole": w.get("hole_rec", 0.0), "feature": w.get("feature_rec", 0.0)}
    composite = dual.composite_for_critic
    objectives: dict[str, Deterministic | CVAE | InstanceBlind | DualPath] = {
        "deterministic": Deterministic(
            weights={**picture, **adversarial}, gan=dual.gan, composite_for_critic=composite
        ),
        "cvae": CVAE(
            weights={"kl": w["kl_gen"], **picture, **adversarial}, gan=dual.gan, composite_for_critic=composite
        ),
        "instance-blind": InstanceBlind(
            weights={"kl": w["kl_rec"], "appearance": w["appearance_gen"], **adversarial},
            kl_as_in_paper=dual.kl_as_in_paper,
            gan=dual.gan,
            composite_for_critic=composite,
        ),
        "dual-path": dual,
    }
    return {name: replace(base, objective=objective) for name, objective in objectives.items()}


def _attentions_of(base: Recipe) -> dict[str, Recipe]:
    if not isinstance(base.net, PICNetConfig):
        raise ManyfillError(
            f"recipe '{base.name}' trains a DFNet, which has no attention. Give --base a PICNet recipe."
        )
    return {name: replace(base, net=replace(base.net, attention=name)) for name in ATTENTIONS}


def _fusions_of(base: Recipe) -> dict[str, Recipe]:
    """0, 1, 3 and 6 fusion blocks on the finest levels, as far as the network has levels."""
    if not isinstance(base.net, DFNetConfig):
        raise ManyfillError(
            f"recipe '{base.name}' trains a PICNet; fusion blocks are compared in a DFNet. Give --base a DFNet recipe."
        )
    counts = [count for count in FUSION_COUNTS if count <= len(base.net.kernels)]
    names = ["1-block" if count == 1 else f"{count}-blocks" for count in counts]
    nets = [replace(base.net, fusion_levels=tuple(range(count))) for count in counts]
    return {name: replace(base, net=net) for name, net in zip(names, nets, strict=True)}


_KINDS: dict[str, Callable[[Recipe], dict[str, Recipe]]] = {
    "strategies": _strategies_of,
    "attention": _attentions_of,
    "fusion-blocks": _fusions_of,
}
