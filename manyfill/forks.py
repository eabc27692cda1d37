"""Let a process that was forked after a model was loaded fill photos, too: torch's own threads are gone there.

GNU OpenMP, by which torch spreads its work, waits for the parent's threads for ever. One thread does without; workers
that share a machine want no more. Whoever wants more starts workers by `spawn` or `forkserver` (docs/batch.md).
"""

from __future__ import annotations

import os
import sys


def survive() -> None:
    """From now on forked processes compute in one thread; no more than once, however often it is called."""
    global _ready
    if not _ready and hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
        os.register_at_fork(after_in_child=_one_thread)
    _ready = True


_ready = False


def _one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):  # else it is still being imported
        torch.set_num_threads(1)
