"""Differences pixel by pixel.

Pictures are (B,3,H,W) RGB in [0,1], holes (B,1,H,W) with 1 = missing; results (B,) float64.

With a hole, the mean is taken over the hole's pixels alone, and an empty hole gives NaN (`region.mean_inside`).
Without one, it is taken over the whole picture, as most papers do: the known pixels then dilute it.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manyfill.errors import BadImage
from manyfill.metrics.region import check, mean_inside

WINDOW, SIGMA = 11, 1.5  # SSIM's Gaussian, pixels (Wang et al. 2004)
K1, K2 = 0.01, 0.03  # SSIM's constants (Wang et al. 2004)


def l1(picture: Tensor, truth: Tensor, hole: Tensor | None = None) -> Tensor:
    """Mean absolute difference, 0..255."""
    check(picture, truth, hole)
    return 255 * mean_inside((picture.double() - truth.double()).abs(), hole)


def l1_percent(picture: Tensor, truth: Tensor, hole: Tensor | None = None) -> Tensor:
    """Mean absolute difference in percent of the full range."""
    return l1(picture, truth, hole) * (100 / 255)


def mse(picture: Tensor, truth: Tensor, hole: Tensor | None = None) -> Tensor:
    """Mean squared difference of pictures in [0,1]."""
    check(picture, truth, hole)
    return mean_inside((picture.double() - truth.double()).square(), hole)


def psnr(picture: Tensor, truth: Tensor, hole: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB, peak 1; infinite where nothing differs, so count those before you average.

    PICNet's release gives 100 instead (Zheng et al. 2019), which lets a few perfect pictures decide a mean.
    """
    return -10 * mse(picture, truth, hole).log10()


def ssim(picture: Tensor, truth: Tensor, hole: Tensor | None = None) -> Tensor:
    """Structural similarity, Wang et al. 2004: Gaussian of 11 pixels and sigma 1.5, K1 0.01, K2 0.03, range 1.

    Each of R, G and B is measured alone and the three are averaged (Wang et al. take grey pictures; papers differ).
    Without a hole, the mean is over the windows that lie inside the picture, as there. With one, it is over the windows
    centred on the hole's pixels, the picture mirrored at its border: many of those reach over known pixels.
    Raises BadImage for pictures smaller than the window.
    """
    check(picture, truth, hole)
    height, width = picture.shape[-2:]
    if min(height, width) < WINDOW:
        raise BadImage(f"SSIM needs pictures of at least {WINDOW}x{WINDOW} pixels, and this is {height}x{width}.")
    both = (x.detach().cpu().double().permute(0, 2, 3, 1).contiguous().numpy() for x in (picture, truth))
    maps = [torch.from_numpy(_similarity(x, y)).permute(2, 0, 1) for x, y in zip(*both, strict=True)]
    found = torch.stack(maps).to(picture.device)  # (B, C, H, W)
    if hole is None:
        inside = WINDOW // 2
        return mean_inside(found[..., inside:-inside, inside:-inside])
    return mean_inside(found, hole)


def tv(picture: Tensor) -> Tensor:
    """Total variation, as PICNet's release evaluates it: mean length of the gradient, 0..255 (Zheng et al. 2019).

    The gradient is that of each channel, by differences to the next pixel that wrap around at the border. It says how
    rough a picture is, not how good: compare it with the photos' own.
    """
    assert picture.ndim == 4, f"a picture has the shape {tuple(picture.shape)}, expected (B,C,H,W)"
    x = 255 * picture.double()
    across, down = x - x.roll(-1, 3), x - x.roll(-1, 2)
    return mean_inside(torch.hypot(across, down))


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """SSIM of the window about each pixel, (H,W,C), the pictures mirrored at their border."""
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    structure = (2 * covariance + K2**2) / (variance_x + variance_y + K2**2)
    return np.asarray(luminance * structure)


def _blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean over the window. In OpenCV, which is far quicker than torch at this in float64."""
    at = np.arange(WINDOW) - WINDOW // 2
    weight = np.exp(-(at**2) / (2 * SIGMA**2))
    weight /= weight.sum()
    blurred = cv2.sepFilter2D(x, cv2.CV_64F, weight, weight, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float64).reshape(x.shape)
