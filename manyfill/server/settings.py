"""What a server is told before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from manyfill.zoo import DEFAULT

LOOPBACK = ("127.0.0.1", "localhost", "::1")
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
    memory: int = 4 << 30  # bytes: a quarter each for uploads and results, the rest for the photos being filled
    result_seconds: float = 3600.0  # how long a result can be fetched by its URL

    def __post_init__(self) -> None:
        """Asserts what the server relies on."""
        assert min(self.body, self.pixels, self.waiting, self.per_client, self.memory) >= 1, self
        assert min(self.seconds, self.upload_seconds, self.result_seconds) > 0, self


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Models, devices, who may call, and the limits."""

    models: tuple[str, ...] = (DEFAULT,)  # names or .safetensors files; the first serves where none is named
    devices: tuple[str, ...] = ("auto",)  # one worker each
    engine: str = "auto"
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = LOOPBACK  # names that a browser may call this server by; empty: any
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Asserts what the server relies on."""
        assert self.models and self.devices, "a server needs a model and a device"
        assert self.token is None or self.token, "an empty token protects nothing"
