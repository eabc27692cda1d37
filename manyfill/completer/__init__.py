"""The one way from a photo with a hole to finished fills; the command line, the server and batches all go through here.

photo, mask -> plain answers -> windows around the hole -> draw once per fill -> seam -> rank, pick -> texture -> paste.
Known pixels are copied at source depth and never touched; what changes lives in patches the size of the hole until
the end.

task        what to fill: photo, hole, seeds
ceiling     the memory ceiling: estimated before a fill is begun
portions    sizes above which work goes on in parts
completion  a fill as patches: Draft, Completion
fills       the fills of one photo, for notebooks and folders
mending     what has one plain answer: thin holes, smooth ground
joining     what was drawn, joined to the photo: seams
looking     window by window, fill by fill: the round that every drawer makes
drawing     who draws: Drawer, and one class for networks, one for fillers without weights
foreign     and one for models from ONNX files
texturing   the photo's own patches on top
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from manyfill import engines, fetchables, forks, masks, ranking, weights, zoo
from manyfill.boxes import Box
from manyfill.checking import Check, go_on
from manyfill.completer import texturing
from manyfill.completer.canvas import extended
from manyfill.completer.ceiling import check_memory, check_mending, read_photo
from manyfill.completer.completion import NOTHING, Completion, Draft, Patch, spread, thumbnail, uncertainty
from manyfill.completer.drawing import DRAWERS, Drawer, FillerDrawer, NetDrawer
from manyfill.completer.fills import Fills
from manyfill.completer.foreign import OnnxDrawer
from manyfill.completer.joining import MARGIN
from manyfill.completer.mending import mend
from manyfill.completer.portions import Portions
from manyfill.completer.task import Noise, Preview, Progress, Task, as_float, is_neutral, see_through
from manyfill.completer.texturing import Texturing
from manyfill.errors import BadMask, ManyfillError
from manyfill.fetchables import FETCHABLES
from manyfill.fillers import FILLERS
from manyfill.nets import CompletionNet
from manyfill.onnxmodel import OnnxModel
from manyfill.options import MOST_SEED, FillOptions, margins
from manyfill.scaling import to_net
from manyfill.texture.structure import share
from manyfill.windows import Window, plan

if TYPE_CHECKING:
    from manyfill.texture.search import Search

__all__ = [
    "Completer", "Completion", "Drawer", "FillerDrawer", "Fills", "NetDrawer", "OnnxDrawer", "Preview", "Progress",
    "read_photo", "spread", "uncertainty",
]  # fmt: skip

SCORED = 4  # windows, those with most of the hole, that a fill's score is the mean of


class Completer:
    """A drawer, and the way from photos to fills.

    `search`: how the texture stage looks for patches; None is as chosen in docs/texture.md. `portions`: above which
    sizes work goes on in parts. Both are for trials.
    """

    def __init__(self, drawer: Drawer, *, search: Search | None = None, portions: Portions = Portions()) -> None:
        forks.survive()
        self.drawer, self.search, self.portions = drawer, search, portions
        self._loaded_as: tuple[str, str | None, str] | None = None  # what `from_pretrained` was given

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process, such as spawn starts, loads the model itself: by its name, on the same device and engine."""
        if self._loaded_as is None:
            raise ManyfillError("a completer of a network of your own goes to no other process. Make it there: of_net.")
        return _again, (*self._loaded_as, self.search, self.portions)

    @classmethod
    def of_net(
        cls,
        net: CompletionNet,
        *,
        critic: nn.Module | None = None,
        name: str = "unnamed",
        sha256: str = "",
        device: str | torch.device = "cpu",
    ) -> Completer:
        """A network of your own, and the critic that ranks its fills where there is one."""
        return cls(NetDrawer(net, critic=critic, name=name, sha256=sha256, device=device))

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = zoo.AUTO, *, device: str | None = None, engine: str = "auto"
    ) -> Completer:
        """Load a model: by name, or a file, .safetensors or .onnx.

        Names: "auto" (the best that is installed), one of `zoo.ZOO`, a model that was fetched, such as "migan", or one
        of `fillers.FILLERS`, which need no weights. `device`: None or "auto" takes cuda, else mps, else cpu. `engine`:
        see `engines.start`, and `onnxmodel.OnnxModel` for ONNX files. Raises UnknownModel, BadWeights, and
        ManyfillError where that engine cannot be had.
        """
        made = cls._of_name(name_or_path, device, engine)
        name = zoo.default() if name_or_path == zoo.AUTO else str(name_or_path)
        made._loaded_as = (str(Path(name).absolute()) if zoo.file_of(name) else name, device, engine)
        return made

    @classmethod
    def _of_name(cls, name_or_path: str | Path, device: str | None, engine: str) -> Completer:
        name = str(name_or_path)
        if name in DRAWERS:
            return cls(DRAWERS[name](None if device == "auto" else device))
        if name in FILLERS:
            return cls(FillerDrawer(FILLERS[name]))
        if name in FETCHABLES and FETCHABLES[name].is_model:
            return cls(_onnx(fetchables.path_of_model(name), name, device, engine))
        if Path(name).suffix.lower() == ".onnx":
            return cls(_onnx(Path(name), None, device, engine))
        where = _device(device)
        found = weights.load(name_or_path, device=where)
        name = zoo.find(name).name if name == zoo.AUTO or name in zoo.ZOO else found.path.stem
        net = engines.start(found.net, engine=engine, device=where, sha256=found.sha256)
        return cls.of_net(net, critic=found.critic, name=name, sha256=found.sha256, device=where)

    @property
    def name(self) -> str:
        """Of the model."""
        return self.drawer.name

    @property
    def sha256(self) -> str:
        """Of the model's weights."""
        return self.drawer.sha256

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self.drawer.device

    @property
    def engine(self) -> str:
        """What runs the model: a picture's last bits may depend on it."""
        return self.drawer.engine

    @property
    def varied(self) -> bool:
        """Whether there is more than one answer to a hole."""
        return self.drawer.varied

    def complete(
        self,
        photo: Any,
        mask: Any = None,
        *,
        n: int = FillOptions.n,
        seed: int = FillOptions.seed,
        polarity: str = FillOptions.polarity,
        grow: int = FillOptions.grow,
        band: int = FillOptions.band,
        diversity: float = FillOptions.diversity,
        near: int | None = FillOptions.near,
        step: float = FillOptions.step,
        texture: str | float = FillOptions.texture,
        max_memory: int | None = FillOptions.max_memory,
        strict: bool = FillOptions.strict,
        keep_video: bool = FillOptions.keep_video,
        extend: Any = FillOptions.extend,
        extend_to: str | None = FillOptions.extend_to,
        progress: Progress | None = None,
    ) -> Fills:
        """Fill the hole that the mask marks, n times, best first.

        `photo`, `mask`: path, bytes, PIL image, array or tensor. Fill i depends on seed + i alone, whatever n is. For
        n > 1, n + max(2, n // 2) fills are drawn, near-duplicates are dropped, and the best n are kept; each fill
        carries its own seed. There is only one fill if the network takes no noise, if `diversity` is 0, if the hole is
        empty (the photo itself), and if the hole has one plain answer (specks, hair-lines, a flat colour, a clear sky)
        and `texture` is "auto" or "photo"; the plain answer has no score.

        - `polarity`: what means "fill" in the mask: "white", "black", "alpha" (transparent) or a colour, "#ff00ff".
        - `grow`: enlarge the hole by this many pixels.
        - `band`: let the blend change known pixels this near the hole; 0 keeps all of them exact.
        - `diversity`: 0 to 2, scale of the noise.
        - `near`: the seed of a fill; new fills resemble it. `step`, 0 to 1, is how far they may differ: 0 gives that
          fill again, 1 any fill.
        - `texture`: "auto", "net", "photo" or 0 to 1: how much of the detail comes from the photo's own patches.
        - `max_memory`: bytes that the process may hold; by default, half of the free memory on top of what it holds. If
          filling and writing would take more, TooLarge is raised before work begins. It never changes a picture.
        - `strict`: raise BadImage or BadMask for a JPEG that is cut off near its end, instead of noting it.
        - `keep_video`: write a motion photo's video behind JPEG fills; it still shows what was removed.
        - `extend`: a larger canvas, "top,right,bottom,left" in pixels or % of the photo's side (also four numbers,
          or one for all sides); its border is filled besides what the mask marks, and `mask` may be None.
        - `extend_to`: extend just enough for this shape, such as "16:9".
        - `progress(stage, done, total)` is called with the stages "fill", "rank" and "texture", one call at a time, the
          last ones from the threads in which several fills get their texture at once. What it raises stops the work
          within one step of a stage and comes out here; the completer can be used again.

        Several threads may use a completer at once, each with its own photo; the fills are the same as one after
        another. Fully transparent pixels are ignored and stay as they were, unless `polarity` is "alpha": then the
        transparent pixels are what is filled, and they become opaque.
        """
        options = FillOptions(
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
            strict=strict,
            keep_video=keep_video,
            extend=extend,
            extend_to=extend_to,
        )
        return Fills(self.stream(photo, mask, options, progress=progress))

    def stream(
        self,
        photo: Any,
        mask: Any,
        options: FillOptions | None = None,
        *,
        progress: Progress | None = None,
        preview: Preview | None = None,
        check: Check = go_on,
        written: str | None = "same",
    ) -> Iterator[Completion]:
        """The fills of `complete`, the same and in the same order, each as soon as it is finished.

        `preview(fill, step, steps)` is called with every fill drawn, also those that are not chosen in the end: first
        with the network's coarse pictures, small to large, at last with what it drew before texture; without score.
        `check()` is called between the small steps of the work, from whatever thread does it: what it raises ends the
        work and comes out, as what `progress` raises does, but sooner. `written` is the format that fills will be
        written in, "same" for the photo's own, None for none: it counts as memory, and nothing else.
        """
        options = options or FillOptions()
        strength = options.strength(self.drawer.default_texture)
        if options.near is not None and options.step == 0:
            options = replace(options, n=1, seed=options.near, near=None)
        source = read_photo(photo, options.max_memory, strict=options.strict, keep_video=options.keep_video)
        size, said = (source.height, source.width), list[str]()
        if mask is None and not options.extends:
            raise BadMask("there is no mask. Hand one in, or extend the canvas.")
        if mask is None:
            hole = np.zeros(size, bool)
        else:
            hole = masks.read_hole(mask, polarity=options.polarity, size=size, strict=options.strict, notes=said)
        notes = () if mask is photo else tuple(said)  # a photo that is its own mask says so itself
        hole = masks.grow(hole, options.grow, check=check) if options.grow else hole
        if options.extends:
            source, hole = extended(source, hole, margins(options, *size), options.max_memory)
        source, hole, blind = see_through(source, hole, fill_transparent=options.polarity == "alpha")
        if not hole.any():
            yield Completion(source, options.seed, None, hole, mask_notes=(*notes, NOTHING))
            return
        count = options.n if options.diversity > 0 and self.varied else 1
        drawn = count + max(2, count // 2) if count > 1 else 1
        seeds = [(options.seed + number) % (MOST_SEED + 1) for number in range(drawn)]
        noise = Noise(options.diversity, options.near, options.step)
        check()
        neutral = is_neutral(source.pixels, hole if blind is None else hole | blind, hole)
        task = Task(source, hole, blind, options.band, noise, neutral, check, self.portions)
        mended: list[Patch] = []
        check()
        if strength == 1 and not options.band:
            check_mending(task, options.max_memory)
            task, mended = mend(task)
            if not task.hole.any():
                fill = Completion(source, options.seed, None, hole, tuple(mended), notes)
                yield self._mended(fill, progress, preview)
                return
        check()
        if options.texture == "auto" and strength > 0:
            strength = share(task.photo.pixels, task.hole, self.drawer.scene_texture)
            check()
        windows = self.drawer.plan(task.hole)
        check()
        parts = plan(task.hole, working_size=texturing.SIDE, multiple=1) if strength > 0 else []
        check()
        at_once = check_memory(
            task,
            windows,
            drawn=drawn,
            count=count,
            texture=parts,
            max_memory=options.max_memory,
            model=self.drawer.takes,
            written=written,
        )
        with torch.inference_mode():
            drafts = self.drawer.draw(task, windows, seeds, progress, preview)
            scores, thumbnails = [], []
            for index, draft in enumerate(drafts):
                scores.append(self._score(task, windows, draft))
                check()
                thumbnails.append(thumbnail(task, windows, draft))
                check()
                if progress is not None:
                    progress("rank", index + 1, drawn)
        best = ranking.pick(scores, ranking.distances(thumbnails), count)
        chosen = [(drafts[index], scores[index]) for index in best]
        del drafts  # what was passed over is not kept
        texture_of = None
        if parts:
            texture_of = Texturing(task, parts, strength, progress, total=len(chosen), search=self.search)
        for first in range(0, len(chosen), at_once):
            finished = chosen[first : first + at_once]
            if texture_of is not None:
                texture_of.add([draft for draft, _ in finished])
            for draft, score in finished:
                yield Completion(
                    source, draft.seed, score, hole, (*mended, *draft.patches), notes, tuple(draft.origins)
                )

    def _mended(self, fill: Completion, progress: Progress | None, preview: Preview | None) -> Completion:
        """Tell of the one fill of a hole that has a plain answer everywhere."""
        if progress is not None:
            progress("fill", 1, 1)
        if preview is not None:
            preview(fill, 1, 1)
        return fill

    def _score(self, task: Task, windows: Sequence[Window], draft: Draft) -> float:
        """Mean over the windows with most of the hole: the critic's view of each, or how well its seam is closed."""
        areas = [int(np.count_nonzero(patch.painted)) for patch in draft.patches]
        largest = sorted(range(len(windows)), key=lambda i: (-areas[i], i))[:SCORED]
        total = 0.0
        for index in largest:
            task.check()
            window = windows[index]
            if self.drawer.critic is not None:
                view = draft.look(task.photo.pixels, window.box)
                task.check()
                image, _ = to_net(view, np.zeros(view.shape[:2], bool), window)
                task.check()
                score = ranking.critic_score(self.drawer.critic, image.to(self.device))
            else:
                box = window.core.grown(MARGIN, Box(0, 0, *task.hole.shape))
                score = ranking.seam_score(as_float(draft.look(task.photo.pixels, box)), task.hole[box.part])
            total += score * areas[index]
        return total / sum(areas[index] for index in largest)


def _again(name: str, device: str | None, engine: str, search: Search | None, portions: Portions) -> Completer:
    """A completer in another process."""
    made = Completer.from_pretrained(name, device=device, engine=engine)
    made.search, made.portions = search, portions
    return made


def _onnx(path: Path, name: str | None, device: str | None, engine: str) -> OnnxDrawer:
    if device not in (None, "auto", "cpu"):
        raise ManyfillError(f"ONNX files run on the CPU here, but device is '{device}'. Use auto or cpu.")
    return OnnxDrawer(OnnxModel(path, engine=engine, name=name))


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
