"""The page for everybody: by keyboard, on a phone, in a small window, in another language, without barriers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from browsing import PHONE, Open, alike, expect, held, photo_file
from serving import Running, file_of


def test_the_keyboard_alone_is_enough(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    keys = page.page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(40):
            if page.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            keys.press("Tab")
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#samples li:nth-child(2) button")
    keys.press("Enter")
    expect(page.find("#hint")).to_contain_text("A hole is painted")
    tab_to("#clear")
    keys.press("Enter")
    tab_to("#stage")
    for key in ("ArrowRight", "ArrowDown", "d", "ArrowRight", "ArrowRight", "d"):
        keys.press(key)
    expect(page.find("#live")).to_have_text("Brush is up.")
    keys.press("Enter")
    page.wait_for_fills(4)
    expect(page.find("#live")).to_contain_text("4 fills are ready")
    rows, columns = np.nonzero(page.hole())
    assert columns.mean() > 512 and rows.mean() > 256  # to the right and below the middle
    keys.press("3")
    assert page.chosen() == "3"
    tab_to("#like")  # a short Tab leaves the stage, though a long one shows the original
    with page.page.expect_download():
        keys.press("Control+s")
    keys.press("?")
    expect(page.find("#helpDialog")).to_be_visible()
    keys.press("Escape")
    expect(page.find("#helpDialog")).to_be_hidden()


HANDLED = """async () => {
  const { LETTERS, COMMANDS } = await import("./keys.js");
  const { TOOLS } = await import("./tools.js");
  const tools = [...TOOLS.values()].map(({ key }) => key).filter(Boolean);
  return [[...Object.keys(LETTERS), ...tools], Object.keys(COMMANDS)];
}"""
SAID = {"-": "−", "=": "+", " ": "Space", "Escape": "Esc", "Tab": "Tab", "Enter": "Enter"}  # as the sheet spells it


def test_every_key_that_does_something_is_in_the_sheet(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.page.keyboard.press("?")
    caps = set(page.find("#keys kbd").all_inner_texts())
    letters, commands = page.page.evaluate(HANDLED)
    assert {SAID.get(key, key.upper()) for key in letters} <= caps and {"B", "W", "X"} <= caps
    assert {f"Ctrl {key.upper()}" for key in commands} <= caps
    script = sketching.get("/keys.js").text
    named = set(re.findall(r'key === "([^"]+)"', script))
    assert named == {"Tab", "Escape", " ", "Enter"}, "another key is handled: put it into the sheet"
    assert {SAID[key] for key in named} <= caps
    words = page.find("#keys dd").all_inner_texts()
    assert all(words) and len(words) == len(set(words)) == page.find("#keys dt").count()
    assert "Extend the canvas" in words


def test_every_button_has_a_name_and_every_word_a_translation(sketching: Running, tab: Open) -> None:
    page = tab(sketching, locale="zh-CN")
    assert page.find("html").get_attribute("lang") == "zh-Hans"
    expect(page.find("h1")).to_contain_text("挑选新的")
    page.find("#samples button").nth(1).click()
    page.fill(1)
    page.shot("chinese")
    nameless = page.page.evaluate(
        "() => [...document.querySelectorAll('button, input:not([hidden]), [role]')]"
        ".filter((one) => !(one.getAttribute('aria-label') || one.textContent || one.closest('label')"
        " || one.getAttribute('aria-labelledby')).toString().trim()"
        " && !one.matches('[role=status], [role=alert], #tokenDialog *')).map((one) => one.outerHTML)"
    )
    assert nameless == []
    shown = page.page.evaluate("() => document.body.innerText")
    assert not re.findall(r"[A-Za-z]{3,}", re.sub(r"Manyfill|beach\.jpg|JPEG|PNG", "", shown))
    page.find("#language").click()
    expect(page.find("#download")).to_have_text("Download")
    words = page.page.evaluate("async () => (await import('./strings.js')).STRINGS")
    names = {key: sorted(re.findall(r"\{\w+\}", words["en"][key])) for key in words["en"]}
    assert names.items() <= {key: sorted(re.findall(r"\{\w+\}", words["zh"][key])) for key in words["zh"]}.items()


def test_a_phone_paints_with_one_finger_and_zooms_with_two(sketching: Running, tab: Open) -> None:
    page = tab(sketching, viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    assert page.page.evaluate("() => document.documentElement.scrollWidth") == 390
    page.shot("phone-welcome")
    page.load(photo_file())
    fingers = page.page.context.new_cdp_session(page.page)
    box = page.find("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *points: tuple[float, float]) -> None:
        listed = [{"x": x + one[0], "y": y + one[1], "id": number} for number, one in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": listed})

    fitted = page.look()
    touch("touchStart", (-30, 0))
    touch("touchStart", (-30, 0), (30, 0))
    touch("touchMove", (-90, 0), (90, 0))
    touch("touchEnd")
    assert not alike(page.look(), fitted) and page.find("#fill").is_disabled()  # zoomed, not painted
    page.find("#fit").tap()
    assert alike(page.look(), fitted)
    touch("touchStart", (-30, 0))
    touch("touchMove", (30, 5))
    touch("touchEnd")
    expect(page.find("#fill")).to_be_enabled()
    page.find("#fill").click()  # not tap(): Chromium's emulation drops a tap right after touches of our own
    page.wait_for_fills(4)
    page.shot("phone-fills")
    page.find("#strip button").nth(2).click()
    assert page.chosen() == "2"
    overflow = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert page.page.evaluate(overflow) == [390, 844]


SIZES = {"phone": PHONE, "phone on its side": {"width": 844, "height": 390}, "200 %": {"width": 640, "height": 400},
         "400 %": {"width": 360, "height": 225}, "desktop": {"width": 1280, "height": 800}}  # fmt: skip
COVERED = """
() => {
  const seen = (one) => one.checkVisibility() && !one.closest("[popover], dialog");
  const names = "header button, #tools > *, #fill, #options, #strip button, #sight button";
  const line = "#line button, #line input, #line output, .edge";
  const all = [...document.querySelectorAll(`${names}, ${line}`)];
  return all.filter(seen).flatMap((one) => {
    one.scrollIntoView({ block: "nearest", inline: "nearest" });
    const box = one.getBoundingClientRect();
    const on = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    const whole = box.left >= -1 && box.right <= innerWidth + 1 && box.top >= -1 && box.bottom <= innerHeight + 1;
    const name = one.id || one.dataset.tool || one.ariaLabel || one.textContent;
    return whole && (one === on || one.contains(on)) ? [] : [name];
  });
}
"""  # buttons that something lies on, or that no scrolling brings into the window


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_covered_or_cut_in_a_small_window(sketching: Running, tab: Open, size: str) -> None:
    page = tab(sketching, viewport=SIZES[size])
    page.load(photo_file())
    stage = page.find("#stage").bounding_box()
    assert stage["width"] >= 200 and stage["height"] >= 140
    page.page.locator("#stage").scroll_into_view_if_needed()
    page.paint(length=30)
    page.fill(4)
    assert page.page.evaluate(COVERED) == []
    for tool in ("select", "extend"):
        page.find(f"[data-tool={tool}]").click()
        expect(page.find(f"#{tool}ing")).to_be_visible()
        assert page.page.evaluate(COVERED) == [], tool
        assert page.page.evaluate("() => document.documentElement.scrollWidth") == SIZES[size]["width"]
    page.find("[data-tool=brush]").click()
    page.page.locator("#stage").scroll_into_view_if_needed()
    page.paint(length=30)  # a part, which may be taken from any other
    expect(page.find("#regionBar")).to_be_visible()
    assert page.page.evaluate("() => document.documentElement.scrollWidth") == SIZES[size]["width"]


def test_the_strip_scrolls_to_what_is_chosen_and_stays_best_first(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(9)
    page.fill_more(18)
    scores = [
        float(score)
        for score in page.page.evaluate("""async () => {
      const { state } = await import('./state.js');
      return state.doc.run.fills.map((fill) => fill.score);
    }""")
    ]
    assert scores == sorted(scores, reverse=True)
    scrolled = "() => document.querySelector('#strip').scrollLeft"
    page.page.evaluate("() => document.querySelector('#strip').scrollTo(0, 0)")
    page.find("#strip").hover()
    page.page.mouse.wheel(0, 400)
    page.page.wait_for_timeout(300)
    assert page.page.evaluate(scrolled) > 100
    page.page.evaluate("() => document.querySelector('#strip').scrollTo(0, 0)")
    page.find("#strip button").nth(3).focus()
    for _ in range(14):
        page.page.keyboard.press("ArrowRight")
    expect(page.find("#strip li:nth-child(18) button")).to_be_focused()
    page.page.keyboard.press("Enter")
    assert page.chosen() == "17" and page.page.evaluate(scrolled) > 100


@pytest.mark.parametrize(("theme", "locale"), [("light", "en-GB"), ("dark", "zh-CN")])
def test_no_barrier_in_any_state(sketching: Running, tab: Open, theme: str, locale: str) -> None:
    """axe-core finds nothing serious: names, roles, contrast, order, in both themes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    net = sketching.net
    assert net is not None
    page = tab(sketching, color_scheme=theme, locale=locale, bypass_csp=True)

    def check(where: str) -> None:
        found = axe.run(page.page).response["violations"]
        bad = [(one["id"], node["html"][:160], node["failureSummary"][:300])
               for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]]  # fmt: skip
        assert not bad, (theme, where, bad)

    check("welcome")
    page.find("#samples button").nth(1).click()
    expect(page.find("#fill")).to_be_enabled()
    check("open")
    for tool in ("select", "extend"):
        page.find(f"[data-tool={tool}]").click()
        check(tool)
    page.find("[data-shape='1:1']").click()
    check("extended")
    page.find("#extendCancel").click()
    with held(net):
        page.find("#fill").click()
        expect(page.find("#strip .waiting")).to_have_count(4)
        check("filling")
    page.wait_for_fills(4)
    page.page.mouse.move(2, 2)
    check("fills")
    for key in "cuo":
        page.page.keyboard.press(key)
        check(f"key {key}")
        page.page.keyboard.press(key)
    page.paint(length=20)
    check("region")
    page.find("#options").click()
    check("options")
    page.page.keyboard.press("Escape")
    page.find("[data-tool=select]").click()
    check("select a region")
    page.find("[data-tool=brush]").click()
    page.find("#downloadMore").click()
    check("downloads")
    page.page.keyboard.press("Escape")
    page.find("#stage").focus()
    page.page.keyboard.press("?")
    check("help")
    page.page.keyboard.press("Escape")
    page.page.set_input_files("#photoFile", {"name": "x.png", "mimeType": "image/png", "buffer": b"no photo"})
    expect(page.find("#problem")).to_be_visible()
    check("problem")
    page.page.set_input_files("#photoFile", [
        {"name": name, "mimeType": "image/png", "buffer": photo_file()} for name in ("a.png", "b.png")
    ])  # fmt: skip
    expect(page.find("#album")).to_be_visible()
    check("album")


