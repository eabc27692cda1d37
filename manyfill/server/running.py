"""One process that serves until it is told to stop, and then finishes what it has begun."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from manyfill.errors import ManyfillError
from manyfill.server.app import create_app, health_of
from manyfill.server.connections import connections
from manyfill.server.door import POSSIBLE, Door, Server
from manyfill.server.limits import headers_of
from manyfill.server.queue import WORKER
from manyfill.server.service import Service
from manyfill.server.settings import ANYWHERE, LOOPBACK, Settings

BACKLOG = 256
FILES = 8192
LOOK_SECONDS = 0.05  # between looks whether the server has started
ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # kept for examples: nobody is there


@dataclass(frozen=True)
class Address:
    """Where a server can be called."""

    here: str  # URL on this machine
    elsewhere: str | None  # URL for other devices in the network; None where they cannot call it


def run(
    settings: Settings,
    *,
    host: str,
    port: int,
    trust_proxy: str | None = None,
    announce: Callable[[Address], None],
    started: Callable[[Address], None] | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain.

    `announce` is given the address once it can be called, `started`, in a thread of its own, once it answers.
    """
    _allow_files()
    listener = _listen(host, port)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("manyfill").setLevel(logging.INFO)
    app = create_app(settings)
    config = configured(app, settings, trust_proxy=trust_proxy)
    server = uvicorn.Server(config) if not POSSIBLE else Server(config, _door(listener, app, settings, trust_proxy))

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn has its own while it runs, and raises them again after
        signal.signal(number, stop)
    address = _address(host, listener)
    announce(address)
    if started is not None:
        threading.Thread(target=_once_started, args=(server, started, address), daemon=True).start()
    server.run(sockets=[listener])
    if any(thread.name.startswith(WORKER) for thread in threading.enumerate()):
        _leave()
    return 0


def _leave() -> None:
    """End at once where a model is still being loaded: Python would tear down what its thread stands on."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _once_started(server: uvicorn.Server, started: Callable[[Address], None], address: Address) -> None:
    while not server.started:
        if server.should_exit:
            return
        time.sleep(LOOK_SECONDS)
    started(address)


def _address(host: str, listener: socket.socket) -> Address:
    """An address that listens everywhere, such as 0.0.0.0, is none that a browser can open everywhere."""
    port = listener.getsockname()[1]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    elsewhere = None if host in LOOPBACK else _own_address(listener.family) if host in ANYWHERE else host
    return Address(_url(here, port), None if elsewhere is None else _url(elsewhere, port))


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _own_address(family: socket.AddressFamily) -> str | None:
    """By which other devices reach this machine; None where it is in no network. Nothing is sent."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ELSEWHERE[family], 9))
            return str(probe.getsockname()[0])
        except OSError:
            return None


def _door(listener: socket.socket, app: FastAPI, settings: Settings, trust_proxy: str | None) -> Door:
    service: Service = app.state.service

    def health() -> tuple[int, list[tuple[str, str]], str]:
        found = health_of(service)
        headers = {"content-type": "application/json", **headers_of("/healthz")}
        return found.code, [(name.lower(), value) for name, value in headers.items()], found.model_dump_json()

    return Door(listener, settings, health, service.metrics, exempt=trust_proxy)


def configured(app: ASGIApp, settings: Settings, *, trust_proxy: str | None = None) -> uvicorn.Config:
    """How uvicorn serves the app."""
    return uvicorn.Config(
        app,
        http=connections(settings.limits, exempt=trust_proxy),
        ws="none",
        log_config=None,
        access_log=False,  # the guard writes one line per request, without what could be in a URL
        server_header=False,
        proxy_headers=trust_proxy is not None,
        forwarded_allow_ips=trust_proxy,
        limit_concurrency=settings.limits.connections,
        timeout_graceful_shutdown=int(settings.limits.seconds) + 5,
    )


def _allow_files() -> None:
    """Have as many descriptors as the limits on connections need; systems allow 256 or 1024 unless they are asked."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ManyfillError where the address is taken or not this machine's.

    It names TCP: asyncio sends small answers at once (TCP_NODELAY) only where a socket says so. Else each answer's body
    waits until its head was acknowledged, some 40 ms.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ManyfillError(f"cannot listen at {host}:{port}: {error.strerror}. Try another: --port 0.") from None
    return listener
