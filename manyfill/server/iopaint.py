"""IOPaint's interface: /api/v1/inpaint with JSON and base64, and the calls that its clients make before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response

from manyfill import photos
from manyfill.options import FillOptions, Margins
from manyfill.server import pictures
from manyfill.server.errors import FILLING, USUAL, IOPaintError, Refusal, described
from manyfill.server.pictures import Finished
from manyfill.server.queue import Ticket
from manyfill.server.replies import sent
from manyfill.server.service import MOST_SEED, Models, Service, random_seed
from manyfill.server.spool import Spool

MOST_CANVAS = 100_000  # pixels a side
TAG = "IOPaint's interface"


class InpaintRequest(BaseModel):
    """What is honoured of IOPaint's request; its further fields, and unknown ones, are ignored."""

    model_config = ConfigDict(extra="ignore")

    image: str = Field(description="The photo, base64, bare or as a data URL.")
    mask: str = Field(description="The mask, likewise: bright = fill, whatever its alpha; of the photo's size.")
    strict: bool = Field(False, description="Ours. Refuse a JPEG that lacks a little at its end, rather than note it.")
    use_extender: bool = Field(False, description="Fill the border of a larger canvas, beside what the mask marks.")
    extender_x: int = Field(0, ge=-MOST_CANVAS, le=MOST_CANVAS, description="Left edge of the canvas, in the photo.")
    extender_y: int = Field(0, ge=-MOST_CANVAS, le=MOST_CANVAS, description="Its upper edge.")
    extender_width: int = Field(
        640, ge=1, le=MOST_CANVAS, description="Its width; what is inside the photo is not cut."
    )
    extender_height: int = Field(640, ge=1, le=MOST_CANVAS, description="Its height, likewise.")
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
    support_outpainting: bool = True
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


REFUSALS = described(IOPaintError, USUAL | FILLING)


def validated(fields: dict[str, Any] | None) -> InpaintRequest:
    """The request, whose pictures a coder has taken out. Raises Refusal 400."""
    if fields is None:
        raise Refusal(400, 'The body is not JSON. Send {"image": ..., "mask": ...}, both base64.')
    present = {name: value for name, value in fields.items() if value not in (None, "") or name in ("image", "mask")}
    try:
        return InpaintRequest.model_validate(present)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the body"
        raise Refusal(400, f"{where}: {problem['msg']}.") from None


def _extension(asked: InpaintRequest, photo: photos.Photo) -> Margins | None:
    """IOPaint's canvas as margins around the photo; what lies inside the photo cuts nothing off."""
    if not asked.use_extender:
        return None
    right, bottom = asked.extender_x + asked.extender_width, asked.extender_y + asked.extender_height
    sides = -asked.extender_y, right - photo.width, bottom - photo.height, -asked.extender_x
    return Margins(*(max(0, side) for side in sides))


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
        body = await request.body()
        model = request.state.model = service.models[0]

        def work(models: Models, ticket: Ticket[tuple[Finished, Spool]]) -> Iterator[tuple[Finished, Spool]]:
            ceiling = service.fill_ceiling
            found = service.body(body, ticket)
            asked = validated(found.fields)
            photo, mask = found.photos
            assert photo is not None and mask is not None, "a picture is a text, and a text is opened"
            by = _extension(asked, photo)
            pictures.check_canvas(photo, by or Margins(0, 0, 0, 0), max_pixels=service.settings.limits.pixels)
            options = FillOptions(
                seed=random_seed() if asked.sd_seed == -1 else asked.sd_seed,
                extend=None if by is None else ",".join(map(str, by)),
                max_memory=ceiling,
                strict=asked.strict,
            )
            pictures.check_room(photo, "same", None, service.shares.fill)
            for fill in models[model].stream(
                photo, pictures.bright(photo, mask, empty=asked.use_extender), options, check=ticket.check
            ):
                service.metrics.filled(model)
                whole = Finished(fill)
                yield whole, service.written(whole, ticket)

        whole, file = await service.answer(request, work)
        return sent(file, whole, {"X-Seed": str(whole.fill.seed)})

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
