"""The network alone, as the papers measured theirs: no closed seam, no texture, no windows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from manyfill.boxes import Pixels
from manyfill.completer import Completer, NetDrawer
from manyfill.errors import ManyfillError
from manyfill.evaluation.cases import Case
from manyfill.evaluation.sources import Answer


@dataclass(eq=False)
class Bare:
    """The paper's composite (1 - M) out + M I of one pass over the whole picture, M = 1 where it is known.

    As both releases write their files, what was drawn is cut, not rounded, to 8 bits; known pixels are the photo's own.
    Fill i has the noise of seed i. `scores` are the critic's means over its patches of the composite, as the
    PICNet release scores. A soft mask (`Setup.grey_masks`) is fed and composited as it is, as DFNet's release does.
    """

    completer: Completer
    label: str = ""
    exact: bool = True  # known pixels are copied; half-known ones of a soft mask count as missing
    facts: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        drawer = self.completer.drawer
        if not isinstance(drawer, NetDrawer):
            raise ManyfillError(f"the paper's composite is of a network, and {self.completer.name} is not one.")
        self.drawer = drawer
        self.label = self.label or f"{self.completer.name}, paper's composite"
        self.facts = {
            "kind": "model",
            "name": self.completer.name,
            "sha256": self.completer.sha256,
            "composite": "paper",
            "device": str(self.completer.device),
            "engine": self.completer.engine,
        }

    def prepare(self, names: Sequence[str]) -> None:
        """Anything that has the network's size."""

    def identity(self, case: Case) -> str:
        """The model and how it is run."""
        return repr(sorted((key, str(value)) for key, value in self.facts.items()))

    @torch.inference_mode()
    def answer(self, case: Case, *, n: int, seed: int) -> Answer:
        """Fill by fill. Raises ManyfillError where the picture is not of a size that the network takes."""
        net, critic = self.drawer.net, self.drawer.critic
        encoded, image, missing = self._encode(case)
        shape = net.noise_shape(*case.pixels.shape[:2])
        made = Answer([], [], [], [])
        for own in range(seed, seed + (n if shape is not None else 1)):
            start = time.perf_counter()
            noise = None
            if shape is not None:
                noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(own)).to(self.drawer.device)
            drawn = net.decode(encoded, noise).image.float()
            composite = missing * drawn + (1 - missing) * image
            made.seconds.append(time.perf_counter() - start)
            made.scores.append(None if critic is None else float(critic(composite).mean()))
            cut = (composite[0] * 255).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
            made.fills.append(np.where(case.hole[..., None], cut, case.pixels))
            made.seeds.append(own)
        return made

    @torch.inference_mode()
    def alpha(self, case: Case, fill: Pixels) -> NDArray[np.float32] | None:
        """Of the most likely fill."""
        encoded, _, _ = self._encode(case)
        shape = self.drawer.net.noise_shape(*case.pixels.shape[:2])
        noise = None if shape is None else torch.zeros(1, *shape, device=self.drawer.device)
        alpha = self.drawer.net.decode(encoded, noise).alpha
        return None if alpha is None else np.asarray(alpha[0].float().mean(0).cpu().numpy(), np.float32)

    def _encode(self, case: Case) -> tuple[Any, torch.Tensor, torch.Tensor]:
        height, width = case.pixels.shape[:2]
        net, device = self.drawer.net, self.drawer.device
        if height % net.multiple or width % net.multiple:
            raise ManyfillError(
                f"{case.name} is {width}x{height} as it is measured, and {self.completer.name} alone takes multiples "
                f"of {net.multiple}. Add --fit squeeze --size {net.working_size}, or --fit crop."
            )
        image = torch.from_numpy(np.ascontiguousarray(case.pixels.transpose(2, 0, 1))).to(device).float()[None] / 255
        share = case.hole if case.soft is None else case.soft
        missing = torch.from_numpy(np.asarray(share, np.float32)).to(device)[None, None]
        return net.encode(image, missing), image, missing
