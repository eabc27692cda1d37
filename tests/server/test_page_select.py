"""Selecting in the page, in a real browser before the real server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import Running, file_of

sys.path.insert(0, str(Path(__file__).parents[1] / "selection"))
from browsing import Tab, expect
from pictures import ball, overlap

BALL, TRUTH = ball()
PNG = file_of(BALL, "PNG")


@pytest.fixture
def opened(sketching: Running, tab: Any) -> Tab:
    """The ball's photo, and the tool that selects."""
    page: Tab = tab(sketching)
    page.load(PNG, "ball.png")
    page.page.keyboard.press("w")
    expect(page.find("#selecting")).to_be_visible()
    return page


def at(page: Tab, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the photo is on the screen; the photo lies in the middle of the stage."""
    box = page.find("#stage").bounding_box()
    scale = page.page.evaluate("async () => (await import('./view.js')).view.scale")
    offset = page.page.evaluate("async () => { const { view } = await import('./view.js'); return [view.x, view.y]; }")
    return box["x"] + offset[0] + x * scale, box["y"] + offset[1] + y * scale


def click(page: Tab, x: float, y: float) -> None:
    with page.page.expect_response("**/v1/images/select") as answer:
        page.page.mouse.click(*at(page, x, y))
    assert answer.value.ok, answer.value.text()
    expect(page.find("#hint.busy")).to_have_count(0)


def eventually(page: Tab, holds: Callable[[], Any]) -> None:
    """An answer is painted a moment after it has come."""
    for _ in range(600):
        if holds():
            return
        page.page.wait_for_timeout(100)
    assert holds()


def painted(page: Tab) -> Any:
    """What the page would send as its mask."""
    page.page.wait_for_function("async () => (await import('./state.js')).state.tasks.length === 0")
    bits = page.page.evaluate(
        """async () => {
          const { state } = await import('./state.js');
          const { toPng } = await import('./png.js');
          const { base, hole } = state.doc;
          const { blob } = await toPng(hole, base.width, base.height);
          return [...new Uint8Array(await blob.arrayBuffer())];
        }"""
    )
    from manyfill import photos

    return photos.read(bytes(bits)).pixels[..., 0] > 0


def test_a_click_selects_the_object_and_fill_takes_it(opened: Tab) -> None:
    click(opened, 200, 110)
    found = painted(opened)
    assert overlap(found, TRUTH) > 0.85 and found[TRUTH].mean() > 0.99
    opened.fill(1)
    assert not opened.troubles


def test_the_photo_is_sent_once_and_more_and_less_change_the_same_selection(opened: Tab) -> None:
    click(opened, 200, 110)
    opened.find("[data-select=selectLess]").click()
    click(opened, 20, 20)
    opened.find("[data-select=selectMore]").click()
    click(opened, 180, 100)
    sent = [form for form in opened.forms if "click" in form]
    assert ["image" in form for form in sent] == [True, False, False]
    assert sent[-1]["click"].count(b",") == 2 and sent[-1]["keep"].count(b",") == 1
    assert opened.page.evaluate("async () => (await import('./state.js')).state.doc.hole.length") == 1
    eventually(opened, lambda: overlap(painted(opened), TRUTH) > 0.85)
    before = painted(opened).sum()
    slider = opened.find("#selecting input")
    with opened.page.expect_response("**/v1/images/select"):
        slider.evaluate("one => { one.value = 25; one.dispatchEvent(new Event('change')); }")
    eventually(opened, lambda: painted(opened).sum() > before)
    opened.page.keyboard.press("Control+z")
    eventually(opened, lambda: painted(opened).sum() == before)


def test_a_box_around_it_selects_what_is_inside(opened: Tab) -> None:
    opened.page.mouse.move(*at(opened, 140, 50))
    opened.page.mouse.down()
    opened.page.mouse.move(*at(opened, 262, 172), steps=4)
    with opened.page.expect_response("**/v1/images/select"):
        opened.page.mouse.up()
    eventually(opened, lambda: overlap(painted(opened), TRUTH) > 0.85)
    assert b"," in opened.forms[-1]["box"]


def test_what_is_not_there_is_said_and_nothing_is_painted(opened: Tab) -> None:
    opened.find("[data-select=selectText]").click()
    expect(opened.find("#problem")).to_contain_text("manyfill fetch text")
    assert not painted(opened).any()
    opened.find("[data-select=selectDust]").click()
    expect(opened.find("#problem")).to_contain_text("No dust and no scratches")


def test_dust_of_a_scan_is_painted_by_one_press_and_one_undo_takes_it_back(sketching: Running, tab: Any) -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((180, 260), bool)
    scan = np.full((180, 260, 3), 120, np.uint8) + rng.integers(0, 5, (180, 260, 1), np.uint8)
    for y, x in ((30, 40), (90, 200), (150, 120)):
        truth[y - 2 : y + 2, x - 2 : x + 2] = True
    scan[truth] = 245
    page: Tab = tab(sketching)
    page.load(file_of(scan, "PNG"), "scan.png")
    page.page.keyboard.press("w")
    page.find("[data-select=selectDust]").click()
    eventually(page, lambda: painted(page).any())
    hole = painted(page)
    assert hole[truth].all() and hole.sum() < 4 * truth.sum()
    page.page.keyboard.press("Control+z")
    eventually(page, lambda: not painted(page).any())


def test_both_languages_name_the_buttons(opened: Tab) -> None:
    assert opened.find("[data-select=selectDust]").inner_text() == "Dust & scratches"
    opened.find("#language").click()
    expect(opened.find("[data-select=selectDust]")).to_have_text("灰尘和划痕")
    assert opened.find("#selecting input").get_attribute("aria-label") == "缩小或扩大选区"
