"""Numbers of held-out photos, by hand; which of two models is the better."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from manyfill.recipes import RECIPES
from manyfill.training.validation import Validation, better, held_out


class Grey:
    """A network that fills with mid-grey."""

    def encode(self, image: Tensor, hole: Tensor) -> Any:
        return image

    def decode(self, encoded: Tensor, noise: None) -> Any:
        return SimpleNamespace(image=torch.full_like(encoded, 0.5))


def test_numbers_are_means_over_the_photos_in_all_and_by_bin() -> None:
    image = torch.stack([torch.full((3, 64, 64), value) for value in (0.6, 0.7, 0.5)])  # off by 0.1, 0.2 and nothing
    hole = torch.zeros(3, 1, 64, 64)
    hole[0, :, :8], hole[1, :, :16], hole[2, :, :16] = 1, 1, 1  # 12.5 %, 25 %, 25 %
    found = Validation((image, hole), torch.device("cpu"))(Grey())  # type: ignore[arg-type]
    psnr = [-20 * np.log10(0.1), -20 * np.log10(0.2)]  # the third is infinite: left out
    assert found["val_psnr"] == pytest.approx(np.mean(psnr), abs=1e-4)
    assert found["val_psnr 10-20%"] == pytest.approx(psnr[0], abs=1e-4)
    assert found["val_psnr 20-30%"] == pytest.approx(psnr[1], abs=1e-4)
    assert not any("30-40%" in name for name in found)
    assert found["val_pd_eff"] >= 0 and "val_lpips" not in found  # no LPIPS in the cache


def test_the_better_model_is_told_by_lpips_then_pd_eff_then_psnr() -> None:
    assert better({"val_lpips": 0.1, "val_psnr": 1.0}, {"val_lpips": 0.2, "val_psnr": 9.0})
    assert not better({"val_pd_eff": 0.3, "val_psnr": 9.0}, {"val_pd_eff": 0.2, "val_psnr": 1.0})
    assert better({"val_psnr": 2.0}, {"val_psnr": 1.0}) and not better({"val_psnr": 1.0}, {"val_psnr": 1.0})
    assert better({"val_psnr": 1.0}, {}) and not better({}, {})
    assert better({"val_psnr": 2.0, "val_lpips": 0.9}, {"val_psnr": 1.0}), "by what both have"


def test_photos_and_holes_are_always_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(tmp_path / f"{index}.png")
    first, second = (held_out(RECIPES["tiny"], [tmp_path], 2) for _ in range(2))
    assert first[0].shape == (2, 3, 32, 32) and first[1].shape == (2, 1, 32, 32)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert held_out(RECIPES["tiny"], [tmp_path], 48)[0].shape[0] == 3
