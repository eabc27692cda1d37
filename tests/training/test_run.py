"""What a run writes, and when; how it is interrupted."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import QUICK, TINY, crash, same, state, stats, troubled
from torch import Tensor

from manyfill import weights
from manyfill.errors import ManyfillError
from manyfill.nets.picnet import PICNet
from manyfill.objectives import DualPath, Nets
from manyfill.training import train
from manyfill.training.run import AGAIN
from manyfill.training.step import BadRecipe

pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.fixture(autouse=True)
def python_answers_ctrl_c() -> Iterator[None]:
    """Also where the tests were started in the background, with SIGINT ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def test_a_run_leaves_a_network_pictures_and_its_recipe(never_killed: Path) -> None:
    assert sorted(path.name for path in never_killed.iterdir()) == [
        "checkpoints", "model.safetensors", "pictures", "recipe.json", "stats.jsonl", "tensorboard",
    ]  # fmt: skip
    assert sorted(path.name for path in (never_killed / "pictures").iterdir()) == ["000000006.jpg", "000000012.jpg"]
    assert json.loads((never_killed / "recipe.json").read_text())["name"] == "tiny"
    trained = weights.load(never_killed / "model.safetensors")
    assert isinstance(trained.net, PICNet) and trained.critic is not None
    assert trained.metadata["images_seen"] == "12"
    assert json.loads(trained.metadata["recipe"])["lr"] == TINY.lr


def test_pictures_may_come_before_the_first_loss_is_told(photos: Path, tmp_path: Path) -> None:
    train(replace(TINY, images=4, pictures_every=2, checkpoint_every=4), [photos], tmp_path)
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_a_power_cut_before_the_last_checkpoint_does_not_cost_the_model(
    never_killed: Path, photos: Path, tmp_path: Path
) -> None:
    stone = tmp_path / "checkpoints" / "000000000006.pt"
    recipe = troubled(3, lambda: stone.mkdir(parents=True))  # lies where the checkpoint goes: its writing fails
    with pytest.raises((OSError, ManyfillError)):
        train(recipe, [photos], tmp_path, images=6)
    assert (tmp_path / "model.safetensors").is_file()
    stone.rmdir()
    train(TINY, [photos], tmp_path)
    assert same(*(weights.load(run / "model.safetensors").net.state_dict() for run in (tmp_path, never_killed)))  # type: ignore[attr-defined]


def test_the_network_of_a_run_is_the_average(never_killed: Path) -> None:
    trained = weights.load(never_killed / "model.safetensors").net.state_dict()  # type: ignore[attr-defined]
    average, last = state(never_killed)["step"]["average"], state(never_killed)["step"]["nets"]["net"]
    name = "generator.attention.gamma"
    assert torch.equal(trained[name], average[name]) and not torch.equal(trained[name], last[name])


def test_a_crash_costs_the_steps_since_the_last_checkpoint_and_nothing_else(
    never_killed: Path, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="no space left"):
        train(troubled(5, crash), [photos], tmp_path)
    assert state(tmp_path)["images_seen"] == 6
    train(TINY, [photos], tmp_path)
    assert same(state(tmp_path), state(never_killed))


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT, signal.SIGTERM]])
def test_a_stop_in_the_middle_of_a_step_saves_whole_steps_only(
    signals: list[signal.Signals], never_killed: Path, photos: Path, tmp_path: Path
) -> None:
    """Under torchrun one Ctrl-C arrives more than once: from the terminal, and from torchrun."""

    def stop() -> None:
        for number in signals:
            signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt):
        train(troubled(4, stop), [photos], tmp_path)
    assert state(tmp_path)["images_seen"] == 8
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train(TINY, [photos], tmp_path)
    assert same(state(tmp_path), state(never_killed))


def test_a_second_ctrl_c_does_not_wait(photos: Path, tmp_path: Path) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(AGAIN + 0.1)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(troubled(4, twice), [photos], tmp_path)
    assert state(tmp_path)["images_seen"] == 6, "half a step must not be saved"


def test_out_of_time_saves_and_the_same_call_goes_on(photos: Path, tmp_path: Path) -> None:
    train(TINY, [photos], tmp_path, max_minutes=0)
    assert state(tmp_path)["images_seen"] == 2
    train(TINY, [photos], tmp_path, max_minutes=0)
    assert state(tmp_path)["images_seen"] == 4


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


class Wrong(DualPath):
    """An objective with a mistake in it."""

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Any:
        return nets.net.no_such_thing(image)


def test_a_mistake_in_ones_own_objective_is_a_wrong_recipe(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"recipe 'tiny' fails in its first step \(AttributeError: .*no_such_thing"):
        train(replace(TINY, objective=Wrong()), [photos], tmp_path)
