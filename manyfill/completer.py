"""The one way from a photo with a hole to finished fills; the command line, the server and batches all go through here.

photo, mask -> windows around the hole -> encode once -> decode once per fill -> seam -> rank, pick -> texture -> paste.
Known pixels are copied at source depth and never touched; what changes lives in patches the size of the hole until
the end.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from manyfill import engines, masks, memory, photos, ranking, resolution, weights
from manyfill.errors import BadWeights, ManyfillError, TooLarge
from manyfill.fillers import FILLERS, Filler
from manyfill.nets import CompletionNet, Prediction
from manyfill.photos import Photo
from manyfill.resolution import Bools, Box, Floats, Turn, Window
from manyfill.zoo import DEFAULT, ZOO

if TYPE_CHECKING:
    from PIL import Image

Progress = Callable[[str, int, int], None]  # (stage, done, total)
Preview = Callable[["Completion", int, int], None]  # (unfinished fill, step, steps), coarse to fine

MOST = 64  # fills per call
SCORED = 4  # windows, those with most of the hole, that a fill's score is the mean of
PLANNING = 3  # bytes a pixel of the photo to find windows for its hole
SEAM_BYTES, TEXTURE_BYTES = 160, 215  # a pixel of what these stages work on, measured
WRITING = {"jpeg": 0.0, "png": 0.0, "tiff": 0.0, "bmp": 10.0, "webp": 18.0, "heic": 14.0, "avif": 14.0}
"""Bytes a pixel and byte of depth to write a fill in a format; JPEG, PNG and TIFF go to the disk in strips."""
PROGRESSIVE = 14.0  # for a progressive JPEG, which does not
NETWORK = 150 << 20  # bytes of what does not go with sizes: a network at work, tables, threads; they are kept after it
MARGIN = 16  # known pixels around a core that its seam is closed against
TEXTURE_SIDE = 512  # least side in pixels of the part of the photo that the texture stage takes patches from
TEXTURE_PIXELS = 5_200_000  # larger parts get their texture at a smaller scale and the photo's detail on top
SEAM_PIXELS = 2_000_000  # seams of larger parts are closed at a smaller scale
TILE = 512  # side in pixels of the tiles in which large parts are worked on at the photo's own pixels
TEXTURE = {"net": 0.0, "photo": 1.0, "auto": 1.0}
FILLER_SIDE = 1024  # least side in pixels of the part of the photo that a filler without a network is shown


@dataclass(frozen=True, eq=False)
class _Patch:
    """Pixels that one window changed."""

    box: Box
    pixels: NDArray[Any]  # (h,w,3) at source depth
    painted: Bools  # (h,w)
    copied: NDArray[np.uint8] = field(init=False)  # (h,w): how much of it is the photo's own patches, 255 = all

    def __post_init__(self) -> None:
        object.__setattr__(self, "copied", np.zeros(self.painted.shape, np.uint8))


@dataclass(frozen=True, eq=False)
class Completion:
    """One finished answer."""

    source: Photo  # what was handed in; the completions of one photo share it, and each holds only what it changed
    seed: int  # complete(..., n=1, seed=this) gives this picture again
    score: float | None  # higher is better; comparable between fills of one photo and hole only; None for an empty hole
    hole: NDArray[np.bool_]  # (H,W), what was filled
    patches: tuple[_Patch, ...] = field(default=(), repr=False)

    @property
    def photo(self) -> Photo:
        """Same size, depth, format and metadata, known pixels bit-identical; pasted anew each time it is asked for."""
        if not self.patches:
            return self.source
        pixels = self.source.pixels.copy()
        _lay(pixels, Box(0, 0, *pixels.shape[:2]), self.patches)
        return replace(self.source, pixels=pixels)

    def pixels(self, box: Box) -> NDArray[Any]:
        """A part of the photo (h,w,3) at source depth, without the rest: a copy."""
        view = self.source.pixels[box.part].copy()
        _lay(view, box, self.patches)
        return view

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(H,W) in [0,1]: share of the photo's own patches in each filled pixel, the rest is the network's; else 0."""
        return self.copied(Box(0, 0, *self.hole.shape))

    def copied(self, box: Box) -> NDArray[np.float32]:
        """A part of `confidence`."""
        found = np.zeros((box.height, box.width), np.uint8)
        for patch in self.patches:
            common = patch.box.shared(box)
            if common is not None:
                theirs = common.inside(patch.box).part
                np.copyto(found[common.inside(box).part], patch.copied[theirs], where=patch.painted[theirs])
        return np.where(self.hole[box.part], found / np.float32(255), np.float32(0))

    @property
    def image(self) -> Image.Image:
        """As a PIL image."""
        return photos.to_pil(self.photo)

    @property
    def array(self) -> NDArray[Any]:
        """(H,W,3) at source depth, (H,W,4) where the photo has an alpha channel."""
        photo = self.photo
        return photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])

    def save(self, path: str | Path, *, format: str = "same", quality: int | None = None) -> Path:
        """Write to a file, atomically; format "same": as the path's suffix says, else as the photo came."""
        return photos.write(self.source, Path(path), format=format, quality=quality, lay=self.lay)

    def lay(self, rows: NDArray[Any], top: int) -> None:
        """Put the fill onto rows (h,W,3) of the photo, from row `top` on, in place: for `photos.encode_parts`."""
        _lay(rows, Box(top, 0, *rows.shape[:2]), self.patches)


