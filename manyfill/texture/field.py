"""The field: where each patch that touches the hole is copied from, and how it is found and voted on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from manyfill.texture.guide import Hint
from manyfill.texture.kernels import AREA, CHANNELS, PATCH, RADIUS, gather, sweep
from manyfill.texture.scales import Ints, Level, Pixels, blur_known
from manyfill.texture.search import Search

MISSING = np.array([-0.6, -0.6, -0.6, 0, 0], np.float32)  # a missing pixel where whole patches abound: no colour


@dataclass(frozen=True, eq=False)
class Field:
    """Where each patch that touches the hole is copied from, and how well it fits."""

    source: Ints  # (h*w,) -1 where no patch touches the hole
    cost: Pixels  # (h*w,)


class Matching:
    """One scale, with what patches are compared by."""

    def __init__(self, level: Level, hint: Hint | None, search: Search):
        self.level, self.search = level, search
        h, w = self.shape = level.hole.shape
        self.targets = np.flatnonzero(level.touched).astype(np.int32)
        y, x = np.divmod(self.targets, w)
        # every second row and column from the first that has patches, and the last: every pixel is in some patch
        few = (y % 2 == RADIUS % 2) | (y == h - RADIUS - 1)
        few &= (x % 2 == RADIUS % 2) | (x == w - RADIUS - 1)
        self.back = (y + RADIUS) % 2 * w + (x + RADIUS) % 2  # to the one that those between go on from
        few |= ~level.touched.ravel()[self.targets - self.back]
        self.few, self.between, self.back = self.targets[few], self.targets[~few], self.back[~few]
        known = (~level.hole).astype(np.float32)
        share = np.maximum(cv2.blur(known, (PATCH, PATCH)), np.float32(1e-6))
        self.photo = _features(np.where(level.hole[..., None], blur_known(level, 2.0), level.image), search.edges)
        self.photo_mean: Pixels = (_mean(level.image) / share[..., None]).astype(np.float32)
        self.now_mean = self.photo_mean
        self.detail: Pixels = np.float32(search.rebate) * _detail(self.photo)
        self.lack: Pixels = np.zeros((h, w), np.float32)
        if level.scarce:  # what is missing is compared as the blur of what is near, and has its price
            self.lack = np.float32(search.lack * AREA) * (1 - share)
        else:
            self.photo.reshape(h, w, CHANNELS)[level.hole] = MISSING
        none = np.zeros((1, 1, 3), np.float32)
        self.seen, self.told = (hint.known, hint.guide) if hint else (none, none)
        self.say = hint.weight * np.float32(AREA) if hint else np.zeros((h, w), np.float32)
        price = AREA * 3 * (search.nearness / max(h, w)) ** 2
        self.settings = np.array([price, search.max_bias, search.bias_price], np.float32)
        deep = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)
        self.leeway = (deep / search.blur_depth).clip(0, 1).astype(np.float32)
        self.outer = (np.float32(search.deeper) ** -np.minimum(deep, 40)).astype(np.float32).ravel()

    def improve(self, field: Field, reach: int, sweeps: int, seed: int, *, sparse: bool) -> Field:
        """One round: vote, search. `sparse`: of and for every second patch each way; those between them follow."""
        targets = self.few if sparse else self.targets
        now = self.vote(field, targets)[0]
        self.now_mean = _mean(now)
        source, cost = np.full_like(field.source, -1), field.cost.copy()
        source[targets] = field.source[targets]
        here = (_features(now, self.search.edges), self.now_mean, self.leeway, self.told, self.say)
        there = (self.photo, self.photo_mean, self.detail, self.lack, self.seen)
        stride = 2 if sparse else 1
        sweep(here, there, self.settings, source, cost, self.level.usable, targets, stride, reach, sweeps, seed)
        if sparse:
            self._follow(source, cost, field.source)
        return Field(source, cost)

    def _follow(self, source: Ints, cost: Pixels, before: Ints) -> None:
        """Patches between go on from the one above and to the left; where that cannot be copied, as before."""
        ahead = source[self.between - self.back]
        there = np.minimum(ahead + self.back, len(source) - 1)
        fits = self.level.usable.ravel()[there]
        source[self.between] = np.where(fits, there, before[self.between])
        detail, leeway = self.detail.ravel(), self.leeway.ravel()
        cost[self.between] = cost[self.between - self.back] + leeway[self.between - self.back] * detail[ahead]
        cost[self.between] -= leeway[self.between] * detail[source[self.between]]

    def vote(self, field: Field, targets: Ints | None = None, focus: float | None = None) -> tuple[Pixels, Pixels]:
        """The picture: in the hole, the weighted mean of what the patches over a pixel say, all or some of them.

        The second array says the same of the known pixels beside the hole minus what they are (zero elsewhere).
        """
        focus = focus or self.search.focus
        targets = self.targets if targets is None else targets
        h, w = self.shape
        hole = self.level.hole
        near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
        places = np.flatnonzero(near).astype(np.int32)
        rebate = self.leeway.ravel()[targets] * self.detail.ravel()[field.source[targets]]
        cost = np.maximum(field.cost[targets] + rebate * np.float32(field.cost.any()), 0)  # rounding: a hair below
        usual = float(np.quantile(cost[:: max(1, len(cost) // 5000)], 0.6)) + 1e-6
        weight = np.zeros(h * w, np.float32)
        weight[targets] = (np.exp(-cost / usual) + 1e-5) * self.outer[targets]
        light = np.zeros((h * w, 3), np.float32)
        if most := self.search.max_bias:
            mean, at = self.photo_mean.reshape(-1, 3)[field.source[targets]], self.now_mean.reshape(-1, 3)
            light[targets] = np.clip(at[targets] - mean, -most, most) / (1 + self.search.bias_price)
            light[targets] *= np.float32(field.cost.any())
        dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
        shape = np.exp(-(dy**2 + dx**2) / (2 * focus**2)).clip(1e-20).astype(np.float32)  # far is little, never none
        values = self.level.image.reshape(-1, 3)[places].copy()
        gather(self.level.image, hole, field.source, light, weight, shape, places, values, w, h)
        picture = self.level.image.copy()
        missing = hole.ravel()[places]
        picture.reshape(-1, 3)[places[missing]] = values[missing]
        error = np.zeros_like(picture)
        error.reshape(-1, 3)[places[~missing]] = values[~missing] - picture.reshape(-1, 3)[places[~missing]]
        return picture, error


def _features(picture: Pixels, edges: float) -> Pixels:
    """(h, w * CHANNELS): colours and slopes of lightness."""
    h, w = picture.shape[:2]
    out = np.empty((h, w, CHANNELS), np.float32)
    out[..., :3] = picture
    luma = picture.mean(2)
    for k, kernel in enumerate(([[-1.0, 0, 1.0]], [[-1.0], [0], [1.0]])):
        out[..., 3 + k] = cv2.filter2D(luma, -1, edges * np.array(kernel, np.float32), borderType=cv2.BORDER_REPLICATE)
    return out.reshape(h, w * CHANNELS)


def _detail(features: Pixels) -> Pixels:
    """(h, w): squared deviation from its mean, summed over the patch around each pixel."""
    planes = features.reshape(features.shape[0], -1, CHANNELS)
    mean = cv2.blur(planes, (PATCH, PATCH))
    return np.asarray(AREA * (cv2.blur(planes * planes, (PATCH, PATCH)) - mean * mean).sum(2), np.float32)


def _mean(picture: Pixels) -> Pixels:
    return np.asarray(cv2.blur(picture, (PATCH, PATCH)), np.float32)


def inherit(coarse: Field, above: Level, level: Level) -> Field:
    """Every patch takes its parent's source at twice the scale."""
    h, w = above.hole.shape
    height, width = level.hole.shape
    targets = np.flatnonzero(level.touched)
    y, x = np.divmod(targets, width)
    py, px = (y // 2).clip(RADIUS, h - RADIUS - 1), (x // 2).clip(RADIUS, w - RADIUS - 1)
    parent = coarse.source[py * w + px].astype(np.int64)
    parent = np.where(parent < 0, py * w + px, parent)  # known there: what is beside it fits best
    sy = (2 * (parent // w) + y - 2 * py).clip(RADIUS, height - RADIUS - 1)
    sx = (2 * (parent % w) + x - 2 * px).clip(RADIUS, width - RADIUS - 1)
    source = _nearest_usable(level)[sy * width + sx]
    field = Field(np.full(level.hole.size, -1, np.int32), np.zeros(level.hole.size, np.float32))
    field.source[targets] = source
    return field


def _nearest_usable(level: Level) -> Ints:
    """(h*w,) flat position of the nearest patch that can be copied."""
    away = (~level.usable).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1].ravel()
    place = np.zeros(int(labels.max()) + 1, np.int32)
    sources = np.flatnonzero(level.usable)
    place[labels[sources]] = sources
    return np.asarray(place[labels])


def peel(level: Level, hint: Hint | None, search: Search, rng: np.random.Generator) -> Field:
    """Coarsest start, from the rim inwards: each patch takes a source that fits its known pixels and the blurred guide.

    Efros, Leung 1999; without a guide the known pixels decide alone.
    """
    field = Field(np.full(level.hole.size, -1, np.int32), np.zeros(level.hole.size, np.float32))
    width = level.hole.shape[1]
    dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    near = (dy * width + dx).ravel()
    window = np.exp(-(dy**2 + dx**2) / (2 * 2.5**2)).ravel().astype(np.float32)
    picture = level.image.reshape(-1, 3).copy()
    known = ~level.hole.ravel()
    sources = np.flatnonzero(level.usable if level.scarce else level.valid)
    if len(sources) > 6000:
        sources = rng.choice(sources, 6000, replace=False)
    whole = known[sources[:, None] + near].astype(np.float32)
    patches = picture[sources[:, None] + near].reshape(len(sources), -1)  # 0 in the hole
    squares = (patches**2).reshape(len(sources), -1, 3).sum(2)
    waiting = np.flatnonzero(level.touched)
    while len(waiting):
        seen = known[waiting[:, None] + near] * window
        amount = seen.sum(1)
        front = amount >= amount.max() * 0.8
        here, seen = waiting[front], seen[front]
        seen = seen / np.maximum(seen.sum(1, keepdims=True), 1e-6)
        there = picture[here[:, None] + near]
        cost = seen @ squares.T - 2 * (there * seen[..., None]).reshape(len(here), -1) @ patches.T
        cost += (there**2 * seen[..., None]).sum(2) @ whole.T + seen @ (search.lack * (1 - whole.T))
        if hint is not None:
            told, known_low = hint.guide.reshape(-1, 3)[here], hint.known.reshape(-1, 3)[sources]
            apart = (told**2).sum(1)[:, None] + (known_low**2).sum(1) - 2 * told @ known_low.T
            cost += hint.weight.ravel()[here][:, None] * apart
        cost = np.maximum(cost, 0) + 1e-4
        best = sources[(cost * (1 + 0.2 * rng.random(cost.shape, np.float32))).argmin(1)]
        field.source[here] = best
        fresh = ~known[here]
        picture[here[fresh]] = picture[best[fresh]]
        known[here[fresh]] = True
        waiting = waiting[~front]
    return field
