"""A report as files: Markdown, JSON, CSV and a page, each written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from manyfill import __version__, files
from manyfill.evaluation.page import to_html
from manyfill.evaluation.report import CHOICES, Report, Summary
from manyfill.evaluation.tables import tables

FILES = ("report.md", "report.json", "report.csv", "report.html")


def write(report: Report, out: Path | str) -> list[Path]:
    """report.md, report.json, report.csv and report.html, each atomically."""
    out = Path(out)
    texts = (to_markdown(report), to_json(report), to_csv(report), to_html(report, out))
    contents = dict(zip(FILES, texts, strict=True))
    out.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        files.write_atomic(out / name, text.encode())
    return [out / name for name in contents]


def to_json(report: Report) -> str:
    """All means, intervals and differences; every photo's numbers are in the CSV."""
    results: dict[str, Any] = {}
    for label in report.sources:
        results[label] = {
            "per_photo": {
                scope: {
                    metric.name: {c: _plain(report.summary(label, metric, choice=c, scope=scope)) for c in CHOICES}
                    for metric in report.per_photo
                }
                for scope in report.scopes
            },
            "between_fills": {metric.name: _plain(report.spread(label, metric)) for metric in report.between},
            "over_all_photos": {name: _finite(value) for name, value in report.over_all[label].items()},
            "less_first_source": {
                metric.name: {c: _plain(report.difference(label, metric, choice=c)) for c in CHOICES}
                for metric in report.per_photo
            },
            "seconds_per_fill": _finite(report.seconds(label)),
            "known_pixels_exact": sum(row.known_exact for row in report.of(label)),
            "photos": len(report.of(label)),
        }
    whole = {
        "version": __version__,
        "packages": report.packages,
        "settings": report.settings,
        "mask_hash": report.mask_hash,
        "sources": report.sources,
        "networks": report.networks,
        "metrics": {
            m.name: {"title": m.title, "unit": m.unit, "better": m.better, "source": m.source} for m in report.metrics
        },
        "results": results,
        "skipped": report.skipped,
        "not_measured": report.left_out,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """One line per fill, so that anyone can test pairs."""
    names = [metric.name for metric in report.per_photo]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["photo", "source", "hole_ratio", "height", "width", "fill", "seed", "score", "seconds", *names])
    for row in report.rows:
        for k, fill in enumerate(row.fills):
            score = "" if row.scores[k] is None else f"{row.scores[k]:.6g}"
            seconds = f"{row.seconds[k]:.4f}" if row.seconds else ""
            facts = [row.photo, row.source, f"{row.hole_ratio:.6f}", row.height, row.width]
            table.writerow([*facts, k + 1, row.seeds[k], score, seconds, *(f"{fill[name]:.6g}" for name in names)])
    return text.getvalue()


def to_markdown(report: Report) -> str:
    """The tables, readable in a terminal."""
    lines = [f"# {report.title}", "", report.summary_line, ""]
    for table in tables(report):
        lines += table.to_markdown()
    lines += ["## How it was measured", "", *(f"- {line}" for line in report.details())]
    return "\n".join(lines).rstrip() + "\n"


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
