"""The application: both interfaces, health, metrics, documentation and the page, behind one guard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import fastapi_offline
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from manyfill import __version__
from manyfill.completer.origins import arrows, copied_share
from manyfill.errors import ManyfillError
from manyfill.selection import Selector, sam
from manyfill.server import canvas, errors, iopaint, openai, select
from manyfill.server.coding import Coders
from manyfill.server.errors import ClientLeft, OpenAIError, Refusal, described
from manyfill.server.forms import ResultForm
from manyfill.server.iopaint import TAG as IOPAINT
from manyfill.server.limits import GUARDED, Guard, Uploads
from manyfill.server.metrics import Metrics
from manyfill.server.openai import TAG as OPENAI
from manyfill.server.pace import Pace
from manyfill.server.pictures import Encoded
from manyfill.server.queue import WorkQueue
from manyfill.server.replies import sent
from manyfill.server.results import Results
from manyfill.server.service import Models, Service, load_models
from manyfill.server.settings import MOST_FILLS, Settings
from manyfill.server.shares import Shares
from manyfill.server.shell import WORKER, worker_of
from manyfill.server.spool import Spools, has_disk
from manyfill.server.work import writing

PAGE = Path(__file__).parent / "page"

DESCRIPTION = """Several different, seamless fills for the hole in a photo, best first.

Programs written for OpenAI's `images.edit` work with `base_url` set to this server's `/v1`; programs written for
IOPaint with this server's address. With a token, send `Authorization: Bearer TOKEN` to everything but `/healthz` and
`/results`. Nothing in a request names a file or a URL; nothing is written to disk.
"""


TAGS = [
    {"name": OPENAI, "description": "As the official clients call it, and what is ours beside it."},
    {"name": IOPAINT, "description": "For programs that talk to an IOPaint server."},
    {"name": "Results", "description": "What `response_format=url` points to."},
    {"name": "Operation", "description": "For whoever runs the server."},
]


class PublicLimits(BaseModel):
    """What a client can know before it sends a photo."""

    body_bytes: int
    pixels: int
    fills: int
    seconds: float


class Health(BaseModel):
    """Whether the server can fill photos."""

    status: Literal["ready", "loading", "failed", "stuck"] = Field(
        description="`stuck`: it has been busy with something for so long that it says nothing of itself."
    )
    reason: str | None = None
    models: list[str]
    sam: bool = Field(description="Whether a click on a whole object selects it: SAM was fetched.")
    version: str
    token_needed: bool
    limits: PublicLimits

    @property
    def code(self) -> int:
        """The answer's status."""
        return 200 if self.status == "ready" else 503


class Origins(BaseModel):
    """Where a fill is copied from."""

    arrows: list[tuple[int, int, int, int]] = Field(
        description="Places of the fill and where in the photo they were copied from: x, y, from x, from y, in pixels."
    )
    copied: float = Field(description="The share of the fill that is copied from the photo, 0 to 1; the rest is drawn.")


