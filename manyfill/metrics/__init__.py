"""Numbers to report. `METRICS` lists them all with unit, direction and source: tables take their columns from it.

To add a metric, write its function and add one row to METRICS: whatever evaluates by it then measures that one too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from manyfill.metrics import diversity, frechet, ids, perceptual, pixel, seam

Better = Literal["lower", "higher", "zero"]  # zero: the nearer the better, from either side
Needs = Literal["pair", "network", "fills", "network fills", "features", "probabilities"]
Backbone = Literal["", "vgg16", "efficientnet-lite0", "lpips-alex", "lpips-vgg", "inception"]


@dataclass(frozen=True)
class Metric:
    """One number to report.

    `measure` is called with what it `needs`:
      pair           (picture, truth, hole) -> (B,)
      network        (network, picture, truth, hole) -> (B,)
      fills          (fills (N,3,H,W), hole (1,1,H,W)) of one photo -> scalar
      network fills  (network, fills, hole) of one photo -> scalar
      features       (features of fills (N,D), features of their photos (N,D)) -> number over all photos
      probabilities  (classes' probabilities of fills (N,K)) -> number over all photos
    `backbone` is the network that it is called with or whose features it takes: a name of `nets.perceptual.FEATURES`,
    or `perceptual.lpips` or `frechet.inception` from files that the user has.
    """

    name: str
    title: str
    unit: str
    better: Better
    needs: Needs
    source: str  # the paper; "ours" where there is none
    measure: Callable[..., Any]
    backbone: Backbone = ""
    whole: bool = False  # features of whole pictures; else, where it needs any, of squares around the holes

    @property
    def header(self) -> str:
        """A table's column: title, unit, and an arrow to where it is better."""
        arrow = {"lower": "↓", "higher": "↑", "zero": "→ 0"}[self.better]
        return " ".join(part for part in (self.title, self.unit and f"[{self.unit}]", arrow) if part)


def _whole(measure: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """Over the whole picture, whatever the hole."""
    return lambda picture, truth, hole: measure(picture, truth)


def _band(width: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda picture, truth, hole: seam.boundary_error(picture, truth, hole, width)


def _lpips(network: perceptual.Lpips, picture: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    return network.forward(picture, truth)


def _between(measure: diversity.Distance) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda fills, hole: diversity.mean_pairwise(measure, fills, hole)


def _lpips_between(network: perceptual.Lpips, fills: Tensor, hole: Tensor) -> Tensor:
    return diversity.mean_pairwise(network, fills)


def _lpips_between_holes(network: perceptual.Lpips, fills: Tensor, hole: Tensor) -> Tensor:
    between = diversity.mean_pairwise(network, diversity.cut_out(fills, hole))
    return between if hole.any() else torch.full_like(between, torch.nan)


def _lpips_pairs(network: perceptual.Lpips, fills: Tensor, hole: Tensor) -> Tensor:
    return diversity.mean_of_pairs(network, fills)


def _lpips_pairs_hole(network: perceptual.Lpips, fills: Tensor, hole: Tensor) -> Tensor:
    return diversity.mean_of_pairs(network, diversity.cut_out(fills, hole))


def _frechet(fills: Tensor, truths: Tensor) -> float:
    gathered = frechet.Frechet(), frechet.Frechet()
    for one, features in zip(gathered, (fills, truths), strict=True):
        one.update(features)
    return frechet.frechet_distance(*gathered)


def _inception_score(probabilities: Tensor) -> float:
    return frechet.inception_score(probabilities).mean


def _paired(fills: Tensor, truths: Tensor) -> float:
    return ids.ids(fills, truths).paired


def _unpaired(fills: Tensor, truths: Tensor) -> float:
    return ids.ids(fills, truths).unpaired


WANG, ZHANG, ZHENG = "Wang et al. 2004", "Zhang et al. 2018", "Zheng et al. 2019"
HEUSEL, BINKOWSKI, ZHAO = "Heusel et al. 2017", "Binkowski et al. 2018", "Zhao et al. 2021"
SALIMANS = "Salimans et al. 2016"
LIKE_LPIPS = "after Zhang et al. 2018"
EFF: Backbone = "efficientnet-lite0"
VGG: Backbone = "vgg16"

_between_maps = diversity.mean_pairwise_features
_kernel = frechet.kernel_distance
_maps = perceptual.feature_distance

_ROWS = [
    Metric("l1", "L1", "0-255", "lower", "pair", ZHENG, _whole(pixel.l1)),
    Metric("l1_hole", "L1 in hole", "0-255", "lower", "pair", ZHENG, pixel.l1),
    Metric("l1_percent", "L1", "%", "lower", "pair", ZHENG, _whole(pixel.l1_percent)),
    Metric("psnr", "PSNR", "dB", "higher", "pair", ZHENG, _whole(pixel.psnr)),
    Metric("psnr_hole", "PSNR in hole", "dB", "higher", "pair", ZHENG, pixel.psnr),
    Metric("ssim", "SSIM", "", "higher", "pair", WANG, _whole(pixel.ssim)),
    Metric("ssim_hole", "SSIM in hole", "", "higher", "pair", WANG, pixel.ssim),
    Metric("tv", "TV", "0-255", "lower", "pair", ZHENG, lambda picture, truth, hole: pixel.tv(picture)),
    Metric("boundary_1", "rim error, 1 px", "0-255", "lower", "pair", "ours", _band(1)),
    Metric("boundary_3", "rim error, 3 px", "0-255", "lower", "pair", "ours", _band(3)),
    Metric("boundary_5", "rim error, 5 px", "0-255", "lower", "pair", "ours", _band(5)),
    Metric("gradient_jump", "step at rim", "0-255", "zero", "pair", "ours", seam.gradient_jump),
    Metric("pd_vgg", "pd_vgg", "", "lower", "network", LIKE_LPIPS, _maps, VGG),
    Metric("pd_eff", "pd_eff", "", "lower", "network", LIKE_LPIPS, _maps, EFF),
    Metric("lpips_alex", "LPIPS (alex)", "", "lower", "network", ZHANG, _lpips, "lpips-alex"),
    Metric("lpips_vgg", "LPIPS (vgg)", "", "lower", "network", ZHANG, _lpips, "lpips-vgg"),
    Metric("diversity_l1", "L1 between fills", "0-255", "higher", "fills", "ours", _between(_whole(pixel.l1))),
    Metric("diversity_l1_hole", "L1 between fills, in hole", "0-255", "higher", "fills", "ours", _between(pixel.l1)),
    Metric("diversity_vgg", "pd_vgg between fills", "", "higher", "network fills", LIKE_LPIPS, _between_maps, VGG),
    Metric("diversity_eff", "pd_eff between fills", "", "higher", "network fills", LIKE_LPIPS, _between_maps, EFF),
    Metric(
        "diversity_lpips", "LPIPS between fills", "", "higher", "network fills", ZHENG, _lpips_between, "lpips-alex"
    ),
    Metric(
        "diversity_lpips_hole",
        "LPIPS between fills, hole cut out",
        "",
        "higher",
        "network fills",
        ZHENG,
        _lpips_between_holes,
        "lpips-alex",
    ),
    Metric("lpips_pairs", "LPIPS of pairs", "", "higher", "network fills", ZHENG, _lpips_pairs, "lpips-alex"),
    Metric(
        "lpips_pairs_hole",
        "LPIPS of pairs, hole cut out",
        "",
        "higher",
        "network fills",
        ZHENG,
        _lpips_pairs_hole,
        "lpips-alex",
    ),
    Metric("fd_eff", "fd_eff", "", "lower", "features", "after " + HEUSEL, _frechet, EFF),
    Metric("kd_eff", "kd_eff", "", "lower", "features", "after " + BINKOWSKI, _kernel, EFF),
    Metric("p_ids_eff", "p_ids_eff", "%", "higher", "features", "after " + ZHAO, _paired, EFF),
    Metric("u_ids_eff", "u_ids_eff", "%", "higher", "features", "after " + ZHAO, _unpaired, EFF),
    Metric("fid", "FID", "", "lower", "features", HEUSEL, _frechet, "inception", whole=True),
    Metric("kid", "KID", "", "lower", "features", BINKOWSKI, _kernel, "inception", whole=True),
    Metric("p_ids", "P-IDS", "%", "higher", "features", ZHAO, _paired, "inception", whole=True),
    Metric("u_ids", "U-IDS", "%", "higher", "features", ZHAO, _unpaired, "inception", whole=True),
    Metric("is", "IS", "", "higher", "probabilities", SALIMANS, _inception_score, "inception", whole=True),
    Metric("fid_squares", "FID of squares", "", "lower", "features", "after " + HEUSEL, _frechet, "inception"),
    Metric("kid_squares", "KID of squares", "", "lower", "features", "after " + BINKOWSKI, _kernel, "inception"),
    Metric("p_ids_squares", "P-IDS of squares", "%", "higher", "features", "after " + ZHAO, _paired, "inception"),
    Metric("u_ids_squares", "U-IDS of squares", "%", "higher", "features", "after " + ZHAO, _unpaired, "inception"),
    Metric(
        "is_squares", "IS of squares", "", "higher", "probabilities", "after " + SALIMANS, _inception_score, "inception"
    ),
]
METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}
