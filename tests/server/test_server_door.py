"""The process that takes connections: /healthz is answered whatever the server does; all else is the server's."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from serving import SECONDS
from test_server_running import asking, children, process, wait_until_ready

from manyfill.server.door import POSSIBLE, TELL_SECONDS
from manyfill.server.doorman import Doorman, Rules, plain

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="connections cannot be handed on here")

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
WELL = {"status": 200, "headers": [["cache-control", "no-store"]], "body": '{"status":"ready"}'}


class Door:
    """A doorman in a thread of this process; the test is the server behind it."""

    def __init__(self, **rules: Any) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        self.server, theirs = socket.socketpair()
        self.server.settimeout(SECONDS)
        values = {"hosts": ["localhost"], "by_address": False, "connections": 50, "per_client": 20, "exempt": None,
                  "head_seconds": SECONDS, "silent": SECONDS}  # fmt: skip
        given = {"listener": listener.detach(), "server": theirs.detach(), **values, **rules}
        self.doorman = Doorman(Rules(**given))
        self.thread = threading.Thread(target=self.doorman.run, daemon=True)
        self.thread.start()

    def call(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=SECONDS)

    def say(self, **health: Any) -> None:
        before = self.doorman.health_time
        self.server.sendall(json.dumps({**WELL, **health}).encode() + b"\n")
        until = time.monotonic() + SECONDS
        while self.doorman.health_time == before:
            assert time.monotonic() < until
            time.sleep(0.01)

    def handed(self) -> socket.socket:
        """The next connection that is handed on."""
        while True:
            _, descriptors, _, _ = socket.recv_fds(self.server, 1 << 16, 1)
            if descriptors:
                return socket.socket(fileno=descriptors[0])


@contextmanager
def door(**rules: Any) -> Iterator[Door]:
    found = Door(**rules)
    try:
        yield found
    finally:
        found.server.close()
        found.thread.join(SECONDS)
        assert not found.thread.is_alive(), "the doorman outlives its server"


def answer_of(connection: socket.socket, sent: bytes = b"") -> bytes:
    """All that comes back until the other side closes."""
    connection.sendall(sent)
    connection.shutdown(socket.SHUT_WR)
    found = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            found += part
    return found


def test_it_answers_in_the_words_of_the_server_and_says_so() -> None:
    with door() as here:
        here.say()
        with here.call() as connection:
            answer = answer_of(connection, HEALTHZ * 2)
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == answer.count(b"\r\n\r\n" + WELL["body"].encode()) == 2
        assert b"cache-control: no-store" in answer
        said = b""
        while said.count(b"\n") < 2:
            said += here.server.recv(1 << 16)
        assert [json.loads(line)["answered"]["status"] for line in said.splitlines()] == [200, 200]


def test_a_server_that_says_nothing_is_called_stuck() -> None:
    with door(silent=0.2) as here:
        here.say()
        time.sleep(0.3)
        with here.call() as connection:
            answer = answer_of(connection, HEALTHZ)
        assert answer.startswith(b"HTTP/1.1 503 ") and b'"status": "stuck"' in answer
        here.say()
        with here.call() as connection:
            assert answer_of(connection, HEALTHZ).startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 "))


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEALTHZ[:-2],  # the rest may come, or not
        b"\r\n" + HEALTHZ,
        HEALTHZ.replace(b"/healthz", b"/healthz/x"),
        HEALTHZ.replace(b"/healthz", b"/healthz?x"),
        HEALTHZ.replace(b"1.1", b"1.0"),
        HEALTHZ.replace(b"GET", b"POST"),
        HEALTHZ.replace(b"localhost", b"evil.example"),
        HEALTHZ.replace(b"Host: localhost\r\n", b""),
        HEALTHZ.replace(b"Host", b"Host: a\r\nHost"),
        HEALTHZ.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"),
        HEALTHZ.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        HEALTHZ.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        HEALTHZ.replace(b"\r\n\r\n", b"\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
        HEALTHZ.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
        HEALTHZ.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"),
        HEALTHZ.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 9000 + b"\r\n\r\n"),
        HEALTHZ.replace(b"\r\n\r\n", b"\r\nX : y\r\n\r\n"),
        b"\x16\x03\x01\x02\x00\x01",  # TLS
    ],
)
def test_whatever_is_no_plain_question_for_its_health_is_the_servers(sent: bytes) -> None:
    with door() as here:
        here.say()
        with here.call() as connection:
            connection.sendall(sent)
            with here.handed() as handed:
                assert handed.recv(1 << 16) == sent  # from the first byte


def test_what_follows_a_question_for_its_health_is_the_servers() -> None:
    following = b"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
    with door() as here:
        here.say()
        with here.call() as connection:
            connection.sendall(HEALTHZ + following)
            with here.handed() as handed:
                assert handed.recv(1 << 16) == following
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


def test_before_the_server_has_said_anything_it_is_asked_itself() -> None:
    with door() as here, here.call() as connection:
        connection.sendall(HEALTHZ)
        with here.handed() as handed:
            assert handed.recv(1 << 16) == HEALTHZ


def test_who_sends_nothing_is_let_go_and_no_client_has_all_places() -> None:
    until = time.monotonic() + SECONDS
    with door(per_client=3) as here, here.call(), here.call(), here.call():
        while len(here.doorman.callers) < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
        with here.call() as one_too_many:
            assert one_too_many.recv(100).startswith(b"HTTP/1.1 429 ")
    with door(head_seconds=0.3) as here, here.call() as silent:
        assert silent.recv(1) == b""
        while here.doorman.callers or here.doorman.clients:
            assert time.monotonic() < until
            time.sleep(0.01)
    with door(connections=2) as here, here.call(), here.call(), here.call() as one_too_many:
        assert one_too_many.recv(100).startswith(b"HTTP/1.1 503 ")


def test_a_client_that_reads_no_answers_is_let_go() -> None:
    with door() as here, here.call() as connection:
        here.say(body=json.dumps({"status": "ready", "long": "x" * 50_000}))
        connection.settimeout(SECONDS)
        with pytest.raises(OSError):
            for _ in range(100_000):
                connection.sendall(HEALTHZ * 100)
        until = time.monotonic() + SECONDS
        while here.doorman.callers:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_head_is_parsed_once() -> None:
    plain.cache_clear()
    assert plain(HEALTHZ) == plain(HEALTHZ)
    assert plain.cache_info().hits == 1


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")
def test_a_server_that_cannot_move_is_still_looked_after_and_a_dead_doorman_is_replaced(model: Path) -> None:
    with process("--model", str(model)) as (started, url):
        wait_until_ready(url)
        with asking(url) as client:
            assert "manyfill_queue_running" in client.get("/metrics").text
            assert client.head("/healthz").headers["content-length"] != "0"
        for _ in range(3):  # until the doorman, too, has heard that the model is loaded
            time.sleep(2 * TELL_SECONDS)
            wait_until_ready(url)
        os.kill(started.pid, signal.SIGSTOP)
        try:
            found = []
            for _ in range(20):
                with asking(url) as client:
                    found.append(client.get("/healthz").status_code)
            assert found.count(200) > 0
        finally:
            os.kill(started.pid, signal.SIGCONT)
        (doorman,) = [pid for pid in children(started.pid) if b"doorman" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(doorman, signal.SIGKILL)
        with asking(url) as client:
            assert client.get("/v1/models").status_code == 200
            metrics = client.get("/metrics").text
        counted = re.search(r'manyfill_requests_total{route="/healthz",status="200"} (\S+)', metrics)
        assert counted is not None and float(counted[1]) > 5
        started.terminate()
        _, errors = started.communicate(timeout=SECONDS)
        assert started.returncode == 0 and "GET /healthz 200 " in errors and "it is replaced" in errors
