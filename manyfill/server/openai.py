"""OpenAI's interface: /v1/images/edits and /v1/models as their clients call them, and what Manyfill adds.

The request is one pydantic model: it checks what comes in and is what the OpenAPI page shows.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import JSONResponse, Response, StreamingResponse

from manyfill import photos
from manyfill.completer import Completion
from manyfill.errors import ManyfillError
from manyfill.server import pictures
from manyfill.server.errors import ClientLeft, OpenAIError, Refusal, described, openai_body, refusal_of
from manyfill.server.pictures import Encoded
from manyfill.server.queue import Ticket
from manyfill.server.service import MOST_SEED, Answers, Models, Service, random_seed, served_model
from manyfill.server.settings import MOST_FILLS

TAG = "OpenAI's interface"
FIELDS = 64  # parts of a form at most
TEXT_BYTES = 256 << 10  # of one text field: OpenAI's prompts have up to 32,000 letters
HEARTBEAT_SECONDS = 10.0  # a stream that waits says so, lest a proxy take it for dead
SIZE = r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"
NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
IGNORED = "Accepted, so that programs written for OpenAI work; without meaning here."

Form = TypeVar("Form", bound="PictureForm")


def _number_or_word(value: object) -> object:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value


class PictureForm(BaseModel):
    """What can be said of the pictures that come back."""

    model_config = ConfigDict(extra="ignore")

    output_format: Literal["png", "jpeg", "webp", "same"] = Field(
        "png",
        description="`png` keeps every known pixel and all metadata. `same` (ours): the photo's own format, whatever "
        "that is, JPEG with the photo's own tables.",
    )
    output_compression: int | None = Field(
        None, ge=0, le=100, description="Quality of JPEG and WebP, as OpenAI has it: 100 is best. Not for PNG."
    )
    response_format: Literal["b64_json", "url"] = Field(
        "b64_json", description="`url`: the pictures are kept in memory for a while, and shown small at `preview_url`."
    )

    @property
    def quality(self) -> int | None:
        """For `photos.encode`."""
        if self.output_compression is None or self.output_format == "png":
            return None
        return max(1, self.output_compression)


class EditForm(PictureForm):
    """The text fields of /v1/images/edits."""

    prompt: str = Field("", description="Accepted and ignored: the fill comes from the photo alone. May be absent.")
    model: str | None = Field(
        None, description="A name of /v1/models; absent, `gpt-image-*` and `dall-e-*` mean the default."
    )
    n: int = Field(1, ge=1, le=MOST_FILLS, description="How many different fills, best first.")
    size: Annotated[str, Field(pattern=SIZE)] = Field(
        "auto", description="`auto`: the photo's own. `WxH`: the filled photo is scaled to that; its shape must fit."
    )
    stream: bool = Field(False, description="Send each fill as soon as it is finished, as server-sent events.")
    partial_images: int = Field(
        0, ge=0, le=3, description="With `stream`: how many unfinished pictures of each fill to send, coarse to fine."
    )
    seed: int | None = Field(
        None, ge=0, le=MOST_SEED,
        description="Ours. The same seed gives the same fills; absent: a random one. Each fill's own is in the answer.",
    )  # fmt: skip
    diversity: float = Field(
        1.0, ge=0, le=2, description="Ours. How far the fills go from the most likely one; 0: that one alone."
    )
    near: int | None = Field(
        None, ge=0, le=MOST_SEED, description="Ours. The seed of a fill that these are to resemble: more like this one."
    )
    step: float = Field(
        0.5, ge=0, le=1, description="Ours. How far to go from the fill `near`: 0 is that fill, 1 as far as any other."
    )
    texture: Annotated[
        Literal["auto", "net", "photo"] | Annotated[float, Field(ge=0, le=1)], BeforeValidator(_number_or_word)
    ] = Field("auto", description="Ours. How much of the detail comes from the photo's own patches: 0 (`net`) to 1.")
    grow: int = Field(0, ge=0, le=256, description="Ours. Enlarge the hole by this many pixels.")
    band: int = Field(
        0, ge=0, le=256,
        description="Ours. Let the fill blend into the photo this far outside the hole; 0 keeps known pixels exact.",
    )  # fmt: skip
    uncertainty: bool = Field(False, description="Ours. Also send a picture of where the fills disagree.")
    background: str | None = Field(None, description=IGNORED)
    quality_: str | None = Field(None, alias="quality", description=IGNORED)
    input_fidelity: str | None = Field(None, description=IGNORED)
    user: str | None = Field(None, description=IGNORED)


class MergeForm(PictureForm):
    """The text fields of /v1/images/merge."""


class PreviewForm(BaseModel):
    """The text fields of /v1/images/preview: none."""


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


REFUSALS = described(
    OpenAIError,
    {
        400: "Something in the request is wrong; the message says what.",
        401: "The server has a token and the request has another, or none.",
        403: "Another web site called from a browser.",
        404: "No such model.",
        408: "The body did not arrive in time.",
        413: "More bytes or pixels than allowed.",
        421: "The server was called by a name that it does not answer to.",
        429: "The queue is full; `Retry-After` says when to come again.",
        500: "The server failed at this request.",
        503: "No model could be loaded, or the server shuts down.",
        504: "The request took longer than allowed.",
    },
)


# ── what comes in ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Parts:
    """A multipart body, taken apart."""

    texts: dict[str, str]
    files: dict[str, list[bytes]]

    def one(self, *names: str, wanted: str) -> bytes:
        """The one file under any of these names. Raises Refusal 400."""
        found = self.any(*names)
        if found is None:
            raise Refusal(
                400, f"Missing required parameter: '{names[0]}'. Send {wanted} as a file in a multipart form.",
                code="missing_required_parameter", param=names[0],
            )  # fmt: skip
        return found

    def any(self, *names: str) -> bytes | None:
        """The file under any of these names, if there is one. Raises Refusal 400 where there are several."""
        found = [data for name in names for data in self.files.get(name, [])]
        if len(found) > 1:
            raise Refusal(
                400, f"There are {len(found)} files under '{names[0]}'; send one. Each photo is a request of its own.",
                code="invalid_value", param=names[0],
            )  # fmt: skip
        if not found and any(name in self.texts for name in names):
            raise Refusal(
                400, f"'{names[0]}' is text; expected a file. No URL and no path is ever opened from a request.",
                code="invalid_type", param=names[0],
            )  # fmt: skip
        return found[0] if found else None


async def read_parts(request: Request, limit: int) -> Parts:
    """A multipart body, all of it in memory: nothing from a request touches the disk. Raises Refusal 400."""
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        async for _ in request.stream():
            pass
        raise Refusal(
            400, f"Invalid Content-Type header ({kind[:100] or 'none'}), expected multipart/form-data.",
            code="invalid_content_type",
        )  # fmt: skip
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=FIELDS, max_fields=FIELDS, max_part_size=TEXT_BYTES
    )
    parser.spool_max_size = limit + 1
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, LookupError) as error:
        words = getattr(error, "message", None) or "its parts cannot be told apart"
        raise Refusal(400, f"The multipart form is broken: {words}", code="invalid_form") from None
    texts: dict[str, str] = {}
    files: dict[str, list[bytes]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.setdefault(name, []).append(await value.read())
            await value.close()
        elif value != "":
            texts[name] = value
    return Parts(texts, files)


def validated(kind: type[Form], texts: dict[str, str]) -> Form:
    """The text fields. Raises Refusal 400 with OpenAI's code for the first that is wrong."""
    try:
        return kind.model_validate(texts)
    except ValidationError as error:
        raise refusal_of_field(error.errors()[0]) from None


