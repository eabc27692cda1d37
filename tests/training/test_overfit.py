"""Four photos, learnt by heart: a network, its objective and the step together can bring the loss down.

Over 30 dB in the hole; what an untrained network or the mean colour gives lies far below.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from manyfill.nets.dfnet import DFNetConfig
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.objectives import DualPath, StructureTexture
from manyfill.recipes import RECIPES, Recipe
from manyfill.training.step import Step, build, narrow_posterior

SIDE = 32
COMMON = {"size": SIDE, "batch": 4, "ema": 0, "betas": (0.9, 0.99)}
FUSION = replace(
    RECIPES["tiny"],
    net=DFNetConfig(size=SIDE, width=16, max_width=64, kernels=(5, 3, 3, 3), fusion_levels=(0, 1)),
    objective=StructureTexture(weights={"reconstruction": 1.0}),
    lr=3e-3,
    **COMMON,
)
PLURALISTIC = replace(
    RECIPES["tiny"],
    net=PICNetConfig(
        size=SIDE, width=12, max_width=48, latent=16, levels=3, scales=2, infer_blocks=1,
        spectral_norm=False, instance_norm=False, sees_hole=True, fusion_scales=2,
    ),
    objective=DualPath(
        weights={"kl_rec": 1e-4, "kl_gen": 0.1, "appearance_rec": 20.0, "appearance_gen": 20.0, "hole_rec": 20.0}
    ),
    lr=3e-3,
    **COMMON,
)  # fmt: skip


def four_photos() -> tuple[Tensor, Tensor]:
    """One end of each sample photo, and a hole in its middle."""
    crops = []
    for path in sorted((Path(__file__).parents[2] / "examples" / "photos").glob("*.jpg")):
        pixels = cv2.imread(str(path))
        height, width = pixels.shape[:2]
        small = cv2.resize(pixels, (round(width * SIDE / height), SIDE), interpolation=cv2.INTER_AREA)
        crops.append(small[:, :SIDE])
    image = torch.from_numpy(np.stack(crops)[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
    hole = torch.zeros(4, 1, SIDE, SIDE)
    hole[..., 8:24, 8:24] = 1
    return image, hole


def psnr(picture: Tensor, image: Tensor, hole: Tensor) -> float:
    error = ((picture - image) ** 2 * hole).sum() / (3 * hole.sum())
    return float(-10 * torch.log10(error))


@pytest.mark.parametrize(("recipe", "steps"), [(FUSION, 260), (PLURALISTIC, 160)], ids=["fusion", "pluralistic"])
def test_four_photos_are_learnt_by_heart(recipe: Recipe, steps: int) -> None:
    """DFNet by its fill, PICNet by its reconstructive path."""
    image, hole = four_photos()
    nets = build(recipe)
    if isinstance(nets.net, PICNet):
        narrow_posterior(nets.net, 0.02)
    step = Step(recipe, nets, torch.device("cpu"))
    shape = recipe.objective.noise_shape(nets.net, SIDE)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)

    def reached() -> float:
        noise = None if shape is None else torch.zeros(4, *shape)
        nets.eval()
        with torch.no_grad():
            out = recipe.objective.forward(nets, image, hole, noise)
        nets.train()
        return psnr((out.reconstructive[-1] if isinstance(nets.net, PICNet) else out[0]).image, image, hole)

    before = reached()
    for index in range(steps):
        step.recipe = replace(recipe, lr=recipe.lr * (0.2 if index > 0.8 * steps else 1.0))
        noise = None if shape is None else torch.randn(4, *shape, generator=generator)
        step(image, hole, noise, 4 * index)
    assert before < 16
    assert reached() > 30
