"""The completer with tiny untrained networks: what it promises does not depend on how well a network draws."""

from __future__ import annotations

import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from stopping import steps_of
from torch import Tensor, nn

from manyfill import memory, photos, ranking, weights
from manyfill.checking import Check
from manyfill.completer import Completer, Completion, NetDrawer, ceiling, texturing, uncertainty
from manyfill.completer.portions import Portions
from manyfill.errors import BadMask, BadWeights, ManyfillError, TooLarge
from manyfill.nets import Prediction
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.discriminators import Critic, CriticConfig
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.options import FillOptions
from manyfill.windows import plan, turns


class Sketch(nn.Module):
    """The smallest network of its kind: two convolutions, noise at an eighth of the size, fusion if asked for."""

    multiple = 8
    working_size = 32

    def __init__(self, *, noisy: bool = True, fused: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config: Any = None
        self.noisy, self.fused = noisy, fused
        self.see = nn.Conv2d(4, 6, 5, padding=2)
        self.draw = nn.Conv2d(8, 4, 3, padding=1)
        self.encoded = 0

    def noise_shape(self, height: int, width: int) -> tuple[int, ...] | None:
        return (2, height // 8, width // 8) if self.noisy else None

    def encode(self, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        assert image.shape[-2] % 8 == image.shape[-1] % 8 == 0
        self.encoded += 1
        masked = image * (1 - hole)
        return self.see(torch.cat([masked, hole], 1)).relu(), masked

    def decode(self, encoded: tuple[Tensor, Tensor], noise: Tensor | None) -> Prediction:
        features, masked = encoded
        size = features.shape[-2:]
        if noise is None:
            noise = torch.zeros(1, 2, size[0] // 8, size[1] // 8)
        drawn = self.draw(torch.cat([features, nn.functional.interpolate(noise, size=size)], 1)).sigmoid()
        raw, alpha = drawn[:, :3], drawn[:, 3:]
        return Prediction(alpha * raw + (1 - alpha) * masked, alpha, raw) if self.fused else Prediction(raw)


def painted(photo: Any, **options: Any) -> Completion:
    (fill,) = Completer.of_net(Sketch()).complete(photo, **{"texture": "net", **options})  # type: ignore[arg-type]
    return fill


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "L", "16"])
def test_on_a_larger_canvas_known_pixels_are_exact_at_their_new_place(kind: str) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (40, 56, 4), dtype=np.uint8)
    photo = {"RGB": array[..., :3], "RGBA": array, "L": array[..., 0], "16": array[..., :3].astype(np.uint16) * 251}[
        kind
    ]
    if kind == "RGBA":
        photo[5:9, 5:9, 3] = 0
    fill = painted(photo, extend="8,25%,0,3")
    known = photos.read(photo)
    assert (fill.source.height, fill.source.width) == (48, 73) and fill.photo.depth == known.depth
    assert np.array_equal(fill.photo.pixels[8:48, 3:59], known.pixels)
    assert fill.hole.sum() == 48 * 73 - 40 * 56
    border = fill.photo.pixels[fill.hole]
    assert len(np.unique(border, axis=0)) > 20  # drawn, not the photo's edge or one colour
    if fill.photo.alpha is not None and known.alpha is not None:
        assert np.array_equal(fill.photo.alpha[8:48, 3:59], known.alpha) and (fill.photo.alpha[fill.hole] == 255).all()


def test_a_mask_and_a_border_are_filled_together() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    mask = np.zeros((40, 56), bool)
    mask[10:20, 10:20] = True
    fill = painted(photo, mask=mask, extend_to="2:1")
    assert fill.hole.shape == (40, 80) and fill.hole[10:20, 22:32].all() and not fill.hole[:, 12:22].any()
    assert fill.hole.sum() == 40 * 24 + 100
    with pytest.raises(BadMask, match="there is no mask"):
        painted(photo)
    plain = painted(photo, extend_to="7:5")  # the shape that it has
    assert not plain.hole.any() and np.array_equal(plain.array, photo)


def test_a_canvas_beyond_the_memory_is_refused_before_it_is_laid_out() -> None:
    photo = np.zeros((40, 56, 3), np.uint8)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="a canvas of 20056x4040 would take"):
        painted(photo, extend="2000,10000,2000,10000", max_memory=memory.resident() + (100 << 20))
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


class Clouds(Sketch):
    """Smooth and blind to the photo: what two of its windows draw has nothing in common."""

    working_size = 64

    def decode(self, encoded: tuple[Tensor, Tensor], noise: Tensor | None) -> Prediction:
        assert noise is not None
        size = encoded[0].shape[-2:]
        shades = nn.functional.interpolate(noise[:, :1], size=size, mode="bicubic").sigmoid()
        return Prediction(shades.expand(1, 3, *size))


class Brightness(nn.Module):
    """A critic whose taste is known: bright pictures."""

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image.mean(1, keepdim=True), 8)


def sketch(*, critic: bool = True, **options: bool) -> Completer:
    return Completer.of_net(Sketch(**options).eval(), critic=Brightness() if critic else None, name="sketch")


