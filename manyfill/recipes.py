"""Recipes: frozen descriptions of training runs, with the source of each number beside it.

Anything that a flag does not offer is `dataclasses.replace` in a file of your own: `--recipe my_runs.py:mine`.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from manyfill.data import NO_AUGMENTATION, Augmentation
from manyfill.errors import ManyfillError, UnknownModel
from manyfill.nets.adapter import AdapterConfig
from manyfill.nets.dfnet import DFNetConfig
from manyfill.nets.discriminators import CriticConfig
from manyfill.nets.picnet import PICNetConfig
from manyfill.objectives import CVAE, Deterministic, DualPath, InstanceBlind, StructureTexture


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run. The clock is `images`: photos seen, summed over processes."""

    name: str
    net: PICNetConfig | DFNetConfig | AdapterConfig
    objective: DualPath | Deterministic | CVAE | InstanceBlind | StructureTexture
    source: str  # where the numbers come from
    critic: CriticConfig = field(default_factory=CriticConfig)
    features: str | None = None  # a key of nets.perceptual.FEATURES
    features_side: int | None = None  # pixels: pictures are reduced to this before the feature network
    features_levels: tuple[int, ...] | None = None  # which of its maps; None: all
    features_shift: int = 0  # pixels: features are taken from another offset at each step, up to so many
    features_every: int = 1  # steps: feature terms only at every k-th, k times as heavy
    masks: Mapping[str, float]  # kind -> weight
    size: int  # pixels, side of the square crops
    scale: tuple[float, float] = (0.25, 1.0)  # of the source photo
    augment: Augmentation = field(default_factory=Augmentation)  # how far a crop may stray from its photo
    batch: int  # images in a step, over all processes
    accumulate: int = 1  # parts that a process's share of the batch goes through in, one after the other
    images: int
    starts_from: str | None = None  # what it goes on from, in words: it cannot begin from nothing (`--from`)
    lr: float
    lr_critic: float | None = None  # None: as lr
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup: int = 0  # images
    schedule: str = "constant"  # or "cosine", down to 0 at `images`; "step": tenfold down each quarter
    ema: int = 0  # images in which the average's memory halves; 0 = no average
    clip: float | None = None  # gradient norm
    posterior_std: float | None = None  # q(z | I_c) begins this narrow (training/step.py); None: as initialised
    precision: str = "bf16"  # "fp32", "fp16" (gradients scaled, GPUs only)
    compile: str | None = None  # a backend of torch.compile, "inductor"; minutes at the start, and g++
    seed: int = 0
    cache_side: int | None = None  # pixels; photos are kept in RAM with at most this short side
    cache_gib: float = 4.0  # GiB of decoded photos in RAM, shared out to the processes of a machine
    mix: int | None = None  # photos: read shards in order and mix only so many; None: where there are over 100,000
    workers: int = 1  # data processes
    checkpoint_minutes: float = 10.0  # a checkpoint, pictures and the numbers of --val each time
    checkpoint_every: int | None = None  # images; also after every so many
    keep: int = 2  # checkpoints, the newest
    pictures_every: int | None = None  # images; None: whenever there is a checkpoint

    def described(self) -> dict[str, Any]:
        """Every field as plain values that JSON can hold; network and objective with their `kind`, the class."""
        whole: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        for name, part in (("net", self.net), ("objective", self.objective)):
            whole[name] = {"kind": type(part).__name__, **whole[name]}
        return whole


def stage_folders(stages: Sequence[Recipe]) -> list[str]:
    """Where the stages of a run lie in its folder; none where there is one stage alone."""
    return [f"{number}-{stage.name}" for number, stage in enumerate(stages, 1)] if len(stages) > 1 else []


# Zheng et al., release: the whole photo squeezed to 266 pixels, 256 of them cut out at random, mirrored, turned by
# up to 3 degrees; the strength of its colour jitter is 0.
_PICNET_AUGMENT = replace(NO_AUGMENTATION, squeeze=266 / 256, flip=0.5, rotate=3.0, rotate_share=1.0)
_DFNET_AUGMENT = replace(NO_AUGMENTATION, squeeze=1.0, flip=0.5)  # Hong's later trainer: squeezed, mirrored
_PICNET_MASKS_RANDOM = {"boxes": 1.0, "lines": 1.0}  # Zheng et al., release: types 1 and 2
# Ours: strokes and blobs that a person paints, boxes, borders; 1 to 60 % of the photo.
_EVERYDAY_MASKS = {
    "strokes": 1.0,
    "thick": 1.0,
    "medium": 0.5,
    "blobs": 1.5,
    "boxes": 1.0,
    "center": 0.5,
    "border": 0.3,
    "free_form": 0.5,
}

