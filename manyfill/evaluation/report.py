"""What came out: means with intervals, by hole ratio, side by side; as Markdown, JSON, CSV and a page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from manyfill import __version__, masks, photos
from manyfill.evaluation.journal import Row
from manyfill.evaluation.protocol import bin_of, photo_of
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

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, out: Path | str) -> list[Path]:
        """report.md, report.json, report.csv and report.html, each atomically."""
        from manyfill.evaluation.page import to_html

        out = Path(out)
        contents = {
            "report.md": self.to_markdown(),
            "report.json": self.to_json(),
            "report.csv": self.to_csv(),
            "report.html": to_html(self, out),
        }
        out.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            photos.write_atomic(out / name, text.encode())
        return [out / name for name in contents]

    def to_json(self) -> str:
        """All means, intervals and differences; every photo's numbers are in the CSV."""
        tables: dict[str, Any] = {}
        for label in self.sources:
            tables[label] = {
                "per_photo": {
                    scope: {
                        metric.name: {c: _plain(self.summary(label, metric, choice=c, scope=scope)) for c in CHOICES}
                        for metric in self.per_photo
                    }
                    for scope in self.scopes
                },
                "between_fills": {metric.name: _plain(self.spread(label, metric)) for metric in self.between},
                "over_all_photos": {name: _finite(value) for name, value in self.over_all[label].items()},
                "less_first_source": {
                    metric.name: {c: _plain(self.difference(label, metric, choice=c)) for c in CHOICES}
                    for metric in self.per_photo
                },
                "seconds_per_fill": _finite(self.seconds(label)),
                "known_pixels_exact": sum(row.known_exact for row in self.of(label)),
                "photos": len(self.of(label)),
            }
        whole = {
            "version": __version__,
            "packages": self.packages,
            "settings": self.settings,
            "mask_hash": self.mask_hash,
            "sources": self.sources,
            "networks": self.networks,
            "metrics": {
                m.name: {"title": m.title, "unit": m.unit, "better": m.better, "source": m.source} for m in self.metrics
            },
            "results": tables,
            "skipped": self.skipped,
            "not_measured": self.left_out,
        }
        return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """One line per fill, so that anyone can test pairs."""
        names = [metric.name for metric in self.per_photo]
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["photo", "source", "hole_ratio", "height", "width", "fill", "seed", "score", "seconds", *names])
        for row in self.rows:
            for k, fill in enumerate(row.fills):
                score = "" if row.scores[k] is None else f"{row.scores[k]:.6g}"
                seconds = f"{row.seconds[k]:.4f}" if row.seconds else ""
                facts = [row.photo, row.source, f"{row.hole_ratio:.6f}", row.height, row.width]
                table.writerow([*facts, k + 1, row.seeds[k], score, seconds, *(f"{fill[name]:.6g}" for name in names)])
        return text.getvalue()

    def to_markdown(self) -> str:
        """The tables, readable in a terminal."""
        lines = [f"# {self.title}", "", self.summary_line, ""]
        for table in self.tables():
            lines += table.to_markdown()
        lines += ["## How it was measured", "", *(f"- {line}" for line in self.details())]
        return "\n".join(lines).rstrip() + "\n"

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

    def tables(self) -> list[Table]:
        """Those of Markdown and page, in order."""
        known = {metric.name: metric for metric in self.per_photo}
        main = [known[name] for name in MAIN if name in known] or self.per_photo
        rest = [metric for metric in self.per_photo if metric not in main]
        several = any(len(row.fills) > 1 for row in self.rows)
        found = [self._overview(main)]
        found += [self._by_bin(known[name]) for name in BY_BIN if name in known and len(self.scopes) > 2]
        if len(self.sources) > 1:
            found.append(self._differences(main))
        if several:
            found += [self._choices(main), self._between()]
        if any(self.over_all.values()):
            found.append(self._sets())
        if rest:
            found.append(self._overview(rest, title="The other metrics", more=False))
        return [table for table in found if table.cells]

    def _overview(self, metrics: Sequence[Metric], *, title: str = "One fill a photo", more: bool = True) -> Table:
        head = ["", *(metric.header for metric in metrics), *(["s per fill"] if more else [])]
        cells = []
        for label in self.sources:
            values = [_mean(self.summary(label, metric)) for metric in metrics]
            cells.append([label, *values, *([_digits(self.seconds(label))] if more else [])])
        note = ""
        if more:
            note = "The first fill by seed; mean over the photos and 95 % interval (bootstrap)."
            if self.settings.get("rounds", 1) > 1:
                note = "The first fill by seed; mean over all holes and 95 % interval (bootstrap over the photos)."
        identical = sum(self.summary(label, metric).identical for label in self.sources for metric in metrics)
        if identical:
            note += f" {identical} values of pictures identical with the photo (infinite PSNR) are left out."
        return Table(
            title, note, head, cells, _best(metrics, [[self.summary(s, m) for m in metrics] for s in self.sources])
        )

    def _by_bin(self, metric: Metric) -> Table:
        scopes = self.scopes[1:]
        counts = {scope: max(len(self.of(label, scope)) for label in self.sources) for scope in scopes}
        head = ["", *(f"{scope} ({counts[scope]})" for scope in scopes)]
        summaries = [[self.summary(label, metric, scope=scope) for scope in scopes] for label in self.sources]
        cells = [[label, *map(_mean, row)] for label, row in zip(self.sources, summaries, strict=True)]
        note = "By hole ratio (photos); the first fill by seed."
        return Table(metric.header, note, head, cells, _best([metric] * len(scopes), summaries))

    def _differences(self, metrics: Sequence[Metric]) -> Table:
        first, *others = self.sources
        cells = [[label, *(_mean(self.difference(label, m), sign=True) for m in metrics)] for label in others]
        note = f"Each less {first}, photo by photo; an interval without 0 tells the two apart. First fill by seed."
        return Table(f"Differences to {first}", note, ["", *(metric.header for metric in metrics)], cells)

    def _choices(self, metrics: Sequence[Metric]) -> Table:
        cells = []
        for label in self.sources:
            if all(len(row.fills) < 2 for row in self.of(label)):
                continue
            for choice, words in CHOICES.items():
                cells.append([f"{label}, {words}", *(_mean(self.summary(label, m, choice=choice)) for m in metrics)])
        note = (
            f"Of {self.settings['n']} fills: the first by seed, the one that the source ranks first, and, metric "
            "by metric, the one nearest to the truth: an oracle’s choice that tells how well they cover it."
        )
        return Table("Which of the fills", note, ["", *(metric.header for metric in metrics)], cells)

    def _between(self) -> Table:
        cells = []
        for label in self.sources:
            summaries = [self.spread(label, metric) for metric in self.between]
            if any(summary.photos for summary in summaries):
                cells.append([label, *map(_mean, summaries)])
        note = f"Mean over all pairs of the {self.settings['n']} fills of a photo."
        return Table("How different the fills are", note, ["", *(metric.header for metric in self.between)], cells)

    def _sets(self) -> Table:
        metrics = [metric for metric in self.metrics if any(metric.name in found for found in self.over_all.values())]
        cells = [
            [label, *(_digits(found.get(m.name, math.nan)) for m in metrics)] for label, found in self.over_all.items()
        ]
        count = max(len(self.of(label)) for label in self.sources)
        note = (
            f"Distances between two sets of {count} squares around the holes: of first fills and of truths. Fréchet "
            "distances depend on how many there are: compare within this table only."
        )
        return Table("All photos as a set", note, ["", *(metric.header for metric in metrics)], cells)


