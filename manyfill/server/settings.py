"""A server's settings, as given before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from manyfill.zoo import DEFAULT

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANYWHERE = ("0.0.0.0", "::")  # to listen at: every address of this machine
MOST_FILLS = 10  # OpenAI's bound on n


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request, one client and all of them together may take."""

    body: int = 64 << 20  # bytes of one request
    pixels: int = 50_000_000  # of one photo
    waiting: int = 64  # requests in the queue, besides those being worked on
    per_client: int = 32  # of these, of one client
    seconds: float = 300.0  # from a request's first byte to its last fill
    upload_seconds: float = 60.0  # for a request's body to arrive
    memory: int | None = None  # bytes of the whole server: program, models, coders, uploads, photos, results
    decode_seconds: float = 20.0  # of processor time to open one photo
    result_seconds: float = 3600.0  # how long a result can be fetched by its URL
    connections: int = 1000  # open at once; more are answered with 503
    connections_per_client: int = 128  # of these, of one client
    head_seconds: float = 10.0  # for a request's line and headers to arrive
    stalled_seconds: float = 30.0  # a client that takes nothing of its answer for so long has left
    parsing_seconds: float = 3.0  # of processor time for the HTTP of one request: usual pieces of 64 MiB take 0.1

    def __post_init__(self) -> None:
        """Asserts what the server relies on."""
        assert min(self.body, self.pixels, self.waiting, self.per_client, self.memory or 1) >= 1, self
        assert min(self.connections, self.connections_per_client) >= 1, self
        assert min(self.seconds, self.upload_seconds, self.result_seconds) > 0, self
        assert min(self.decode_seconds, self.head_seconds, self.stalled_seconds, self.parsing_seconds) > 0, self


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Models, devices, who may call, and the limits."""

    models: tuple[str, ...] = (DEFAULT,)  # names or .safetensors files; the first serves where none is named
    devices: tuple[str, ...] = ("auto",)  # one worker each
    engine: str = "auto"
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = LOOPBACK  # names that a browser may call this server by
    by_address: bool = False  # or by any address: a web site of somebody else's has a name
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Asserts what the server relies on."""
        assert self.models and self.devices, "a server needs a model and a device"
        assert self.token is None or self.token, "an empty token protects nothing"
