"""The registry: every row can be called as it says, and its direction is the right one."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from manyfill.metrics import METRICS, Metric
from manyfill.metrics.perceptual import feature_distance
from manyfill.nets.perceptual import FEATURES

ROOT = Path(__file__).parents[2]


class Network(nn.Module):
    """A stand-in for a backbone: called with a picture it gives maps, with two a distance, as `Lpips` does."""

    def forward(self, picture: Tensor, truth: Tensor | None = None, hole: Tensor | None = None) -> object:
        def features(x: Tensor) -> list[Tensor]:
            return [x - 0.5]

        return features(picture) if truth is None else feature_distance(features, picture, truth, hole)


def measured(metric: Metric, share: float) -> float:
    """The metric of fills that are so far from their truth; for diversity, from each other."""
    generator = torch.Generator().manual_seed(0)
    # the truth is a ramp, and what a fill adds to it rough
    truth = torch.linspace(0.2, 0.8, 20).expand(3, 3, 16, 20)
    noise = torch.rand(3, 3, 16, 20, generator=generator)
    hole = torch.zeros(3, 1, 16, 20)
    hole[..., 3:13, 4:16] = 1
    picture = torch.lerp(truth, noise, share * hole)
    rows, moved = torch.randn(2, 400, 3, generator=generator)
    certain = torch.eye(5)[torch.arange(100) % 5]
    arguments = {
        "pair": (picture, truth, hole),
        "network": (Network(), picture, truth, hole),
        "fills": (picture, hole[:1]),
        "network fills": (Network(), picture, hole[:1]),
        "features": (moved + 3 * share, rows),
        "probabilities": (torch.lerp(certain, torch.full_like(certain, 0.2), share),),
    }
    found = metric.measure(*arguments[metric.needs])
    return float(found.mean()) if isinstance(found, Tensor) else float(found)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_row_is_called_as_it_says_and_better_fills_have_better_numbers(metric: Metric) -> None:
    good, bad = measured(metric, 0.1), measured(metric, 0.8)
    assert math.isfinite(good) and math.isfinite(bad)
    if metric.needs in ("fills", "network fills"):
        assert bad > good and metric.better == "higher"  # further from each other: more diverse
    elif metric.better == "zero":
        assert abs(good) < abs(bad)
    else:
        assert (good < bad) == (metric.better == "lower") and good != bad


def test_names_are_the_keys_and_those_of_the_papers_need_the_papers_networks() -> None:
    published = {
        "lpips_alex",
        "lpips_vgg",
        "diversity_lpips",
        "diversity_lpips_hole",
        "lpips_pairs",
        "lpips_pairs_hole",
        "fid",
        "kid",
        "is",
        "p_ids",
        "u_ids",
    }
    squares = {f"{name}_squares" for name in ("fid", "kid", "is", "p_ids", "u_ids")}
    for name, metric in METRICS.items():
        assert name == metric.name and re.fullmatch(r"[a-z0-9_]+", name)
        own = metric.backbone == "" or metric.backbone in FEATURES
        assert own != (name in published | squares)
        assert metric.whole == (name in ("fid", "kid", "is", "p_ids", "u_ids")), "published ones are of whole pictures"
        assert (metric.backbone == "") == (metric.needs in ("pair", "fills"))


def test_headers_show_title_unit_and_direction() -> None:
    assert METRICS["psnr"].header == "PSNR [dB] ↑"
    assert METRICS["ssim"].header == "SSIM ↑"
    assert METRICS["l1_hole"].header == "L1 in hole [0-255] ↓"
    assert METRICS["gradient_jump"].header == "step at rim [0-255] → 0"
    headers = [metric.header for metric in METRICS.values()]
    assert len(set(headers)) == len(headers)


def test_the_docs_tell_of_every_metric_its_unit_and_direction() -> None:
    rows = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("| `")]
    told = {name: (unit, better) for names, _, unit, better, *_ in cells for name in re.findall(r"`(\w+)`", names)}
    assert told.keys() == METRICS.keys()
    for name, metric in METRICS.items():
        assert told[name] == (metric.unit or "–", metric.better), name
