"""The page in a real browser before the real server: a tab, and what people do in it."""

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
from serving import SECONDS, Running, Sketch, file_of, photo_of, pixels_of

from manyfill.server.settings import Settings

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

    def fill(self, count: int = 2, *, patience: int = 1) -> None:
        """Ask for fills and wait until they are all there."""
        self.page.locator("#count").evaluate(
            "(input, n) => { input.value = n; input.dispatchEvent(new Event('input')); }", count
        )
        self.find("#fill").click()
        self.wait_for_fills(count, patience=patience)

    def fill_more(self, count: int) -> None:
        """Ask for as many again, until there are so many."""
        self.find("#fill").click()
        self.wait_for_fills(count)

    def wait_for_fills(self, count: int, *, patience: int = 1) -> None:
        expect(self.find("#hint.busy")).to_have_count(0, timeout=1000 * SECONDS * patience)
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


@contextmanager
def held(net: Sketch) -> Iterator[None]:
    """Nothing is drawn inside the block."""
    net.gate.clear()
    try:
        yield
    finally:
        net.gate.set()


Open = Callable[..., Tab]


class Restartable:
    """A server that is killed and started again at the same address, with nothing left of what it held."""

    def __init__(self) -> None:
        self.running = running_at(None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.running, name)

    def stop(self) -> None:
        self.running.stop()

    def start(self) -> None:
        self.running = running_at(int(self.running.url.rpartition(":")[2]))

    def restart(self) -> None:
        self.stop()
        self.start()


def running_at(port: int | None) -> Running:
    return Running(Settings(models=("sketch",)), Sketch(), port=port).ready()


@contextmanager
def restartable() -> Iterator[Any]:
    server = Restartable()
    try:
        yield server
    finally:
        server.running.stop()
