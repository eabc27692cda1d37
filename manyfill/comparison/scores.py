"""What is measured for a trained variant: fills against the truth and against each other, attention, the run itself."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from manyfill.metrics import METRICS
from manyfill.metrics.diversity import best_of
from manyfill.nets import CompletionNet
from manyfill.nets.picnet import PICNet
from manyfill.objectives import complete

BATCH = 16  # pictures at once
FIDELITY = ("psnr_hole", "l1_hole", "ssim_hole")
BETWEEN = ("diversity_l1_hole", "diversity_l1")
SEAM = ("boundary_1", "boundary_3", "gradient_jump")

Scores = dict[str, float]  # column -> number; what cannot be measured is left out


@torch.no_grad()
def draw(net: CompletionNet, image: Tensor, hole: Tensor, *, fills: int) -> Tensor:
    """Completed pictures (N,B,3,H,W); fill i decodes the noise of seed i, the same for all pictures.

    With `fills` = 0, and from a network without noise, it is one, the likeliest.
    """
    shape = net.noise_shape(*image.shape[-2:])
    noises: list[Tensor | None] = [None]
    if shape is not None and fills:
        noises = [noise(shape, seed).to(image.device) for seed in range(fills)]
    batches = []
    for some, missing in zip(torch.split(image, BATCH), torch.split(hole, BATCH), strict=True):
        encoded = net.encode(some, missing)
        pictures = [
            net.decode(encoded, None if one is None else one.expand(len(some), -1, -1, -1)).image for one in noises
        ]
        batches.append(torch.stack([complete(picture, some, missing) for picture in pictures]))
    return torch.cat(batches, 1)


def noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """(1,C,h,w) of one seed."""
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def measure(fills: Tensor, image: Tensor, hole: Tensor) -> Scores:
    """Means over pictures: each metric of a single fill, `best_*` of the best of all, and the distances between fills.

    fills (N,B,3,H,W), image (B,3,H,W), hole (B,1,H,W).
    """
    columns: dict[str, list[float]] = {}
    for name in (*FIDELITY, *SEAM):
        metric = METRICS[name]
        values = torch.stack([metric.measure(fill, image, hole) for fill in fills])  # (N, B)
        columns[name] = values.mean(0).tolist()
        if len(fills) > 1 and name in FIDELITY and metric.better != "zero":
            columns[f"best_{name}"] = [float(best_of(one, better=metric.better)) for one in values.T]
    for name in BETWEEN if len(fills) > 1 else ():
        pairs = zip(fills.unbind(1), torch.split(hole, 1), strict=True)
        columns[name] = [float(METRICS[name].measure(some, missing)) for some, missing in pairs]
    means = {name: _mean(values) for name, values in columns.items()}
    return {name: value for name, value in means.items() if value is not None}


@torch.no_grad()
def measure_attention(net: PICNet, image: Tensor, hole: Tensor, points: Sequence[tuple[int, int]]) -> Scores:
    """Where the likeliest fill's attention looks from one point (row, column) of each picture.

    `places` is how many it spreads over, exp(entropy); `on_known` the share of its weight on known pixels, in percent.
    """
    places, on_known = [], []
    for one, missing, (row, column) in zip(torch.split(image, 1), torch.split(hole, 1), points, strict=True):
        seen = net.attention_map(net.encode(one, missing), None, row, column)[0].double()
        if not seen.any():
            continue
        share = seen / seen.sum()  # of each pixel; all pixels of a place share its weight
        places.append(math.exp(-float((share * seen.clamp(min=1e-12).log()).sum())))
        on_known.append(100 * float((share * (1 - missing[0, 0])).sum()))
    means = {"places": _mean(places), "on_known": _mean(on_known)}
    return {name: value for name, value in means.items() if value is not None}


def stability(stats: Path) -> Scores:
    """How calm the second half of a run was: RUN/stats.jsonl.

    `critic` is the critic's mean loss; `critic_varies` and `appearance_varies` are standard deviations in percent of
    the mean, over the lines of the file, each the mean of some hundred images.
    """
    lines = read_stats(stats)
    half = lines[-1]["images_seen"] / 2 if lines else 0
    late = [line for line in lines if line["images_seen"] > half]
    found: Scores = {}
    critic = _series(late, ("critic_gen",))
    if critic:
        found["critic"] = sum(critic) / len(critic)
        found |= _variation("critic_varies", critic)
    return found | _variation("appearance_varies", _series(late, ("appearance_gen", "appearance", "reconstruction")))


def read_stats(path: Path) -> list[dict[str, Any]]:
    """Lines of stats.jsonl; [] where there is none yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def minutes(stats: Path) -> float:
    """Time spent in training steps, over all resumptions."""
    seconds, before = 0.0, 0.0
    for line in read_stats(stats):
        if line.get("images_per_second"):
            seconds += (line["images_seen"] - before) / line["images_per_second"]
        before = line["images_seen"]
    return seconds / 60


def _series(lines: Sequence[dict[str, Any]], names: tuple[str, ...]) -> list[float]:
    """The first of these terms that the run has."""
    return next((values for name in names if (values := [line[name] for line in lines if name in line])), [])


def _variation(name: str, values: Sequence[float]) -> Scores:
    if len(values) < 2 or not sum(values):
        return {}
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return {name: 100 * spread / abs(mean)}


def _mean(values: Sequence[float]) -> float | None:
    """Of those that are numbers; None where none is."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None
