"""The page, in a real browser before the real server: what a stranger does with it, and what can go wrong."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from serving import SECONDS, Running, Sketch, file_of, photo_of, pixels_of, running

from manyfill.server.settings import Limits, Settings

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine. On Debian: apt install chromium", allow_module_level=True)

expect = sync_api.expect
SHOTS = Path(__file__).parents[2] / ".artefacts"  # ignored by git; kept by CI
DESKTOP, PHONE = {"width": 1100, "height": 680}, {"width": 390, "height": 844}
GRAIN = np.random.default_rng(1).integers(-30, 31, (180, 240, 3))  # so that a fill is never what was there
PHOTO = np.clip(photo_of(180, 240).astype(int) + GRAIN, 0, 255).astype(np.uint8)


def alike(one: NDArray[np.int16], other: NDArray[np.int16]) -> bool:
    """Whether two looks show the same; the soft edge of a stroke may be painted in other pieces."""
    return bool((np.abs(one - other).max(2) > 12).sum() < 300)


RECORD = """
const real = window.fetch;
window.fetch = async (path, options) => {
  if (options?.body instanceof FormData) {
    const fields = {};
    for (const [name, value] of options.body) {
      const bytes = new Uint8Array(await new Blob([value]).arrayBuffer());
      fields[name] = btoa(bytes.reduce((letters, byte) => letters + String.fromCharCode(byte), ""));
    }
    await window.sent(fields);
  }
  return real(path, options);
};
"""  # tells `Tab.forms` what is sent; a browser's own record of requests leaves files out
SETTLED = """
async () => {
  const canvas = document.querySelector("#canvas");
  const busy = () => canvas.ariaBusy === "true"; // a fill's own pixels are on the way, to be drawn over its preview
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  let still = 0;
  while (still < 2) {
    still = busy() ? 0 : still + 1;
    await frame();
  }
  return canvas.toDataURL();
}
"""  # two frames in a row with nothing to come


def photo_file(format: str = "PNG", **options: Any) -> bytes:
    return file_of(PHOTO, format, **options)


def exif_of(**tags: Any) -> Image.Exif:
    names = {"orientation": 274, "artist": 315}
    exif = Image.Exif()
    for name, value in tags.items():
        exif[names[name]] = value
    return exif


class Tab:
    """One browser tab with the page open in it."""

    def __init__(self, page: Any, server: Running) -> None:
        self.page, self.server = page, server
        self.troubles: list[str] = []
        self.forms: list[dict[str, bytes]] = []  # what was sent, field by field
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._heard)
        page.on("request", self._called)
        page.expose_function("sent", self._sent)
        page.add_init_script(RECORD)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.troubles.append(message.text)

    def _called(self, request: Any) -> None:
        if not request.url.startswith((self.server.url, "data:", "blob:")):
            self.troubles.append(f"called elsewhere: {request.url}")

    def _sent(self, fields: dict[str, str]) -> None:
        self.forms.append({name: base64.b64decode(value) for name, value in fields.items()})

    def open(self) -> Tab:
        self.page.goto(self.server.url)
        expect(self.page.locator("body.ready")).to_be_visible()
        return self

    def find(self, selector: str) -> Any:
        return self.page.locator(selector)

    def load(self, data: bytes, name: str = "lake.png") -> None:
        """Choose a photo in the browser's file dialog."""
        self.page.set_input_files("#photoFile", {"name": name, "mimeType": "image/png", "buffer": data})
        expect(self.page).to_have_title(re.compile(re.escape(name)))

    def paint(self, x: int = 0, y: int = 0, *, length: int = 50) -> None:
        """A stroke to the right, from a point relative to the photo's middle, in pixels of the screen."""
        box = self.find("#stage").bounding_box()
        left, top = box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y
        self.page.mouse.move(left, top)
        self.page.mouse.down()
        self.page.mouse.move(left + length, top, steps=4)
        self.page.mouse.up()

    def fill(self, count: int = 2) -> None:
        """Ask for fills and wait until they are all there."""
        self.page.locator("#count").evaluate(
            "(input, n) => { input.value = n; input.dispatchEvent(new Event('input')); }", count
        )
        self.find("#fill").click()
        self.wait_for_fills(count)

    def wait_for_fills(self, count: int) -> None:
        expect(self.find("#hint.busy")).to_have_count(0)
        expect(self.find("#strip li")).to_have_count(1 + count)  # the photo is first

    def chosen(self) -> str:
        return str(self.find("#strip [aria-pressed=true]").inner_text())

    def keys(self) -> list[str]:
        """What tells the strip's cells apart, in their order; the photo is first."""
        return [item.get_attribute("data-key") for item in self.find("#strip li").all()]

    def chosen_key(self) -> str:
        return str(self.find("#strip li:has([aria-pressed=true])").get_attribute("data-key"))

    def look(self) -> NDArray[np.int16]:
        """The canvas as it is seen, without the pointer's ring."""
        self.page.mouse.move(2, 2)
        return self.canvas()

    def canvas(self) -> NDArray[np.int16]:
        address = self.page.evaluate(SETTLED)
        picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        return np.asarray(picture.convert("RGB")).astype(np.int16)

    def download(self, selector: str = "#download") -> tuple[str, bytes]:
        with self.page.expect_download() as started:
            self.find(selector).click()
        return started.value.suggested_filename, Path(started.value.path()).read_bytes()

    def hole(self) -> NDArray[np.bool_]:
        """The mask of the latest request for fills."""
        form = next(form for form in reversed(self.forms) if "n" in form)
        return pixels_of(form["mask"]).astype(bool)

    def shot(self, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        expect.set_options(timeout=1000 * SECONDS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def sketching() -> Iterator[Running]:
    """A server whose network is gone through at once, and can be held up."""
    with running(Settings(models=("sketch",)), Sketch()) as server:
        yield server


Open = Callable[..., Tab]


@pytest.fixture
def tab(browser: Any) -> Iterator[Open]:
    """Opens tabs; at the end none of them may have met trouble or called anybody but its server."""
    tabs: list[Tab] = []

    def open_tab(server: Running, *, viewport: dict[str, int] = DESKTOP, **options: Any) -> Tab:
        context = browser.new_context(
            viewport=viewport, locale=options.pop("locale", "en-GB"), reduced_motion="reduce", **options
        )
        context.set_default_timeout(1000 * SECONDS)
        tabs.append(Tab(context.new_page(), server))
        return tabs[-1].open()

    yield open_tab
    for one in tabs:
        one.page.context.close()
    assert [trouble for one in tabs for trouble in one.troubles] == []


@contextmanager
def held(net: Sketch) -> Iterator[None]:
    """Nothing is drawn inside the block."""
    net.gate.clear()
    try:
        yield
    finally:
        net.gate.set()


def test_the_pages_files_come_at_once(server: Running) -> None:
    for path in ("/", "/main.js", "/style.css", "/samples/beach.jpg"):
        answer = server.get(path)
        assert answer.status_code == 200 and answer.elapsed.total_seconds() < 4, path


# ── a stranger ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stranger_has_fills_of_a_sample_after_three_clicks(server: Running, tab: Open) -> None:
    page = tab(server)
    page.shot("welcome")
    page.find("#samples button").nth(1).click()
    expect(page.find("#hint")).to_contain_text("A hole is painted for you")
    page.shot("sample")
    page.fill(2)
    assert page.chosen() == "1"  # the best is shown without being asked for
    page.shot("fills")
    name, data = page.download()
    assert name == "beach_filled.jpg" and Image.open(io.BytesIO(data)).size == (1024, 512)


def test_downloads_keep_known_pixels_and_exif(server: Running, tab: Open) -> None:
    page = tab(server)
    page.load(photo_file(exif=exif_of(artist="Somebody"), dpi=(300, 300)))
    page.paint()
    page.fill(2)
    name, data = page.download()
    picture, hole = Image.open(io.BytesIO(data)), page.hole()
    filled = np.asarray(picture)
    assert name == "lake_filled.png" and picture.format == "PNG"
    assert (filled[~hole] == PHOTO[~hole]).all() and (filled[hole] != PHOTO[hole]).any()
    assert picture.getexif()[315] == "Somebody" and round(picture.info["dpi"][0]) == 300
    assert 0.002 < hole.mean() < 0.2


def test_a_jpeg_comes_back_as_a_jpeg_or_exact(server: Running, tab: Open) -> None:
    page = tab(server)
    data = photo_file("JPEG", quality=90, exif=exif_of(orientation=6, artist="Somebody"))  # to be turned by 90 degrees
    upright = np.rot90(pixels_of(data), -1)
    page.load(data, "lake.jpeg")
    expect(page.find("#about")).to_contain_text("180 × 240")
    page.paint(-150, -60)
    page.fill(2)
    hole = page.hole()
    rows, columns = np.nonzero(hole)
    assert hole.shape == (240, 180) and rows.mean() < 110 and columns.mean() < 80  # where it was painted

    name, same = page.download()
    picture = Image.open(io.BytesIO(same))
    assert name == "lake_filled.jpeg" and picture.format == "JPEG" and picture.size == (180, 240)
    assert picture.getexif()[315] == "Somebody" and picture.getexif().get(274, 1) == 1
    page.find("#downloadMore").click()
    name, exact = page.download("[data-save=png]")
    filled = pixels_of(exact)
    assert name == "lake_filled.png" and (filled[~hole] == upright[~hole]).all()
    assert np.abs(filled.astype(int) - pixels_of(same)).mean() < 9  # the same fill


def test_photos_that_browsers_do_not_open_are_shown_by_the_server(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file("TIFF"), "lake.tif")
    expect(page.find("#about")).to_contain_text("240 × 180")
    assert page.look().std() > 10  # not an empty canvas
    page.paint()
    page.fill(1)
    name, data = page.download()
    hole, filled = page.hole(), pixels_of(data)
    assert name == "lake_filled.tif" and Image.open(io.BytesIO(data)).format == "TIFF"
    assert (filled[~hole] == PHOTO[~hole]).all() and (filled[hole] != PHOTO[hole]).any()


# ── choosing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_looking_through_fills_and_back(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    empty = page.look()
    page.paint()
    painted = page.look()
    assert not alike(painted, empty)
    page.fill(3)
    first = page.look()
    page.page.keyboard.press("2")
    assert page.chosen() == "2"
    second = page.look()
    pictures = (empty, painted, first, second)
    assert sum(alike(one, other) for one in pictures for other in pictures) == 4  # each is like itself alone
    page.find("#strip button").nth(1).hover()  # resting on it shows it
    assert alike(page.canvas(), first)
    page.find("#stage").focus()

    page.page.keyboard.down("Tab")  # held: the original
    assert alike(page.look(), empty)
    page.page.wait_for_timeout(350)
    page.page.keyboard.up("Tab")
    assert alike(page.look(), second)

    page.page.keyboard.press("c")
    half = page.look()
    assert not alike(half, second) and not alike(half, empty)
    page.find("#handle").focus()
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
    expect(page.find("#handle")).to_have_attribute("aria-valuenow", "56")
    page.page.keyboard.press("c")
    page.page.keyboard.press("u")
    expect(page.find("#legend")).to_be_visible()
    assert not alike(page.look(), second)
    page.page.keyboard.press("u")

    for expected in (first, painted, empty):  # looking through fills is one step
        page.page.keyboard.press("Control+z")
        assert alike(page.look(), expected)
    for expected in (painted, first, second):
        page.page.keyboard.press("Control+Shift+z")
        assert alike(page.look(), expected)


def test_more_like_one_and_more_different(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    page.page.keyboard.press("2")
    before = page.keys()
    page.find("#like").click()
    page.wait_for_fills(4)
    near, step = int(page.forms[-1]["near"]), float(page.forms[-1]["step"])
    assert page.chosen_key() not in before and set(before) < set(page.keys())
    page.find(f"#strip [data-key='{before[2]}'] button").click()
    page.find("#unlike").click()
    page.wait_for_fills(6)
    assert int(page.forms[-1]["near"]) == near and float(page.forms[-1]["step"]) > 2 * step > 0


def test_a_part_is_filled_again_and_a_part_taken_from_another_fill(server: Running, tab: Open) -> None:
    page = tab(server)
    page.load(photo_file())
    page.find("[data-tool=rectangle]").click()
    box = page.find("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(left: int, top: int, right: int, bottom: int) -> None:
        page.page.mouse.move(x + left, y + top)
        page.page.mouse.down()
        page.page.mouse.move(x + right, y + bottom, steps=3)
        page.page.mouse.up()

    drag(-120, -60, 120, 60)
    page.fill(2)
    hole = page.hole()
    first = pixels_of(page.download()[1])
    page.page.keyboard.press("2")
    second = pixels_of(page.download()[1])
    page.page.keyboard.press("1")

    drag(20, -90, 160, 90)  # the right part of the hole and more
    page.shot("region")
    page.find("#takes button").click()
    page.wait_for_fills(3)
    region = pixels_of(page.forms[-1]["mask"]).astype(bool)
    mixed = pixels_of(page.download()[1])
    assert (mixed[~region] == first[~region]).all() and (mixed[~hole] == PHOTO[~hole]).all()
    deep = region & hole & np.roll(region & hole, 20, 1)
    assert np.abs(mixed[deep].astype(int) - second[deep]).mean() < np.abs(mixed[deep].astype(int) - first[deep]).mean()

    drag(-100, -40, -40, 40)
    page.find("#fill").click()
    page.wait_for_fills(2)
    part, again = page.hole(), pixels_of(page.download()[1])
    assert 0 < part.sum() < hole.sum() and (again[~part] == mixed[~part]).all() and (again[part] != mixed[part]).any()
    page.page.keyboard.press("Control+z")
    page.page.keyboard.press("Control+z")
    expect(page.find("#strip li")).to_have_count(4)  # all three are there again


# ── painting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_tool_changes_the_hole_and_a_mask_can_be_loaded(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    assert page.find("#fill").is_disabled()

    def sent() -> NDArray[np.bool_]:
        page.fill(1)
        page.page.keyboard.press("0")
        return page.hole()

    page.paint()
    brush = sent()
    page.page.keyboard.press("e")
    page.paint(30, 0, length=5)
    erased = sent()
    assert erased.sum() < brush.sum() and not (erased & ~brush).any()
    page.find("#clear").click()
    page.page.keyboard.press("r")
    page.paint()  # without height: nothing
    assert page.find("#fill").is_disabled()
    page.page.keyboard.press("b")
    page.page.keyboard.press("]")
    page.paint()
    assert sent().sum() > brush.sum()
    page.find("#clear").click()

    mask = np.zeros((180, 240), np.uint8)
    mask[20:61, 30:101] = 255
    files = {"name": "mask.png", "mimeType": "image/png", "buffer": file_of(mask)}
    page.page.set_input_files("#maskFile", files)
    expect(page.find("#fill")).to_be_enabled()
    assert (sent() == (mask > 0)).all()
    page.page.set_input_files("#maskFile", files | {"buffer": file_of(mask[:90])})
    expect(page.find("#problem")).to_contain_text("another shape")


def test_everything_is_there_again_after_a_reload(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    page.page.keyboard.press("2")
    before = page.look()
    expect(page.find("body")).to_have_attribute("data-kept", "true")  # a moment after the last change
    page.open()
    page.wait_for_fills(2)
    assert page.chosen() == "2" and alike(page.look(), before)
    assert page.download()[0] == "lake_filled.png"


def test_what_changes_while_it_is_being_kept_is_kept_too(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    page.page.evaluate(
        """() => {
          const put = IDBObjectStore.prototype.put;
          IDBObjectStore.prototype.put = function (...given) {  // once: fill 2 is chosen after fill 1 went to the disk
            IDBObjectStore.prototype.put = put;
            queueMicrotask(() => document.querySelectorAll("#strip button")[2].click());
            return put.apply(this, given);
          };
        }"""
    )
    page.page.keyboard.press("0")
    page.page.keyboard.press("1")
    expect(page.find("#strip li:nth-child(3) button")).to_have_attribute("aria-pressed", "true")
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    page.open()
    page.wait_for_fills(2)
    assert page.chosen() == "2"


def test_a_reload_right_after_a_change_does_not_lose_it(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    page.page.keyboard.press("2")
    page.open()
    page.wait_for_fills(2)
    assert page.chosen() == "2"


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_stop_frees_the_server_and_loses_nothing(sketching: Running, tab: Open) -> None:
    net = sketching.net
    assert net is not None
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    painted = page.look()
    with held(net):
        page.find("#fill").click()
        expect(page.find("#fill")).to_have_text("Stop")
        page.find("#fill").click()
        expect(page.find("#fill")).to_have_text("Fill")
    assert page.find("#problem").is_hidden() and alike(page.look(), painted)
    page.fill(2)


def test_errors_are_told_in_plain_words_and_tried_again(sketching: Running, tab: Open) -> None:
    net = sketching.net
    assert net is not None
    page = tab(sketching)
    page.page.set_input_files("#photoFile", {"name": "x.png", "mimeType": "image/png", "buffer": b"not a photo"})
    expect(page.find("#problem")).to_contain_text("not a photo that can be opened")
    page.load(photo_file())
    expect(page.find("#problem")).to_be_hidden()
    page.paint()
    painted = page.look()

    net.crashes_at = net.drawn + 1
    page.find("#fill").click()
    expect(page.find("#problem")).to_contain_text("The server failed at this")
    page.shot("error")
    page.page.route("**/v1/**", lambda route: route.abort())
    page.find("#retry").click()
    expect(page.find("#problem")).to_contain_text("cannot be reached")
    assert page.chosen() == "Photo"
    page.page.unroute("**/v1/**")
    page.find("#retry").click()
    page.wait_for_fills(4)
    page.page.keyboard.press("Control+z")
    assert alike(page.look(), painted)


def test_limits_and_the_token_are_explained(tab: Open) -> None:
    limits = Limits(pixels=240 * 180)
    with running(Settings(models=("sketch",), token="s3cret", limits=limits), Sketch()) as server:
        page = tab(server)
        for given, wrong in (("guess", False), ("s3cret", True)):
            expect(page.find("#tokenDialog")).to_be_visible()
            expect(page.find("[data-wrong]")).to_be_visible(visible=wrong)
            page.find("#tokenDialog input").fill(given)
            page.page.keyboard.press("Enter")
        expect(page.find("#tokenDialog")).to_be_hidden()
        page.page.set_input_files(
            "#photoFile", {"name": "big.png", "mimeType": "image/png", "buffer": file_of(photo_of(200, 240))}
        )
        expect(page.find("#problem")).to_contain_text("million pixels")
        page.load(photo_file())
        page.paint()
        page.fill(1)


# ── everybody ─────────────────────────────────────────────────────────────────────────────────────────────────────────


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
