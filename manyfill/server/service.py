"""What both interfaces work with: the queue, the models, the results; and waiting for an answer."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from starlette.requests import Request

from manyfill import memory, zoo
from manyfill.completer import Completer, Completion
from manyfill.errors import TooLarge
from manyfill.options import MOST_SEED as MOST_SEED
from manyfill.photos import Photo
from manyfill.selection import Selector
from manyfill.server.coding import Coders, Opened
from manyfill.server.errors import ClientLeft, Refusal
from manyfill.server.hosts import network_of
from manyfill.server.limits import Uploads
from manyfill.server.metrics import Metrics
from manyfill.server.pace import Pace
from manyfill.server.pictures import Finished, unfilled
from manyfill.server.queue import Ticket, Work, WorkQueue
from manyfill.server.results import Results
from manyfill.server.settings import Settings
from manyfill.server.shares import Shares
from manyfill.server.spool import Spool, Spools

Item = TypeVar("Item")
Models = Mapping[str, Completer]  # by the name that requests use

FOREIGN_MODELS = ("gpt-image", "dall-e", "chatgpt-image")  # what programs written for OpenAI ask for
MOST_DRAWN = 2**31 - 1  # what fits every language's int: of the seeds that we choose


@dataclass(frozen=True)
class Service:
    """One server's parts."""

    settings: Settings
    queue: WorkQueue[Models]  # fills
    desk: WorkQueue[Models]  # what needs no network, and would wait long behind fills
    coders: Coders
    shares: Shares
    spools: Spools
    results: Results
    uploads: Uploads
    metrics: Metrics
    pace: Pace
    selector: Selector
    created: int  # when it started, seconds since 1970

    @property
    def models(self) -> list[str]:
        """Names of the models that are served, the default first."""
        return [model_name(model) for model in self.settings.models]

    @property
    def fill_ceiling(self) -> int:
        """Bytes that this process may hold while it fills for one request; asked for before the photo is opened."""
        return memory.resident() + self.shares.fill

    def in_its_own_terms(self, error: TooLarge, ceiling: int) -> TooLarge:
        """A fill's TooLarge with the `--max-memory` that the server would need: a fill has a share of it.

        `ceiling`: the `fill_ceiling` that was too low.
        """
        if error.needed is None:
            return error
        least = int(1.05 * self.shares.total_for(error.needed - ceiling + self.shares.fill)) >> 20
        told = re.sub(r"--max-memory \d+M", f"the server's --max-memory: {least}M or more", str(error))
        return TooLarge(told.replace("; the limit is", "; the limit for one request is", 1))

    @property
    def opening(self) -> int:
        """Bytes that opening a photo to be filled may take."""
        return self.shares.fill * 2 // 3

    def opened(self, source: bytes | Completion, ticket: Ticket[Any], room: int) -> Completion:
        """A file that was sent, or a fill that the server still has. Raises BadImage and TooLarge."""
        if isinstance(source, Completion):
            return source
        return unfilled(self.coders.photo(source, memory=room, check=ticket.check))

    def mask(self, data: bytes, ticket: Ticket[Any], room: int) -> Photo:
        """A mask's file. Raises BadMask for whatever is not a picture, TooLarge before it is decoded."""
        return self.coders.photo(data, memory=room, check=ticket.check, mask=True)

    def body(self, data: bytes, ticket: Ticket[Any]) -> Opened:
        """A JSON body with pictures in it. Raises BadImage, BadMask and TooLarge."""
        return self.coders.iopaint(data, memory=self.opening, check=ticket.check)

    def written(self, whole: Finished, ticket: Ticket[Any]) -> Spool:
        """A fill's file. Raises BadImage, TooLarge, and Refusal 503 where too many wait to be read."""
        with closing(whole.parts(partial(self.coders.written, check=ticket.check))) as parts:
            return self.spools.of(parts, check=ticket.check)

    def model(self, asked: str | None) -> str:
        """The model that serves a request; OpenAI's names stand for the default. Raises Refusal 404."""
        if not asked or asked.startswith(FOREIGN_MODELS):
            return self.models[0]
        if asked not in self.models:
            raise Refusal(
                404, f"The model '{asked[:100]}' is not served here. Models: {', '.join(self.models)}.",
                code="model_not_found", param="model",
            )  # fmt: skip
        return asked

    def answers(self, request: Request, work: Work[Models, Item], *, fills: bool = True) -> Answers[Item]:
        """Queue the work of a request up; `fills`: whether it needs the models. Raises Refusal 429 and 503."""
        queue = self.queue if fills else self.desk
        return Answers(queue, queue.submit(client_of(request), work), request, self.settings.limits.seconds)

    async def answer(self, request: Request, work: Work[Models, Item], *, fills: bool = True) -> Item:
        """What a request's work yields, where that is one item. Raises what `answers` and `Answers.next` raise."""
        with self.answers(request, work, fills=fills) as answers:
            made = await answers.next()
        assert made is not None, "work without an item raises"
        return made


