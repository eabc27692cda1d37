"""Whole runs of the tiny recipe on a few synthetic photos."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from manyfill import weights
from manyfill.data import open_photos
from manyfill.errors import BadImage, BadWeights, Busy
from manyfill.labels import Label, write_shard
from manyfill.nets.dfnet import DFNetConfig
from manyfill.nets.discriminators import CriticConfig
from manyfill.nets.picnet import PICNet
from manyfill.objectives import DualPath, Nets, StructureTexture
from manyfill.recipes import RECIPES, Recipe
from manyfill.training import loop, train
from manyfill.training.step import BadRecipe

TINY = replace(RECIPES["tiny"], images=12, checkpoint_every=6, pictures_every=6)  # 2 images a step
QUICK = replace(  # many images a second: for what happens every few hundred
    TINY,
    net=DFNetConfig(size=16, width=2, max_width=2, kernels=(3, 3), fusion_levels=(0,)),
    objective=StructureTexture(weights={"reconstruction": 1.0}),
    size=16,
    batch=80,
    lr=1e-2,
    images=960,
    checkpoint_every=640,
    pictures_every=10**9,
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(3):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((96, 72 + 8 * index), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def never_killed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "never-killed"
    train(TINY, [photos], run)
    return run


@pytest.fixture(autouse=True)
def python_answers_ctrl_c() -> Iterator[None]:
    """Also where the tests were started in the background, with SIGINT ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def same(a: Any, b: Any) -> bool:
    """Bit-for-bit equality of nested states."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def state(run: Path) -> Any:
    return torch.load(max((run / "checkpoints").iterdir()), weights_only=True)


def stats(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


class Trouble(DualPath):
    """The dual path, until something happens in the middle of its n-th step."""

    steps = 0
    when = 0
    what: Callable[[], None]

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Any) -> dict[str, Tensor]:
        Trouble.steps += 1
        if Trouble.steps == Trouble.when:
            Trouble.what()
        return super().generator_terms(nets, image, hole, out)


def troubled(when: int, what: Callable[[], None]) -> Recipe:
    Trouble.steps, Trouble.when, Trouble.what = 0, when, staticmethod(what)  # type: ignore[assignment]
    return replace(TINY, objective=Trouble())


class Listening(DualPath):
    """Keeps the noise that each picture is given."""

    heard: list[Tensor] = []  # noqa: RUF012

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Any:
        assert noise is not None
        Listening.heard.extend(noise)
        return super().forward(nets, image, hole, noise)


def crash() -> None:
    raise OSError("no space left on device")


def test_a_run_leaves_a_network_pictures_and_its_recipe(never_killed: Path) -> None:
    assert sorted(path.name for path in never_killed.iterdir()) == [
        "checkpoints", "curves.png", "model.safetensors", "pictures", "recipe.json", "stats.jsonl", "tensorboard",
    ]  # fmt: skip
    assert sorted(path.name for path in (never_killed / "pictures").iterdir()) == ["000000006.jpg", "000000012.jpg"]
    assert json.loads((never_killed / "recipe.json").read_text())["name"] == "tiny"
    trained = weights.load(never_killed / "model.safetensors")
    assert isinstance(trained.net, PICNet) and trained.critic is not None
    assert trained.metadata["images_seen"] == "12"
    assert json.loads(trained.metadata["recipe"])["lr"] == TINY.lr


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


def test_pictures_may_come_before_the_first_loss_is_told(photos: Path, tmp_path: Path) -> None:
    train(replace(TINY, images=4, pictures_every=2, checkpoint_every=4), [photos], tmp_path)
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_a_finished_run_says_so_and_is_left_alone(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(TINY, [photos], tmp_path, images=4)
    before = (tmp_path / "model.safetensors").read_bytes()
    capsys.readouterr()
    train(TINY, [photos], tmp_path, images=4)
    assert "has seen 4 images already; a larger --images goes on" in capsys.readouterr().err
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_power_cut_before_the_last_checkpoint_does_not_cost_the_model(
    never_killed: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space left"):
        patched.setattr("manyfill.training.checkpoint.write", lambda *_: crash())
        train(TINY, [photos], tmp_path, images=6)
    train(TINY, [photos], tmp_path)
    assert same(*(weights.load(run / "model.safetensors").net.state_dict() for run in (tmp_path, never_killed)))  # type: ignore[attr-defined]


def test_a_short_run_ends_with_pictures_and_curves(photos: Path, tmp_path: Path) -> None:
    train(replace(TINY, images=4, pictures_every=2000), [photos], tmp_path)
    assert (tmp_path / "curves.png").is_file() and (tmp_path / "pictures" / "000000004.jpg").is_file()


def test_a_folder_without_photos_leaves_no_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadImage, match="no photos found in"):
        train(TINY, [tmp_path / "empty"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_network_of_a_run_is_the_average(never_killed: Path) -> None:
    trained = weights.load(never_killed / "model.safetensors").net.state_dict()  # type: ignore[attr-defined]
    average, last = state(never_killed)["step"]["average"], state(never_killed)["step"]["nets"]["net"]
    name = "generator.attention.gamma"
    assert torch.equal(trained[name], average[name]) and not torch.equal(trained[name], last[name])


@pytest.mark.parametrize("at", [6, 8])
def test_a_run_in_two_parts_is_a_run_in_one(never_killed: Path, photos: Path, tmp_path: Path, at: int) -> None:
    train(TINY, [photos], tmp_path, images=at)
    assert state(tmp_path)["images_seen"] == at
    train(TINY, [photos], tmp_path)
    assert same(state(tmp_path), state(never_killed))
    assert same(*(weights.load(run / "model.safetensors").net.state_dict() for run in (tmp_path, never_killed)))  # type: ignore[attr-defined]


def test_every_picture_has_noise_of_its_own_wherever_the_run_was_cut(photos: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, objective=Listening())
    found = []
    for cuts in ((6,), (2, 6)):
        Listening.heard.clear()
        for images in cuts:
            train(recipe, [photos], tmp_path / str(cuts), images=images)
        found.append(torch.stack(Listening.heard))
    assert torch.equal(*found)
    assert found[0].std().item() == pytest.approx(1, abs=0.1)
    assert len(found[0].flatten(1).unique(dim=0)) == len(found[0]) == 6


def test_a_crash_costs_the_steps_since_the_last_checkpoint_and_nothing_else(
    never_killed: Path, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="no space left"):
        train(troubled(5, crash), [photos], tmp_path)
    assert state(tmp_path)["images_seen"] == 6
    train(TINY, [photos], tmp_path)
    assert same(state(tmp_path), state(never_killed))


def test_ctrl_c_in_the_middle_of_a_step_saves_whole_steps_only(
    never_killed: Path, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(troubled(4, lambda: signal.raise_signal(signal.SIGINT)), [photos], tmp_path)
    assert state(tmp_path)["images_seen"] == 8
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(TINY, [photos], tmp_path)
    assert same(state(tmp_path), state(never_killed))


def test_a_second_ctrl_c_does_not_wait(photos: Path, tmp_path: Path) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(troubled(4, twice), [photos], tmp_path)
    assert state(tmp_path)["images_seen"] == 6, "half a step must not be saved"


def test_a_finished_run_is_left_as_it_is(photos: Path, tmp_path: Path) -> None:
    train(TINY, [photos], tmp_path, images=4)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    train(TINY, [photos], tmp_path, images=4)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_out_of_time_saves_and_the_same_call_goes_on(photos: Path, tmp_path: Path) -> None:
    train(TINY, [photos], tmp_path, max_minutes=0)
    assert state(tmp_path)["images_seen"] == 2
    train(TINY, [photos], tmp_path, max_minutes=0)
    assert state(tmp_path)["images_seen"] == 4


def test_another_seed_gives_another_run(never_killed: Path, photos: Path, tmp_path: Path) -> None:
    train(replace(TINY, seed=1), [photos], tmp_path, images=2)
    assert not same(state(tmp_path)["step"]["nets"], state(never_killed)["step"]["nets"])


def test_stats_are_valid_and_never_go_back_and_the_loss_falls(photos: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    alone = {"line_seconds": 1e9}  # after the first step and at the end
    train(QUICK, [photos], tmp_path, images=400, progress=lambda seen, of, terms: told.append((seen, of)), **alone)
    assert told == [(80, 400), (400, 400)]
    with (tmp_path / "stats.jsonl").open("a") as file:  # as a crash after the checkpoint leaves it
        file.write('{"images_seen": 480, "reconstruction": 9.0}\n{"images_seen": 5')
    train(QUICK, [photos], tmp_path, **alone)
    lines = stats(tmp_path)
    assert [line["images_seen"] for line in lines] == [80, 400, 480, 640, 960]
    assert all(set(line) == {"images_seen", "reconstruction", "total", "images_per_second"} for line in lines)
    assert all(0 < line["reconstruction"] < 1 and line["images_per_second"] > 0 for line in lines)
    assert lines[-1]["reconstruction"] < 0.8 * lines[0]["reconstruction"]


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


def test_the_first_numbers_come_after_one_step_with_speed_and_time_left(photos: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, dict[str, float]]] = []
    train(
        TINY, [photos], tmp_path, images=6, line_seconds=0.0, progress=lambda seen, _, line: heard.append((seen, line))
    )
    assert [seen for seen, _ in heard] == [2, 4, 6], "with no pause between lines, one a step"
    for seen, line in heard:
        assert line["seconds_left"] == pytest.approx((6 - seen) / line["images_per_second"])
        assert line["kl_rec"] > 0 and line["total"] > 0


def test_checkpoints_come_by_time_where_no_number_is_given(photos: Path, tmp_path: Path) -> None:
    timed = replace(TINY, checkpoint_every=None, pictures_every=None, keep=9)
    train(replace(timed, checkpoint_minutes=1e-9), [photos], tmp_path / "often", images=6)
    train(replace(timed, checkpoint_minutes=1e9), [photos], tmp_path / "once", images=6)
    for name, clock in (("often", [2, 4, 6]), ("once", [6])):
        assert [int(path.stem) for path in sorted((tmp_path / name / "checkpoints").iterdir())] == clock
        assert [int(path.stem) for path in sorted((tmp_path / name / "pictures").iterdir())] == clock


def test_photos_held_back_give_numbers_and_the_best_model_by_them_is_kept(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[dict[str, float]] = []
    recipe = replace(TINY, masks={"center": 1.0})
    train(recipe, [photos], tmp_path, val=[photos], progress=lambda *said: heard.append(said[2]))
    measured = [line for line in stats(tmp_path) if "val_psnr" in line]
    assert [line["images_seen"] for line in measured] == [6, 12]
    assert all(line["val_psnr 20-30%"] == line["val_psnr"] for line in measured), "a centre hole covers a quarter"
    assert all(5 < line["val_psnr"] < 60 and 0 < line["val_pd_eff"] < 5 for line in measured)
    assert "without val_lpips: " in capsys.readouterr().err  # an empty cache
    assert [line["val_pd_eff"] for line in heard if "val_psnr" in line] == pytest.approx(
        [line["val_pd_eff"] for line in measured], abs=1e-6
    )
    best = min(measured, key=lambda line: line["val_pd_eff"])
    told = json.loads((tmp_path / "best.json").read_text())
    assert told["images_seen"] == best["images_seen"]
    assert weights.load(tmp_path / "best.safetensors").metadata["images_seen"] == str(best["images_seen"])


def test_a_recipe_that_goes_on_from_a_model_asks_for_one(photos: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, starts_from="pluralistic-fusion")
    with pytest.raises(BadRecipe, match=r"goes on from a trained model\. Give one: --from pluralistic-fusion\."):
        train(recipe, [photos], tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Wrong(DualPath):
    """An objective with a mistake in it."""

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Any:
        return nets.net.no_such_thing(image)


def test_a_mistake_in_ones_own_objective_is_a_wrong_recipe(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"recipe 'tiny' fails in its first step \(AttributeError: .*no_such_thing"):
        train(replace(TINY, objective=Wrong()), [photos], tmp_path)


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


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"net": 1}'])
def test_a_damaged_recipe_json_does_not_stand_in_the_way(photos: Path, tmp_path: Path, text: str) -> None:
    train(TINY, [photos], tmp_path, images=2)
    (tmp_path / "recipe.json").write_text(text)
    train(TINY, [photos], tmp_path, images=4)
    assert state(tmp_path)["images_seen"] == 4
    assert json.loads((tmp_path / "recipe.json").read_text())["name"] == "tiny"


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


def test_a_set_that_no_memory_holds_is_read_shard_by_shard(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there are many photos in several folders or shards, and the recipe says nothing else."""
    for name in ("a", "b"):
        shutil.copytree(photos, tmp_path / "photos" / name)
    several, one = open_photos(tmp_path / "photos"), open_photos(photos)
    assert loop._mixed(TINY, several, tell=True) is None and not capsys.readouterr().err
    monkeypatch.setattr(loop, "MANY", 2)
    assert loop._mixed(TINY, one, tell=True) is None
    assert loop._mixed(replace(TINY, mix=4), several, tell=True) == 4 and not capsys.readouterr().err
    seen: list[int | None] = []
    usual = loop.Samples.__init__

    def watch(self: Any, *given: Any, **options: Any) -> None:
        if "mix" in options:  # not those of the fixed photos
            seen.append(options["mix"])
        usual(self, *given, **options)

    monkeypatch.setattr(loop.Samples, "__init__", watch)
    train(TINY, [tmp_path / "photos"], tmp_path / "run", images=2, device="cpu")
    assert seen == [loop.STREAMED]
    assert capsys.readouterr().err.count("shards are read one after the other") == 1


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
