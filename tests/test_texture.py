"""Texture synthesis: exact on what repeats, honest where nothing fits, and never a look into the hole."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from manyfill.texture import Synthesis, field, prepare, synthesize
from manyfill.texture.field import Sources
from manyfill.texture.kernels import RADIUS
from manyfill.texture.scales import Pixels, blur, level_of
from manyfill.texture.search import Search

SEARCH = Search()
ANYWHERE = Search(calm=0.0, nearer=SEARCH.nearness)  # neither calm nor far places pay


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def periodic(height: int, width: int, period: int = 12) -> Pixels:
    tile = noise(period, period, 5)
    tile = (tile + np.roll(tile, 1, 0) + np.roll(tile, 1, 1)) / 3
    return np.tile(tile, (height // period + 1, width // period + 1, 1))[:height, :width].copy()


def box(height: int, width: int, top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
    hole = np.zeros((height, width), bool)
    hole[top:bottom, left:right] = True
    return hole


def soften(image: Pixels, hole: NDArray[np.bool_], sigma: float = 4.0) -> Pixels:
    """What an ideal soft net would draw."""
    taps = np.exp(-0.5 * (np.arange(-12, 13) / sigma) ** 2)
    taps /= taps.sum()
    out = image.astype(np.float64)
    for axis in (0, 1):
        pad = [(12, 12) if a == axis else (0, 0) for a in range(3)]
        wide = np.pad(out, pad, mode="edge")
        out = sum(t * np.take(wide, np.arange(out.shape[axis]) + k, axis) for k, t in enumerate(taps))
    return np.where(hole[..., None], out, image).astype(np.float32)


def psnr(a: Pixels, b: Pixels, where: NDArray[np.bool_]) -> float:
    return float(-10 * np.log10(np.mean((a[where] - b[where]) ** 2) + 1e-12))


def poisoned(image: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    out = image.copy()
    out[hole] = np.nan
    return out


def run(image: Pixels, hole: NDArray[np.bool_], guide: Pixels | None = None, **options: object) -> Synthesis:
    """Synthesis of a photo whose hole holds NaN: whoever reads it is seen."""
    result = synthesize(poisoned(image, hole), hole, guide, **options)  # type: ignore[arg-type]
    assert np.isfinite(result.image).all(), "something read the hole"
    assert (result.image[~hole] == image[~hole]).all()
    assert (result.confidence[~hole] == 0).all()
    assert (result.sources[~hole] == -1).all()
    return result


@pytest.mark.parametrize("guided", [True, False])
def test_a_periodic_texture_is_restored_to_more_than_30_db(guided: bool) -> None:
    image, hole = periodic(120, 132), box(120, 132, 40, 44, 80, 90)
    result = run(image, hole, soften(image, hole) if guided else None)
    assert psnr(result.image, image, hole) > 30


@pytest.mark.parametrize("guided", [True, False])
def test_a_linear_ramp_stays_a_ramp(guided: bool) -> None:
    ramp = np.linspace(0.1, 0.9, 128, dtype=np.float32)
    image = np.stack([np.tile(ramp, (112, 1)), np.tile(ramp[::-1], (112, 1)), np.full((112, 128), 0.5)], 2).astype(
        np.float32
    )
    hole = box(112, 128, 30, 40, 80, 90)
    result = run(image, hole, soften(image, hole) if guided else None)
    assert np.abs(result.image - image)[hole].max() < 0.03


@pytest.mark.parametrize("guided", [True, False])
def test_a_checkerboard_keeps_its_phase(guided: bool) -> None:
    y, x = np.mgrid[:128, :128]
    image = np.repeat(((y // 8 + x // 8) % 2 * 0.8 + 0.1)[..., None], 3, 2).astype(np.float32)
    hole = box(128, 128, 44, 44, 84, 84)
    result = run(image, hole, soften(image, hole) if guided else None)
    assert psnr(result.image, image, hole) > 25


@pytest.mark.parametrize("window", [(0, 0, 30, 20), (40, 60, 70, 80), (0, 30, 70, 42), (30, 0, 42, 80)])
def test_a_hole_at_the_border_is_filled_from_known_patches_only(window: tuple[int, int, int, int]) -> None:
    image, hole = noise(70, 80), box(70, 80, *window)
    result = run(image, hole, soften(image, hole))
    source = result.sources[hole]
    assert (source >= 0).all()
    assert not hole.ravel()[source].any()


def test_between_dense_strokes_patches_are_copied_in_part() -> None:
    image = periodic(98, 98, 10) * 0.3
    image[:, 84:] += 0.7
    y, x = np.mgrid[:98, :98]
    hole = ((y % 7 < 1) | (x % 7 < 1)) & (x < 84)  # no patch left of column 84 is fully known
    result = run(image, hole, soften(image, hole))
    source = result.sources[hole]
    assert not hole.ravel()[source].any()
    assert (source % 98 < 84).mean() > 0.8


def test_the_same_seed_gives_the_same_picture_and_another_seed_another() -> None:
    image, hole = noise(80, 80), box(80, 80, 30, 30, 50, 50)
    first, again, other = run(image, hole, seed=3), run(image, hole, seed=3), run(image, hole, seed=4)
    assert (first.image == again.image).all()
    assert (first.sources == again.sources).all()
    assert (first.image != other.image).any()


def test_a_hole_larger_than_any_known_region_is_still_filled_with_texture() -> None:
    image = periodic(110, 110, 5)
    hole = box(110, 110, 10, 10, 100, 100)
    result = run(image, hole, soften(image, hole, 1.5))
    assert (result.sources[hole] >= 0).all()
    assert result.image[hole].std() > 0.5 * image.std()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 40), (7, 7), (7, 8), (9, 300), (20, 15)])
@pytest.mark.parametrize("guided", [True, False])
def test_tiny_photos_are_filled(shape: tuple[int, int], guided: bool) -> None:
    image, hole = noise(*shape), np.zeros(shape, bool)
    hole[-1, -1] = True
    result = run(image, hole, np.full_like(image, 0.25) if guided else None)
    assert 0 <= result.image.min() <= result.image.max() <= 1


def test_a_photo_that_is_all_hole_returns_the_guide() -> None:
    guide = noise(50, 60)
    result = synthesize(np.full((50, 60, 3), np.nan, np.float32), np.ones((50, 60), bool), guide)
    assert (result.image == guide).all()
    assert (result.confidence == 0).all()
    assert np.isfinite(synthesize(guide, np.ones((50, 60), bool)).image).all()


def test_an_empty_hole_returns_the_photo() -> None:
    image = noise(40, 40)
    assert (synthesize(image, np.zeros((40, 40), bool), image).image == image).all()


def test_strength_zero_returns_the_guide_and_arguments_are_left_alone() -> None:
    image, hole = noise(90, 90), box(90, 90, 20, 20, 60, 60)
    guide = soften(image, hole)
    before = image.copy(), hole.copy(), guide.copy()
    result = synthesize(image, hole, guide, strength=0)
    assert (result.image[hole] == guide[hole]).all()
    synthesize(image, hole, guide)
    assert all((a == b).all() for a, b in zip(before, (image, hole, guide), strict=True))


def test_where_the_photo_has_nothing_like_the_guide_the_guide_is_kept() -> None:
    image, hole = noise(128, 128) * 0.2, box(128, 128, 30, 30, 100, 100)
    guide = image.copy()
    guide[hole] = (0.1, 0.1, 0.1)
    guide[50:80, 50:80] = (1.0, 0.1, 0.9)
    result = run(image, hole, guide)
    assert result.confidence[60:70, 60:70].max() < 0.2
    assert np.abs(result.image - guide)[60:70, 60:70].max() < 0.2
    assert result.confidence[34:38, 34:96].min() > 0.7


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.integers(30, 90), st.integers(30, 90), st.booleans())
@example(513, 37, 49, False)  # a corner that only the far end of a patch reaches
def test_colours_lie_in_the_hull_of_net_and_photo_up_to_the_gain_limits(seed: int, h: int, w: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    image = (0.3 + 0.2 * rng.random((h, w, 3))).astype(np.float32)
    hole = rng.random((h // 6 + 1, w // 6 + 1)) < 0.3
    hole = np.kron(hole, np.ones((6, 6), bool))[:h, :w].astype(bool)
    guide = np.full_like(image, rng.random()) if flat else (0.3 + 0.2 * rng.random(image.shape)).astype(np.float32)
    result = run(image, hole, guide)
    if hole.any():
        both = np.concatenate([image[~hole], guide[hole]])
        assert result.image[hole].max() <= both.max() + SEARCH.max_bias + SEARCH.max_seam + 1e-5
        assert result.image[hole].min() >= both.min() - SEARCH.max_bias - SEARCH.max_seam - 1e-5


@given(st.integers(20, 40), st.integers(20, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_every_missing_pixel_lies_in_a_patch_of_a_sparse_round(h: int, w: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hole = np.kron(rng.random((8, 8)) < 0.3, np.ones((5, 5), bool))[:h, :w]
    level = level_of(noise(h, w, 1), hole, SEARCH)
    if level is None or not hole.any():
        return
    matching = Sources(level, SEARCH, lambda: None)
    reached = np.zeros(hole.shape, bool)
    for y, x in zip(*np.divmod(matching.few, w), strict=True):
        reached[y - RADIUS : y + RADIUS + 1, x - RADIUS : x + RADIUS + 1] = True
    assert reached[hole].all()
    assert sorted([*matching.few, *matching.between]) == sorted(matching.targets)
    assert np.isin(matching.between - matching.back, matching.few).all()


@pytest.mark.parametrize(("height", "width"), [(180, 190), (181, 187)])
def test_a_hole_that_is_searched_sparsely_is_restored_like_a_small_one(height: int, width: int) -> None:
    image, hole = periodic(height, width, 12), box(height, width, 50, 60, 130, height)
    assert hole.sum() > SEARCH.sparse
    assert psnr(run(image, hole, soften(image, hole)).image, image, hole) > 30


def test_a_big_photo_is_refined_and_stays_right() -> None:
    image, hole = periodic(240, 260, 16), box(240, 260, 80, 90, 150, 170)
    result = run(image, hole, soften(image, hole, 5), search=Search(working=130 * 130))
    assert psnr(result.image, image, hole) > 25
    small = soften(image, hole, 5)[::2, ::2].copy()
    assert psnr(run(image, hole, small, search=Search(working=130 * 130)).image, image, hole) > 25


def test_rebate_keeps_detail_that_votes_blur() -> None:
    strength = np.linspace(0.1, 1, 120, dtype=np.float32)[:, None, None]
    grain = 0.5 + strength * (blur(noise(120, 120, 3), 0.8) - 0.5)  # smoother at the top
    hole = box(120, 120, 40, 40, 80, 80)
    guide = np.where(hole[..., None], np.float32(0.5), grain)

    def detail(search: Search) -> float:
        filled = run(grain, hole, guide, search=search).image
        return float(((filled - blur(filled, 1.5))[hole] ** 2).mean())

    assert detail(ANYWHERE) > 1.1 * detail(replace(ANYWHERE, rebate=0.0))


def furry_disc_behind_stripes() -> tuple[Pixels, NDArray[np.bool_], NDArray[np.bool_]]:
    """A coarse texture on a smooth ground, mostly hidden: at coarse scales no patch of it is whole."""
    y, x = np.mgrid[:256, :256].astype(np.float32)
    disc = (y - 128) ** 2 + (x - 128) ** 2 < 70**2
    ground = np.stack([0.5 + 0.1 * x / 256, 0.45 + 0.1 * y / 256, np.full_like(x, 0.65)], 2)
    fur = np.float32([0.55, 0.4, 0.25]) + 1.5 * (blur(noise(256, 256, 4), 1.5) - 0.5)
    hole = ((y % 36 < 22) | (x % 44 < 22)) & (abs(y - 128) < 90) & (abs(x - 128) < 90)
    return np.where(disc[..., None], fur, ground).clip(0, 1).astype(np.float32), hole, disc


def test_what_is_mostly_hidden_goes_on_from_its_broken_patches() -> None:
    image, hole, disc = furry_disc_behind_stripes()
    inside = hole & (blur(disc.astype(np.float32), 4) > 0.98)

    def of_the_disc(search: Search) -> float:
        result = run(image, hole, soften(image, hole, 4), search=search)
        return float(disc.ravel()[result.sources[inside]].mean())

    assert of_the_disc(SEARCH) > 0.9
    assert of_the_disc(replace(ANYWHERE, calm=SEARCH.calm, whole=0.0)) < 0.8, (
        "the scene is too easy: it needs no broken patches"
    )


def test_fills_of_one_photo_share_what_does_not_depend_on_them() -> None:
    image, hole = periodic(110, 120), box(110, 120, 30, 40, 70, 80)
    guides = [soften(image, hole, sigma) for sigma in (2, 5)]
    prepared = prepare(poisoned(image, hole), hole)
    for seed, guide in enumerate(guides):
        alone = run(image, hole, guide, seed=seed)
        shared = run(guide, hole, guide, seed=seed, prepared=prepared)
        assert (alone.image == shared.image).all() and (alone.sources == shared.sources).all()


def test_the_machine_code_of_the_first_call_makes_the_same_bytes_as_the_kept_one(tmp_path: Path) -> None:
    program = (
        "import hashlib, numpy as np; from manyfill.texture import synthesize;"
        "image = np.random.default_rng(0).random((90, 100, 3), np.float32); hole = np.zeros((90, 100), bool);"
        "hole[30:60, 30:70] = True; made = synthesize(image, hole, image[::-1].copy());"
        "print(hashlib.sha256(made.image.tobytes() + made.sources.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", program]
    first, again = (subprocess.run(command, env=environment, capture_output=True, check=True).stdout for _ in range(2))
    assert list(tmp_path.rglob("*.nbc")), "nothing was kept"
    assert first == again


def test_the_coarsest_start_compares_a_bounded_number_of_patches() -> None:
    """Thin holes all over are not closed at any scale: the start is at the photo's own, and all of it is touched."""
    program = (
        "import resource, numpy as np; from manyfill.texture import synthesize;"
        "image = np.random.default_rng(0).random((400, 600, 3), np.float32); hole = np.zeros((400, 600), bool);"
        "synthesize(image[:60, :60], np.eye(60, dtype=bool)); hole[::9, ::9] = True;"
        "before = resource.getrusage(resource.RUSAGE_SELF); synthesize(image, hole, image);"
        "after = resource.getrusage(resource.RUSAGE_SELF);"
        "print(after.ru_utime - before.ru_utime, (after.ru_maxrss - before.ru_maxrss) / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, grown = map(float, done.stdout.split())
    assert seconds < 60  # some 6 on a quiet core; minutes without the bound
    assert grown < 400  # MiB; 1900 without


def test_calm_places_elsewhere_do_not_fill_what_is_lively_all_around() -> None:
    """A soft guide in the surf is as grey as the sky, and the sky is smoother than any patch of surf."""
    lively = 0.6 + 0.5 * (blur(noise(200, 220, 7), 0.9) - 0.5)
    image = lively.astype(np.float32)
    image[:70] = 0.6
    hole = box(200, 220, 110, 70, 160, 150)
    guide = np.where(hole[..., None], np.float32(0.6), image)

    def of_the_sky(search: Search) -> float:
        return float((run(image, hole, guide, search=search).sources[hole] < 70 * 220).mean())

    paid, free = of_the_sky(replace(ANYWHERE, calm=SEARCH.calm)), of_the_sky(ANYWHERE)
    assert paid < 0.5 * free, (paid, free)
    assert free > 0.3, "the scene is too easy"


def test_in_a_scene_what_is_far_away_costs_more_and_in_one_texture_it_does_not() -> None:
    """Sky above, surf below: what is as pale as the surf is no surf. But one texture is the same all over."""
    image = (0.6 + 0.5 * (blur(noise(240, 220, 7), 0.9) - 0.5)).astype(np.float32)
    even = image.copy()
    image[:72] = 0.6
    image[200:] = np.float32([0.6, 0.5, 0.3])
    hole = box(240, 220, 130, 70, 180, 150)
    guide = np.where(hole[..., None], np.float32(0.6), image)

    def of_the_sky(search: Search) -> float:
        return float((run(image, hole, guide, search=search).sources[hole] < 72 * 220).mean())

    near, anywhere = of_the_sky(replace(ANYWHERE, nearer=SEARCH.nearer)), of_the_sky(ANYWHERE)
    assert near < 0.2 * anywhere, (near, anywhere)
    assert anywhere > 0.3, "the scene is too easy"
    assert prepare(image, hole).search.nearness == pytest.approx(SEARCH.nearer)
    assert prepare(even, hole).search.nearness == SEARCH.nearness


def test_nobody_waits_while_more_than_a_portion_of_the_patches_is_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted in patches, between two checks; the loops themselves are only watched."""
    image, hole = noise(700, 700, 2), box(700, 700, 120, 120, 580, 580)
    since, longest, whole = 0, 0, 0

    def watched(loop: Any, targets: int) -> Any:
        def counted(*arguments: Any) -> Any:
            nonlocal since, whole
            since, whole = since + len(arguments[targets]), whole + len(arguments[targets])
            return loop(*arguments)

        return counted

    def check() -> None:
        nonlocal since, longest
        since, longest = 0, max(longest, since)

    for name, targets in (("price_all", 6), ("sweep", 8), ("vote", 9)):
        monkeypatch.setattr(field, name, watched(getattr(field, name), targets))
    synthesize(image, hole, check=check)
    assert 0 < longest <= field.PORTION
    assert whole > 20 * field.PORTION, "else nothing was parted"
