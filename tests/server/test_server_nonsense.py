"""Parameters that nobody means: each is refused in words or done, by a process with limits, and quickly forgotten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("resource")  # limits of a process: not on Windows

CPU_SECONDS, MEMORY = 120, 3 << 30  # beyond what the program takes when it is loaded: thousands of requests
CHILD = """
import base64, json, resource, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from serving import CLEAR, PHOTO_PNG, Sketch, running
from manyfill.server.settings import Limits, Settings

settings = Settings(models=("sketch",), limits=Limits(pixels=1_000_000))
with running(settings, Sketch()) as server:
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + {memory},) * 2)
    spent = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent.ru_utime + spent.ru_stime) + {seconds},) * 2)
    for line in sys.stdin:
        told = []
        for path, given in json.loads(line):
            if path.startswith("/api"):
                pictures = {{"image": base64.b64encode(PHOTO_PNG).decode(), "mask": base64.b64encode(CLEAR).decode()}}
                answer = server.post(path, content=json.dumps(pictures | given))
            else:
                files = {{"image": PHOTO_PNG, "mask": CLEAR}} if path.endswith("edits") else {{"image": PHOTO_PNG}}
                answer = server.post(path, files=files, data=given)
            told.append((answer.status_code, answer.text[:300] if answer.status_code != 200 else ""))
        assert server.get("/healthz").status_code == 200
        print(json.dumps(told), flush=True)
"""
WORDS = (
    "-1", "1e308", "-1e308", "nan", "inf", "\u0663", "\uff11", "9" * 400, "1_000", "0x10", "\x00", "\U0001f642",
    "\u202e1", "1,2", "1,2,3,4,5", ",,,", "1,,2,3", "9999%", "999999", "-5%", "1e9%", "6000,0,0,0", "0:0", "1:99999",
    "99999:1", "16:9:1",
)  # fmt: skip
EDIT = (
    "n",
    "seed",
    "near",
    "step",
    "diversity",
    "texture",
    "grow",
    "band",
    "size",
    "partial_images",
    "extend",
    "extend_to",
)
SELECT = ("click", "keep", "scribble", "box", "text", "dust", "colour", "grow", "feather")
NUMBERS = (0, -1, 1e308, -1e308, 10**30, float("nan"), float("inf"), 3.7, "\u0663", "x", [], {}, 100_000, -100_000)
FEW = "5,5"


Answers = Callable[..., list[tuple[int, str]]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """Asks a server in a process with limits."""
    code = CHILD.format(memory=MEMORY, seconds=CPU_SECONDS)
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "MANYFILL_CACHE": str(tmp_path_factory.mktemp("cache"))},
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    orders, said = child.stdin, child.stdout

    def ask(*asked: tuple[str, object]) -> list[tuple[int, str]]:
        orders.write(json.dumps(asked) + "\n")
        orders.flush()
        line = said.readline()
        assert line, f"it ended with {child.wait()} (below 0: by that signal)"
        return [tuple(each) for each in json.loads(line)]

    yield ask
    child.communicate()  # the end of its input is its end
    assert child.returncode == 0


def test_words_in_every_field_of_ours_are_refused_in_words_or_done(answers: Answers) -> None:
    asked = [("/v1/images/edits", {"texture": "net"} | {name: word}) for name in EDIT for word in WORDS]
    asked += [("/v1/images/canvas", {name: word}) for name in ("extend", "extend_to") for word in WORDS]
    asked += [
        ("/v1/images/select", ({} if name == "click" else {"click": FEW}) | {name: word})
        for name in SELECT
        for word in WORDS
    ]
    for (path, given), (status, said) in zip(asked, answers(*asked), strict=True):
        assert status in (200, 400, 413), (path, given, status, said)
        assert status == 200 or '"message":"' in said.replace(": ", ":"), said


def test_numbers_in_iopaints_extender_are_refused_in_words_or_done(answers: Answers) -> None:
    fields = ("extender_x", "extender_y", "extender_width", "extender_height", "sd_seed", "use_extender")
    usual = {"use_extender": True, "extender_width": 64, "extender_height": 64, "sd_seed": 1}
    asked = [("/api/v1/inpaint", usual | {name: number}) for name in fields for number in NUMBERS]
    asked.append(("/api/v1/inpaint", {"use_extender": True, "extender_width": 400, "extender_height": 300}))
    for (path, given), (status, said) in zip(asked, answers(*asked), strict=True):
        assert status in (200, 400, 413), (path, given, status, said)


def test_many_points_and_places_outside_are_refused_in_words_or_done(answers: Answers) -> None:
    select = "/v1/images/select"
    asked = [
        (select, {"click": "1,1 " * 25_000}),
        (select, {"click": "1,1 " * 100_000}),
        (select, {"scribble": "|".join(["1,1"] * 25_000)}),
        (select, {"scribble": "|".join(["1,1 9,9"] * 2048)}),
        (select, {"scribble": "0,0 39,39 " * 2000}),
        (select, {"click": "50,40"}),
        (select, {"click": "-0.0,-0.0"}),
        (select, {"box": "0,0,0,0"}),
        (select, {"box": "-99999999999,0,999999999999,9"}),
        (select, {"box": "nan,1,2,3"}),
        (select, {"click": FEW, "keep": FEW, "feather": "1024", "grow": "4096"}),
        (select, {"click": FEW, "grow": "-4096"}),
    ]
    statuses = [status for status, _ in answers(*asked)]
    assert set(statuses) <= {200, 400}
    assert statuses[:3] == [400, 400, 400] and statuses[5] == 400 and statuses[7] == 400 and statuses[9] == 400