def uncertainty(completions: Sequence[Completion]) -> NDArray[np.float32]:
    """Where the fills of one photo disagree: (H,W) in [0,1], 0 outside the hole; see `ranking.uncertainty`."""
    if not completions:
        raise ManyfillError("uncertainty needs the fills of one photo, and at least two of them to show anything.")
    hole = completions[0].hole
    found = np.zeros(hole.shape, np.float32)
    box = resolution.tight(hole, Box(0, 0, *hole.shape))
    for tile in () if box is None else box.tiles(TILE):
        found[tile.part] = spread(completions, tile)
    return found


def spread(completions: Sequence[Completion], box: Box) -> Floats:
    """A part of `uncertainty`."""
    return ranking.uncertainty([one.pixels(box) for one in completions], completions[0].hole[box.part])


@dataclass(frozen=True, eq=False)
class _Draft:
    """One fill before it is pasted into a photo: memory goes with the hole, not with the photo."""

    seed: int
    patches: list[_Patch] = field(default_factory=list)

    def look(self, pixels: NDArray[Any], box: Box) -> NDArray[Any]:
        """A part of the photo with what has been filled so far: a copy."""
        view = pixels[box.part].copy()
        _lay(view, box, self.patches)
        return view

    def repaint(self, box: Box, pixels: NDArray[Any], painted: Bools, confidence: Floats) -> None:
        """Change what has been filled already, in place: a second layer would take as much memory again."""
        copied = np.rint(255 * confidence).astype(np.uint8)
        for patch in self.patches:
            common = patch.box.shared(box)
            if common is not None:
                ours, theirs = common.inside(box).part, common.inside(patch.box).part
                where = painted[ours] & patch.painted[theirs]
                np.copyto(patch.pixels[theirs], pixels[ours], where=where[..., None])
                np.copyto(patch.copied[theirs], copied[ours], where=where)

    def touches(self, box: Box) -> bool:
        """Whether something in this part may have been filled already."""
        return any(patch.box.shared(box) is not None for patch in self.patches)


@dataclass(frozen=True)
class _Noise:
    """What a fill draws from: its own seed alone, or a seed that it stays near."""

    diversity: float  # scale
    near: int | None
    step: float  # 0..1

    def draw(self, shape: tuple[int, ...], seed: int, number: int) -> Tensor:
        """(1,*shape), on the CPU, from the seeds and the window's number alone."""
        noise = _normal(shape, seed, number)
        if self.near is not None:  # two standard normals on a circle: their mixture is a standard normal again
            noise = self.step * noise + (1 - self.step**2) ** 0.5 * _normal(shape, self.near, number)
        return noise * self.diversity


@dataclass(frozen=True, eq=False)
class _Task:
    """What to fill, and how."""

    photo: Photo
    hole: Bools  # to be filled
    blind: Bools | None  # fully transparent: neither seen nor touched
    band: int
    noise: _Noise


