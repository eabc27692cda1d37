"""OpenAI's interface, driven by the official client, untouched."""

from __future__ import annotations

import base64
import io
import json
import time
from dataclasses import replace
from typing import Any

import cv2
import httpx
import numpy as np
import openai
import pytest
from openai.types.image_edit_completed_event import ImageEditCompletedEvent
from openai.types.image_edit_partial_image_event import ImageEditPartialImageEvent
from PIL import Image, ImageCms
from serving import (
    CLEAR,
    HOLE,
    PHOTO,
    PHOTO_PNG,
    SECONDS,
    WHITE,
    Running,
    Sketch,
    file_of,
    hole_of,
    photo_of,
    pixels_of,
    running,
)

from manyfill import photos
from manyfill.server.settings import Limits, Settings

NET = {"texture": "net"}  # the texture stage has its own tests and takes most of the time


def edit(client: openai.OpenAI, *, extra: dict[str, Any] | None = None, **options: Any) -> Any:
    given: dict[str, Any] = {"image": PHOTO_PNG, "mask": CLEAR, "prompt": "", **options}
    return client.images.edit(**given, extra_body={**NET, "seed": 1, **(extra or {})})


def data_of(picture: Any) -> bytes:
    return base64.b64decode(picture.b64_json, validate=True)


# ── fills ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_known_pixels_come_back_as_they_went(client: openai.OpenAI) -> None:
    answer = edit(client)
    (picture,) = answer.data
    filled = pixels_of(data_of(picture))
    assert (filled[~hole_of()] == PHOTO[~hole_of()]).all() and (filled[HOLE] != PHOTO[HOLE]).any()
    assert answer.size == "50x40" and answer.output_format == "png" and answer.created > 1.7e9
    assert picture.seed == 1 and isinstance(picture.score, float)


def test_several_fills_differ_best_first_and_each_comes_again_by_its_seed(client: openai.OpenAI) -> None:
    pictures = edit(client, n=3).data
    assert len({data_of(picture) for picture in pictures}) == len({picture.seed for picture in pictures}) == 3
    scores = [picture.score for picture in pictures]
    assert scores == sorted(scores, reverse=True)
    for picture in pictures:
        (again,) = edit(client, extra={"seed": picture.seed}).data
        assert again.b64_json == picture.b64_json


def test_without_a_seed_every_answer_is_another(client: openai.OpenAI) -> None:
    seeds = {client.images.edit(image=PHOTO_PNG, mask=CLEAR, prompt="", extra_body=NET).data[0].seed for _ in range(3)}
    assert len(seeds) == 3


def test_a_client_that_asks_for_openais_model_is_served(client: openai.OpenAI) -> None:
    for name in ("gpt-image-1", "dall-e-2", "tiny"):
        assert edit(client, model=name, prompt="a dog", user="me", background="auto", quality="high").data


def test_files_lists_and_bytes_are_taken(client: openai.OpenAI, tmp_path: Any) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PHOTO_PNG)
    with path.open("rb") as file:
        first = edit(client, image=file).data[0]
    assert edit(client, image=[PHOTO_PNG]).data[0].b64_json == first.b64_json
    assert (
        edit(client, image=("a.jpg", PHOTO_PNG, "image/jpeg"), mask=io.BytesIO(CLEAR)).data[0].b64_json
        == first.b64_json
    )


@pytest.mark.parametrize("mask", ["white", "opaque white", "the photo's own"])
def test_every_kind_of_mask_marks_the_same_hole(client: openai.OpenAI, mask: str) -> None:
    white = np.repeat(hole_of()[..., None].astype(np.uint8) * 255, 3, 2)
    opaque = file_of(np.dstack([white, np.full((40, 50), 255, np.uint8)]))
    erased = file_of(np.dstack([PHOTO, np.where(hole_of(), 0, 255).astype(np.uint8)]))
    given = {"white": {"mask": WHITE}, "opaque white": {"mask": opaque}, "the photo's own": {"image": erased}}[mask]
    if mask == "the photo's own":
        given["mask"] = openai.omit  # type: ignore[assignment]
    expected = pixels_of(data_of(edit(client).data[0]))
    assert (pixels_of(data_of(edit(client, **given).data[0]))[..., :3] == expected).all()


