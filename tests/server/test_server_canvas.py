"""Larger canvases over HTTP, to be filled afterwards."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageCms
from serving import PHOTO, PHOTO_PNG, Running, Sketch, file_of, photo_of, pixels_of, running

from manyfill import photos
from manyfill.server.settings import Limits, Settings

HEIGHT, WIDTH = PHOTO.shape[:2]


def canvas(server: Running, image: bytes | None = PHOTO_PNG, **fields: Any) -> httpx.Response:
    files = {} if image is None else {"image": ("a.png", image)}
    return server.post("/v1/images/canvas", data=fields, files=files or {"none": ("", b"")})


def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def file_at(server: Running, body: dict[str, Any], query: str = "") -> bytes:
    answer = server.get(f"/results/{body['image_result']}{query}")
    assert answer.status_code == 200, answer.text
    return answer.content


def test_every_pixel_is_exact_at_its_new_place(server: Running) -> None:
    body = made(canvas(server, extend="2,25%,0,3"))
    right = round(WIDTH / 4)
    assert (body["size"], body["left"], body["top"]) == (f"{WIDTH + 3 + right}x{HEIGHT + 2}", 3, 2)
    larger = pixels_of(file_at(server, body))
    assert np.array_equal(larger[2:, 3 : 3 + WIDTH], PHOTO)
    assert np.array_equal(larger[0, 3 : 3 + WIDTH], PHOTO[0]), "the border repeats the edge"
    assert body["url"].endswith(f"/results/{body['image_result']}")


def test_a_shape_is_reached_with_the_photo_in_the_middle(server: Running) -> None:
    body = made(canvas(server, extend_to="2:1"))
    width, height = map(int, body["size"].split("x"))
    assert (width, height) == (2 * HEIGHT, HEIGHT)
    assert body["left"] == (width - WIDTH) // 2 and body["top"] == 0


def test_16_bits_and_metadata_stay_through_canvas_and_fill(server: Running) -> None:
    deep = photo_of(dtype=np.uint16)
    exif = Image.Exif()
    exif[315], exif[256], exif[257] = "A. Photographer", WIDTH, HEIGHT
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = photos.Photo(deep, exif=exif.tobytes()[6:], icc=icc, format="tiff")
    body = made(canvas(server, photos.encode(source), extend="0,8,0,8"))
    mask = np.zeros((HEIGHT, WIDTH + 16), np.uint8)
    mask[:, :8] = mask[:, -8:] = 255
    form = {"image_result": body["image_result"], "output_format": "same"}
    answer = server.post("/v1/images/edits", data=form, files={"mask": ("m.png", file_of(mask))})
    assert answer.status_code == 200, answer.text
    filled = photos.read(base64.b64decode(answer.json()["data"][0]["b64_json"]))
    assert filled.format == "tiff" and filled.depth == 16 and filled.icc == icc
    assert np.array_equal(filled.pixels[:, 8 : 8 + WIDTH], deep)
    told = Image.Exif()
    told.load(filled.exif or b"")
    assert told[315] == "A. Photographer"


def test_a_jpeg_stays_a_jpeg_and_its_exif_fits_the_canvas(server: Running) -> None:
    exif = Image.Exif()
    exif[315] = "A. Photographer"
    exif.get_ifd(0x8769).update({40962: WIDTH, 40963: HEIGHT})
    body = made(canvas(server, file_of(PHOTO, "JPEG", exif=exif), extend="4,0,0,6"))
    with Image.open(io.BytesIO(file_at(server, body))) as larger:
        assert larger.format == "JPEG" and larger.getexif()[315] == "A. Photographer"
        sizes = larger.getexif().get_ifd(0x8769)
        assert (sizes[40962], sizes[40963]) == larger.size == (WIDTH + 6, HEIGHT + 4)


def test_a_fill_is_enlarged_by_its_name_and_stays_as_it_is(server: Running) -> None:
    first = made(canvas(server, extend="0,0,0,5"))
    second = made(canvas(server, None, image_result=first["image_result"], extend="0,5,0,0"))
    assert second["size"] == f"{WIDTH + 10}x{HEIGHT}" and second["image_result"] != first["image_result"]
    assert np.array_equal(pixels_of(file_at(server, second))[:, 5 : 5 + WIDTH], PHOTO)
    assert pixels_of(file_at(server, first)).shape[1] == WIDTH + 5


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({}, 400, "Missing required parameter: 'extend'"),
        ({"extend": "wide"}, 400, "expected top,right,bottom,left"),
        ({"extend_to": "9"}, 400, "such as 16:9"),
        ({"extend": "1,1,1,1", "extend_to": "1:1"}, 400, "Give one"),
        ({"extend": "90000"}, 413, "Extend it less"),
        ({"extend": "1,1,1,1", "image_result": "gone"}, 400, "send one"),
    ],
)
def test_what_cannot_be_a_canvas_is_said(server: Running, fields: dict[str, str], status: int, message: str) -> None:
    answer = canvas(server, **fields)
    assert answer.status_code == status and message in answer.json()["error"]["message"], answer.text


def test_what_is_no_photo_or_is_gone_is_refused(server: Running) -> None:
    assert canvas(server, b"no photo at all", extend="4").status_code == 400
    assert canvas(server, None, extend="4").status_code == 400
    assert canvas(server, None, extend="4", image_result="gone").status_code == 404


def test_a_canvas_that_the_memory_does_not_hold_is_refused() -> None:
    with running(Settings(models=("sketch",), limits=Limits(pixels=10**9)), Sketch()) as server:
        side = int((server.app.state.service.shares.desk / 3) ** 0.5) + 100
        answer = canvas(server, extend=f"{side - HEIGHT},{side - WIDTH},0,0")
    assert answer.status_code == 413 and "MiB" in answer.json()["error"]["message"], answer.text
