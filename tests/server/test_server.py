"""The server as a whole: health, leaving, deadlines, crashes, a full queue, abuse."""

from __future__ import annotations

import base64
import io
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from serving import CLEAR, HOLE, PHOTO, PHOTO_PNG, SECONDS, WHITE, Running, Sketch, file_of, photo_of, running

from manyfill.completer import Completer
from manyfill.server.settings import Limits, Settings

SKETCH = ("sketch",)
FORM: dict[str, Any] = {"files": {"image": PHOTO_PNG, "mask": CLEAR}, "data": {"texture": "net"}}


def edit(server: Running, **options: Any) -> httpx.Response:
    return server.post("/v1/images/edits", files=FORM["files"], data={**FORM["data"], **options})


# ── health ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_health_says_loading_then_ready() -> None:
    gate = threading.Event()

    def load(device: str) -> dict[str, Completer]:
        assert gate.wait(SECONDS)
        return {"sketch": Completer.of_net(Sketch().eval())}

    server = Running(Settings(models=SKETCH), load=load)
    try:
        answer = server.get("/healthz")
        assert (answer.status_code, answer.json()["status"]) == (503, "loading")
        with ThreadPoolExecutor() as pool:
            early = pool.submit(edit, server)
            server.wait_for("queue_waiting", 1)
            gate.set()
            assert early.result().status_code == 200
        health = server.get("/healthz")
        assert (health.status_code, health.json()["status"], health.json()["models"]) == (200, "ready", ["sketch"])
        assert health.json()["limits"] == {"body_bytes": 64 << 20, "pixels": 50_000_000, "fills": 10, "seconds": 300.0}
    finally:
        gate.set()
        server.stop()