class Completer:
    """A network, its critic where it has one, and the way from photos to fills."""

    _auto_texture = "photo"

    def __init__(
        self,
        net: CompletionNet,
        *,
        critic: nn.Module | None = None,
        name: str = "unnamed",
        sha256: str = "",
        device: str | torch.device = "cpu",
    ) -> None:
        self.net = net
        self.critic = critic
        self.name = name
        self.sha256 = sha256
        self.device = torch.device(device)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = DEFAULT, *, device: str | None = None, engine: str = "auto"
    ) -> Completer:
        """Load an installed model by name, a .safetensors file, or one of `fillers.FILLERS`, which need no weights.

        `device`: None or "auto" takes cuda, else mps, else cpu. `engine`: see `engines.start`. Raises UnknownModel,
        BadWeights, and ManyfillError where that engine cannot be had.
        """
        if str(name_or_path) in FILLERS:
            return _WithoutNet(FILLERS[str(name_or_path)])
        where = _device(device)
        found = weights.load(name_or_path, device=where)
        name = str(name_or_path) if str(name_or_path) in ZOO else found.path.stem
        net = engines.start(found.net, engine=engine, device=where, sha256=found.sha256)
        return cls(net, critic=found.critic, name=name, sha256=found.sha256, device=where)

    @property
    def engine(self) -> str:
        """What runs the network, one of `engines.ENGINES`: a picture's last bits may depend on it."""
        return engines.engine_of(self.net)

    @property
    def varied(self) -> bool:
        """Whether there is more than one answer to a hole."""
        return self.net.noise_shape(self.net.multiple, self.net.multiple) is not None

    def complete(
        self,
        photo: Any,
        mask: Any,
        *,
        n: int = 1,
        seed: int = 0,
        polarity: str = "white",
        grow: int = 0,
        band: int = 0,
        diversity: float = 1.0,
        near: int | None = None,
        step: float = 0.5,
        texture: str | float = "auto",
        max_memory: int | None = None,
        progress: Progress | None = None,
    ) -> list[Completion]:
        """Fill the hole that the mask marks, n times, best first.

        `photo`, `mask`: path, bytes, PIL image, array or tensor. Fill i draws from seed + i alone, whatever n is; for
        n > 1 n + max(2, n // 2) fills are drawn, near-twins of better ones are passed over, and the best n are kept:
        a fill's own seed stands in the result. A network without noise, or `diversity` 0, has one fill to give: then
        the list has one element. So it has for an empty hole: the photo itself.

        `polarity`: where the mask means "fill": "white", "black" or "alpha" (transparent). `grow`: pixels to dilate
        the hole by. `band`: the blend may change known pixels this near the hole; 0 keeps all of them exact.
        `diversity`: 0..2, scale of the noise. `near`: a fill's seed, for fills that resemble that one; `step`, 0..1, is
        how far they go from it: 0 is that fill, 1 as far as any other. `texture`: "auto", "net", "photo" or 0..1, how
        much of the detail comes from the photo's own patches. `max_memory`: bytes that the process may hold, default
        half of what is free beside what it holds; raises TooLarge beforehand where filling and writing would take more;
        it changes no picture. `progress(stage, done, total)` is called with the stages "fill", "rank" and "texture",
        one call at a time, the last ones from the threads in which several fills get their texture at once.

        Fully transparent pixels are not looked at and stay as they were, unless `polarity` is "alpha": then what was
        transparent is what is filled, and becomes opaque.
        """
        return list(
            self.stream(
                photo,
                mask,
                n=n,
                seed=seed,
                polarity=polarity,
                grow=grow,
                band=band,
                diversity=diversity,
                near=near,
                step=step,
                texture=texture,
                max_memory=max_memory,
                progress=progress,
            )
        )

    def stream(
        self,
        photo: Any,
        mask: Any,
        *,
        n: int = 1,
        seed: int = 0,
        polarity: str = "white",
        grow: int = 0,
        band: int = 0,
        diversity: float = 1.0,
        near: int | None = None,
        step: float = 0.5,
        texture: str | float = "auto",
        max_memory: int | None = None,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> Iterator[Completion]:
        """The fills of `complete`, the same and in the same order, each as soon as it is finished.

        `preview(fill, step, steps)` is called with every fill drawn, also those that are not chosen in the end: first
        with the network's coarse pictures, small to large, at last with what it drew before texture; without score.
        """
        strength = _strength(self._auto_texture if texture == "auto" else texture)
        _check(n=n, grow=grow, band=band, diversity=diversity, step=step)
        if near is not None and step == 0:
            n, seed, near = 1, near, None
        source = read_photo(photo, max_memory)
        hole = masks.read_marked(mask, polarity=polarity, size=(source.height, source.width))
        hole = masks.grow_marked(hole, grow) if grow else hole
        source, hole, blind = _see_through(source, hole, fill_transparent=polarity == "alpha")
        if not hole.any():
            yield Completion(source, seed, None, hole)
            return
        count = n if diversity > 0 and self.varied else 1
        drawn = count + max(2, count // 2) if count > 1 else 1
        task = _Task(source, hole, blind, band, _Noise(diversity, near, step))
        windows = self._plan(hole)
        parts = resolution.plan(hole, working_size=TEXTURE_SIDE, multiple=1) if strength > 0 else []
        at_once = _check_memory(task, windows, drawn=drawn, count=count, texture=parts, max_memory=max_memory)
        with torch.inference_mode():
            drafts = self._draw(task, windows, range(seed, seed + drawn), progress, preview)
            scores, thumbnails = [], []
            for index, draft in enumerate(drafts):
                scores.append(self._score(task, windows, draft))
                thumbnails.append(_thumbnail(task, windows, draft))
                if progress is not None:
                    progress("rank", index + 1, drawn)
        best = ranking.pick(scores, ranking.distances(thumbnails), count)
        chosen = [(drafts[index], scores[index]) for index in best]
        del drafts  # what was passed over is not kept
        texture_of = _Texture(task, parts, strength, progress, total=len(chosen)) if parts else None
        for first in range(0, len(chosen), at_once):
            finished = chosen[first : first + at_once]
            if texture_of is not None:
                texture_of.add([draft for draft, _ in finished])
            for draft, score in finished:
                yield Completion(source, draft.seed, score, hole, tuple(draft.patches))

    def _plan(self, hole: Bools) -> list[Window]:
        """What the network sees at once."""
        return resolution.plan(hole, working_size=self.net.working_size, multiple=self.net.multiple)

    def _draw(
        self,
        task: _Task,
        windows: Sequence[Window],
        seeds: Sequence[int],
        progress: Progress | None,
        preview: Preview | None,
    ) -> list[_Draft]:
        """Every fill, window by window; a window that no earlier one reaches into is encoded once for all fills."""
        drafts = [_Draft(seed) for seed in seeds]
        total = len(windows) * len(drafts)
        for number, turn in enumerate(resolution.turns(windows, task.hole, task.blind)):
            window = turn.window
            shared = not drafts[0].touches(window.box)
            encoded = None
            for index, draft in enumerate(drafts):
                if progress is not None:
                    progress("fill", number * len(drafts) + index, total)
                view = draft.look(task.photo.pixels, window.box)
                if encoded is None or not shared:
                    image, hole = resolution.to_net(view, turn.missing, window)
                    encoded = self.net.encode(image.to(self.device), hole.to(self.device))
                noise = self._noise(window, draft.seed, number, task.noise)
                prediction = self.net.decode(encoded, noise)
                if not torch.isfinite(prediction.image).all():
                    raise BadWeights(f"model '{self.name}' drew values that are no numbers: its weights are damaged.")
                if preview is not None and number == len(windows) - 1:
                    _show_scales(task, turn, draft, prediction, preview)
                draft.patches.append(_finish(task, turn, view, prediction))
                if preview is not None and number == len(windows) - 1:
                    steps = len(prediction.scales) + 1
                    preview(_unfinished(task, draft), steps, steps)
        if progress is not None:
            progress("fill", total, total)
        return drafts

    def _noise(self, window: Window, seed: int, number: int, noise: _Noise) -> Tensor | None:
        """Drawn on the CPU from the seed and the number of the window, so that device, n and order cannot matter."""
        shape = self.net.noise_shape(*window.padded)
        return None if shape is None else noise.draw(shape, seed, number).to(self.device)

    def _score(self, task: _Task, windows: Sequence[Window], draft: _Draft) -> float:
        """Mean over the windows with most of the hole: the critic's view of each, or how well its seam is closed."""
        areas = [int(np.count_nonzero(patch.painted)) for patch in draft.patches]
        largest = sorted(range(len(windows)), key=lambda i: (-areas[i], i))[:SCORED]
        total = 0.0
        for index in largest:
            window = windows[index]
            if self.critic is not None:
                view = draft.look(task.photo.pixels, window.box)
                image, _ = resolution.to_net(view, np.zeros(view.shape[:2], bool), window)
                score = ranking.critic_score(self.critic, image.to(self.device))
            else:
                box = window.core.grown(MARGIN, Box(0, 0, *task.hole.shape))
                score = ranking.seam_score(_as_float(draft.look(task.photo.pixels, box)), task.hole[box.part])
            total += score * areas[index]
        return total / sum(areas[index] for index in largest)


class _WithoutNet(Completer):
    """A filler without weights in place of the network; photos are read, ranked, pasted and written as any other."""

    _auto_texture = "net"  # what the filler drew; another strength gives its fill texture as it gives a network's

    def __init__(self, filler: Filler) -> None:
        self.filler = filler
        self.critic = None
        self.name = filler.name
        self.sha256 = filler.sha256
        self.device = torch.device("cpu")

    @property
    def engine(self) -> str:
        """Its own program."""
        return self.filler.package

    @property
    def varied(self) -> bool:
        """Whether the filler draws by its seed."""
        return self.filler.seeded

    def _plan(self, hole: Bools) -> list[Window]:
        """The hole's surroundings, at the photo's own pixels: what a fill costs follows the hole, not the photo."""
        return resolution.plan(hole, working_size=FILLER_SIDE, multiple=1)

    def _draw(
        self,
        task: _Task,
        windows: Sequence[Window],
        seeds: Sequence[int],
        progress: Progress | None,
        preview: Preview | None = None,
    ) -> list[_Draft]:
        """Every fill, window by window; in 8 bits, also where the photo has 16."""
        if task.band:
            raise ManyfillError(f"'{self.name}' does not blend into the photo around the hole. Leave --band at 0.")
        drafts = [_Draft(seed) for seed in seeds]
        for number, turn in enumerate(resolution.turns(windows, task.hole, task.blind)):
            window = turn.window
            part = turn.box.inside(window.box).part
            whole = Box(0, 0, turn.box.height, turn.box.width)
            for index, draft in enumerate(drafts):
                if progress is not None:
                    progress("fill", number * len(drafts) + index, len(windows) * len(drafts))
                view = draft.look(task.photo.pixels, window.box)
                seen = np.rint(_as_float(view) * 255).astype(np.uint8)
                seed = _seed(draft.seed, number) if task.noise.diversity > 0 else 0
                fill = _as_float(self.filler(seen, turn.missing, seed)[part])
                if turn.again is not None:
                    fill = turn.blend(fill, _as_float(view[part]), whole)
                draft.patches.append(_Patch(turn.box, _round(fill, task.photo), turn.painted))
                if preview is not None and number == len(windows) - 1:
                    preview(_unfinished(task, draft), 1, 1)
        if progress is not None:
            progress("fill", len(windows) * len(drafts), len(windows) * len(drafts))
        return drafts


def _finish(task: _Task, turn: Turn, view: NDArray[Any], prediction: Prediction) -> _Patch:
    """What the network drew, joined to the photo and blended with what earlier windows drew; `view` is the window's."""
    window = turn.window
    box = turn.box.grown(task.band, window.box)
    inner = turn.box.inside(box)
    own = np.zeros((box.height, box.width), bool)
    own[inner.part] = turn.own
    distance = _near(own, task.band) if task.band else None
    pixels = np.empty((box.height, box.width, 3), view.dtype)
    for tile, fill, beside in _joined(task, turn, view, prediction, box):
        at = tile.inside(box)
        seen = _as_float(view[tile.inside(window.box).part])
        common = at.shared(inner)
        if turn.again is not None and common is not None:
            here = common.inside(at).part
            fill[here] = turn.blend(fill[here], seen[here], common.inside(inner))
        if distance is not None:
            ramp = np.clip(1 - distance[at.part] / (task.band + 1), 0, 1)[..., None]
            share = 1.0 if prediction.alpha is None else resolution.from_net(prediction.alpha, window, tile)
            blend = seen + ramp * ramp * (3 - 2 * ramp) * share * (beside - seen)
            fill = np.where(turn.missing[tile.inside(window.box).part][..., None], fill, blend)
        pixels[at.part] = _round(fill, task.photo)
    painted = np.zeros((box.height, box.width), bool)
    painted[inner.part] = turn.painted
    if distance is not None:
        painted |= (distance <= task.band) & ~turn.missing[box.inside(window.box).part]
    return _Patch(box, pixels, painted)


def _joined(
    task: _Task, turn: Turn, view: NDArray[Any], prediction: Prediction, box: Box
) -> Iterator[tuple[Box, Floats, Floats]]:
    """What was drawn in `box` with its seam closed, and the same for known pixels beside the hole; tile by tile.

    Closing a seam takes some 150 bytes a pixel, so for a large box it is done at a smaller scale, still finer than
    the network's own, and what closes it is brought to the photo's pixels.
    """
    window, missing = turn.window, turn.missing
    region = box.grown(MARGIN, window.box)
    here = region.inside(window.box).part
    factor = math.ceil((region.height * region.width / SEAM_PIXELS) ** 0.5)
    if factor == 1:
        seen, gap, fill = _as_float(view[here]), missing[here], resolution.from_net(prediction.image, window, region)
    else:

        def drawn_rows(top: int, bottom: int) -> Floats:
            rows = region._replace(top=region.top + top, height=bottom - top)
            return resolution.from_net(prediction.image, window, rows)

        size = region.height, region.width
        seen = resolution.shrink(lambda top, bottom: view[here][top:bottom], size, factor)
        gap = resolution.shrink_hole(missing[here], factor)
        fill = resolution.shrink(drawn_rows, size, factor)
    band = -(-task.band // factor)
    if prediction.raw is None:  # the network drew the known pixels too, so it is seen there how far it is off
        wide = _near(gap, band) <= band if band else gap
        closed = resolution.close_seam(fill, seen, wide)
        if factor == 1:
            part = box.inside(region).part
            yield box, closed[part], closed[part]
            return
        outward = resolution.continue_outwards(closed - fill, wide)
    else:  # a fused picture copies the known pixels, and `raw` need not fit them: what was drawn is continued outwards
        continued = resolution.continue_outwards(fill, gap)
        correction = resolution.close_seam(continued, seen, gap) - continued
        outward = resolution.continue_outwards(correction, gap, sigma=1 + band / 2)
        if factor == 1:
            part = box.inside(region).part
            raw = resolution.from_net(prediction.raw, window, region)
            yield box, (fill + correction)[part], (raw + outward)[part]
            return
    for tile in box.tiles(TILE):
        inside = tile.inside(region)
        fill = resolution.from_net(prediction.image, window, tile)
        beside = fill if prediction.raw is None else resolution.from_net(prediction.raw, window, tile)
        closing = resolution.enlarge(outward, factor, inside)
        yield tile, fill + closing, beside + closing


def _show_scales(task: _Task, turn: Turn, draft: _Draft, prediction: Prediction, preview: Preview) -> None:
    """Preview what one window's coarse pictures make of a draft, small to large."""
    size = prediction.image.shape[-2:]
    for step, scale in enumerate(prediction.scales, start=1):
        picture = F.interpolate(scale.float(), size=size, mode="bilinear", align_corners=False)
        fill = _round(resolution.from_net(picture, turn.window, turn.box), task.photo)
        rough = replace(draft, patches=[*draft.patches, _Patch(turn.box, fill, turn.own)])
        preview(_unfinished(task, rough), step, len(prediction.scales) + 1)


class _Texture:
    """The texture stage: the photo's own patches, guided by the finished fill; patches are appended to the drafts."""

    def __init__(
        self, task: _Task, parts: Sequence[Window], strength: float, progress: Progress | None, *, total: int
    ) -> None:
        self.task, self.parts, self.strength, self.progress, self.total = task, parts, strength, progress, total
        self.done, self.lock = 0, threading.Lock()

    def add(self, drafts: Sequence[_Draft]) -> None:
        """Give drafts their texture, each in a thread of its own: the search runs without Python's lock."""
        if len(drafts) == 1:
            self._add(drafts[0])
            return
        with ThreadPoolExecutor(len(drafts)) as pool:
            list(pool.map(self._add, drafts))

    def _add(self, draft: _Draft) -> None:
        """Give one draft its texture, part by part."""
        from manyfill import texture

        task = self.task
        unfilled = task.hole.copy()
        for number, part in enumerate(self.parts):
            self._tell(1 if number else 0)
            own = unfilled[part.core.part].copy()
            # What earlier parts made is known here, as the photo is: this part's texture goes on from it.
            gap = unfilled[part.box.part] if task.blind is None else (unfilled | task.blind)[part.box.part]
            gap = gap.copy()
            unfilled[part.core.part] = False
            factor = _coarser(part)
            missing = resolution.shrink_hole(gap, factor) if factor > 1 else gap
            if missing.all():  # nothing to take patches from
                continue
            guide = self._guide(draft, part.box, factor)
            seed = _seed(draft.seed if task.noise.diversity > 0 else 0, number, 1)
            made = texture.synthesize(guide, missing, guide, strength=self.strength, seed=seed)
            core = part.core.inside(part.box)
            if factor == 1:
                draft.repaint(part.core, _round(made.image[core.part], task.photo), own, made.confidence[core.part])
                continue
            pixels = task.photo.pixels[part.box.part]
            if (task.hole[part.box.part] & ~gap).any():  # detail may come from there too
                pixels = draft.look(task.photo.pixels, part.box)
            for tile in core.tiles(TILE):
                here = tile.inside(core).part
                if own[here].any():
                    fill = resolution.carry_detail(
                        pixels, guide, made.image, made.sources, made.confidence, factor, tile
                    )
                    place = tile._replace(top=tile.top + part.box.top, left=tile.left + part.box.left)
                    confidence = np.clip(resolution.enlarge(made.confidence, factor, tile), 0, 1)
                    draft.repaint(place, _round(fill, task.photo), own[here], confidence)
        self._tell(1)

    def _tell(self, more: int) -> None:
        """That so many parts more are done."""
        with self.lock:
            self.done += more
            if self.progress is not None:
                self.progress("texture", self.done, self.total * len(self.parts))

    def _guide(self, draft: _Draft, box: Box, factor: int) -> Floats:
        """The photo with its fill, (h,w,3) at 1/factor."""
        task = self.task

        def rows(top: int, bottom: int) -> NDArray[Any]:
            return draft.look(task.photo.pixels, Box(box.top + top, box.left, bottom - top, box.width))

        if factor > 1:
            guide = resolution.shrink(rows, (box.height, box.width), factor)
        else:
            guide = _as_float(rows(0, box.height))
        if task.blind is None:
            return guide
        blind = task.blind[box.part]
        return resolution.fill_smoothly(guide, resolution.shrink_hole(blind, factor) if factor > 1 else blind)


def _normal(shape: tuple[int, ...], seed: int, number: int) -> Tensor:
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(_seed(seed, number)))


def _seed(seed: int, *numbers: int) -> int:
    """63 bits that depend on all of the seed and the numbers."""
    return int(np.random.SeedSequence([seed % 2**64, *numbers]).generate_state(1, np.uint64)[0]) >> 1


def _near(hole: Bools, pixels: int) -> Floats:
    """Distance of each pixel to the hole, 0 inside it; beyond `pixels` + 1 where there is no hole."""
    if not hole.any():
        return np.full(hole.shape, pixels + 2, np.float32)
    return np.asarray(cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def _as_float(pixels: NDArray[Any]) -> Floats:
    return (pixels / np.float32(np.iinfo(pixels.dtype).max)).astype(np.float32, copy=False)


def _round(fill: NDArray[Any], photo: Photo) -> NDArray[Any]:
    """To source depth, rounded; grey photos get grey fills (Rec. 601 luma, as Pillow converts)."""
    if photo.mode in ("L", "LA"):
        luma = fill @ np.array([0.299, 0.587, 0.114], np.float32)
        fill = np.broadcast_to(luma[..., None], fill.shape)
    highest = np.iinfo(photo.pixels.dtype).max
    return np.asarray(np.rint(np.clip(fill, 0, 1) * np.float32(highest)).astype(photo.pixels.dtype))


def _lay(view: NDArray[Any], box: Box, patches: Sequence[_Patch]) -> None:
    """Put onto `view`, which is `box` of the photo, what patches hold of it, in their order."""
    for patch in patches:
        common = patch.box.shared(box)
        if common is not None:
            theirs = common.inside(patch.box).part
            np.copyto(view[common.inside(box).part], patch.pixels[theirs], where=patch.painted[theirs][..., None])


def _unfinished(task: _Task, draft: _Draft) -> Completion:
    """For a preview: with pixels of its own, because the texture stage will change the draft's."""
    pixels = draft.look(task.photo.pixels, Box(0, 0, *task.hole.shape))
    return Completion(replace(task.photo, pixels=pixels), draft.seed, None, task.hole)


def _thumbnail(task: _Task, windows: Sequence[Window], draft: _Draft) -> NDArray[np.float32]:
    """All windows' thumbnails as one, each weighted by its share of the hole."""
    parts, areas = [], []
    side = max(4, round(ranking.THUMBNAIL / len(windows) ** 0.5))
    for window in windows:
        hole = task.hole[window.core.part]
        parts.append(ranking.thumbnail(_as_float(draft.look(task.photo.pixels, window.core)), hole, side))
        areas.append(float(np.count_nonzero(hole)))
    shares = np.sqrt(np.array(areas, np.float32) / sum(areas))
    return np.concatenate([part * share for part, share in zip(parts, shares, strict=True)])


def _see_through(photo: Photo, hole: Bools, *, fill_transparent: bool) -> tuple[Photo, Bools, Bools | None]:
    """Photo, hole and unseen pixels, once the photo's transparency has had its say."""
    if photo.alpha is None:
        return photo, hole, None
    if fill_transparent and hole.any():
        alpha = photo.alpha.copy()
        alpha[hole] = np.iinfo(alpha.dtype).max
        photo = replace(photo, alpha=alpha)
    blind = np.asarray(photo.alpha == 0)
    return (photo, hole & ~blind, blind) if blind.any() else (photo, hole, None)


def _strength(texture: str | float) -> float:
    if isinstance(texture, str):
        if texture not in TEXTURE:
            raise ManyfillError(f"texture is '{texture}'; expected 'auto', 'net', 'photo' or a number from 0 to 1.")
        return TEXTURE[texture]
    if not 0 <= texture <= 1:
        raise ManyfillError(f"texture is {texture}; expected 'auto', 'net', 'photo' or a number from 0 to 1.")
    return float(texture)


def _check(*, n: int, grow: int, band: int, diversity: float, step: float) -> None:
    if n < 1:
        raise ManyfillError(f"n is {n}; ask for at least one fill.")
    if n > MOST:
        raise TooLarge(f"n is {n}; at most {MOST} fills per call. Call again with seed={MOST} for more.")
    if grow < 0 or band < 0:
        raise ManyfillError(f"grow is {grow} and band {band}; both are pixels and cannot be negative.")
    if not 0 <= diversity <= 2:
        raise ManyfillError(f"diversity is {diversity}; expected 0 (the most likely fill) to 2 (the wildest).")
    if not 0 <= step <= 1:
        raise ManyfillError(f"step is {step}; expected 0 (the same fill) to 1 (as different as any other).")


def read_photo(source: Any, max_memory: int | None = None) -> Photo:
    """`photos.read`, where a ceiling of memory allows to read photo and mask; else TooLarge before it is decoded."""
    if isinstance(source, Photo):
        return source
    ceiling, held = _ceiling(max_memory), memory.resident()
    if ceiling is None:
        return photos.read(source)
    if ceiling <= held:
        raise TooLarge(
            f"program and model hold {_mib(held)} MiB of memory before anything is done; allowed are"
            f" {_mib(ceiling)} MiB. Allow more: --max-memory {_mib(held) + 512}M or above."
        )
    each = photos.reading_cost(source)
    room = (ceiling - held) // each
    try:
        return photos.read(source, max_pixels=min(photos.MAX_PIXELS, room))
    except TooLarge as error:
        if room >= photos.MAX_PIXELS:
            raise
        raise TooLarge(
            f"{str(error).rsplit(';', 1)[0]}: to read it takes {each} bytes of memory for each, beside the"
            f" {_mib(held)} MiB of program and model; allowed are {_mib(ceiling)} MiB. Allow more: --max-memory."
        ) from None


def _ceiling(max_memory: int | None) -> int | None:
    """Bytes that this process may hold; None where nobody knows."""
    if max_memory is not None:
        return max_memory
    free = memory.available()
    return None if free is None else memory.resident() + free // 2


def _check_memory(
    task: _Task,
    windows: Sequence[Window],
    *,
    drawn: int,
    count: int,
    texture: Sequence[Window],
    max_memory: int | None,
) -> int:
    """How many fills may get their texture at once. Raises TooLarge where even one would take more than allowed."""
    most = min(count, torch.get_num_threads(), TEXTURE_PIXELS // max(map(_scaled, texture))) if texture else 1
    ceiling = _ceiling(max_memory)
    if ceiling is None:
        return most
    for at_once in range(most, 0, -1):
        needed = reckon(task, windows, drawn=drawn, count=count, texture=texture, at_once=at_once)
        if needed <= ceiling:
            return at_once
    fills = "A fill" if count == 1 else f"{count} fills"
    raise TooLarge(
        f"{fills} of a photo of {task.photo.width}x{task.photo.height} with this hole would take {_mib(needed)} MiB"
        f" of memory; {'allowed' if max_memory is not None else 'half of what is free'} are {_mib(ceiling)} MiB."
        f" Allow more (--max-memory {_mib(needed * 1.05)}M), ask for fewer fills, or make the photo smaller."
    )


def reckon(
    task: _Task,
    windows: Sequence[Window],
    *,
    drawn: int,
    count: int,
    texture: Sequence[Window] = (),
    at_once: int = 1,
) -> float:
    """Bytes that this process will hold at most to fill and to write, beside what it holds: photo, mask, model.

    `texture`: the parts that get texture, in so many fills `at_once`. Compared with what was measured in
    docs/large_photos.md, by tools/bench_memory.py.
    """
    pixels, depth = task.hole.size, task.photo.pixels.itemsize
    whole = Box(0, 0, *task.hole.shape)
    cores = [window.core.grown(task.band + window.overlap * (len(windows) > 1), whole) for window in windows]
    area = sum(core.height * core.width for core in cores)
    fill = area * (3 * depth + 1)
    filled = count * (fill + area * bool(texture))  # texture also notes what it copied
    widest = max(window.box.height * window.box.width for window in windows)
    core = max(core.height * core.width for core in cores)
    part = max((part.box.height * part.box.width for part in texture), default=0)
    small = max(map(_scaled, texture), default=0)
    drawing = drawn * fill + pixels + (3 * depth + 1) * widest + SEAM_BYTES * min(core, SEAM_PIXELS) + NETWORK
    textured = pixels + part + TEXTURE_BYTES * small
    if len(texture) > 1 and part > TEXTURE_PIXELS:  # a copy with what other parts made
        textured += 3 * depth * part
    texturing = filled + max(at_once * textured, PLANNING * pixels) + NETWORK
    progressive = task.photo.jpeg is not None and task.photo.jpeg.progressive
    each = PROGRESSIVE if progressive else WRITING[task.photo.format]
    writing = filled + each * depth * pixels + NETWORK
    return memory.resident() + max(drawing, texturing if texture else 0, writing)


def _coarser(part: Window) -> int:
    """How many pixels of a part of the photo, each way, are one where it gets its texture."""
    return math.ceil(math.sqrt(part.box.height * part.box.width / TEXTURE_PIXELS))


def _scaled(part: Window) -> int:
    """Pixels of a part of the photo at the scale at which it gets its texture."""
    return int(part.box.height * part.box.width // _coarser(part) ** 2)


def _mib(size: float) -> int:
    return math.ceil(size / 2**20)


def _device(name: str | None) -> torch.device:
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name is None or name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if found[kind]))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ManyfillError(f"device '{name}' is unknown; expected auto, cpu, cuda or mps.") from error
    if not found.get(device.type, False):
        raise ManyfillError(f"device '{name}' is not on this machine. Use auto or cpu.")
    return device
