"""What every test relies on: one thread, an own cache folder, no network, patient property tests."""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from manyfill import memory

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

# Before torch is imported. Tests run on every core at once, with tiny nets: a second thread only waits for the first.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# What one test frees the next one takes, in place of handing it back to the system and having it cleared again: a tenth
# of the CPU time. What is larger than 32 MiB is handed back at once, as ever.
if sys.platform == "linux":
    with suppress(AttributeError):  # another C library than glibc
        for parameter, size in ((M_TRIM_THRESHOLD, 512 << 20), (M_MMAP_THRESHOLD, 32 << 20)):
            ctypes.CDLL(None).mallopt(parameter, size)

# A busy machine is slow, not wrong. In CI the same examples are tried every time.
settings.register_profile("manyfill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("manyfill"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "manyfill")

CACHES = itertools.count()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    cache = tmp_path_factory.getbasetemp() / "caches" / str(next(CACHES))  # mktemp() looks through all that are there
    cache.mkdir(parents=True)
    monkeypatch.setenv("MANYFILL_CACHE", str(cache))


@pytest.fixture(autouse=True)
def _own_malloc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that trains settles how its process hands back memory; this process runs other tests, too."""
    monkeypatch.setattr(memory, "keep_freed", lambda: None)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this machine may be called."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test called {address[0]}: tests need no network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(scope="module")
def without_curves() -> Iterator[None]:
    """As where matplotlib is not installed: to draw its curves takes half of a tiny run's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        yield