def test_depth_profile_and_exif_survive(client: openai.OpenAI) -> None:
    deep = photo_of(dtype=np.uint16)
    done, encoded = cv2.imencode(".png", deep[..., ::-1])
    assert done
    exif = Image.Exif()
    exif[0x010E] = "the beach"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = photos.read(encoded.tobytes())
    source = photos.encode(replace(photo, exif=exif.tobytes().removeprefix(b"Exif\0\0"), icc=icc))
    filled = photos.read(data_of(edit(client, image=source).data[0]))
    assert filled.depth == 16 and (filled.pixels[~hole_of()] == deep[~hole_of()]).all()
    assert filled.icc == icc and filled.exif is not None and b"the beach" in filled.exif


@pytest.mark.parametrize(
    ("asked", "source", "expected"),
    [
        ("png", "JPEG", "PNG"),
        ("jpeg", "PNG", "JPEG"),
        ("webp", "PNG", "WEBP"),
        ("same", "JPEG", "JPEG"),
        ("same", "TIFF", "TIFF"),
    ],
)
def test_the_answer_is_in_the_format_asked_for(client: openai.OpenAI, asked: Any, source: str, expected: str) -> None:
    answer = edit(client, image=file_of(PHOTO, source), output_format=asked)
    assert Image.open(io.BytesIO(data_of(answer.data[0]))).format == expected
    assert answer.output_format == expected.lower()


def test_compression_is_quality(client: openai.OpenAI) -> None:
    small, large = (
        len(data_of(edit(client, output_format="jpeg", output_compression=quality).data[0])) for quality in (0, 95)
    )
    assert small < large


def test_a_size_of_the_same_shape_is_scaled_to(client: openai.OpenAI) -> None:
    answer = edit(client, size="100x80")
    assert pixels_of(data_of(answer.data[0])).shape == (80, 100, 3) and answer.size == "100x80"
    assert edit(client, size="auto").size == "50x40"


def test_results_by_url_can_be_fetched_whole_and_small(client: openai.OpenAI) -> None:
    inline = edit(client).data[0]
    picture = edit(client, response_format="url").data[0]
    assert picture.b64_json is None
    whole, small = httpx.get(picture.url), httpx.get(picture.preview_url)
    assert whole.content == data_of(inline) and whole.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(small.content)).format == "WEBP"


def test_a_larger_step_leads_further_away(client: openai.OpenAI) -> None:
    chosen = pixels_of(data_of(edit(client, extra={"seed": 7}).data[0])).astype(int)

    def apart(step: float) -> float:
        pictures = edit(client, n=4, extra={"seed": 100, "near": 7, "step": step}).data
        return float(np.mean([np.abs(pixels_of(data_of(one)) - chosen).mean() for one in pictures]))

    assert apart(0) == 0
    assert apart(0.1) < apart(1)


def test_where_fills_disagree_is_shown_when_asked_for(client: openai.OpenAI) -> None:
    answer = edit(client, n=2, extra={"uncertainty": True})
    assert pixels_of(base64.b64decode(answer.uncertainty["b64_json"])).shape == (40, 50, 3)
    assert not hasattr(edit(client, n=2), "uncertainty")


# ── streaming ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_shows_partial_pictures_and_then_the_fill(client: openai.OpenAI) -> None:
    *partial, done = edit(client, stream=True, partial_images=3)
    assert [type(event) for event in partial] == [ImageEditPartialImageEvent] * 3
    assert [event.partial_image_index for event in partial] == [0, 1, 2]
    assert isinstance(done, ImageEditCompletedEvent) and done.seed == 1 and done.usage.total_tokens == 0
    assert done.b64_json == edit(client).data[0].b64_json
    for event in partial:
        shown = pixels_of(data_of(event))
        assert (shown[~hole_of()] == PHOTO[~hole_of()]).all() and (shown[HOLE] != PHOTO[HOLE]).any()