def test_focus_and_words_follow_what_happens(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.find("#samples button").nth(1).focus()
    page.page.keyboard.press("Enter")
    expect(page.find("#stage")).to_be_focused()  # not lost with the button that is gone
    page.fill(3)
    page.find("#stage").focus()
    page.page.keyboard.press("2")
    expect(page.find("#live")).to_have_text("Fill 2")
    page.page.keyboard.press("0")
    expect(page.find("#live")).to_contain_text("The photo")
    page.page.keyboard.press("1")
    page.page.keyboard.press("c")
    expect(page.find("#handle")).to_be_visible()
    page.page.evaluate(  # a short Tab, however busy this machine is: a long one shows the original
        "() => ['keydown', 'keyup'].forEach((kind) => document.activeElement.dispatchEvent("
        " new KeyboardEvent(kind, { key: 'Tab', bubbles: true, cancelable: true })))"
    )
    expect(page.find("#handle")).to_be_focused()
    assert page.find("h1").count() == 1
    still = page.page.evaluate(
        "() => ['', '::before', '::after'].flatMap((part) => [...document.querySelectorAll('*')].map((one) =>"
        " getComputedStyle(one, part).animationName)).filter((name) => name !== 'none')"
    )
    assert still == []


def test_a_phone_holds_for_the_original_and_loads_a_mask(sketching: Running, tab: Open) -> None:
    page = tab(sketching, viewport=PHONE, has_touch=True, is_mobile=True)
    page.load(photo_file())
    empty = page.look()
    with page.page.expect_file_chooser() as chooser:
        page.find("#mask").click()
    mask = np.zeros((180, 240), np.uint8)
    mask[60:120, 80:160] = 255
    chooser.value.set_files([{"name": "mask.png", "mimeType": "image/png", "buffer": file_of(mask)}])
    expect(page.find("#fill")).to_be_enabled()
    page.fill(1)
    filled = page.look()
    assert not alike(filled, empty)
    page.find("#original").dispatch_event("pointerdown")
    assert alike(page.look(), empty)
    page.find("#original").dispatch_event("pointerup")
    assert alike(page.look(), filled)


def test_the_brush_is_seen_while_its_size_is_chosen_and_buttons_zoom(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    plain = page.look()
    box = page.find("#size").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.page.mouse.down()
    assert not alike(page.canvas(), plain)
    page.page.mouse.up()
    assert alike(page.look(), plain)
    for name in ("#zoomIn", "#zoomOut"):
        page.find(name).click()
        assert not alike(page.look(), plain) or name == "#zoomOut"
        page.find("#fit").click()
        assert alike(page.look(), plain)


def test_where_a_fill_is_copied_from_is_drawn(server: Running, tab: Open) -> None:
    page = tab(server)
    page.load(photo_file())
    page.paint(length=80)
    page.fill(2)
    filled = page.look()
    page.page.keyboard.press("o")
    expect(page.find("#origin")).to_contain_text("is copied from the photo, along the arrows")
    assert not alike(page.look(), filled)
    page.page.keyboard.press("o")
    assert alike(page.look(), filled)
