"""Who may call, and how much: token, host, origin, bytes, pixels, time, memory; headers of every answer."""

from __future__ import annotations

import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from serving import CLEAR, PHOTO_PNG, Running, Sketch, running

from manyfill.photos.png import png_file
from manyfill.server.errors import Refusal
from manyfill.server.limits import Uploads
from manyfill.server.settings import Limits, Settings

FORM: dict[str, Any] = {"files": {"image": PHOTO_PNG, "mask": CLEAR}, "data": {"texture": "net"}}


@pytest.fixture(scope="module")
def strict() -> Iterator[Running]:
    limits = Limits(body=200_000, pixels=1_000_000, upload_seconds=1.0)
    with running(Settings(models=("sketch",), token="s3cret", limits=limits), Sketch()) as server:
        yield server


def authorised(server: Running, path: str = "/v1/images/edits", **options: Any) -> httpx.Response:
    headers = {"Authorization": "Bearer s3cret", **options.pop("headers", {})}
    return server.post(path, headers=headers, **options)


# ── who ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_token_opens_what_is_closed_without_it(strict: Running) -> None:
    for key in ("wrong", "s3cre", "s3crett", "S3CRET"):
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key") as caught:
            strict.client(api_key=key).images.edit(image=PHOTO_PNG, mask=CLEAR, prompt="")
        assert caught.value.code == "invalid_api_key"
    assert strict.client(api_key="s3cret").images.edit(image=PHOTO_PNG, mask=CLEAR, prompt="", extra_body=FORM["data"])


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/x", "/api/v1/model", "/api/v1/server-config", "/metrics", "/v1/nope"]
)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic s3cret", "s3cret", "Bearer é"])
def test_nothing_but_the_token_is_a_token(strict: Running, path: str, header: str | None) -> None:
    answer = strict.get(path, headers={} if header is None else {b"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"


def test_health_documentation_and_results_need_no_token(strict: Running) -> None:
    assert [strict.get(path).status_code for path in ("/healthz", "/docs", "/openapi.json", "/results/x")] == [
        200,
        200,
        200,
        404,
    ]
    assert strict.get("/healthz").json()["token_needed"] is True


def test_the_token_is_in_no_log_and_no_repr() -> None:
    assert "s3cret" not in repr(Settings(token="s3cret"))


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "LOCALHOST:80", "[::1]:80"])
def test_its_own_names_are_answered(server: Running, host: str) -> None:
    assert server.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "", "localhost.evil.example"])
def test_a_name_that_is_not_ours_is_not_answered(server: Running, host: str) -> None:
    answer = server.get("/v1/models", headers={"host": host})
    assert answer.status_code == 421 and "--allow-host" in answer.json()["error"]["message"]


def test_a_server_for_everybody_answers_to_every_name() -> None:
    with running(Settings(models=("sketch",), hosts=()), Sketch()) as server:
        assert server.get("/v1/models", headers={"host": "fills.example"}).status_code == 200


def test_other_web_sites_cannot_use_a_visitors_server(server: Running) -> None:
    refused = server.post("/v1/images/edits", headers={"sec-fetch-site": "cross-site"}, **FORM)
    assert refused.status_code == 403
    assert server.post("/v1/images/edits", headers={"sec-fetch-site": "same-origin"}, **FORM).status_code == 200
    preflight = server.http.options("/v1/images/edits", headers={"origin": "https://evil.example",
                              "access-control-request-method": "POST"})  # fmt: skip
    for answer in (refused, preflight, server.get("/v1/models", headers={"origin": "https://evil.example"})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


# ── how much ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 50_000


def form(count: int) -> Iterator[bytes]:
    yield b'--y\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    yield from chunks(count)


@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/images/merge", "/api/v1/inpaint"])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_refused_while_it_comes_in(strict: Running, path: str, announced: bool) -> None:
    content = b"".join(form(10)) if announced else form(10)
    answer = authorised(strict, path, content=content, headers={"content-type": "multipart/form-data; boundary=y"})
    assert answer.status_code == 413 and "larger than" in answer.text


@pytest.mark.parametrize(("token", "status"), [("s3cret", 413), ("wrong", 401)])
def test_who_is_refused_early_can_send_all_and_read_why(strict: Running, token: str, status: int) -> None:
    head = (
        f"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
    )
    with socket.create_connection(("127.0.0.1", strict.listener.getsockname()[1])) as connection:
        connection.settimeout(60)
        connection.sendall(f"{head}Content-Length: 20000000\r\n\r\n".encode() + bytes(20_000_000))
        assert connection.recv(100).startswith(f"HTTP/1.1 {status}".encode())


def test_the_time_for_a_body_does_not_run_while_it_is_worked_on() -> None:
    net = Sketch()
    with running(Settings(models=("sketch",), limits=Limits(upload_seconds=1.0)), net) as server:
        net.gate.clear()
        threading.Timer(1.5, net.gate.set).start()
        assert server.post("/v1/images/edits", **FORM).status_code == 200


def bomb(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_file([(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")])


@pytest.mark.parametrize("which", ["image", "mask"])
@pytest.mark.parametrize("side", [60_000, 1001])
def test_a_bomb_is_refused_by_its_header(strict: Running, which: str, side: int) -> None:
    files = {"image": PHOTO_PNG, "mask": CLEAR, which: bomb(side, side)}
    began = time.monotonic()
    answer = authorised(strict, files=files)
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "image_too_large"
    assert time.monotonic() - began < 5


def test_fills_that_do_not_fit_into_memory_are_refused() -> None:
    settings = Settings(models=("sketch",), limits=Limits(memory=100_000))
    with running(settings, Sketch()) as server:
        answer = server.post("/v1/images/edits", files=FORM["files"], data={"n": "10", "texture": "net"})
        assert answer.status_code == 413 and "fewer fills" in answer.json()["error"]["message"]
        assert server.get("/healthz").status_code == 200


def test_a_form_of_very_many_parts_is_refused(server: Running) -> None:
    files = [("image", PHOTO_PNG)] * 100
    assert server.post("/v1/images/edits", files=files).status_code == 400
    assert server.post("/v1/images/edits", data={"prompt": "x" * 300_000}, files=FORM["files"]).status_code == 400


def test_a_body_that_does_not_arrive_is_given_up(strict: Running) -> None:
    with socket.create_connection(("127.0.0.1", strict.listener.getsockname()[1])) as connection:
        connection.sendall(
            b"POST /api/v1/inpaint HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        connection.settimeout(60)
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_uploads_are_counted_and_given_back() -> None:
    uploads = Uploads(100)
    uploads.take(60)
    with pytest.raises(Refusal) as caught:
        uploads.take(60)
    assert caught.value.status == 429 and caught.value.headers == {"Retry-After": "5"}
    uploads.give_back(60)
    uploads.take(100)


def test_no_upload_is_held_once_its_request_is_over(strict: Running) -> None:
    authorised(strict, **FORM)
    authorised(strict, files={"image": b"rubbish"})
    strict.wait_for("upload_bytes", 0)  # given back after the answer's last byte


# ── what every answer carries ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/", "/v1/models", "/healthz", "/docs", "/nope", "/results/x"])
def test_every_answer_forbids_what_a_page_of_ours_never_does(server: Running, path: str) -> None:
    headers = server.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'" and policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'" and "blob:" in policy["img-src"]
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
