"""All metrics of one case in one pass; networks are loaded once, and the truth's feature maps are computed once."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from manyfill.boxes import Pixels
from manyfill.download import sha256_of
from manyfill.errors import BadImage, BadWeights, ManyfillError
from manyfill.evaluation.cases import Case
from manyfill.evaluation.published import Choose
from manyfill.evaluation.sources import Answer
from manyfill.metrics import METRICS, Metric, exact, frechet, perceptual
from manyfill.nets.perceptual import FEATURES, EfficientNetLite0Pooled

SIDE = 256  # short side at which feature maps are compared, as most published numbers are; also the least cost
CROP = {"efficientnet-lite0": 224, "inception": 299}  # sides of the hole crops that pooled features are taken from
MODULES = {
    f"{kind}_ids{of}": "sklearn" for kind in "pu" for of in ("", "_eff", "_squares")
}  # what a metric needs besides torch
PER_SET = ("features", "probabilities")  # what metrics over all photos need


@dataclass(frozen=True)
class Measured:
    """The numbers of one answer to one case."""

    known_exact: bool
    fills: list[dict[str, float]]  # per fill: metric -> value
    spread: dict[str, float]  # between the fills: metric -> value
    features: dict[str, NDArray[np.float32]]  # of the chosen fill and of the truth, for metrics over all photos
    chosen: int = 0  # of the fills


class Ruler:
    """Measures answers. Metrics whose network cannot be had are left out, and `left_out` says why."""

    def __init__(
        self,
        names: Iterable[str] | None = None,
        *,
        device: str | torch.device = "cpu",
        side: int = SIDE,
        inception: Path | None = None,
    ) -> None:
        chosen = list(METRICS) if names is None else list(names)
        for name in chosen:
            if name not in METRICS:
                raise ManyfillError(f"no metric '{name}'. All: {', '.join(METRICS)}.")
        self.device, self.side, self.inception = torch.device(device), side, inception
        self.left_out: dict[str, str] = {}  # metric -> why
        self.origins: dict[str, str] = {}  # network -> whose weights: two files give other numbers
        networks: dict[str, Any] = {}
        self.metrics: list[Metric] = []
        for metric in (METRICS[name] for name in chosen):
            if metric.backbone and metric.backbone not in networks:
                networks[metric.backbone] = self._load(metric.backbone)
            network = networks.get(metric.backbone)
            module = MODULES.get(metric.name)
            if isinstance(network, str):
                self.left_out[metric.name] = network
            elif module is not None and importlib.util.find_spec(module) is None:
                self.left_out[metric.name] = f"it needs {module}: pip install 'manyfill[evaluate]'."
            else:
                self.metrics.append(metric)
        self._networks = {name: network for name, network in networks.items() if not isinstance(network, str)}

    def _load(self, backbone: str) -> Any:
        """The network, or why it cannot be had."""
        try:
            if backbone == "inception":
                found = frechet.inception(self.inception)
                self.origins[backbone] = f"{found.path.name}, sha256 {sha256_of(found.path)[:12]}"
                return found
            if backbone.startswith("lpips-"):
                kind = backbone.removeprefix("lpips-")
                network: Any = perceptual.lpips(kind).to(self.device)  # type: ignore[arg-type]
            elif backbone == EfficientNetLite0Pooled.name:
                network = EfficientNetLite0Pooled().to(self.device)
            else:
                network = FEATURES[backbone]().to(self.device)
            self.origins[backbone] = network.origin
            return network
        except (BadWeights, ImportError) as error:
            return str(error)

    @torch.inference_mode()
    def measure(self, case: Case, answer: Answer, choose: Choose | None = None) -> Measured:
        """Every metric of every fill; those between fills where there are several.

        `choose` says which fill counts, by scores and numbers; else the first one does.
        """
        truth, hole = self._image(case.pixels), torch.from_numpy(case.hole).to(self.device, torch.float32)[None, None]
        fills = [self._image(fill) for fill in answer.fills]
        small_truth, small_hole = self._reduced(truth), _share(hole, self.side)
        small_fills = [self._reduced(fill) for fill in fills]
        truth_maps = {
            name: _Remembering(network, small_truth) for name, network in self._networks.items() if _maps(name)
        }
        rows: list[dict[str, float]] = [{} for _ in fills]
        spread: dict[str, float] = {}
        for metric in self.metrics:
            if metric.needs == "pair":
                for row, fill in zip(rows, fills, strict=True):
                    row[metric.name] = _number(metric.measure, fill, truth, hole)
            elif metric.needs == "network":
                network = truth_maps.get(metric.backbone, self._networks[metric.backbone])
                for row, fill in zip(rows, small_fills, strict=True):
                    row[metric.name] = _number(metric.measure, network, fill, small_truth, small_hole)
            elif metric.needs == "fills" and len(fills) > 1:
                spread[metric.name] = _number(metric.measure, torch.cat(fills), hole)
            elif metric.needs == "network fills" and len(fills) > 1:
                network = self._networks[metric.backbone]
                spread[metric.name] = _number(metric.measure, network, torch.cat(small_fills), small_hole)
        same = all(exact.known_exact(fill, case.pixels, case.hole) for fill in answer.fills)
        chosen = 0 if choose is None else choose(answer.scores, rows)
        return Measured(same, rows, spread, self._features(fills[chosen], truth, hole), chosen)

    def _features(self, fill: Tensor, truth: Tensor, hole: Tensor) -> dict[str, NDArray[np.float32]]:
        """Pooled features of fill and truth, whole or of the squares around the hole; the fill's classes."""
        found = {}
        kinds = dict.fromkeys((m.needs, m.backbone, m.whole) for m in self.metrics if m.needs in PER_SET)
        for needs, backbone, whole in kinds:
            network, side = self._networks[backbone], CROP[backbone]
            seen = [one if whole else perceptual.hole_crop(one, hole, side) for one in (fill, truth)]
            name = _set_of(backbone, whole)
            if needs == "probabilities":
                found[f"{name} classes"] = _row(network.probabilities(seen[0]))
                continue
            pooled = network.features if backbone == "inception" else network.pooled
            found[f"{name} fill"], found[f"{name} truth"] = (_row(pooled(one)) for one in seen)
        return found

    def over_all(self, features: Sequence[Mapping[str, NDArray[np.float32]]]) -> dict[str, float]:
        """The metrics over all photos, from what `measure` kept of each."""
        found = {}
        for metric in self.metrics:
            if metric.needs in PER_SET and len(features) > 1 and not _too_few(metric, features):
                kinds = ("classes",) if metric.needs == "probabilities" else ("fill", "truth")
                name = _set_of(metric.backbone, metric.whole)
                gathered = [torch.from_numpy(np.stack([one[f"{name} {kind}"] for one in features])) for kind in kinds]
                found[metric.name] = float(metric.measure(*gathered))
        return found

    def _image(self, pixels: Pixels) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).to(self.device).float()[None] / 255

    def _reduced(self, image: Tensor) -> Tensor:
        """At most `side` pixels at the short side; 0: as it is."""
        size = _smaller(image.shape[-2:], self.side)
        if size == tuple(image.shape[-2:]):
            return image
        return F.interpolate(image, size, mode="bicubic", antialias=True).clamp(0, 1)


