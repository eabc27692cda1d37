"""Selecting and larger canvases over HTTP."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from serving import PHOTO, PHOTO_PNG, WHITE, Running, file_of, hole_of, pixels_of

HEIGHT, WIDTH = PHOTO.shape[:2]
PAINTED = PHOTO.copy()
PAINTED[4:12, 5:20] = (255, 0, 255)
PAINTED_PNG = file_of(PAINTED, "PNG")


def select(server: Running, image: bytes | None = PAINTED_PNG, **fields: Any) -> httpx.Response:
    files = {} if image is None else {"image": ("a.png", image)}
    return server.post("/v1/images/select", data={"grow": 0, **fields}, files=files or {"none": ("", b"")})


def mask_of(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return np.array(Image.open(io.BytesIO(base64.b64decode(answer.json()["mask"]))))


def test_what_is_selected_comes_as_a_mask_and_the_photo_need_not_be_sent_again(server: Running) -> None:
    first = select(server, colour="#ff00ff")
    mask = mask_of(first)
    assert mask.shape == (HEIGHT, WIDTH) and (mask[4:12, 5:20] == 255).all() and (mask > 0).sum() == 120
    body = first.json()
    assert abs(body["hole_ratio"] - 120 / mask.size) < 1e-9 and body["image_result"]
    again = select(server, None, colour="#ff00ff", image_result=body["image_result"], feather=3)
    assert again.json()["image_result"] is None and len(np.unique(mask_of(again))) > 4
    clicked = select(server, None, click="10,8", keep=f"{WIDTH - 2},{HEIGHT - 2}", image_result=body["image_result"])
    assert mask_of(clicked)[8, 10] == 255 and clicked.json()["notes"][0].startswith("Selected by")
    filled = server.post(
        "/v1/images/edits", data={"image_result": body["image_result"]},
        files={"mask": ("m.png", base64.b64decode(body["mask"]))},
    )  # fmt: skip
    assert filled.status_code == 200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "nothing says what to select"),
        ({"click": "4000,2"}, "is outside the photo"),
        ({"click": "4"}, "expected x,y"),
        ({"click": "<script>"}, "click"),
        ({"box": "1,2,3"}, "expected left,top,right,bottom"),
        ({"colour": "red"}, "is not a colour"),
        ({"colour": "#00ff01"}, "nothing in the photo has the colour"),
        ({"text": "true"}, "manyfill fetch text"),
        ({"click": "4,4", "grow": "99999"}, "grow"),
        ({"image_result": "no-such-name", "click": "4,4"}, "no such result"),
    ],
)
def test_what_cannot_be_selected_is_said(server: Running, fields: dict[str, Any], message: str) -> None:
    answer = select(server, None if "image_result" in fields else PAINTED_PNG, **fields)
    assert answer.status_code == (404 if "image_result" in fields else 400), answer.text
    assert message in answer.json()["error"]["message"].lower()


def test_a_file_that_is_no_photo_is_refused(server: Running) -> None:
    assert select(server, b"no photo at all", click="1,1").status_code == 400
    assert select(server, None, click="1,1").status_code == 400


@pytest.mark.parametrize(
    ("fields", "margins"), [({"extend": "2,25%,0,3"}, (2, None, 0, 3)), ({"extend_to": "2:1"}, None)]
)
def test_a_larger_canvas_is_filled_around_exact_pixels(server: Running, fields: Any, margins: Any) -> None:
    answer = server.post("/v1/images/edits", data=fields, files={"image": ("a.png", PHOTO_PNG)})
    assert answer.status_code == 200, answer.text
    filled = pixels_of(base64.b64decode(answer.json()["data"][0]["b64_json"]))
    if margins is not None:
        assert filled.shape[:2] == (HEIGHT + 2, WIDTH + 3 + round(WIDTH / 4))
        assert np.array_equal(filled[2:, 3 : 3 + WIDTH], PHOTO)
    else:
        assert filled.shape[1] == 2 * filled.shape[0] or filled.shape[0] * 2 == filled.shape[1]
    assert answer.json()["size"] == f"{filled.shape[1]}x{filled.shape[0]}"


def test_a_canvas_over_the_limit_and_nonsense_are_refused(server: Running) -> None:
    for fields, status in (({"extend": "90000"}, 413), ({"extend": "wide"}, 400), ({"extend_to": "9"}, 400)):
        answer = server.post("/v1/images/edits", data=fields, files={"image": ("a.png", PHOTO_PNG)})
        assert answer.status_code == status, answer.text


def test_iopaints_extender_is_honoured(server: Running) -> None:
    def ask(**keys: Any) -> httpx.Response:
        body = {"image": base64.b64encode(PHOTO_PNG).decode(), "mask": base64.b64encode(black).decode()}
        return server.post("/api/v1/inpaint", json={**body, "use_extender": True, **keys})

    black = file_of(np.zeros_like(PHOTO), "PNG")
    canvas = {"extender_x": -5, "extender_y": 0, "extender_width": WIDTH + 12, "extender_height": HEIGHT + 4}
    answer = ask(**canvas)
    assert answer.status_code == 200, answer.text
    filled = pixels_of(answer.content)
    assert filled.shape[:2] == (HEIGHT + 4, WIDTH + 12) and np.array_equal(filled[:HEIGHT, 5 : 5 + WIDTH], PHOTO)
    both = ask(**canvas, mask=base64.b64encode(WHITE).decode())
    inside = pixels_of(both.content)[:HEIGHT, 5 : 5 + WIDTH]
    assert np.array_equal(inside[~hole_of()], PHOTO[~hole_of()])
    assert ask(extender_width=90_000, extender_height=90_000).status_code == 413
    inner = ask(extender_x=2, extender_y=2, extender_width=3, extender_height=3)  # nothing is cut off
    assert np.array_equal(pixels_of(inner.content), PHOTO)