class Page(StaticFiles):
    """The page's files: asked for again each time, answered with 304 where nothing changed."""

    def __init__(self, routes: Sequence[Route], folder: Path | None) -> None:
        super().__init__(directory=folder, html=True)
        self.routes = routes  # that come first: what gets here is none of theirs, unless the method is wrong
        self.worker = worker_of(folder) if folder else None

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, with its caching header. Raises HTTPException 405 where only another method would find something."""
        allowed = set[str]().union(*(route.methods or () for route in self.routes if _is_at(route, scope["path"])))
        if scope["method"] != "GET" and self.lookup_path(path)[1] is not None:
            allowed.add("GET")
        if "GET" in allowed:
            allowed.add("HEAD")  # the guard makes it a GET
        if allowed:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        if scope["method"] != "GET":
            raise HTTPException(404)
        if path == WORKER and self.worker is not None:
            response: Response = Response(self.worker, media_type="text/javascript")
        else:
            response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _is_at(route: Route, path: str) -> bool:
    return route.path_regex.match(path) is not None


def create_app(
    settings: Settings, *, load: Callable[[str], Models] | None = None, coders: Coders | None = None
) -> FastAPI:
    """The ASGI application; its workers load the models when it starts up.

    `load`: gives the models, under the names of `settings.models`, for a device; default: as the settings say.
    `coders`: open photos; default: one process for each worker, and one for the desk.
    """
    limits = settings.limits
    load = load or partial(load_models, settings)

    def loaded(device: str) -> Models:
        models = load(device)
        shares.settle()
        return models

    queue: WorkQueue[Models] = WorkQueue(
        [partial(loaded, device) for device in settings.devices],
        waiting=limits.waiting,
        per_client=limits.per_client,
    )
    desk: WorkQueue[Models] = WorkQueue([lambda: {}], waiting=limits.waiting, per_client=limits.per_client)
    coders = coders or Coders(len(settings.devices) + 1, pixels=limits.pixels, seconds=limits.decode_seconds)
    shares = Shares(limits.memory, workers=len(settings.devices), processes=coders.count, disk=has_disk())
    service = Service(
        settings=settings,
        queue=queue,
        desk=desk,
        coders=coders,
        shares=shares,
        spools=Spools(shares),
        results=Results(seconds=limits.result_seconds, limit=lambda: shares.results),
        uploads=Uploads(lambda: shares.uploads),
        metrics=Metrics(),
        pace=Pace(),
        selector=Selector(),
        created=int(time.time()),
    )
    _watch(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        coders.start()
        for line in (queue, desk):
            line.start()
        yield
        for line in (queue, desk):
            await line.close()
        await asyncio.to_thread(coders.close)

    app = FastAPI(
        title="Manyfill", version=__version__, description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.add_middleware(Guard, settings=settings, uploads=service.uploads, metrics=service.metrics)
    _explain_errors(app)
    interfaces = [openai.router(service), select.router(service), canvas.router(service), iopaint.router(service)]
    for interface in interfaces:
        app.include_router(interface)
    _add_operations(app, service)
    _add_docs(app)
    schema = _described(app)
    app.openapi = lambda: schema  # type: ignore[method-assign]  # as FastAPI's manual has it
    routes = [*app.routes, *(route for interface in interfaces for route in interface.routes)]
    ours = [route for route in routes if isinstance(route, Route)]
    page = PAGE if (PAGE / "index.html").is_file() else None
    app.mount("/", Page(ours, page), name="page")
    app.state.service = service
    return app


def _watch(service: Service) -> None:
    """Numbers that /metrics looks up."""
    watch, queue = service.metrics.watch, service.queue
    watch("queue_waiting", "Requests that no worker has begun.", lambda: queue.waiting)
    watch("queue_running", "Requests that are being worked on.", lambda: queue.running)
    watch("ready", "1 when a model is loaded.", lambda: queue.tool is not None)
    watch("upload_bytes", "Request bodies held in memory.", lambda: service.uploads.held)
    watch("answer_bytes", "Files of answers that are not yet read.", lambda: service.spools.ledger.held)
    watch("result_bytes", "Results held in memory for their URLs.", lambda: service.results.held)


def _explain_errors(app: FastAPI) -> None:
    """Every error in the shape of the interface that was called."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return errors.response(request.url.path, error)

    @app.exception_handler(ManyfillError)
    async def unusable(request: Request, error: ManyfillError) -> Response:
        return errors.response(request.url.path, errors.refusal_of(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"][1:]) or None
        return errors.response(
            request.url.path, Refusal(400, f"{field}: {problem['msg']}.", code="invalid_value", param=field)
        )

    @app.exception_handler(HTTPException)
    async def wrong_route(request: Request, error: HTTPException) -> Response:
        words = {404: f"Unknown request URL: {request.method} {request.url.path[:200]}. See /docs.",
                 405: f"Not allowed method {request.method} on {request.url.path[:200]}. See /docs."}  # fmt: skip
        code = {404: "unknown_url", 405: "method_not_allowed"}.get(error.status_code)
        refusal = Refusal(error.status_code, words.get(error.status_code, str(error.detail)), code=code)
        answer = errors.response(request.url.path, refusal)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(ClientLeft)
    @app.exception_handler(ClientDisconnect)
    async def nobody_reads_this(_: Request, __: Exception) -> Response:
        return Response(status_code=499)

    @app.exception_handler(Exception)
    async def failed(request: Request, _: Exception) -> Response:
        return errors.response(request.url.path, Refusal(500, "The server failed at this request. Its log says why."))


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI page, without the 422 that FastAPI adds and this server never gives, with the bearer token."""
    schema = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS
    )
    for path, calls in schema["paths"].items():
        for call in calls.values():
            call["responses"].pop("422", None)
            if path.startswith(GUARDED):
                call["security"] = [{}, {"token": []}]  # a server without a token asks for none
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return schema


DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Manyfill: HTTP interface</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/files/swagger-ui.css"></head>
<body><div id="docs"></div><script src="docs/files/swagger-ui-bundle.js"></script><script src="docs/start.js"></script>
</body></html>"""
DOCS_SCRIPT = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#docs", deepLinking: true, tryItOutEnabled: true, validatorUrl: null,
});"""


def _add_docs(app: FastAPI) -> None:
    """/docs: Swagger's page from our own address, without a script in the HTML."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(DOCS, media_type="text/html")

    @app.get("/docs/start.js", include_in_schema=False)
    async def script() -> Response:
        return Response(DOCS_SCRIPT, media_type="text/javascript")

    files = Path(fastapi_offline.__file__).parent / "static"
    app.mount("/docs/files", StaticFiles(directory=files), name="docs files")


