"""One page to look at, with everything inside: tables, plots, the best, median and worst photos with their fills."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Sequence
from pathlib import Path

from manyfill.evaluation import pictures
from manyfill.evaluation.journal import Row
from manyfill.evaluation.report import Report, value_of
from manyfill.evaluation.tables import Table, tables

PLOTTED = ("pd_eff", "pd_vgg", "psnr_hole", "boundary_1")  # at most three of them
STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --faint: #6b6b70; --line: #dcdce0; --paper: #fafaf8; --best: #e3f1e6 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eaeaec; --faint: #9a9aa0; --line: #3a3a3e; --paper: #1a1a1c; --best: #21402a }
  .plots { background: #fafaf8; border-radius: 8px }
}
body { margin: 0 auto; max-width: 1320px; padding: 24px 28px 80px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif }
h1 { font-size: 24px; margin: 8px 0 4px }
h2 { font-size: 18px; margin: 44px 0 4px }
h3 { font-size: 15px; margin: 26px 0 8px }
p { margin: 4px 0 12px; max-width: 78ch }
.faint, .facts { color: var(--faint) }
.facts { font-size: 13px; padding-left: 18px; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 6px 14px 6px 0; text-align: right; white-space: nowrap; vertical-align: top }
th { font-weight: 600; font-size: 13px; line-height: 1.3; border-bottom: 1.5px solid var(--ink); vertical-align: bottom;
  white-space: normal; min-width: 64px }
.unit { white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-right: 22px }
td { border-bottom: 1px solid var(--line) }
td small { display: block; color: var(--faint); font-size: 11.5px; line-height: 1.25 }
td b { font-weight: 400 }
td.best b { background: var(--best); border-radius: 4px; padding: 1px 5px; margin-right: -5px; font-weight: 650 }
.plots svg { width: 100%; height: auto }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 10px; margin: 6px 0 14px }
.strip { grid-template-columns: repeat(auto-fill, minmax(146px, 1fr)); gap: 8px }
figure { margin: 0 }
figure img { width: 100%; display: block; border-radius: 4px }
figcaption { font-size: 12.5px; color: var(--faint); margin-top: 3px }
figcaption b { color: var(--ink); font-weight: 600 }
"""


def to_html(report: Report, out: Path) -> str:
    """The page; pictures come from what the run kept in `out`."""
    body = [f"<h1>{_text(report.title)}</h1>", f"<p>{_text(report.summary_line)}</p>"]
    found = tables(report)
    for table in found[:1]:
        body += _table(table)
    body += _plots(report)
    body += _examples(report, out)
    for table in found[1:]:
        body += _table(table)
    details = "".join(f"<li>{_text(line)}</li>" for line in report.details())
    body += ["<h2>How it was measured</h2>", f"<ul class='facts'>{details}</ul>"]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{_text(report.title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _table(table: Table) -> Iterator[str]:
    yield f"<h2>{_text(table.title)}</h2>"
    if table.note:
        yield f"<p class='faint'>{_text(table.note)}</p>"
    yield "<div class='wide'><table><tr>" + "".join(f"<th>{_head(cell)}</th>" for cell in table.head) + "</tr>"
    for number, row in enumerate(table.cells):
        cells = [f"<td>{_text(row[0])}</td>"]
        for column, cell in enumerate(row[1:], start=1):
            mean, _, interval = cell.partition(" (")
            small = f"<small>{_text(interval.rstrip(')'))}</small>" if interval else ""
            best = " class='best'" if (number, column) in table.best else ""
            cells.append(f"<td{best}><b>{_text(mean)}</b>{small}</td>")
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table></div>"


def _head(cell: str) -> str:
    """A column's head: it may be broken between words, but not within the unit or before the arrow."""
    title, bracket, unit = cell.partition(" [")
    if bracket:
        return f"{_text(title)} <span class='unit'>[{_text(unit)}</span>"
    return _text(title).replace(" ↓", "&nbsp;↓").replace(" ↑", "&nbsp;↑")


def _plots(report: Report) -> Iterator[str]:
    known = {metric.name: metric for metric in report.per_photo}
    if not known:
        return
    chosen = [known[name] for name in PLOTTED if name in known][:3] or report.per_photo[:1]
    yield "<h2>Against the size of the hole</h2>"
    try:
        from manyfill.evaluation.plots import against_ratio

        svg = against_ratio(report, chosen)
    except ImportError:
        yield "<p class='faint'>No plots: they need matplotlib. pip install 'manyfill[evaluate]', then run again.</p>"
        return
    shown = _text(report.shown)
    yield f"<p class='faint'>Dots: photos. Marks: means of the bins with their 95 % intervals; {shown}.</p>"
    yield f"<div class='plots'>{svg}</div>"


def _examples(report: Report, out: Path) -> Iterator[str]:
    """The best, the median and the worst photo of the first source, with everybody's fills."""
    first = next(iter(report.sources))
    rows = report.sorted_photos(first) if report.per_photo else []
    rows = [row for row in rows if pictures.find(out, row.photo, "truth")]
    if not rows:
        return
    yield f"<h2>Best, median and worst photo of {_text(first)}</h2>"
    order = _text(report.judge.header)
    yield f"<p class='faint'>Sorted by {order} of the first fill. Shown: the hole and what is around it.</p>"
    picked = {"best": rows[0], "median": rows[len(rows) // 2], "worst": rows[-1]}
    for words, row in picked.items():
        yield f"<h3>{words.capitalize()}: {_text(row.photo)}, {100 * row.hole_ratio:.0f} % missing</h3>"
        yield from _photo(report, out, row)


def _photo(report: Report, out: Path, row: Row) -> Iterator[str]:
    shown = [("truth", "<b>photo</b>"), ("hole", "<b>hole</b>")]
    for label in report.sources:
        values = [value_of(other, report.judge, "first") for other in report.of(label) if other.photo == row.photo]
        caption = f"<b>{_text(label)}</b>" + (f" {values[0]:.3g}" if values else "")
        shown.append((f"{pictures.safe(label)}_1", caption))
    yield from _row(out, row.photo, shown)
    for label in report.sources:
        name = pictures.safe(label)
        fills = [(f"{name}_{k}", f"fill {k}") for k in range(1, pictures.STRIP + 1)]
        maps = [(f"{name}_uncertainty", "where the fills disagree"), (f"{name}_alpha", "alpha: white is newly drawn")]
        found = [(which, words) for which, words in [*fills, *maps] if pictures.find(out, row.photo, which)]
        if len(found) > 1:
            yield f"<div class='faint'>{_text(label)}</div>"
            yield from _row(out, row.photo, found, kind="row strip")


def _row(out: Path, photo: str, shown: Sequence[tuple[str, str]], *, kind: str = "row") -> Iterator[str]:
    """Pictures side by side; captions are HTML."""
    yield f"<div class='{kind}'>"
    for which, caption in shown:
        path = pictures.find(out, photo, which)
        if path is not None:
            data = base64.b64encode(path.read_bytes()).decode()
            picture = f"<img alt='{_text(which)}' src='data:image/jpeg;base64,{data}'>"
            yield f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
    yield "</div>"


def _text(text: str) -> str:
    return html.escape(text, quote=True)