class Answers(Generic[Item]):
    """What a request's work yields, for as long as its client waits and its time lasts. Close it, whatever happens."""

    def __init__(self, queue: WorkQueue[Models], ticket: Ticket[Item], request: Request, seconds: float) -> None:
        self._queue, self._ticket, self._seconds = queue, ticket, seconds
        self._deadline: float = request.state.deadline
        self._gone = asyncio.ensure_future(_disconnected(request))

    @property
    def ahead(self) -> tuple[int, float] | None:
        """Requests that come before this one, and about how many seconds they take; None once it is worked on."""
        return self._queue.ahead(self._ticket)

    async def next(self) -> Item | None:
        """The next item, None after the last. Raises Refusal 504, ClientLeft, and what the work raised."""
        upcoming = asyncio.ensure_future(self._ticket.next())
        try:
            await asyncio.wait(
                {upcoming, self._gone},
                timeout=max(0.0, self._deadline - time.monotonic()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if upcoming.done():
                return upcoming.result()
        finally:
            upcoming.cancel()
        if self._gone.done():
            raise ClientLeft
        where = "it still waited for its turn" if self._ticket.started is None else "it was being worked on"
        raise Refusal(
            504,
            f"The request took longer than {self._seconds:g} s; {where}. Ask for fewer fills, or send a smaller photo.",
            code="timeout",
        )

    def close(self) -> None:
        """Nobody waits any more: give the place in the queue, or the worker, to somebody else."""
        self._ticket.cancel()
        self._gone.cancel()

    def __enter__(self) -> Answers[Item]:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def model_name(name_or_path: str) -> str:
    """The name by which requests ask for a model: a file's is its stem."""
    file = zoo.file_of(name_or_path)
    return name_or_path if file is None else file.stem


def load_models(settings: Settings, device: str) -> Models:
    """Every model of the settings on a device, tried on a small picture."""
    completers = {
        model_name(model): Completer.from_pretrained(
            model, device=None if device == "auto" else device, engine=settings.engine
        )
        for model in settings.models
    }
    photo, hole = np.full((64, 64, 3), 128, np.uint8), np.zeros((64, 64), bool)
    hole[24:40, 24:40] = True
    for completer in completers.values():
        completer.complete(photo, hole, texture="net")
    return completers


def random_seed() -> int:
    """For a request that names none."""
    return secrets.randbelow(MOST_DRAWN)


def client_of(request: Request) -> str:
    """Whose turn it is counted as."""
    return network_of(request.client.host if request.client else "")


async def _disconnected(request: Request) -> None:
    """Return when the client has left; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def served_model(service: Service, name: str) -> dict[str, Any]:
    """OpenAI's description of a model."""
    return {"id": name, "object": "model", "created": service.created, "owned_by": "manyfill"}
