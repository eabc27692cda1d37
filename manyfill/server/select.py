"""Selecting what is to go: /v1/images/select, as the page and programs ask for it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from manyfill import selection
from manyfill.errors import BadWeights, ManyfillError, MissingExtra, UnknownModel
from manyfill.selection.asked import MOST_GROWN, Selection, parse_box, parse_points
from manyfill.server.errors import Refusal
from manyfill.server.forms import BY_NAME, RESULT, form_body, read_parts, validated
from manyfill.server.openai import BESIDE, TAG
from manyfill.server.pictures import Finished
from manyfill.server.queue import Ticket, Work
from manyfill.server.service import Models, Service
from manyfill.server.work import Source, sent_or_kept

TEXTS = 100_000  # letters of points
POINTS = r"^[-0-9eE., ;|]*$"


class SelectForm(BaseModel):
    """The text fields of /v1/images/select; coordinates are pixels of the upright photo."""

    model_config = ConfigDict(extra="ignore")

    image_result: str | None = Field(None, max_length=RESULT, description="Instead of `image`: " + BY_NAME)
    click: str = Field("", max_length=TEXTS, pattern=POINTS, description="Points of the object to go: `x,y x,y ...`.")
    keep: str = Field("", max_length=TEXTS, pattern=POINTS, description="Points of what stays, likewise.")
    scribble: str = Field(
        "", max_length=TEXTS, pattern=POINTS, description="Lines over the object: `x,y x,y ...`, parted by `|`."
    )
    box: str = Field("", max_length=100, description="`left,top,right,bottom` around the object.")
    text: bool = Field(False, description="All writing.")
    dust: bool = Field(False, description="Dust and scratches of a scan.")
    colour: str | None = Field(None, max_length=20, description="What was painted in this colour: `#ff00ff`.")
    grow: int | None = Field(
        None, ge=-MOST_GROWN, le=MOST_GROWN,
        description="Pixels to enlarge by, below 0 to shrink; absent: enough for rims and shadows.",
    )  # fmt: skip
    feather: int = Field(0, ge=0, le=1024, description="Pixels on either side over which the edge is soft.")


class Mask(BaseModel):
    """What was selected."""

    mask: str = Field(description="A PNG of the photo's size, base64: white = fill.")
    hole_ratio: float = Field(description="Share of the photo that is selected.")
    image_result: str | None = Field(description="A name under which the photo is kept for a while, where it was sent.")
    notes: list[str] = Field(description="How it was selected.")


@dataclass(frozen=True)
class Found:
    """A selection on its way to the client."""

    mask: bytes
    ratio: float
    photo: Finished | None  # that was sent
    notes: tuple[str, ...]


def router(service: Service) -> APIRouter:
    """The route under /v1."""
    routes = APIRouter(prefix="/v1", tags=[TAG])

    @routes.post(
        "/images/select",
        summary="Select what is to go, as a mask",
        description="Ours. An object by clicks, scribbles or a box (SAM where the server has it, else GrabCut); text; "
        "dust and scratches; a colour. What is named together is united. Send the photo once, then its `image_result`.",
        response_model=Mask,
        responses=BESIDE,
        openapi_extra=form_body(SelectForm, {"image": "The photo."}, []),
    )
    async def select(request: Request) -> JSONResponse:
        parts = await read_parts(request, service.settings.limits.body)
        form = validated(SelectForm, parts.texts)
        wanted = _wanted(form)
        image = sent_or_kept(parts, form.image_result, service, "image", "image[]", wanted="the photo")
        found = await service.answer(request, selecting(image, wanted, form.feather, service), fills=False)
        name = None if found.photo is None else service.results.add(found.photo, None)
        body = Mask(
            mask=base64.b64encode(found.mask).decode(), hole_ratio=found.ratio, image_result=name,
            notes=list(found.notes),
        )  # fmt: skip
        return JSONResponse(body.model_dump())

    return routes


def selecting(image: Source, wanted: Selection, feather: int, service: Service) -> Work[Models, Found]:
    """The work of a selection, in the photo or in a fill that the server still has."""

    def work(_: Models, ticket: Ticket[Found]) -> Iterator[Found]:
        opened = service.opened(image, ticket, service.shares.desk)
        ticket.check()
        try:
            found = service.selector.select(opened.photo, wanted, check=ticket.check)
        except (UnknownModel, MissingExtra, BadWeights) as error:  # of networks that are not on this machine
            raise Refusal(400, f"On the server, {error}", code="not_installed") from None
        ticket.check()
        sent = Finished(opened) if isinstance(image, bytes) else None
        yield Found(selection.as_mask(found.hole, feather=feather), float(found.hole.mean()), sent, found.notes)

    return work


def _wanted(form: SelectForm) -> Selection:
    """Raises Refusal 400 for what cannot be meant."""
    try:
        return Selection(
            clicks=parse_points(form.click, "click") if form.click.strip() else (),
            keep=parse_points(form.keep, "keep") if form.keep.strip() else (),
            scribbles=tuple(parse_points(each, "scribble") for each in form.scribble.split("|") if each.strip()),
            box=parse_box(form.box) if form.box else None,
            text=form.text,
            dust=form.dust,
            colour=form.colour,
            grow=form.grow,
        )
    except ManyfillError as error:
        raise Refusal(400, str(error), code="invalid_value") from None
