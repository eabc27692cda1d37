"""Sizes above which work goes on in parts, and how many fills get their texture at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Portions:
    """What `Completer` keeps to; other values are for tests and trials."""

    texture_pixels: int = 5_200_000  # larger parts get their texture at a smaller scale and the photo's detail on top
    seam_pixels: int = 2_000_000  # seams of larger parts are closed at a smaller scale
    tile: int = 512  # side in pixels of the tiles in which large parts are worked on at the photo's own pixels
    network: int = 150 << 20  # bytes that go with no size: a network at work, tables, threads; they are kept after it
    threads: int | None = None  # fills that get their texture at once; None: torch's threads

    def at_once(self) -> int:
        """Fills that may get their texture at once, as far as processors go."""
        return torch.get_num_threads() if self.threads is None else self.threads
