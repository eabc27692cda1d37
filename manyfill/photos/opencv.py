"""What OpenCV decodes: 16-bit PNG and TIFF, which Pillow narrows to 8. It drops metadata, which go round it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def decode_with_opencv(data: bytes) -> NDArray[np.uint16]:
    """OpenCV's decoder, RGB(A) order; ValueError where it gives up."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("its pixels cannot be decoded")
    if array.ndim == 3 and array.shape[2] in (3, 4):  # in place: a photo of 48 MP has 288 MB
        cv2.cvtColor(array, cv2.COLOR_BGR2RGB if array.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=array)
    return array  # type: ignore[return-value]
