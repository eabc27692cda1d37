"""The whole way: `evaluate` and the command, interrupted, with broken photos, in two processes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyfill import evaluation, masks
from manyfill.cli import run
from manyfill.completer import Completer
from manyfill.errors import BadImage, ManyfillError
from manyfill.evaluation import Cases, Filling, Setup, evaluate, write_set, writing
from manyfill.evaluation.cases import Case
from manyfill.evaluation.sources import Answer
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1, fusion_scales=2)
QUICK = ["psnr_hole", "l1_hole", "boundary_1", "diversity_l1_hole"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for seed in range(6):
        small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((60, 40), Image.Resampling.BICUBIC).save(tmp_path / "data" / f"p{seed}.png")
    return tmp_path / "data"


@pytest.fixture
def tiny() -> Filling:
    torch.manual_seed(0)
    return Filling(Completer.of_net(PICNet(TINY).eval(), name="tiny", sha256="0" * 64), texture="net", label="tiny")


def test_sources_are_measured_side_by_side(data: Path, tiny: Filling, tmp_path: Path) -> None:
    report = evaluate([tiny, "telea"], data, n=3, metrics=QUICK, out=tmp_path / "out")
    assert [len(report.of(label)) for label in ("tiny", "telea")] == [6, 6]
    assert {len(row.fills) for row in report.of("tiny")} == {3} and {len(row.fills) for row in report.of("telea")} == {
        1
    }
    assert all(row.known_exact for row in report.rows)
    holes = [masks.read_hole(report_hole(data, index)) for index in range(6)]
    assert report.mask_hash == masks.set_hash(holes)
    files = writing.write(report, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert [path.name for path in files] == ["report.md", "report.json", "report.csv", "report.html"]
    assert not re.findall(r"""(?:src|href)=['"](?!data:|#)""", page), "the page must need no other file"
    assert page.count("data:image/jpeg") > 3 * (2 + 2 + 3 + 2) - 1
    assert "<svg" in page


def report_hole(data: Path, index: int) -> np.ndarray:
    from manyfill.evaluation import Cases

    return Cases(data, Setup()).hole(index, 40, 60)


def test_the_numbers_are_those_of_the_fills(data: Path, tmp_path: Path) -> None:
    count, skipped = write_set(data, tmp_path / "set", Setup(masks="center"))
    assert (count, skipped) == (6, {})
    telea = Completer.from_pretrained("telea")
    for path in sorted((tmp_path / "set" / "photos").glob("*.png")):
        (fill,) = telea.complete(path, tmp_path / "set" / "masks" / path.name)
        (tmp_path / "theirs").mkdir(exist_ok=True)
        fill.save(tmp_path / "theirs" / path.name)
    report = evaluate(["telea", tmp_path / "theirs"], Cases(data, Setup(masks="center")), metrics=QUICK)
    assert report.difference("theirs", report.metrics[0]).interval == (0, 0, 0)
    pixels = [np.asarray(Image.open(tmp_path / part / "p0.png"), int) for part in ("set/photos", "theirs")]
    hole = np.asarray(Image.open(tmp_path / "set/masks/p0.png"))
    expected = np.abs(pixels[0] - pixels[1])[hole > 0].mean()
    assert report.of("theirs")[0].fills[0]["l1_hole"] == pytest.approx(expected, rel=1e-5)


class Watched(Filling):
    """Notes whom it asks in a list, and interrupts the run once the list has `stop` entries."""

    answered: list[str]
    stop: int | None = None

    @classmethod
    def over(cls, source: Filling, answered: list[str], stop: int | None = None) -> Watched:
        made = cls(source.completer, texture=source.texture, label=source.label)
        made.answered, made.stop = answered, stop
        return made

    def answer(self, case: Case, *, n: int, seed: int) -> Answer:
        if len(self.answered) == self.stop:
            self.answered.append("stop")
            raise KeyboardInterrupt
        self.answered.append(self.label)
        return super().answer(case, n=n, seed=seed)


def test_an_interrupted_run_goes_on(data: Path, tiny: Filling, tmp_path: Path) -> None:
    telea = Filling(Completer.from_pretrained("telea"))
    whole = evaluate([tiny, telea], data, n=2, metrics=QUICK)
    answered: list[str] = []
    watched = [Watched.over(source, answered, stop=5) for source in (tiny, telea)]
    with pytest.raises(KeyboardInterrupt):
        evaluate(watched, data, n=2, metrics=QUICK, out=tmp_path / "out")
    again = evaluate(watched, data, n=2, metrics=QUICK, out=tmp_path / "out")
    assert len(answered) == 1 + 6 * 2  # the five done before were not done again
    assert [row.fills for row in again.rows] == [row.fills for row in whole.rows]
    assert again.mask_hash == whole.mask_hash


def test_other_settings_are_not_mixed_with_what_was_done(data: Path, tmp_path: Path) -> None:
    first = evaluate("telea", data, metrics=QUICK, out=tmp_path / "out")
    other = evaluate("telea", Cases(data, Setup(seed=1)), metrics=QUICK, out=tmp_path / "out")
    assert first.mask_hash != other.mask_hash and len(other.rows) == 6
    alone = evaluate("telea", Cases(data, Setup(seed=1)), metrics=QUICK)
    assert [row.fills for row in other.rows] == [row.fills for row in alone.rows]


def test_results_of_other_code_are_not_taken_for_those_of_this_one(data: Path, tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    telea, case = Filling(Completer.from_pretrained("telea")), Cases(data, Setup())[0]
    keys = []
    for changed, text in (("zoo.py", "a"), ("nets/picnet.py", "a"), ("nets/picnet.py", "b"), ("page.css", "a")):
        (tmp_path / changed).write_text(text)
        evaluation._code.cache_clear()
        keys.append(evaluation._key(evaluation._code(tmp_path), {}, QUICK, {}, telea, case))
    evaluation._code.cache_clear()
    assert len(set(keys[:3])) == 3
    assert keys[2] == keys[3], "styles change no number"


def test_a_corrupt_photo_is_skipped_and_named(data: Path, tmp_path: Path) -> None:
    (data / "p3.png").write_bytes(b"\x89PNG broken")
    report = evaluate("telea", data, metrics=QUICK)
    assert len(report.rows) == 5 and list(report.skipped) == ["p3"]
    assert "Skipped: p3: " in writing.to_markdown(report)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "x.png").write_bytes(b"")
    with pytest.raises(BadImage, match="none of the 1 photos could be measured: x: "):
        evaluate("telea", tmp_path / "none", metrics=QUICK)


def test_two_of_one_name_get_labels_of_their_own(data: Path) -> None:
    report = evaluate(["telea", "telea"], Cases(data, Setup(limit=2)), metrics=QUICK)
    assert list(report.sources) == ["telea", "telea (2)"] and len(report.rows) == 4


def test_several_processes_need_a_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ManyfillError, match="several processes need a folder"):
        evaluate("telea", data, metrics=QUICK)


