"""Each sample and its noise depend on the seed and its number alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import TINY, same, state
from torch import Tensor

from manyfill import weights
from manyfill.objectives import DualPath, Nets
from manyfill.training import train

pytestmark = pytest.mark.usefixtures("without_curves")


class Listening(DualPath):
    """Keeps the noise that each picture is given."""

    heard: list[Tensor] = []  # noqa: RUF012

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Any:
        assert noise is not None
        Listening.heard.extend(noise)
        return super().forward(nets, image, hole, noise)


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


@pytest.mark.parametrize("at", [6, 8])
def test_a_run_in_two_parts_is_a_run_in_one(never_killed: Path, photos: Path, tmp_path: Path, at: int) -> None:
    train(TINY, [photos], tmp_path, images=at)
    assert state(tmp_path)["images_seen"] == at
    train(TINY, [photos], tmp_path)
    assert same(state(tmp_path), state(never_killed))
    assert same(*(weights.load(run / "model.safetensors").net.state_dict() for run in (tmp_path, never_killed)))  # type: ignore[attr-defined]


def test_another_seed_gives_another_run(never_killed: Path, photos: Path, tmp_path: Path) -> None:
    train(replace(TINY, seed=1), [photos], tmp_path, images=2)
    assert not same(state(tmp_path)["step"]["nets"], state(never_killed)["step"]["nets"])
