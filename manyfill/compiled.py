"""Machine code from Python loops, by numba: compiled when first called, kept on disk where that can be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Code = TypeVar("Code", bound=Callable[..., Any])


def compiled(code: Code) -> Code:
    """A loop that runs without Python's lock; on disk where there is a folder that can be written to."""
    try:
        return cast(Code, numba.njit(cache=True, fastmath=True, nogil=True)(code))
    except RuntimeError:
        return cast(Code, numba.njit(fastmath=True, nogil=True)(code))