class _Remembering:
    """Feature maps, computed once for the truth."""

    def __init__(self, network: Callable[[Tensor], Sequence[Tensor]], truth: Tensor) -> None:
        self.network, self.truth = network, truth
        self.maps: Sequence[Tensor] | None = None

    def __call__(self, image: Tensor) -> Sequence[Tensor]:
        if image is not self.truth:
            return self.network(image)
        if self.maps is None:
            self.maps = self.network(image)
        return self.maps


def _too_few(metric: Metric, features: Sequence[Mapping[str, NDArray[np.float32]]]) -> bool:
    """With fewer pictures than features a linear classifier parts any two sets: IDS would be 0 and say nothing."""
    name = f"{_set_of(metric.backbone, metric.whole)} fill"
    return metric.name in MODULES and len(features) <= len(features[0][name])


def _set_of(backbone: str, whole: bool) -> str:
    """Names what was kept of a picture."""
    return f"{backbone} whole" if whole else backbone


def _maps(backbone: str) -> bool:
    """Whether the network is called for its feature maps alone."""
    return backbone in FEATURES


def _smaller(size: Sequence[int], side: int) -> tuple[int, int]:
    scale = min(1.0, side / min(size)) if side else 1.0
    return round(size[0] * scale), round(size[1] * scale)


def _share(hole: Tensor, side: int) -> Tensor:
    """How much of each place is missing, at the size of the reduced pictures."""
    size = _smaller(hole.shape[-2:], side)
    return hole if size == tuple(hole.shape[-2:]) else F.interpolate(hole, size, mode="area")


def _number(measure: Callable[..., Any], *given: Any) -> float:
    """NaN for pictures that are too small for the metric."""
    try:
        return float(measure(*given))
    except BadImage:
        return math.nan


def _row(features: Tensor) -> NDArray[np.float32]:
    return features[0].float().cpu().numpy()
