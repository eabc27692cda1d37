"""What goes wrong on the wire: a status, OpenAI's code and parameter, and both interfaces' error bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from manyfill.errors import BadImage, BadMask, ManyfillError, TooLarge, UnknownModel


class Refusal(Exception):
    """A request that gets no picture; `str()` says to people what was given, what was expected and what to do."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after = status, code, param, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """When to come again; and that what failed by itself fails again, which OpenAI's client would try twice."""
        if self.retry_after is not None:
            return {"Retry-After": str(max(1, round(self.retry_after)))}
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {"x-should-retry": "false"} if self.status >= 500 else {}


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


class ErrorDetail(BaseModel):
    """OpenAI's description of an error."""

    message: str = Field(description="What was given, what was expected, what to do.")
    type: str = Field(description="`invalid_request_error`, `rate_limit_error` or `server_error`.")
    param: str | None = Field(default=None, description="The field that is wrong.")
    code: str | None = Field(default=None, description="A word for programs.")


class OpenAIError(BaseModel):
    """Every error under /v1."""

    error: ErrorDetail


class IOPaintError(BaseModel):
    """Every error under /api/v1."""

    error: str = Field(description="The kind of error.")
    detail: str = Field(description="What was given, what was expected, what to do.")
    body: str = ""
    errors: str = Field(description="The same as `detail`: IOPaint's page shows this one.")


def refusal_of(error: ManyfillError) -> Refusal:
    """What the library found wrong with a request, in a status and a code."""
    message = str(error)
    message = message[:1].upper() + message[1:]
    if isinstance(error, TooLarge):
        return Refusal(413, message, code="image_too_large", param="image")
    if isinstance(error, BadMask):
        return Refusal(400, message, code="invalid_mask", param="mask")
    if isinstance(error, BadImage):
        return Refusal(400, message, code="invalid_image_file", param="image")
    if isinstance(error, UnknownModel):
        return Refusal(404, message, code="model_not_found", param="model")
    return Refusal(400, message, code="invalid_value")


def openai_body(refusal: Refusal) -> dict[str, Any]:
    """OpenAI's error body."""
    kind = {401: "invalid_request_error", 429: "rate_limit_error"}.get(refusal.status)
    kind = kind or ("server_error" if refusal.status >= 500 else "invalid_request_error")
    detail = ErrorDetail(message=str(refusal), type=kind, param=refusal.param, code=refusal.code)
    return {"error": detail.model_dump()}


def iopaint_body(refusal: Refusal) -> dict[str, Any]:
    """IOPaint's error body."""
    kind = "HTTPException" if refusal.status < 500 else "ServerError"
    return IOPaintError(error=kind, detail=str(refusal), errors=str(refusal)).model_dump()


def response(path: str, refusal: Refusal) -> Response:
    """The answer to a refused request, in the shape of the interface that was called."""
    body = iopaint_body(refusal) if path.startswith("/api/") else openai_body(refusal)
    return JSONResponse(body, refusal.status, headers=refusal.headers)


USUAL = {
    400: "Something in the request is wrong; the message says what.",
    401: "The server has a token and the request has another, or none.",
    403: "Another web site called from a browser.",
    408: "The body did not arrive in time.",
    413: "More bytes or pixels than allowed.",
    421: "The server was called by a name that it does not answer to.",
    429: "The queue is full; `Retry-After` says when to come again.",
    500: "The server failed at this request.",
    503: "The server shuts down.",
    504: "The request took longer than allowed.",
}  # what every call with a photo may be answered
FILLING = {503: "No model could be loaded, or the server shuts down."}  # instead, where a model is needed


def described(model: type[BaseModel], statuses: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for these error statuses."""
    return {status: {"model": model, "description": words} for status, words in statuses.items()}
