"""Who may call, and how much: token, host, origin, bytes, pixels, time, memory; headers of every answer."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import openai
import pytest
from serving import CLEAR, PHOTO_PNG, SECONDS, Running, Sketch, running

from manyfill import memory
from manyfill.photos.png import png_file
from manyfill.server.errors import Refusal
from manyfill.server.hosts import is_among
from manyfill.server.limits import Guard, Uploads
from manyfill.server.metrics import Metrics
from manyfill.server.settings import Limits, Settings
from manyfill.server.shares import CODER, LEAST

FORM: dict[str, Any] = {"files": {"image": PHOTO_PNG, "mask": CLEAR}, "data": {"texture": "net"}}


@pytest.fixture(scope="module")
def strict() -> Iterator[Running]:
    limits = Limits(body=200_000, pixels=1_000_000)
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
    with running(Settings(models=("sketch",), hosts=("*",)), Sketch()) as server:
        assert server.get("/v1/models", headers={"host": "fills.example"}).status_code == 200


def test_other_web_sites_cannot_use_a_visitors_server(server: Running) -> None:
    refused = server.post("/v1/images/edits", headers={"sec-fetch-site": "cross-site"}, **FORM)
    assert refused.status_code == 403
    assert server.post("/v1/images/edits", headers={"sec-fetch-site": "same-origin"}, **FORM).status_code == 200
    preflight = server.http.options("/v1/images/edits", headers={"origin": "https://evil.example",
                              "access-control-request-method": "POST"})  # fmt: skip
    for answer in (refused, preflight, server.get("/v1/models", headers={"origin": "https://evil.example"})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-site"}, 403),  # another port, another user's page on this machine
        ({"sec-fetch-site": "same-site", "origin": "http://localhost:3000"}, 403),
        ({"origin": "http://localhost:3000"}, 403),  # browsers before Sec-Fetch-Site
        ({"origin": "null"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "http://localhost"}, 400),
        ({"origin": "https://localhost:443"}, 400),
        ({"origin": "HTTP://LOCALHOST:80", "sec-fetch-site": "same-origin"}, 400),
        ({"sec-fetch-site": "none"}, 400),
        ({}, 400),
    ],
)
def test_an_origin_is_compared_with_the_host(server: Running, headers: dict[str, str], status: int) -> None:
    assert server.post("/api/v1/inpaint", headers={"host": "localhost", **headers}).status_code == status


def test_a_server_for_a_network_answers_to_addresses_and_not_to_names() -> None:
    settings = Settings(models=("sketch",), hosts=("localhost", "fills.example"), by_address=True)
    with running(settings, Sketch()) as server:
        for host, status in (
            ("192.0.2.7:8765", 200), ("[2001:db8::1]:80", 200), ("localhost:9", 200), ("fills.example", 200),
            ("evil.example", 421), ("192.0.2.7.evil.example", 421), ("", 421),
        ):  # fmt: skip
            assert server.get("/healthz", headers={"host": host}).status_code == status, host


@pytest.mark.parametrize("token", ["schlüssel", "密钥", "s3cret"])
def test_a_token_may_have_any_letters(token: str) -> None:
    with running(Settings(models=("sketch",)), Sketch()) as server:
        guard = Guard(server.app, settings=Settings(token=token), uploads=Uploads(1), metrics=Metrics())

        def answer(given: bytes) -> Refusal | None:
            headers = [(b"host", b"localhost"), (b"authorization", b"Bearer " + given)]
            return guard._refusal({"type": "http", "method": "GET", "path": "/v1/models", "headers": headers})

        assert answer(token.encode()) is None
        for wrong in (token[:-1].encode(), token.encode() + b"x", b"\xff\xfe", b""):
            refused = answer(wrong)
            assert refused is not None and refused.status == 401


# ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────────


def ended(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    connection.settimeout(SECONDS)
    found = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def connected(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.listener.getsockname()[1]))


@pytest.fixture(scope="module")
def hasty() -> Iterator[Running]:
    """A server that waits a second for a request's head, which a busy machine can keep to, and one for its body."""
    with running(Settings(models=("sketch",), limits=Limits(head_seconds=1.0, upload_seconds=1.0)), Sketch()) as server:
        yield server


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_who_sends_no_request_is_let_go(hasty: Running, sent: bytes) -> None:
    with connected(hasty) as connection:
        connection.sendall(sent)
        assert ended(connection) == b""


def test_half_a_second_request_on_a_connection_is_let_go_too(hasty: Running) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert ended(connection).count(b"HTTP/1.1 200 OK") == 0