def health_of(service: Service) -> Health:
    """How the server is now."""
    queue, limits = service.queue, service.settings.limits
    status: Literal["ready", "loading", "failed"] = "ready"
    if queue.tool is None:
        status = "loading" if queue.loading else "failed"
    return Health(
        status=status,
        reason=queue.failure,
        models=service.models,
        sam=sam.missing() is None,
        version=__version__,
        token_needed=service.settings.token is not None,
        limits=PublicLimits(body_bytes=limits.body, pixels=limits.pixels, fills=MOST_FILLS, seconds=limits.seconds),
    )


def _add_operations(app: FastAPI, service: Service) -> None:
    """What runs beside the interfaces: results by URL, health, metrics."""
    missing = described(OpenAIError, {404: "No such result, or no longer.", 421: "Wrong host name."})
    unwritten = {status: openai.REFUSALS[status] for status in (400, 413, 429, 500, 503, 504)}
    shown: dict[int | str, dict[str, Any]] = {
        200: {"description": "The picture.", "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
    }

    @app.get("/results/{name}", summary="A result by its URL", name="result", tags=["Results"],
             response_class=Response, responses=missing | unwritten | shown)  # fmt: skip
    async def result(request: Request, name: str, asked: Annotated[ResultForm, Query()]) -> Response:
        whole, headers = service.results.get(name).whole, {"Cache-Control": "private, max-age=600"}
        if isinstance(whole, Encoded):
            return Response(whole.data, media_type=whole.media_type, headers=headers)
        if asked.format is not None or asked.quality is not None:
            whole = replace(whole, asked=asked.format or whole.asked, quality=asked.quality)
        return sent(await service.answer(request, writing(whole, service), fills=False), whole, headers)

    @app.get("/results/{name}/preview", summary="A result, small", tags=["Results"],
             response_class=Response, responses=missing | shown)  # fmt: skip
    async def preview(name: str) -> Response:
        small, headers = service.results.small(name), {"Cache-Control": "private, max-age=600"}
        return Response(small.data, media_type=small.media_type, headers=headers)

    @app.get("/results/{name}/origins", summary="Where a fill is copied from", tags=["Results"], responses=missing)
    async def origins(name: str) -> Origins:
        fill = service.results.fill(name, param="name")
        places = arrows(fill.origins)
        share = await asyncio.to_thread(copied_share, fill)
        return Origins(arrows=[(int(x), int(y), int(fx), int(fy)) for y, x, fy, fx in places], copied=round(share, 3))

    @app.get("/healthz", summary="Whether the server can fill photos", tags=["Operation"], response_model=Health,
             responses={503: {"model": Health, "description": "No model is loaded: not yet, or never."}})  # fmt: skip
    async def healthz() -> JSONResponse:
        found = health_of(service)
        return JSONResponse(found.model_dump(), found.code)

    @app.get("/metrics", summary="Counters for Prometheus", tags=["Operation"], response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.page(), headers={"Content-Type": service.metrics.content_type})
