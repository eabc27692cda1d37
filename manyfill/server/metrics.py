"""Counters for Prometheus: a registry of each app's own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """What /metrics tells."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        labels = ["route"]
        self._requests = Counter("manyfill_requests", "Requests answered.", [*labels, "status"], registry=self.registry)
        self._seconds = Histogram(
            "manyfill_request_seconds", "From a request's first byte to its answer's last.", labels,
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._fills = Counter("manyfill_fills", "Fills handed out.", ["model"], registry=self.registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request is over; `route` is its path as the interface names it."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def filled(self, model: str) -> None:
        """A fill was made."""
        self._fills.labels(model).inc()

    def watch(self, name: str, words: str, value: Callable[[], float]) -> None:
        """Tell a number that is looked up whenever it is asked for."""
        Gauge(f"manyfill_{name}", words, registry=self.registry).set_function(value)

    def page(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
