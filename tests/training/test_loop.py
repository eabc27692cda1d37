"""Whole runs of the tiny recipe on a few synthetic photos: begun, resumed, refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from runs import QUICK, TINY, same, state, stats, troubled
from torch import Tensor

from manyfill import weights
from manyfill.data import open_photos
from manyfill.errors import BadImage, BadWeights, Busy
from manyfill.labels import Label, write_shard
from manyfill.nets.discriminators import CriticConfig
from manyfill.nets.picnet import PICNet
from manyfill.objectives import DualPath, Nets
from manyfill.training import loop, train
from manyfill.training.step import BadRecipe

pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.mark.parametrize("workers", [0, 1])
def test_photos_that_cannot_be_read_are_counted_and_listed(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    data = tmp_path / "data"
    shutil.copytree(photos, data)
    (data / "broken.jpg").write_bytes(b"broken")
    for _ in range(2):  # a resumed run does not list them twice
        train(replace(QUICK, workers=workers, images=80), [data], tmp_path / "run")
        (tmp_path / "run" / "checkpoints" / "000000000080.pt").unlink()
        assert "skipped 1 of 4 photos" in capsys.readouterr().err
        (line,) = (tmp_path / "run" / "skipped.txt").read_text().splitlines()
        assert line.startswith(str(data / "broken.jpg")) and "cannot be read" in line


def test_a_finished_run_says_so_and_is_left_alone(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(TINY, [photos], tmp_path, images=4)
    before = (tmp_path / "model.safetensors").read_bytes()
    capsys.readouterr()
    train(TINY, [photos], tmp_path, images=4)
    assert "has seen 4 images already; a larger --images goes on" in capsys.readouterr().err
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_folder_without_photos_leaves_no_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadImage, match="no photos found in"):
        train(TINY, [tmp_path / "empty"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_left_as_it_is(photos: Path, tmp_path: Path) -> None:
    train(TINY, [photos], tmp_path, images=4)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    train(TINY, [photos], tmp_path, images=4)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_run_can_start_from_another_networks_weights(never_killed: Path, photos: Path, tmp_path: Path) -> None:
    frozen = replace(TINY, lr=0.0, lr_critic=0.0)
    train(frozen, [photos], tmp_path, images=2, start_from=str(never_killed / "model.safetensors"))
    ours = state(tmp_path)["step"]["nets"]["net"]
    theirs = weights.load(never_killed / "model.safetensors").net
    assert isinstance(theirs, PICNet) and state(tmp_path)["images_seen"] == 2
    assert all(torch.equal(ours[name], value) for name, value in theirs.named_parameters())
    # once there is a checkpoint, the run resumes
    train(TINY, [photos], tmp_path, images=4, start_from=str(tmp_path / "gone.safetensors"))
    assert state(tmp_path)["images_seen"] == 4


def test_a_recipe_that_goes_on_from_a_model_asks_for_one(photos: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, starts_from="pluralistic-fusion")
    with pytest.raises(BadRecipe, match=r"goes on from a trained model\. Give one: --from pluralistic-fusion\."):
        train(recipe, [photos], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadImage):
        train(TINY, [tmp_path / "empty"], tmp_path / "run")


def test_a_damaged_checkpoint_is_refused_and_kept(photos: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "checkpoints" / "000000000002.pt"
    damaged.parent.mkdir()
    damaged.write_bytes(b"half a file")
    with pytest.raises(BadWeights, match="Remove it"):
        train(TINY, [photos], tmp_path)
    assert damaged.read_bytes() == b"half a file"


def test_a_damaged_checkpoint_costs_what_came_after_the_one_before(
    never_killed: Path, photos: Path, tmp_path: Path
) -> None:
    train(TINY, [photos], tmp_path)
    newest = max((tmp_path / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-999])
    train(TINY, [photos], tmp_path)
    assert same(state(tmp_path), state(never_killed))
    assert (tmp_path / "model.safetensors").read_bytes() == (never_killed / "model.safetensors").read_bytes()


def test_a_damaged_recipe_json_does_not_stand_in_the_way(photos: Path, tmp_path: Path) -> None:
    train(TINY, [photos], tmp_path, images=2)
    for seen, text in enumerate(("", "{", "[]", "null", '{"net": 1}'), 2):
        (tmp_path / "recipe.json").write_text(text)
        train(TINY, [photos], tmp_path, images=2 * seen)
        assert state(tmp_path)["images_seen"] == 2 * seen, text
        assert json.loads((tmp_path / "recipe.json").read_text())["name"] == "tiny", text


def test_a_second_run_in_the_same_folder_is_refused(photos: Path, tmp_path: Path) -> None:
    refused: list[str] = []

    def again() -> None:
        with pytest.raises(Busy) as error:
            train(TINY, [photos], tmp_path)
        refused.append(str(error.value))

    train(troubled(1, again), [photos], tmp_path, images=2)
    assert len(refused) == 1 and "another manyfill is at work on the run in" in refused[0]
    train(TINY, [photos], tmp_path, images=4)


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system has no limit of a file's size")
def test_a_full_disk_is_one_line(photos: Path, tmp_path: Path) -> None:
    """A limit of a file's size stands for it; the tiny network's checkpoint is larger."""
    child = subprocess.run(
        [sys.executable, "-c", "import resource; from manyfill.cli import main; "
         "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); main()",
         "train", "--recipe", "tiny", "--data", str(photos), "--out", str(tmp_path / "run"), "--images", "2"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert child.returncode == 2, child.stderr
    assert "cannot be written: File too large" in child.stderr.splitlines()[-1] and "Traceback" not in child.stderr


def test_the_same_tensors_give_the_same_bytes(never_killed: Path, tmp_path: Path) -> None:
    net = weights.load(never_killed / "model.safetensors").net
    metadata = {name: name for name in "abcdefgh"}
    written = {weights.save(net, tmp_path / "a.safetensors", metadata=metadata).read_bytes() for _ in range(5)}  # type: ignore[arg-type]
    assert len(written) == 1


class Looking(DualPath):
    """Keeps the mean of each picture that it is shown."""

    seen: list[float] = []  # noqa: RUF012

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Any:
        Looking.seen.extend(image.mean((1, 2, 3)).tolist())
        return super().forward(nets, image, hole, noise)


def test_a_set_that_no_memory_holds_is_read_shard_by_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there are many photos in several folders or shards, and the recipe says nothing else."""
    for name, level in (("dark", 40), ("pale", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (70, 70), (level, level, level)).save(tmp_path / "photos" / name / f"{index}.png")
    several, one = open_photos(tmp_path / "photos"), open_photos(tmp_path / "photos/dark")
    assert loop._mixed(TINY, several, tell=True) is None and not capsys.readouterr().err
    assert loop._mixed(TINY, one, 2, tell=True) is None
    assert loop._mixed(replace(TINY, mix=4), several, 2, tell=True) == 4 and not capsys.readouterr().err
    assert loop._mixed(TINY, several, 2, tell=False) == loop.STREAMED
    (tmp_path / "photos/dark/broken.png").write_bytes(b"broken")
    train(TINY, [tmp_path / "photos"], tmp_path / "streamed", images=2, device="cpu", many=2)
    said = capsys.readouterr().err
    assert said.count("shards are read one after the other") == 1 and "skipped" not in said, "nothing is read ahead"
    (tmp_path / "photos/dark/broken.png").unlink()
    Looking.seen.clear()
    train(replace(TINY, objective=Looking(), mix=1), [tmp_path / "photos"], tmp_path / "run", images=6, device="cpu")
    pale = [mean > 0.4 for mean in Looking.seen[:6]]
    assert pale in ([True] * 3 + [False] * 3, [False] * 3 + [True] * 3)


def test_several_truths_want_labels_and_train_with_them(photos: Path, tmp_path: Path) -> None:
    """With noise and a critic on frozen features, which does not come with the model."""
    recipe = replace(
        TINY,
        net=replace(TINY.net, noise=True),
        critic=CriticConfig(kind="projected", width=4, max_width=8),
        objective=DualPath(weights={**DualPath().weights, "mean": 1.0, "spread": 1.0}, mean_share=0.5, truths=3),
        images=4,
        checkpoint_every=4,
    )
    with pytest.raises(BadRecipe, match=r"wants 3 truths of each hole, and a photo holds one\. Give labels: --labels"):
        train(recipe, [photos], tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    hole = np.zeros((64, 64), bool)
    hole[20:40, 10:50] = True
    plain = np.full((64, 64, 3), 90, np.uint8)
    truths = tuple(np.where(hole[..., None], level, plain).astype(np.uint8) for level in (30, 200))
    write_shard(tmp_path / "labels.tar", [Label("0", plain, hole, truths)])
    train(recipe, [photos], tmp_path / "run", labels=[tmp_path / "labels.tar"], label_share=1.0, device="cpu")
    assert all(np.isfinite(line["spread"]) for line in stats(tmp_path / "run"))
    trained = weights.load(tmp_path / "run" / "model.safetensors")
    assert trained.critic is None and trained.net.noise_shape(64, 64)[0] == 4 + 16 + 64
