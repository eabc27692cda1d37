"""One pass gives every metric; what cannot be measured is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from manyfill.errors import ManyfillError
from manyfill.evaluation.cases import Case
from manyfill.evaluation.measuring import Ruler
from manyfill.evaluation.sources import Answer
from manyfill.metrics import METRICS
from manyfill.metrics.perceptual import feature_distance
from manyfill.nets.perceptual import EfficientNetLite0


def case(seed: int = 0) -> Case:
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    hole = np.zeros((40, 56), bool)
    hole[8:24, 10:30] = True
    return Case(0, f"photo {seed}", np.asarray(Image.fromarray(small).resize((56, 40), Image.Resampling.BICUBIC)), hole)


def answer(one: Case, *shifts: int) -> Answer:
    """Fills that are wrong by so many grey levels."""
    fills = []
    for shift in shifts:
        fill = one.pixels.copy()
        fill[one.hole] = np.clip(fill[one.hole].astype(int) + shift, 0, 255)
        fills.append(fill)
    return Answer(fills, list(range(len(fills))), [None] * len(fills), [])


def grey() -> Case:
    one = case()
    return Case(0, "grey", np.full_like(one.pixels, 100), one.hole)


def test_numbers_are_those_of_the_pixels() -> None:
    measured = Ruler(["l1_hole", "l1", "psnr_hole"]).measure(grey(), answer(grey(), 10, -20))
    assert [fill["l1_hole"] for fill in measured.fills] == pytest.approx([10, 20], rel=1e-5)
    assert measured.fills[0]["l1"] == pytest.approx(10 * 16 * 20 / (40 * 56), rel=1e-5)
    assert measured.fills[1]["psnr_hole"] == pytest.approx(20 * math.log10(255 / 20), rel=1e-5)
    assert measured.known_exact


def test_an_identical_picture_has_infinite_psnr_and_a_changed_known_pixel_is_seen() -> None:
    one = case()
    assert Ruler(["psnr"]).measure(one, answer(one, 0)).fills[0]["psnr"] == math.inf
    spoilt = answer(one, 3)
    spoilt.fills[0][0, 0, 0] ^= 1
    assert not Ruler(["psnr"]).measure(one, spoilt).known_exact


def test_what_lies_between_fills_needs_two_of_them() -> None:
    ruler = Ruler(["diversity_l1_hole"])
    assert ruler.measure(grey(), answer(grey(), 10)).spread == {}
    spread = ruler.measure(grey(), answer(grey(), 0, 10, 20)).spread
    assert spread["diversity_l1_hole"] == pytest.approx((10 + 20 + 10) / 3, rel=1e-5)


def test_feature_maps_are_compared_at_the_size_asked_for() -> None:
    one, network = case(), EfficientNetLite0()
    made = answer(one, 40)
    full = Ruler(["pd_eff"], side=0).measure(one, made).fills[0]["pd_eff"]
    picture, truth = (
        torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float()[None] / 255 for pixels in (made.fills[0], one.pixels)
    )
    hole = torch.from_numpy(one.hole).float()[None, None]
    assert full == pytest.approx(float(feature_distance(network, picture, truth, hole)), rel=1e-5)
    assert Ruler(["pd_eff"], side=20).measure(one, made).fills[0]["pd_eff"] != pytest.approx(full, rel=1e-3)
    assert Ruler(["pd_eff"], side=4000).measure(one, made).fills[0]["pd_eff"] == pytest.approx(full, rel=1e-6)


def test_worse_fills_score_worse_in_all_metrics_of_nearness() -> None:
    one = case()
    ruler = Ruler([name for name, metric in METRICS.items() if metric.needs in ("pair", "network")])
    near, far = ruler.measure(one, answer(one, 4, 60)).fills
    for metric in ruler.metrics:
        if metric.name in ("tv", "gradient_jump"):  # how rough a picture is, not how near
            continue
        assert (
            near[metric.name] < far[metric.name] if metric.better == "lower" else near[metric.name] > far[metric.name]
        )


def test_sets_are_compared_by_what_was_kept_of_each_photo() -> None:
    ruler = Ruler(["kd_eff", "p_ids_eff"])
    photos = [case(seed) for seed in range(4)]
    same = ruler.over_all([ruler.measure(one, answer(one, 0)).features for one in photos])
    other = ruler.over_all([ruler.measure(one, answer(one, 90)).features for one in photos])
    assert same["kd_eff"] < 0 < other["kd_eff"]  # unbiased: a set's own pairs are left out, so that itself is below 0
    assert "p_ids_eff" not in same  # four photos, 1280 features: it would say nothing


def test_a_network_that_cannot_be_had_is_noted_with_what_to_do() -> None:
    ruler = Ruler(["l1_hole", "pd_vgg", "fid", "kid"])  # an empty cache folder: no VGG16, no Inception
    assert [metric.name for metric in ruler.metrics] == ["l1_hole"]
    assert list(ruler.left_out) == ["pd_vgg", "fid", "kid"]
    assert "manyfill fetch vgg16" in ruler.left_out["pd_vgg"] and "inception" in ruler.left_out["kid"]


def test_an_unknown_metric_is_an_error() -> None:
    with pytest.raises(ManyfillError, match="no metric 'psnr_hol'"):
        Ruler(["psnr_hol"])


def test_pictures_below_a_metrics_window_have_no_value() -> None:
    tiny = Case(0, "tiny", np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=bool))
    measured = Ruler(["ssim", "l1"]).measure(tiny, Answer([tiny.pixels], [0], [None], []))
    assert math.isnan(measured.fills[0]["ssim"]) and measured.fills[0]["l1"] == 0
