"""Extending the canvas in the page, in a real browser before the real server."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from browsing import PHONE, PHOTO, Tab, exif_of, expect, photo_file, restartable
from PIL import Image
from serving import Running, Sketch, pixels_of, running

from manyfill.server.settings import Limits, Settings

HEIGHT, WIDTH = PHOTO.shape[:2]
PHOTO_PNG = photo_file(exif=exif_of(artist="A. Photographer"))


@pytest.fixture
def opened(sketching: Running, tab: Any) -> Tab:
    """The photo, and the tool that extends it."""
    page: Tab = tab(sketching)
    return extending(page)


def extending(page: Tab) -> Tab:
    page.load(PHOTO_PNG)
    page.find("[data-tool=extend]").click()
    expect(page.find(".edge")).to_have_count(4)
    expect(page.find(".edge[data-side=left]")).to_be_visible()
    return page


def size(page: Tab) -> tuple[int, int]:
    """Of the canvas that would be made, as the page says it."""
    width, height = page.find("#extending output").inner_text().split(" px")[0].split(" × ")
    return int(width), int(height)


def apply(page: Tab) -> tuple[int, int]:
    """Extend; the photo that is then open."""
    with page.page.expect_response("**/v1/images/canvas") as answer:
        page.find("#extendApply").click()
    assert answer.value.ok, answer.value.text()
    expect(page.find("[data-tool=brush]")).to_have_attribute("aria-pressed", "true")
    return about(page)


def about(page: Tab) -> tuple[int, int]:
    width, height = page.find("#about").inner_text().split("·")[1].split("×")
    return int(width), int(height)


def drag(page: Tab, side: str, across: int, down: int) -> None:
    box = page.find(f".edge[data-side={side}]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + across, y + down, steps=4)
    page.page.mouse.up()


def test_a_canvas_is_extended_filled_and_downloaded(opened: Tab) -> None:
    opened.find("[data-shape='16:9']").click()
    expect(opened.find("[data-shape='16:9']")).to_have_attribute("aria-pressed", "true")
    wide = (round(HEIGHT * 16 / 9), HEIGHT)
    assert size(opened) == wide and apply(opened) == wide
    opened.fill(2)
    left = (wide[0] - WIDTH) // 2
    border = np.ones((wide[1], wide[0]), bool)
    border[:, left : left + WIDTH] = False
    assert np.array_equal(opened.hole(), border), "the border is the hole, to the pixel"
    assert "image" not in opened.forms[-1], "the server has the canvas"
    name, data = opened.download()
    assert name == "lake_filled.png"
    filled = pixels_of(data)
    assert np.array_equal(filled[:, left : left + WIDTH], PHOTO)
    assert Image.open(io.BytesIO(data)).getexif()[315] == "A. Photographer"


def test_an_edge_is_dragged_by_its_handle_and_by_the_line_itself(opened: Tab) -> None:
    scale = opened.page.evaluate("async () => (await import('./view.js')).view.scale")
    drag(opened, "right", 60, 0)
    width, height = size(opened)
    assert abs(width - WIDTH - 60 / scale) <= 2 and height == HEIGHT
    box = opened.find(".edge[data-side=top]").bounding_box()
    x, y = box["x"] + box["width"] / 2 + 80, box["y"] + box["height"] / 2
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x, y - 30, steps=3)
    opened.page.mouse.up()
    assert size(opened)[0] == width and size(opened)[1] > HEIGHT
    drag(opened, "right", -400, 0)
    assert size(opened)[0] == WIDTH, "a canvas is never smaller than its photo"


def test_it_works_by_keyboard_and_escape_takes_it_back(opened: Tab) -> None:
    handle = opened.find(".edge[data-side=left]")
    handle.focus()
    opened.page.keyboard.press("ArrowLeft")
    opened.page.keyboard.press("Shift+ArrowLeft")
    expect(handle).to_have_attribute("aria-valuenow", "3")  # 1 % and a pixel; said with the next frame
    assert size(opened) == (WIDTH + 3, HEIGHT)
    opened.page.keyboard.press("Escape")
    assert size(opened) == (WIDTH, HEIGHT)
    expect(opened.find("#extendApply")).to_be_disabled()
    opened.page.keyboard.press("ArrowLeft")
    with opened.page.expect_response("**/v1/images/canvas"):
        opened.page.keyboard.press("Enter")
    expect(opened.find("#about")).to_contain_text(f"{WIDTH + 2} × {HEIGHT}")


def test_a_finger_drags_an_edge(sketching: Running, tab: Callable[..., Tab]) -> None:
    page = extending(tab(sketching, viewport=PHONE, has_touch=True, is_mobile=True))
    box = page.find(".edge[data-side=bottom]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    cdp = page.page.context.new_cdp_session(page.page)
    for kind, down in (("touchStart", 0), ("touchMove", 20), ("touchMove", 50)):
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y + down}]})
    cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.find("#extendApply")).to_be_enabled()
    assert size(page)[1] > HEIGHT
    apply(page)


def test_undo_brings_the_photo_back_and_what_was_painted_moves_along(sketching: Running, tab: Any) -> None:
    page: Tab = tab(sketching)
    page.load(PHOTO_PNG)
    page.paint(-60, length=60)
    page.fill(1)
    before = page.hole()
    page.find("#strip li button").first.click()  # the photo with its hole
    page.find("[data-tool=extend]").click()
    page.find("[data-shape='1:1']").click()
    assert apply(page) == (WIDTH, WIDTH)
    page.fill(1)
    top = (WIDTH - HEIGHT) // 2
    now = page.hole()
    assert now[:top].all() and now[top + HEIGHT :].all()
    assert (now[top : top + HEIGHT] != before).mean() < 0.002  # soft edges of the brush
    for _ in range(4):
        if about(page) == (WIDTH, HEIGHT):
            break
        page.page.keyboard.press("Control+z")
    assert about(page) == (WIDTH, HEIGHT)
    expect(page.find("#strip li")).to_have_count(2)


def test_a_fill_is_extended_and_a_restart_or_reload_loses_nothing(tab: Any) -> None:
    with restartable() as server:
        page: Tab = tab(server)
        page.load(PHOTO_PNG)
        page.paint(length=40)
        page.fill(1)
        page.find("#strip li button").nth(1).click()
        first = pixels_of(page.download()[1])
        page.find("[data-tool=extend]").click()
        page.find("[data-shape='16:9']").click()
        width, height = apply(page)
        page.page.wait_for_function("() => document.body.dataset.kept === 'true'")
        page.page.reload()
        expect(page.find("body.ready")).to_be_visible()
        assert about(page) == (width, height)
        server.restart()
        page.fill(1)
        page.find("#strip li button").nth(1).click()
        filled = pixels_of(page.download()[1])
        left = (width - WIDTH) // 2
        assert np.array_equal(filled[:, left : left + WIDTH], first), "the fill is made again, then its canvas"


def test_what_the_server_does_not_take_is_said_before_it_is_asked(tab: Callable[..., Tab]) -> None:
    with running(Settings(models=("sketch",), limits=Limits(pixels=60_000)), Sketch()) as server:
        page = extending(tab(server))
        page.find("[data-shape='9:16']").click()
        expect(page.find("#extending output")).to_contain_text("240 × 427 px: over 0.06 million")
        expect(page.find("#extendApply")).to_be_disabled()
        page.find(".edge[data-side=top]").focus()
        page.page.keyboard.press("Enter")
        page.find("#extendCancel").click()
        expect(page.find("[data-tool=brush]")).to_have_attribute("aria-pressed", "true")
        expect(page.find(".edge[data-side=left]")).to_be_hidden()
        assert about(page) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(("locale", "theme"), [("en-GB", "light"), ("zh-CN", "dark")])
def test_nothing_bars_anybody(sketching: Running, tab: Any, locale: str, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = extending(tab(sketching, locale=locale, color_scheme=theme, bypass_csp=True))
    page.find("[data-shape='3:2']").click()
    page.find("[data-shape='4:3']").click()
    page.find("[data-shape='16:9']").click()
    found = axe.run(page.page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    assert page.find("#extendApply").inner_text() == {"en-GB": "Extend", "zh-CN": "扩展"}[locale]
    label = page.find(".edge[data-side=top]").get_attribute("aria-label")
    assert label == {"en-GB": "Upper edge", "zh-CN": "上边缘"}[locale]
    page.shot(f"extend_{theme}")
