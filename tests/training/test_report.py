from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from runs import TINY
from torch import Tensor

from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.training import report, train


def terms(**values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_holds_the_mean_of_each_term_since_the_last_line(tmp_path: Path) -> None:
    stats = report.Stats(tmp_path, 0)
    stats.add(terms(l1=1.0, kl=0.5))
    stats.add(terms(l1=3.0, kl=0.25))
    assert stats.flush(4, images_per_second=7.0) == {"l1": 2.0, "kl": 0.375, "images_per_second": 7.0}
    stats.add(terms(l1=1 / 3, kl=0.0))
    stats.flush(8)
    assert lines(tmp_path / "stats.jsonl") == [
        {"images_seen": 4, "l1": 2.0, "kl": 0.375, "images_per_second": 7.0},
        {"images_seen": 8, "l1": 0.333333, "kl": 0.0},
    ]


def test_a_term_of_some_steps_is_averaged_over_those(tmp_path: Path) -> None:
    stats = report.Stats(tmp_path, 0)
    for step in range(4):
        stats.add(terms(l1=1.0) | (terms(style=6.0) if step == 0 else {}))
    assert stats.flush(4) == {"l1": 1.0, "style": 6.0}


def test_a_process_that_does_not_write_leaves_nothing(tmp_path: Path) -> None:
    stats = report.Stats(tmp_path, 0, writes=False)
    stats.add(terms(l1=1.0))
    assert stats.flush(4) == {"l1": 1.0}
    stats.picture(4, np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    stats = report.Stats(tmp_path, 0)
    for images_seen in (10, 20, 30):
        stats.flush(images_seen)
    report.Stats(tmp_path, 20).flush(25)
    assert [line["images_seen"] for line in lines(path)] == [10, 20, 25]


@pytest.mark.parametrize("cut", ['{"images_seen": 30, "l1', "", "[1", '{"l1": 2}', "null"])
def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path: Path, cut: str) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text('{"images_seen": 10}\n' + cut)
    report.Stats(tmp_path, 40).flush(50)
    assert [line["images_seen"] for line in lines(path)] == [10, 50]


def test_a_grid_shows_photo_hole_and_fills_of_each_photo_in_a_row() -> None:
    torch.manual_seed(0)
    config = PICNetConfig(size=16, width=4, max_width=8, latent=4, levels=3, scales=2, infer_blocks=1, fusion_scales=1)
    image, hole = torch.rand(2, 3, 16, 24), torch.zeros(2, 1, 16, 24)
    hole[..., 4:8, 4:8] = 1
    picture = report.grid(PICNet(config).eval(), image, hole, fills=2)
    assert (picture.shape, picture.dtype) == ((2 * 16, 6 * 24, 3), np.uint8)  # photo, hole, mean, two fills, alpha
    columns = picture.reshape(2, 16, 6, 24, 3).transpose(2, 0, 1, 3, 4)
    photo = (image * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    known = (1 - hole[:, 0]).bool().numpy()
    assert np.array_equal(columns[0], photo)
    for column in columns[1:5]:
        assert np.array_equal(column[known], photo[known])
    assert (columns[1][~known] == 128).all()


def test_a_deterministic_network_has_one_fill_and_its_alpha() -> None:
    net = DFNet(DFNetConfig(size=16, width=4, max_width=8, kernels=(3, 3), fusion_levels=(0,), alpha_channels=1)).eval()
    assert report.grid(net, torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).shape == (16, 4 * 16, 3)


def test_pictures_are_written_in_rgb_into_folders_that_need_not_exist(tmp_path: Path) -> None:
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 0] = 255
    report.write_picture(tmp_path / "new" / "a.png", red)
    with Image.open(tmp_path / "new" / "a.png") as file:
        assert np.array_equal(np.asarray(file.convert("RGB")), red)


def test_curves_show_every_term_of_every_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        stats = report.Stats(tmp_path / name, 0) if (tmp_path / name).mkdir() is None else None
        assert stats is not None
        for images_seen in range(1, 20):
            stats.add(terms(l1=1 / images_seen, kl=float(images_seen)))
            stats.flush(images_seen)
    runs = {name: tmp_path / name / "stats.jsonl" for name in ("a", "b")}
    assert report.curves(runs, tmp_path / "both.png") == tmp_path / "both.png"
    with Image.open(tmp_path / "both.png") as file:
        assert file.width > file.height > 100 and len(file.convert("RGB").getcolors(10**6) or []) > 50
    assert report.curves(runs, tmp_path / "none.png", ("no-such-term",)) is not None
    (tmp_path / "a" / "stats.jsonl").write_text("")
    assert report.curves({"a": runs["a"]}, tmp_path / "empty.png") is None


@pytest.mark.parametrize("count", [1, 2, 6, 30])
def test_curves_of_a_run_that_has_just_begun_show_something(tmp_path: Path, count: int) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text("".join(json.dumps({"images_seen": i, "l1": 1 / i}) + "\n" for i in range(1, count + 1)))
    assert report.curves({"a": path}, tmp_path / "curves.png") is not None
    with Image.open(tmp_path / "curves.png") as file:
        pixels = np.asarray(file.convert("RGB")).astype(int)
    assert (pixels.max(2) - pixels.min(2) > 60).sum() > 10, "no coloured line or point"
    assert report.curves({"a": tmp_path / "absent.jsonl"}, tmp_path / "absent.png") is None


def test_smoothed_curves_keep_their_length_their_ends_and_a_straight_line() -> None:
    assert report._smooth(np.arange(12.0)).tolist() == list(range(12))
    assert report._smooth(np.array([0.0, 3.0, 0.0])).tolist() == [0.0, 1.0, 0.0]


def test_tensorboard_gets_the_terms_and_the_pictures(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    stats = report.Stats(tmp_path, 0)
    stats.add(terms(l1=2.0))
    stats.flush(4)
    stats.picture(4, np.full((4, 4, 3), 7, np.uint8))
    stats.board.close()
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("l1")] == [(4, 2.0)]
    assert [event.step for event in events.Images("val")] == [4]


def test_a_short_run_ends_with_pictures_and_curves(photos: Path, tmp_path: Path) -> None:
    train(replace(TINY, images=4, pictures_every=2000), [photos], tmp_path)
    assert (tmp_path / "curves.png").is_file() and (tmp_path / "pictures" / "000000004.jpg").is_file()
