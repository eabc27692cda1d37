"""What a request may say: the text fields of OpenAI's forms and of ours, and the multipart body that brings them.

Each form is one pydantic model: it checks what comes in and is what the OpenAPI page shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from manyfill.photos import ALIASES, FORMATS
from manyfill.server.errors import Refusal
from manyfill.server.service import MOST_SEED
from manyfill.server.settings import MOST_FILLS

FIELDS = 64  # parts of a form at most
TEXT_BYTES = 256 << 10  # of one text field: OpenAI's prompts have up to 32,000 letters
SIZE = r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"
RESULT = 100  # letters of a result's name at most
BY_NAME = "the name of a result, the last part of its `url`; 404 `result_expired` when it is gone."
IGNORED = "Accepted, so that programs written for OpenAI work; without meaning here."

Form = TypeVar("Form", bound=BaseModel)


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
    extend: str | None = Field(
        None, max_length=100,
        description="Ours. A larger canvas, whose border is filled: `top,right,bottom,left` in pixels or per cent.",
    )  # fmt: skip
    extend_to: str | None = Field(
        None, max_length=20, description="Ours. A canvas just so much larger that it has this shape: `16:9`."
    )
    image_result: str | None = Field(None, max_length=RESULT, description="Ours. Instead of `image`: " + BY_NAME)
    strict: bool = Field(
        False, description="Ours. Refuse a JPEG that lacks a little at its end, photo or mask, rather than note it."
    )
    uncertainty: bool = Field(False, description="Ours. Also send a picture of where the fills disagree.")
    progress: bool = Field(
        False,
        description="Ours. With `stream`: events `image_edit.progress` with place in the queue, stage, how much of "
        "it is done and the seconds that are left; the one of stage `opened` names the photo, for `image_result`.",
    )
    background: str | None = Field(None, description=IGNORED)
    quality_: str | None = Field(None, alias="quality", description=IGNORED)
    input_fidelity: str | None = Field(None, description=IGNORED)
    user: str | None = Field(None, description=IGNORED)


class MergeForm(PictureForm):
    """The text fields of /v1/images/merge."""

    image_result: str | None = Field(None, max_length=RESULT, description="Instead of `image`: " + BY_NAME)
    other_result: str | None = Field(None, max_length=RESULT, description="Instead of `other`: " + BY_NAME)


class ResultForm(BaseModel):
    """What can be asked of a result."""

    format: str | None = Field(
        None,
        pattern=f"^(same|{'|'.join((*FORMATS, *ALIASES))})$",
        description="Written as this, and not as it was asked for; `same`: the photo's own format.",
    )
    quality: int | None = Field(None, ge=1, le=100, description="Of JPEG, WebP, HEIC and AVIF.")


class PreviewForm(BaseModel):
    """The text fields of /v1/images/preview: none."""


# ── the body ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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
                400, f"There are {len(found)} files under '{names[0]}'; send one. Send each photo in its own request.",
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
        words = getattr(error, "message", None) or "its parts cannot be separated"
        raise Refusal(400, f"The multipart form is broken: {words}", code="invalid_form") from None
    texts: dict[str, str] = {}
    files: dict[str, list[bytes]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            data = await value.read()
            if data or value.filename:  # browsers send a file input in which nothing was chosen without a name
                files.setdefault(name, []).append(data)
            await value.close()
        elif value.strip():
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


def form_body(kind: type[BaseModel], files: dict[str, str], required: list[str]) -> dict[str, Any]:
    """The OpenAPI request body of a multipart form: the model's fields and files with these descriptions."""
    schema = kind.model_json_schema()
    schema["properties"] = schema.get("properties", {}) | {
        name: {"type": "string", "format": "binary", "description": words} for name, words in files.items()
    }
    schema["required"] = required
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
