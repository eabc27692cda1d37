"""Models from ONNX files in place of a network: one answer each, and several fills by asking it in several ways."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from manyfill.boxes import Bools
from manyfill.completer.completion import Draft, unfinished
from manyfill.completer.joining import finish
from manyfill.completer.looking import looks
from manyfill.completer.task import Preview, Progress, Task
from manyfill.errors import ManyfillError
from manyfill.nets import Prediction
from manyfill.onnxmodel import OnnxModel
from manyfill.scaling import to_net
from manyfill.views import draw_through
from manyfill.windows import Window, plan, squared

SIZE_TAKES = 400 << 20  # bytes: onnxruntime 383 and 400 MiB, OpenVINO 343 and 262 MiB


class OnnxDrawer:
    """A model from an ONNX file; each seed sees the hole through another view."""

    critic = None
    default_texture = "photo"
    scene_texture = 0.5  # of strong networks: with MI-GAN better by every measure, docs/models.md
    device = torch.device("cpu")
    varied = True

    def __init__(self, model: OnnxModel) -> None:
        self.model = model
        self.name, self.sha256, self.engine = model.name, model.sha256, model.engine

    @property
    def takes(self) -> int:
        """For each of the two sizes of its views that was not drawn yet; measured with MI-GAN, docs/models.md."""
        return SIZE_TAKES * max(0, 2 - len(self.model.sizes))

    def plan(self, hole: Bools) -> list[Window]:
        """Each window as a square of the model's own side."""
        side = self.model.side
        return [squared(window, side) for window in plan(hole, working_size=side, multiple=1)]

    def draw(
        self,
        task: Task,
        windows: Sequence[Window],
        seeds: Sequence[int],
        progress: Progress | None,
        preview: Preview | None,
    ) -> list[Draft]:
        """Every fill, window by window, all windows of a fill through its one view."""
        if task.band:
            raise ManyfillError(f"'{self.name}' does not blend into the photo around the hole. Leave --band at 0.")
        drafts = [Draft(seed) for seed in seeds]
        for look in looks(task, windows, drafts, progress):
            view = task.noise.view(look.draft.seed)
            task.check()
            image, hole = to_net(look.view, look.turn.missing, look.turn.window)
            drawn = draw_through(view, self.model.draw, image, hole)
            task.check()
            raw = drawn if self.model.meaning.copies else None  # what is copied says nothing of how the rest fits
            look.draft.patches.append(finish(task, look.turn, look.view, Prediction(drawn, raw=raw)))
            if preview is not None and look.last:
                preview(unfinished(task, look.draft), 1, 1)
        return drafts
