"""Where a network answers a picture and its mirror image in unlike ways, it invents: there the photo decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from manyfill.boxes import Box
from manyfill.checking import go_on
from manyfill.completer import Completer
from manyfill.completer.completion import Doubt, Draft
from manyfill.completer.doubting import Answers, mean_of
from manyfill.nets import Prediction
from manyfill.nets.traits import Traits
from manyfill.texture import synthesize
from manyfill.views import MIRRORED, PLAIN, View
from manyfill.windows import plan

SIDE = 64


@dataclass(frozen=True)
class Config:
    traits: Traits


class Inventor(nn.Module):
    """Draws grey, and magenta into the right third of whatever picture it is shown."""

    multiple, working_size = 8, SIDE

    def __init__(self) -> None:
        super().__init__()
        self.config = Config(Traits(views=True))
        self.asked = 0

    def noise_shape(self, height: int, width: int) -> tuple[int, ...]:
        return (1, 1, 1)

    def encode(self, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        return image, hole

    def decode(self, encoded: tuple[Tensor, Tensor], noise: Tensor | None) -> Prediction:
        self.asked += 1
        image, hole = encoded
        drawn = torch.full_like(image, 0.5)
        drawn[..., -(image.shape[-1] // 3) :] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
        return Prediction(image * (1 - hole) + drawn * hole)


def middle(side: int = SIDE) -> np.ndarray[Any, Any]:
    hole = np.zeros((side, side), bool)
    hole[16:48, 4 : side - 4] = True
    return hole


def striped(height: int, width: int) -> np.ndarray[Any, Any]:
    """A scene of green rows, some bright, some dark."""
    rng = np.random.default_rng(0)
    rows = rng.integers(60, 200, height)
    photo = np.zeros((height, width, 3), np.uint8)
    photo[..., 1] = rows[:, None]
    photo[..., 0] = rng.integers(0, 30, (height, width))
    return photo


def answers(photo: Tensor, drawn: dict[View, Tensor]) -> Answers:
    """Of a network that draws the same whatever it is shown, `drawn` view by view."""
    hole = torch.from_numpy(middle().astype(np.float32))[None, None]
    return Answers(lambda view, noise: Prediction(drawn[view]), photo * (1 - hole), hole, go_on)


def level(value: float) -> Tensor:
    return torch.full((1, 3, SIDE, SIDE), value)


def test_a_network_doubts_what_its_mirror_image_does_not_show() -> None:
    other = level(0.5)
    other[..., 24:40, 24:40] = 0.9
    asked = answers(level(0.5), {PLAIN: level(0.5), MIRRORED: other})
    drawn, doubt = asked.to(PLAIN, None)
    torch.testing.assert_close(drawn.image.mean(), (level(0.5) + other).mean() / 2)
    assert drawn.image[..., 30:34, 30:34].min() > 0.69  # the mean, but for its edge
    assert doubt.shape == (SIDE, SIDE) and doubt[28:36, 28:36].min() == 255
    assert doubt[:, :10].max() == 0 and doubt[:, -10:].max() == 0


def test_what_only_another_fill_shows_is_doubted_in_that_fill_alone() -> None:
    other = level(0.5)
    other[..., 24:40, 24:40] = 0.9
    turned = View(turned=True)
    asked = answers(level(0.5), {PLAIN: level(0.5), MIRRORED: level(0.5), turned: other})
    assert asked.to(PLAIN, None)[1].max() == 0
    drawn, doubt = asked.to(turned, None)
    assert drawn.image is other and doubt[28:36, 28:36].min() == 255
    assert doubt[:, :10].max() == 0 and doubt[:, -10:].max() == 0
    assert asked.to(PLAIN, None)[1].max() == 0


def test_the_likeliest_fill_keeps_the_fine_detail_of_one_answer() -> None:
    rng = torch.Generator().manual_seed(0)
    fine = [0.1 * (torch.rand(1, 3, SIDE, SIDE, generator=rng) - 0.5) for _ in range(2)]
    one, other = level(0.4) + fine[0], level(0.6) + fine[1]
    drawn = mean_of(Prediction(one), Prediction(other, raw=other)).image
    torch.testing.assert_close(drawn.mean(), torch.tensor(0.5), atol=2e-3, rtol=0)
    assert (drawn - one - 0.1).abs().mean() < 0.2 * fine[0].abs().mean()  # moved to the mean, with its own detail


def test_a_photo_that_changes_much_is_given_more() -> None:
    blots = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    busy = nn.functional.interpolate(blots, scale_factor=8, mode="bilinear")
    drawn = {PLAIN: level(0.45), MIRRORED: level(0.55)}
    doubts = [answers(photo, drawn).to(PLAIN, None)[1][middle()] for photo in (level(0.5), busy)]
    assert doubts[0].min() == 255 and doubts[1].max() < 128


def test_at_full_doubt_the_guide_has_no_say_and_without_doubt_all_of_it() -> None:
    photo = striped(SIDE, SIDE).astype(np.float32) / 255
    hole = middle()
    one, other = (np.where(hole[..., None], np.float32(colour), photo) for colour in ([1, 0, 1], [0, 0, 1]))
    for strength in (0.3, 1.0):
        doubted = [
            synthesize(g, hole, g, strength=strength, doubt=np.ones(hole.shape, np.float32)) for g in (one, other)
        ]
        np.testing.assert_allclose(doubted[0].image, doubted[1].image, atol=1e-6)
        np.testing.assert_allclose(doubted[0].confidence[hole], 1)
        believed = synthesize(one, hole, one, strength=strength, doubt=np.zeros(hole.shape, np.float32))
        assert (believed.image == synthesize(one, hole, one, strength=strength).image).all()
    assert doubted[0].image[hole][:, 2].max() < 0.1  # the photo has no blue, so nor has the fill


def test_the_likeliest_fill_knows_no_left_and_right_but_in_detail() -> None:
    completer = Completer.of_net(Inventor())  # type: ignore[arg-type]
    photo, hole = np.full((SIDE, SIDE, 3), 128, np.uint8), middle()
    (fill,) = completer.complete(photo, hole, seed=0, texture="net")
    apart = cv2.GaussianBlur(fill.array.astype(np.float32) - fill.array[:, ::-1], (0, 0), 4.0)
    assert np.ptp(fill.array[hole][:, 1]) > 15 and np.abs(apart).max() < 5  # both thirds are magenta in part


@pytest.mark.parametrize("seed", [0, 3])
def test_what_is_invented_stands_in_no_fill(seed: int) -> None:
    net = Inventor()
    completer = Completer.of_net(net)  # type: ignore[arg-type]
    photo, hole = striped(SIDE, SIDE), middle()
    (alone,) = completer.complete(photo, hole, seed=seed, texture="net")
    assert alone.array[hole][:, 2].max() > 100  # the network does invent
    (fill,) = completer.complete(photo, hole, seed=seed)
    sure = hole.copy()
    sure[:, 12:-12] = False
    assert fill.array[sure][:, 2].max() < 30 and (fill.array[~hole] == photo[~hole]).all()


def test_one_look_in_the_mirror_serves_all_fills() -> None:
    net = Inventor()
    Completer.of_net(net).complete(striped(SIDE, SIDE), middle(), n=4)  # type: ignore[arg-type]
    assert net.asked == 2 + 5  # six are drawn, the first of which is the mean of the two


@pytest.mark.parametrize("factor", [1, 3])
def test_doubt_lies_on_the_photo_where_the_network_cast_it(factor: int) -> None:
    hole = np.zeros((400, 600), bool)
    hole[60:300, 80:520] = True
    (window,) = plan(hole, working_size=64, multiple=8)
    share = np.zeros(window.padded, np.uint8)
    (top, left), (height, width) = window.offset, window.inner
    share[: top + height // 2, left + width // 2 :] = 255  # above and to the right of the window's middle
    draft = Draft(0, doubts=[Doubt(window, share)])
    box = Box(30, 45, 330, 510)
    doubt = draft.doubt(box, factor)
    assert doubt is not None and doubt.shape == (-(-330 // factor), -(-510 // factor))
    middle_y = (window.box.top + window.box.height / 2 - box.top) / factor
    middle_x = (window.box.left + window.box.width / 2 - box.left) / factor
    y, x = np.mgrid[: doubt.shape[0], : doubt.shape[1]] + 0.5
    blurred = 1.5 * window.box.height / height / factor  # pixels of the network's
    core = window.core.inside(box)
    own = (x * factor > core.left) & (x * factor < core.right) & (y * factor > core.top) & (y * factor < core.bottom)
    assert (doubt[own & (y < middle_y - blurred) & (x > middle_x + blurred)] == 1).all()
    assert (doubt[own & ((y > middle_y + blurred) | (x < middle_x - blurred))] == 0).all()
    assert (doubt[~own & ((y * factor > core.bottom + factor) | (x * factor < core.left - factor))] == 0).all()
    assert Draft(0).doubt(box, factor) is None