NETS = {
    "sketch": sketch(),
    "fused sketch": sketch(fused=True),
    "picnet": Completer.of_net(
        PICNet(PICNetConfig(size=64, width=4, max_width=8, latent=4, infer_blocks=1)).eval(),
        critic=Critic(CriticConfig(width=4, max_width=8)).eval(),
    ),
    "flagship": Completer.of_net(
        PICNet(
            PICNetConfig(size=64, width=4, max_width=8, latent=4, infer_blocks=1, sees_hole=True, fusion_scales=4)
        ).eval()
    ),
    "dfnet": Completer.of_net(
        DFNet(DFNetConfig(size=32, width=4, max_width=8, kernels=(5, 3, 3), fusion_levels=(0, 1))).eval()
    ),
}


def complete(completer: Completer, photo: Any, hole: Any, **options: Any) -> list[Completion]:
    """Without the texture stage, which has its own tests and takes most of the time."""
    return completer.complete(photo, hole, **{"texture": "net", **options})


def photo_of(height: int, width: int, *, dtype: Any = np.uint8, channels: int = 3, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    small = rng.random((4, 4, channels)).astype(np.float32)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, channels)
    return np.rint(smooth * np.iinfo(dtype).max).astype(dtype)


def box(height: int, width: int, *parts: tuple[slice, slice]) -> NDArray[np.bool_]:
    hole = np.zeros((height, width), bool)
    for part in parts:
        hole[part] = True
    return hole


def same(one: Completion, other: Completion) -> bool:
    return bool((one.photo.pixels == other.photo.pixels).all()) and one.seed == other.seed


# ── what must never change ────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def holes(draw: st.DrawFn) -> NDArray[np.bool_]:
    height, width = draw(st.integers(1, 120)), draw(st.integers(1, 120))
    hole = np.zeros((height, width), bool)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 4))):
        (top, bottom), (left, right) = (np.sort(rng.integers(0, side + 1, 2)) for side in (height, width))
        hole[top:bottom, left:right] = True
    return hole


