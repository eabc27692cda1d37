"""What can be fetched, and whether it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from manyfill.errors import UnknownModel
from manyfill.fetchables import FETCHABLES, fetched_path, find


def test_names_are_checked_and_every_entry_says_source_and_licence() -> None:
    with pytest.raises(UnknownModel, match=r"'mi-gan' is not something that can be fetched\. Did you mean 'migan'"):
        find("mi-gan")
    for name, one in FETCHABLES.items():
        assert one.name == name and len(one.sha256) == 64 and one.licence and one.files
        assert one.package.startswith(("npm ", "PyPI "))


def test_what_was_fetched_is_found_when_all_of_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    alex, vgg = find("lpips").paths
    alex.write_bytes(b"")
    assert fetched_path("lpips") is None
    vgg.write_bytes(b"")
    assert fetched_path("lpips") == alex
