"""The tables of a report, ready to print: who is best at what, by hole ratio, which of the fills, how different."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from manyfill.evaluation.report import CHOICES, Report, Summary, best_of
from manyfill.metrics import Metric

MAIN = (
    "psnr_hole",
    "l1_hole",
    "ssim_hole",
    "lpips_alex",
    "lpips_vgg",
    "pd_vgg",
    "pd_eff",
    "boundary_1",
    "gradient_jump",
)
BY_BIN = ("pd_eff", "pd_vgg", "lpips_alex", "psnr_hole")


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


def tables(report: Report) -> list[Table]:
    """Those of Markdown and page, in order."""
    known = {metric.name: metric for metric in report.per_photo}
    main = [known[name] for name in MAIN if name in known] or list(report.per_photo)
    rest = [metric for metric in report.per_photo if metric not in main]
    several = any(len(row.fills) > 1 for row in report.rows)
    found = [_overview(report, main)] if main else []
    found += [_by_bin(report, known[name]) for name in BY_BIN if name in known and len(report.scopes) > 2]
    if len(report.sources) > 1 and main:
        found.append(_differences(report, main))
    if several:
        found += [_choices(report, main)] if main else []
        found.append(_between(report))
    if any(report.over_all.values()):
        found.append(_sets(report))
    if rest:
        found.append(_overview(report, rest, title="The other metrics", more=False))
    return [table for table in found if table.cells]


def _overview(
    report: Report, metrics: Sequence[Metric], *, title: str = "One fill a photo", more: bool = True
) -> Table:
    head = ["", *(metric.header for metric in metrics), *(["s per fill"] if more else [])]
    cells = []
    for label in report.sources:
        values = [_mean(report.summary(label, metric)) for metric in metrics]
        cells.append([label, *values, *([_digits(report.seconds(label))] if more else [])])
    note = ""
    if more:
        note = f"{_capital(report.shown)}; mean over the photos and 95 % interval (bootstrap)."
        if report.settings.get("rounds", 1) > 1:
            note = f"{_capital(report.shown)}; mean over all holes and 95 % interval (bootstrap over the photos)."
    identical = sum(report.summary(label, metric).identical for label in report.sources for metric in metrics)
    if identical:
        note += f" {identical} values of pictures identical with the photo (infinite PSNR) are left out."
    return Table(
        title, note, head, cells, _best(metrics, [[report.summary(s, m) for m in metrics] for s in report.sources])
    )


def _by_bin(report: Report, metric: Metric) -> Table:
    scopes = report.scopes[1:]
    counts = {scope: max(len(report.of(label, scope)) for label in report.sources) for scope in scopes}
    head = ["", *(f"{scope} ({counts[scope]})" for scope in scopes)]
    summaries = [[report.summary(label, metric, scope=scope) for scope in scopes] for label in report.sources]
    cells = [[label, *map(_mean, row)] for label, row in zip(report.sources, summaries, strict=True)]
    note = f"By hole ratio (photos); {report.shown}."
    return Table(metric.header, note, head, cells, _best([metric] * len(scopes), summaries))


def _differences(report: Report, metrics: Sequence[Metric]) -> Table:
    first, *others = report.sources
    cells = [[label, *(_mean(report.difference(label, m), sign=True) for m in metrics)] for label in others]
    note = f"Each less {first}, photo by photo; an interval without 0 tells the two apart. {_capital(report.shown)}."
    return Table(f"Differences to {first}", note, ["", *(metric.header for metric in metrics)], cells)


def _choices(report: Report, metrics: Sequence[Metric]) -> Table:
    cells = []
    for label in report.sources:
        if all(len(row.fills) < 2 for row in report.of(label)):
            continue
        for choice, words in CHOICES.items():
            cells.append([f"{label}, {words}", *(_mean(report.summary(label, m, choice=choice)) for m in metrics)])
    note = (
        f"Of {report.settings['n']} fills: the first by seed, the one that the source ranks first, and, metric "
        "by metric, the one nearest to the truth: an oracle’s choice that tells how well they cover it."
    )
    return Table("Which of the fills", note, ["", *(metric.header for metric in metrics)], cells)


def _between(report: Report) -> Table:
    cells = []
    for label in report.sources:
        summaries = [report.spread(label, metric) for metric in report.between]
        if any(summary.photos for summary in summaries):
            cells.append([label, *map(_mean, summaries)])
    note = f"Mean over all pairs of the {report.settings['n']} fills of a photo."
    return Table("How different the fills are", note, ["", *(metric.header for metric in report.between)], cells)


def _sets(report: Report) -> Table:
    metrics = [metric for metric in report.metrics if any(metric.name in found for found in report.over_all.values())]
    cells = [
        [label, *(_digits(found.get(m.name, math.nan)) for m in metrics)] for label, found in report.over_all.items()
    ]
    count = max(len(report.of(label)) for label in report.sources)
    note = (
        f"Distances between two sets of {count} pictures, fills and truths: {report.shown}. FID, KID, P-IDS, U-IDS and "
        "IS are of whole pictures, all others of the squares around the holes. Fréchet distances depend on how many "
        "pictures there are: compare within this table only."
    )
    return Table("All photos as a set", note, ["", *(metric.header for metric in metrics)], cells)


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


def _pipe(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