def refusal_of_field(problem: Any) -> Refusal:
    """What pydantic found wrong with a field, in OpenAI's words."""
    field, given, limits = str(problem["loc"][0]), str(problem.get("input", ""))[:100], problem.get("ctx", {})
    codes = {
        "greater_than_equal": ("integer_below_min_value", f"Expected a value >= {limits.get('ge')}"),
        "less_than_equal": ("integer_above_max_value", f"Expected a value <= {limits.get('le')}"),
        "literal_error": ("invalid_value", f"Supported values are: {limits.get('expected')}"),
        "string_pattern_mismatch": ("invalid_value", "Supported values are: 'auto' and WIDTHxHEIGHT such as 1024x1024"),
        "missing": ("missing_required_parameter", "It is required"),
    }
    code, words = codes.get(problem["type"], ("invalid_type", str(problem["msg"])))
    return Refusal(400, f"Invalid value for '{field}': {given!r}. {words}.", code=code, param=field)


# ── what goes out ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Shown:
    """A picture on its way to the client."""

    kind: Literal["partial", "fill", "uncertainty"]
    whole: Encoded
    small: Encoded | None = None  # where it is to be fetched by URL
    seed: int | None = None
    score: float | None = None
    step: int = 0


def edit(form: EditForm, image: bytes, mask: bytes | None, seed: int, model: str, service: Service) -> Any:
    """The work of one edit, for the queue."""
    limits = service.settings.limits
    size = None if form.size == "auto" else tuple(map(int, form.size.split("x")))

    def work(models: Models, ticket: Ticket[Shown]) -> Iterator[Shown]:
        photo = photos.read(image, max_pixels=limits.pixels)
        marked, polarity = pictures.openai_mask(
            photo, None if mask is None else pictures.read_mask(mask, max_pixels=limits.pixels)
        )
        if size is not None:
            pictures.check_size(photo, *size, max_pixels=limits.pixels)
        pictures.check_format(photo, form.output_format, opaque=polarity == "alpha")
        kept: list[Completion] = []

        def preview(fill: Completion, step: int, steps: int) -> None:
            wanted = [-(-(number + 1) * steps // form.partial_images) for number in range(form.partial_images)]
            if step in wanted:
                format = form.output_format if form.output_format in pictures.SHOWN else "webp"
                small = pictures.preview(fill.photo, pictures.PARTIAL_SIDE, format=format)
                ticket.put(Shown("partial", small, seed=fill.seed, step=wanted.index(step)))
            ticket.check()

        fills = models[model].stream(
            photo,
            marked,
            n=form.n,
            seed=seed,
            polarity=polarity,
            grow=form.grow,
            band=form.band,
            diversity=form.diversity,
            near=form.near,
            step=form.step,
            texture=form.texture,
            max_memory=service.fill_memory,
            progress=ticket.check,
            preview=preview if form.stream and form.partial_images else None,
        )
        for fill in fills:
            done = fill.photo if size is None else pictures.resized(fill.photo, *size)
            whole = pictures.encode(done, format=form.output_format, quality=form.quality)
            small = pictures.preview(done) if form.response_format == "url" else None
            service.metrics.filled(model)
            yield Shown("fill", whole, small, fill.seed, fill.score)
            if form.uncertainty:
                kept.append(fill)
        if form.uncertainty and len(kept) > 1:
            heat = pictures.heat_map(kept)
            yield Shown("uncertainty", heat, heat)

    return work


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


# ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def form_body(kind: type[BaseModel], files: dict[str, str], required: list[str]) -> dict[str, Any]:
    """The OpenAPI request body of a multipart form: the model's fields and files with these descriptions."""
    schema = kind.model_json_schema()
    schema["properties"] = schema.get("properties", {}) | {
        name: {"type": "string", "format": "binary", "description": words} for name, words in files.items()
    }
    schema["required"] = required
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


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
            ["image"],
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
        model = service.model(form.model)
        image = parts.one("image", "image[]", wanted="the photo")
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
        "Depth, EXIF and colour profile are those of `image`. For more regions call again with the result.",
        response_model=Images,
        responses=REFUSALS,
        openapi_extra=form_body(
            MergeForm,
            {
                "image": "A fill, as /v1/images/edits gave it.",
                "other": "Another fill of the same photo.",
                "mask": "The region to take from `other`: transparent, or white where nothing is transparent.",
            },
            ["image", "other", "mask"],
        ),
    )
    async def merge(request: Request) -> Response:
        parts = await read_parts(request, limit)
        form = validated(MergeForm, parts.texts)
        image = parts.one("image", wanted="a fill")
        other = parts.one("other", wanted="another fill")
        region = parts.one("mask", wanted="the region")

        def work(_: Models, ticket: Ticket[Shown]) -> Iterator[Shown]:
            pixels = service.settings.limits.pixels
            base, second = (photos.read(data, max_pixels=pixels) for data in (image, other))
            ticket.check()
            done = pictures.merge(base, second, pictures.read_region(region, base, max_pixels=pixels))
            whole = pictures.encode(done, format=form.output_format, quality=form.quality)
            yield Shown("fill", whole, pictures.preview(done) if form.response_format == "url" else None)

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

        def work(_: Models, ticket: Ticket[Shown]) -> Iterator[Shown]:
            photo = photos.read(image, max_pixels=service.settings.limits.pixels)
            yield Shown("fill", replace(pictures.preview(photo), width=photo.width, height=photo.height))

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
