"""OpenAI's answers: pictures as they come from the queue, as one JSON document or as server-sent events."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from manyfill.errors import ManyfillError
from manyfill.server.errors import ClientLeft, Refusal, openai_body, refusal_of
from manyfill.server.forms import EditForm, PictureForm
from manyfill.server.service import Answers, Service
from manyfill.server.work import Shown

HEARTBEAT_SECONDS = 10.0  # a stream that waits says so, lest a proxy take it for dead
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
    usage: dict[str, Any] = Field(default=NO_TOKENS, description="Zeros: nothing here is counted in tokens.")


def picture(shown: Shown, form: PictureForm, service: Service, request: Request) -> dict[str, Any]:
    """One picture's part of an answer."""
    if form.response_format == "url" and shown.small is not None:
        url = str(request.url_for("result", name=service.results.add(shown.whole, shown.small)))
        where = {"url": url, "preview_url": f"{url}/preview"}
    else:
        where = {"b64_json": base64.b64encode(shown.whole.data).decode("ascii")}
    return where | {"seed": shown.seed, "score": shown.score}


async def listed(answers: Answers[Shown], form: PictureForm, service: Service, request: Request) -> Response:
    """The answer in one piece."""
    body: dict[str, Any] = {"created": int(time.time()), "data": []}
    while (one := await answers.next()) is not None:
        entry = await asyncio.to_thread(picture, one, form, service, request)
        if one.kind == "uncertainty":
            body["uncertainty"] = entry
            continue
        body["data"].append(entry)
        body |= {"output_format": one.whole.format, "size": one.whole.size}
    body |= {"background": "auto", "quality": "auto", "usage": NO_TOKENS}
    return Response(await asyncio.to_thread(json.dumps, body), media_type="application/json")


async def events(answers: Answers[Shown], form: EditForm, service: Service, request: Request) -> Response:
    """The answer as server-sent events; what goes wrong before the first of them has a status of its own."""
    first = asyncio.ensure_future(answers.next())
    try:
        await asyncio.wait({first}, timeout=HEARTBEAT_SECONDS)
        if first.done():
            first.result()
    except BaseException:
        answers.close()
        raise

    async def lines() -> AsyncIterator[bytes]:
        upcoming, rank = first, 0
        try:
            while True:
                while not upcoming.done():
                    await asyncio.wait({upcoming}, timeout=HEARTBEAT_SECONDS)
                    if not upcoming.done():
                        yield b": working\n\n"
                one = upcoming.result()
                if one is None:
                    return
                name, entry = await asyncio.to_thread(event, one, rank, form, service, request)
                rank += one.kind == "fill"
                yield b"event: " + name.encode() + b"\ndata: " + entry + b"\n\n"
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


def event(one: Shown, rank: int, form: EditForm, service: Service, request: Request) -> tuple[str, bytes]:
    """One event's name and data."""
    name = {"partial": "image_edit.partial_image", "fill": "image_edit.completed"}.get(
        one.kind, "image_edit.uncertainty"
    )
    body: dict[str, Any] = {
        "type": name,
        "created_at": int(time.time()),
        "size": one.whole.size,
        "quality": "auto",
        "background": "auto",
        "output_format": one.whole.format,
        **picture(one, form, service, request),
    }
    if one.kind == "partial":
        body["partial_image_index"] = one.step
    if one.kind == "fill":
        body |= {"index": rank, "usage": NO_TOKENS}
    return name, json.dumps(body).encode()
