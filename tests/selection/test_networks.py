"""Fetched networks of the selection."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from onnxfiles import network

from manyfill.errors import BadWeights
from manyfill.selection.networks import session


@pytest.mark.parametrize("name", ["sam", "text"])
def test_a_damaged_file_says_how_to_get_it_again(tmp_path: Path, name: str) -> None:
    (tmp_path / "net.onnx").write_bytes(b"not a network")
    with pytest.raises(BadWeights, match=f"net.onnx cannot be run.*manyfill fetch {name}"):
        session(tmp_path / "net.onnx", name)


def test_a_whole_one_runs(tmp_path: Path) -> None:
    assert session(network(tmp_path / "net.onnx"), "sam").get_inputs()[0].name == "image"


def test_without_onnxruntime_the_import_fails_as_python_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError):
        session(tmp_path / "net.onnx", "sam")
