"""Fills that the server still has: written when fetched, merged and gone on from by name; and answers on the disk."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image
from serving import HOLE, PHOTO, PHOTO_PNG, WHITE, Running, Sketch, file_of, hole_of, photo_of, pixels_of, running

from manyfill import photos
from manyfill.completer import Completion
from manyfill.errors import TooLarge
from manyfill.server.errors import Refusal
from manyfill.server.pictures import Encoded, Finished, unfilled
from manyfill.server.results import Results
from manyfill.server.settings import Limits, Settings
from manyfill.server.shares import CODER, LEAST, Ledger, Shares
from manyfill.server.spool import IN_MEMORY, Spool, Spools

JPEG = file_of(PHOTO, "JPEG", quality=83)


def ask(server: Running, image: bytes | None = JPEG, **fields: Any) -> dict[str, Any]:
    files = {"mask": WHITE, **({} if image is None else {"image": image})}
    form = {"response_format": "url", "texture": "net", "seed": "1", **fields}
    answer = server.post("/v1/images/edits", files=files, data=form)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def name_of(picture: dict[str, Any]) -> str:
    return str(picture["url"].rpartition("/")[2])


# ── written when they are fetched ─────────────────────────────────────────────────────────────────────────────────────


def test_a_result_is_the_file_that_would_have_been_sent(server: Running) -> None:
    sent = ask(server, n="2", response_format="b64_json")["data"]
    kept = ask(server, n="2")["data"]
    for one, other in zip(sent, kept, strict=True):
        for _ in range(2):  # as often as somebody wants it
            answer = server.get(other["url"])
            assert answer.content == base64.b64decode(one["b64_json"])
            assert answer.headers["content-type"] == "image/png"
            assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "bmp"])
def test_a_result_is_written_in_any_format(server: Running, format: str) -> None:
    (fill,) = ask(server)["data"]
    png = pixels_of(server.get(fill["url"]).content)
    answer = server.get(fill["url"], params={"format": format})
    assert answer.headers["content-type"] == f"image/{format}"
    image = Image.open(io.BytesIO(answer.content))
    assert image.format == format.upper() and np.abs(np.asarray(image).astype(int) - png).mean() < 4


def test_same_is_the_photos_own_format_with_its_own_tables(server: Running) -> None:
    (fill,) = ask(server)["data"]
    again = Image.open(io.BytesIO(server.get(fill["url"], params={"format": "same"}).content))
    first = Image.open(io.BytesIO(JPEG))
    assert again.format == "JPEG" and again.quantization == first.quantization  # type: ignore[attr-defined]
    small = server.get(fill["url"], params={"format": "jpeg", "quality": 10}).content
    assert len(small) < len(server.get(fill["url"], params={"format": "jpeg", "quality": 95}).content)


@pytest.mark.parametrize("query", [{"format": "gif"}, {"format": "../x"}, {"quality": 0}, {"quality": "x"}])
def test_a_format_that_is_none_is_refused(server: Running, query: dict[str, str]) -> None:
    (fill,) = ask(server)["data"]
    answer = server.get(fill["url"], params=query)
    assert answer.status_code == 400 and answer.json()["error"]["param"] in query


def test_a_format_that_cannot_hold_the_photo_is_refused_in_words(server: Running) -> None:
    deep = cv2.imencode(".png", photo_of(dtype=np.uint16))[1].tobytes()
    (fill,) = ask(server, deep)["data"]
    assert server.get(fill["url"]).status_code == 200
    answer = server.get(fill["url"], params={"format": "jpeg"})
    assert answer.status_code == 400 and "16 bits" in answer.json()["error"]["message"]


def test_a_scaled_result_keeps_its_size(server: Running) -> None:
    found = ask(server, size="100x80")
    assert found["size"] == "100x80"
    assert pixels_of(server.get(found["data"][0]["url"]).content).shape == (80, 100, 3)


def test_a_lost_fill_comes_again_by_photo_hole_and_seed() -> None:
    with running(Settings(models=("sketch",)), Sketch()) as first:
        fills = ask(first, n="3")["data"]
        files = [first.get(fill["url"]).content for fill in fills]
    with running(Settings(models=("sketch",)), Sketch()) as second:
        for fill, file in zip(fills, files, strict=True):
            gone = second.get(httpx.URL(fill["url"]).path)
            assert gone.status_code == 404 and gone.json()["error"]["code"] == "result_expired"
            (again,) = ask(second, seed=str(fill["seed"]))["data"]
            assert second.get(again["url"]).content == file


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def lasso() -> bytes:
    region = np.zeros((40, 50), np.uint8)
    region[:, :28] = 255
    return file_of(region)


def test_fills_are_merged_by_name_as_they_are_merged_by_file(server: Running) -> None:
    first, second = ask(server, PHOTO_PNG, n="2")["data"]
    files = {"image": server.get(first["url"]).content, "other": server.get(second["url"]).content, "mask": lasso()}
    by_file = server.post("/v1/images/merge", files=files).json()["data"][0]["b64_json"]
    names = {"image_result": name_of(first), "other_result": name_of(second)}
    by_name = server.post("/v1/images/merge", files={"mask": lasso()}, data=names).json()["data"][0]["b64_json"]
    assert (pixels_of(base64.b64decode(by_name)) == pixels_of(base64.b64decode(by_file))).all()
    assert by_name != base64.b64encode(files["image"]).decode()
    mixed = {"other_result": name_of(second)}
    answer = server.post("/v1/images/merge", files={"mask": lasso(), "image": files["image"]}, data=mixed)
    assert answer.json()["data"][0]["b64_json"] == by_file


def test_a_merged_fill_is_merged_again_and_written_in_the_photos_format(server: Running) -> None:
    one, two, three = ask(server, n="3")["data"]
    form = {"response_format": "url", "image_result": name_of(one), "other_result": name_of(two)}
    (mixed,) = server.post("/v1/images/merge", files={"mask": lasso()}, data=form).json()["data"]
    assert set(mixed) == {"url", "preview_url", "seed", "score"} and mixed["seed"] is None
    form |= {"image_result": name_of(mixed), "other_result": name_of(three)}
    (again,) = server.post("/v1/images/merge", files={"mask": lasso()}, data=form).json()["data"]
    files = [server.get(each["url"], params={"format": "same"}) for each in (mixed, again)]
    assert [file.headers["content-type"] for file in files] == ["image/jpeg"] * 2
    assert files[0].content != files[1].content


def test_a_fill_is_gone_on_from_by_name(server: Running) -> None:
    (fill,) = ask(server)["data"]
    sent = ask(server, server.get(fill["url"]).content, seed="9")["data"][0]
    named = ask(server, None, seed="9", image_result=name_of(fill))["data"][0]
    assert server.get(named["url"]).content != server.get(fill["url"]).content
    assert (pixels_of(server.get(named["url"]).content) == pixels_of(server.get(sent["url"]).content)).all()
    same = server.get(named["url"], params={"format": "same"})
    assert same.headers["content-type"] == "image/jpeg", "the photo's own format is forgotten"


@pytest.mark.parametrize(
    ("path", "names", "status", "param"),
    [
        ("edits", {"image_result": "x"}, 404, "image_result"),
        ("edits", {"image_result": "../../etc/passwd"}, 404, "image_result"),
        ("edits", {"image_result": "x" * 5000}, 400, "image_result"),
        ("edits", {"image_result": "PREVIEW"}, 404, "image_result"),
        ("edits", {"image_result": "HEAT"}, 400, "image_result"),
        ("merge", {"image_result": "x", "other_result": "FILL"}, 404, "image_result"),
        ("merge", {"image_result": "FILL", "other_result": "x"}, 404, "other_result"),
        ("merge", {"image_result": "FILL"}, 400, "other"),
        ("merge", {"image_result": "FILL", "other_result": "HEAT"}, 400, "other_result"),
    ],
)
def test_a_name_that_is_none_of_a_fill_is_refused(
    server: Running, path: str, names: dict[str, str], status: int, param: str
) -> None:
    found = ask(server, n="2", uncertainty="true")
    real = {"FILL": name_of(found["data"][0]), "HEAT": name_of(found["uncertainty"]),
            "PREVIEW": f"{name_of(found['data'][0])}/preview"}  # fmt: skip
    form = {key: real.get(name, name) for key, name in names.items()}
    answer = server.post(f"/v1/images/{path}", files={"mask": lasso()}, data=form)
    assert answer.status_code == status and answer.json()["error"]["param"] == param


def test_a_file_and_a_name_for_the_same_thing_are_refused(server: Running) -> None:
    (fill,) = ask(server)["data"]
    files = {"image": PHOTO_PNG, "mask": WHITE}
    answer = server.post("/v1/images/edits", files=files, data={"image_result": name_of(fill)})
    assert answer.status_code == 400 and "send one" in answer.json()["error"]["message"]


# ── what is held ──────────────────────────────────────────────────────────────────────────────────────────────────────


def fill_of(photo: photos.Photo) -> Finished:
    return Finished(unfilled(photo))


SMALL = Encoded(b"12345", "webp", 1, 1)


def test_fills_of_one_photo_hold_it_once() -> None:
    results = Results(seconds=60, limit=lambda: 1 << 20)
    photo, other = photos.read(photo_of()), photos.read(photo_of())
    for count in (1, 2, 3):
        results.add(fill_of(photo), SMALL)
        assert results.held == photo.pixels.nbytes + count * 5 + count * 1, "the pixels are counted again"
    results.add(fill_of(other), SMALL)
    assert results.held == 2 * photo.pixels.nbytes + 4 * 5 + 4


def test_the_oldest_results_go_where_they_are_too_many() -> None:
    results = Results(seconds=60, limit=lambda: 15_000)  # two photos of 6,000 bytes
    names = [results.add(fill_of(photos.read(photo_of())), SMALL) for _ in range(5)]
    assert results.held <= 15_000
    assert results.get(names[-1]) and results.get(names[-2])
    with pytest.raises(Refusal) as caught:
        results.get(names[0])
    assert caught.value.status == 404
    grey = photos.read(photo_of(channels=1).reshape(40, 50))
    results = Results(seconds=60, limit=lambda: 1 << 20)
    results.add(fill_of(grey), SMALL)
    assert results.held == 40 * 50 + 5 + 1, "grey is one channel"


def test_results_are_kept_for_so_long_and_then_gone() -> None:
    now = 100.0
    results = Results(seconds=60, limit=lambda: 1 << 20, clock=lambda: now)
    first = results.add(fill_of(photos.read(photo_of())), SMALL)
    now = 159.0
    second = results.add(fill_of(photos.read(photo_of())), SMALL)
    assert results.get(first)
    now = 160.0
    assert results.get(second)
    with pytest.raises(Refusal) as caught:
        results.get(first)
    assert caught.value.status == 404
    now = 219.0
    results.expire()
    assert results.held == 0


def parts(*sizes: int) -> Iterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number]) * size


@pytest.mark.parametrize("to_disk", [True, False])
@pytest.mark.parametrize("sizes", [(), (0,), (5,), (IN_MEMORY, 1), (100, 3 * IN_MEMORY, 7, 0, 12)])
def test_a_spool_gives_back_what_was_written(to_disk: bool, sizes: tuple[int, ...]) -> None:
    spools = Spools(Shares(None, workers=1, processes=0))
    spools.to_disk = to_disk
    spool = spools.of(parts(*sizes))
    assert spool.length == spools.ledger.held == sum(sizes)
    assert b"".join(spool.pieces()) == b"".join(parts(*sizes))
    assert spools.ledger.held == 0


def test_a_spool_that_nobody_reads_is_given_back_too() -> None:
    ledger = Ledger(1000, lambda: Refusal(503, "full"))
    spool = Spool(ledger, to_disk=False)
    spool.write(bytes(600))
    with pytest.raises(Refusal, match="full"):
        Spool(ledger, to_disk=False).write(bytes(600))
    pieces = spool.pieces()
    assert ledger.held == 600
    del spool, pieces
    assert ledger.held == 0
    with pytest.raises(TooLarge, match="fewer fills"):
        Spool(ledger, to_disk=False).write(bytes(1001))


def test_an_answer_is_released_with_its_last_byte(server: Running) -> None:
    ask(server, n="3", response_format="b64_json")
    stream = {"stream": "true", "response_format": "b64_json", "n": "2", "texture": "net"}
    server.post("/v1/images/edits", files={"image": JPEG, "mask": WHITE}, data=stream)
    server.wait_for("answer_bytes", 0)


# ── notes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def cmyk() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PHOTO).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


def test_what_could_not_be_kept_is_told(server: Running) -> None:
    files = {"image": cmyk(), "mask": WHITE}
    answer = server.post("/v1/images/edits", files=files, data={"texture": "net"})
    notes = answer.json()["notes"]
    assert any("CMYK" in note for note in notes)
    assert json.loads(answer.headers["x-manyfill-notes"]) == notes
    streamed = server.post("/v1/images/edits", files=files, data={"texture": "net", "stream": "true"}).text
    assert json.loads(streamed.partition("data: ")[2].partition("\n")[0])["notes"] == notes
    (fill,) = ask(server, cmyk())["data"]
    assert json.loads(server.get(fill["url"]).headers["x-manyfill-notes"]) == notes
    body = {name: base64.b64encode(data).decode() for name, data in files.items()}
    inpainted = server.post("/api/v1/inpaint", json=body)
    told = json.loads(inpainted.headers["x-manyfill-notes"])
    assert told[: len(notes)] == notes and "JPEG re-encodes" in told[-1], "of the format that was written"
    same = server.get(fill["url"], params={"format": "same"})
    assert json.loads(same.headers["x-manyfill-notes"]) == told
    plain = server.post("/v1/images/edits", files={"image": PHOTO_PNG, "mask": WHITE}, data={"texture": "net"})
    assert plain.json()["notes"] == [] and "x-manyfill-notes" not in plain.headers


# ── shares of the memory ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("disk", [True, False])
def test_the_shares_are_not_more_than_there_is(disk: bool) -> None:
    shares = Shares(8 << 30, workers=3, processes=4, disk=disk)
    parts = [shares.uploads, shares.results, shares.answers, shares.desk, 3 * shares.fill]
    assert 0.99 * shares.room < sum(parts) <= shares.room + 1 < 8 << 30


@pytest.mark.parametrize("disk", [True, False])
def test_the_memory_that_a_refusal_names_is_enough(disk: bool) -> None:
    shares = Shares(4 << 30, workers=2, processes=3, disk=disk)
    named = shares.total_for(2 * shares.fill)
    enough = Shares(named, workers=2, processes=3, disk=disk)
    assert 1.98 * shares.fill < enough.fill < 2.05 * shares.fill


def test_what_no_answer_takes_goes_to_the_fills() -> None:
    disk, none = (Shares(4 << 30, workers=1, processes=2, disk=disk) for disk in (True, False))
    assert disk.fill >= none.fill + none.answers
    assert disk.fill > disk.room * 5 // 8 - 2, "ten fills of 48 million pixels, 40 % of them, under 4G"


def test_a_server_that_has_too_little_says_how_much_it_needs() -> None:
    shares = Shares(100 << 20, workers=1, processes=2)
    with pytest.raises(TooLarge, match=r"--max-memory is 100 MiB. Allow at least (\d+)M") as caught:
        shares.settle()
    least = int(str(caught.value).split("at least ")[1].partition("M")[0])
    assert least << 20 > LEAST + 2 * CODER
    server = Running(Settings(models=("sketch",), limits=Limits(memory=100 << 20)), Sketch())
    try:
        server.get("/healthz")
        while (health := server.get("/healthz").json())["status"] == "loading":
            pass
        assert health["status"] == "failed" and "Allow at least" in health["reason"]
    finally:
        server.stop()


def test_a_fill_that_was_merged_keeps_all_but_the_region() -> None:
    photo = photos.read(PHOTO)
    assert isinstance(unfilled(photo), Completion) and not unfilled(photo).hole.any()
    assert (unfilled(photo).photo.pixels == PHOTO).all() and hole_of()[HOLE].all()
