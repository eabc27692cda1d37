"""The server behind its door: connections come from the doorman, a process that answers /healthz by itself.

A server that fills photos shares one lock of Python with what it computes, and a busy machine may keep who holds that
lock waiting. Whoever looks after it needs an answer all the same, so a process that does nothing else gives it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn

from manyfill.server.doorman import Rules
from manyfill.server.limits import logged
from manyfill.server.metrics import Metrics
from manyfill.server.settings import Settings

log = logging.getLogger(__name__)

POSSIBLE = hasattr(socket, "send_fds") and os.name != "nt"
START = "import sys; sys.path[:] = sys.argv[1:-1]; from manyfill.server.doorman import main; main()"  # as in coding
TELL_SECONDS = 0.25  # between two words of the server about itself
SILENT_SECONDS = 10.0  # without one the doorman says that the server is stuck
AGAIN_SECONDS = 1.0  # until a doorman that died is replaced

Health = Callable[[], tuple[int, list[tuple[str, str]], str]]  # status, headers and body of /healthz


class Door:
    """One doorman, replaced if it dies. All but the constructor is called on the event loop's thread."""

    def __init__(
        self, listener: socket.socket, settings: Settings, health: Health, metrics: Metrics, *, exempt: str | None
    ) -> None:
        self._listener, self._settings, self._exempt = listener, settings, exempt
        self._health, self._metrics = health, metrics
        self._heard = b""
        self._connections: deque[int] = deque()  # descriptors whose lines have not been read yet
        self._serve: Callable[[socket.socket], None] = socket.socket.close
        self._closed = False
        self._pulse: asyncio.Task[None] | None = None
        self._call()

    @property
    def pid(self) -> int:
        """Of the doorman."""
        return self._process.pid

    def open(self, serve: Callable[[socket.socket], None]) -> None:
        """Pass on connections from now on."""
        self._serve = serve
        self._listen()
        self._pulse = asyncio.ensure_future(self._beat())

    def close(self) -> None:
        """Take no connection any more: those that have not sent a request yet are closed."""
        self._closed = True
        if self._pulse is not None:
            self._pulse.cancel()
            asyncio.get_running_loop().remove_reader(self._doorman)
        self._process.kill()
        self._process.wait()
        self._take()  # what it handed on before
        self._doorman.close()
        self._listener.close()

    def _call(self) -> None:
        """Start a doorman."""
        limits = self._settings.limits
        ours, theirs = socket.socketpair()
        rules = Rules(
            listener=self._listener.fileno(),
            server=theirs.fileno(),
            hosts=list(self._settings.hosts),
            by_address=self._settings.by_address,
            connections=limits.connections,
            per_client=limits.connections_per_client,
            exempt=self._exempt,
            head_seconds=limits.head_seconds,
            silent=SILENT_SECONDS,
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, *sys.path, str(rules)],
                pass_fds=(rules.listener, rules.server),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._doorman, self._heard = ours, b""
        ours.setblocking(False)

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._doorman, self._hear)

    async def _beat(self) -> None:
        """Say again and again how the server is."""
        while True:
            status, headers, body = self._health()
            line = json.dumps({"status": status, "headers": headers, "body": body}).encode() + b"\n"
            with suppress(OSError):  # it does not listen, or is no more: then it is replaced
                if self._doorman.send(line) < len(line):
                    self._process.kill()
            await asyncio.sleep(TELL_SECONDS)

    def _hear(self) -> None:
        if self._take() or self._closed:
            return
        asyncio.get_running_loop().remove_reader(self._doorman)
        self._doorman.close()
        while self._connections:
            os.close(self._connections.popleft())
        log.error("the process that takes connections ended with %s: it is replaced", self._process.wait())
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._replace)

    def _replace(self) -> None:
        if self._closed:
            return
        try:
            self._call()
        except OSError as error:
            log.error("no process can be started to take connections: %s", error)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._replace)
            return
        self._listen()

    def _take(self) -> bool:
        """Take what the doorman says and hands on; whether it is still there."""
        try:
            while True:
                data, descriptors, _, _ = socket.recv_fds(self._doorman, 1 << 16, 64)
                self._connections.extend(descriptors)
                if not data:
                    return False
                *lines, self._heard = (self._heard + data).split(b"\n")
                for line in lines:
                    self._heed(json.loads(line))
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False

    def _heed(self, said: dict[str, Any]) -> None:
        if "connection" in said:
            os.set_inheritable(self._connections[0], False)
            connection = socket.socket(fileno=self._connections.popleft())
            connection.setblocking(False)
            self._serve(connection)
        elif "answered" in said:
            answered = said["answered"]
            self._metrics.answered("/healthz", answered["status"], answered["seconds"])
            logged(answered["method"], "/healthz", answered["status"], answered["seconds"], answered["client"])


class Server(uvicorn.Server):
    """uvicorn's, whose connections come through a door."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door
        self._beginning: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets=[])
        self._door.open(self._serve_one)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what has begun."""
        self._door.close()
        if self._beginning:
            await asyncio.wait(self._beginning)
        await super().shutdown(sockets=[])

    def _serve_one(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        made = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
        self._beginning.add(made)
        made.add_done_callback(self._begun)

    def _begun(self, made: asyncio.Task[Any]) -> None:
        self._beginning.discard(made)
        if not made.cancelled() and (error := made.exception()) is not None:
            log.warning("a connection went away before it was served: %s", error)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol
