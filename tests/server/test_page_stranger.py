"""What the page is for: somebody has a person removed from a photo, by a click, and takes the fill that they like."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "selection"))
from browsing import Open, Tab, expect
from networks import put_sam
from PIL import Image
from serving import SECONDS, Running, Sketch, file_of, photo_of, pixels_of, running

from manyfill.server.settings import Settings

SIZE = (3000, 4000)
TAKE_THE_SECOND = """
() => new Promise((done) => {
  const look = async () => {
    const { state } = await import("./state.js");
    const { run } = state.doc;
    if (!run || run.fills.length < 2) return requestAnimationFrame(look);
    document.querySelector("#strip li:nth-child(3) button").click();
    await new Promise((next) => setTimeout(next));
    document.querySelector("#download").click();
    done([run.live !== null, run.fills.length]);
  };
  look();
})
"""  # at once when it is there: nothing but the page is waited for


@pytest.fixture
def knowing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server that has networks of SAM's form, which know a red thing from a green one."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    put_sam(tmp_path)
    with running(Settings(models=("sketch",)), Sketch()) as server:
        yield server


def person() -> tuple[bytes, np.ndarray, tuple[int, int]]:  # type: ignore[type-arg]
    """A photo of 12 megapixels of somebody in red on a lawn, where they are, and their middle (x, y)."""
    rng = np.random.default_rng(0)
    pixels = np.empty((*SIZE, 3), np.float32)
    pixels[:] = (70, 130, 60)
    middle = (2200, 1500)
    truth = cv2.ellipse(np.zeros(SIZE, np.uint8), middle, (260, 620), 0, 0, 360, 1, -1).astype(bool)
    pixels += cv2.resize(rng.normal(0, 25, (300, 400, 1)).astype(np.float32), SIZE[::-1])[..., None]
    pixels[truth] = (200, 50, 40)
    pixels += rng.normal(0, 4, (*SIZE, 1)).astype(np.float32)
    return file_of(np.clip(pixels, 0, 255).astype(np.uint8), "JPEG", quality=92), truth, middle


def at(page: Tab, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the photo is on the screen."""
    box = page.find("#stage").bounding_box()
    left, top, scale = page.page.evaluate(
        "async () => { const { view } = await import('./view.js'); return [view.x, view.y, view.scale]; }"
    )
    return box["x"] + left + x * scale, box["y"] + top + y * scale


def test_a_person_goes_in_three_actions_and_the_second_fill_is_taken_while_others_come(
    knowing: Running, tab: Open
) -> None:
    file, truth, middle = person()
    page = tab(knowing)
    page.load(file, "party.jpg")  # one
    expect(page.find("#hint")).to_have_text("Click on what should go, or draw a box around it")
    page.page.mouse.click(*at(page, *middle))  # two
    expect(page.find("#fill")).to_be_enabled()
    page.find("#fill").click()  # three
    with page.page.expect_download(timeout=3000 * SECONDS) as started:
        live, finished = page.page.evaluate(TAKE_THE_SECOND)
    assert live and 2 <= finished < 4, "others are still on their way"
    assert started.value.suggested_filename == "party_filled.jpg"
    data = Path(started.value.path()).read_bytes()
    page.wait_for_fills(4, patience=3)
    hole = page.hole()
    assert hole[truth].mean() > 0.98 and hole.mean() < 1.5 * truth.mean()  # those networks see squares of 60 pixels
    before, after = (pixels_of(one).astype(int) for one in (file, data))
    assert Image.open(io.BytesIO(data)).size == SIZE[::-1]
    far = ~cv2.dilate(hole.astype(np.uint8), np.ones((33, 33), np.uint8)).astype(bool)
    assert np.abs(after - before)[far].max() <= 24, "a JPEG again: what was not filled is what it was, coded again"
    assert (after[hole][:, 0] < after[hole][:, 1]).mean() > 0.9, "little red is left: what those networks overlooked"


def test_the_brush_comes_first_where_the_server_knows_no_objects(sketching: Running, tab: Open) -> None:
    if sketching.get("/healthz").json()["sam"]:
        pytest.skip("SAM was fetched on this machine")
    page = tab(sketching)
    page.load(file_of(photo_of(180, 240)))
    expect(page.find("[data-tool=brush]")).to_have_attribute("aria-pressed", "true")


def test_sam_is_found_when_it_is_fetched_while_a_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sketching: Running
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    photo, fields = file_of(photo_of(60, 80)), {"click": "40,30"}

    def notes() -> str:
        answer = sketching.post("/v1/images/select", data=fields, files={"image": ("a.png", photo)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["notes"])

    assert "GrabCut" in notes() and not sketching.get("/healthz").json()["sam"]
    put_sam(tmp_path)
    assert "Selected by SAM" in notes() and sketching.get("/healthz").json()["sam"]
