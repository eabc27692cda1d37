"""The queue of work: one thread per device, clients in turn, bounded; what nobody waits for is not worked on.

A piece of work is a generator that runs on a worker's thread. What it yields reaches the event loop item by item;
between two items, and wherever it calls `ticket.check`, it ends when its client has left or its time is up.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from manyfill.errors import ManyfillError
from manyfill.server.errors import Refusal

Tool = TypeVar("Tool")  # what a worker works with
Item = TypeVar("Item")
Work = Callable[[Tool, "Ticket[Any]"], Iterator[Item]]

log = logging.getLogger(__name__)

WORKER = "worker-"  # and a number: names of the threads that do the work

_END = object()


class Cancelled(Exception):
    """Raised on the worker's thread where nobody waits for the work any more."""


class Ticket(Generic[Item]):
    """One request's place in the queue, and the way of its results back to the event loop."""

    def __init__(self, client: str, work: Work[Any, Item]) -> None:
        self.client, self.work = client, work
        self.started: float | None = None  # time.monotonic()
        self._cancelled = False
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[Item | BaseException | object] = asyncio.Queue()
        self._forget: Callable[[], None] = lambda: None

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._cancelled

    def cancel(self) -> None:
        """Give the place in the queue, or the worker, to somebody else."""
        self._cancelled = True
        self._forget()

    def check(self, *_: object) -> None:
        """Raise Cancelled where nobody waits any more: a `progress` callback."""
        if self._cancelled:
            raise Cancelled

    def put(self, result: Item | BaseException | object) -> None:
        """Send a result, or the error that ends the work, to the event loop; from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._results.put_nowait, result)
        except RuntimeError:
            log.debug("the event loop is closed: a result was dropped")

    async def next(self) -> Item | None:
        """The next result, None after the last one; raises what the work raised."""
        result = await self._results.get()
        if isinstance(result, BaseException):
            raise result
        return None if result is _END else result  # type: ignore[return-value]


class WorkQueue(Generic[Tool]):
    """Work for the workers; each loads its tool, once, before it takes work.

    All methods but `_run` and what it calls are called on the event loop's thread.
    """

    def __init__(self, loaders: Sequence[Callable[[], Tool]], *, waiting: int, per_client: int) -> None:
        self.waiting_limit, self.per_client = waiting, per_client
        self._lines: OrderedDict[str, deque[Ticket[Any]]] = OrderedDict()  # the next client's line is the first
        self._condition = threading.Condition()
        self._closed = False
        self._loading = len(loaders)
        self._failures: list[str] = []
        self._seconds = 5.0  # what a request takes, a running mean; a guess before the first
        self.running = 0
        self.tool: Tool | None = None  # any worker's: for what only needs to be looked at
        self._loaded: set[threading.Thread] = set()
        self._threads = [
            threading.Thread(target=self._run, args=(loader,), name=f"{WORKER}{number}", daemon=True)
            for number, loader in enumerate(loaders)
        ]

    def start(self) -> None:
        """Let every worker load its tool and begin."""
        for thread in self._threads:
            thread.start()

    async def close(self) -> None:
        """End the workers after what they are doing; what still waits is refused, and what still loads left alone."""
        with self._condition:
            self._closed = True
            for ticket in self._drain():
                ticket.put(Refusal(503, "The server is shutting down. Try again in a moment.", retry_after=5))
            self._condition.notify_all()
        for thread in self._threads:
            if thread in self._loaded and thread.is_alive():
                await asyncio.to_thread(thread.join, 10)

    @property
    def waiting(self) -> int:
        """Requests that no worker has begun."""
        with self._condition:
            return sum(map(len, self._lines.values()))

    @property
    def loading(self) -> bool:
        """Whether no worker is ready yet and one may still be."""
        return self.tool is None and self._loading > 0

    @property
    def failure(self) -> str | None:
        """Why no worker will ever be ready, or None."""
        return "; ".join(dict.fromkeys(self._failures)) if self.tool is None and not self._loading else None

    def submit(self, client: str, work: Work[Tool, Item]) -> Ticket[Item]:
        """Queue up. Raises Refusal: 429 where the queue is full, 503 where nobody will ever work."""
        ticket: Ticket[Item] = Ticket(client, work)
        ticket._forget = lambda: self._remove(ticket)
        with self._condition:
            if self._closed:
                raise Refusal(503, "The server is shutting down. Try again in a moment.", retry_after=5)
            if self.failure is not None:
                raise Refusal(503, f"No model could be loaded: {self.failure}", code="model_not_loaded")
            waiting, own = self.waiting, len(self._lines.get(client, ()))
            if waiting >= self.waiting_limit or own >= self.per_client:
                share = "all places in the queue are" if waiting >= self.waiting_limit else "your share of the queue is"
                raise Refusal(
                    429,
                    f"The server is busy: {share} taken ({waiting} requests wait). Try again in a moment.",
                    code="rate_limit_exceeded",
                    retry_after=self._seconds * waiting / len(self._threads) / 2,
                )
            self._lines.setdefault(client, deque()).append(ticket)
            self._condition.notify()
        return ticket

    def ahead(self, ticket: Ticket[Any]) -> tuple[int, float] | None:
        """Requests before this one, those that are worked on included, and about how many seconds until its turn.

        None where its turn has come, or never will.
        """
        with self._condition:
            own = self._lines.get(ticket.client)
            if own is None or ticket not in own:
                return None
            rounds, clients = own.index(ticket), list(self._lines)
            before = clients.index(ticket.client)
            waiting = sum(min(len(line), rounds + (place < before)) for place, line in enumerate(self._lines.values()))
            ahead = waiting + self.running
            return ahead, self._seconds * ahead / len(self._threads)

    def _drain(self) -> list[Ticket[Any]]:
        tickets = [ticket for line in self._lines.values() for ticket in line]
        self._lines.clear()
        return tickets

    def _remove(self, ticket: Ticket[Any]) -> None:
        with self._condition:
            line = self._lines.get(ticket.client)
            if line is not None and ticket in line:
                line.remove(ticket)
                if not line:
                    del self._lines[ticket.client]

    def _next(self) -> Ticket[Any] | None:
        """The next client's oldest request; that client then goes to the end of the round. None: closed."""
        with self._condition:
            while not self._lines and not self._closed:
                self._condition.wait()
            if not self._lines:
                return None
            client, line = next(iter(self._lines.items()))
            ticket = line.popleft()
            del self._lines[client]
            if line:
                self._lines[client] = line
            self.running += 1
            return ticket

    def _run(self, loader: Callable[[], Tool]) -> None:
        try:
            tool = loader()
        except BaseException as error:  # whatever a model file can do: /healthz tells it, the others go on
            self._failed(error)
            return
        with self._condition:
            self._loading -= 1
            self._loaded.add(threading.current_thread())
            self.tool = self.tool or tool
        while (ticket := self._next()) is not None:
            began = time.monotonic()
            ticket.started = began
            try:
                self._work(tool, ticket)
            finally:
                seconds = time.monotonic() - began
                with self._condition:
                    self.running -= 1
                    self._seconds += 0.2 * (seconds - self._seconds)

    def _work(self, tool: Tool, ticket: Ticket[Any]) -> None:
        """One request, from beginning to end; nothing that it does reaches the worker."""
        try:
            ticket.check()
            for item in ticket.work(tool, ticket):
                ticket.put(item)
                ticket.check()
            ticket.put(_END)
        except Cancelled:
            ticket.put(_END)
        except (Refusal, ManyfillError) as error:
            ticket.put(error)
        except MemoryError as error:
            log.error("out of memory: %s", error)
            ticket.put(Refusal(413, "The photo does not fit into the server's memory. Make it smaller."))
        except BaseException:
            log.exception("a request failed")
            ticket.put(Refusal(500, "The server failed at this request; others go on. Its log says why."))

    def _failed(self, error: BaseException) -> None:
        words = str(error) if isinstance(error, ManyfillError) else f"{type(error).__name__}: {error}"
        log.error("no model: %s", words)
        with self._condition:
            self._loading -= 1
            self._failures.append(words)
            if self.failure is not None:
                for ticket in self._drain():
                    ticket.put(Refusal(503, f"No model could be loaded: {words}", code="model_not_loaded"))
