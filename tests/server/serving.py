"""A real server on a free port, with a network so small that a fill takes milliseconds."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import httpx
import numpy as np
import openai
import torch
import uvicorn
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from manyfill.completer import Completer
from manyfill.nets import Prediction
from manyfill.server.app import create_app
from manyfill.server.coding import Coders
from manyfill.server.running import _listen, configured
from manyfill.server.settings import Settings

SECONDS = 180.0  # until something happens, on a machine that has other things to do
HOLE = (slice(10, 24), slice(20, 36))  # of a photo of 40 x 50


class Sketch(nn.Module):
    """The smallest network of its kind: one convolution and noise. `gate` holds every fill up until it is set."""

    multiple = 8
    working_size = 32

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config: Any = None
        self.draw = nn.Conv2d(6, 3, 3, padding=1)
        self.gate = threading.Event()
        self.gate.set()
        self.drawn = 0
        self.crashes_at: int | None = None  # the number of a drawing

    def noise_shape(self, height: int, width: int) -> tuple[int, ...]:
        return (2, height // 8, width // 8)

    def encode(self, image: Tensor, hole: Tensor) -> Tensor:
        return torch.cat([image * (1 - hole), hole], 1)

    def decode(self, encoded: Tensor, noise: Tensor | None) -> Prediction:
        assert noise is not None
        self.drawn += 1
        assert self.gate.wait(SECONDS), "nobody opened the gate"
        if self.drawn == self.crashes_at:
            raise RuntimeError("this network is out of luck")
        noise = nn.functional.interpolate(noise, size=encoded.shape[-2:])
        return Prediction(self.draw(torch.cat([encoded, noise], 1)).sigmoid())


class Running:
    """A server in a thread of this process, at `url`."""

    def __init__(
        self,
        settings: Settings,
        net: Sketch | None = None,
        load: Callable[[str], Any] | None = None,
        coders: Coders | None = None,
        port: int | None = None,
    ) -> None:
        self.net = net
        if net is not None:
            completer = Completer.of_net(net.eval())
            load = lambda device: {"sketch": completer}  # noqa: E731
        self.app = create_app(settings, load=load, coders=coders)
        self.listener = _listen("127.0.0.1", port or 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.headers = {} if settings.token is None else {"Authorization": f"Bearer {settings.token}"}
        self.server = uvicorn.Server(configured(self.app, settings))
        self.http = httpx.Client(base_url=self.url, timeout=SECONDS, verify=False)
        self.clients: list[openai.OpenAI] = []
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()

    def client(self, *, api_key: str = "unused", **options: Any) -> openai.OpenAI:
        options = {"max_retries": 0, "timeout": SECONDS, **options}
        http = httpx.Client(verify=False)  # certificates are slow to load, and there are none
        client = openai.OpenAI(base_url=f"{self.url}/v1", api_key=api_key, http_client=http, **options)
        self.clients.append(client)
        return client

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.http.post(path, **options)

    def metric(self, name: str) -> float:
        lines = self.get("/metrics", headers=self.headers).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"manyfill_{name}"))

    def wait_for(self, name: str, value: float) -> None:
        """Until a number of /metrics has this value."""
        until = time.monotonic() + SECONDS
        while (found := self.metric(name)) != value:
            assert time.monotonic() < until, f"{name} is {found}, not {value}"
            time.sleep(0.02)

    def ready(self) -> Running:
        self.wait_for("ready", 1)
        return self

    def stop(self) -> None:
        self.http.close()
        for client in self.clients:
            client.close()
        if self.net is not None:
            self.net.gate.set()
        self.server.should_exit = True
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()


@contextmanager
def running(settings: Settings, net: Sketch | None = None) -> Iterator[Running]:
    server = Running(settings, net)
    try:
        yield server.ready()
    finally:
        server.stop()


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def photo_of(height: int = 40, width: int = 50, *, channels: int = 3, dtype: Any = np.uint8) -> NDArray[Any]:
    small = np.random.default_rng(0).random((4, 4, channels)).astype(np.float32)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.rint(smooth * np.iinfo(dtype).max).astype(dtype)


def file_of(pixels: NDArray[Any], format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def hole_of(height: int = 40, width: int = 50) -> NDArray[np.bool_]:
    hole = np.zeros((height, width), bool)
    hole[HOLE] = True
    return hole


def pixels_of(data: bytes) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(data)))


PHOTO = photo_of()
PHOTO_PNG = file_of(PHOTO)
WHITE = file_of(hole_of().astype(np.uint8) * 255)  # white = fill
CLEAR = file_of(np.dstack([np.zeros((40, 50, 3), np.uint8), np.where(hole_of(), 0, 255).astype(np.uint8)]))  # OpenAI's
