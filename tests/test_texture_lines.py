"""Straight edges go on through a hole where both of its sides say so, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import manyfill
from manyfill import Completer
from manyfill.texture import synthesize
from manyfill.texture.lines import carry, lines_through
from manyfill.texture.scales import Pixels, blur
from manyfill.texture.search import Search

Mask = NDArray[np.bool_]


def sea_and_sky(height: int = 200, width: int = 260, slope: float = 0.0) -> Pixels:
    """A bright sky above a dark, rippled sea; the horizon is at 100 in the middle and falls by `slope`."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    sea = (y - 99.5 - slope * (x - width / 2)).clip(0, 1)[..., None]
    ripples = blur(np.random.default_rng(0).random((height, width, 3), dtype=np.float32), 1.0) - 0.5
    sky = np.float32([0.75, 0.82, 0.9]) + np.float32(0.02) * ripples
    return (sky * (1 - sea) + (np.float32([0.15, 0.3, 0.4]) + 0.4 * ripples) * sea).astype(np.float32)


def hole_of(height: int = 200, width: int = 260) -> Mask:
    hole = np.zeros((height, width), bool)
    hole[50:150, 80:180] = True
    return hole


def without(image: Pixels, hole: Mask) -> Pixels:
    return np.where(hole[..., None], np.float32(0), image)


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.3])
def test_a_horizon_is_found_where_it_is(slope: float) -> None:
    hole = hole_of()
    line = lines_through(without(sea_and_sky(slope=slope), hole), hole)[0]
    for along in (0, line.gap / 2, line.gap):
        x, y = line.x + along * line.right, line.y + along * line.down
        assert abs(y - 100 - slope * (x - 130)) < 1.5
    assert abs(line.gap - 100 * np.hypot(1, slope)) < 8


def test_an_upright_edge_and_a_large_photo_are_seen_as_well() -> None:
    image, hole = sea_and_sky().swapaxes(0, 1).repeat(3, 0).repeat(3, 1), hole_of().T.repeat(3, 0).repeat(3, 1)
    line = lines_through(without(image, hole), hole)[0]
    assert abs(line.x + line.gap / 2 * line.right - 300) < 5
    assert abs(line.down) > 0.99


@pytest.mark.parametrize("scene", ["texture", "one side", "other colours", "step", "flat"])
def test_where_both_sides_do_not_agree_nothing_is_carried(scene: str) -> None:
    image, hole = sea_and_sky(), hole_of()
    if scene == "texture":
        image = np.random.default_rng(1).random(image.shape, dtype=np.float32)
    if scene == "one side":
        image[:, 130:] = image[:1, 130:]
    if scene == "other colours":
        image[:, 130:] = 0.9 - 0.5 * image[:, 130:]
    if scene == "step":
        image[20:, 130:] = image[:-20, 130:].copy()
    if scene == "flat":
        image[:] = 0.5
    assert lines_through(without(image, hole), hole) == []


def test_only_the_hole_is_changed_and_only_beside_the_line() -> None:
    image, hole = sea_and_sky(), hole_of()
    haze = np.where(hole[..., None], np.float32(0.5), image)
    kept = haze.copy()
    seen = without(image, hole)
    made, share = carry(haze, seen, hole, lines_through(seen, hole))
    assert (haze == kept).all(), "the guide that was given has changed"
    assert (made[~hole] == haze[~hole]).all()
    assert (share[~hole] == 0).all()
    assert np.abs(made - image)[96:99, 90:170].max() < 0.1
    assert np.abs(made - image)[102:105, 90:170].mean() < 0.1
    assert np.abs(made - haze)[hole & (np.abs(np.arange(200) - 100) > 40)[:, None]].max() < 0.02


def test_a_fill_keeps_the_horizon_that_its_guide_has_lost() -> None:
    image, hole = sea_and_sky(), hole_of()
    guide = np.where(hole[..., None], blur(np.roll(image, -25, 0), 9.0), image)
    near = hole & (np.abs(np.arange(200) - 100) < 8)[:, None]

    def error(lines: bool) -> float:
        filled = synthesize(image, hole, guide, search=Search(lines=lines)).image
        return float(((filled - image)[near] ** 2).mean())

    assert error(lines=True) < 0.5 * error(lines=False)


@pytest.fixture(scope="module")
def shipped() -> Completer:
    return manyfill.load("pluralistic-fusion")


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.2])
def test_a_large_hole_over_sea_and_sky_keeps_the_horizon_and_draws_no_haze(shipped: Completer, slope: float) -> None:
    """29 % of the photo, with the model that users have: the horizon to within 2 pixels, all along."""
    image = sea_and_sky(300, 420, slope)
    hole = np.zeros((300, 420), bool)
    hole[40:220, 110:310] = True
    photo = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    filled = shipped.complete(np.where(hole[..., None], np.uint8(0), photo), hole)[0].array.mean(2)
    sky, sea = photo[:30].mean(), photo[-60:].mean()
    dark = filled[:, 115:305] < (sky + sea) / 2
    above, below = np.cumsum(dark, 0), np.cumsum(~dark[::-1], 0)[::-1]
    found = (above[:-1] + below[1:]).argmin(0) + 1.0  # the row that parts each column best
    expected = 99.5 + slope * (np.arange(115, 305) - 210)
    assert np.abs(found - expected).max() <= 2
    apart = np.arange(300)[:, None] - (99.5 + slope * (np.arange(420) - 210))
    for part, colour in ((hole & (apart < -6), sky), (hole & (apart > 6), sea)):
        assert abs(filled[part].mean() - colour) < 4
        assert np.abs(filled[part] - colour).max() < np.abs(photo.mean(2) - colour)[~hole & (abs(apart) > 6)].max()