def test_one_address_cannot_hold_all_connections() -> None:
    limits = Limits(connections_per_client=3)
    with running(Settings(models=("sketch",), limits=limits), Sketch()) as server:
        server.http.close()  # one of the three
        held = [connected(server) for _ in range(3)]
        try:
            with connected(server) as fourth:
                assert ended(fourth).startswith(b"HTTP/1.1 429")
            held.pop().close()
            until = time.monotonic() + SECONDS
            while True:
                with connected(server) as again:
                    again.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if ended(again).startswith(b"HTTP/1.1 200"):
                        break
                assert time.monotonic() < until, "a place was not given back"
        finally:
            for connection in held:
                connection.close()


@pytest.mark.parametrize(
    ("host", "addresses", "among"),
    [
        ("10.0.0.7", "10.0.0.7", True), ("10.0.0.7", "127.0.0.1, 10.0.0.7", True), ("10.0.0.7", "10.0.0.0/8", True),
        ("10.0.0.7", "*", True), ("::1", "::/64", True), ("10.0.0.7", None, False), ("10.0.0.7", "10.0.0.70", False),
        ("10.0.0.7", "::/0", False), ("", "10.0.0.0/8", False), ("10.0.0.7", "no address", False),
    ],
)  # fmt: skip
def test_a_proxy_has_the_connections_of_all(host: str, addresses: str | None, among: bool) -> None:
    assert is_among(host, addresses) is among


def test_a_body_in_the_tiniest_pieces_is_cut_off() -> None:
    with (
        running(Settings(models=("sketch",), limits=Limits(parsing_seconds=0.1)), Sketch()) as server,
        connected(server) as connection,
    ):
        with suppress(ConnectionError):
            connection.sendall(b"POST /api/v1/inpaint HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"1\r\nx\r\n" * 500_000)
        assert b" 200 " not in ended(connection)
        assert server.get("/healthz").status_code == 200


def test_who_does_not_read_an_answer_is_let_go() -> None:
    limits = Limits(stalled_seconds=0.3)
    with running(Settings(models=("sketch",), limits=limits), Sketch()) as server, connected(server) as connection:
        one = b"GET /docs/files/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(one * 60)  # 84 MB: more than any socket's buffer
        port, until = connection.getsockname()[1], time.monotonic() + SECONDS
        for there in (True, False):  # it is taken up, and then let go
            while there != (port in {one.client[1] for one in list(server.server.server_state.connections)}):
                assert time.monotonic() < until, "it waits for ever"
                time.sleep(0.01)
        assert len(ended(connection)) < 60_000_000


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
        connection.settimeout(SECONDS)
        connection.sendall(f"{head}Content-Length: 20000000\r\n\r\n".encode() + bytes(20_000_000))
        assert connection.recv(100).startswith(f"HTTP/1.1 {status}".encode())


def test_the_time_for_a_body_does_not_run_while_it_is_worked_on() -> None:
    net = Sketch()
    with running(Settings(models=("sketch",), limits=Limits(upload_seconds=3.0)), net) as server:
        net.gate.clear()
        threading.Timer(3.5, net.gate.set).start()
        assert server.post("/v1/images/edits", **FORM).status_code == 200


def bomb(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_file([(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")])


@pytest.mark.parametrize("which", ["image", "mask"])
@pytest.mark.parametrize("side", [60_000, 1001])
def test_a_bomb_is_refused_by_its_header(strict: Running, which: str, side: int) -> None:
    files = {"image": PHOTO_PNG, "mask": CLEAR, which: bomb(side, side)}
    answer = authorised(strict, files=files)
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "image_too_large"


def test_fills_that_do_not_fit_into_memory_are_refused() -> None:
    least = memory.resident() + 2 * CODER + LEAST
    settings = Settings(models=("sketch",), limits=Limits(memory=least + (64 << 20)))
    with running(settings, Sketch()) as server:
        answer = server.post("/v1/images/edits", files=FORM["files"], data={"n": "10", "texture": "net"})
        assert answer.status_code == 413 and "fewer fills" in answer.json()["error"]["message"]
        assert server.get("/healthz").status_code == 200
        enough = re.search(r"the server's --max-memory: (\d+)M or more", answer.json()["error"]["message"])
        assert enough is not None
    settings = Settings(models=("sketch",), limits=Limits(memory=int(enough[1]) << 20))
    with running(settings, Sketch()) as server:
        answer = server.post("/v1/images/edits", files=FORM["files"], data={"n": "10", "texture": "net"})
        assert answer.status_code == 200, "what it asks for is enough"


def test_a_form_of_very_many_parts_is_refused(server: Running) -> None:
    files = [("image", PHOTO_PNG)] * 100
    assert server.post("/v1/images/edits", files=files).status_code == 400
    assert server.post("/v1/images/edits", data={"prompt": "x" * 300_000}, files=FORM["files"]).status_code == 400


def test_a_body_that_does_not_arrive_is_given_up(hasty: Running) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"POST /api/v1/inpaint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        connection.settimeout(SECONDS)
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
