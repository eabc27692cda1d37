"""The field: where each patch that touches the hole is copied from, and how it is found and voted on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from manyfill.boxes import tight, whole
from manyfill.checking import Check
from manyfill.seams import hang
from manyfill.texture.guide import Hint
from manyfill.texture.kernels import (
    AREA,
    CHANNELS,
    DETAIL,
    FACTS,
    LACK,
    LIFE,
    PATCH,
    RADIUS,
    SAY,
    SPAN,
    SPREAD,
    price_all,
    sweep,
    vote,
)  # fmt: skip
from manyfill.texture.scales import Ints, Level, Pixels, blur_known
from manyfill.texture.search import Search

CALM = 1e-3  # detail of a patch below which it makes no difference
MISSING = np.array([-0.6, -0.6, -0.6, 0, 0], np.float32)  # a missing pixel where whole patches abound: no colour
PAIRS = 12_000_000  # of patch and source that the coarsest start compares, about
LEAST_SOURCES, MOST_SOURCES = 200, 6000  # for each patch
LOT = 512  # patches at a time
PORTION = 50_000  # patches that are searched for, or vote, between two checks: a tenth of a second, about
SAMPLES = 5000  # patches that tell what is a usual price


@dataclass(frozen=True, eq=False)
class Field:
    """Where each patch that touches the hole is copied from, and how well it fits."""

    source: Ints  # (h*w,) -1 where no patch touches the hole
    cost: Pixels  # (h*w,)


class Sources:
    """One scale of the photo with what does not depend on a fill: shared by the fills of one photo."""

    def __init__(self, level: Level, search: Search, check: Check):
        self.level, self.search = level, search
        h, w = self.shape = level.hole.shape
        box = tight(level.hole, whole(level.hole))
        assert box is not None, "there is a hole to be matched"
        # Patches that touch the hole, and all that they reach.
        self.crop = crop = box.grown(2 * RADIUS + 1, whole(level.hole))
        self.targets = np.flatnonzero(level.touched).astype(np.int32)
        y, x = np.divmod(self.targets, w)
        # every second row and column from the first that has patches, and the last: every pixel is in some patch
        few = (y % 2 == RADIUS % 2) | (y == h - RADIUS - 1)
        few &= (x % 2 == RADIUS % 2) | (x == w - RADIUS - 1)
        back = (y + RADIUS) % 2 * w + (x + RADIUS) % 2  # to the one that those between go on from
        few |= ~level.touched.ravel()[self.targets - back]
        self.few, self.between, self.back = self.targets[few], self.targets[~few], back[~few]
        check()
        known = (~level.hole).astype(np.float32)
        share = np.maximum(cv2.blur(known, (PATCH, PATCH)), np.float32(1e-6))
        low = blur_known(level, 2.0)
        check()
        self.photo = features(np.where(level.hole[..., None], low, level.image), search.edges)
        check()
        detail = _detail(self.photo)
        check()
        self.facts = np.zeros((h, w, FACTS), np.float32)
        self.facts[..., :3] = _mean(level.image) / share[..., None]
        check()
        self.facts[..., SPREAD] = np.sqrt(np.maximum(detail, 0))
        self.facts[..., DETAIL] = np.float32(search.rebate) * detail
        self.facts[..., LIFE] = np.log(np.maximum(detail, np.float32(CALM)))
        check()
        if level.scarce:  # what is missing is compared as the blur of what is near, and has its price
            self.facts[..., LACK] = np.float32(search.lack * AREA) * (1 - share)
        else:
            self.photo.reshape(h, w, CHANNELS)[level.hole] = MISSING
        check()
        price = AREA * 3 * (search.nearness / max(h, w)) ** 2
        settings = [price, search.max_bias, 2 * AREA, (1 + search.bias_price) * AREA, search.calm]
        self.settings = np.array(settings, np.float32)
        self.missing = np.ascontiguousarray(level.hole[crop.part])
        deep = cv2.distanceTransform(np.pad(self.missing, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        self.leeway: Pixels = (deep / search.blur_depth).clip(0, 1).astype(np.float32)
        self.outer: Pixels = (np.float32(search.deeper) ** -np.minimum(deep, 40)).astype(np.float32)
        near = cv2.dilate(self.missing.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
        check()
        self.life_wanted = self._life_wanted()
        self.inner = np.flatnonzero(self.missing).astype(np.int32)  # of the crop, flat
        self.rim = np.flatnonzero(near & ~self.missing).astype(np.int32)

    def _life_wanted(self) -> Pixels:
        """(h,w) of the crop: detail that a source has at least, unless it pays; as around the hole, or `calmer`."""
        given = self.level.valid[self.crop.part].astype(np.float32)
        if not given.any():
            return np.full(given.shape, np.log(np.float32(CALM)), np.float32)
        life = (self.facts[self.crop.part][..., LIFE] * given)[..., None]
        return hang(life, given, 0.0)[..., 0] + np.float32(np.log(self.search.calmer))

    @cached_property
    def nearest_usable(self) -> Ints:
        """(h*w,) flat position of the nearest patch that can be copied."""
        away = (~self.level.usable).astype(np.uint8)
        labels = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1].ravel()
        place = np.zeros(int(labels.max()) + 1, np.int32)
        sources = np.flatnonzero(self.level.usable)
        place[labels[sources]] = sources
        return np.asarray(place[labels])

    def here(self, targets: Ints) -> Ints:
        """Flat positions in the crop."""
        y, x = np.divmod(targets, self.shape[1])
        return np.asarray((y - self.crop.top) * self.crop.width + x - self.crop.left, np.int32)


class Matching:
    """One scale of one fill: what its patches are compared by."""

    def __init__(self, sources: Sources, hint: Hint | None, check: Check):
        self.check = check
        self.of, self.level, self.search = sources, sources.level, sources.search
        check()
        crop = sources.crop
        none = np.zeros((1, 1, 3), np.float32)
        self.seen, self.told = (hint.known, np.ascontiguousarray(hint.guide[crop.part])) if hint else (none, none)
        # Of the crop's patches: means, spread, leeway, life that is wanted, say of the guide.
        self.wanted = np.zeros((crop.height, crop.width, FACTS), np.float32)
        self.wanted[..., :3] = sources.facts[crop.part][..., :3]
        self.wanted[..., DETAIL], self.wanted[..., LIFE] = sources.leeway, sources.life_wanted
        if hint:
            self.wanted[..., SAY] = hint.weight[crop.part] * np.float32(AREA)
        self.matched = False

    def improve(self, field: Field, reach: int, sweeps: int, seed: int, *, sparse: bool) -> Field:
        """One round: vote, search. `sparse`: of and for every second patch each way; those between them follow."""
        of = self.of
        targets = of.few if sparse else of.targets
        now = self.vote(field, targets)
        self.check()
        source, cost = np.full_like(field.source, -1), field.cost.copy()
        source[targets] = field.source[targets]
        looks = features(now, self.search.edges)
        self.check()
        self.wanted[..., :3] = _mean(now)
        self.wanted[..., SPREAD] = np.sqrt(np.maximum(_detail(looks), 0))
        self._search(looks, source, cost, targets, 2 if sparse else 1, reach, sweeps, seed)
        self.matched = True
        self.check()
        if sparse:
            self._follow(source, cost, field.source)
        return Field(source, cost)

    def _search(
        self, looks: Pixels, source: Ints, cost: Pixels, targets: Ints, stride: int, reach: int, sweeps: int, seed: int
    ) -> None:
        """Better sources for the targets, in place; a `check` before each portion of them."""
        of = self.of
        here, there = (looks, self.wanted, self.told), (of.photo, of.facts, self.seen)
        corner, width = (of.crop.top, of.crop.left), of.shape[1]
        rows, columns = np.empty(len(source), np.int32), np.empty(len(source), np.int32)  # of the sources
        rows[targets], columns[targets] = np.divmod(source[targets], np.int32(width))
        at_y, at_x = np.divmod(targets, np.int32(width))
        at_y, at_x = at_y - np.int32(of.crop.top), at_x - np.int32(of.crop.left)  # of the targets, in the crop
        portions = [slice(first, first + PORTION) for first in range(0, len(targets), PORTION)]
        for some in portions:
            self.check()
            price_all(
                here, there, of.settings, rows, columns, cost, targets[some], at_y[some], at_x[some], corner, SPAN
            )  # fmt: skip
        state = seed
        for turn in range(sweeps):
            forwards = turn % 2 == 0
            for some in portions if forwards else portions[::-1]:
                self.check()
                state = sweep(
                    here, there, of.settings, source, rows, columns, cost, self.level.usable, targets[some],
                    at_y[some], at_x[some], corner, stride, reach, forwards, state, SPAN,
                )  # fmt: skip

    def _follow(self, source: Ints, cost: Pixels, before: Ints) -> None:
        """Patches between go on from the one above and to the left; where that cannot be copied, as before."""
        of = self.of
        ahead = source[of.between - of.back]
        there = np.minimum(ahead + of.back, len(source) - 1)
        fits = self.level.usable.ravel()[there]
        source[of.between] = np.where(fits, there, before[of.between])
        detail, leeway = of.facts.reshape(-1, FACTS)[:, DETAIL], of.leeway.ravel()
        cost[of.between] = cost[of.between - of.back] + leeway[of.here(of.between - of.back)] * detail[ahead]
        cost[of.between] -= leeway[of.here(of.between)] * detail[source[of.between]]

    def vote(self, field: Field, targets: Ints | None = None) -> Pixels:
        """The crop: in the hole, the weighted mean of what the patches over a pixel say, all or some of them."""
        of = self.of
        picture = self.level.image[of.crop.part].copy()
        said = self._said(field, targets, self.search.focus)
        picture.reshape(-1, 3)[of.inner] = said[of.inner]
        return picture

    def last_vote(self, field: Field) -> tuple[Pixels, Pixels]:
        """The same with sharp votes; and what the patches say of the known pixels at the rim minus what they are."""
        of = self.of
        picture = self.level.image[of.crop.part].copy()
        error = np.zeros_like(picture)
        flat, said = picture.reshape(-1, 3), self._said(field, None, self.search.last_focus)
        error.reshape(-1, 3)[of.rim] = said[of.rim] - flat[of.rim]
        flat[of.inner] = said[of.inner]
        return picture, error

    def _said(self, field: Field, targets: Ints | None, focus: float) -> Pixels:
        """(n,3) of the crop's pixels: the weighted mean of what the patches over each say, where there are any."""
        of, level = self.of, self.level
        targets = of.targets if targets is None else targets
        usual = 0.0
        if self.matched:
            some = targets[:: max(1, len(targets) // SAMPLES)]
            here, there = self.wanted.reshape(-1, FACTS)[of.here(some)], of.facts.reshape(-1, FACTS)[field.source[some]]
            cost = np.maximum(field.cost[some] + here[:, DETAIL] * there[:, DETAIL], 0)
            usual = float(np.partition(cost, int(0.6 * len(cost)))[int(0.6 * len(cost))]) + 1e-6
        dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
        shape = np.exp(-(dy**2 + dx**2) / (2 * focus**2)).clip(1e-20).astype(np.float32)  # far is little, never none
        height, width = of.missing.shape
        sums, totals = np.zeros((height, 3 * width), np.float32), np.zeros((height, width), np.float32)
        corner = (of.crop.top, of.crop.left)
        for first in range(0, len(targets), PORTION):
            self.check()
            some = targets[first : first + PORTION]
            vote(
                level.image.reshape(len(level.hole), -1), level.hole, level.valid, of.facts, self.wanted, of.outer,
                of.settings, field.source, field.cost, some, corner, usual, shape, sums, totals, PATCH,
            )  # fmt: skip
        totals[totals == 0] = 1
        said: Pixels = sums.reshape(-1, 3)
        said /= totals.reshape(-1, 1)
        return said


def features(picture: Pixels, edges: float) -> Pixels:
    """(h, w * CHANNELS): colours and slopes of lightness."""
    h, w = picture.shape[:2]
    out = np.empty((h, w, CHANNELS), np.float32)
    out[..., :3] = picture
    luma = cv2.transform(picture, np.full((1, 3), 1 / 3, np.float32))
    for k, kernel in enumerate(([[-1.0, 0, 1.0]], [[-1.0], [0], [1.0]])):
        out[..., 3 + k] = cv2.filter2D(luma, -1, edges * np.array(kernel, np.float32), borderType=cv2.BORDER_REPLICATE)
    return out.reshape(h, w * CHANNELS)


def _detail(features: Pixels) -> Pixels:
    """(h, w): squared deviation from its mean, summed over the patch around each pixel."""
    planes = features.reshape(features.shape[0], -1, CHANNELS)
    mean = np.asarray(cv2.blur(planes, (PATCH, PATCH)))
    squares = np.asarray(cv2.blur(np.einsum("hwc,hwc->hw", planes, planes), (PATCH, PATCH)))
    squares -= np.einsum("hwc,hwc->hw", mean, mean)
    return np.asarray(AREA * squares, np.float32)


def _mean(picture: Pixels) -> Pixels:
    return np.asarray(cv2.blur(picture, (PATCH, PATCH)), np.float32)


def inherit(coarse: Field, above: Sources, here: Sources) -> Field:
    """Every patch takes its parent's source at twice the scale."""
    h, w = above.shape
    height, width = here.shape
    y, x = np.divmod(here.targets, width)
    py, px = (y // 2).clip(RADIUS, h - RADIUS - 1), (x // 2).clip(RADIUS, w - RADIUS - 1)
    parent = coarse.source[py * w + px]
    parent = np.where(parent < 0, py * w + px, parent)  # known there: what is beside it fits best
    sy = (2 * (parent // w) + y - 2 * py).clip(RADIUS, height - RADIUS - 1)
    sx = (2 * (parent % w) + x - 2 * px).clip(RADIUS, width - RADIUS - 1)
    field = Field(np.full(height * width, -1, np.int32), np.zeros(height * width, np.float32))
    field.source[here.targets] = here.nearest_usable[sy * width + sx]
    return field


def peel(of: Sources, hint: Hint | None, rng: np.random.Generator, check: Check) -> Field:
    """Coarsest start, from the rim inwards: each patch takes a source that fits its known pixels and the blurred guide.

    Efros, Leung 1999; without a guide the known pixels decide alone. Few sources are looked at where there are many
    patches, and few patches at a time: PAIRS and LOT bound time and memory, whatever the hole's shape. Each lot
    begins with a `check`.
    """
    level, lack = of.level, of.search.lack
    field = Field(np.full(level.hole.size, -1, np.int32), np.zeros(level.hole.size, np.float32))
    width = level.hole.shape[1]
    dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    near = (dy * width + dx).ravel()
    window = np.exp(-(dy**2 + dx**2) / (2 * 2.5**2)).ravel().astype(np.float32)
    picture = level.image.reshape(-1, 3).copy()
    known = ~level.hole.ravel()
    sources = np.flatnonzero(level.usable if level.scarce else level.valid)
    most = int(np.clip(PAIRS // len(of.targets), LEAST_SOURCES, MOST_SOURCES))
    if len(sources) > most:
        sources = rng.choice(sources, most, replace=False)
    whole = known[sources[:, None] + near].astype(np.float32)
    patches = picture[sources[:, None] + near].reshape(len(sources), -1)  # 0 in the hole
    squares = (patches**2).reshape(len(sources), -1, 3).sum(2) + np.float32(lack) * (1 - whole)
    patches *= -2
    waiting = np.zeros(known.size, bool)
    waiting[of.targets] = True
    amount = np.zeros(known.size)  # of each patch: how much of it is known
    amount[of.targets] = known[of.targets[:, None] + near] @ window
    rim = of.targets[amount[of.targets] > 0]  # those that wait and see something known
    left = len(of.targets)
    while left:
        if not len(rim):  # no way from known pixels to these
            rim = np.flatnonzero(waiting).astype(np.int32)
        front = amount[rim] >= amount[rim].max() * 0.8
        reached = []
        for here in np.array_split(rim[front], -(-int(front.sum()) // LOT)):
            check()
            seen = known[here[:, None] + near] * window
            seen /= np.maximum(seen.sum(1, keepdims=True), 1e-6)
            there = picture[here[:, None] + near]
            cost = seen @ squares.T + (there * seen[..., None]).reshape(len(here), -1) @ patches.T
            cost += (there**2 * seen[..., None]).sum(2) @ whole.T
            if hint is not None:
                told, known_low = hint.guide.reshape(-1, 3)[here], hint.known.reshape(-1, 3)[sources]
                apart = (told**2).sum(1)[:, None] + (known_low**2).sum(1) - 2 * told @ known_low.T
                cost += hint.weight.ravel()[here][:, None] * apart
            field.source[here] = best = sources[_about_the_least(cost, rng)]
            waiting[here] = False
            fresh = ~known[here]
            picture[here[fresh]] = picture[best[fresh]]
            known[here[fresh]] = True
            for step, weight in zip(near, window, strict=True):  # each pixel once: `here` has no place twice
                amount[here[fresh] + step] += weight
            reached.append((here[fresh][:, None] + near).ravel())
        left -= int(front.sum())
        beside = np.concatenate(reached)
        rim = np.unique(np.concatenate([rim[~front], beside[waiting[beside]]]))
    return field


def _about_the_least(cost: Pixels, rng: np.random.Generator) -> Ints:
    """(n,) of each row: the least once each is raised by up to a fifth, by chance."""
    cost = np.maximum(cost, 0) + np.float32(1e-4)
    rows, columns = np.nonzero(cost <= 1.2 * cost.min(1, keepdims=True))
    raised = cost[rows, columns] * (1 + 0.2 * rng.random(len(rows), np.float32))
    order = np.lexsort((raised, rows))
    return np.asarray(columns[order][np.unique(rows[order], return_index=True)[1]])
