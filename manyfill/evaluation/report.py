"""What came out: means with intervals, by hole ratio, side by side; as Markdown, JSON, CSV and a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, NamedTuple

from manyfill import __version__, masks
from manyfill.evaluation.cases import bin_of, photo_of
from manyfill.evaluation.journal import Row
from manyfill.evaluation.published import PROTOCOLS
from manyfill.metrics import Metric
from manyfill.metrics.intervals import Interval, bootstrap, paired

Choice = Literal["first", "ranked", "best"]
CHOICES: dict[Choice, str] = {
    "first": "first by seed",
    "ranked": "best-ranked",
    "best": "nearest to the truth",
}
ALL = "all"
MAIN = ("psnr_hole", "l1_hole", "ssim_hole", "lpips_alex", "pd_vgg", "pd_eff", "boundary_1", "gradient_jump")
BY_BIN = ("pd_eff", "pd_vgg", "lpips_alex", "psnr_hole")
JUDGES = ("lpips_alex", "pd_eff", "pd_vgg", "psnr_hole", "psnr")  # the first of them that was measured sorts the photos
PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless", "scikit-image", "pypatchmatch")


class Summary(NamedTuple):
    """A mean over photos."""

    interval: Interval
    photos: int  # behind it
    identical: int  # left out: the fill was the photo, so that PSNR is infinite


@dataclass(frozen=True, kw_only=True)
class Report:
    """The results of one evaluation."""

    settings: dict[str, Any]
    mask_hash: str  # `masks.set_hash` of the holes, in order
    sources: dict[str, dict[str, Any]]  # label -> facts, in the order given
    rows: list[Row]
    over_all: dict[str, dict[str, float]]  # label -> metrics over all photos
    metrics: list[Metric]
    networks: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # metric -> why it was not measured

    # ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def of(self, source: str, scope: str = ALL) -> list[Row]:
        """The rows of one source, of all photos or of those in one bin."""
        return [row for row in self.rows if row.source == source and scope in (ALL, scope_of(row))]

    @property
    def scopes(self) -> list[str]:
        """`all`, then the bins that occur, by ratio."""
        found = {scope_of(row) for row in self.rows}
        return [ALL, *(name for name in (*BIN_NAMES, OTHER) if name in found)]

    @property
    def shown(self) -> str:
        """Which fill of a photo the tables are of, in words."""
        return str(self.settings.get("shown", "the first fill by seed"))

    @property
    def per_photo(self) -> list[Metric]:
        """Metrics that every fill has."""
        return [m for m in self.metrics if m.needs in ("pair", "network")]

    @property
    def between(self) -> list[Metric]:
        """Metrics between the fills of one photo."""
        return [m for m in self.metrics if m.needs in ("fills", "network fills")]

    @property
    def judge(self) -> Metric:
        """The metric that sorts photos from best to worst."""
        known = {metric.name: metric for metric in self.per_photo}
        return next((known[name] for name in JUDGES if name in known), self.per_photo[0])

    def summary(self, source: str, metric: Metric, *, choice: Choice = "first", scope: str = ALL) -> Summary:
        """Mean and 95 % interval over the photos; infinite values are left out and counted."""
        rows = self.of(source, scope)
        values = [value_of(row, metric, choice) for row in rows]
        identical = sum(math.isinf(value) for value in values)
        interval = bootstrap(values, groups=self._photos(rows))
        return Summary(interval, sum(math.isfinite(value) for value in values), identical)

    def difference(self, source: str, metric: Metric, *, choice: Choice = "first", scope: str = ALL) -> Summary:
        """`source` less the first source, over the photos that both have."""
        first = {row.photo: row for row in self.of(next(iter(self.sources)), scope)}
        pairs = [(row, first[row.photo]) for row in self.of(source, scope) if row.photo in first]
        ours, theirs = ([value_of(pair[k], metric, choice) for pair in pairs] for k in (0, 1))
        finite = sum(math.isfinite(a) and math.isfinite(b) for a, b in zip(ours, theirs, strict=True))
        interval = paired(ours, theirs, groups=self._photos([row for row, _ in pairs]))
        return Summary(interval, finite, len(pairs) - finite)

    def spread(self, source: str, metric: Metric) -> Summary:
        """Mean of a metric between fills; none for sources with one answer."""
        rows = self.of(source)
        values = [row.spread.get(metric.name, math.nan) for row in rows]
        return Summary(bootstrap(values, groups=self._photos(rows)), sum(math.isfinite(value) for value in values), 0)

    def _photos(self, rows: Sequence[Row]) -> list[str]:
        """The photo of each row: one photo has several holes where there are rounds."""
        return [photo_of(row.photo, self.settings.get("rounds", 1)) for row in rows]

    def seconds(self, source: str) -> float:
        """Median seconds per fill; NaN where somebody else took the time."""
        values = sorted(second for row in self.of(source) for second in row.seconds)
        return values[len(values) // 2] if values else math.nan

    def sorted_photos(self, source: str) -> list[Row]:
        """Photos from best to worst by `judge`, first fill."""
        sign = -1 if self.judge.better == "higher" else 1
        rows = [row for row in self.of(source) if not math.isnan(value_of(row, self.judge, "first"))]
        return sorted(rows, key=lambda row: sign * value_of(row, self.judge, "first"))

    @property
    def packages(self) -> dict[str, str]:
        """Versions that the numbers may depend on."""
        found = {}
        for package in PACKAGES:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found

    @property
    def title(self) -> str:
        """Who was measured on what."""
        holes = {row.photo for row in self.rows}
        seen = len(set(self._photos(self.rows)))
        more = f" with {len(holes)} holes" if len(holes) > seen else ""
        return f"{', '.join(self.sources)} on {seen} photo{'' if seen == 1 else 's'}{more}"

    @property
    def summary_line(self) -> str:
        """Photos, masks, sizes, fills: one paragraph."""
        s = self.settings
        masks_used = {"bins": "six hole-ratio bins in turn"}.get(s["masks"], s["masks"])
        size = f"reduced to a short side of {s['size']} pixels" if s["size"] else "at their own size"
        if s.get("fit", "keep") != "keep":
            how = {"squeeze": "squeezed", "crop": "cropped about the centre"}[s["fit"]]
            size = f"{how} to {s['size']} x {s['size']} pixels"
        fills = "one fill" if s["n"] == 1 else f"up to {s['n']} fills"
        inexact = {label: sum(not row.known_exact for row in self.of(label)) for label in self.sources}
        changed = [f"{label} on {count}" for label, count in inexact.items() if count]
        return (
            f"Photos {size}; masks: {masks_used}; {fills} a photo. "
            f"Known pixels are exact on every photo{', except: ' + ', '.join(changed) if changed else ''}."
            + (f" {len(self.skipped)} skipped, see the end." if self.skipped else "")
        )

    def details(self) -> Iterator[str]:
        """What somebody needs to repeat it, one sentence a line."""
        s = self.settings
        if (published := PROTOCOLS.get(s.get("protocol", ""))) is not None:
            yield f"Protocol {published.name}: {published.says}."
            yield from (f"Differs: {line}" for line in published.differs)
        yield f"Masks: {s['masks']}, seed {s['seed']}; hash of the set {self.mask_hash}."
        yield f"Feature maps are compared at a short side of {s['perceptual_size'] or 'the photo’s own'} pixels."
        for label, facts in self.sources.items():
            yield f"{label}: {', '.join(f'{key} {value}' for key, value in facts.items() if value not in (label, ''))}."
        for name, origin in self.networks.items():
            yield f"Network {name}: weights {origin}."
        yield f"manyfill {__version__}; {', '.join(f'{name} {number}' for name, number in self.packages.items())}."
        for name, why in self.skipped.items():
            yield f"Skipped: {name}: {why}"
        for why in dict.fromkeys(self.left_out.values()):
            yield f"Not measured: {', '.join(name for name, own in self.left_out.items() if own == why)}: {why}"


def scope_of(row: Row) -> str:
    """The bin of a row's hole."""
    found = bin_of(row.hole_ratio)
    return OTHER if found is None else BIN_NAMES[found]


def value_of(row: Row, metric: Metric, choice: Choice) -> float:
    """The value of one photo; NaN where there is none."""
    if choice == "best":
        values = [fill.get(metric.name, math.nan) for fill in row.fills]
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return math.nan
        return best_of(known, metric)
    k = 0
    if choice == "ranked":
        scores = [-math.inf if score is None else score for score in row.scores]
        k = max(range(len(scores)), key=lambda i: (scores[i], -i))
    return row.fills[k].get(metric.name, math.nan)


def best_of(values: Sequence[float], metric: Metric) -> float:
    """The best by a metric's direction."""
    if metric.better == "zero":
        return min(values, key=abs)
    return min(values) if metric.better == "lower" else max(values)


BIN_NAMES = tuple(f"{low:.0%}–{high:.0%}".replace("%–", "–") for low, high in masks.BINS)
OTHER = "other"
