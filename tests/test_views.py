"""Views: what is drawn through one comes back where it belongs, and a seed alone decides it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from manyfill.views import AWAY, PLAIN, SHIFT, View, draw_through, view_of

HEIGHT, WIDTH = 96, 161
VIEWS = {
    "plain": PLAIN,
    "mirrored": View(mirrored=True),
    "turned": View(turned=True),
    "up": View(down=-0.4),
    "right": View(right=0.5),
    "shifted": View(down=0.3, right=-0.6),
    "halved": View(halved=True),
    "grown": View(grown=0.5),
    "all": View(mirrored=True, turned=True, halved=True, down=0.2, right=-0.4, grown=0.3),
}
BORDERS = [(0, 0), (76, 131), (30, 0)]  # what is shifted has a mirror image beside it there, which is no slope
CASES = [(name, (38, 60)) for name in VIEWS]
CASES += [(name, at) for name, view in VIEWS.items() for at in BORDERS if not (view.down or view.right)]


def slope() -> Tensor:
    """A picture whose every pixel says where it is."""
    y, x = torch.meshgrid(torch.linspace(0, 1, HEIGHT), torch.linspace(0, 1, WIDTH), indexing="ij")
    return torch.stack([x, y, 0.5 + 0.3 * x - 0.4 * y])[None]


def hole_at(top: int, left: int, height: int = 20, width: int = 30) -> Tensor:
    hole = torch.zeros(1, 1, HEIGHT, WIDTH)
    hole[..., top : top + height, left : left + width] = 1
    return hole


def continued(image: Tensor, hole: Tensor) -> Tensor:
    """The plane through what is known beside the hole: right for a slope, however it is seen."""
    ring = ((F.max_pool2d(hole, 9, 1, 4) - hole) > 0)[0, 0]
    height, width = ring.shape
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    basis = torch.stack([x, y, torch.ones_like(x)], -1)
    plane = torch.linalg.lstsq(basis[ring], image[0, :, ring].T).solution
    return (basis @ plane).permute(2, 0, 1)[None]


@pytest.mark.parametrize(("name", "at"), CASES)
def test_what_a_view_draws_comes_back_where_it_belongs(name: str, at: tuple[int, int]) -> None:
    hole = hole_at(*at)
    shown: list[tuple[Tensor, Tensor]] = []

    def draw(image: Tensor, missing: Tensor) -> Tensor:
        shown.append((image, missing))
        return continued(image, missing)

    drawn = draw_through(VIEWS[name], draw, slope() * (1 - hole), hole)
    assert drawn.shape == slope().shape
    apart = ((drawn - slope()).abs() * hole).max()
    assert apart < (0.01 if VIEWS[name].halved else 1e-4)  # a pixel off would be 0.006 to 0.01; halved, four of them
    ((image, missing),) = shown
    assert not (image * missing).any()


def test_a_view_a_pixel_off_would_be_seen() -> None:
    """The test above can fail: what is shifted there and not all the way back is off by more than it allows."""
    hole = hole_at(38, 60)
    drawn = draw_through(View(down=0.3), continued, slope() * (1 - hole), hole).roll(1, 2)
    assert ((drawn - slope()).abs() * hole).max() > 1e-2


def test_a_shift_keeps_the_hole_inside_the_frame() -> None:
    assert View(down=1.0, right=1.0).shift(hole_at(38, 20)) == (96 - 58 - AWAY, SHIFT)
    assert View(down=-1.0, right=-1.0).shift(hole_at(38, 60)) == (-(38 - AWAY), -(60 - AWAY))
    assert View(down=1.0, right=1.0).shift(torch.ones(1, 1, 40, 40)) == (0, 0)
    assert View(down=1.0).shift(torch.zeros(1, 1, 40, 40)) == (0, 0)


def test_the_seed_alone_decides_the_view() -> None:
    assert view_of(0) == PLAIN
    assert [view_of(seed, diversity=0) for seed in (0, 5, 9)] == [PLAIN] * 3
    views = [view_of(seed) for seed in range(1, 65)]
    assert views == [view_of(seed) for seed in range(1, 65)] and len(set(views)) == 64
    for trait in ("mirrored", "turned", "halved"):
        assert 5 <= sum(getattr(view, trait) for view in views) <= 45
    assert all(-1 <= view.down <= 1 and -1 <= view.right <= 1 and 0 <= view.grown <= 1 for view in views)
    assert view_of(2**63 - 1) != view_of(2**63 - 2)


def test_more_diversity_goes_further_from_the_plain_view() -> None:
    def oddity(diversity: float) -> float:
        views = [view_of(seed, diversity=diversity) for seed in range(1, 101)]
        return sum(view.mirrored + view.turned + view.halved + abs(view.down) + view.grown for view in views)

    assert oddity(0.3) < oddity(1.0) < oddity(2.0)


def test_a_view_near_another_is_that_one_at_step_0_and_its_own_at_step_1() -> None:
    for seed in range(1, 20):
        assert view_of(seed, near=5, step=0) == view_of(5)
        assert view_of(seed, near=5, step=1) == view_of(seed)
        between = view_of(seed, near=5, step=0.25)
        assert between.down == pytest.approx(0.75 * view_of(5).down + 0.25 * view_of(seed).down)
    halfway = [view_of(seed, near=5, step=0.5) for seed in range(1, 20)]
    assert len(set(halfway)) == 19


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (33, 64)])
def test_small_and_odd_sizes_pass_through_every_view(size: tuple[int, int]) -> None:
    image, hole = torch.rand(1, 3, *size), torch.zeros(1, 1, *size)
    hole[..., 0, 0] = 1
    for view in VIEWS.values():
        assert draw_through(view, lambda image, hole: image, image * (1 - hole), hole).shape == image.shape
