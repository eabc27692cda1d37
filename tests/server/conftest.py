"""A server with a tiny network, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from serving import SECONDS, Running, Sketch, running

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


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from browsing import CHROMIUM, expect, sync_api

    with sync_api.sync_playwright() as playwright:
        expect.set_options(timeout=1000 * SECONDS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def sketching() -> Iterator[Running]:
    """A server whose network is gone through at once, and can be held up."""
    with running(Settings(models=("sketch",)), Sketch()) as server:
        yield server


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens tabs; at the end none of them may have met trouble or called anybody but its server."""
    from browsing import DESKTOP, Tab

    tabs: list[Tab] = []

    def open_tab(server: Running, *, viewport: dict[str, int] | None = None, **options: Any) -> Any:
        context = browser.new_context(
            viewport=viewport or DESKTOP, locale=options.pop("locale", "en-GB"), reduced_motion="reduce", **options
        )
        context.set_default_timeout(1000 * SECONDS)
        tabs.append(Tab(context.new_page(), server))
        return tabs[-1].open()

    yield open_tab
    for one in tabs:
        one.page.context.close()
    assert [trouble for one in tabs for trouble in one.troubles] == []
