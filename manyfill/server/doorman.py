"""The program at the door: it takes connections, answers /healthz itself, and hands all else to the server.

`door` starts it, as a process of its own: whatever keeps the server busy, who asks for /healthz is answered at once. It
looks at the first bytes of a request and leaves them where they are. If they are a plain `GET /healthz` it answers,
with what the server last said of itself; everything else, also what is odd about that, is the server's: it gets the
connection as if it had accepted it, and parses from the first byte.

Both talk in lines of JSON over one socket. From the server: `{"status": 200, "headers": [...], "body": "..."}`, again
and again; once nothing has come for `silent` seconds, the answer is 503. To the server: `{"connection": true}` with the
connection itself, and `{"answered": ...}` for its log.
"""

from __future__ import annotations

import errno
import json
import selectors
import signal
import socket
import sys
import time
from collections import Counter, OrderedDict, deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Any, NamedTuple

import h11

from manyfill.server.hosts import answers_to, is_among, network_of

HEALTH = (b"GET /healthz HTTP/1.1\r\n", b"HEAD /healthz HTTP/1.1\r\n")
ODD = {b"expect", b"upgrade", b"x-forwarded-for"}
KNOWN = 64  # heads of requests that are not parsed again
HEAD_BYTES = 8 << 10  # of a request that is answered here
AT_ONCE = 64  # connections taken before others are looked at again
LOOK_SECONDS = 0.5  # between looks at who sends nothing
FULL_SECONDS = 0.05  # of rest where no more descriptors can be had


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What it is started with."""

    listener: int  # descriptors
    server: int
    hosts: list[str]
    by_address: bool
    connections: int  # that have sent nothing yet, or ask for /healthz again and again
    per_client: int  # of these, of one client
    exempt: str | None  # proxies, which have the connections of all
    head_seconds: float  # for a request's first bytes to arrive
    silent: float  # seconds without a word from the server until it counts as stuck

    def __str__(self) -> str:
        """As an argument of the program."""
        return json.dumps(asdict(self))


@dataclass
class Caller:
    """A connection that is still here."""

    connection: socket.socket
    host: str
    until: float  # time.monotonic()


class Doorman:
    """One listening socket, the server behind it, and the callers that are neither answered nor handed on yet."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.listener, self.server = socket.socket(fileno=rules.listener), socket.socket(fileno=rules.server)
        self.callers: OrderedDict[socket.socket, Caller] = OrderedDict()  # who has waited longest comes first
        self.clients: Counter[str] = Counter()
        self.to_server: deque[tuple[bytes, socket.socket | None]] = deque()
        self.heard = b""  # the beginning of a line
        self.health: dict[str, Any] | None = None
        self.health_time = 0.0
        self.answers: dict[tuple[str, bool], tuple[int, bytes]] = {}
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Until the server is no more."""
        with self.listener, self.server, self.selector:
            self._run()
        for caller in self.callers.values():
            caller.connection.close()

    def _run(self) -> None:
        for each in (self.listener, self.server):
            each.setblocking(False)
            self.selector.register(each, selectors.EVENT_READ)
        while True:
            for key, events in self.selector.select(LOOK_SECONDS):
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj is not self.server:
                    self._look(self.callers[key.fileobj])  # type: ignore[index]
                elif (events & selectors.EVENT_READ and not self._hear()) or not self._tell():
                    return
            now = time.monotonic()
            while self.callers and (first := next(iter(self.callers.values()))).until <= now:
                self._forget(first)
                first.connection.close()

    # ── callers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = self.listener.accept()
            except OSError as error:  # mostly: none is left, or it went away
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    time.sleep(FULL_SECONDS)  # it waits until there is a descriptor to spare
                return
            connection.setblocking(False)
            client = network_of(address[0])
            known = not is_among(address[0], self.rules.exempt)
            if len(self.callers) + len(self.to_server) >= self.rules.connections:
                _refuse(connection, 503, "Service Unavailable")
            elif known and self.clients[client] >= self.rules.per_client:
                _refuse(connection, 429, "Too Many Requests")
            else:
                self.clients[client] += 1
                caller = Caller(connection, address[0], time.monotonic() + self.rules.head_seconds)
                self.callers[connection] = caller
                self.selector.register(connection, selectors.EVENT_READ)
                self._look(caller)  # most have sent something already

    def _look(self, caller: Caller) -> None:
        """Answer, or hand on; stay where nothing has come yet."""
        try:
            seen = caller.connection.recv(HEAD_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            seen = b""
        if not seen:
            self._forget(caller)
            caller.connection.close()
        elif (asked := self._asked(seen)) is None:
            self._forget(caller)
            self._tell((json.dumps({"connection": True}).encode() + b"\n", caller.connection))
        else:
            self._answer(caller, *asked)

    def _forget(self, caller: Caller) -> None:
        client = network_of(caller.host)
        self.clients[client] -= 1
        if not self.clients[client]:
            del self.clients[client]
        del self.callers[caller.connection]
        self.selector.unregister(caller.connection)

    # ── /healthz ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _asked(self, seen: bytes) -> tuple[str, int, bool] | None:
        """Method, bytes of the request and whether more may follow; None: this is for the server."""
        end = seen.find(b"\r\n\r\n") + 4
        if self.health is None or end < 4 or not seen.startswith(HEALTH):
            return None
        asked = plain(seen[:end])
        if asked is None or not answers_to(asked.host, self.rules.hosts, by_address=self.rules.by_address):
            return None
        return asked.method, end, asked.more

    def _answer(self, caller: Caller, method: str, length: int, more: bool) -> None:
        began = time.monotonic()
        caller.connection.recv(length)
        status, answer = self._health(method, more)
        try:
            sent = caller.connection.send(answer)
        except OSError:
            sent = 0
        if sent < len(answer) or not more:
            self._forget(caller)
            caller.connection.close()
        else:
            caller.until = time.monotonic() + self.rules.head_seconds
            self.callers.move_to_end(caller.connection)
        told = {"method": method, "status": status, "seconds": time.monotonic() - began, "client": caller.host}
        if len(self.to_server) < AT_ONCE:  # the log may lack a line, this program does not grow
            self._tell((json.dumps({"answered": told}).encode() + b"\n", None))

    def _health(self, method: str, more: bool) -> tuple[int, bytes]:
        """Status and answer; composed once for each word of the server."""
        if time.monotonic() - self.health_time > self.rules.silent:
            return self._composed(method, more)
        if (method, more) not in self.answers:
            self.answers[method, more] = self._composed(method, more)
        return self.answers[method, more]

    def _composed(self, method: str, more: bool) -> tuple[int, bytes]:
        assert self.health is not None
        status, body = self.health["status"], self.health["body"]
        silent = time.monotonic() - self.health_time
        if silent > self.rules.silent:
            status, reason = 503, f"The server has been busy with something for {silent:.0f} s."
            body = json.dumps({**json.loads(body), "status": "stuck", "reason": reason})
        content = body.encode()
        head = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'Service Unavailable'}"]
        head += [f"date: {formatdate(usegmt=True)}", f"content-length: {len(content)}"]
        head += [f"{name}: {value}" for name, value in self.health["headers"]] + ([] if more else ["connection: close"])
        return status, "\r\n".join([*head, "", ""]).encode("latin-1") + (content if method == "GET" else b"")

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self) -> bool:
        """Take what the server says; whether it is still there."""
        try:
            data = self.server.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        *lines, self.heard = (self.heard + data).split(b"\n")
        if lines:
            self.health, self.health_time = json.loads(lines[-1]), time.monotonic()
            self.answers.clear()
        return bool(data)

    def _tell(self, *more: tuple[bytes, socket.socket | None]) -> bool:
        """Say what is to be said, as far as the server listens; whether it is still there."""
        self.to_server.extend(more)
        try:
            while self.to_server:
                line, connection = self.to_server[0]
                if connection is None:
                    sent = self.server.send(line)
                else:
                    sent = socket.send_fds(self.server, [line], [connection.fileno()])
                    connection.close()
                self.to_server.popleft()
                if sent < len(line):
                    self.to_server.appendleft((line[sent:], None))
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            return False
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        self.selector.modify(self.server, both if self.to_server else selectors.EVENT_READ)
        return True


class Asked(NamedTuple):
    """A request that is answered here."""

    method: str
    host: str
    more: bool  # whether the connection is good for another


@lru_cache(KNOWN)  # who looks after a server asks in the same words each time
def plain(head: bytes) -> Asked | None:
    """A request without a body and without anything odd; None: it is for the server."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(head)
    try:
        request, end = parser.next_event(), parser.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(request, h11.Request) or not isinstance(end, h11.EndOfMessage):
        return None
    headers = dict(request.headers)
    if ODD & headers.keys():
        return None
    host = headers.get(b"host", b"").decode("latin-1")
    return Asked(request.method.decode("ascii"), host, parser.our_state is not h11.MUST_CLOSE)


def _refuse(connection: socket.socket, status: int, words: str) -> None:
    with suppress(OSError):
        connection.send(busy(status, words))
    connection.close()


def busy(status: int, words: str) -> bytes:
    """The answer to a connection that is one too many."""
    return f"HTTP/1.1 {status} {words}\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


def main() -> None:
    """Run with the rules in the last argument."""
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the server
        signal.signal(number, signal.SIG_IGN)
    Doorman(Rules(**json.loads(sys.argv[-1]))).run()
