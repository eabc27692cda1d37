"""Where a network invents: there the texture stage listens to the photo instead.

A strong network answers a picture and its mirror image in unlike ways where it does not know what belongs there, and
often with a thing that nothing in the photo asks for. How far two answers are apart is compared with how much the
photo itself changes beside the hole: on a calm beach a dark blot is an invention, in a wood it is a tree.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manyfill.boxes import Bools
from manyfill.checking import Check
from manyfill.nets import Prediction
from manyfill.seams import Floats, hang
from manyfill.views import MIRRORED, PLAIN, View

DETAIL = 2.0  # sigma in pixels at the network's scale: finer than this is one answer's own
SMOOTH = 3.0  # sigma, likewise: fine texture is no disagreement
WIDE, AROUND = 5.0, 16.0  # sigmas, likewise: how smooth doubt is, and within how far the photo is looked at
LEAST = 0.06  # of 1, added to what the photo changes by: no photo is so calm that less is an invention
AGREED, APART = 0.45, 0.9  # times that: so far two answers may be apart without doubt, and from here on it is full


Ask = Callable[[View, Tensor | None], Prediction]  # how the picture is shown, noise -> what is drawn, put back


class Answers:
    """What a network that has one answer says of one window, asked in several ways."""

    def __init__(self, ask: Ask, image: Tensor, hole: Tensor, check: Check) -> None:
        """`ask` shows the network image (1,3,h,w) with hole (1,1,h,w) in some way."""
        self.ask, self.image, self.hole, self.check = ask, image, hole, check
        self.likeliest: Prediction | None = None  # and what goes with it:
        self.apart = self.usual = np.zeros((1, 1), np.float32)  # how far its two answers are apart; what is usual here

    def to(self, view: View, noise: Tensor | None) -> tuple[Prediction, NDArray[np.uint8]]:
        """A fill, and its doubt (h,w): 255 where it is not to be relied on, 0 where it is."""
        if self.likeliest is None:
            one, other = self._twice(None if noise is None else torch.zeros_like(noise))
            self.likeliest = mean_of(one, other)
            self.apart = distance(one.image, other.image)
            self.usual = change(_array(self.image), _array(self.hole)[..., 0] > 0.5)
            self.check()
        drawn, apart = self.likeliest, self.apart
        if view != PLAIN or (noise is not None and noise.any()):
            drawn = self.ask(view, noise) if view != PLAIN else mean_of(*self._twice(noise))
            self.check()
            apart = np.maximum(apart, distance(drawn.image, self.likeliest.image))
        doubt = (apart / (self.usual + LEAST) - AGREED) / (APART - AGREED)
        return drawn, np.asarray(np.rint(255 * doubt.clip(0, 1)), np.uint8)

    def _twice(self, noise: Tensor | None) -> tuple[Prediction, Prediction]:
        one = self.ask(PLAIN, noise)
        self.check()
        other = self.ask(MIRRORED, noise)
        self.check()
        return one, other


def mean_of(one: Prediction, other: Prediction) -> Prediction:
    """The likeliest fill of a network that has one answer to a picture, and another to its mirror image.

    The mean, so that what both agree on stays and what was chance is softer (self-ensemble: Lim et al. 2017, EDSR,
    section 3.4), but with the first one's fine detail: of two details the mean is none.
    """
    alpha = None if one.alpha is None or other.alpha is None else (one.alpha + other.alpha) / 2
    raw = None if one.raw is None or other.raw is None else _meet(one.raw, other.raw)
    return Prediction(_meet(one.image, other.image), alpha, raw, one.scales)


def _meet(one: Tensor, other: Tensor) -> Tensor:
    half = torch.from_numpy(cv2.GaussianBlur(_array(other - one) / 2, (0, 0), DETAIL).transpose(2, 0, 1))[None]
    return (one + half.to(one.device, one.dtype)).clamp(0, 1)


def distance(one: Tensor, other: Tensor) -> Floats:
    """(h,w): how far two pictures (1,3,h,w) are apart, once their fine texture is gone."""
    apart = np.abs(cv2.GaussianBlur(_array(one - other), (0, 0), SMOOTH)).mean(2)
    return np.asarray(cv2.GaussianBlur(apart, (0, 0), WIDE), np.float32)


def change(picture: Floats, hole: Bools) -> Floats:
    """(h,w): deviation of the smoothed photo (h,w,3) near each known pixel; in the hole (h,w) as at its rim."""
    known = (~hole).astype(np.float32)

    def mean(values: Floats, sigma: float) -> Floats:
        weight = cv2.GaussianBlur(known, (0, 0), sigma)[..., None]
        blurred = cv2.GaussianBlur(values * known[..., None], (0, 0), sigma)
        return np.asarray(blurred / np.maximum(weight, 1e-6), np.float32)

    smooth = mean(picture, SMOOTH)
    variance = mean(smooth**2, AROUND) - mean(smooth, AROUND) ** 2
    deviation = np.asarray(np.sqrt(np.maximum(variance, 0)).mean(2), np.float32)
    near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    rim = (near & ~hole).astype(np.float32)
    if not rim.any():
        return deviation
    return np.asarray(np.where(hole, hang((deviation * rim)[..., None], rim, 0.0)[..., 0], deviation), np.float32)


def _array(picture: Tensor) -> Floats:
    return np.ascontiguousarray(picture.detach().float().cpu().numpy()[0].transpose(1, 2, 0))
