"""Photos from arrays and tensors, and back: images, arrays, PIL images; and a fill pasted into a photo."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manyfill.errors import BadImage
from manyfill.photos.colour import profile
from manyfill.photos.decoded import Decoded, check_size, upright_photo
from manyfill.photos.photo import Photo, Pixels
from manyfill.photos.strips import STRIP_BYTES

if TYPE_CHECKING:
    from torch import Tensor


def array_of_tensor(tensor: Tensor) -> NDArray[Any]:
    """(H,W), (C,H,W) or (1,C,H,W) to (H,W[,C])."""
    given = "x".join(map(str, tensor.shape))
    if tensor.ndim == 4:
        if tensor.shape[0] != 1:
            raise BadImage(f"the tensor is a batch of {tensor.shape[0]} ({given}). Give one photo at a time.")
        tensor = tensor[0]
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and not 1 <= tensor.shape[0] <= 4):
        raise BadImage(f"the tensor is {given}; a photo is HxW, CxHxW or 1xCxHxW with 1 to 4 channels.")
    tensor = tensor.detach().cpu()
    tensor = tensor.float() if tensor.is_floating_point() else tensor
    array: NDArray[Any] = tensor.resolve_conj().numpy()
    return array if array.ndim == 2 else array.transpose(1, 2, 0)


def from_array(array: NDArray[Any], max_pixels: int) -> Photo:
    """(H,W[,C]) of a known type; the Photo never shares memory with it."""
    given = "x".join(map(str, array.shape))
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        raise BadImage(f"the array is {given}; a photo is HxW or HxWxC with 1 to 4 channels.")
    check_size("the array", array.shape[1], array.shape[0], max_pixels)
    if array.dtype == np.bool_:
        values = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype.kind == "u" and array.dtype.itemsize <= 2:  # of either byte order
        values = array.astype(array.dtype.newbyteorder("="), order="C")  # a copy
    elif np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= -1e-6 and high <= 1 + 1e-6):  # also what is not a number
            raise BadImage(f"the array's floats run from {low:g} to {high:g}, not from 0 to 1. Scale them.")
        values = _quantise(array, 255).astype(np.uint8)
    else:
        raise BadImage(f"the array is of {array.dtype}. Give uint8, uint16, bool, or float from 0 to 1.")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    return upright_photo(Decoded(array=values, format="png"))


def _quantise(values: NDArray[Any], top: int) -> NDArray[Any]:
    """[0,1] to the nearest of 0 .. top, still float."""
    rounded: NDArray[Any] = np.rint(np.clip(values, 0, 1) * top)
    return rounded


def to_image(photo: Photo) -> Tensor:
    """The photo's colours as an image: (1,3,H,W) float32 in [0,1]."""
    import torch

    top = np.float32(np.iinfo(photo.pixels.dtype).max)
    planes = np.ascontiguousarray(photo.pixels.transpose(2, 0, 1), dtype=np.float32)  # always a copy: the dtype changes
    planes /= top
    return torch.from_numpy(planes)[None]


def to_array(photo: Photo) -> Pixels:
    """The photo in its own mode and depth: (H,W), (H,W,2), (H,W,3) or (H,W,4)."""
    colour = _grey(photo.pixels) if photo.mode in ("L", "LA") else photo.pixels
    if photo.alpha is None:
        return colour
    return np.dstack([colour, photo.alpha])


def _grey(pixels: Pixels, *, strip_bytes: int = STRIP_BYTES) -> Pixels:
    """(H,W) luma, ITU-R 601; exact where the three channels are equal."""
    grey: Pixels = np.empty(pixels.shape[:2], pixels.dtype)
    rows = max(1, strip_bytes // (pixels.shape[1] * 3 * pixels.itemsize))
    for top in range(0, len(grey), rows):
        grey[top : top + rows] = cv2.cvtColor(np.ascontiguousarray(pixels[top : top + rows]), cv2.COLOR_RGB2GRAY)
    return grey


def to_8_bits(array: NDArray[Any], *, strip_bytes: int = STRIP_BYTES) -> NDArray[np.uint8]:
    """An array of 8 or 16 bits at 8 bits, rounded; strip by strip, as the sums are twice as wide as the array."""
    if array.dtype == np.uint8:
        return array
    narrow = np.empty(array.shape, np.uint8)
    rows = max(1, strip_bytes // max(1, array[0].nbytes))
    for top in range(0, len(array), rows):
        narrow[top : top + rows] = (array[top : top + rows].astype(np.uint32) + 128) // 257
    return narrow


def to_pil(photo: Photo) -> Image.Image:
    """The photo as a PIL image, upright, with its profile in `info`. 16 bits become 8, save in grey."""
    array = to_array(photo)
    if photo.depth == 16 and photo.mode != "L":
        array = to_8_bits(array)
    image = Image.fromarray(array)
    kept = {"icc_profile": profile(photo), "exif": photo.exif, "xmp": photo.xmp, "dpi": photo.dpi}
    image.info.update({key: value for key, value in kept.items() if value is not None})
    return image


def paste(photo: Photo, fill: NDArray[Any], hole: NDArray[np.bool_], *, top: int = 0, left: int = 0) -> Photo:
    """A new photo with the fill in the hole; every other bit, and all of alpha, stays.

    `fill`: float (h,w,3) in [0,1], rounded to the photo's depth; `hole`: bool (h,w). Both are the window whose upper
    left corner lies at (`top`, `left`) of the photo. A grey photo takes the fill's luma.
    """
    height, width = hole.shape
    assert hole.dtype == np.bool_ and fill.shape == (height, width, 3), (hole.dtype, hole.shape, fill.shape)
    assert 0 <= top <= photo.height - height and 0 <= left <= photo.width - width, "the window leaves the photo"
    colours = fill[hole].astype(np.float32)
    assert np.isfinite(colours).all(), "the fill is not finite"
    if photo.mode in ("L", "LA"):
        colours = (np.clip(colours, 0, 1) @ np.array([0.299, 0.587, 0.114], np.float32))[:, None]
    pixels = photo.pixels.copy()
    pixels[top : top + height, left : left + width][hole] = _quantise(colours, np.iinfo(pixels.dtype).max)
    return replace(photo, pixels=pixels)
