"""What every request passes before anything looks into it: who may call, how much may come in, and in what time.

Plain ASGI, because FastAPI reads a body before it asks anything. Bodies are counted while they stream in.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manyfill.server import errors
from manyfill.server.errors import Refusal
from manyfill.server.hosts import answers_to
from manyfill.server.metrics import Metrics
from manyfill.server.settings import Settings
from manyfill.server.shares import Ledger

log = logging.getLogger(__name__)

GUARDED = ("/v1/", "/api/", "/metrics")  # where a token is asked for, if the server has one
LINGER_SECONDS = 5.0  # what is left of a refused body is read this long, so that its sender can read the refusal

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
DOCS_POLICY = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")  # Swagger's own styles
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Uploads(Ledger):
    """Bytes of the request bodies that are held in memory, all together."""

    def __init__(self, limit: int | Callable[[], int]) -> None:
        super().__init__(limit, _too_many)


def _too_many() -> Refusal:
    return Refusal(
        429,
        "The server holds as many uploads as fit into its memory. Try again in a moment.",
        code="rate_limit_exceeded",
        retry_after=5,
    )


class Guard:
    """ASGI middleware: host, origin, token, size and time of bodies; headers, log line and counters of answers."""

    def __init__(self, app: ASGIApp, *, settings: Settings, uploads: Uploads, metrics: Metrics) -> None:
        self.app, self.settings, self.uploads, self.metrics = app, settings, uploads, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or pass the server's own events on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        scope.setdefault("state", {})["deadline"] = began + self.settings.limits.seconds
        method = scope["method"]
        if method == "HEAD":  # whatever can be got; uvicorn leaves the body away
            scope = {**scope, "method": "GET"}
        status = 499  # what nginx calls a client that left before it was answered

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                await body.drop()  # closing before all was read would cut the answer off
                MutableHeaders(scope=message).update(headers_of(str(scope["path"])))
            await send(message)

        body = Body(receive, self.settings, self.uploads)
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, body.receive, send_guarded)
            else:
                await errors.response(scope["path"], refusal)(scope, receive, send_guarded)
        except ClientDisconnect:
            status = 499
        except BaseException:
            status = 500
            raise
        finally:
            body.forget()
            route = getattr(scope.get("route"), "path", None) or "other"
            seconds = time.monotonic() - began
            self.metrics.answered(route, status, seconds)
            client = (scope.get("client") or ["-"])[0]
            logged(method, route, status, seconds, client, scope["state"].get("model", "-"))

    def _refusal(self, scope: Scope) -> Refusal | None:
        """Why this request is not let in, by its headers alone."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not answers_to(host, self.settings.hosts, by_address=self.settings.by_address):
            return Refusal(
                421,
                f"This server does not answer to the name {host[:100]!r}. "
                f"Names that it answers to: {', '.join(self.settings.hosts)}; more with --allow-host.",
                code="unknown_host",
            )
        if scope["method"] not in ("GET", "HEAD") and _is_foreign(headers, host):
            return Refusal(403, "Other web sites may not call this server from a browser.", code="cross_site")
        if self.settings.token is not None and scope["path"].startswith(GUARDED):
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not _is_bearer(given, self.settings.token):
                what = "Incorrect API key provided." if given.partition(b" ")[2] else "No API key provided."
                return Refusal(
                    401, f"{what} Send the server's token: Authorization: Bearer TOKEN.", code="invalid_api_key"
                )
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.settings.limits.body:
            return too_large(self.settings.limits.body)
        return None


class Body:
    """A request's body, counted and timed while it streams in."""

    def __init__(self, receive: Receive, settings: Settings, uploads: Uploads) -> None:
        self._receive, self._uploads = receive, uploads
        self._limit, self._until = settings.limits.body, time.monotonic() + settings.limits.upload_seconds
        self._count, self._complete = 0, False
        self._reading = asyncio.Lock()  # a file's response waits for the client's leaving while its headers are sent

    async def receive(self) -> Message:
        """ASGI's receive. Raises Refusal 413, 408 or 429."""
        async with self._reading:
            message = None if self._complete else await self._read()
        if message is None:  # then what comes is the client's leaving
            return await self._receive()
        size = len(message.get("body", b""))
        if self._count + size > self._limit:
            raise too_large(self._limit)
        self._uploads.take(size)
        self._count += size
        return message

    async def _read(self) -> Message:
        """The next part of the body. Raises Refusal 408."""
        try:
            message = await asyncio.wait_for(self._receive(), max(0.01, self._until - time.monotonic()))
        except asyncio.TimeoutError:
            self._complete = True  # nothing more is waited for
            raise Refusal(408, "The request's body did not arrive in time. Send it again.", code="timeout") from None
        self._complete = not message.get("more_body", False)
        return message

    async def drop(self) -> None:
        """Read what nobody wants of a body and forget it."""
        until = time.monotonic() + LINGER_SECONDS
        async with self._reading:
            while not self._complete and (rest := until - time.monotonic()) > 0:
                try:
                    message = await asyncio.wait_for(self._receive(), rest)
                except asyncio.TimeoutError:
                    return
                self._complete = not message.get("more_body", False)

    def forget(self) -> None:
        """The request is over: its bytes are free."""
        self._uploads.give_back(self._count)
        self._count = 0


def logged(method: str, route: str, status: int, seconds: float, client: str, model: str = "-") -> None:
    """The log's line of one request."""
    log.info("%s %s %d %.0f ms %s %s", method, route, status, 1000 * seconds, client, model)


def too_large(limit: int) -> Refusal:
    """The body has more bytes than allowed."""
    return Refusal(
        413,
        f"The request is larger than {limit / 2**20:,.0f} MiB. Send a smaller photo, or one that is compressed better.",
        code="request_too_large",
    )


def _is_foreign(headers: Headers, host: str) -> bool:
    """Whether a browser says that a page from elsewhere sends this; another port is elsewhere, too."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and not _is_same(origin, host)


def _is_same(origin: str, host: str) -> bool:
    """Whether an Origin is of this Host; the scheme cannot be compared, because a proxy may speak TLS for us."""
    scheme, _, place = origin.lower().partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme)
    return port is not None and place.removesuffix(port) == host.lower().removesuffix(port)


def _is_bearer(header: bytes, token: str) -> bool:
    """Whether an Authorization header brings the token: in UTF-8, or in Latin-1 as some clients write headers."""
    scheme, _, given = header.partition(b" ")
    spellings = [token.encode("utf-8", "surrogateescape")]
    with suppress(UnicodeEncodeError):
        spellings.append(token.encode("latin-1"))
    same = [hmac.compare_digest(given.strip(), spelling) for spelling in spellings]
    return scheme.lower() == b"bearer" and any(same)


def headers_of(path: str) -> dict[str, str]:
    """What every answer's header says, by the path that was asked for."""
    values = {**HEADERS, "Content-Security-Policy": DOCS_POLICY if path == "/docs" else PAGE_POLICY}
    if path.startswith(("/v1/", "/api/", "/healthz", "/metrics")):
        values["Cache-Control"] = "no-store"
    return values