@given(
    holes(),
    st.sampled_from([np.uint8, np.uint16]),
    st.sampled_from([3, 4]),
    st.sampled_from(sorted(NETS)),
    st.integers(1, 2),
)
@settings(max_examples=15)
def test_known_pixels_are_never_changed(hole: NDArray[np.bool_], dtype: Any, channels: int, name: str, n: int) -> None:
    pixels = photo_of(*hole.shape, dtype=dtype, channels=channels)
    for fill in complete(NETS[name], pixels, hole, n=n):
        assert fill.photo.pixels.shape == (*hole.shape, 3) and fill.photo.pixels.dtype == dtype
        assert (fill.photo.pixels[~hole] == pixels[..., :3][~hole]).all()
        if channels == 4:
            assert fill.photo.alpha is not None and (fill.photo.alpha == pixels[..., 3]).all()


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("size", [(1, 1), (1, 200), (37, 64), (300, 90)])
def test_any_size_is_filled_by_any_network(name: str, size: tuple[int, int]) -> None:
    hole = box(*size, (slice(0, max(1, size[0] // 2)), slice(0, max(1, size[1] // 3))))
    (fill,) = complete(NETS[name], photo_of(*size), hole)
    assert fill.photo.pixels.shape == (*size, 3)
    assert (fill.hole == hole).all()


@pytest.mark.parametrize("name", sorted(NETS))
def test_a_full_hole_is_drawn_from_nothing(name: str) -> None:
    black, white = np.zeros((50, 70, 3), np.uint8), np.full((50, 70, 3), 255, np.uint8)
    fills = [complete(NETS[name], pixels, np.ones((50, 70), bool))[0].photo.pixels for pixels in (black, white)]
    assert (fills[0] == fills[1]).all()


@pytest.mark.parametrize(("name", "texture"), [*((name, "net") for name in sorted(NETS)), ("sketch", "auto")])
def test_what_lies_under_the_hole_does_not_matter(name: str, texture: str) -> None:
    hole = box(90, 110, (slice(20, 50), slice(0, 40)), (slice(70, 80), slice(60, 110)))
    pixels = photo_of(90, 110)
    other = np.where(hole[..., None], photo_of(90, 110, seed=1), pixels)
    one, two = (complete(NETS[name], each, hole, texture=texture)[0] for each in (pixels, other))
    assert same(one, two)
    assert one.score == two.score


def test_a_completion_notes_what_was_lost_on_the_photo(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 12)).save(tmp_path / "press.jpg")
    fill = Completion(photos.read(tmp_path / "press.jpg"), 0, None, np.zeros((12, 20), bool))
    assert [note.split()[0] for note in fill.notes] == ["CMYK", "JPEG"]
    assert Completion(photos.read(np.zeros((4, 4), np.uint8)), 0, None, np.zeros((4, 4), bool)).notes == ()


def test_an_empty_hole_returns_the_photo() -> None:
    pixels = photo_of(40, 50)
    (fill,) = complete(sketch(), pixels, np.zeros((40, 50), bool), n=3, seed=9)
    assert (fill.photo.pixels == pixels).all()
    assert (fill.seed, fill.score) == (9, None) and not fill.hole.any()


def test_every_hole_of_several_is_filled() -> None:
    hole = box(
        200, 300, (slice(0, 20), slice(0, 30)), (slice(90, 110), slice(140, 160)), (slice(180, 200), slice(290, 300))
    )
    pixels = np.full((200, 300, 3), 255, np.uint8)
    pixels[hole] = 0
    (fill,) = complete(sketch(), pixels, hole)
    assert (fill.photo.pixels[hole] > 0).all()


def test_sixteen_bits_hold_more_than_256_values() -> None:
    (fill,) = complete(sketch(), photo_of(80, 80, dtype=np.uint16), box(80, 80, (slice(20, 60), slice(20, 60))))
    assert len(np.unique(fill.photo.pixels[fill.hole])) > 1000


def test_grey_photos_get_grey_fills() -> None:
    (fill,) = complete(sketch(), photo_of(60, 70, channels=1)[..., 0], box(60, 70, (slice(9, 40), slice(20, 45))))
    assert (fill.photo.pixels == fill.photo.pixels[..., :1]).all()


def test_transparent_pixels_stay_as_they_were_and_are_not_looked_at() -> None:
    pixels = photo_of(60, 70, channels=4) | 1
    pixels[:, :30, 3] = 0
    hole = box(60, 70, (slice(20, 40), slice(20, 50)))
    (fill,) = complete(sketch(), pixels, hole)
    clear = pixels[..., 3] == 0
    assert fill.photo.alpha is not None and (fill.photo.alpha == pixels[..., 3]).all()
    assert (fill.photo.pixels[clear] == pixels[clear][:, :3]).all()
    assert (fill.hole == (hole & ~clear)).all()
    other = np.where(clear[..., None], pixels ^ np.array([255, 255, 255, 0], np.uint8), pixels)
    assert (complete(sketch(), other, hole)[0].photo.pixels[~clear] == fill.photo.pixels[~clear]).all()


def test_what_was_erased_becomes_opaque_where_transparency_is_the_mask() -> None:
    pixels = photo_of(60, 70, channels=4)
    pixels[..., 3] = 255
    pixels[10:30, 10:30] = 0
    (fill,) = complete(sketch(), pixels, pixels, polarity="alpha")
    assert fill.photo.alpha is not None
    assert (fill.photo.alpha[10:30, 10:30] == 255).all()
    assert (fill.photo.pixels[10:30, 10:30] > 0).any()
    assert (fill.photo.pixels[~fill.hole] == pixels[~fill.hole][:, :3]).all()


# ── seeds, order, diversity ───────────────────────────────────────────────────────────────────────────────────────

HOLE = box(90, 120, (slice(20, 70), slice(30, 90)))
SMALL = box(40, 50, (slice(10, 24), slice(20, 36)))
SCATTERED = box(
    150, 120, (slice(20, 30), slice(10, 100)), (slice(60, 64), slice(0, 120)), (slice(120, 140), slice(90, 110))
)


@pytest.mark.parametrize("hole", [HOLE, SCATTERED])
@pytest.mark.parametrize("name", ["sketch", "fused sketch", "picnet", "flagship"])
def test_every_fill_can_be_drawn_again_alone_by_its_seed(name: str, hole: NDArray[np.bool_]) -> None:
    pixels = photo_of(*hole.shape)
    fills = complete(NETS[name], pixels, hole, n=3, seed=5)
    assert len({fill.seed for fill in fills}) == 3 and all(5 <= fill.seed < 10 for fill in fills)
    for fill in fills:
        (again,) = complete(NETS[name], pixels, hole, n=1, seed=fill.seed)
        assert same(again, fill) and again.score == fill.score


def test_texture_is_drawn_again_by_its_seed() -> None:
    for fill in complete(sketch(), photo_of(40, 50), SMALL, n=2, texture=0.7):
        assert same(complete(sketch(), photo_of(40, 50), SMALL, seed=fill.seed, texture=0.7)[0], fill)


def test_one_fill_draws_from_exactly_its_seed() -> None:
    for seed in (7, 2**63 - 1):
        assert [fill.seed for fill in complete(sketch(), photo_of(90, 120), HOLE, seed=seed)] == [seed]
    fills = complete(sketch(), photo_of(40, 50), SMALL, n=3, seed=2**63 - 1)  # counts on at 0, so that each replays
    assert {fill.seed for fill in fills} <= {2**63 - 1, 0, 1, 2, 3, 4}


def test_fills_of_different_seeds_differ() -> None:
    fills = complete(sketch(), photo_of(90, 120), HOLE, n=4)
    assert len({fill.photo.pixels.tobytes() for fill in fills}) == 4
    assert uncertainty(fills)[HOLE].mean() > 0.001
    assert not uncertainty(fills)[~HOLE].any()


def test_confidence_says_what_was_copied_in_the_hole_and_nothing_elsewhere() -> None:
    copied = complete(sketch(), photo_of(90, 120), HOLE, texture="photo")[0].confidence
    assert copied.shape == HOLE.shape and copied[HOLE].max() > 0.5
    assert not copied[~HOLE].any()
    assert not complete(sketch(), photo_of(90, 120), HOLE, texture="net")[0].confidence.any()
    half = complete(sketch(), photo_of(90, 120), HOLE, texture=0.5)[0].confidence
    assert np.abs(half - copied / 2).max() < 0.01


def test_best_first_and_better_than_what_was_passed_over() -> None:
    completer = sketch()
    scores = [fill.score for fill in complete(completer, photo_of(90, 120), HOLE, n=3)]
    assert None not in scores and scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    drawn = [complete(completer, photo_of(90, 120), HOLE, seed=seed)[0].score for seed in range(5)]
    assert scores[0] == max(drawn)  # type: ignore[type-var]


def test_without_a_critic_the_seam_decides() -> None:
    scores = [fill.score for fill in complete(sketch(critic=False), photo_of(90, 120), HOLE, n=3)]
    assert scores == sorted(scores, reverse=True) and all(score is not None and score <= 0 for score in scores)


def test_without_diversity_every_seed_gives_the_same_picture() -> None:
    for name in ("sketch", "picnet", "flagship"):
        fills = [
            complete(NETS[name], photo_of(90, 120), SCATTERED[:90], seed=seed, diversity=0)[0] for seed in (0, 1, 2)
        ]
        assert len({fill.photo.pixels.tobytes() for fill in fills}) == 1
    assert len(complete(sketch(), photo_of(90, 120), HOLE, n=4, diversity=0)) == 1


def test_more_diversity_spreads_the_fills() -> None:
    spreads = [
        uncertainty(complete(sketch(), photo_of(90, 120), HOLE, n=4, diversity=diversity))[HOLE].mean()
        for diversity in (0.2, 1, 2)
    ]
    assert spreads[0] < spreads[1] < spreads[2]


def test_a_smaller_step_stays_nearer_to_the_chosen_fill() -> None:
    pixels = photo_of(90, 120)
    (chosen,) = complete(sketch(), pixels, HOLE, seed=7)

    def apart(step: float) -> float:
        fills = complete(sketch(), pixels, HOLE, n=4, seed=100, near=7, step=step)
        return float(np.mean([np.abs(fill.array.astype(float) - chosen.array)[HOLE].mean() for fill in fills]))

    assert apart(0.1) < apart(0.4) < apart(1)


def test_no_step_is_the_chosen_fill_and_a_whole_one_any_other() -> None:
    pixels = photo_of(90, 120)
    (chosen,), (other,) = (complete(sketch(), pixels, HOLE, seed=seed) for seed in (7, 3))
    fills = complete(sketch(), pixels, HOLE, n=4, seed=3, near=7, step=0)
    assert len(fills) == 1 and same(fills[0], chosen)
    assert same(complete(sketch(), pixels, HOLE, seed=3, near=7, step=1)[0], other)


@pytest.mark.parametrize("band", [0, 5])
def test_a_network_that_draws_the_holes_surroundings_alone_gives_the_same_fill(
    band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = photo_of(90, 130)
    hole = box(90, 130, (slice(20, 60), slice(70, 100)), (slice(80, 83), slice(3, 8)))
    near = complete(NETS["dfnet"], photo, hole, band=band)[0].array.astype(int)
    monkeypatch.setattr(DFNet, "draws_near", False)
    whole = complete(NETS["dfnet"], photo, hole, band=band)[0].array
    assert np.abs(near - whole).max() <= 1  # convolutions of another size round differently


def test_a_network_without_noise_gives_the_one_fill_it_has() -> None:
    assert len(complete(NETS["dfnet"], photo_of(90, 120), HOLE, n=4)) == 1
    one, two = (complete(NETS["dfnet"], photo_of(90, 120), HOLE, seed=seed)[0] for seed in (0, 1))
    assert (one.photo.pixels == two.photo.pixels).all()


def test_a_window_is_encoded_once_for_all_fills() -> None:
    net = Sketch().eval()
    complete(Completer.of_net(net), photo_of(90, 120), HOLE, n=4)
    assert net.encoded == 1


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    completer = sketch()
    torch.manual_seed(1)
    (one,) = complete(completer, photo_of(90, 120), HOLE)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    (two,) = complete(completer, photo_of(90, 120), HOLE)
    assert same(one, two)
    assert torch.equal(torch.get_rng_state(), state)


def test_fills_stream_in_the_order_that_complete_lists_them() -> None:
    photo, completer = photo_of(40, 50), sketch()
    listed = completer.complete(photo, SMALL, n=3, texture=0.7)
    streamed = list(completer.stream(photo, SMALL, FillOptions(n=3, texture=0.7)))
    assert [fill.seed for fill in streamed] == [fill.seed for fill in listed]
    assert all(same(one, two) and one.score == two.score for one, two in zip(streamed, listed, strict=True))


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_fills_that_get_their_texture_at_once_are_the_same_as_one_by_one(threads: int) -> None:
    photo, told, drawer = photo_of(40, 50), [], sketch().drawer

    def fills(at_once: int) -> list[Completion]:
        told.clear()
        completer = Completer(drawer, portions=Portions(threads=at_once))
        return completer.complete(photo, SMALL, n=4, progress=lambda stage, *at: told.append((stage, *at)))

    one_by_one = fills(1)
    assert all(same(one, two) for one, two in zip(one_by_one, fills(threads), strict=True))
    assert told[-1] == ("texture", 4, 4)


def test_texture_is_given_to_as_many_fills_at_once_as_memory_allows() -> None:
    portions = Portions(threads=4, network=0)  # so that texture is what takes most
    photo, hole = photo_of(600, 800), np.zeros((600, 800), bool)
    hole[200:230, 200:230] = True
    photo[np.random.default_rng(1).random(photo.shape[:2]) < 0.3] //= 2  # no plain answer
    each = texturing.SIDE**2 * ceiling.TEXTURE_BYTES

    def textured(portions: Portions, allowed: float | None) -> list[int]:
        """How many fills have their texture when the first, the second and the third come out."""
        done = [0]

        def note(stage: str, at: int, _: int) -> None:
            done.append(at if stage == "texture" else 0)

        options = FillOptions(n=3, max_memory=None if allowed is None else memory.resident() + int(allowed))
        completer = Completer(sketch().drawer, portions=portions)
        return [max(done) for _ in completer.stream(photos.read(photo), hole, options, progress=note)]

    assert textured(portions, None) == [3, 3, 3]
    assert textured(portions, 2.5 * each) == [2, 2, 3]
    assert textured(portions, 1.5 * each) == [1, 2, 3]
    assert textured(replace(portions, texture_pixels=600_000), None) == [2, 2, 3]  # no more than one large part takes


def test_the_first_fill_is_there_before_the_second_is_finished() -> None:
    stages: list[str] = []
    completer = Completer(sketch().drawer, portions=Portions(threads=1))
    fills = completer.stream(photo_of(40, 50), SMALL, FillOptions(n=2), progress=lambda stage, *_: stages.append(stage))
    next(fills)
    first = stages.count("texture")
    next(fills)
    assert 0 < first < stages.count("texture")


@pytest.mark.parametrize("name", ["sketch", "flagship", "dfnet"])
def test_previews_go_from_coarse_to_what_was_drawn_before_texture(name: str) -> None:
    pixels = photo_of(90, 120)
    shown: dict[int, list[tuple[int, int, Completion]]] = {}
    stream = NETS[name].stream(
        pixels,
        HOLE,
        FillOptions(n=2, texture="net"),
        preview=lambda fill, step, steps: shown.setdefault(fill.seed, []).append((step, steps, fill)),
    )
    fills = list(stream)
    assert {fill.seed for fill in fills} <= set(shown)
    for fill in fills:
        steps = shown[fill.seed]
        assert [step for step, _, _ in steps] == list(range(1, steps[0][1] + 1))
        assert same(steps[-1][2], fill) and steps[-1][2].score is None
        assert all((one.photo.pixels[~HOLE] == pixels[~HOLE]).all() for _, _, one in steps)
    assert len(shown[0]) == {"sketch": 1, "flagship": 4, "dfnet": 2}[name]


# ── seams, band, texture ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fused", [False, True])
def test_the_fill_joins_the_photo_without_a_step(fused: bool) -> None:
    pixels = np.full((90, 120, 3), 200, np.uint8)
    (fill,) = complete(sketch(fused=fused), pixels, HOLE)
    rim = HOLE & ~cv2.erode(HOLE.astype(np.uint8), np.ones((3, 3))).astype(bool)
    drawn = Sketch(fused=fused).eval()
    with torch.inference_mode():
        known = torch.full((1, 3, 32, 32), 200 / 255), torch.ones(1, 1, 32, 32)
        step = (drawn.decode(drawn.encode(*known), None).image - 200 / 255).abs()
    assert float(step.mean()) > 0.2  # this network would draw a visible patch
    assert np.abs(fill.photo.pixels[rim] / 255 - 200 / 255).mean() < 0.05


def test_a_line_cut_by_two_windows_shows_no_step_between_them() -> None:
    pixels = np.full((64, 400, 3), 150, np.uint8)
    hole = box(64, 400, (slice(28, 34), slice(0, 400)))
    (fill,) = complete(sketch(), pixels, hole, diversity=0)
    jumps = np.abs(np.diff(fill.photo.pixels[28:34].astype(int), axis=1))
    assert jumps.max() <= 25


def seam_between_windows(fill: Completion, working_size: int) -> tuple[float, float]:
    """Mean step from pixel to pixel across the borders of windows, and the greatest of those 1 to 8 pixels aside."""
    hole = fill.hole
    owner = np.full(hole.shape, -1)
    windows = plan(hole, working_size=working_size, multiple=1)
    for number, turn in enumerate(turns(windows, hole)):
        owner[turn.box.part][turn.own] = number
    values = fill.photo.pixels.mean(-1) / np.iinfo(fill.photo.pixels.dtype).max
    inside = hole[:, 1:] & hole[:, :-1]
    steps, border = np.abs(np.diff(values, axis=1)), (np.diff(owner, axis=1) != 0) & inside
    if border.sum() < 10:
        return 0.0, 0.0
    aside = [np.roll(border, by, axis=1) & inside for by in range(-8, 9) if by]
    return float(steps[border].mean()), max(float(steps[at].mean()) for at in aside if at.any())


@given(st.integers(6, 30), st.integers(0, 150), st.integers(0, 150), st.sampled_from([np.uint8, np.uint16]))
@settings(max_examples=25)
def test_windows_of_a_long_stroke_leave_no_seam_at_their_borders(
    thickness: int, start: int, end: int, dtype: Any
) -> None:
    stroke = np.zeros((150, 900), np.uint8)
    cv2.line(stroke, (0, start), (899, end), 1, thickness)
    pixels, hole = photo_of(150, 900, dtype=dtype), stroke > 0
    (fill,) = complete(Completer.of_net(Clouds().eval()), pixels, hole)
    assert (fill.photo.pixels[~hole] == pixels[~hole]).all()
    at, aside = seam_between_windows(fill, Clouds.working_size)
    assert at <= 1.2 * aside + 2 / 255


def test_the_texture_of_a_long_stroke_goes_on_across_the_borders_of_its_parts() -> None:
    hole, found = box(260, 1500, (slice(110, 150), slice(0, 1500))), []
    for seed in range(4):  # of one alone, chance makes up to a quarter
        noise = np.random.default_rng(seed).integers(0, 256, (260, 1500, 3)).astype(np.uint8)
        (fill,) = sketch().complete(cv2.GaussianBlur(noise, (0, 0), 2.0), hole, texture="photo")
        found.append(seam_between_windows(fill, texturing.SIDE))
    at, aside = np.sum(found, 0)
    assert 0 < at <= 1.15 * aside


# ── large photos: the same in tiles ───────────────────────────────────────────────────────────────────────────────


LARGE_HOLE = box(260, 340, (slice(40, 220), slice(50, 290)))


IN_PARTS = Portions(seam_pixels=3000, texture_pixels=8000, tile=24)  # what is large for these tests


def limited(name: str, portions: Portions) -> Completer:
    return Completer(NETS[name].drawer, portions=portions)


@given(holes(), st.sampled_from([np.uint8, np.uint16]), st.sampled_from(["sketch", "fused sketch"]), st.integers(0, 3))
@settings(max_examples=12)
def test_large_holes_change_nothing_known(hole: NDArray[np.bool_], dtype: Any, name: str, band: int) -> None:
    pixels = photo_of(*hole.shape, dtype=dtype)
    (fill,) = limited(name, IN_PARTS).complete(pixels, hole, band=band, texture="photo")
    near = cv2.dilate(hole.astype(np.uint8), np.ones((2 * band + 1, 2 * band + 1), np.uint8)) > 0
    assert fill.photo.pixels.dtype == dtype and fill.photo.pixels.shape == pixels.shape
    assert (fill.photo.pixels[~near] == pixels[~near]).all()


@pytest.mark.parametrize("texture", ["net", "photo"])
@pytest.mark.parametrize("name", ["sketch", "fused sketch"])
def test_tiles_inside_a_large_hole_leave_no_seam(name: str, texture: str) -> None:
    pixels = photo_of(260, 340)
    (in_tiles,) = limited(name, IN_PARTS).complete(pixels, LARGE_HOLE, texture=texture, band=2)
    whole = limited(name, replace(IN_PARTS, tile=1000))
    (at_once,) = whole.complete(pixels, LARGE_HOLE, texture=texture, band=2)
    apart = np.abs(in_tiles.photo.pixels.astype(int) - at_once.photo.pixels)
    assert apart.max() <= 1 and apart.mean() < 1e-3  # rounding


@pytest.mark.parametrize("name", ["sketch", "fused sketch"])
def test_a_seam_is_closed_at_a_smaller_scale_too(name: str) -> None:
    pixels = photo_of(260, 340)
    (fine,) = complete(NETS[name], pixels, LARGE_HOLE)
    (coarse,) = complete(limited(name, Portions(seam_pixels=9000)), pixels, LARGE_HOLE)
    (open_,) = complete(Completer.from_pretrained("mean"), pixels, LARGE_HOLE)  # one colour, whatever is beside it
    jumps = [
        -ranking.seam_score((fill.photo.pixels / 255).astype(np.float32), LARGE_HOLE) for fill in (fine, coarse, open_)
    ]
    assert jumps[0] != jumps[1] and jumps[1] < 0.03 < jumps[2] / 4


def test_fills_of_one_photo_share_it_in_memory() -> None:
    pixels = photo_of(1500, 2000)
    photo = photos.read(pixels)
    hole = box(1500, 2000, (slice(700, 740), slice(900, 960)))
    complete(NETS["sketch"], pixels[:90, :120], HOLE)  # what is loaded once
    tracemalloc.start()
    fills = complete(NETS["sketch"], photo, hole, n=4)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(fills) == 4 and all((fill.photo.pixels[~hole] == pixels[~hole]).all() for fill in fills)
    assert held < 0.8 * pixels.nbytes  # the hole, one byte a pixel, and patches; four photos would be 4
    assert peak < 2.5 * pixels.nbytes


def test_what_would_not_fit_into_memory_is_refused_before_anything_is_drawn() -> None:
    pixels, hole = photo_of(1500, 2000), box(1500, 2000, (slice(100, 1400), slice(100, 1900)))
    net = Sketch().eval()
    allowed = memory.resident() + 100 * 2**20
    with pytest.raises(TooLarge, match=r"4 fills of a photo of 2000x1500 .* MiB.*--max-memory \d+M") as refused:
        complete(Completer.of_net(net), photos.read(pixels), hole, n=4, max_memory=allowed)
    assert net.encoded == 0
    enough = int(re.findall(r"--max-memory (\d+)M", str(refused.value))[0]) * 2**20
    assert allowed < enough < allowed + 2**30
    assert len(complete(Completer.of_net(net), photos.read(pixels), hole, n=1, max_memory=enough)) == 1


def test_what_the_fills_are_written_in_counts_as_memory() -> None:
    photo, hole = photos.read(np.zeros((2000, 3000, 3), np.uint8)), np.zeros((2000, 3000), bool)
    hole[50:60, 50:60] = True

    def needed(written: str | None) -> float:
        options = FillOptions(texture="net", max_memory=memory.resident())
        with pytest.raises(TooLarge) as refused:
            next(Completer.of_net(Sketch()).stream(photo, hole, options, written=written))
        assert refused.value.needed is not None
        return refused.value.needed - memory.resident()

    in_strips = needed("png")
    for written, more in (("webp", 37), ("bmp", 11), ("same", 0), (None, 0)):
        assert abs(needed(written) - in_strips - more * 6_000_000) < 10e6, written


def test_a_photo_that_cannot_be_read_within_the_ceiling_is_refused_unread(tmp_path: Path) -> None:
    Image.fromarray(photo_of(2000, 3000)).save(tmp_path / "photo.png")
    with pytest.raises(TooLarge, match=r"3000x2000.* reading it takes 8 bytes .*--max-memory"):
        complete(sketch(), tmp_path / "photo.png", HOLE, max_memory=memory.resident() + 10 * 2**20)


@pytest.mark.parametrize("name", ["sketch", "fused sketch", "flagship", "dfnet"])
def test_the_band_reaches_as_far_as_it_says(name: str) -> None:
    pixels = photo_of(90, 120)
    (fill,) = complete(NETS[name], pixels, HOLE, band=6)
    distance = cv2.distanceTransform((~HOLE).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    changed = (fill.photo.pixels != pixels).any(2)
    assert not changed[distance > 6].any()
    assert changed[(distance > 0) & (distance <= 3)].mean() > 0.5
    assert (fill.hole == HOLE).all()


def test_texture_from_zero_to_one() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
    ours, net, half, theirs = (
        complete(sketch(), pixels, SMALL, texture=texture)[0].photo.pixels[SMALL].astype(float)
        for texture in (0.0, "net", 0.5, "photo")
    )
    assert (ours == net).all()
    assert net.std() < half.std() < theirs.std()


def test_a_grown_hole_is_filled_wider() -> None:
    (fill,) = complete(sketch(), photo_of(90, 120), HOLE, grow=4)
    assert fill.hole[HOLE].all() and fill.hole[16:20, 50].all() and not fill.hole[15, 50]


# ── edges of the interface ────────────────────────────────────────────────────────────────────────────────────────


def test_progress_counts_every_fill_of_every_window() -> None:
    calls: list[tuple[str, int, int]] = []
    complete(sketch(), photo_of(150, 120), SCATTERED, n=2, progress=lambda *call: calls.append(call))
    fills = [call for call in calls if call[0] == "fill"]
    assert [done for _, done, _ in fills] == list(range(fills[-1][2] + 1))
    assert calls[-1] == ("rank", 4, 4)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"n": 0}, ManyfillError, "at least one"),
        ({"n": 65}, TooLarge, "at most 64"),
        ({"diversity": 3}, ManyfillError, "diversity is 3"),
        ({"diversity": float("nan")}, ManyfillError, "diversity is nan"),
        ({"step": 1.1}, ManyfillError, "step is 1.1"),
        ({"grow": -1}, ManyfillError, "negative"),
        ({"band": -1}, ManyfillError, "negative"),
        ({"texture": "grain"}, ManyfillError, "'auto', 'net', 'photo'"),
        ({"texture": 1.5}, ManyfillError, "texture is 1.5"),
        ({"max_memory": 1000}, TooLarge, "program and model hold"),
        ({"polarity": "grey"}, BadMask, "polarity"),
    ],
)
def test_wrong_options_are_refused_in_words(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        complete(sketch(), photo_of(90, 120), HOLE, **options)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(BadMask):
        complete(sketch(), photo_of(90, 120), HOLE.T)


def test_a_network_that_draws_no_numbers_is_named() -> None:
    net = Sketch().eval()
    nn.init.constant_(net.draw.bias, float("nan"))
    with pytest.raises(BadWeights, match="broken"):
        complete(Completer.of_net(net, name="broken"), photo_of(90, 120), HOLE)


def test_neither_photo_nor_mask_is_written_to() -> None:
    pixels, hole = photo_of(90, 120), HOLE.copy()
    before = pixels.copy()
    complete(sketch(), pixels, hole, n=2, grow=3, band=2)
    assert (pixels == before).all() and (hole == HOLE).all()


def test_a_completion_is_a_picture_an_array_and_a_file(tmp_path: Path) -> None:
    (fill,) = complete(sketch(), photo_of(90, 120), HOLE)
    path = fill.save(tmp_path / "filled.png")
    assert (np.asarray(Image.open(path)) == fill.array).all()
    assert fill.image.size == (120, 90)
    (clear,) = complete(sketch(), photo_of(90, 120, channels=4), HOLE)
    assert clear.array.shape == (90, 120, 4)
    assert (clear.array[..., 3] == replace(clear.photo).alpha).all()


def test_weights_from_a_file_fill_as_the_network_that_was_saved(tmp_path: Path) -> None:
    saved = NETS["picnet"].drawer
    assert isinstance(saved, NetDrawer)
    path = weights.save(saved.net, tmp_path / "mine.safetensors", critic=saved.critic)  # type: ignore[arg-type]
    completer = Completer.from_pretrained(path, device="cpu")
    assert completer.name == "mine" and len(completer.sha256) == 64 and completer.drawer.critic is not None
    fills = complete(completer, photo_of(90, 120), HOLE, n=2)
    again = complete(Completer.from_pretrained(path, device="auto", engine="torch"), photo_of(90, 120), HOLE, n=2)
    assert all(same(one, two) for one, two in zip(fills, again, strict=True))


def test_unknown_devices_and_engines_are_refused() -> None:
    with pytest.raises(ManyfillError, match="device 'abacus'"):
        Completer.from_pretrained(device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ManyfillError, match="device 'cuda' is not on this machine"):
            Completer.from_pretrained(device="cuda")
    with pytest.raises(ManyfillError, match="engine 'steam'"):
        Completer.from_pretrained(engine="steam")


def test_uncertainty_of_nothing_is_refused() -> None:
    with pytest.raises(ManyfillError):
        uncertainty([])


def test_a_photo_object_is_taken_as_it_is() -> None:
    photo = photos.read(photo_of(90, 120))
    assert same(complete(sketch(), photo, HOLE)[0], complete(sketch(), photo_of(90, 120), HOLE)[0])


def test_what_an_earlier_photo_took_counts_against_no_later_one() -> None:
    pixels = photo_of(90, 120)
    block = np.ones(400 << 20, np.uint8)
    allowed = memory.resident() - block.nbytes + (300 << 20)
    del block
    assert len(complete(sketch(), pixels, HOLE, max_memory=allowed)) == 1


# ── cancelling, threads ───────────────────────────────────────────────────────────────────────────────────────────


class Cancelled(BaseException):
    """Not an Exception, as KeyboardInterrupt is none."""


@pytest.mark.parametrize("stage", ["fill", "rank", "texture"])
def test_what_progress_raises_stops_the_work_and_comes_out(stage: str) -> None:
    completer, photo = sketch(), photo_of(40, 50)
    calls: list[str] = []

    def stop(now: str, done: int, total: int) -> None:
        calls.append(now)
        if now == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        completer.complete(photo, SMALL, n=4, progress=stop)
    assert calls.count(stage) == 1  # nobody went on
    whole = completer.complete(photo, SMALL, n=2)
    assert all(same(one, two) for one, two in zip(whole, sketch().complete(photo, SMALL, n=2), strict=True))


def test_what_check_raises_stops_the_work_at_every_step() -> None:
    completer, photo = sketch(), photo_of(60, 90)
    hole = box(60, 90, (slice(10, 16), slice(0, 90)), (slice(40, 50), slice(60, 80)))  # of several windows

    def work(check: Check) -> None:
        list(completer.stream(photo, hole, FillOptions(texture="photo"), check=check))

    assert steps_of(work) > 30  # windows, seams, and each scale and round of the texture stage


def test_a_completer_may_be_used_from_several_threads_at_once() -> None:
    completer = sketch()
    pixels = [photo_of(40, 50, seed=seed) for seed in range(6)]
    expected = [completer.complete(photo, SMALL, n=2) for photo in pixels]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda photo: completer.complete(photo, SMALL, n=2), pixels))
    for one, two in zip(expected, found, strict=True):
        assert all(same(a, b) and a.seed == b.seed and a.score == b.score for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("texture", ["net", "auto"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_photo_stored_in_colour_gets_a_grey_fill(texture: str, dtype: Any) -> None:
    grey = photo_of(96, 128, dtype=dtype, channels=1).repeat(3, 2)
    grey[np.random.default_rng(1).random(grey.shape[:2]) < 0.3] //= 2  # no plain answer
    grey[5, 5] = (0, 0, np.iinfo(dtype).max)  # one hot pixel
    hole = box(96, 128, (slice(30, 60), slice(40, 80)))
    coloured = grey.copy()
    coloured[20:30, 40:80, 0] //= 3
    for pixels, expected in ((grey, True), (coloured, False)):
        fill = complete(sketch(), pixels, hole, texture=texture)[0].photo.pixels[hole]
        assert (np.ptp(fill, axis=1) == 0).all() == expected


def test_a_photo_that_is_painted_over_almost_entirely_gets_its_best_guess_and_a_caution() -> None:
    pixels, hole = photo_of(96, 128), np.ones((96, 128), bool)
    for known, expected in ((0, "All of the photo"), (6, "94 % of the photo"), (60, None)):
        hole[:known] = False
        (fill,) = complete(sketch(), pixels, hole, n=1)
        cautions = [note for note in fill.notes if "painted over" in note]
        assert (cautions[0].startswith(expected) and len(cautions) == 1) if expected else not cautions
        assert (fill.photo.pixels[~hole] == pixels[~hole]).all()


def test_dust_on_a_textured_photo_needs_no_network_and_leaves_the_rest_to_it() -> None:
    pixels = photo_of(120, 160)
    pixels[np.random.default_rng(1).random(pixels.shape[:2]) < 0.3] //= 2
    dust = np.zeros((120, 160), bool)
    dust[5::9, 5::9] = True
    (only,) = complete(sketch(), pixels, dust, n=3, texture="auto")
    assert only.score is None and (only.confidence[dust] == 1).all()
    bulk = box(120, 160, (slice(40, 80), slice(50, 100)))
    both = complete(sketch(), pixels, dust | bulk, n=3, texture="auto")
    assert len(both) == 3
    away = dust & ~cv2.dilate(bulk.astype(np.uint8), np.ones((41, 41), np.uint8)).astype(bool)
    assert all((fill.photo.pixels[away] == only.photo.pixels[away]).all() for fill in both)
    assert both[0].score is not None
    (net,) = complete(sketch(), pixels, dust)
    assert (net.photo.pixels[dust] != only.photo.pixels[dust]).any()
