"""Trials of the texture stage's constants (`tools/texture_trials.py`)."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import tooling
import torch
from PIL import Image

from manyfill import Completer, weights
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.texture.search import Search

TINY = PICNetConfig(size=64, width=4, max_width=8, latent=4, infer_blocks=1)


@pytest.fixture
def tool() -> ModuleType:
    return tooling.load("texture_trials")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return weights.save(PICNet(TINY).eval(), tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number in range(3):  # the first has a hole of the first bin, thin enough to be mended without a search
        grain = np.random.default_rng(number).random((80, 96, 3)).astype(np.float32)
        pixels = np.rint(255 * cv2.GaussianBlur(grain, (0, 0), 1.0)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"grain{number}.png")
    return folder


def numbers(line: str) -> list[str]:
    """What a pair's line says of each search."""
    return line.partition(": ")[2].split("; ")


def test_a_trial_changes_what_it_names_and_nothing_else(
    tool: ModuleType, model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--data", str(data), "--model", str(model), "--metrics", "psnr_hole", "--size", "80"]
    tool.main([*asked, f"edges={Search().edges}", "edges=0 guide=0", "finest=0"])
    *lines, first, second, third = capsys.readouterr().out.splitlines()
    pairs, trials = lines[:3], [first, second, third]
    assert [pair.partition(" (")[0] for pair in pairs] == ["grain0", "grain1", "grain2"]
    assert lines[3] == "3 pairs: psnr_hole" and lines[4].startswith("as it is: ")
    usual, same, other, unsearched = numbers(pairs[2])
    assert same == usual
    assert len({usual, other, unsearched}) == 3
    assert [line.partition(": ")[0] for line in trials] == [f"edges={Search().edges}", "edges=0 guide=0", "finest=0"]
    assert trials[0].partition(": ")[2].startswith("+0.000 ")


@pytest.mark.parametrize(
    ("trial", "says"),
    [("EDGES=2", "no field 'EDGES'"), ("finest=2.5", "finest is a whole number"), ("calm", "calm is a number")],
)
def test_a_trial_that_means_nothing_is_refused_before_anything_is_filled(
    tool: ModuleType, data: Path, trial: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        tool.main(["--data", str(data), trial])
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_photos_that_are_all_too_small_are_an_error_in_words(
    tool: ModuleType, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tool.main(["--data", str(data), "--least", "1000"])
    assert "no photo has a short side of 1000 pixels" in capsys.readouterr().err


def test_several_fills_are_searched_as_the_completer_says(model: Path, data: Path) -> None:
    """What they share is prepared once, by the same search."""
    drawer = Completer.from_pretrained(model, device="cpu").drawer
    hole = np.zeros((80, 96), bool)
    hole[20:55, 30:70] = True
    usual, other = (
        Completer(drawer, search=search).complete(data / "grain2.png", hole, n=2)
        for search in (None, Search(edges=0.0))
    )
    seed = other[0].seed
    alone = Completer(drawer, search=Search(edges=0.0)).complete(data / "grain2.png", hole, seed=seed, n=1)
    assert (other[0].array == alone[0].array).all()
    assert any((one.array != two.array).any() for one, two in zip(usual, other, strict=True))
