"""One texture or a scene: what the photo around a hole is like."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from manyfill.texture.structure import SCENE, TEXTURE, share, unlikeness


def hole_of(height: int = 256, width: int = 320) -> NDArray[np.bool_]:
    hole = np.zeros((height, width), bool)
    hole[90:170, 120:220] = True
    return hole


def texture(high: int = 255, kind: str = "uint8") -> NDArray[np.generic]:
    return np.random.default_rng(0).integers(0, high, (256, 320, 3)).astype(kind)


def scene() -> NDArray[np.uint8]:
    """A smooth bright sky over rough dark ground."""
    picture = texture(90).astype(np.uint8)
    picture[:128] = (120, 170, 230)
    return picture


def test_an_even_texture_is_told_from_a_scene_at_either_depth() -> None:
    assert unlikeness(texture(), hole_of()) < TEXTURE / 2
    assert unlikeness(texture(65535, "uint16"), hole_of()) < TEXTURE / 2
    assert unlikeness(scene(), hole_of()) > 2 * SCENE
    assert unlikeness(scene().astype(np.uint16) * 257, hole_of()) == pytest.approx(
        unlikeness(scene(), hole_of()), rel=0.01
    )


def test_what_lies_under_the_hole_or_far_from_it_does_not_count() -> None:
    hole = hole_of()
    other = scene()
    other[hole] = np.random.default_rng(1).integers(0, 255, (int(hole.sum()), 3))
    assert unlikeness(other, hole) == unlikeness(scene(), hole)
    wide = np.random.default_rng(2).integers(0, 255, (300, 4000, 3)).astype(np.uint8)
    far = np.zeros((300, 4000), bool)
    far[100:200, 100:200] = True
    before = unlikeness(wide, far)
    wide[:, 2000:] = 0
    assert unlikeness(wide, far) == before


def test_the_share_of_texture_falls_from_one_in_textures_to_a_networks_own_in_scenes() -> None:
    assert share(texture(), hole_of(), 0.5) == 1
    assert share(scene(), hole_of(), 0.5) == 0.5
    assert share(scene(), hole_of(), 1.0) == 1


@pytest.mark.parametrize("known", [0, 1])
def test_where_hardly_anything_is_known_or_all_is_alike_texture_is_taken_as_ever(known: int) -> None:
    hole = np.ones((64, 64), bool)
    hole[:, :known] = False
    assert unlikeness(np.zeros((64, 64, 3), np.uint8), hole) == 0
    assert unlikeness(np.full((64, 64, 3), 7, np.uint8), np.zeros((64, 64), bool)) == 0
