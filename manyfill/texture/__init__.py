"""The photo's own patches, guided by a soft fill: the net says what goes where, the photo says what it looks like.

A nearest-neighbour field from patches that touch the hole to fully known patches (PatchMatch, Barnes et al. 2009) is
alternated with voting (Wexler et al. 2007), coarse to fine. Light may change across the hole (a bias per patch, within
limits, after Darabi et al. 2012). The fill enters as a second picture, low-passed on both sides like A and B of Image
Analogies (Hertzmann et al. 2001), so that a blurred fill never favours blurred sources.

Pictures are (height, width, 3) float32 in [0,1]. A position is flat: row * width + column. Patch centres keep RADIUS
from the border, so every patch lies inside the picture and every pixel lies in some patch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from manyfill.boxes import Box
from manyfill.boxes import whole as whole_of
from manyfill.checking import Check, go_on
from manyfill.texture.field import Field, Matching, Sources, inherit, peel
from manyfill.texture.guide import Hint, close, compose, enlarge, hints_of, trust_of
from manyfill.texture.kernels import RADIUS
from manyfill.texture.lines import Line, carry, lines_through
from manyfill.texture.scales import Ints, Mask, Pixels, double, halve, levels_of, surroundings
from manyfill.texture.search import Search
from manyfill.texture.structure import surely_a_scene


@dataclass(frozen=True, eq=False)
class Synthesis:
    """A fill made of the photo's own patches."""

    image: Pixels  # (H, W, 3) in [0,1]; known pixels exact
    confidence: Pixels  # (H, W): share of the photo's patches in each pixel, the rest is the guide; 0 outside the hole
    sources: Ints  # (H, W): flat position that a hole pixel was copied from; -1 outside the hole


@dataclass(frozen=True, eq=False)
class Prepared:
    """A photo and its hole at every scale: what all its fills share."""

    search: Search
    hole: Mask  # (H, W)
    near: Box  # what is looked at
    scales: list[Sources]  # fine to coarse; empty where no patch of the photo is known
    working: int  # the scale up to which the field is searched; at finer ones it is refined
    lines: list[Line]  # of the working scale


def prepare(image: Pixels, hole: Mask, search: Search | None = None, *, check: Check = go_on) -> Prepared:
    """What the fills of one photo (H, W, 3) and hole (H, W) share, for `synthesize`."""
    search = search or Search()
    if not hole.any():
        return Prepared(search, hole, whole_of(hole), [], 0, [])
    near = surroundings(hole)
    nearness = search.nearness + (search.nearer - search.nearness) * surely_a_scene(image, hole)
    search = replace(search, nearness=nearness)
    check()
    levels = levels_of(image[near.part], hole[near.part], search, check)
    last = len(levels) - 1
    working = next((k for k, level in enumerate(levels) if level.hole.size <= search.working or k == last), 0)
    coarse = replace(search, rebate=0.0)
    scales = []
    for number, level in enumerate(levels):
        check()
        scales.append(Sources(level, search if number <= working else coarse, check))
    check()
    lines = lines_through(levels[working].image, levels[working].hole) if levels and search.lines else []
    return Prepared(search, hole, near, scales, working, lines)


