"""Photos opened in processes of their own: what comes back, and what a file that is the end of a coder costs."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from textwrap import indent
from typing import Any

import httpx
import numpy as np
import pytest
from serving import PHOTO_PNG, SECONDS, WHITE, Running, Sketch, file_of, photo_of

from manyfill import memory, photos
from manyfill.completer import Completer
from manyfill.errors import BadImage, BadMask, TooLarge
from manyfill.server.coding import Coders, program
from manyfill.server.queue import Cancelled
from manyfill.server.settings import Limits, Settings

ROOM = 1 << 30


def nobody_left() -> None:
    """A check that lets everything go on."""


@contextmanager
def coders(count: int = 1, *, seconds: float = 20.0, hostile: str | None = None) -> Iterator[Coders]:
    pool = unstarted(count, seconds=seconds, hostile=hostile)
    pool.start()
    try:
        yield pool
    finally:
        pool.close()


def meddled(usual: str, given: str, where: str, code: str) -> list[str]:
    """A coder that runs this code in place of one of its functions, where it is given something of that kind."""
    lines = "\n".join(f"        {line}" for line in code.splitlines())
    program_of = (
        "import sys, os, time; sys.path[:] = sys.argv[1:]\nfrom manyfill.server import coder\n"
        f"usual = {usual}\ndef meddled({given}, order):\n"
        f"    if {where}:\n{lines}\n    return usual({given}, order)\n"
        f"{usual} = meddled\ncoder.main()\n"
    )
    return [sys.executable, "-c", program_of, *program()[3:]]


def unstarted(
    count: int = 1, *, seconds: float = 20.0, hostile: str | None = None, encoder: str | None = None
) -> Coders:
    """`hostile`: Python that a coder runs with `data`, instead of opening it, where it begins with "bomb".

    `encoder`: Python that it runs with `photo` and `order` instead of writing it, where the photo is 50 pixels wide.
    """
    command = None
    if encoder is not None:
        command = meddled("coder._written", "photo", "photo.width == 50", encoder)
    if hostile is not None:
        command = meddled("coder._KINDS['photo']", "data", "data.startswith(b'bomb')", hostile)
    return Coders(count, pixels=50_000_000, seconds=seconds, command=command)


def opened(pool: Coders, data: bytes = PHOTO_PNG, check: Callable[[], None] = nobody_left, **more: Any) -> Any:
    return pool.photo(data, **{"memory": ROOM, "check": check, **more})


def kinds() -> dict[str, bytes]:
    grey, deep = photo_of(channels=1).reshape(40, 50), photo_of(dtype=np.uint16)
    found = {format: file_of(photo_of(), format) for format in ("PNG", "JPEG", "WEBP", "TIFF", "BMP")}
    found |= {"grey": file_of(grey), "RGBA": file_of(photo_of(channels=4))}
    found |= {"grey alpha": photos.encode(photos.read(np.dstack([grey, grey])), format="png")}
    found |= {"16 bits": photos.encode(photos.read(deep), format="tiff")}
    with_more = photos.read(file_of(photo_of(), "JPEG", dpi=(72, 72), comment=b"a comment", quality=77))
    return found | {"JPEG with more": photos.encode(with_more)}


def test_a_photo_is_what_it_is_when_it_is_read_here() -> None:
    with coders() as pool:
        for name, data in kinds().items():
            here, there = photos.read(data), opened(pool, data)
            for each in fields(here):
                one, other = getattr(here, each.name), getattr(there, each.name)
                same = np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
                assert same, (name, each.name)
        assert opened(pool, kinds()["grey"]).pixels.strides[-1] == 0, "grey is held three times"


def test_what_is_wrong_with_a_file_is_said_as_it_is_said_here() -> None:
    with coders() as pool:
        (pid,) = pool.pids
        for data in (b"", b"rubbish", PHOTO_PNG[:200], kinds()["JPEG"][:50]):
            with pytest.raises(BadImage) as here:
                photos.read(data)
            with pytest.raises(BadImage) as there:
                opened(pool, data)
            assert str(there.value) == str(here.value)
        with pytest.raises(BadMask, match="the mask"):
            opened(pool, b"rubbish", mask=True)
        with pytest.raises(TooLarge, match="million pixels"):
            opened(pool, file_of(np.zeros((8000, 8000), np.uint8)))
        assert pool.pids == [pid], "a bad file cost a process"


def test_memory_is_bounded_and_the_process_goes_on() -> None:
    with coders() as pool:
        data = file_of(np.zeros((5000, 6000, 3), np.uint8), "JPEG")
        with pytest.raises(TooLarge, match="more memory than the 64 MiB"):
            opened(pool, data, memory=64 << 20)
        assert opened(pool, data).width == 6000


def test_a_coder_that_has_grown_gives_its_place_to_a_fresh_one() -> None:
    hostile = "coder.kept = bytearray(150_000_000)\nfor at in range(0, len(coder.kept), 4096): coder.kept[at] = 1"
    with coders(hostile=hostile + "\nraise coder.BadImage('it was a bomb')") as pool:
        (pid,) = pool.pids
        with pytest.raises(BadImage, match="it was a bomb"):
            opened(pool, b"bomb")
        assert pool.pids != [pid]
        assert opened(pool).width == 50


ENDS: list[tuple[str, type[Exception], str]] = [
    ("while True: pass", BadImage, "more than 1 seconds of processor time"),
    ("import re; re.match('(a*)*b', 'a' * 60)", BadImage, "processor time"),  # holds the interpreter
    ("os.kill(os.getpid(), 11)", BadImage, "broke down"),
    ("os.abort()", BadImage, "broke down"),
    ("os._exit(0)", BadImage, "broke down"),
    ("held = bytearray(2 << 30)", TooLarge, "more memory than"),
    ("held = []\nwhile True: held.append(bytes(1 << 20))", TooLarge, "more memory than"),
    ("return meddled(data, order)", BadImage, "nested too deeply"),
    ("os.write(1, b'printed by a library\\n'); return usual(b'', order)", BadImage, "empty"),
    ("return [b'no answer at all']", BadImage, "broke down"),
    ("return [b'{}\\n']", BadImage, "broke down"),
    ("return [b'[' * 5000 + b'\\n']", BadImage, "broke down"),
    ("return [b'{\"photos\": [{\"height\": 99999, \"width\": 99999}]}\\n']", BadImage, "broke down"),
]  # fmt: skip


@pytest.fixture(scope="module")
def bombed() -> Iterator[Coders]:
    """Does what `ENDS` says of the number that a file has behind "bomb"."""
    each = (f"if data == b'bomb{number}':\n{indent(code, '    ')}" for number, (code, _, _) in enumerate(ENDS))
    with coders(seconds=1.0, hostile="\n".join(each)) as pool:
        yield pool


@pytest.mark.parametrize("number", range(len(ENDS)), ids=[code for code, _, _ in ENDS])
def test_a_file_that_is_the_end_of_a_coder_costs_itself_alone(bombed: Coders, number: int) -> None:
    _, error, words = ENDS[number]
    with pytest.raises(error, match=words):
        opened(bombed, b"bomb%d" % number)
    assert opened(bombed).width == 50
    assert opened(bombed).width == 50, "the pool lost a process"


def test_nothing_but_a_photos_parts_comes_out_of_an_answer() -> None:
    hostile = (
        "import pickle, json\n"
        "class Evil:\n"
        "    def __reduce__(self): return (os.system, ('exit 1',))\n"
        "state = pickle.dumps({'icc': Evil()})\n"
        "one = {'state': len(state), 'height': 1, 'width': 1, 'depth': 8, 'grey': True, 'alpha': False}\n"
        "return [json.dumps({'photos': [one]}).encode() + b'\\n', state, b'x']"
    )
    with coders(hostile=hostile) as pool:
        with pytest.raises(BadImage, match="broke down"):
            opened(pool, b"bomb")
        assert opened(pool).width == 50


@pytest.mark.parametrize("hostile", ["while True: pass", "time.sleep(600)"])
def test_who_leaves_ends_the_decoding(hostile: str) -> None:
    with coders(hostile=hostile) as pool:
        gone = threading.Event()

        def check() -> None:
            if gone.is_set():
                raise Cancelled

        threading.Timer(0.5, gone.set).start()
        with pytest.raises(Cancelled):
            opened(pool, b"bomb", check)
        assert opened(pool).width == 50


def test_who_leaves_while_all_coders_are_busy_does_not_wait_for_one() -> None:
    with coders(hostile="time.sleep(600)") as pool:
        gone, looks = threading.Event(), Counter[int]()

        def check() -> None:
            looks[threading.get_ident()] += 1
            if gone.is_set():
                raise Cancelled

        threads = [threading.Thread(target=pytest.raises, args=(Cancelled, opened, pool, b"bomb", check)) for _ in "ab"]
        for thread in threads:
            thread.start()
        until = time.monotonic() + SECONDS
        while sum(count > 1 for count in list(looks.values())) < 2:  # one has the coder, the other waits for it
            assert time.monotonic() < until, looks
            time.sleep(0.01)
        gone.set()
        for thread in threads:
            thread.join(SECONDS)
        assert not any(thread.is_alive() for thread in threads)
        assert opened(pool).width == 50


def test_one_that_died_while_it_was_idle_is_replaced() -> None:
    with coders() as pool:
        opened(pool)
        os.kill(pool.pids[0], signal.SIGKILL)
        os.waitid(os.P_PID, pool.pids[0], os.WEXITED | os.WNOWAIT)
        assert opened(pool).width == 50


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


AT_ONCE = [name for name in photos.FORMATS if not photos.in_strips(photos.read(PHOTO_PNG), name)]


def written(pool: Coders, photo: photos.Photo, format: str = "webp", check: Callable[[], None] = nobody_left,
            *, lay: photos.Lay | None = None, quality: int | None = None) -> bytes:  # fmt: skip
    return b"".join(pool.written(photo, format=format, quality=quality, lay=lay, check=check))


def painted(rows: Any, top: int) -> None:
    """A fill: some rows in red."""
    rows[max(0, 10 - top) : max(0, 20 - top), 5:9] = np.iinfo(rows.dtype).max, 0, 0


def test_a_file_is_what_it_is_when_it_is_written_here() -> None:
    tall = photos.read(photo_of(3000, 400))  # in several strips
    with coders() as pool:
        for format in AT_ONCE:
            for name, data in kinds().items():
                photo = photos.read(data)
                for quality in (None, 60):
                    try:
                        here = b"".join(photos.encode_parts(photo, format=format, quality=quality, lay=painted))
                    except BadImage as error:
                        with pytest.raises(BadImage) as there:
                            written(pool, photo, format, quality=quality, lay=painted)
                        assert str(there.value) == str(error)
                        continue
                    assert written(pool, photo, format, quality=quality, lay=painted) == here, (format, name)
        assert written(pool, tall, lay=painted) == b"".join(photos.encode_parts(tall, format="webp", lay=painted))


@pytest.mark.parametrize("encoder", ["while True: pass", "time.sleep(600)", "import re; re.match('(a*)*b', 'a' * 60)"])
def test_who_leaves_ends_the_encoding(encoder: str) -> None:
    gone = threading.Event()

    def check() -> None:
        if gone.is_set():
            raise Cancelled

    pool = unstarted(encoder=encoder)
    pool.start()
    try:
        threading.Timer(0.5, gone.set).start()
        with pytest.raises(Cancelled):
            written(pool, photos.read(PHOTO_PNG), check=check)
        assert written(pool, photos.read(photo_of(9, 9)))[8:12] == b"WEBP", "the pool lost a process"
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("encoder", "error", "words"),
    [
        ("os.kill(os.getpid(), 11)", BadImage, "cannot be written as WEBP: its encoder broke down"),
        ("return [b'no answer at all']", BadImage, "broke down"),
        ("return [b'{\"length\": 3}\\n', b'123 and more']", BadImage, "broke down"),
        ("raise MemoryError", TooLarge, "does not fit into memory as it is written"),
        ("raise coder.BadImage('it cannot be')", BadImage, "it cannot be"),
    ],
)  # fmt: skip
def test_an_encoder_that_breaks_down_costs_its_photo_alone(encoder: str, error: type, words: str) -> None:
    pool = unstarted(encoder=encoder)
    pool.start()
    try:
        with pytest.raises(error, match=words):
            written(pool, photos.read(PHOTO_PNG))
        assert written(pool, photos.read(photo_of(9, 9)))[8:12] == b"WEBP", "the pool lost a process"
    finally:
        pool.close()


def test_a_file_that_is_not_read_to_its_end_leaves_nothing_for_the_next() -> None:
    with coders() as pool:
        photo = photos.read(np.random.default_rng(0).integers(0, 255, (1200, 1200, 3), dtype=np.uint8))
        parts = pool.written(photo, format="bmp", quality=None, lay=None, check=nobody_left)
        assert next(parts)[:2] == b"BM"
        parts.close()
        assert opened(pool).width == 50


def test_ctrl_c_and_sigterm_are_the_servers_to_handle() -> None:
    with coders() as pool:
        opened(pool)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
        assert opened(pool).width == 50 and pool.pids == [pid]


def test_they_end_with_the_pool() -> None:
    with coders(2) as pool:
        pids = pool.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_json_body_is_taken_apart_out_there() -> None:
    with coders() as pool:
        picture = base64_of(PHOTO_PNG)
        body = {"image": picture, "mask": f"data:image/png;base64,{picture}", "sd_seed": 2**40,
                "prompt": "x" * 5000, "nested": [[{}]], "flag": True, "nothing": None}  # fmt: skip
        found = pool.iopaint(json.dumps(body).encode(), memory=ROOM, check=nobody_left)
        assert [photo.width for photo in found.photos if photo] == [50, 50]
        assert found.fields == {"image": "", "mask": "", "sd_seed": 2**40, "prompt": "x" * 1000, "flag": True,
                                "nothing": None}  # fmt: skip
        for text in (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a": 1e400' + b"0" * 5000):
            assert pool.iopaint(text, memory=ROOM, check=nobody_left).fields is None


@pytest.mark.parametrize("body", [b"[" + b"{}," * 20_000_000 + b"{}]", b'{"a":[' + b"[]," * 20_000_000 + b"1]}"])
def test_a_json_body_that_swells_is_refused_and_swells_nothing_here(body: bytes) -> None:
    with coders() as pool:
        before = memory.resident()
        with pytest.raises(TooLarge, match="more memory"):
            pool.iopaint(body, memory=300 << 20, check=nobody_left)
        assert memory.resident() < before + (50 << 20)
        assert opened(pool).width == 50


# ── in the server ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def attacked(
    hostile: str | None = None, *, decode_seconds: float = 20.0, encoder: str | None = None, **limits: Any
) -> Iterator[Running]:
    pool = unstarted(2, seconds=decode_seconds, hostile=hostile, encoder=encoder)
    completer = Completer.of_net(Sketch().eval())
    settings = Settings(models=("sketch",), limits=Limits(**limits))
    server = Running(settings, load=lambda device: {"sketch": completer}, coders=pool)
    try:
        yield server.ready()
    finally:
        server.stop()


def edit(server: Running, image: bytes = PHOTO_PNG) -> httpx.Response:
    return server.post("/v1/images/edits", files={"image": image, "mask": WHITE}, data={"texture": "net"})


def test_an_unknown_bomb_costs_its_request_and_nothing_else() -> None:
    with attacked("while True: pass", decode_seconds=1.0) as server:
        answer = edit(server, b"bomb")
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_image_file"
        assert "processor time" in answer.json()["error"]["message"]
        mask = server.post("/v1/images/edits", files={"image": PHOTO_PNG, "mask": b"bomb"}, data={"texture": "net"})
        assert mask.status_code == 400 and mask.json()["error"]["param"] == "mask"
        assert edit(server).status_code == 200
    with attacked("held = bytearray(8 << 30)") as server:
        answer = edit(server, b"bomb")
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "image_too_large"
        assert edit(server).status_code == 200


@pytest.mark.parametrize("hostile", ["time.sleep(600)", "import re; re.match('(a*)*b', 'a' * 60)"])
def test_a_coder_that_hangs_is_let_go_at_the_deadline_and_the_server_is_there(hostile: str) -> None:
    with attacked(hostile, decode_seconds=300) as server, ThreadPoolExecutor() as pool:
        request = pool.submit(raw_bomb, server)
        server.wait_for("queue_running", 1)
        assert server.get("/healthz").status_code == 200, "it does not wait for the coder"
        request.result().close()
        server.wait_for("queue_running", 0)
        assert edit(server).status_code == 200
    with attacked(hostile, decode_seconds=300, seconds=1.5) as server:
        answer = edit(server, b"bomb")
        assert answer.status_code == 504
        server.wait_for("queue_running", 0)


@pytest.mark.parametrize("format", AT_ONCE)
def test_an_encoder_that_takes_for_ever_is_let_go_at_the_deadline(format: str) -> None:
    source = photos.encode(photos.read(PHOTO_PNG), format=format)
    files, form = {"image": source, "mask": WHITE}, {"texture": "net", "output_format": "same"}
    with attacked(encoder="while True: pass", seconds=3) as server:
        assert server.post("/v1/images/edits", files=files, data=form).status_code == 504
        server.wait_for("queue_running", 0)
        kept = server.post("/v1/images/edits", files=files, data=form | {"response_format": "url"})
        url = kept.json()["data"][0]["url"]
        assert server.get(url).status_code == 504, "a result is written when it is fetched"
        assert server.get(f"{url}?format=png").status_code == 200, "the desk is free again"


def test_who_asks_for_a_slow_format_and_leaves_frees_the_worker() -> None:
    with attacked(encoder="time.sleep(600)") as server:
        files = {"image": PHOTO_PNG, "mask": WHITE, "output_format": (None, "webp"), "texture": (None, "net")}
        connection = posted(server, files)
        server.wait_for("queue_running", 1)
        server.wait_for("fills_total", 1)
        connection.close()
        server.wait_for("queue_running", 0)
        assert edit(server).status_code == 200


def raw_bomb(server: Running) -> socket.socket:
    return posted(server, {"image": b"bomb", "mask": WHITE})


def posted(server: Running, files: dict[str, Any]) -> socket.socket:
    """The connection of a client that has asked for an edit."""
    request = httpx.Request("POST", server.url, files=files)
    body = request.read()
    connection = socket.create_connection(("127.0.0.1", server.listener.getsockname()[1]))
    head = f"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    connection.sendall(f"{head}Content-Type: {request.headers['content-type']}\r\n\r\n".encode() + body)
    return connection


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def once_dear() -> dict[str, bytes]:
    """Small files that once froze the server, or ate its memory."""
    before, rest = PHOTO_PNG[: PHOTO_PNG.index(b"IDAT") - 4], PHOTO_PNG[PHOTO_PNG.index(b"IDAT") - 4 :]
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b"<xmp:Thumbnails " * 65_000
    tags = [(256, 4, 1, 4000), (257, 4, 1, 10_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 10_000, 200), (278, 4, 1, 1), (279, 4, 10_000, 40_200)]  # fmt: skip
    strips = struct.pack("<2sHIH", b"II", 42, 8, 8) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    strips = strips.ljust(200, b"\0") + struct.pack("<I", 8) * 10_000 + struct.pack("<I", 80_000) * 10_000
    chain = b"".join(struct.pack("<HI", 0, 8 + 6 * number) for number in range(1, 500_000))
    exif = struct.pack("<2sHIH", b"II", 42, 8, 3000)
    exif += b"".join(struct.pack("<HHII", 40_000 + number, 7, 60_000, 100) for number in range(3000))
    return {
        "1 MB of XMP": before + chunk(b"iTXt", xmp) + rest,
        "a million empty IDATs": before + chunk(b"IDAT", b"") * 1_000_000 + rest,
        "overlapping strips": strips + bytes(1000),
        "a chain of directories": struct.pack("<2sHI", b"II", 42, 8) + chain,
        "overlapping EXIF": before + chunk(b"eXIf", exif + bytes(60_000)) + rest,
    }


@pytest.mark.parametrize("name", once_dear())
def test_what_once_froze_the_server_is_opened_or_refused_at_small_cost(name: str) -> None:
    with coders(seconds=10.0) as pool:
        try:
            assert opened(pool, once_dear()[name], memory=400 << 20).width == 50
        except (BadImage, TooLarge) as error:
            assert "processor time" not in str(error) and "broke down" not in str(error)
            assert "more memory" not in str(error)
