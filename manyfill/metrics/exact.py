"""Are the known pixels the photo's own, to the last bit?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def known_exact(filled_pixels: NDArray[Any], source_pixels: NDArray[Any], hole: NDArray[Any]) -> bool:
    """True where every pixel outside the hole is the very integer of the source.

    Integer arrays (H,W) or (H,W,C) of any depth; hole (H,W), true or 1 = missing. Another size, depth or number of
    channels is not the same picture: False. A full hole has no known pixel to be wrong: True.
    """
    filled, source, missing = np.asarray(filled_pixels), np.asarray(source_pixels), np.asarray(hole) > 0
    for pixels in (filled, source):
        assert np.issubdtype(pixels.dtype, np.integer), f"pixels are {pixels.dtype}: read them as integers"
    assert missing.shape == source.shape[:2], f"hole is {missing.shape} and the photo {source.shape[:2]}"
    if filled.shape != source.shape or filled.dtype != source.dtype:
        return False
    return bool(np.array_equal(filled[~missing], source[~missing]))
