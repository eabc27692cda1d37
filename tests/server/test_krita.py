"""The Krita plug-in's own part: its pixels and its talk with a real server, without Krita."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import PHOTO, Running, Sketch, hole_of, running

from manyfill import photos
from manyfill.server.settings import Settings

FOLDER = Path(__file__).parents[2] / "integrations" / "krita"


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def bgra(depth: int, alpha: int | None = None) -> bytes:
    """The photo as Krita holds it."""
    top = 2**depth - 1
    scaled = PHOTO.astype(np.uint16) * (top // 255)
    clear = np.full((*PHOTO.shape[:2], 1), top if alpha is None else alpha, np.uint16)
    return np.dstack([scaled[..., ::-1], clear]).astype({8: "u1", 16: "u2"}[depth]).tobytes()


def ask(address: str, depth: int = 8, *, n: int = 2, token: str = "") -> list[Any]:
    from manyfill_krita import client, pixels

    height, width = PHOTO.shape[:2]
    hole = pixels.cut((hole_of() * 255).astype(np.uint8).tobytes())
    photo = pixels.photo_png(bgra(depth), hole, width, height, depth)
    return list(client.Request(address, token).fills(photo, pixels.mask_png(hole, width, height), n=n))


@pytest.mark.parametrize("depth", [8, 16])
def test_fills_come_back_and_become_layers_of_the_hole_alone(server: Running, depth: int) -> None:
    from manyfill_krita import pixels

    fills = ask(server.url, depth)
    assert len(fills) == 2 and len({fill.seed for fill in fills}) == 2 and fills[0].name.startswith("seed ")
    hole = pixels.cut((hole_of() * 255).astype(np.uint8).tobytes())
    for fill in fills:
        found = photos.read(fill.png)
        assert found.depth == depth and found.alpha is not None
        rgba = np.dstack([found.pixels, found.alpha])
        known = ~hole_of()
        assert (found.pixels[known] == PHOTO[known].astype(found.pixels.dtype) * (257 if depth == 16 else 1)).all()
        layer = np.frombuffer(pixels.layer(rgba.tobytes(), hole, depth), rgba.dtype).reshape(rgba.shape)
        assert (layer[..., 3] == np.where(hole_of(), 2**depth - 1, 0)).all()
        assert (layer[hole_of()][:, 2::-1] == found.pixels[hole_of()]).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_the_picture_is_sent_bit_for_bit_and_opaque_where_it_is_to_be_filled(depth: int) -> None:
    from manyfill_krita import pixels

    height, width = PHOTO.shape[:2]
    hole = (hole_of() * 255).astype(np.uint8).tobytes()
    sent = photos.read(pixels.photo_png(bgra(depth, alpha=7), hole, width, height, depth))
    assert sent.alpha is not None and (sent.alpha == np.where(hole_of(), 2**depth - 1, 7)).all()
    assert (sent.pixels == PHOTO.astype(sent.pixels.dtype) * (257 if depth == 16 else 1)).all()


def test_a_selection_is_cut_at_half() -> None:
    from manyfill_krita import pixels

    assert pixels.cut(bytes([0, 127, 128, 255])) == bytes([0, 0, 255, 255])


def test_what_is_wrong_is_said_with_what_to_do(server: Running) -> None:
    from manyfill_krita import client

    with pytest.raises(client.Problem, match=r"No Manyfill server answers at .* Start it with: manyfill serve"):
        ask("http://127.0.0.1:9")
    with pytest.raises(client.Problem, match="is no server's address"):
        ask("127.0.0.1:8765")
    with pytest.raises(client.Problem, match="Expected a value <= 10"):
        ask(server.url, n=99)


class Stranger(BaseHTTPRequestHandler):
    """Another program's server."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"data: hello\n\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_another_programs_server_is_known_as_none_of_ours() -> None:
    from manyfill_krita import client

    other = HTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    try:
        with pytest.raises(client.Problem, match="is no Manyfill server"):
            ask(f"http://127.0.0.1:{other.server_port}")
    finally:
        other.shutdown()
        other.server_close()


def test_a_token_is_sent_and_asked_for() -> None:
    from manyfill_krita import client

    with running(Settings(models=("sketch",), token="s3cret"), Sketch()) as server:
        assert ask(server.url, token=" s3cret ", n=1)
        with pytest.raises(client.Problem, match="wants a token"):
            ask(server.url)


def test_cancelling_hangs_up_and_ends_without_a_complaint() -> None:
    from manyfill_krita import client, pixels

    sketch = Sketch()
    sketch.gate.clear()
    with running(Settings(models=("sketch",)), sketch) as server:
        height, width = PHOTO.shape[:2]
        hole = (hole_of() * 255).astype(np.uint8).tobytes()
        request = client.Request(server.url)
        photo = pixels.photo_png(bgra(8), hole, width, height, 8)
        timer = threading.Timer(1.0, request.cancel)
        timer.start()
        assert list(request.fills(photo, pixels.mask_png(hole, width, height))) == []
        sketch.gate.set()