# The flagship, slim enough to train on a CPU and quick to run: fusion heads, no norms that a small batch or map would
# spoil. It learns layout and colour on crops of 64 pixels, then lines on crops of 128; the photo's own patches bring
# the detail (texture.py).
_FLAGSHIP = PICNetConfig(size=128, width=16, spectral_norm=False, instance_norm=False, sees_hole=True, fusion_scales=4)

_SAMPLING = DualPath(
    weights={
        "kl_rec": 0.002,
        "kl_gen": 5.0,
        "appearance_rec": 20.0,
        "appearance_gen": 20.0,
        "hole_rec": 20.0,
        "mean": 20.0,
        "feature_rec": 0.5,
        "feature_mean": 0.5,
        "spread": 20.0,
        "palette": 20.0,
    },
    gan="hinge",
    kl_as_in_paper=True,  # the release's direction punishes a narrow posterior: the latent then says next to nothing
    composite_for_critic=True,
    mean_share=0.5,
    least_std=0.01,
)

_picnet_random = Recipe(
    name="picnet-random",
    source="Zheng et al. 2019 and its release: Adam 1e-4, betas (0, 0.999), constant; batch 8 (paper: 20 on 11 GB)",
    net=PICNetConfig(),
    objective=DualPath(),
    masks=_PICNET_MASKS_RANDOM,
    size=256,
    augment=_PICNET_AUGMENT,
    batch=8,
    images=40_000_000,  # 5,000,000 iterations, the release's limit
    lr=1e-4,
    betas=(0.0, 0.999),
    precision="fp32",
)
_picnet_center = replace(
    _picnet_random,
    name="picnet-center",
    source="as picnet-random, the middle quarter missing (release: type 0), as for the paper's faces and facades",
    masks={"center": 1.0},
)
_dfnet_places2 = Recipe(
    name="dfnet-places2",
    source="Hong et al. 2019, release: Adam 2e-4, tenfold down every 5 of 20 epochs of 37,500 iterations, 8 GPUs x 6",
    net=DFNetConfig(),
    objective=StructureTexture(),
    features="vgg16-pools",
    masks={"free_form": 1.0, "boxes": 0.5},  # "strokes and shapes"; the generator of the shapes was never published
    size=512,
    augment=_DFNET_AUGMENT,
    batch=48,
    images=36_000_000,
    lr=2e-4,
    schedule="step",
    precision="fp32",
)
_dfnet_celeba = replace(
    _dfnet_places2,
    name="dfnet-celeba",
    source="the release tests its CelebA model at 256 pixels and gives no training recipe: all else as dfnet-places2, "
    "but 300 epochs, as a third party trained CelebA-HQ (ray0809/DFNet), of PICNet's 24,183 photos for training",
    net=DFNetConfig(size=256),
    size=256,
    images=300 * 24_183,
)
_open_pluralistic_fusion = Recipe(
    name="open-pluralistic-fusion",
    source="ours: dual path on the fused pictures; see docs/weights.md for what was tried",
    starts_from="RUN/model.safetensors of the recipe open-start, or pluralistic-fusion",
    net=_FLAGSHIP,
    objective=replace(_SAMPLING, weights={**_SAMPLING.weights, "adversarial_gen": 0.3}),
    critic=CriticConfig(width=16, levels=5),  # its attention on 16 x 16 places; on 32 x 32 it took a fifth of a step
    features="efficientnet-lite0",
    features_every=2,
    masks=_EVERYDAY_MASKS,
    size=128,
    scale=(0.12, 1.0),
    batch=16,
    images=22_000,
    lr=6e-4,
    lr_critic=4e-4,
    betas=(0.5, 0.99),
    warmup=500,
    schedule="cosine",
    ema=3000,
    clip=10.0,
    cache_side=640,
)
_open_start = replace(
    _open_pluralistic_fusion,
    name="open-start",
    source="ours: the flagship's first stage: small crops, without critic and at a constant rate",
    starts_from=None,
    net=replace(_FLAGSHIP, size=64),
    objective=_SAMPLING,
    features_every=1,
    posterior_std=0.02,
    size=64,
    scale=(0.1, 0.6),
    batch=8,
    images=100_000,
    lr=1e-3,
    betas=(0.9, 0.99),
    schedule="constant",
    precision="fp32",  # of the two, the faster on CPUs without native bf16 matrix units
    ema=1000,
)
_open_pluralistic = replace(
    _open_pluralistic_fusion,
    name="open-pluralistic",
    source="ours: as the flagship, with plain heads and no hole in its input; starts from the flagship's weights",
    starts_from="pluralistic-fusion",
    net=replace(_FLAGSHIP, sees_hole=False, fusion_scales=0),
    images=8_000,
)
_open_fusion = Recipe(
    name="open-fusion",
    source="DFNet's objective at half width with a budget for one CPU; 6 levels, so that 64-pixel crops fit",
    net=DFNetConfig(size=64, width=32, max_width=256, kernels=(7, 5, 5, 3, 3, 3)),
    objective=StructureTexture(weights={"reconstruction": 6.0, "perceptual": 0.1, "style": 0.0, "tv": 0.0}),
    features="efficientnet-lite0",
    masks=_EVERYDAY_MASKS,
    size=64,
    scale=(0.1, 0.6),
    batch=16,
    images=30_000,
    lr=2e-3,
    betas=(0.9, 0.99),
    warmup=1000,
    schedule="cosine",
    precision="fp32",
    ema=1000,
    cache_side=640,
)
_open_skips = replace(
    _open_pluralistic_fusion,
    name="open-skips",
    source="ours: the flagship with DFNet's skips, no critic; starts from the flagship's weights, which it equals at "
    "first, best with labels of `manyfill label`",
    net=replace(_FLAGSHIP, skips=True),
    objective=_SAMPLING,
    features_every=1,
    images=200_000,
    lr=7e-4,
)
_adapter_migan = Recipe(
    name="adapter-migan",
    source="ours: dual path and fusion on MI-GAN, frozen (manyfill fetch migan); see docs/weights.md",
    net=AdapterConfig(),
    objective=DualPath(
        weights={
            "kl_rec": 0.002,
            "kl_gen": 1.0,
            "appearance_rec": 2.0,
            "appearance_gen": 2.0,
            "hole_rec": 10.0,
            "mean": 10.0,
            "feature_rec": 1.0,
            "feature_mean": 1.0,
            "spread": 10.0,
        },
        kl_as_in_paper=True,
        mean_share=0.5,
        least_std=0.01,
        plain_resize=True,
    ),
    features="efficientnet-lite0",
    features_every=2,
    masks=_EVERYDAY_MASKS,
    size=256,
    scale=(0.25, 1.0),
    batch=8,
    images=20_000,
    lr=1e-3,
    betas=(0.9, 0.99),
    warmup=200,
    schedule="cosine",
    ema=1000,
    clip=10.0,
    cache_side=768,
    checkpoint_every=400,
    pictures_every=800,
)
_tiny = Recipe(
    name="tiny",
    source="for tests: seconds on one core",
    net=PICNetConfig(
        size=32, width=4, max_width=8, latent=4, levels=3, scales=2, infer_blocks=1, sees_hole=True, fusion_scales=2
    ),
    objective=DualPath(),
    critic=CriticConfig(width=4, max_width=8, levels=4),
    masks={"center": 1.0, "strokes": 1.0},
    size=64,
    batch=2,
    images=20,
    lr=1e-3,
    ema=10,
    precision="fp32",
    workers=0,
    checkpoint_every=10,
    pictures_every=10,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _picnet_random,
        _picnet_center,
        _dfnet_places2,
        _dfnet_celeba,
        _open_start,
        _open_pluralistic_fusion,
        _open_pluralistic,
        _open_fusion,
        _open_skips,
        _adapter_migan,
        _tiny,
    )
}


