"""A server with a tiny network, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import torch
from serving import Running, running

from manyfill import weights
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.server.settings import Settings


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of a tiny network with fusion heads."""
    torch.manual_seed(0)
    config = PICNetConfig(size=64, width=4, max_width=8, latent=4, infer_blocks=1, sees_hole=True, fusion_scales=4)
    return weights.save(PICNet(config), tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(scope="session")
def server(model: Path) -> Iterator[Running]:
    """With the tiny network and nothing else changed."""
    with running(Settings(models=(str(model),))) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Running) -> openai.OpenAI:
    return server.client()
