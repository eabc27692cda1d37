"""OpenAI's interface: /v1/images/edits and /v1/models as their clients call them, and what Manyfill adds."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from manyfill.server.errors import FILLING, USUAL, OpenAIError, Refusal, described
from manyfill.server.forms import (
    EditForm,
    MergeForm,
    PictureForm,
    PreviewForm,
    form_body,
    read_parts,
    validated,
)
from manyfill.server.replies import Images, events, listed
from manyfill.server.service import Service, random_seed, served_model
from manyfill.server.work import edit, merging, previewing, sent_or_kept

TAG = "OpenAI's interface"


class Model(BaseModel):
    """OpenAI's description of a model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """OpenAI's list of models."""

    object: Literal["list"]
    data: list[Model]


REFUSALS = described(OpenAIError, USUAL | FILLING | {404: "No such model."})
BESIDE = described(OpenAIError, USUAL | {404: "No such result."})  # of what is done beside the fills, at the desk


def router(service: Service) -> APIRouter:
    """The routes under /v1."""
    routes = APIRouter(prefix="/v1", tags=[TAG])
    limit = service.settings.limits.body

    @routes.post(
        "/images/edits",
        summary="Fill the hole in a photo",
        description="As OpenAI's clients call it. `image[]` with one file is taken as `image`.",
        response_model=Images,
        responses=REFUSALS | {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
        openapi_extra=form_body(
            EditForm,
            {
                "image": "The photo: JPEG, PNG, WebP, TIFF, BMP, HEIC or AVIF.",
                "mask": "A picture of the photo's size: transparent = fill; where nothing is transparent, white = "
                "fill. Absent: the photo's own transparency.",
            },
            [],
        ),
    )
    async def edits(request: Request) -> Response:
        parts = await read_parts(request, limit)
        form = validated(EditForm, parts.texts)
        if form.output_format == "png" and (form.output_compression or 100) < 100:
            raise Refusal(
                400, f"Invalid compression {form.output_compression}: less than 100 is not supported for PNG output. "
                "Choose jpeg or webp.", code="invalid_value", param="output_compression",
            )  # fmt: skip
        model = request.state.model = service.model(form.model)
        image = sent_or_kept(parts, form.image_result, service, "image", "image[]", wanted="the photo")
        seed = random_seed() if form.seed is None else form.seed
        work = edit(form, image, parts.any("mask", "mask[]"), seed, model, service)
        if form.stream:
            return await events(service.answers(request, work), form, service, request)
        with service.answers(request, work) as answers:
            return await listed(answers, form, service, request)

    @routes.post(
        "/images/merge",
        summary="Keep one region of one fill and another region of another",
        description="Ours. `image` with the region in `mask` taken from `other`; the seam between them is closed. "
        "Depth, EXIF and colour profile are those of `image`. For more regions call again with the result. Fills that "
        "the server still has need not be sent: their names are enough.",
        response_model=Images,
        responses=REFUSALS,
        openapi_extra=form_body(
            MergeForm,
            {
                "image": "A fill, as /v1/images/edits gave it.",
                "other": "Another fill of the same photo.",
                "mask": "The region to take from `other`: transparent, or white where nothing is transparent.",
            },
            ["mask"],
        ),
    )
    async def merge(request: Request) -> Response:
        parts = await read_parts(request, limit)
        form = validated(MergeForm, parts.texts)
        image = sent_or_kept(parts, form.image_result, service, "image", wanted="a fill")
        other = sent_or_kept(parts, form.other_result, service, "other", wanted="another fill")
        work = merging(form, image, other, parts.one("mask", wanted="the region"), service)
        with service.answers(request, work, fills=False) as answers:
            return await listed(answers, form, service, request)

    @routes.post(
        "/images/preview",
        summary="A photo as a browser can show it",
        description="Ours. Small, upright, 8 bits, WebP: for photos that browsers do not open, such as TIFF and HEIC. "
        "`size` in the answer is the photo's own, which a mask for it must have.",
        response_model=Images,
        responses=REFUSALS,
        openapi_extra=form_body(PreviewForm, {"image": "The photo."}, ["image"]),
    )
    async def preview(request: Request) -> Response:
        image = (await read_parts(request, limit)).one("image", "image[]", wanted="the photo")

        work = previewing(image, service)
        with service.answers(request, work) as answers:
            return await listed(answers, validated(PictureForm, {}), service, request)

    @routes.get(
        "/models", summary="The models that are served", response_model=ModelList, responses=_only(401, 403, 421)
    )
    async def models() -> JSONResponse:
        return JSONResponse({"object": "list", "data": [served_model(service, name) for name in service.models]})

    @routes.get("/models/{model}", summary="One model", response_model=Model, responses=_only(401, 403, 404, 421))
    async def model(model: str) -> JSONResponse:
        return JSONResponse(served_model(service, service.model(model)))

    return routes


def _only(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: REFUSALS[status] for status in statuses}
