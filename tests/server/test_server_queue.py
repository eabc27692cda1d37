"""The queue of work, without a server: order, bounds, leaving, crashing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from serving import SECONDS

from manyfill.errors import BadImage
from manyfill.server.errors import Refusal
from manyfill.server.queue import Ticket, WorkQueue


def with_queue(
    scenario: Callable[[WorkQueue[str]], Awaitable[None]],
    *,
    loaders: list[Callable[[], str]] | None = None,
    waiting: int = 100,
    per_client: int = 100,
) -> None:
    async def play() -> None:
        queue = WorkQueue(loaders or [lambda: "tool"], waiting=waiting, per_client=per_client)
        queue.start()
        try:
            await asyncio.wait_for(scenario(queue), SECONDS)
        finally:
            await queue.close()

    asyncio.run(play())


async def results(ticket: Ticket[Any]) -> list[Any]:
    found = []
    while (result := await ticket.next()) is not None:
        found.append(result)
    return found


def once(value: str, record: list[str] | None = None) -> Callable[[str, Ticket[str]], Iterator[str]]:
    def work(tool: str, ticket: Ticket[str]) -> Iterator[str]:
        if record is not None:
            record.append(value)
        yield f"{tool} {value}"

    return work


def held(gate: threading.Event, begun: threading.Event | None = None) -> Callable[[str, Ticket[str]], Iterator[str]]:
    """Work that lasts until the gate opens."""

    def work(tool: str, ticket: Ticket[str]) -> Iterator[str]:
        if begun is not None:
            begun.set()
        assert gate.wait(SECONDS)
        ticket.check()
        yield "held"

    return work


async def begin(queue: WorkQueue[str], gate: threading.Event) -> Ticket[str]:
    """Keep the only worker busy."""
    begun = threading.Event()
    ticket = queue.submit("first", held(gate, begun))
    await asyncio.to_thread(begun.wait, SECONDS)
    return ticket


def test_work_gets_the_tool_and_its_results_arrive_in_order() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        def work(tool: str, ticket: Ticket[str]) -> Iterator[str]:
            yield "one"
            ticket.put("between")
            yield tool

        assert await results(queue.submit("a", work)) == ["one", "between", "tool"]

    with_queue(scenario)


def test_clients_take_turns() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        gate, order = threading.Event(), list[str]()
        first = await begin(queue, gate)
        names = ["a1", "a2", "a3", "b1", "c1", "b2"]
        tickets = [queue.submit(name[0], once(name, order)) for name in names]
        assert queue.waiting == 6 and queue.running == 1
        gate.set()
        for ticket in [first, *tickets]:
            await results(ticket)
        assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]
        assert queue.waiting == 0

    with_queue(scenario)


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        gate = threading.Event()
        await begin(queue, gate)
        queue.submit("a", once("a"))
        queue.submit("b", once("b"))
        with pytest.raises(Refusal, match="all places") as caught:
            queue.submit("c", once("c"))
        assert caught.value.status == 429 and int(caught.value.headers["Retry-After"]) >= 1
        gate.set()

    with_queue(scenario, waiting=2)


def test_one_client_cannot_fill_the_queue() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        gate = threading.Event()
        await begin(queue, gate)
        queue.submit("a", once("a"))
        with pytest.raises(Refusal, match="your share") as caught:
            queue.submit("a", once("a"))
        assert caught.value.status == 429
        other = queue.submit("b", once("b"))
        gate.set()
        assert await results(other) == ["tool b"]

    with_queue(scenario, per_client=1)


def test_who_leaves_frees_the_place_and_is_never_worked_for() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        gate, order = threading.Event(), list[str]()
        await begin(queue, gate)
        queue.submit("a", once("a", order)).cancel()
        assert queue.waiting == 0
        last = queue.submit("b", once("b", order))
        gate.set()
        await results(last)
        assert order == ["b"]

    with_queue(scenario, waiting=1)


def test_who_leaves_while_being_worked_for_stops_the_work() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        gate = threading.Event()
        ticket = await begin(queue, gate)
        ticket.cancel()
        gate.set()
        assert await results(ticket) == []
        assert await results(queue.submit("b", once("b"))) == ["tool b"]

    with_queue(scenario)


@pytest.mark.parametrize("crash", [RuntimeError("torch"), SystemExit(3), RecursionError(), AssertionError()])
def test_a_crash_is_a_500_to_its_own_request_alone(crash: BaseException) -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        def work(tool: str, ticket: Ticket[str]) -> Iterator[str]:
            yield "one"
            raise crash

        ticket = queue.submit("a", work)
        assert await ticket.next() == "one"
        with pytest.raises(Refusal) as caught:
            await ticket.next()
        assert caught.value.status == 500 and "torch" not in str(caught.value)
        assert await results(queue.submit("b", once("b"))) == ["tool b"]

    with_queue(scenario)


def test_what_the_library_refuses_reaches_the_client_as_it_is() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        def work(tool: str, ticket: Ticket[str]) -> Iterator[str]:
            raise BadImage("not a photo")
            yield

        with pytest.raises(BadImage, match="not a photo"):
            await results(queue.submit("a", work))

        def too_large(tool: str, ticket: Ticket[str]) -> Iterator[str]:
            raise MemoryError
            yield

        with pytest.raises(Refusal) as caught:
            await results(queue.submit("a", too_large))
        assert caught.value.status == 413

    with_queue(scenario)


def test_work_waits_while_the_tool_is_loaded() -> None:
    gate = threading.Event()

    def load() -> str:
        assert gate.wait(SECONDS)
        return "late tool"

    async def scenario(queue: WorkQueue[str]) -> None:
        ticket = queue.submit("a", once("a"))
        assert queue.loading and queue.tool is None and queue.failure is None
        gate.set()
        assert await results(ticket) == ["late tool a"]
        assert not queue.loading and queue.tool == "late tool"

    with_queue(scenario, loaders=[load])


def test_a_tool_that_does_not_load_refuses_all_work_and_says_why() -> None:
    gate = threading.Event()

    def load() -> str:
        assert gate.wait(SECONDS)
        raise OSError("the file is damaged")

    async def scenario(queue: WorkQueue[str]) -> None:
        early = queue.submit("a", once("a"))
        gate.set()
        with pytest.raises(Refusal, match="the file is damaged") as caught:
            await results(early)
        assert caught.value.status == 503 and caught.value.code == "model_not_loaded"
        assert queue.failure == "OSError: the file is damaged"
        with pytest.raises(Refusal, match="the file is damaged"):
            queue.submit("a", once("a"))

    with_queue(scenario, loaders=[load])


def test_one_of_two_workers_is_enough() -> None:
    def broken() -> str:
        raise OSError("no such device")

    async def scenario(queue: WorkQueue[str]) -> None:
        assert await results(queue.submit("a", once("a"))) == ["tool a"]
        assert queue.failure is None

    with_queue(scenario, loaders=[broken, lambda: "tool"])


def test_two_workers_work_at_once() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        meeting = threading.Barrier(2, timeout=SECONDS)

        def work(tool: str, ticket: Ticket[str]) -> Iterator[str]:
            meeting.wait()
            yield "met"

        first, second = queue.submit("a", work), queue.submit("a", work)
        assert await results(first) == await results(second) == ["met"]

    with_queue(scenario, loaders=[lambda: "one", lambda: "two"])


def test_closing_finishes_what_was_begun_and_refuses_what_waits() -> None:
    async def play() -> None:
        queue = WorkQueue([lambda: "tool"], waiting=9, per_client=9)
        queue.start()
        gate = threading.Event()
        begun, waits = await begin(queue, gate), queue.submit("b", once("b"))
        closing = asyncio.ensure_future(queue.close())
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="shutting down") as caught:
            await results(waits)
        assert caught.value.status == 503
        gate.set()
        await closing
        assert await results(begun) == ["held"]
        with pytest.raises(Refusal, match="shutting down"):
            queue.submit("c", once("c"))

    asyncio.run(play())