def test_a_model_that_does_not_load_is_told_by_health_and_not_by_a_dead_process(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no weights")
    server = Running(Settings(models=(str(damaged),)))
    try:
        until = time.monotonic() + SECONDS
        while (answer := server.get("/healthz")).json()["status"] == "loading":
            assert time.monotonic() < until
        assert (answer.status_code, answer.json()["status"]) == (503, "failed")
        assert "damaged.safetensors" in answer.json()["reason"]
        with pytest.raises(openai.InternalServerError, match="No model could be loaded") as caught:
            server.client().images.edit(image=PHOTO_PNG, mask=CLEAR, prompt="")
        assert (caught.value.status_code, caught.value.code) == (503, "model_not_loaded")
        assert server.get("/v1/models").status_code == 200
    finally:
        server.stop()


def test_metrics_count_what_happened() -> None:
    with running(Settings(models=SKETCH), Sketch()) as server:
        edit(server, n="2")
        edit(server, n="0")
        server.get("/no/such/path/with/secrets")
        server.wait_for('requests_total{route="/v1/images/edits"', 2)  # counted after the answer's last byte
        text = server.get("/metrics").text
        assert 'manyfill_requests_total{route="/v1/images/edits",status="200"} 1.0' in text
        assert 'manyfill_requests_total{route="/v1/images/edits",status="400"} 1.0' in text
        assert 'manyfill_fills_total{model="sketch"} 2.0' in text
        assert "secrets" not in text and "process_resident_memory_bytes" in text


# ── leaving, time, crashes, a full queue ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def held() -> Iterator[tuple[Running, Sketch]]:
    """A server whose first fill waits until the gate is opened."""
    net = Sketch()
    with running(Settings(models=SKETCH, limits=Limits(waiting=2, seconds=SECONDS)), net) as server:
        net.gate.clear()
        yield server, net


def raw_request(server: Running, path: str = "/v1/images/edits", **form: str) -> socket.socket:
    """A request whose connection can be cut."""
    request = httpx.Request("POST", f"{server.url}{path}", files=FORM["files"], data={**FORM["data"], **form})
    body = request.read()
    connection = socket.create_connection(("127.0.0.1", server.listener.getsockname()[1]))
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    connection.sendall(f"{head}Content-Type: {request.headers['content-type']}\r\n\r\n".encode() + body)
    return connection


@pytest.mark.parametrize("stream", ["false", "true"])
def test_who_leaves_frees_the_worker(held: tuple[Running, Sketch], stream: str) -> None:
    server, net = held
    connection = raw_request(server, n="10", stream=stream, partial_images="1")
    until = time.monotonic() + SECONDS
    while not net.drawn:
        assert time.monotonic() < until, "nothing is drawn"
        time.sleep(0.01)
    connection.close()
    server.wait_for('requests_total{route="/v1/images/edits"', 1)  # it is over, though not for the worker
    net.gate.set()
    server.wait_for("queue_running", 0)
    assert net.drawn == 1  # of 15
    assert edit(server).status_code == 200


def test_who_leaves_while_waiting_frees_the_place(held: tuple[Running, Sketch]) -> None:
    server, net = held
    with raw_request(server):
        server.wait_for("queue_running", 1)
        waiting = [raw_request(server), raw_request(server, stream="true")]
        server.wait_for("queue_waiting", 2)
        for connection in waiting:
            connection.close()
        server.wait_for("queue_waiting", 0)
        net.gate.set()
        server.wait_for("queue_running", 0)
        assert net.drawn == 1


def test_a_full_queue_is_a_rate_limit_error_that_says_when_to_come_again(held: tuple[Running, Sketch]) -> None:
    server, net = held
    with raw_request(server):
        server.wait_for("queue_running", 1)
        with raw_request(server), raw_request(server):
            server.wait_for("queue_waiting", 2)
            with pytest.raises(openai.RateLimitError) as caught:
                server.client().images.edit(image=PHOTO_PNG, mask=CLEAR, prompt="")
            assert caught.value.code == "rate_limit_exceeded" and caught.value.type == "rate_limit_error"
            assert int(caught.value.response.headers["retry-after"]) >= 1
            inpaint = server.post("/api/v1/inpaint", json={"image": "aGk=", "mask": "aGk="})
            assert inpaint.status_code == 429 and "busy" in inpaint.json()["detail"]
            net.gate.set()


def test_merging_does_not_wait_behind_fills(held: tuple[Running, Sketch]) -> None:
    server, net = held
    with raw_request(server):
        server.wait_for("queue_running", 1)
        files = {"image": PHOTO_PNG, "other": file_of(PHOTO[::-1].copy()), "mask": WHITE}
        assert server.post("/v1/images/merge", files=files).status_code == 200
        net.gate.set()


def test_openais_client_comes_again_by_itself(held: tuple[Running, Sketch]) -> None:
    server, net = held
    with raw_request(server):
        server.wait_for("queue_running", 1)
        with raw_request(server), raw_request(server):
            server.wait_for("queue_waiting", 2)
            threading.Timer(0.5, net.gate.set).start()
            patient = server.client(max_retries=5)
            assert patient.images.edit(image=PHOTO_PNG, mask=CLEAR, prompt="", extra_body={"texture": "net"}).data


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_request_that_takes_too_long_ends_with_504(stream: str) -> None:
    net = Sketch()
    with running(Settings(models=SKETCH, limits=Limits(seconds=1.5)), net) as server:
        net.gate.clear()
        with pytest.raises(openai.InternalServerError, match=r"longer than 1\.5 s; it was being") as caught:
            server.client(max_retries=3).images.edit(image=PHOTO_PNG, mask=CLEAR, prompt="", stream=stream == "true")
        assert (caught.value.status_code, caught.value.code) == (504, "timeout")
        server.wait_for('requests_total{route="/v1/images/edits"', 1)
        waited = edit(server)
        assert waited.status_code == 504 and "still waited" in waited.json()["error"]["message"]
        server.wait_for('requests_total{route="/v1/images/edits"', 2)  # the first was not tried again
        net.gate.set()
        server.wait_for("queue_running", 0)
        until = time.monotonic() + SECONDS
        while edit(server).status_code != 200:  # a busy machine may take longer, too
            assert time.monotonic() < until


def test_a_crash_is_a_500_to_one_client_and_the_next_is_served() -> None:
    net = Sketch()
    with running(Settings(models=SKETCH), net) as server:
        net.crashes_at = 1
        with pytest.raises(openai.InternalServerError, match="failed at this request") as caught:
            server.client().images.edit(image=PHOTO_PNG, mask=CLEAR, prompt="")
        assert caught.value.status_code == 500 and "luck" not in str(caught.value)
        assert edit(server).status_code == 200
        assert server.get("/healthz").status_code == 200


def test_many_clients_at_once_each_get_their_own_fill(server: Running) -> None:
    alone = [edit(server, seed=str(seed)).json()["data"][0]["b64_json"] for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = [pool.submit(edit, server, seed=str(seed)) for seed in range(6)]
    assert [one.result().json()["data"][0]["b64_json"] for one in together] == alone


def test_a_device_named_twice_has_two_workers_whose_fills_are_the_same(server: Running, model: Path) -> None:
    alone = [edit(server, seed=str(seed)).json()["data"][0]["b64_json"] for seed in range(6)]
    with running(Settings(models=(str(model),), devices=("cpu", "cpu"))) as twice, ThreadPoolExecutor(6) as pool:
        together = [pool.submit(edit, twice, seed=str(seed)) for seed in range(6)]
        assert [one.result().json()["data"][0]["b64_json"] for one in together] == alone
    net = Sketch()
    with running(Settings(models=SKETCH, devices=("cpu", "cpu")), net) as both:
        net.gate.clear()
        with raw_request(both), raw_request(both):
            both.wait_for("queue_running", 2)
            net.gate.set()


# ── abuse ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def broken_pictures() -> dict[str, bytes]:
    """Files that are not quite pictures."""
    rng = np.random.default_rng(0)
    found: dict[str, bytes] = {
        "empty": b"",
        "text": b"<svg onload=alert(1)>",
        "pickle": b"\x80\x04cos\nsystem\n",
        "zeros": bytes(5000),
    }
    for format in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"):
        whole = file_of(PHOTO, format)
        found[f"{format} head"] = whole[:20]
        found[f"{format} half"] = whole[: len(whole) // 2]
        for number in range(4):
            damaged = np.frombuffer(whole, np.uint8).copy()
            at = rng.integers(0, min(len(damaged), 400 if number < 2 else len(damaged)), 6)
            damaged[at] = rng.integers(0, 256, 6)
            found[f"{format} damaged {number}"] = damaged.tobytes()
    frames = [Image.fromarray(photo_of(20 + number, 20)) for number in range(3)]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    return found | {"animated": animated.getvalue(), "HEIC head": b"\0\0\0\x18ftypheic" + bytes(40)}


@pytest.mark.parametrize("call", ["image", "mask", "merge", "iopaint"])
def test_broken_pictures_are_refused_or_filled_and_never_a_fault(server: Running, call: str) -> None:
    for name, data in broken_pictures().items():
        if call == "merge":
            answer = server.post("/v1/images/merge", files={"image": PHOTO_PNG, "other": data, "mask": WHITE})
        elif call == "iopaint":
            body = {"image": base64.b64encode(data).decode(), "mask": base64.b64encode(WHITE).decode()}
            answer = server.post("/api/v1/inpaint", json=body)
        else:
            answer = server.post("/v1/images/edits", files={**FORM["files"], call: data}, data=FORM["data"])
        assert answer.status_code in (200, 400, 413), (name, answer.status_code, answer.text[:300])
    assert server.get("/healthz").status_code == 200


@given(
    st.binary(max_size=300), st.sampled_from(["multipart/form-data; boundary=y", "application/json", ""]), st.booleans()
)
@settings(max_examples=30)
def test_bytes_of_any_kind_are_refused_in_words(server: Running, data: bytes, kind: str, framed: bool) -> None:
    if framed:
        data = b'--y\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + data + b"\r\n--y--\r\n"
    for path in ("/v1/images/edits", "/v1/images/merge", "/api/v1/inpaint"):
        answer = server.post(path, content=data, headers={"content-type": kind})
        assert answer.status_code == 400, answer.text
        assert answer.json()


TINY = np.zeros((16, 16), np.uint8)
TINY[5:9, 5:9] = 255
SMALL = {"image": file_of(photo_of(16, 16)), "other": file_of(photo_of(16, 16)[::-1].copy()), "mask": file_of(TINY)}


def is_place(name: str, value: Any) -> bool:
    """Whether it says where IOPaint's canvas begins: from a far place to the photo it would be large."""
    return name in ("extender_x", "extender_y") and isinstance(value, int | float) and math.isfinite(value)


def test_what_the_openapi_page_says_is_so(server: Running) -> None:
    """Schemathesis makes requests from our own description and holds every answer against it."""
    page = schemathesis.openapi.from_dict(server.get("/openapi.json").json())
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.CHECKS.get_one("status_code_conformance"),
        schemathesis.checks.CHECKS.get_one("content_type_conformance"),
        schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
    ]
    seen: set[str] = set()
    for result in page.get_all_operations():
        operation = result.ok()
        seen.add(operation.path)

        @given(operation.as_strategy(), st.booleans())
        @settings(max_examples=12, phases=[Phase.explicit, Phase.generate], database=None,
                  suppress_health_check=list(HealthCheck), deadline=None)  # fmt: skip
        def holds(case: Any, real: bool) -> None:
            if real and isinstance(case.body, dict) and "image" in case.body:  # random fields around real pictures
                case.body |= {"texture": "net"} if "edits" in case.operation.path else {}  # the quick one
                for name in SMALL.keys() & case.body.keys():
                    text = base64.b64encode(SMALL[name]).decode()
                    case.body[name] = text if case.operation.path.startswith("/api") else SMALL[name]
                if case.operation.path.startswith("/api"):  # a small canvas is the quick one
                    case.body |= {"extender_width": 24, "extender_height": 20}
                    case.body |= {name: value % 16 for name, value in case.body.items() if is_place(name, value)}
            case.call_and_validate(base_url=server.url, checks=checks, timeout=300)

        holds()
    assert seen == set(server.get("/openapi.json").json()["paths"])
    assert server.get("/healthz").json()["status"] == "ready"


def test_the_documentation_needs_nothing_from_elsewhere(server: Running) -> None:
    page = server.get("/docs").text
    assert "http" not in page.replace("HTTP", "")
    for path in ("/docs/start.js", "/docs/files/swagger-ui-bundle.js", "/docs/files/swagger-ui.css"):
        assert server.get(path).status_code == 200 and path.removeprefix("/") in page
    described = json.dumps(server.get("/openapi.json").json())
    for word in ("multipart/form-data", "text/event-stream", "bearer", "near", "image/jpeg"):
        assert word in described
    assert '"422"' not in described


def test_the_hole_of_these_tests_is_a_hole() -> None:
    assert PHOTO[HOLE].size and Image.open(io.BytesIO(CLEAR)).mode == "RGBA"
