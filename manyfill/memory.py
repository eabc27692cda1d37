"""How much memory this process holds, and how much more it can have: what the system says, without a library."""

from __future__ import annotations

from pathlib import Path

STATUS, SYSTEM = Path("/proc/self/status"), Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")


def resident() -> int:
    """Bytes of memory that this process holds now; 0 where the system does not say (not Linux)."""
    return _kilobytes(STATUS, "VmRSS") or 0


def virtual() -> int | None:
    """Bytes of addresses that this process has mapped, what RLIMIT_AS counts; None where the system does not say."""
    return _kilobytes(STATUS, "VmSize")


def available() -> int | None:
    """Bytes that can still be had without swapping, in a container no more than its limit leaves; None: unknown."""
    free = _kilobytes(SYSTEM, "MemAvailable")
    limit, used = _number(GROUP / "memory.max"), _number(GROUP / "memory.current")
    left = None if limit is None or used is None else max(0, limit - used)
    known = [amount for amount in (free, left) if amount is not None]
    return min(known) if known else None


def _kilobytes(file: Path, name: str) -> int | None:
    """The line `name: 123 kB` of one of the kernel's files, in bytes."""
    try:
        for line in file.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
    return None


def _number(file: Path) -> int | None:
    """A file that holds a number; None where it holds "max" or is not there."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
