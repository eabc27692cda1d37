"""OpenVINO's `Core`: one for the process, and never let go.

The first model of a `Core` gives the thread a signal stack of its own (for CPUs with AMX), and the `Core`'s end puts
back what was there before. Two whose lives overlap put back one that is already freed, and the next signal that Python
handles, Ctrl-C or a child's end, is a segmentation fault (OpenVINO 2026.4).
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def core() -> Any:
    """`openvino.Core()`. Raises ImportError where OpenVINO is not installed."""
    import openvino

    return openvino.Core()