# Several recipes in one run, each from the model of the one before it (training/stages.py).
CHAINS: dict[str, tuple[str, ...]] = {"open-flagship": ("open-start", "open-pluralistic-fusion")}


def find_all(name: str) -> tuple[Recipe, ...]:
    """The stages of a chain, or the one recipe of that name; as `find`."""
    return tuple(RECIPES[stage] for stage in CHAINS[name]) if name in CHAINS else (find(name),)


def find(name: str) -> Recipe:
    """A recipe by name, or `file.py:variable` of a user's own file. Raises UnknownModel with what there is."""
    if name in RECIPES:
        return RECIPES[name]
    path, _, variable = name.rpartition(":")
    if path.endswith(".py"):
        return _from_file(Path(path), variable)
    known = (*RECIPES, *CHAINS)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise UnknownModel(f"no recipe '{name}'.{hint} There are: {', '.join(known)}; or your own as file.py:variable.")


def _from_file(path: Path, variable: str) -> Recipe:
    if not path.is_file():
        raise UnknownModel(f"there is no recipe file {path}.")
    name = f"manyfill_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses under `from __future__ import annotations` look their module up there
    try:
        spec.loader.exec_module(module)
    except ManyfillError:
        raise
    except Exception as error:  # whatever a user's own code may raise
        raise UnknownModel(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    recipe = getattr(module, variable, None)
    if not isinstance(recipe, Recipe):
        raise UnknownModel(f"{path} has no Recipe named '{variable}'.")
    return recipe
