"""Parameters that nobody means: each is refused in words or done, by a process with limits, and quickly forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
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
told = []
with running(settings, Sketch()) as server:
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + {memory},) * 2)
    spent = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent.ru_utime + spent.ru_stime) + {seconds},) * 2)
    for path, given in json.loads(sys.stdin.read()):
        if path.startswith("/api"):
            pictures = {{"image": base64.b64encode(PHOTO_PNG).decode(), "mask": base64.b64encode(CLEAR).decode()}}
            answer = server.post(path, content=json.dumps(pictures | given))
        else:
            files = {{"image": PHOTO_PNG, "mask": CLEAR}} if path.endswith("edits") else {{"image": PHOTO_PNG}}
            answer = server.post(path, files=files, data=given)
        told.append((answer.status_code, answer.text[:300] if answer.status_code != 200 else ""))
    assert server.get("/healthz").status_code == 200
print(json.dumps(told))
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


def answers(*asked: tuple[str, object]) -> list[tuple[int, str]]:
    code = CHILD.format(memory=MEMORY, seconds=CPU_SECONDS)
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        input=json.dumps(asked), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"it ended with {done.returncode}: {done.stderr[-2000:]}"
    return [tuple(each) for each in json.loads(done.stdout.splitlines()[-1])]


def test_words_in_every_field_of_ours_are_refused_in_words_or_done() -> None:
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


def test_numbers_in_iopaints_extender_are_refused_in_words_or_done() -> None:
    fields = ("extender_x", "extender_y", "extender_width", "extender_height", "sd_seed", "use_extender")
    usual = {"use_extender": True, "extender_width": 64, "extender_height": 64, "sd_seed": 1}
    asked = [("/api/v1/inpaint", usual | {name: number}) for name in fields for number in NUMBERS]
    asked.append(("/api/v1/inpaint", {"use_extender": True, "extender_width": 900, "extender_height": 900}))
    for (path, given), (status, said) in zip(asked, answers(*asked), strict=True):
        assert status in (200, 400, 413), (path, given, status, said)


def test_many_points_and_places_outside_are_refused_in_words_or_done() -> None:
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
