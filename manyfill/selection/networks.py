"""Fetched ONNX networks, ready to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from manyfill.errors import BadWeights


def session(path: Path, name: str) -> Any:
    """A network that `manyfill fetch NAME` brought. Raises BadWeights for a damaged one, ImportError as Python does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds, which are no part of its interface
        raise BadWeights(f"{path.name} cannot be run: it is damaged. Fetch it again: manyfill fetch {name}") from error