def synthesize(
    image: Pixels,
    hole: Mask,
    guide: Pixels | None = None,
    *,
    strength: float = 1.0,
    doubt: Pixels | None = None,
    seed: int = 0,
    search: Search | None = None,
    prepared: Prepared | None = None,
    check: Check = go_on,
) -> Synthesis:
    """Fill the hole with patches of the photo that look like the guide once both are blurred.

    image (H, W, 3) float32 in [0,1]; what lies in its hole is never read. hole (H, W) bool. guide: the photo completed
    by a net, of the photo's size or smaller (enlarged where needed); None: the photo alone decides. strength 0 ... 1
    scales the confidence in the photo's patches: at 0 the fill is the guide. doubt (H, W) in [0,1], cast on the guide:
    where it is 1 the photo alone decides, at any strength above 0. The field is searched where the hole and its
    surroundings have `search.working` pixels at most, and refined above that: the cost follows the hole's area.
    `prepared`: what `prepare` made of the same known pixels and hole; it saves time where there are several guides.
    Memory: the photo, the result, and some 170 bytes for each pixel of the hole's surroundings.
    Where no patch of the photo is known, the fill is the guide (without one, the photo's mean colour).
    """
    assert image.shape == (*hole.shape, 3), f"image {image.shape} does not fit hole {hole.shape}"
    result = Synthesis(image.copy(), np.zeros(hole.shape, np.float32), np.full(hole.shape, -1, np.int32))
    if not hole.any():
        return result
    made = prepared or prepare(image, hole, search, check=check)
    search, near, scales, working = made.search, made.near, made.scales, made.working
    levels = [scale.level for scale in scales]
    if guide is None and not levels:
        guide = np.full((1, 1, 3), image[~hole].mean(0) if not hole.all() else 0.5, np.float32)
    if not levels or strength <= 0:
        assert guide is not None
        result.image[hole] = np.clip(enlarge(guide, hole.shape, whole_of(hole))[hole], 0, 1)
        return result

    rng = np.random.default_rng(seed)
    hints: list[Hint | None] = [None] * len(levels)
    unsure: list[Pixels] = []  # of each scale
    whole = None
    if guide is not None:
        check()
        whole = compose(guide, hole.shape, near, levels[working], working)
        whole, carried = carry(whole, levels[working].image, levels[working].hole, made.lines)
        check()
        hints[working:] = hints_of(whole, levels[working:], search)
        if doubt is not None:
            unsure = [doubt[near.part]]
            for level in levels[1:]:
                unsure.append(halve(unsure[-1], level.hole.shape))
            hints = [hint and hint.doubted(share) for hint, share in zip(hints, unsure, strict=True)]
    first = len(levels) - 1
    field = peel(scales[first], hints[first], rng, check)
    for number in range(first, -1, -1):
        scale = scales[number]
        if number < first:
            check()
            field = inherit(field, scales[number + 1], scale)
        coarser = max(0, number - working)
        rounds = (search.finest if number >= working else 1) + search.rounds * coarser
        matching = Matching(scale, hints[number], check)
        sparse = len(scale.targets) >= search.sparse
        for left in reversed(range(rounds)):
            check()
            reach = max(scale.shape) if number == first else search.reach if number >= working else 2
            sweeps, lot = min(search.sweeps, 1 + coarser), int(rng.integers(1, 2**31))
            field = matching.improve(field, reach, sweeps, lot, sparse=sparse and (left > 0 or number > working))
        if number == working and whole is not None:
            check()
            trust = trust_of(matching.vote(field, scale.few), whole, scale.level, scale.crop, search)
            if unsure:
                trust = np.maximum(trust, unsure[working])
            if made.lines:  # there the guide that stands beneath is another one
                trust = np.maximum(trust, carried)
    if whole is None:
        trust = np.ones(levels[0].hole.shape, np.float32)
    elif working:
        for level in reversed(levels[:working]):
            trust = double(trust, level.hole.shape)
    share = strength + (1 - strength) * unsure[0] if unsure else strength
    _write(result, matching, field, near, guide, trust * share)
    return result


def _write(result: Synthesis, matching: Matching, field: Field, near: Box, guide: Pixels | None, share: Pixels) -> None:
    """Vote for the last time, close the seam, blend with the guide."""
    of, most = matching.of, matching.search.max_seam
    crop, hole = of.crop, of.missing
    out = Box(near.top + crop.top, near.left + crop.left, crop.height, crop.width)
    picture, error = matching.last_vote(field)
    matching.check()
    fill = picture + np.clip(close(error, hole), -most, most)
    matching.check()
    share = share[crop.part]
    if guide is not None:
        drawn = enlarge(guide, result.confidence.shape, out)
        fill = drawn + share[..., None] * (fill - drawn)
    matching.check()
    result.image[out.part][hole] = np.clip(fill[hole], 0, 1)
    result.confidence[out.part][hole] = share[hole]
    height, width = of.shape
    missing = matching.level.hole
    y, x = np.nonzero(missing)
    cy, cx = y.clip(RADIUS, height - RADIUS - 1), x.clip(RADIUS, width - RADIUS - 1)
    source = field.source[cy * width + cx]
    sy, sx = source // width, source % width
    whole = ~missing[sy + y - cy, sx + x - cx]  # at the picture's border a pixel lies beside the middle of its patch
    sy, sx = sy + np.where(whole, y - cy, 0) + near.top, sx + np.where(whole, x - cx, 0) + near.left
    result.sources[near.part][missing] = sy * result.confidence.shape[1] + sx
