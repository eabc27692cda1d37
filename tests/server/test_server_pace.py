"""What a client is told while it waits: its place, the stage, the time that is left."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from serving import PHOTO_PNG, SECONDS, WHITE, Sketch, running

from manyfill.server.pace import Clock, Pace
from manyfill.server.settings import Settings


def test_nothing_is_promised_before_anything_was_filled() -> None:
    clock = Clock(Pace(), "one", 4)
    assert clock.left("fill", 0, 6) is None
    assert clock.left("fill", 3, 6) is None  # how long texture takes is not known


def test_the_time_left_is_learned_by_stage_and_model() -> None:
    pace = Pace()
    pace.learn("one", "fill", 2.0)
    pace.learn("one", "rank", 0.0)
    pace.learn("one", "texture", 5.0)
    assert Clock(pace, "one", 4).left("fill", 0, 6) == 6 * 2 + 4 * 5
    assert Clock(pace, "one", 1).left("texture", 0, 1) == 5
    assert Clock(pace, "other", 4).left("fill", 0, 6) is None
    pace.learn("one", "texture", 15.0)
    assert 5 < (pace.expected("one", "texture") or 0) < 15


def test_a_clock_teaches_the_pace_what_it_measured() -> None:
    pace = Pace()
    clock = Clock(pace, "one", 2)
    for stage in ("fill", "rank", "texture"):
        clock.left(stage, 0, 2)
        clock.left(stage, 2, 2)
    assert all(pace.expected("one", stage) is not None for stage in ("fill", "rank", "texture"))


def test_who_asks_is_told_the_place_in_the_queue_the_stage_and_the_photos_name() -> None:
    net = Sketch()
    with running(Settings(models=("sketch",)), net) as server:
        form = {"n": "2", "stream": "true", "progress": "true", "response_format": "url"}
        files = {"image": PHOTO_PNG, "mask": WHITE}
        net.gate.clear()
        seen: list[dict[str, Any]] = []

        def ask() -> None:
            with server.http.stream("POST", "/v1/images/edits", data=form, files=files) as answer:
                lines = (line for line in answer.iter_lines() if line.startswith("data: "))
                seen.extend(json.loads(line.removeprefix("data: ")) for line in lines)

        first = threading.Thread(target=lambda: server.post("/v1/images/edits", data={"n": "1"}, files=files))
        first.start()
        server.wait_for("queue_running", 1)
        second = threading.Thread(target=ask)
        second.start()
        server.wait_for("queue_waiting", 1)
        time.sleep(1)  # the place is looked at twice a second
        net.gate.set()
        first.join(SECONDS)
        second.join(SECONDS)
        told = [one for one in seen if one["type"] == "image_edit.progress"]
        assert (told[0]["stage"], told[0]["ahead"]) == ("queued", 1) and told[0]["seconds"] > 0
        assert [one["stage"] for one in told if one["stage"] == "queued"] == ["queued"]  # once, it has not changed
        opened = next(one for one in told if one["stage"] == "opened")
        stages = list(dict.fromkeys(one["stage"] for one in told))
        assert stages[:3] == ["queued", "opened", "fill"] and stages[-1] in ("rank", "texture")
        assert all(one["done"] <= one["total"] for one in told if "total" in one)
        assert len([one for one in seen if one["type"] == "image_edit.completed"]) == 2

        by_name = {"image_result": opened["image_result"], "seed": "5"}
        again = server.post("/v1/images/edits", data=by_name, files={"mask": WHITE}).json()
        whole = server.post("/v1/images/edits", data={"seed": "5"}, files=files).json()
        assert again["data"][0]["b64_json"] == whole["data"][0]["b64_json"]
        assert server.get(f"/results/{opened['image_result']}/preview").status_code == 404


def test_the_log_names_the_model(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "manyfill.server.limits"), running(Settings(models=("sketch",)), Sketch()) as server:
        server.post("/v1/images/edits", files={"image": PHOTO_PNG, "mask": WHITE})
        server.get("/healthz")
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("POST /v1/images/edits 200") and line.endswith(" sketch") for line in lines)
    assert any(line.startswith("GET /healthz") and line.endswith(" -") for line in lines)
