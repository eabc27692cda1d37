"""A photo on a larger canvas, to be filled afterwards: /v1/images/canvas, as the page and programs ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from manyfill.errors import ManyfillError
from manyfill.options import FillOptions, Margins, margins
from manyfill.photos import extended
from manyfill.server import pictures
from manyfill.server.errors import Refusal
from manyfill.server.forms import BY_NAME, RESULT, form_body, read_parts, validated
from manyfill.server.openai import BESIDE, TAG
from manyfill.server.pictures import Finished, unfilled
from manyfill.server.queue import Ticket, Work
from manyfill.server.service import Models, Service
from manyfill.server.work import Source, sent_or_kept


class CanvasForm(BaseModel):
    """The text fields of /v1/images/canvas."""

    model_config = ConfigDict(extra="ignore")

    image_result: str | None = Field(None, max_length=RESULT, description="Instead of `image`: " + BY_NAME)
    extend: str | None = Field(
        None, max_length=100, description="By how much: `top,right,bottom,left` in pixels or per cent."
    )
    extend_to: str | None = Field(None, max_length=20, description="Just so much that it has this shape: `16:9`.")


class Canvas(BaseModel):
    """The photo on its larger canvas; its border is to be filled."""

    image_result: str = Field(description="A name under which it is kept for a while, for /v1/images/edits.")
    url: str = Field(description="Where it can be fetched, in the photo's own format; `?format=png` keeps every pixel.")
    size: str = Field(description="`WxH`, as a mask for it must be.")
    left: int = Field(description="How far from the left the photo's own pixels now begin.")
    top: int = Field(description="How far from the top.")
    notes: list[str] = Field(description="What could not be kept on the larger canvas.")


@dataclass(frozen=True)
class Larger:
    """A canvas on its way to the client."""

    whole: Finished
    by: Margins


def router(service: Service) -> APIRouter:
    """The route under /v1."""
    routes = APIRouter(prefix="/v1", tags=[TAG])

    @routes.post(
        "/images/canvas",
        summary="A photo on a larger canvas",
        description="Ours. The photo's pixels are exact at their new place, its metadata follow; the border repeats "
        "its edge and is to be filled: send `image_result` to /v1/images/edits, with a mask. To have a border filled "
        "at once, send `extend` there.",
        response_model=Canvas,
        responses=BESIDE,
        openapi_extra=form_body(CanvasForm, {"image": "The photo."}, []),
    )
    async def canvas(request: Request) -> JSONResponse:
        parts = await read_parts(request, service.settings.limits.body)
        form = validated(CanvasForm, parts.texts)
        wanted = _wanted(form)
        image = sent_or_kept(parts, form.image_result, service, "image", "image[]", wanted="the photo")
        made = await service.answer(request, enlarging(image, wanted, service), fills=False)
        name = service.results.add(made.whole, None)
        body = Canvas(
            image_result=name, url=str(request.url_for("result", name=name)), size=made.whole.size,
            left=made.by.left, top=made.by.top, notes=list(made.whole.notes),
        )  # fmt: skip
        return JSONResponse(body.model_dump())

    return routes


def enlarging(image: Source, wanted: FillOptions, service: Service) -> Work[Models, Larger]:
    """The work of enlarging the canvas of a photo, or of a fill that the server still has."""

    def work(_: Models, ticket: Ticket[Larger]) -> Iterator[Larger]:
        room = service.shares.desk
        photo = service.opened(image, ticket, room).photo
        by = margins(wanted, photo.height, photo.width)
        pictures.check_canvas(photo, by, max_pixels=service.settings.limits.pixels)
        pictures.check_larger(photo, by, room)
        ticket.check()
        larger = extended(photo, top=by.top, right=by.right, bottom=by.bottom, left=by.left)
        yield Larger(Finished(unfilled(larger)), by)

    return work


def _wanted(form: CanvasForm) -> FillOptions:
    """Raises Refusal 400 for what cannot be meant."""
    if form.extend is None and form.extend_to is None:
        raise Refusal(
            400, "Missing required parameter: 'extend'. Send how much larger the canvas is to be, such as 0,25%,0,25% "
            "(top, right, bottom, left), or its shape as 'extend_to', such as 16:9.",
            code="missing_required_parameter", param="extend",
        )  # fmt: skip
    try:
        return FillOptions(extend=form.extend, extend_to=form.extend_to)
    except ManyfillError as error:
        raise Refusal(400, str(error), code="invalid_value", param="extend") from None
