"""A completer of a tiny untrained net for all tests of jobs."""

from __future__ import annotations

import pytest
import torch
from filling import TINY

from manyfill import weights
from manyfill.completer import Completer
from manyfill.nets.picnet import PICNet


@pytest.fixture(scope="session")
def completer(tmp_path_factory: pytest.TempPathFactory) -> Completer:
    torch.manual_seed(0)
    path = weights.save(PICNet(TINY), tmp_path_factory.mktemp("model") / "tiny.safetensors")
    return Completer.from_pretrained(path, device="cpu")
