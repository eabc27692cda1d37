"""Who draws a fill: a network, or a filler without weights. A drawer is one class; the completer does all the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from manyfill import engines
from manyfill.boxes import Bools, Box
from manyfill.checking import Check, go_on
from manyfill.completer.completion import Doubt, Draft, Patch, unfinished
from manyfill.completer.doubting import Answers
from manyfill.completer.joining import finish, region_of, show_scales
from manyfill.completer.looking import looks
from manyfill.completer.task import Noise, Preview, Progress, Task, as_float, derive_seed
from manyfill.errors import BadWeights, ManyfillError
from manyfill.fillers import Filler
from manyfill.nets import CompletionNet, NearNet, Prediction
from manyfill.nets.traits import traits_of
from manyfill.scaling import from_net, read_for, to_net
from manyfill.seams import Floats
from manyfill.views import PLAIN, View, draw_through
from manyfill.windows import Turn, Window, plan, squared

OTHER_SIZE = 5  # a view at half size takes this part of what the first size took; measured with MI-GAN
FILLER_SIDE = 1024  # least side in pixels of the part of the photo that a filler without a network is shown


class Drawer(Protocol):
    """What draws: windows of a photo become fills of its hole, each from its seed alone."""

    @property
    def name(self) -> str:
        """Of the model, as sidecars and reports show it."""

    @property
    def sha256(self) -> str:
        """Of its weights: another hash, another picture."""

    @property
    def engine(self) -> str:
        """What runs it: a picture's last bits may depend on it."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def critic(self) -> nn.Module | None:
        """What ranks its fills, where there is one: pictures to scores, higher is better."""

    @property
    def varied(self) -> bool:
        """Whether there is more than one answer to a hole."""

    @property
    def takes(self) -> int:
        """Bytes that it has yet to take to run, and then keeps, above `Portions.network`."""

    @property
    def default_texture(self) -> str:
        """What texture "auto" means for it: "photo" or "net"."""

    @property
    def scene_texture(self) -> float:
        """What "photo" means in scenes of unlike parts: 1, or less where its own detail is nearer there."""

    def plan(self, hole: Bools) -> list[Window]:
        """What it sees at once: windows around a hole (H,W)."""

    def draw(
        self,
        task: Task,
        windows: Sequence[Window],
        seeds: Sequence[int],
        progress: Progress | None,
        preview: Preview | None,
    ) -> list[Draft]:
        """One draft per seed, every window of it; calls `progress("fill", done, total)`."""


DRAWERS: dict[str, Callable[[str | None], Drawer]] = {}  # by model name, of plug-ins: device -> drawer


class NetDrawer:
    """A network, and its critic where it has one."""

    default_texture = "photo"

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
        self.traits = traits_of(net)
        self.drew = False

    @property
    def engine(self) -> str:
        """One of `engines.ENGINES`."""
        return engines.engine_of(self.net)

    @property
    def takes(self) -> int:
        """As its `Traits` say; of it OpenVINO keeps all but what another size takes, once it has drawn."""
        takes = self.traits.takes.get(self.engine, 0)
        return takes // OTHER_SIZE if self.drew and self.engine != "torch" else takes

    @property
    def scene_texture(self) -> float:
        """As its `Traits` say."""
        return self.traits.scene_texture

    @property
    def varied(self) -> bool:
        """Whether the network takes noise."""
        return self.net.noise_shape(self.net.multiple, self.net.multiple) is not None

    def plan(self, hole: Bools) -> list[Window]:
        """As large as the network works at, more of the photo at a smaller scale for large holes."""
        windows = plan(hole, working_size=self.net.working_size, multiple=self.net.multiple)
        if self.traits.square:
            return [squared(window, self.net.working_size) for window in windows]
        return windows

    def draw(
        self,
        task: Task,
        windows: Sequence[Window],
        seeds: Sequence[int],
        progress: Progress | None,
        preview: Preview | None,
    ) -> list[Draft]:
        """Every fill, window by window; a window that no earlier one reaches into is encoded once for all fills."""
        drafts = [Draft(seed) for seed in seeds]
        encoded: Any = None
        for look in looks(task, windows, drafts, progress):
            turn, draft = look.turn, look.draft
            noise = self._noise(turn.window, draft.seed, look.number, task.noise)
            task.check()
            if look.fresh:
                image, hole = (x.to(self.device) for x in to_net(look.view, turn.missing, turn.window))
                task.check()
                encoded = None
                ask = partial(predict_through, net=self.net, image=image, hole=hole, check=task.check)
                answers = Answers(ask, image, hole, task.check)
            if self.traits.views:
                prediction, doubt = answers.to(task.noise.view(draft.seed), noise)
                draft.doubts.append(Doubt(turn.window, doubt))
            else:
                encoded = self.net.encode(image, hole) if encoded is None else encoded
                task.check()
                prediction = self._decode(task, turn, encoded, noise)
            task.check()
            if not torch.isfinite(prediction.image).all():
                raise BadWeights(f"model '{self.name}' drew values that are not numbers: its weights are damaged.")
            if preview is not None and look.last:
                show_scales(task, turn, draft, prediction, preview)
            draft.patches.append(finish(task, turn, look.view, prediction))
            if preview is not None and look.last:
                steps = len(prediction.scales) + 1
                preview(unfinished(task, draft), steps, steps)
        self.drew = True
        return drafts

    def _decode(self, task: Task, turn: Turn, encoded: Any, noise: Tensor | None) -> Prediction:
        """All that is looked at of a fill, which is less than the window."""
        if engines.draws_near(self.net):
            return cast(NearNet, self.net).decode_near(encoded, read_for(turn.window, region_of(task, turn)))
        return self.net.decode(encoded, noise)

    def alpha(self, pixels: NDArray[Any], missing: Bools, window: Window) -> Floats | None:
        """The fusion block's alpha (h,w) of the most likely fill of one window's core; None where the net has none."""
        image, hole = to_net(pixels, missing, window)
        with torch.inference_mode():
            encoded = self.net.encode(image.to(self.device), hole.to(self.device))
            shape = self.net.noise_shape(*window.padded)
            noise = None if shape is None else torch.zeros(1, *shape, device=self.device)
            prediction = self.net.decode(encoded, noise)
        if prediction.alpha is None:
            return None
        return np.asarray(from_net(prediction.alpha, window, window.core).mean(2))

    def _noise(self, window: Window, seed: int, number: int, noise: Noise) -> Tensor | None:
        """Drawn on the CPU from the seed and the number of the window, so that device, n and order cannot matter."""
        shape = self.net.noise_shape(*window.padded)
        return None if shape is None else noise.draw(shape, seed, number, plain_start=self.traits.views).to(self.device)


