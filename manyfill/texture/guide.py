"""What the guide says at each scale, and how much it counts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from manyfill.boxes import Box
from manyfill.boxes import whole as whole_of
from manyfill.seams import hang
from manyfill.texture.scales import Level, Mask, Pixels, blur, double, halve, resize
from manyfill.texture.search import Search

BLUR = 6.0  # pixels: how far fill and guide are blurred before they are compared
MARGIN = 24  # pixels around the crop that such a blur sees
OPPONENT = np.array([[0.58, 0.71, 0.41], [0.58, 0, -0.82], [0.58, -0.71, 0.41]], np.float32)


@dataclass(frozen=True, eq=False)
class Hint:
    """What the guide says at one scale: blurred colours to be compared."""

    known: Pixels  # (h, w, 3) of the photo, in opponent colours
    guide: Pixels  # (h, w, 3) of the guide
    weight: Pixels  # (h, w)

    def doubted(self, doubt: Pixels) -> Hint:
        """The same with less say where doubt (h, w) in [0,1] is cast on it."""
        return replace(self, weight=self.weight * (1 - doubt))


def enlarge(guide: Pixels, shape: tuple[int, int], box: Box) -> Pixels:
    """A window of the guide at the photo's size."""
    if guide.shape[:2] == shape:
        return guide[box.part]
    sy, sx = guide.shape[0] / shape[0], guide.shape[1] / shape[1]
    y = ((np.arange(box.top, box.bottom, dtype=np.float32) + 0.5) * sy - 0.5)[:, None].repeat(box.width, 1)
    x = ((np.arange(box.left, box.right, dtype=np.float32) + 0.5) * sx - 0.5)[None].repeat(box.height, 0)
    wide = cv2.remap(guide, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(wide, np.float32).reshape(*x.shape, 3)


def compose(guide: Pixels, shape: tuple[int, int], near: Box, level: Level, doublings: int) -> Pixels:
    """The completed photo at the working scale: the guide in the hole."""
    factor = 1 << doublings
    h, w = level.hole.shape
    top, left = near[:2]
    if guide.shape[:2] == shape:
        part = guide[top : top + h * factor, left : left + w * factor]
        wanted = resize(part, h, w) if doublings else part
    else:
        small = (math.ceil(shape[0] / factor), math.ceil(shape[1] / factor))
        wanted = enlarge(guide, small, Box(top // factor, left // factor, h, w))
    return np.where(level.hole[..., None], wanted, level.image).astype(np.float32)


def hints_of(whole: Pixels, levels: list[Level], search: Search) -> list[Hint | None]:
    """What the guide says at each scale; compared at 1/4, or at the coarsest scale."""
    low = min(2, len(levels) - 1)
    wanted = whole
    for level in levels[1 : low + 1]:
        wanted = halve(wanted, level.hole.shape)
    here = levels[low]
    known, guide = _low_pass(here, _meet(wanted, here.hole, search))
    colours = OPPONENT * np.array([search.luma, search.chroma, search.chroma], np.float32)
    made = {low: (known @ colours, guide @ colours, np.full(here.hole.shape, search.guide, np.float32))}
    for number in range(low - 1, -1, -1):
        made[number] = tuple(double(x, levels[number].hole.shape) for x in made[number + 1])  # type: ignore[assignment]
    for number in range(low + 1, len(levels)):
        made[number] = tuple(halve(x, levels[number].hole.shape) for x in made[number - 1])  # type: ignore[assignment]
    return [Hint(*made[number]) for number in range(len(levels))]


def _low_pass(level: Level, wanted: Pixels) -> tuple[Pixels, Pixels]:
    """Blur both until they can be compared.

    The photo is blurred more, until its slopes near the hole are no steeper than the guide's in the hole: what a soft
    net left out must not count against a patch.
    """
    near = cv2.dilate(level.hole.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool) & ~level.hole
    soft = blur(wanted, 1.0)
    deep = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)
    wanted_slope = _slope(soft, deep >= min(5.0, 0.5 * float(deep.max())))
    whole = np.where(level.hole[..., None], wanted, level.image)  # known pixels alone would lean away from the hole
    for sigma in (1.0, 1.4, 2.0, 2.8, 4.0, 5.6):
        low = blur(whole, sigma)
        if not near.any() or _slope(low, near) <= 1.3 * wanted_slope:
            break
    return low, soft


def _meet(wanted: Pixels, hole: Mask, search: Search) -> Pixels:
    """The guide with its colours shifted, most near the rim, to where those of the photo beside it leave off."""
    missing = hole.astype(np.float32)
    seen = 1 - missing
    drawn = blur(wanted * missing[..., None], 1.0) / (blur(missing, 1.0)[..., None] + np.float32(1e-6))
    photo = blur(wanted * seen[..., None], 1.0) / (blur(seen, 1.0)[..., None] + np.float32(1e-6))
    near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    error = np.where((near & ~hole)[..., None], drawn - photo, np.float32(0))
    return np.where(hole[..., None], wanted + close(error, hole, screen=4 * search.fade), wanted)


def _slope(low: Pixels, where: Mask) -> float:
    """Root mean square of the slope."""
    dy, dx = np.gradient(low.mean(2)) if min(low.shape[:2]) > 1 else (np.zeros(1), np.zeros(1))
    return float(np.sqrt(np.mean((dy**2 + dx**2)[where]))) if where.any() else 0.0


def _sharpness(whole: Pixels, hole: Mask) -> Pixels:
    """(h, w) in [0,1]: whether the guide has as much fine detail as the photo near the hole."""
    luma = whole.mean(2)
    detail = (luma - blur(luma, 1.5)) ** 2
    around = cv2.dilate(hole.astype(np.uint8), np.ones((33, 33), np.uint8), borderValue=0).astype(bool) & ~hole
    usual = float(detail[around].mean()) if around.any() else 0.0
    inside = hole.astype(np.float32)
    local = blur(detail * inside, 6.0) / (blur(inside, 6.0) + np.float32(1e-6))
    return np.clip(2 * local / (usual + 1e-6) - 0.4, 0, 1).astype(np.float32)


def trust_of(picture: Pixels, whole: Pixels, level: Level, crop: Box, search: Search) -> Pixels:
    """(h, w): how near the blurred fill, which is known in the crop, comes to the blurred guide, smooth.

    Where the guide is blurred the photo's patches are forgiven more: they look better than a smear.
    """
    view = crop.grown(MARGIN, whole_of(level.hole))
    inner = crop.inside(view).part
    filled = level.image[view.part].copy()
    filled[inner] = picture
    wrong = np.abs(blur(filled - whole[view.part], BLUR)).max(2)
    tolerance = search.blurred + (search.sharp - search.blurred) * _sharpness(whole[view.part], level.hole[view.part])
    trust = np.zeros(level.hole.shape, np.float32)
    trust[view.part] = blur(np.exp(-((wrong / tolerance) ** 2)).astype(np.float32), BLUR)
    return trust


def close(error: Pixels, hole: Mask, screen: float = 0.004) -> Pixels:
    """Minus the error at the rim, spread smoothly into the hole and fading over some `screen` ** -0.5 pixels."""
    near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    rim = (near & ~hole).astype(np.float32)
    return -hang(error * rim[..., None], rim, screen) * hole[..., None]
