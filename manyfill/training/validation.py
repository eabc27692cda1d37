"""Numbers of photos that a run never trains on: PSNR, LPIPS and pd_eff of the averaged network's mean fills, by bin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from manyfill import masks, objectives
from manyfill.data import NO_AUGMENTATION, Samples, open_photos
from manyfill.errors import BadWeights, MissingExtra
from manyfill.metrics import perceptual, pixel
from manyfill.nets.perceptual import EfficientNetLite0
from manyfill.recipes import Recipe

PHOTOS = 8  # in the pictures
MEASURED = 48  # photos that numbers are taken of
LEAST = 0.01  # of the picture: below the smallest bin there is nothing to measure
ORDER = (("val_lpips", -1), ("val_pd_eff", -1), ("val_psnr", 1))  # the best checkpoint by the first that there is
Batch = tuple[Tensor, Tensor]  # images (B,3,S,S) and holes (B,1,S,S), fixed
Measure = Callable[[Tensor, Tensor, Tensor], Tensor]  # (completed, image, hole) -> (B,)


def held_out(recipe: Recipe, sources: Sequence[Path], count: int) -> Batch:
    """The first `count` photos of `sources`, unvaried, with fixed holes of the recipe's kinds."""
    samples = Samples(
        open_photos(list(sources), short_side=recipe.cache_side),
        size=recipe.net.size if recipe.net.size <= 2 * recipe.size else recipe.size,
        masks=masks.mixture(recipe.masks),
        seed=1,
        scale=(0.0, 0.0),
        augment=NO_AUGMENTATION if not recipe.augment.squeeze else NO_AUGMENTATION.squeezed(),
    )
    pairs = [samples[i] for i in range(min(count, len(samples)))]
    return torch.stack([image for image, _ in pairs]), torch.stack([hole for _, hole in pairs])


class Validation:
    """Measures a network on fixed photos and holes; numbers whose network is not at hand are left out."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self.batch, self.device = batch, device
        self.left_out: dict[str, str] = {}  # number -> why
        self.measures: dict[str, Measure] = {"val_psnr": pixel.psnr}
        try:
            lpips = perceptual.lpips("alex").to(device)
            self.measures["val_lpips"] = lambda picture, image, hole: lpips(picture, image)
        except BadWeights as error:
            self.left_out["val_lpips"] = str(error)
        try:
            network = EfficientNetLite0().to(device)
            self.measures["val_pd_eff"] = lambda *given: perceptual.feature_distance(network, *given)
        except MissingExtra as error:
            self.left_out["val_pd_eff"] = str(error)

    @torch.no_grad()
    def __call__(self, net: nn.Module) -> dict[str, float]:
        """`val_psnr`, `val_pd_eff` of the hole, `val_lpips` of the picture; then by hole ratio: `val_psnr 10-20%` ...

        Means over photos; a fill that equals its photo (infinite PSNR) and an empty hole are left out.
        """
        rows: dict[str, list[Tensor]] = {name: [] for name in self.measures}
        for image, hole in zip(*(torch.split(part, 1) for part in self.batch), strict=True):
            image, hole = image.to(self.device), hole.to(self.device)
            fill = net.decode(net.encode(image, hole), None).image  # type: ignore[operator]
            completed = objectives.complete(fill.float(), image, hole)
            for name, measure in self.measures.items():
                rows[name].append(measure(completed, image, hole).cpu())
        ratios = self.batch[1].mean((1, 2, 3)).double()
        found: dict[str, float] = {}
        for low, high in ((LEAST, 1.0), *masks.BINS):
            inside = (ratios > low) & (ratios <= high)
            label = "" if high == 1.0 else f" {100 * low:.0f}-{100 * high:.0f}%"
            for name, values in rows.items():
                numbers = torch.cat(values)[inside]
                numbers = numbers[numbers.isfinite()]
                if len(numbers):
                    found[name + label] = float(numbers.mean())
        return found


def better(now: dict[str, float], before: dict[str, float]) -> bool:
    """Whether `now` is the better one: by LPIPS, else pd_eff, else PSNR, whichever both have."""
    for name, sign in ORDER:
        if name in now and name in before:
            return sign * now[name] > sign * before[name]
    return bool(now) and not before