def predict_through(
    view: View, noise: Tensor | None, *, net: CompletionNet, image: Tensor, hole: Tensor, check: Check = go_on
) -> Prediction:
    """What a network draws of image (1,3,h,w) and hole (1,1,h,w) seen in another way, put back where it belongs.

    The noise is that of the whole picture; at half size its first rows and columns are heard.
    """
    if view == PLAIN:
        encoded = net.encode(image, hole)
        check()
        return net.decode(encoded, noise)
    if any(side % (2 * net.multiple) for side in image.shape[-2:]):
        view = replace(view, halved=False)
    channels: list[int] = []

    def draw(image: Tensor, hole: Tensor) -> Tensor:
        shape = net.noise_shape(*image.shape[-2:])
        heard = None if shape is None or noise is None else noise[..., : shape[1], : shape[2]]
        encoded = net.encode(image, hole)
        check()
        drawn = net.decode(encoded, heard)
        parts = [part for part in drawn[:3] if part is not None]
        channels[:] = [0 if part is None else part.shape[1] for part in drawn[:3]]
        return torch.cat(parts, 1)

    together = draw_through(view, draw, image, hole)
    image, alpha, raw = torch.split(together, channels, 1)
    return Prediction(image, alpha if channels[1] else None, raw if channels[2] else None)


class FillerDrawer:
    """A filler without weights in place of the network; photos are read, ranked, pasted and written as any other."""

    critic = None
    takes = 0
    scene_texture = 1.0
    default_texture = "net"  # what the filler drew; another strength gives its fill texture as it gives a network's
    device = torch.device("cpu")

    def __init__(self, filler: Filler) -> None:
        self.filler = filler
        self.name, self.sha256, self.engine, self.varied = filler.name, filler.sha256, filler.package, filler.seeded

    def plan(self, hole: Bools) -> list[Window]:
        """The hole's surroundings, at the photo's own pixels: what a fill costs follows the hole, not the photo."""
        return plan(hole, working_size=FILLER_SIDE, multiple=1)

    def draw(
        self,
        task: Task,
        windows: Sequence[Window],
        seeds: Sequence[int],
        progress: Progress | None,
        preview: Preview | None,
    ) -> list[Draft]:
        """Every fill, window by window; in 8 bits, also where the photo has 16."""
        if task.band:
            raise ManyfillError(f"'{self.name}' does not blend into the photo around the hole. Leave --band at 0.")
        drafts = [Draft(seed) for seed in seeds]
        for look in looks(task, windows, drafts, progress):
            turn, draft, view = look.turn, look.draft, look.view
            task.check()
            part = turn.box.inside(turn.window.box).part
            seen = np.rint(as_float(view) * 255).astype(np.uint8)
            seed = derive_seed(draft.seed, look.number) if task.noise.diversity > 0 else 0
            fill = as_float(self.filler(seen, turn.missing, seed)[part])
            if turn.again is not None:
                fill = turn.blend(fill, as_float(view[part]), Box(0, 0, turn.box.height, turn.box.width))
            draft.patches.append(Patch(turn.box, task.to_depth(fill), turn.painted))
            if preview is not None and look.last:
                preview(unfinished(task, draft), 1, 1)
        return drafts
