"""A plug-in: a network, an objective with a loss of its own, a kind of holes, a metric, and a recipe of all of them.

    manyfill train --plugin examples/plugin.py --recipe sketch --data examples/photos --out runs/sketch
    manyfill complete photo.jpg --mask hole.png --plugin examples/plugin.py --model runs/sketch/model.safetensors
    manyfill evaluate --plugin examples/plugin.py --model runs/sketch/model.safetensors --masks moons \
        --metrics psnr_hole,edges_hole --data examples/photos -o report/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill import losses, plugins
from manyfill.metrics import Metric
from manyfill.metrics.region import mean_inside
from manyfill.nets import Prediction
from manyfill.objectives import Nets, Terms, complete
from manyfill.recipes import Recipe

# ── a network: three members of CompletionNet and two methods ─────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class SketchConfig:
    """Enough to rebuild the network; it travels in its weights files."""

    size: int = 64
    width: int = 16


class Sketch(nn.Module):
    """Photo and hole in, at a quarter of the side; a picture out. Deterministic, and small."""

    def __init__(self, config: SketchConfig) -> None:
        super().__init__()
        self.config = config
        wide = 2 * config.width
        self.down = nn.Sequential(
            nn.Conv2d(4, config.width, 5, 2, 2), nn.ELU(), nn.Conv2d(config.width, wide, 3, 2, 1), nn.ELU()
        )
        self.middle = nn.Sequential(nn.Conv2d(wide, wide, 3, 1, 4, 4), nn.ELU(), nn.Conv2d(wide, wide, 3, 1, 8, 8))
        self.up = nn.Conv2d(wide, 3 * 16, 3, 1, 1)

    @property
    def multiple(self) -> int:
        return 4

    @property
    def working_size(self) -> int:
        return self.config.size

    def noise_shape(self, height: int, width: int) -> None:
        return None

    def encode(self, image: Tensor, hole: Tensor) -> Tensor:
        x: Tensor = self.down(torch.cat([image * (1 - hole), hole], 1))  # (B, 2w, H/4, W/4)
        return x + self.middle(x)

    def decode(self, encoded: Tensor, noise: Tensor | None) -> Prediction:
        return Prediction(torch.sigmoid(F.pixel_shuffle(self.up(F.elu(encoded)), 4)))  # (B, 3, H, W)


# ── an objective, with a loss of its own ──────────────────────────────────────────────────────────────────────────────


def edges(picture: Tensor, truth: Tensor) -> Tensor:
    """Absolute difference of the steps from each pixel to its right and lower neighbours, (B,3,H,W)."""
    apart = F.pad(picture - truth, (0, 1, 0, 1), mode="replicate")
    here = apart[..., :-1, :-1]
    return (apart[..., :-1, 1:] - here).abs() + (apart[..., 1:, :-1] - here).abs()


@dataclass(frozen=True, kw_only=True)
class Sketching:
    """L1 over the picture and the steps inside the hole."""

    weights: Mapping[str, float] = field(default_factory=lambda: {"l1": 1.0, "edges": 0.5})
    terms: ClassVar[tuple[str, ...]] = ("l1", "edges")
    samples: ClassVar[bool] = False
    critics: ClassVar[tuple[str, ...]] = ()
    feature_terms: ClassVar[tuple[str, ...]] = ()

    def noise_shape(self, net: nn.Module, size: int) -> None:
        return None

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Tensor:
        drawn: Tensor = nets.net.decode(nets.net.encode(image, hole), None).image  # type: ignore[operator]
        return drawn

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Tensor) -> Terms:
        return {}

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Tensor) -> Terms:
        completed = complete(out, image, hole)
        return {"l1": losses.l1(out, image), "edges": (edges(completed, image) * hole).sum() / hole.sum().clamp(min=1)}


# ── a kind of holes, and a metric ─────────────────────────────────────────────────────────────────────────────────────


def moons(height: int, width: int, rng: np.random.Generator) -> Tensor:
    """A disc with a bite out of it, somewhere: (1,1,H,W), 1 = missing."""
    y, x = np.mgrid[:height, :width] / min(height, width)
    middle, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.15, 0.3)
    bite = middle + radius * rng.uniform(-0.7, 0.7, 2)
    disc = np.hypot(y - middle[0], x - middle[1]) < radius
    return torch.from_numpy(disc & (np.hypot(y - bite[0], x - bite[1]) >= 0.6 * radius)).float()[None, None]


def edges_hole(picture: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Mean of `edges` in the hole, 0..255 (B,)."""
    return 255 * mean_inside(edges(picture, truth), hole)


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────────────────

plugins.add_network("sketch", SketchConfig, Sketch)
plugins.add_mask("moons", moons)
plugins.add_metric(Metric("edges_hole", "steps in hole", "0-255", "lower", "pair", "examples/plugin.py", edges_hole))
plugins.add_recipe(
    Recipe(
        name="sketch",
        source="an example: some seconds on one core",
        net=SketchConfig(),  # type: ignore[arg-type]
        objective=Sketching(),  # type: ignore[arg-type]
        masks={"moons": 2.0, "boxes": 1.0},
        size=64,
        batch=8,
        images=400,
        lr=3e-3,
        betas=(0.9, 0.99),
        ema=100,
        precision="fp32",
        cache_side=256,
        workers=0,
    )
)