def test_two_processes_give_the_numbers_of_one(data: Path, tmp_path: Path) -> None:
    (data / "p5.png").write_bytes(b"broken")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "manyfill", "evaluate", "--model", "telea", "--model", "ns", "--data", str(data)]
    command += ["--metrics", ",".join(QUICK), "-o", str(tmp_path / "two")]
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(command, env={**shared, "RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [1, 0], outputs  # 1: a photo was skipped; one of them says so
    assert not outputs[1][0] and (tmp_path / "two" / "results_1.jsonl").is_file()
    one = evaluate(["telea", "ns"], data, metrics=QUICK)
    two = json.loads((tmp_path / "two" / "report.json").read_text())
    expected = json.loads(writing.to_json(one))
    assert two["mask_hash"] == expected["mask_hash"] and two["skipped"] == expected["skipped"] != {}
    for found in (two, expected):
        for result in found["results"].values():
            result.pop("seconds_per_fill")
    assert two["results"] == expected["results"]


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_writes_the_report_and_says_where(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    args = ["--data", str(data), "--masks", "center", "--metrics", "psnr_hole,fid", "--photos", "2", "-o", str(out)]
    assert run(["evaluate", "--model", "telea", "--model", "mean", *args]) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [str(out / f"report.{kind}") for kind in ("md", "json", "csv", "html")]
    assert "not measured: fid (why" in printed.err
    assert json.loads((out / "report.json").read_text())["results"]["mean"]["photos"] == 2


def test_the_command_writes_a_set_for_other_programs(data: Path, tmp_path: Path) -> None:
    assert run(["evaluate", "--data", str(data), "--write-set", str(tmp_path / "set"), "--photos", "3"]) == 0
    assert len(list((tmp_path / "set" / "photos").iterdir())) == len(list((tmp_path / "set" / "masks").iterdir())) == 3


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model", "telea"], "say which folder the report goes to: -o DIR."),
        (["--model", "tele", "-o", "out"], "no model 'tele'"),
        (["--model", "telea", "-o", "out", "--masks", "centre"], "Did you mean 'center'?"),
        (["--model", "telea", "-o", "out", "--metrics", "psnrr"], "no metric 'psnrr'"),
    ],
)
def test_mistakes_are_one_line(
    args: list[str],
    message: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", "--data", str(data), *args]) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1
