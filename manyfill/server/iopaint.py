"""IOPaint's interface: /api/v1/inpaint with JSON and base64, and the calls that its clients make before it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response

from manyfill import photos
from manyfill.errors import BadImage, BadMask
from manyfill.options import FillOptions
from manyfill.server import pictures
from manyfill.server.errors import IOPaintError, Refusal, described
from manyfill.server.pictures import Encoded
from manyfill.server.queue import Ticket
from manyfill.server.service import MOST_SEED, Models, Service, random_seed

TAG = "IOPaint's interface"


class InpaintRequest(BaseModel):
    """What is honoured of IOPaint's request; its further fields, and unknown ones, are ignored."""

    model_config = ConfigDict(extra="ignore")

    image: str = Field(description="The photo, base64, bare or as a data URL.")
    mask: str = Field(description="The mask, likewise: bright = fill, whatever its alpha; of the photo's size.")
    sd_seed: int = Field(42, ge=-1, le=MOST_SEED, description="-1: a random one; `X-Seed` tells it.")


class ModelInfo(BaseModel):
    """IOPaint's description of a model: what its page shows controls for."""

    name: str
    path: str
    model_type: str = "inpaint"
    is_single_file_diffusers: bool = False
    need_prompt: bool = False
    controlnets: list[str] = []
    brushnets: list[str] = []
    support_strength: bool = False
    support_outpainting: bool = False
    support_lcm_lora: bool = False
    support_controlnet: bool = False
    support_brushnet: bool = False
    support_powerpaint_v2: bool = False


class ServerConfig(BaseModel):
    """IOPaint's description of a server: one model, no plug-ins, no files."""

    plugins: list[dict[str, Any]] = []
    modelInfos: list[ModelInfo]  # noqa: N815  (IOPaint's names)
    removeBGModel: str = ""  # noqa: N815
    removeBGModels: list[str] = []  # noqa: N815
    realesrganModel: str = ""  # noqa: N815
    realesrganModels: list[str] = []  # noqa: N815
    interactiveSegModel: str = ""  # noqa: N815
    interactiveSegModels: list[str] = []  # noqa: N815
    enableFileManager: bool = False  # noqa: N815
    enableAutoSaving: bool = False  # noqa: N815
    enableControlnet: bool = False  # noqa: N815
    controlnetMethod: str | None = None  # noqa: N815
    disableModelSwitch: bool = True  # noqa: N815
    isDesktop: bool = False  # noqa: N815
    samplers: list[str] = []


REFUSALS = described(
    IOPaintError,
    {
        400: "Something in the request is wrong; the message says what.",
        401: "The server has a token and the request has another, or none.",
        403: "Another web site called from a browser.",
        408: "The body did not arrive in time.",
        413: "More bytes or pixels than allowed.",
        421: "The server was called by a name that it does not answer to.",
        429: "The queue is full; `Retry-After` says when to come again.",
        500: "The server failed at this request.",
        503: "No model could be loaded, or the server shuts down.",
        504: "The request took longer than allowed.",
    },
)


def parsed(body: bytes) -> tuple[bytes, bytes, int]:
    """Photo, mask and seed. Raises Refusal 400."""
    try:
        asked = InpaintRequest.model_validate(_present(json.loads(body)))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"])) or "the body"
            raise Refusal(400, f"{where}: {problem['msg']}.") from None
        raise Refusal(400, 'The body is not JSON. Send {"image": ..., "mask": ...}, both base64.') from None
    return decoded(asked.image, "image"), decoded(asked.mask, "mask"), asked.sd_seed


def _present(body: object) -> object:
    """The body without options that hold nothing: they count as absent."""
    if not isinstance(body, dict):
        return body
    return {name: value for name, value in body.items() if value not in (None, "") or name in ("image", "mask")}


def decoded(text: str, name: str) -> bytes:
    """Base64, bare or after the comma of a data URL. Raises BadImage and BadMask."""
    kind = BadMask if name == "mask" else BadImage
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise kind(f"{name} is not base64 of a picture, nor a data URL. No URL and no path is ever opened.") from None
    if not data:
        raise kind(f"{name} is empty.")
    return data


def router(service: Service) -> APIRouter:
    """The routes under /api/v1."""
    routes = APIRouter(prefix="/api/v1", tags=[TAG])

    def info() -> dict[str, Any]:
        return ModelInfo(name=service.models[0], path=service.models[0]).model_dump()

    picture = {"schema": {"type": "string", "format": "binary"}}

    @routes.post(
        "/inpaint",
        summary="Fill the hole in a photo",
        description="One fill, as the bytes of a picture in the photo's own format; `X-Seed` tells its seed.",
        response_class=Response,
        responses=REFUSALS
        | {200: {"description": "The filled photo.", "content": {f"image/{name}": picture for name in photos.FORMATS}}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": InpaintRequest.model_json_schema()}},
            }
        },
    )
    async def inpaint(request: Request) -> Response:
        image, mask, asked_seed = await asyncio.to_thread(parsed, await request.body())
        seed = random_seed() if asked_seed == -1 else asked_seed
        pixels = service.settings.limits.pixels
        model = service.models[0]

        def work(models: Models, ticket: Ticket[Encoded]) -> Iterator[Encoded]:
            photo = photos.read(image, max_pixels=pixels)
            marked = pictures.bright(photo, pictures.read_mask(mask, max_pixels=pixels))
            options = FillOptions(seed=seed, max_memory=service.fill_memory)
            fills = models[model].stream(photo, marked, options, progress=ticket.check)
            for fill in fills:
                service.metrics.filled(model)
                yield pictures.encode(fill.photo, format="same")

        with service.answers(request, work) as answers:
            filled = await answers.next()
        assert filled is not None, "the completer always gives a fill"
        return Response(filled.data, media_type=filled.media_type, headers={"X-Seed": str(seed)})

    read_only: dict[int | str, dict[str, Any]] = {status: REFUSALS[status] for status in (401, 403, 421)}

    @routes.get("/server-config", summary="What the server can do", response_model=ServerConfig, responses=read_only)
    async def server_config() -> JSONResponse:
        return JSONResponse(ServerConfig(modelInfos=[ModelInfo(**info())]).model_dump())

    @routes.get("/model", summary="The model", response_model=ModelInfo, responses=read_only)
    async def model() -> JSONResponse:
        return JSONResponse(info())

    @routes.get("/samplers", summary="None", response_model=list[str], responses=read_only)
    async def samplers() -> JSONResponse:
        return JSONResponse([])

    return routes
