"""Fillers without weights: the classical answers to a hole, beside which every network is measured.

Each is a function (pixels, hole, seed) -> pixels of whole pictures: uint8 (H,W,3) RGB and bool (H,W), True = missing.
Known pixels come back untouched. What a filler needs is imported when it runs, so that their names cost nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from manyfill.errors import ManyfillError

if TYPE_CHECKING:
    from manyfill.boxes import Bools, Pixels

    Fill = Callable[[Pixels, Bools, int], Pixels]

RADIUS = 3  # pixels around the hole that OpenCV's fillers look at: the value of its own examples and of most papers
PATCH_RADIUS = 3  # of pypatchmatch: the value of its own examples; its default, 15, takes minutes


@dataclass(frozen=True)
class Filler:
    """One way to fill a hole without weights."""

    name: str
    what: str  # one line
    source: str  # paper, program
    licence: str  # SPDX, of the program
    fill: Fill
    package: str  # whose version decides the picture
    seeded: bool = False  # several answers, one per seed

    @property
    def version(self) -> str:
        """Of the package, empty where it is not installed."""
        for name in (self.package, "opencv-python" if self.package == "opencv-python-headless" else self.package):
            try:
                return version(name)
            except PackageNotFoundError:
                continue
        return ""

    @property
    def sha256(self) -> str:
        """Stands for the hash of weights: another program or version, another hash."""
        return hashlib.sha256(f"{self.name} {self.package} {self.version}".encode()).hexdigest()

    def __call__(self, pixels: Pixels, hole: Bools, seed: int = 0) -> Pixels:
        """Fill the hole; what is known stays. Nothing known: mid-grey. Raises ManyfillError without its package."""
        import numpy as np

        assert pixels.dtype == np.uint8 and pixels.shape == (*hole.shape, 3), f"{pixels.dtype} {pixels.shape}"
        if not hole.any():
            return pixels.copy()
        if hole.all():
            return np.full_like(pixels, 128)
        seen = np.where(hole[..., None], np.uint8(0), pixels)  # nothing can leak from under the hole
        return np.where(hole[..., None], self.fill(seen, hole, seed), pixels)


def _opencv(method: str) -> Fill:
    def fill(pixels: Pixels, hole: Bools, seed: int) -> Pixels:
        import cv2
        import numpy as np

        return np.asarray(cv2.inpaint(pixels, hole.astype(np.uint8), RADIUS, getattr(cv2, method)), np.uint8)

    return fill


def _mean(pixels: Pixels, hole: Bools, seed: int) -> Pixels:
    import numpy as np

    colour = np.rint(pixels[~hole].mean(0, dtype=np.float64)).astype(np.uint8)
    return np.broadcast_to(colour, pixels.shape)


def _biharmonic(pixels: Pixels, hole: Bools, seed: int) -> Pixels:
    import numpy as np

    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError as error:
        raise _missing("biharmonic", "scikit-image") from error
    filled = inpaint_biharmonic(pixels / 255.0, hole, channel_axis=-1)
    return np.asarray(np.rint(np.clip(filled, 0, 1) * 255), np.uint8)


def _patchmatch(pixels: Pixels, hole: Bools, seed: int) -> Pixels:
    import numpy as np

    from manyfill import texture

    image = pixels.astype(np.float32) / np.float32(255)
    made = texture.synthesize(image, hole, None, seed=seed)
    return np.asarray(np.rint(made.image * 255), np.uint8)


def _pypatchmatch(pixels: Pixels, hole: Bools, seed: int) -> Pixels:
    import numpy as np

    try:
        import patchmatch
    except ImportError as error:
        raise _missing("pypatchmatch", "pypatchmatch") from error
    if not patchmatch.patchmatch_available:
        raise ManyfillError("'pypatchmatch' is installed, but its compiled part does not load on this machine.")
    patchmatch.set_random_seed(seed)
    return np.asarray(patchmatch.inpaint(pixels, hole.astype(np.uint8) * 255, patch_size=PATCH_RADIUS), np.uint8)


def _missing(name: str, package: str) -> ManyfillError:
    return ManyfillError(f"'{name}' needs the package {package}. Install it: pip install {package}.")


_OPENCV, _OWN = "opencv-python-headless", "manyfill"

FILLERS: dict[str, Filler] = {
    filler.name: filler
    for filler in (
        Filler(
            "telea",
            "fast marching: smooth colours grown in from the rim",
            "Telea 2004, OpenCV",
            "Apache-2.0",
            _opencv("INPAINT_TELEA"),
            _OPENCV,
        ),
        Filler(
            "ns",
            "fluid dynamics: isophotes carried into the hole",
            "Bertalmio et al. 2001 (Navier-Stokes), OpenCV",
            "Apache-2.0",
            _opencv("INPAINT_NS"),
            _OPENCV,
        ),
        Filler("mean", "one flat colour: the mean of what is known", "the simplest answer", "Apache-2.0", _mean, _OWN),
        Filler(
            "biharmonic",
            "the smoothest surface through the rim; slow in large holes",
            "Damelin and Hoang 2018, scikit-image",
            "BSD-3-Clause",
            _biharmonic,
            "scikit-image",
        ),
        Filler(
            "patchmatch",
            "the photo's own patches, with no network to guide them",
            "Barnes et al. 2009 and Wexler et al. 2007, manyfill's texture stage",
            "Apache-2.0",
            _patchmatch,
            _OWN,
            seeded=True,
        ),
        Filler(
            "pypatchmatch",
            "the photo's own patches, as many programs use them",
            "Barnes et al. 2009, package pypatchmatch",
            "MIT",
            _pypatchmatch,
            "pypatchmatch",
            seeded=True,
        ),
    )
}