def test_a_stream_of_several_fills_is_the_list_one_by_one(client: openai.OpenAI) -> None:
    events = list(edit(client, n=3, stream=True))
    assert [(event.seed, event.score, event.b64_json) for event in events] == [
        (one.seed, one.score, one.b64_json) for one in edit(client, n=3).data
    ]
    assert [event.index for event in events] == [0, 1, 2]


def test_what_is_wrong_with_a_request_for_a_stream_has_its_own_status(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        edit(client, image=b"rubbish", stream=True)
    assert caught.value.code == "invalid_image_file"


def test_an_error_in_the_middle_of_a_stream_reaches_the_client() -> None:
    net = Sketch()
    with running(Settings(models=("sketch",)), net) as server:
        net.crashes_at = 2
        stream = edit(server.client(), n=2, stream=True, partial_images=1)
        next(stream)
        with pytest.raises(openai.APIError, match="failed at this request") as caught:
            next(stream)
        assert caught.value.type == "server_error"


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────

OTHER_SIZE = file_of(np.zeros((41, 50), np.uint8))
FAINT = file_of(np.dstack([np.zeros((40, 50, 3), np.uint8), np.where(hole_of(), 150, 255).astype(np.uint8)]))
OPAQUE = file_of(np.dstack([PHOTO, np.full((40, 50), 255, np.uint8)]))


@pytest.mark.parametrize(
    ("options", "code", "param", "words"),
    [
        ({"n": 0}, "integer_below_min_value", "n", ">= 1"),
        ({"n": 11}, "integer_above_max_value", "n", "<= 10"),
        ({"n": "many"}, "invalid_type", "n", "many"),
        ({"size": "large"}, "invalid_value", "size", "WIDTHxHEIGHT"),
        ({"size": "64x64"}, "invalid_value", "size", "squashed"),
        ({"size": "99999x79999"}, "invalid_value", "size", "million"),
        ({"output_format": "gif"}, "invalid_value", "output_format", "'png', 'jpeg'"),
        ({"output_compression": 50}, "invalid_value", "output_compression", "PNG"),
        ({"output_compression": 101, "output_format": "jpeg"}, "integer_above_max_value", "output_compression", "100"),
        ({"partial_images": 4}, "integer_above_max_value", "partial_images", "3"),
        ({"image": b"GIF89a broken"}, "invalid_image_file", "image", "photo"),
        ({"image": PHOTO_PNG[:200]}, "invalid_image_file", "image", "cut off"),
        ({"image": [PHOTO_PNG, PHOTO_PNG]}, "invalid_value", "image", "2 files"),
        ({"mask": openai.omit}, "invalid_mask", "mask", "Send a mask"),
        ({"mask": OTHER_SIZE}, "invalid_mask", "mask", "50x41"),
        ({"mask": b"rubbish"}, "invalid_mask", "mask", "mask"),
        ({"mask": PHOTO_PNG}, "invalid_mask", "mask", ""),
        ({"mask": file_of(np.zeros((40, 50), np.uint8))}, "invalid_mask", "mask", "marks nothing"),
        ({"mask": FAINT}, "invalid_mask", "mask", "marks nothing"),
        ({"image": OPAQUE, "mask": openai.omit}, "invalid_mask", "mask", "marks nothing"),
        ({"mask": ("hole.png", b"")}, "invalid_mask", "mask", "empty"),
        ({"extra": {"seed": 2**63}}, "integer_above_max_value", "seed", str(2**63 - 1)),
        ({"extra": {"seed": -1}}, "integer_below_min_value", "seed", ">= 0"),
        ({"extra": {"diversity": 3}}, "integer_above_max_value", "diversity", "2"),
        ({"extra": {"texture": "wood"}}, "invalid_value", "texture", "auto"),
    ],
)  # fmt: skip
def test_what_the_user_can_mend_is_a_bad_request(
    client: openai.OpenAI, options: dict[str, Any], code: str, param: str, words: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        edit(client, **options)
    error = caught.value
    assert (error.code, error.param, error.type) == (code, param, "invalid_request_error")
    assert words in error.body["message"]  # type: ignore[index]


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    for call in (lambda: edit(client, model="nope"), lambda: client.models.retrieve("nope")):
        with pytest.raises(openai.NotFoundError, match="'nope' is not served here") as caught:
            call()
        assert caught.value.code == "model_not_found"


def test_what_a_format_cannot_hold_is_refused_before_the_work(server: Running) -> None:
    deep = cv2.imencode(".png", photo_of(dtype=np.uint16))[1].tobytes()
    before = server.metric("fills_total")
    with pytest.raises(openai.BadRequestError, match="16 bits"):
        edit(server.client(), image=deep, output_format="jpeg")
    assert server.metric("fills_total") == before


def test_transparency_goes_into_a_jpeg_only_where_the_fill_covers_it() -> None:
    erased = file_of(np.dstack([PHOTO, np.where(hole_of(), 0, 255).astype(np.uint8)]))
    net = Sketch()
    with running(Settings(models=("sketch",)), net) as server:
        assert edit(server.client(), image=erased, mask=openai.omit, output_format="jpeg").output_format == "jpeg"
        before = net.drawn
        with pytest.raises(openai.BadRequestError, match="transparency"):
            edit(server.client(), image=erased, mask=file_of(np.full((40, 50), 255, np.uint8)), output_format="jpeg")
        assert net.drawn == before, "it was drawn before it was refused"


def test_a_request_without_a_photo_names_what_is_missing(server: Running) -> None:
    for options in ({"data": {"n": "1"}, "files": {"mask": CLEAR}}, {"files": {"other": b"x"}}):
        answer = server.post("/v1/images/edits", **options)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "missing_required_parameter"


@pytest.mark.parametrize("text", ["http://127.0.0.1:1/x.png", "/etc/hostname", "file:///etc/hostname"])
def test_no_url_and_no_path_is_opened(server: Running, text: str) -> None:
    answer = server.post("/v1/images/edits", data={"image": text}, files={"mask": CLEAR})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "image"


def test_fields_that_are_empty_count_as_absent(server: Running) -> None:
    erased = file_of(np.dstack([PHOTO, np.where(hole_of(), 0, 255).astype(np.uint8)]))
    empty = dict.fromkeys(["n", "seed", "size", "model", "stream", "diversity", "near", "output_compression"], "")
    files = {"image": erased, "mask": ("", b"")}  # what a browser sends of a form in which no mask was chosen
    answer = server.post("/v1/images/edits", data={**empty, "grow": " ", "texture": "net"}, files=files)
    assert answer.status_code == 200 and len(answer.json()["data"]) == 1


@pytest.mark.parametrize("seed", [2**31, 3698135662, 2**32 - 1, 2**63 - 1])
def test_any_seed_of_63_bits_gives_its_fill_again(client: openai.OpenAI, seed: int) -> None:
    first = edit(client, extra={"seed": seed}).data[0]
    assert first.seed == seed
    assert edit(client, extra={"seed": seed}).data[0].b64_json == first.b64_json != edit(client).data[0].b64_json


def test_other_bodies_than_forms_are_refused(server: Running) -> None:
    for options in (
        {"json": {"image": "x"}},
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=y"}},
        {"content": b"--y\r\nrubbish", "headers": {"content-type": "multipart/form-data; boundary=y"}},
        {"content": b""},
    ):
        answer = server.post("/v1/images/edits", **options)  # type: ignore[arg-type]
        assert answer.status_code == 400 and set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_what_is_not_there_says_so_in_openais_words(client: openai.OpenAI, server: Running) -> None:
    with pytest.raises(openai.NotFoundError, match="Unknown request URL"):
        client.images.generate(prompt="a dog")
    assert server.get("/v1/images/nothing").json()["error"]["code"] == "unknown_url"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/images/edits", "POST"),
        ("PUT", "/v1/images/edits", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/tiny", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("GET", "/api/v1/inpaint", "POST"),
        ("POST", "/results/x", "GET, HEAD"),
        ("POST", "/main.js", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ],
)
def test_an_address_that_is_there_refuses_other_methods_with_405(
    server: Running, method: str, path: str, allow: str
) -> None:
    answer = server.http.request(method, path)
    assert answer.status_code == 405 and answer.headers["allow"] == allow
    assert "Not allowed method" in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/api/v1/model", "/metrics", "/docs", "/"])
def test_head_is_get_without_the_body(server: Running, path: str) -> None:
    head, whole = server.http.head(path), server.get(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]


# ── models and merging ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("tiny", "model", "manyfill")
    assert client.models.retrieve("tiny") == model


def test_a_region_of_another_fill_is_taken_over(client: openai.OpenAI, server: Running) -> None:
    first, second = (data_of(picture) for picture in edit(client, n=2).data)
    region = np.zeros((40, 50), np.uint8)
    region[:, :28] = 255
    files = {"image": first, "other": second, "mask": file_of(region)}
    answer = server.post("/v1/images/merge", files=files).json()
    merged = pixels_of(base64.b64decode(answer["data"][0]["b64_json"]))
    kept = (region == 0) | ~hole_of()
    assert (merged[kept] == pixels_of(first)[kept]).all()
    inner = (slice(12, 22), slice(21, 23))  # away from the lasso's edge
    ours, theirs = (np.abs(merged[inner].astype(int) - pixels_of(one)[inner]).mean() for one in (first, second))
    assert theirs < ours


def test_fills_of_two_photos_are_not_merged(server: Running) -> None:
    files = {"image": PHOTO_PNG, "other": file_of(photo_of(50, 40)), "mask": WHITE}
    answer = server.post("/v1/images/merge", files=files)
    assert answer.status_code == 400 and "two fills of one photo" in answer.json()["error"]["message"]


def test_results_by_url_expire(model: Any) -> None:
    with running(Settings(models=(str(model),), limits=Limits(result_seconds=0.5))) as server:
        url = edit(server.client(), response_format="url").data[0].url
        until = time.monotonic() + SECONDS
        while (gone := server.get(url)).status_code == 200:  # how long exactly: test_server_results
            assert time.monotonic() < until
            time.sleep(0.02)
        assert gone.status_code == 404 and "seed" in gone.json()["error"]["message"]
        assert server.metric("result_bytes") == 0


def test_every_event_of_a_stream_is_json_of_the_type_that_it_says(server: Running) -> None:
    form = {
        "stream": "true",
        "partial_images": "1",
        "n": "2",
        "uncertainty": "true",
        "texture": "net",
        "response_format": "url",
    }
    answer = server.post("/v1/images/edits", data=form, files={"image": PHOTO_PNG, "mask": CLEAR})
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.strip().split("\n\n")]
    bodies = [json.loads(block["data"]) for block in blocks]
    assert [block["event"] for block in blocks] == [body["type"] for body in bodies]
    assert [body["type"].partition(".")[2] for body in bodies[-3:]] == ["completed", "completed", "uncertainty"]
    assert all("url" in body for body in bodies[-3:]) and all("b64_json" in body for body in bodies[:-3])


@pytest.mark.parametrize("which", ["image", "mask"])
def test_what_a_damaged_file_lacks_is_noted_and_refused_where_it_is_strict(client: openai.OpenAI, which: str) -> None:
    whole = {"image": file_of(PHOTO, "JPEG"), "mask": file_of(255 * hole_of().astype(np.uint8), "JPEG")}
    sent = {name: data[:-2] if name == which else data for name, data in whole.items()}
    (note,) = [note for note in edit(client, **sent).model_dump()["notes"] if "too early" in note]
    assert note.startswith({"image": "The file", "mask": "The mask's file"}[which])
    with pytest.raises(openai.BadRequestError, match="cut off"):
        edit(client, **sent, extra={"strict": True})
    assert edit(client, **whole, extra={"strict": True}).data
