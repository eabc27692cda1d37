"""Chains of recipes: each stage starts from the model of the one before it, and the same call goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyfill import weights
from manyfill.recipes import CHAINS, RECIPES, find_all
from manyfill.training.stages import shared_out, train_stages

PLAIN = replace(RECIPES["tiny"].net, spectral_norm=False)  # its weights are saved as they are
FIRST = replace(RECIPES["tiny"], name="first", net=PLAIN, images=8, lr=0.01)
SECOND = replace(FIRST, name="second", images=4, lr=0.0, lr_critic=0.0, ema=0, starts_from="first")  # learns nothing


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)).save(folder / "a.png")
    return folder


def test_a_stage_starts_from_the_one_before_and_the_last_model_is_the_runs(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train_stages((FIRST, SECOND), [photos], run) == 12
    assert (run / "model.safetensors").read_bytes() == (run / "2-second" / "model.safetensors").read_bytes()
    first, last = (
        weights.load(path).net for path in (run / "1-first" / "model.safetensors", run / "model.safetensors")
    )
    parameters = zip(first.named_parameters(), last.named_parameters(), strict=True)  # type: ignore[attr-defined]
    for (_, one), (_, other) in parameters:
        assert torch.equal(one, other)
    before = (run / "model.safetensors").stat().st_mtime_ns
    assert train_stages((FIRST, SECOND), [photos], run) == 12, "a finished run is left as it is"
    assert len(list((run / "1-first" / "checkpoints").iterdir())) == 1
    assert (run / "model.safetensors").stat().st_mtime_ns >= before


def test_out_of_time_stops_the_chain_and_the_same_call_goes_on(photos: Path, tmp_path: Path) -> None:
    assert train_stages((FIRST, SECOND), [photos], tmp_path / "run", max_minutes=0.0) == 2  # one step
    assert not (tmp_path / "run" / "2-second").exists() and not (tmp_path / "run" / "model.safetensors").exists()
    assert train_stages((FIRST, SECOND), [photos], tmp_path / "run") == 12


def test_images_are_shared_out_in_the_recipes_proportion() -> None:
    assert [stage.images for stage in shared_out((FIRST, SECOND), 120)] == [80, 40]
    assert [stage.images for stage in shared_out((FIRST, SECOND), 1)] == [2, 2]  # one batch each
    assert shared_out((FIRST, SECOND), None) == (FIRST, SECOND)
    assert [stage.images for stage in shared_out((FIRST,), 5)] == [5]


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_every_chain_is_of_recipes_whose_networks_fit_and_begins_from_nothing(name: str) -> None:
    stages = find_all(name)
    assert stages[0].starts_from is None and all(stage.starts_from for stage in stages[1:])
    assert all(replace(stage.net, size=0) == replace(stages[0].net, size=0) for stage in stages)  # type: ignore[call-arg]
