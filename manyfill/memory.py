"""How much memory this process holds, and how much more it can have: what the system says, without a library."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")  # where the kernel's files are
STATUS, SYSTEM, OWN_GROUPS, GROUP = "proc/self/status", "proc/meminfo", "proc/self/cgroup", "sys/fs/cgroup"


def resident(root: Path = ROOT) -> int:
    """Bytes of memory that this process holds now; 0 where the system does not say (not Linux)."""
    return _kilobytes(root / STATUS, "VmRSS") or 0


def virtual() -> int | None:
    """Bytes of addresses that this process has mapped, what RLIMIT_AS counts; None where the system does not say."""
    return _kilobytes(ROOT / STATUS, "VmSize")


def available(root: Path = ROOT) -> int | None:
    """Bytes that can still be had without swapping, in a container no more than its limit leaves; None: unknown."""
    amounts = [_kilobytes(root / SYSTEM, "MemAvailable"), *(_left(group, *names) for group, *names in _groups(root))]
    known = [amount for amount in amounts if amount is not None]
    return min(known) if known else None


def keep_freed() -> None:
    """For a process that trains: what a step frees the next one takes, in place of new pages, which have to be cleared.

    Nothing happens where the C library has no such settings (another than glibc).
    """
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in ((mmap_max, 0), (trim_threshold, -1), (arena_max, 1)):  # one heap, never smaller
        mallopt(option, value)


def _groups(root: Path) -> Iterator[tuple[Path, str, str, str]]:
    """The control groups of this process with the names of their files: its own and all that it lies in."""
    second = ("memory.max", "memory.current", "inactive_file")
    first = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    group = root / GROUP
    places = {group: second, group / "memory": first}
    try:
        lines = (root / OWN_GROUPS).read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            top, names = (group, second) if not kinds else (group / "memory", first)
            inner = PurePosixPath(path.lstrip("/"))
            places |= {top / each: names for each in (inner, *inner.parents) if ".." not in each.parts}
    for place, names in places.items():
        yield place, *names


def _left(group: Path, limit: str, used: str, idle: str) -> int | None:
    """Bytes that a control group leaves; pages of files that it would give back at once do not count as used."""
    most, now = _number(group / limit), _number(group / used)
    if most is None or now is None:
        return None
    return max(0, most - max(0, now - _stat(group / "memory.stat", idle)))


def _stat(file: Path, name: str) -> int:
    try:
        for line in file.read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return 0


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
