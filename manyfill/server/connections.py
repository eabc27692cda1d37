"""Connections before there is a request: who has too many, who sends no headers, who does not read what was sent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from manyfill.server.doorman import busy
from manyfill.server.hosts import is_among, network_of
from manyfill.server.settings import Limits

log = logging.getLogger(__name__)

READ_BYTES = 32 << 10  # taken from a socket at once: what parsing so much in the tiniest chunks costs is a few ms


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, with an end to waiting. Made by `connections`."""

    limits: Limits
    exempt: str | None
    open_by_client: Counter[str]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._network: str | None = None  # counted under this
        self._head: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._parsing = 0.0
        self._resumed, self._seen = 0, (0, 0)  # (times that writing could go on, bytes not yet sent)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, unless its address has enough."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = READ_BYTES  # asyncio's own is eight times that
        host = self.client[0] if self.client else ""
        network = network_of(host)
        if not is_among(host, self.exempt) and self.open_by_client[network] >= self.limits.connections_per_client:
            log.warning("%s has %d connections open: no more", network, self.limits.connections_per_client)
            transport.write(busy(429, "Too Many Requests"))
            transport.close()
            return
        self._network = network
        self.open_by_client[network] += 1
        self._await_head()
        self._watch = self.loop.call_later(self.limits.stalled_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no longer."""
        super().connection_lost(exc)
        self._head_came()
        if self._watch is not None:
            self._watch.cancel()
        if self._network is not None:
            self.open_by_client[self._network] -= 1
            if not self.open_by_client[self._network]:
                del self.open_by_client[self._network]
            self._network = None

    def data_received(self, data: bytes) -> None:
        """Parse it; give up on who makes that dear."""
        if self.transport.is_closing():
            return
        began = time.thread_time()
        super().data_received(data)
        self._parsing += time.thread_time() - began
        if self._parsing > self.limits.parsing_seconds:
            log.warning("a connection was cut off: its request comes in pieces that take too long to put together")
            self.transport.abort()
        elif self.conn.their_state is not h11.IDLE:
            self._head_came()
        elif self._head is None:
            self._await_head()

    def on_response_complete(self) -> None:
        """The next request has its own time."""
        super().on_response_complete()
        self._parsing = 0.0

    def resume_writing(self) -> None:
        """What was written has been sent."""
        super().resume_writing()
        self._resumed += 1

    def _await_head(self) -> None:
        self._head = self.loop.call_later(self.limits.head_seconds, self._no_head)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _no_head(self) -> None:
        self._head = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()

    def _look(self) -> None:
        """Cut off a client that has taken nothing since the last look."""
        unsent = self.transport.get_write_buffer_size()
        resumed, before = self._seen
        if before and unsent >= before and resumed == self._resumed:
            log.warning("a connection was cut off: nobody reads its answer")
            self.transport.abort()
            return
        self._seen = (self._resumed, unsent)
        self._watch = self.loop.call_later(self.limits.stalled_seconds, self._look)


def connections(limits: Limits, *, exempt: str | None = None) -> type[Connection]:
    """A server's protocol; `exempt`: addresses of proxies, which have the connections of all."""
    return type("Connection", (Connection,), {"limits": limits, "exempt": exempt, "open_by_client": Counter[str]()})
