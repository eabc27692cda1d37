"""Metrics against the hole ratio, as SVG; needs matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from manyfill.evaluation.report import Report, value_of
from manyfill.metrics import Metric

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00", "#555555")  # Okabe and Ito's
MARKERS = "osD^vPX*"  # so that lines differ without colours
WIDE = 4.3  # inches, one plot


def against_ratio(report: Report, metrics: Sequence[Metric]) -> str:
    """One plot beside the other: each photo a faint dot, each bin's mean a mark with its 95 % interval.

    An <svg> element, texts as text. Raises ImportError without matplotlib.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        "svg.hashsalt": "manyfill",
    }
    with rc_context(style):
        figure = Figure(figsize=(WIDE * len(metrics), 3.4), layout="constrained")
        axes = figure.subplots(1, len(metrics), squeeze=False)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            for number, label in enumerate(report.sources):
                colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
                values = [(100 * row.hole_ratio, value_of(row, metric, "first")) for row in report.of(label)]
                finite = [(ratio, value) for ratio, value in values if math.isfinite(value)]
                if finite:
                    axis.scatter(*zip(*finite, strict=True), s=7, color=colour, alpha=0.25, linewidths=0)
                means = []
                for scope in report.scopes[1:]:
                    rows = report.of(label, scope)
                    interval = report.summary(label, metric, scope=scope).interval
                    if rows and math.isfinite(interval.mean):
                        ratio = 100 * sum(row.hole_ratio for row in rows) / len(rows)
                        means.append((ratio, *interval))
                if not means:
                    continue
                ratios, mean, low, high = zip(*sorted(means), strict=True)
                shift = 0.25 * (number - (len(report.sources) - 1) / 2)  # so that bars do not hide each other
                x = [ratio + shift for ratio in ratios]
                axis.plot(x, mean, marker=marker, markersize=4.5, linewidth=1.4, color=colour, label=label)
                bars = [
                    (m - a, b - m) if math.isfinite(b - a) else (0, 0) for m, a, b in zip(mean, low, high, strict=True)
                ]
                below, above = zip(*bars, strict=True)
                axis.errorbar(x, mean, [below, above], fmt="none", ecolor=colour, elinewidth=0.9, capsize=2)
            axis.set_title(metric.header, fontsize=10)
            axis.set_xlabel("hole [% of the photo]")
            axis.grid(color="#dddddd", linewidth=0.5)
            axis.spines[["top", "right"]].set_visible(False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return text.getvalue()[text.getvalue().index("<svg") :]