@dataclass(frozen=True)
class Table:
    """One table: cells are ready to print."""

    title: str
    note: str
    head: list[str]
    cells: list[list[str]]
    best: frozenset[tuple[int, int]] = frozenset()  # (row, column) of the best of each column

    def to_markdown(self, *, level: int = 2) -> list[str]:
        """Heading of that level, note and table, then an empty line."""
        lines = [f"{'#' * level} {self.title}", "", *([self.note, ""] if self.note else [])]
        lines += [_pipe(self.head), _pipe(["---"] + ["---:"] * (len(self.head) - 1))]
        return [*lines, *(_pipe(row) for row in self.cells), ""]


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


def _best(metrics: Sequence[Metric], summaries: Sequence[Sequence[Summary]]) -> frozenset[tuple[int, int]]:
    """Where the best mean of each column stands; (row, column) with the label as column 0."""
    found = set()
    for column, metric in enumerate(metrics):
        means = [row[column].interval.mean for row in summaries]
        known = [mean for mean in means if math.isfinite(mean)]
        if len(known) > 1:
            target = best_of(known, metric)
            found |= {(k, column + 1) for k, mean in enumerate(means) if mean == target}
    return frozenset(found)


def _mean(summary: Summary, *, sign: bool = False) -> str:
    mean, low, high = summary.interval
    if math.isnan(mean):
        return "–"
    digits = _places(mean, high - low)
    plus = "+" if sign else ""
    if math.isnan(low):
        return f"{mean:{plus}.{digits}f}"
    return f"{mean:{plus}.{digits}f} ({low:{plus}.{digits}f} … {high:{plus}.{digits}f})"


def _places(mean: float, width: float) -> int:
    """Decimals that say something: two figures of the interval's width, or three of the mean, whichever are more."""
    wanted = [k - math.floor(math.log10(abs(x))) for k, x in ((2, mean), (1, width)) if x and math.isfinite(x)]
    return min(max([*wanted, 0]), 4)


def _digits(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _plain(summary: Summary) -> dict[str, Any]:
    mean, low, high = summary.interval
    return {
        "mean": _finite(mean),
        "low": _finite(low),
        "high": _finite(high),
        "photos": summary.photos,
        "identical": summary.identical,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _pipe(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
