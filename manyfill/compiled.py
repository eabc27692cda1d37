"""Machine code from Python loops, by numba: compiled when first called, kept on disk where that can be done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import numba
from numba.core.runtime.nrt import rtsys

Code = TypeVar("Code", bound=Callable[..., Any])


def compiled(code: Code) -> Code:
    """A loop that runs without Python's lock; on disk where there is a folder that can be written to."""
    try:
        loop: Any = numba.njit(cache=True, fastmath=True, nogil=True)(code)
    except RuntimeError:
        return cast(Code, numba.njit(fastmath=True, nogil=True)(code))
    loop._cache.load_overload = partial(_from_disk, loop._cache)
    return cast(Code, loop)


def _from_disk(cache: Any, signature: Any, context: Any) -> Any:
    """Machine code from disk, or None: numba's `Cache.load_overload`, which first loads all that compiling may need.

    That is 0.3 s of a first fill (all of numba's array functions, scipy), and code that is on disk needs none of it.
    """
    rtsys.initialize(context)
    with cache._guard_against_spurious_io_errors():
        found = cache._load_overload(signature, context)
    if found is None:
        context.refresh()
    return found
