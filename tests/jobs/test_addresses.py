"""Photos behind addresses: which are taken, and with which mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from filling import small_job

from manyfill.errors import ManyfillError
from manyfill.jobs.addresses import Addresses, Errand, errands
from manyfill.jobs.records import Failed, Options


def test_addresses_pair_with_masks_and_leave_out_what_is_no_photo_of_the_job(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    job = small_job(tmp_path, ("00.png", "01.png"))
    for path in ("photos/fills/00_1.png", "photos/masks/00.png", "photos/.hidden.png", "photos/notes.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes((job.photos / "00.png").read_bytes())
    root = f"file://{job.photos}"
    there = Addresses(root, f"{root}/masks/", f"{root}/fills", Options(), only=("0*",))
    first, second = errands(there, "")
    assert isinstance(first, Errand) and first.mask_address == f"{root}/masks/00.png"
    assert isinstance(second, Failed) and second.error.startswith(f"no mask 01.* in {root}/masks")
    with pytest.raises(ManyfillError, match=r"no photos in file:.*nowhere"):
        list(errands(replace(there, photos=f"{root}/nowhere"), ""))
