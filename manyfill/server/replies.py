"""OpenAI's answers: pictures as they come from the queue, as one JSON document or as server-sent events."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse

from manyfill.errors import ManyfillError
from manyfill.server.errors import ClientLeft, Refusal, openai_body, refusal_of
from manyfill.server.forms import EditForm, PictureForm
from manyfill.server.pictures import Encoded, Finished
from manyfill.server.service import Answers, Service
from manyfill.server.spool import Spool
from manyfill.server.work import Notice, Shown

NOTES, NOTE = 10, 200  # how many in a header, and letters of each; the JSON has all of them
HEARTBEAT_SECONDS = 10.0  # a stream that waits says so, so that a proxy does not take it for dead
TURN_SECONDS = 0.4  # how often the place in the queue is looked at, for who asked
NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


class Picture(BaseModel):
    """One fill."""

    b64_json: str | None = None
    url: str | None = Field(None, description="Where the picture can be fetched, for a while.")
    preview_url: str | None = Field(None, description="The same, small, as WebP.")
    seed: int | None = Field(None, description="Sent as `seed` with n=1, it gives this fill again.")
    score: float | None = Field(None, description="Higher is better; only fills of one photo and hole compare.")


class Images(BaseModel):
    """The answer of /v1/images/edits and /v1/images/merge: fills, best first."""

    created: int = Field(description="Seconds since 1970.")
    data: list[Picture]
    output_format: str
    size: str
    model: str | None = None
    uncertainty: Picture | None = None
    background: Literal["auto"] = "auto"
    quality: Literal["auto"] = "auto"
    notes: list[str] = Field(default=[], description="What reading, filling and writing could not keep.")
    usage: dict[str, Any] = Field(default=NO_TOKENS, description="Zeros: nothing here is counted in tokens.")


def noted(notes: tuple[str, ...]) -> dict[str, str]:
    """A header for what could not be kept: a JSON list in ASCII, so that any client can read it."""
    return {"X-Manyfill-Notes": json.dumps([note[:NOTE] for note in notes[:NOTES]])} if notes else {}


class Composed:
    """JSON in which files stand in base64: of known length, written piece by piece, never all of it in memory."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)
        self._files: list[Encoded | Spool] = []

    def file(self, file: Encoded | Spool) -> str:
        """What stands for a file in the JSON until it is written."""
        self._files.append(file)
        return self._mark

    def of(self, body: dict[str, Any]) -> tuple[int, Iterator[bytes]]:
        """Length and pieces of this JSON. `body` has the files in the order in which they were given."""
        texts = json.dumps(body).encode("ascii").split(self._mark.encode("ascii"))
        assert len(texts) == len(self._files) + 1, "each file stands in the JSON once"
        length = sum(map(len, texts)) + sum(4 * -(-file.length // 3) for file in self._files)
        return length, self._pieces(texts)

    def _pieces(self, texts: list[bytes]) -> Iterator[bytes]:
        yield texts[0]
        for file, text in zip(self._files, texts[1:], strict=True):
            for piece in file.pieces():
                yield base64.b64encode(piece)
            yield text


def picture(one: Shown, form: PictureForm, service: Service, request: Request, composed: Composed) -> dict[str, Any]:
    """One picture's part of an answer."""
    if form.response_format == "url" and one.small is not None:
        url = str(request.url_for("result", name=service.results.add(one.whole, one.small)))
        where = {"url": url, "preview_url": f"{url}/preview"}
    else:
        assert one.file is not None
        where = {"b64_json": composed.file(one.file)}
    return where | {"seed": one.seed, "score": one.score}


async def listed(
    answers: Answers[Shown | Notice] | Answers[Shown], form: PictureForm, service: Service, request: Request
) -> Response:
    """The answer in one piece."""
    body: dict[str, Any] = {"created": int(time.time()), "data": []}
    composed, notes = Composed(), tuple[str, ...]()
    while (one := await answers.next()) is not None:
        if isinstance(one, Notice):  # nobody reads it before the end
            continue
        entry = picture(one, form, service, request, composed)
        if one.kind == "uncertainty":
            body["uncertainty"] = entry
            continue
        body["data"].append(entry)
        body |= {"output_format": one.whole.format, "size": one.whole.size}
        notes = notes or one.whole.notes
    body |= {"background": "auto", "quality": "auto", "usage": NO_TOKENS, "notes": notes}
    length, pieces = composed.of(body)
    headers = {"Content-Length": str(length), **noted(notes)}
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


def sent(file: Spool, whole: Finished, headers: Mapping[str, str]) -> Response:
    """A file as the answer."""
    told = {"Content-Length": str(file.length), **noted(whole.notes), **headers}
    return StreamingResponse(file.pieces(), media_type=whole.media_type, headers=told)


async def events(answers: Answers[Shown | Notice], form: EditForm, service: Service, request: Request) -> Response:
    """The answer as server-sent events; what goes wrong before the first of them has a status of its own."""
    first = asyncio.ensure_future(answers.next())
    pause = TURN_SECONDS if form.progress else HEARTBEAT_SECONDS
    try:
        await asyncio.wait({first}, timeout=pause)
        if first.done():
            first.result()
    except BaseException:
        answers.close()
        raise

    async def lines() -> AsyncIterator[bytes]:
        upcoming, rank, waited = first, 0, 0.0
        place: int | None = None
        try:
            while True:
                while not upcoming.done():
                    if form.progress and (now := answers.ahead) is not None and now[0] != place:
                        place = now[0]
                        yield progress_event(Notice("queued", ahead=place, seconds=now[1]), service)
                    elif waited >= HEARTBEAT_SECONDS:
                        yield b": working\n\n"
                        waited = 0.0
                    await asyncio.wait({upcoming}, timeout=pause)
                    waited += pause
                one, waited = upcoming.result(), 0.0
                if one is None:
                    return
                if isinstance(one, Notice):
                    yield progress_event(one, service)
                    upcoming = asyncio.ensure_future(answers.next())
                    continue
                name, pieces = event(one, rank, form, service, request)
                rank += one.kind == "fill"
                yield b"event: " + name.encode() + b"\ndata: "
                async for piece in iterate_in_threadpool(pieces):
                    yield piece
                yield b"\n\n"
                upcoming = asyncio.ensure_future(answers.next())
        except (Refusal, ManyfillError) as error:
            refusal = error if isinstance(error, Refusal) else refusal_of(error)
            yield b"event: error\ndata: " + json.dumps(openai_body(refusal)).encode() + b"\n\n"
        except ClientLeft:
            return
        finally:
            upcoming.cancel()
            answers.close()

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def progress_event(notice: Notice, service: Service) -> bytes:
    """How far the work is, as an event; of a photo that was opened it says the name by which it is kept."""
    body: dict[str, Any] = {"type": "image_edit.progress", "stage": notice.stage}
    if notice.stage == "queued":
        body["ahead"] = notice.ahead
    elif notice.total:
        body |= {"done": notice.done, "total": notice.total}
    if notice.seconds is not None:
        body["seconds"] = round(notice.seconds, 1)
    if notice.photo is not None:
        body["image_result"] = service.results.add(notice.photo, None)
    return b"event: image_edit.progress\ndata: " + json.dumps(body).encode() + b"\n\n"


def event(one: Shown, rank: int, form: EditForm, service: Service, request: Request) -> tuple[str, Iterator[bytes]]:
    """One event's name and data."""
    name = {"partial": "image_edit.partial_image", "fill": "image_edit.completed"}.get(
        one.kind, "image_edit.uncertainty"
    )
    composed = Composed()
    body: dict[str, Any] = {
        "type": name,
        "created_at": int(time.time()),
        "size": one.whole.size,
        "quality": "auto",
        "background": "auto",
        "output_format": one.whole.format,
        **picture(one, form, service, request, composed),
    }
    if one.kind == "partial":
        body["partial_image_index"] = one.step
    if one.kind == "fill":
        body |= {"index": rank, "usage": NO_TOKENS, "notes": one.whole.notes}
    return name, composed.of(body)[1]
