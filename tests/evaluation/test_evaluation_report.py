"""Means, intervals and choices by hand; files that programs and people can read."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from manyfill.evaluation import writing
from manyfill.evaluation.journal import Row
from manyfill.evaluation.report import Report, Summary, value_of
from manyfill.evaluation.tables import _mean
from manyfill.metrics import METRICS
from manyfill.metrics.intervals import Interval


def row(source: str, photo: str, psnr: list[float], *, ratio: float = 0.05, scores: list[float] | None = None) -> Row:
    return Row(
        key=f"{source}{photo}", source=source, photo=photo, height=4, width=4, hole_ratio=ratio,
        seeds=list(range(len(psnr))), scores=list(scores or [None] * len(psnr)), seconds=[0.5] * len(psnr),
        known_exact=source != "theirs", fills=[{"psnr_hole": x, "gradient_jump": -min(x, 99)} for x in psnr],
        spread={} if len(psnr) == 1 else {"diversity_l1": float(len(psnr))}, features={},
    )  # fmt: skip


@pytest.fixture
def report() -> Report:
    rows = [
        row("ours", "a", [20, 30, 25], scores=[0.1, 0.2, 0.9]),
        row("theirs", "a", [18]),
        row("ours", "b", [10, 12, 14], ratio=0.25, scores=[3, 2, 1]),
        row("theirs", "b", [16], ratio=0.25),
        row("ours", "c", [math.inf, 15, 15], ratio=0.25, scores=[0, 0, 0]),
        row("theirs", "c", [12], ratio=0.25),
    ]
    names = ("psnr_hole", "gradient_jump", "diversity_l1", "kd_eff")
    return Report(
        settings={"masks": "bins", "size": 512, "seed": 0, "n": 3, "perceptual_size": 256, "data": ["photos"]},
        mask_hash="ab" * 32,
        sources={"ours": {"kind": "model", "name": "ours", "sha256": "0" * 64}, "theirs": {"kind": "folder"}},
        rows=rows,
        over_all={"ours": {"kd_eff": 0.5}, "theirs": {}},
        metrics=[METRICS[name] for name in names],
        networks={},
        skipped={"broken": "no picture"},
        left_out={"fid": "no file"},
    )


PSNR, JUMP = METRICS["psnr_hole"], METRICS["gradient_jump"]


def test_choices_are_first_best_ranked_and_nearest(report: Report) -> None:
    a = report.of("ours")[0]
    assert [value_of(a, PSNR, choice) for choice in ("first", "ranked", "best")] == [20, 25, 30]  # type: ignore[arg-type]
    assert value_of(a, JUMP, "best") == -20  # the nearer to zero the better
    assert value_of(report.of("theirs")[0], PSNR, "ranked") == 18


def test_identical_pictures_are_left_out_and_counted(report: Report) -> None:
    summary = report.summary("ours", PSNR)
    assert summary.interval.mean == 15 and (summary.photos, summary.identical) == (2, 1)
    assert "1 values of pictures identical" in writing.to_markdown(report)


def test_holes_of_one_photo_are_not_counted_as_photos(report: Report) -> None:
    rows = [row("ours", name, [value]) for name, value in [("a", 20), ("b@2x", 30), ("a@2", 22), ("b@2x@2", 32)]]
    twice = replace(report, rows=rows, sources={"ours": {}}, over_all={"ours": {}}, settings=report.settings)
    assert twice.title == "ours on 4 photos"
    twice = replace(twice, settings=report.settings | {"rounds": 2})
    assert twice.title == "ours on 2 photos with 4 holes" and "bootstrap over the photos" in writing.to_markdown(twice)
    once = replace(twice, rows=[row("ours", "a", [21]), row("ours", "b@2x", [31])], settings=report.settings)
    assert twice.summary("ours", PSNR).interval == once.summary("ours", PSNR).interval
    assert replace(once, rows=once.rows[:1]).title == "ours on 1 photo"


def test_bins_hold_their_photos(report: Report) -> None:
    assert report.scopes == ["all", "1–10%", "20–30%"]
    assert report.summary("theirs", PSNR, scope="20–30%").interval.mean == 14
    assert len(report.of("ours", "1–10%")) == 1


def test_differences_are_of_the_same_photos(report: Report) -> None:
    summary = report.difference("theirs", PSNR)
    assert summary.interval.mean == ((18 - 20) + (16 - 10)) / 2 and summary.photos == 2


def test_photos_are_sorted_by_the_judge(report: Report) -> None:
    assert report.judge is PSNR
    assert [one.photo for one in report.sorted_photos("theirs")] == ["a", "b", "c"]


def test_json_has_every_mean_and_no_nan(report: Report) -> None:
    found = json.loads(writing.to_json(report), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    ours = found["results"]["ours"]
    assert ours["per_photo"]["all"]["psnr_hole"]["first"]["mean"] == 15
    assert ours["between_fills"]["diversity_l1"]["photos"] == 3
    assert ours["over_all_photos"] == {"kd_eff": 0.5} and ours["seconds_per_fill"] == 0.5
    assert found["results"]["theirs"]["known_pixels_exact"] == 0
    assert found["mask_hash"] == "ab" * 32 and found["skipped"] == {"broken": "no picture"}


def test_csv_has_a_line_for_every_fill(report: Report) -> None:
    lines = list(csv.DictReader(io.StringIO(writing.to_csv(report))))
    assert len(lines) == 3 * 3 + 3
    assert [line["psnr_hole"] for line in lines if line["photo"] == "b"] == ["10", "12", "14", "16"]
    assert lines[0]["score"] == "0.1" and lines[3]["score"] == ""


def test_markdown_says_what_is_not_exact_what_is_skipped_and_what_is_missing(report: Report) -> None:
    text = writing.to_markdown(report)
    assert "exact on every photo, except: theirs on 3." in text
    assert "Skipped: broken: no picture" in text and "Not measured: fid: no file" in text
    widths = {
        line.count("|") for table in text.split("\n\n") if table.startswith("|") for line in [table.split("\n")[0]]
    }
    for table in (part for part in text.split("\n\n") if part.startswith("|")):
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1, table
    assert widths


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((18.04, 16.62, 19.51), "18.0 (16.6 … 19.5)"),
        ((20.0, 19.98, 20.02), "20.000 (19.980 … 20.020)"),
        ((0.5312, 0.38, 0.69), "0.531 (0.380 … 0.690)"),
        ((1234.0, 900.0, 1500.0), "1234 (900 … 1500)"),
        ((0.0, 0.0, 0.0), "0 (0 … 0)"),
        ((5.0, math.nan, math.nan), "5.00"),
        ((math.nan, math.nan, math.nan), "–"),
    ],
)
def test_numbers_have_as_many_places_as_say_something(interval: tuple[float, float, float], text: str) -> None:
    assert _mean(Summary(Interval(*interval), 3, 0)) == text
