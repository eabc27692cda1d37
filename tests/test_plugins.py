"""Plug-ins: the example trained for some seconds by the command, used by others; and every way to get one wrong."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from manyfill import masks, nets, plugins
from manyfill.cli import run
from manyfill.completer import Completer
from manyfill.completer.drawing import DRAWERS, FillerDrawer
from manyfill.errors import ManyfillError
from manyfill.fillers import FILLERS
from manyfill.metrics import METRICS
from manyfill.nets.perceptual import FEATURES, Features
from manyfill.recipes import RECIPES

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "plugin.py"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a test registers is gone after it."""
    registries: list[dict[str, Any]] = [nets.MORE, RECIPES, masks.KINDS, METRICS, FEATURES, DRAWERS]
    before = [dict(registry) for registry in registries]
    monkeypatch.delenv(plugins.FILES, raising=False)
    yield
    for registry, kept in zip(registries, before, strict=True):
        registry.clear()
        registry.update(kept)
    for name in [name for name in sys.modules if name.startswith("manyfill_plugin_")]:
        del sys.modules[name]
    os.environ.pop(plugins.FILES, None)


def manyfill(*arguments: str | Path) -> int:
    return run([str(argument) for argument in arguments])


def test_the_example_is_trained_used_and_measured_by_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, photos = tmp_path / "run", ROOT / "examples" / "photos"
    arguments = ["--recipe", "sketch", "--data", photos, "--out", out, "--images", "240"]
    assert manyfill("train", "--plugin", EXAMPLE, *arguments) == 0, capsys.readouterr().err
    lines = [json.loads(line) for line in (out / "stats.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "l1" in line]
    assert lines[-1]["images_seen"] == 240 and lines[-1]["l1"] < 0.9 * lines[0]["l1"], "it has learned nothing"
    model, small, hole = out / "model.safetensors", tmp_path / "small.png", tmp_path / "hole.png"
    Image.open(sorted(photos.glob("*.jpg"))[0]).resize((96, 72)).save(small)
    mask = np.zeros((72, 96), np.uint8)
    mask[20:40, 30:60] = 255
    Image.fromarray(mask).save(hole)
    filled = tmp_path / "out.png"
    assert manyfill("complete", small, "--mask", hole, f"--plugin={EXAMPLE}", "--model", model, "-o", filled) == 0
    assert np.array_equal(np.array(Image.open(filled))[mask == 0], np.array(Image.open(small))[mask == 0])
    arguments = ["--model", model, "--data", small, "--masks", "moons", "--metrics", "psnr_hole,edges_hole"]
    assert manyfill("--plugin", EXAMPLE, "evaluate", *arguments, "-o", tmp_path / "report") == 0
    (results,) = json.loads((tmp_path / "report" / "report.json").read_text())["results"].values()
    assert results["per_photo"]["all"]["edges_hole"]["first"]["mean"] > 0
    nets.MORE.clear()  # as without the plug-in
    capsys.readouterr()
    assert manyfill("complete", small, "--mask", hole, "--model", model, "-o", tmp_path / "other.png") == 2
    assert "for a network 'sketch', and there are: picnet, dfnet" in capsys.readouterr().err


def test_a_file_is_run_once_and_data_processes_run_it_again(tmp_path: Path) -> None:
    file = tmp_path / "counting.py"
    file.write_text(
        "import numpy as np, torch\nfrom manyfill import plugins\n"
        "plugins.add_mask('all_of_it', lambda height, width, rng: torch.ones(1, 1, height, width))\n"
    )
    plugins.load(file)
    plugins.load(file)
    assert masks.KINDS["all_of_it"](2, 3, np.random.default_rng(0)).sum() == 6
    del masks.KINDS["all_of_it"], sys.modules["manyfill_plugin_counting"]  # as in a process that was not forked
    plugins.load_again(0)
    assert "all_of_it" in masks.KINDS


def test_a_plugin_that_fails_is_named_with_what_it_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ManyfillError, match=r"--plugin .*absent\.py: there is no such Python file"):
        plugins.load(tmp_path / "absent.py")
    for text, message in (
        ("1 / 0", "ZeroDivisionError"),
        ("def", "SyntaxError"),
        ("from manyfill import masks, plugins\nplugins.add_mask('box', masks.box)", "a mask kind 'box' already"),
    ):
        (tmp_path / "mine.py").write_text(text)
        with pytest.raises(ManyfillError, match=rf"mine\.py cannot be run: .*{message}"):
            plugins.load(tmp_path / "mine.py")
    capsys.readouterr()
    arguments = ["--recipe", "tiny", "--data", tmp_path, "--out", tmp_path / "run"]
    assert manyfill("train", "--plugin", tmp_path / "mine.py", *arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: --plugin ") and "already" in told
    assert manyfill("masks", "--plugin") == 2 and capsys.readouterr().err.startswith("error: --plugin needs a file")


def test_no_name_is_given_twice() -> None:
    for add in (
        lambda: plugins.add_network("picnet", object, object),
        lambda: plugins.add_recipe(RECIPES["tiny"]),
        lambda: plugins.add_metric(METRICS["l1"]),
        lambda: plugins.add_features(FEATURES["vgg16"]),
    ):
        with pytest.raises(ManyfillError, match=r"already\. Give yours another name"):
            add()


def test_a_drawer_is_a_model_by_its_name() -> None:
    asked: list[str | None] = []

    def make(device: str | None) -> FillerDrawer:
        asked.append(device)
        return FillerDrawer(FILLERS["mean"])

    plugins.add_drawer("ours", make)
    pixels = np.full((32, 32, 3), 70, np.uint8)
    hole = np.zeros((32, 32), bool)
    hole[8:16, 8:16] = True
    (fill,) = Completer.from_pretrained("ours", device="cpu").complete(pixels, hole)
    assert asked == ["cpu"] and np.array_equal(fill.array, pixels)


def test_a_plugins_drawer_is_a_model_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(
        "from manyfill import plugins\nfrom manyfill.completer import FillerDrawer\n"
        "from manyfill.fillers import FILLERS\n"
        "plugins.add_drawer('grey', lambda device: FillerDrawer(FILLERS['mean']))\n"
    )
    photo, mask = Image.new("RGB", (32, 24), (90, 90, 90)), np.zeros((24, 32), np.uint8)
    photo.putpixel((0, 0), (10, 20, 30))
    mask[8:16, 8:16] = 255
    photo.save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "hole.png")
    arguments = [tmp_path / "photo.png", "--mask", tmp_path / "hole.png", "-o", tmp_path / "out.png", "--model", "grey"]
    assert manyfill("complete", *arguments) == 2
    assert "no model 'grey'" in capsys.readouterr().err
    assert manyfill("complete", *arguments, "--plugin", tmp_path / "mine.py") == 0, capsys.readouterr().err
    assert Image.open(tmp_path / "out.png").getpixel((12, 12)) == (90, 90, 90)


class Grey(Features):
    name, count = "grey", 1

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image.mean(1, keepdim=True)]


def test_features_are_found_by_a_recipe() -> None:
    plugins.add_features(Grey)
    assert nets.perceptual.pyramid("grey")(torch.ones(1, 3, 2, 2))[0].shape == (1, 1, 2, 2)


def test_what_installed_packages_name_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_package.py").write_text(
        "from manyfill import masks, plugins\nplugins.add_mask('theirs', masks.box)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = EntryPoints([EntryPoint("theirs", "their_package", plugins.GROUP)])
    assert plugins.load_installed(found) == ["theirs"] and "theirs" in masks.KINDS
    with pytest.raises(ManyfillError, match=r"plug-in 'gone' of an .* cannot be loaded \(ModuleNotFound"):
        plugins.load_installed([EntryPoint("gone", "no_such_package", plugins.GROUP)])
