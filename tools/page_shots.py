"""Pictures of the page in every state, to be looked at: desktop and phone, light and dark, English and 中文.

    python tools/page_shots.py FOLDER [--only desktop-light-en,phone-dark-zh] [--states welcome,fills] [--sheets]
    python tools/page_shots.py docs/images --docs      those of docs/page.md, with the default model

One PNG for each state and look, STATE_LOOK.png; `--sheets` puts the looks of a state side by side, one sheet each. The
network is the tests' own, which draws noise in no time: it is the page that is looked at. Needs a Chromium and
`pip install -e '.[dev]'`.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "server"))
from serving import SECONDS, Running, Sketch

from manyfill.server.settings import Settings

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TOUCHED = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, **TOUCHED},
    "side": {"viewport": {"width": 844, "height": 390}, **TOUCHED},
    "zoomed": {"viewport": {"width": 640, "height": 400}},
    "tiny": {"viewport": {"width": 360, "height": 225}},
}
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
USUAL = [f"{size}-{theme}-{words}" for size in ("desktop", "phone") for theme in ("light", "dark") for words in LOCALES]
SMALL = ["side-light-en", "side-dark-zh", "zoomed-light-en", "zoomed-dark-zh", "tiny-light-en", "tiny-dark-zh"]
WIDEST = 640  # pixels of one look on a sheet


class Looker:
    """One tab, led from state to state, in an order in which each follows from the one before."""

    def __init__(self, page: Any, server: Running, shoot: Callable[[str], None]) -> None:
        self.page, self.server, self.shoot = page, server, shoot

    def press(self, key: str) -> None:
        """A key on the stage."""
        self.page.locator("#stage").focus()
        self.page.keyboard.press(key)

    def click(self, selector: str, number: int = 0) -> None:
        """One of what a selector names."""
        self.page.locator(selector).nth(number).click()

    def pick(self, name: str, files: list[str]) -> None:
        """Samples in a file dialog."""
        samples = Path(__file__).parents[1] / "manyfill/server/page/samples"
        self.page.set_input_files(name, [samples / file for file in files])

    def paint(self, x: int, y: int, *, length: int = 60) -> None:
        """A stroke to the right, from a point relative to the stage's middle."""
        self.page.locator("#stage").scroll_into_view_if_needed()
        box = self.page.locator("#stage").bounding_box()
        left, top = box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y
        self.page.mouse.move(left, top)
        self.page.mouse.down()
        self.page.mouse.move(left + length, top, steps=4)
        self.page.mouse.up()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is drawn inside the block."""
        net = self.server.net
        assert net is not None
        net.gate.clear()
        try:
            yield
        finally:
            net.gate.set()

    def finished(self) -> None:
        """Until all fills are there."""
        expect(self.page.locator("#hint.busy")).to_have_count(0)
        expect(self.page.locator("#strip .waiting, #strip .sketch")).to_have_count(0)
        self.page.mouse.move(2, 2)

    def go(self) -> None:
        """Through every state."""
        self.shoot("welcome")
        self.pick("#photoFile", ["canyon.jpg"])
        expect(self.page.locator("#editor")).to_be_visible()
        self.shoot("open")
        self.click("[data-tool=select]")
        self.shoot("select")
        self.click("[data-tool=extend]")
        self.click("[data-shape='16:9']")
        self.shoot("extend")
        self.click("#extendCancel")
        self.paint(-40, 20)
        self.shoot("painted")
        with self.held():
            self.click("#fill")
            expect(self.page.locator("#strip .waiting")).to_have_count(4)
            self.shoot("filling")
        self.finished()
        self.shoot("fills")
        for key, name in (("c", "compare"), ("u", "heat"), ("o", "origins")):
            self.press(key)
            self.page.wait_for_timeout(300)
            self.shoot(name)
            self.press(key)
        self.click("[data-tool=select]")
        self.shoot("select_fill")
        self.click("[data-tool=extend]")
        self.shoot("extend_fill")
        self.click("[data-tool=brush]")
        self.paint(-30, 20, length=20)
        self.page.mouse.move(2, 2)
        self.shoot("region")
        self.press("Escape")
        self.press("0")
        self.paint(60, -30)
        self.click("#fill")
        self.finished()
        self.shoot("two_holes")
        for button, name in (("#options", "options"), ("#downloadMore", "downloads")):
            self.click(button)
            self.shoot(name)
            self.page.keyboard.press("Escape")
        self.press("?")
        self.shoot("help")
        self.page.keyboard.press("Escape")
        self.page.set_input_files("#photoFile", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no photo"})
        expect(self.page.locator("#problem")).to_be_visible()
        self.shoot("problem")
        self.click("#dismiss")
        self.pick("#photoFile", ["beach.jpg", "farm.jpg", "clouds.jpg"])
        expect(self.page.locator("#album")).to_be_visible()
        self.page.wait_for_timeout(500)
        self.shoot("album")
        self.page.evaluate("async () => { await navigator.serviceWorker.ready; }")
        self.page.route("**/healthz", lambda route: route.abort())
        self.page.reload()
        expect(self.page.locator("#problem")).to_be_visible()
        self.shoot("offline")


def for_docs(browser: Any, server: Running, folder: Path) -> None:
    """The pictures of docs/page.md: fills of the samples by the default model."""

    def opened(look: str, sample: int) -> Any:
        size, theme, words = look.split("-")
        context = browser.new_context(
            **{**SIZES[size], "device_scale_factor": 1},
            color_scheme=theme,
            locale=LOCALES[words],
            reduced_motion="reduce",
        )
        context.set_default_timeout(10_000 * SECONDS)
        page = context.new_page()
        page.goto(server.url)
        page.wait_for_selector("body.ready")
        page.locator("#samples button").nth(sample).click()
        expect(page.locator("#editor")).to_be_visible()
        return page

    def filled(page: Any) -> None:
        page.locator("#fill").click()
        expect(page.locator("#strip .waiting, #strip .sketch")).not_to_have_count(0)
        expect(page.locator("#strip .waiting, #strip .sketch")).to_have_count(0, timeout=10_000 * SECONDS)
        expect(page.locator("#hint.busy")).to_have_count(0)
        page.mouse.move(2, 2)

    def keep(page: Any, name: str) -> None:
        page.wait_for_timeout(1500)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.save(folder / name, quality=85, **({"method": 6} if name.endswith("webp") else {"optimize": True}))
        print(name, flush=True)

    page = opened("desktop-light-en", 0)
    filled(page)
    keep(page, "page.jpg")
    page.locator("#origins").click()
    expect(page.locator("#origin")).to_be_visible()
    keep(page, "page_origins.webp")
    page.context.close()
    page = opened("desktop-light-en", 2)
    page.locator("[data-tool=extend]").click()
    page.locator("[data-shape='16:9']").click()
    keep(page, "page_extend.webp")
    page.context.close()
    page = opened("phone-light-en", 1)
    filled(page)
    keep(page, "page_phone.webp")
    page.context.close()
    page = opened("side-dark-zh", 1)
    page.locator("#fill").click()
    page.wait_for_selector("#strip .sketch")
    keep(page, "page_side.webp")
    page.locator("#fill").click()
    page.context.close()


def sheet(files: list[Path], out: Path) -> None:
    """Pictures side by side."""
    pictures = [Image.open(file).convert("RGB") for file in files]
    small = []
    for one in pictures:
        width = min(WIDEST, one.width) if one.width > one.height else WIDEST // 2
        small.append(one.resize((width, round(one.height * width / one.width)), Image.Resampling.LANCZOS))
    rows = [small[at : at + 4] for at in range(0, len(small), 4)]
    heights = [max(one.height for one in row) for row in rows]
    width = max(sum(one.width + 8 for one in row) for row in rows)
    whole = Image.new("RGB", (width, sum(heights) + 8 * len(rows)), "#888")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for one in row:
            whole.paste(one, (left, top))
            left += one.width + 8
        top += height + 8
    whole.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="looks, with commas; default: all")
    parser.add_argument("--states", help="states that are kept, with commas; default: all")
    parser.add_argument("--docs", action="store_true", help="the pictures of docs/page.md instead")
    parser.add_argument("--sheets", action="store_true", help="one sheet for each state beside the pictures")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.docs:
        with sync_playwright() as playwright:
            server = Running(Settings()).ready()
            try:
                for_docs(playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS), server, given.folder)
            finally:
                server.stop()
        return
    looks = given.only.split(",") if given.only else USUAL + SMALL
    taken: dict[str, list[Path]] = {}
    server = Running(Settings(models=("sketch",)), Sketch()).ready()
    try:
        with sync_playwright() as playwright:
            expect.set_options(timeout=1000 * SECONDS)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for look in looks:
                size, theme, words = look.split("-")
                context = browser.new_context(
                    **SIZES[size], color_scheme=theme, locale=LOCALES[words], reduced_motion="reduce"
                )
                context.set_default_timeout(1000 * SECONDS)
                page = context.new_page()

                def shoot(state: str, page: Any = page, look: str = look) -> None:
                    if given.states and state not in given.states.split(","):
                        return
                    page.wait_for_timeout(150)
                    file = given.folder / f"{state}_{look}.png"
                    page.screenshot(path=file)
                    taken.setdefault(state, []).append(file)

                page.goto(server.url)
                page.wait_for_selector("body.ready")
                Looker(page, server, shoot).go()
                context.close()
                print(look, flush=True)
            browser.close()
    finally:
        server.stop()
    if given.sheets:
        for state, files in taken.items():
            sheet(files, given.folder / f"sheet_{state}.png")


if __name__ == "__main__":
    main()
