"""IOPaint's interface, called as its page and its scripts call it."""

from __future__ import annotations

import base64
import io
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image
from serving import HOLE, PHOTO, PHOTO_PNG, WHITE, Running, file_of, hole_of, pixels_of

from manyfill import photos
from manyfill.server import pictures


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def inpaint(server: Running, **keys: Any) -> httpx.Response:
    return server.post("/api/v1/inpaint", json={"image": base64_of(PHOTO_PNG), "mask": base64_of(WHITE), **keys})


def test_a_photo_comes_back_filled_with_its_known_pixels_exact(server: Running) -> None:
    answer = inpaint(server)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    assert answer.headers["x-seed"] == "42"
    filled = pixels_of(answer.content)
    assert (filled[~hole_of()] == PHOTO[~hole_of()]).all() and (filled[HOLE] != PHOTO[HOLE]).any()


def test_the_whole_of_iopaints_own_request_is_taken(server: Running) -> None:
    keys = {
        "ldm_steps": 20, "hd_strategy": "Crop", "hd_strategy_crop_triger_size": 800, "hd_trategy_resize_imit": 1280,
        "prompt": "", "use_croper": False, "sd_seed": 5, "sd_keep_unmasked_area": True, "cv2_flag": "INPAINT_NS",
        "paint_by_example_example_image": None, "no such key": [1, {}],
    }  # fmt: skip
    answer = inpaint(server, **keys)
    assert answer.status_code == 200 and answer.headers["x-seed"] == "5"
    assert inpaint(server, sd_seed=5).content == answer.content != inpaint(server).content


def test_a_seed_of_minus_one_is_drawn_and_told(server: Running) -> None:
    first = inpaint(server, sd_seed=-1)
    assert inpaint(server, sd_seed=int(first.headers["x-seed"])).content == first.content
    assert inpaint(server, sd_seed=-1).headers["x-seed"] != first.headers["x-seed"]


def test_data_urls_and_the_photos_own_format(server: Running) -> None:
    url = "data:image/jpeg;base64," + base64_of(file_of(PHOTO, "JPEG"))
    answer = inpaint(server, image=url, mask="data:application/octet-stream;base64," + base64_of(WHITE))
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"


def masks_of_clients() -> dict[str, bytes]:
    """The same hole, as programs send it."""
    hole, value = hole_of(), np.where(hole_of(), 255, 0).astype(np.uint8)
    brush = np.zeros((40, 50, 4), np.uint8)
    brush[hole] = (255, 255, 255, 100)
    faint = brush.copy()
    faint[hole] = (255, 255, 255, 1)
    clear = np.dstack([value, value, value, np.zeros_like(value)])
    green = np.zeros((40, 50, 3), np.uint8)
    green[hole] = (0, 255, 0)
    grey = np.where(hole, 128, 127).astype(np.uint8)
    deep = cv2.imencode(".png", value.astype(np.uint16) * 257)[1].tobytes()
    found = {"white": value, "brush of 40 %": brush, "brush of 1 in 255": faint, "all transparent": clear,
             "bright green": green, "just bright enough": grey}  # fmt: skip
    return {name: file_of(array) for name, array in found.items()} | {"16 bits": deep}


@pytest.mark.parametrize("name", masks_of_clients())
def test_a_mask_is_what_is_bright_in_it_whatever_its_alpha(server: Running, name: str) -> None:
    answer = inpaint(server, mask=base64_of(masks_of_clients()[name]))
    assert answer.status_code == 200
    assert answer.content == inpaint(server).content
    assert (pixels_of(answer.content)[HOLE] != PHOTO[HOLE]).any()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_brightness_is_pillows(mode: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).convert(mode)
    hole = np.asarray(image.convert("L")) > 127
    mask = photos.read(image)
    assert ((pictures.bright(mask, mask).pixels[..., 0] == 255) == hole).all()


@pytest.mark.parametrize("seed", [2**31, 3698135662, 2**32 - 1, 2**63 - 1])
def test_any_seed_of_63_bits_is_taken(server: Running, seed: int) -> None:
    answer = inpaint(server, sd_seed=seed)
    assert (answer.status_code, answer.headers["x-seed"]) == (200, str(seed))


def test_keys_that_hold_nothing_count_as_absent(server: Running) -> None:
    assert inpaint(server, sd_seed=None, prompt=None).content == inpaint(server, sd_seed="").content
    assert inpaint(server, mask=None).status_code == 400


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"image": "?"}, "Image is not base64"),
        ({"image": base64_of(b"rubbish")}, "known format"),
        ({"image": ""}, "Image is empty"),
        ({"image": None}, "image: "),
        ({"image": 7}, "image: "),
        ({"image": "http://127.0.0.1:1/x.png"}, "not base64"),
        ({"image": "data:"}, "Image is empty"),
        ({"mask": base64_of(file_of(np.zeros((50, 40), np.uint8)))}, "40x50 but the photo is 50x40 (width x height)"),
        ({"mask": "é"}, "Mask is not base64"),
        ({"sd_seed": "x"}, "sd_seed: "),
        ({"sd_seed": -2}, "sd_seed: "),
        ({"sd_seed": 2**63}, "sd_seed: "),
        ({"mask": base64_of(file_of(np.zeros((40, 50), np.uint8)))}, "marks nothing"),
        ({"mask": base64_of(file_of(np.full((40, 50), 127, np.uint8)))}, "marks nothing"),
    ],
)
def test_errors_have_iopaints_shape(server: Running, keys: dict[str, Any], words: str) -> None:
    answer = inpaint(server, **keys)
    assert answer.status_code == 400
    body = answer.json()
    assert set(body) == {"error", "detail", "body", "errors"} and words in body["detail"] and words in body["errors"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"image": NaN}'])
def test_a_body_that_is_no_request_is_refused(server: Running, content: bytes) -> None:
    answer = server.post("/api/v1/inpaint", content=content)
    assert answer.status_code == 400 and "detail" in answer.json()


def test_its_clients_learn_what_they_ask_before(server: Running) -> None:
    config = server.get("/api/v1/server-config").json()
    assert config["plugins"] == [] and config["disableModelSwitch"] is True and config["samplers"] == []
    model = server.get("/api/v1/model").json()
    assert config["modelInfos"] == [model]
    assert (model["name"], model["model_type"], model["need_prompt"]) == ("tiny", "inpaint", False)
    assert server.get("/api/v1/samplers").json() == []
    missing = server.get("/api/v1/inputimage")
    assert missing.status_code == 404 and "Unknown request URL" in missing.json()["detail"]


@pytest.mark.parametrize("which", ["image", "mask"])
def test_a_damaged_file_is_noted_and_refused_where_it_is_strict(server: Running, which: str) -> None:
    whole = {"image": file_of(PHOTO, "JPEG"), "mask": file_of(255 * hole_of().astype(np.uint8), "JPEG")}
    sent = {name: base64_of(data[:-2] if name == which else data) for name, data in whole.items()}
    answer = inpaint(server, **sent)
    assert answer.status_code == 200 and "ends too early" in answer.headers["x-manyfill-notes"]
    assert ("mask's file" in answer.headers["x-manyfill-notes"]) == (which == "mask")
    refused = inpaint(server, **sent, strict=True)
    assert refused.status_code == 400 and "cut off" in refused.text
    assert inpaint(server, **{name: base64_of(data) for name, data in whole.items()}, strict=True).status_code == 200
