"""What the system says of memory."""

from __future__ import annotations

import gc
import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from manyfill import memory


@pytest.mark.skipif(not (memory.ROOT / memory.STATUS).exists(), reason="this system has no /proc")
def test_what_is_taken_is_counted() -> None:
    gc.collect()  # what other tests left is not to be handed back meanwhile
    before = memory.resident()
    block = mmap.mmap(-1, 60 * 2**20)  # not of the heap, where there may be room already
    block.write(bytes(len(block)))
    assert 50 * 2**20 < memory.resident() - before < 120 * 2**20
    assert len(block) < (memory.available() or 0) < 2**50


def test_a_container_leaves_no_more_than_its_limit(tmp_path: Path) -> None:
    group = tmp_path / memory.GROUP
    group.mkdir(parents=True)
    (tmp_path / memory.SYSTEM).parent.mkdir()
    (tmp_path / memory.SYSTEM).write_text("MemTotal:  9000 kB\nMemAvailable:  2048 kB\n")
    assert memory.available(tmp_path) == 2 * 2**20
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("500\n")
    assert memory.available(tmp_path) == 2 * 2**20
    (group / "memory.max").write_text("1500\n")
    assert memory.available(tmp_path) == 1000
    (group / "memory.current").write_text("1600\n")
    assert memory.available(tmp_path) == 0


@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_the_groups_round_a_process_count_and_what_they_keep_of_files_does_not(
    tmp_path: Path, version: int
) -> None:
    (tmp_path / memory.OWN_GROUPS).parent.mkdir(parents=True)
    (tmp_path / memory.OWN_GROUPS).write_text("0::/a/b\n" if version == 2 else "3:cpu:/c\n2:memory:/a/b\n")
    root = tmp_path / memory.GROUP if version == 2 else tmp_path / memory.GROUP / "memory"
    limit, used = ("max", "current") if version == 2 else ("limit_in_bytes", "usage_in_bytes")
    (root / "a" / "b").mkdir(parents=True)
    assert memory.available(tmp_path) is None
    (root / "a" / f"memory.{limit}").write_text("5000\n")
    (root / "a" / f"memory.{used}").write_text("4000\n")
    assert memory.available(tmp_path) == 1000
    (root / "a" / "memory.stat").write_text("anon 100\ninactive_file 300\ntotal_inactive_file 300\n")
    assert memory.available(tmp_path) == 1300
    (root / "a" / "b" / f"memory.{limit}").write_text("500\n")
    (root / "a" / "b" / f"memory.{used}").write_text("100\n")
    assert memory.available(tmp_path) == 400


def test_where_the_system_says_nothing_nothing_is_known(tmp_path: Path) -> None:
    assert memory.resident(tmp_path) == 0 and memory.available(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
@pytest.mark.parametrize("keeps", [True, False])
def test_a_process_that_trains_keeps_what_it_freed_for_the_next_step(keeps: bool) -> None:
    code = f"""
import resource, numpy as np
from manyfill import memory
if {keeps}:
    memory.keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(100 << 20, np.uint8)
before = faults()
for _ in range(4):
    np.ones(100 << 20, np.uint8)
print(faults() - before, memory.resident() >> 20)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    faults, resident = map(int, told.split())
    assert (resident > 100, faults < 100) == (keeps, keeps)
