"""What train, evaluate, compare and label find where they are to write: nothing of anybody else's is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyfill import labelling
from manyfill.cli import claims, run
from manyfill.errors import ManyfillError

TRAIN = ["train", "--recipe", "open-start", "--images", "1", "--data"]
COMPARE = ["compare", "strategies", "--budget", "1", "--data"]
EVALUATE = ["evaluate", "--model", "telea", "--data"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "a.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(
    ("command", "name"),
    [
        (TRAIN, "model.safetensors"),
        (TRAIN, "recipe.json"),
        (TRAIN, "stats.jsonl"),
        (TRAIN, "checkpoints"),
        (COMPARE, "table.md"),
        (COMPARE, "comparison.json"),
        (COMPARE, "figure.png"),
        (EVALUATE, "report.md"),
        (EVALUATE, "report.html"),
        (EVALUATE, "results.jsonl"),
    ],
)
def test_what_somebody_else_put_there_stays(
    command: list[str], name: str, link: bool, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "elsewhere" if link else tmp_path / "out" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"mine, for years")
    if link:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / name).symlink_to(place)
    assert run([*command, str(photo.parent), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(tmp_path / "out" / name) in said
    assert ("remove the link" if link else "--force") in said
    assert place.read_bytes() == b"mine, for years"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


@pytest.mark.parametrize(
    "command",
    [
        ["masks", "-o", "out"],
        ["export", "pluralistic-fusion", "-o", "out/box_0000.png"],
        [*EVALUATE, "photos", "-o", "out"],
    ],
)
def test_not_even_force_follows_a_link(
    command: list[str], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = photo.read_bytes()
    Path("out").mkdir()
    name = {"masks": "box_0000.png", "export": "m.onnx", "evaluate": "report.md"}[command[0]]
    Path("out", name).symlink_to(photo)
    more = {"masks": ["--kind", "box"], "export": ["-o", "out/m.onnx"], "evaluate": []}[command[0]]
    assert run([*command, *more, "--force"]) == 2
    assert "remove the link" in capsys.readouterr().err and photo.read_bytes() == before


def test_a_report_is_written_again_over_its_own_and_with_force_over_any(photo: Path, tmp_path: Path) -> None:
    arguments = [*EVALUATE, str(photo.parent), "-o", str(tmp_path / "out"), "--size", "64", "--metrics", "l1"]
    assert run(arguments) == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert run(arguments) == 0 and claims.has_results(tmp_path / "out")
    for path in (tmp_path / "out").glob("results*.jsonl"):
        path.unlink()  # nothing says any more whose the report is
    assert run(arguments) == 2
    assert (tmp_path / "out" / "report.md").read_text() == report
    assert run([*arguments, "--force"]) == 0


def test_a_set_is_not_written_over_the_photos_that_it_is_made_of(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = photo.read_bytes()
    arguments = ["evaluate", "--data", str(photo.parent), "--size", "64", "--write-set"]
    assert run([*arguments, str(tmp_path)]) == 2  # its photos/ is where they lie
    assert "is there already" in capsys.readouterr().err and photo.read_bytes() == before
    assert run([*arguments, str(tmp_path / "set")]) == 0
    assert run([*arguments, str(tmp_path / "set")]) == 0  # the same bytes
    (tmp_path / "set" / "masks" / "a.png").write_bytes(b"mine")
    assert run([*arguments, str(tmp_path / "set")]) == 2
    assert run([*arguments, str(tmp_path / "set"), "--force"]) == 0


def test_an_attention_map_replaces_its_own_and_never_the_photo(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = photo.read_bytes()
    assert run(["compare", "attention-map", str(photo), "--mask", str(photo), "-o", str(photo)]) == 2
    assert photo.read_bytes() == before and "--force" in capsys.readouterr().err


def test_what_is_no_comparison_is_said_to_be_none(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "comparison.json").write_text("[" * 100_000)
    assert run([*COMPARE, str(photo.parent), "--out", str(tmp_path / "out"), "--force"]) == 2
    assert "damaged" in capsys.readouterr().err


def test_labels_of_another_description_are_not_taken_for_these(tmp_path: Path) -> None:
    job = labelling.Labelling(data=("photos",), masks={"strokes": 1.0})
    labelling._claim(job, tmp_path)
    labelling._claim(job, tmp_path)
    with pytest.raises(ManyfillError, match=r"another way \(views: 4 there, 2 here\)"):
        labelling._claim(labelling.Labelling(data=("photos",), masks={"strokes": 1.0}, views=2), tmp_path)
    labelling._claim(labelling.Labelling(data=("photos",), masks={"strokes": 1.0}, views=2, seed=1), tmp_path)
    (tmp_path / "labels-0-256.json").write_text(json.dumps(["not ours"]))
    with pytest.raises(ManyfillError, match="damaged"):
        labelling._claim(job, tmp_path)
