"""How smooth the page is on a large photo: frame times in Chromium while somebody paints, pans and zooms.

python tools/bench_page.py [--size 4000x3000] [--seconds 3]

Starts `manyfill serve`, opens a photo of that size in headless Chromium, moves the pointer as a hand does, and prints a
Markdown table. No GPU is used, so that what is measured is the slow case: every pixel is drawn by the processor.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WATCH = """() => {
  const seen = { frames: [], long: [], on: false };
  let last = 0;
  const frame = (now) => {
    if (seen.on && last) seen.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    if (seen.on) seen.long.push(...list.getEntries().map((one) => one.duration));
  }).observe({ type: "longtask" });
  window.seen = seen;
}"""  # frames: milliseconds from each frame to the next; long: tasks of more than 50 ms


def photo(width: int, height: int) -> bytes:
    """A JPEG with structure at every scale, so that neither coding nor drawing is easier than for a real photo."""
    rng, total = np.random.default_rng(0), np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64, 256, 1024):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR)) / np.float32(5)
    file = io.BytesIO()
    Image.fromarray(total.astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def measured(page: Page, what: Callable[[float], None], seconds: float) -> list[float]:
    """Frame times while `what` is done again and again, given the seconds since the beginning."""
    page.evaluate("() => Object.assign(window.seen, { frames: [], long: [], on: true })")
    began = time.monotonic()
    while (since := time.monotonic() - began) < seconds:
        what(since)
    page.evaluate("() => { window.seen.on = false; }")
    return [float(value) for value in page.evaluate("() => window.seen.frames")]


def row(name: str, frames: list[float], long: list[float]) -> str:
    p50, p95 = (float(np.percentile(frames, share)) for share in (50, 95))
    slow = 100 * sum(value > 34 for value in frames) / len(frames)
    return (
        f"| {name} | {1000 / np.mean(frames):.0f} | {p50:.0f} | {p95:.0f} | {max(frames):.0f} | {slow:.0f} "
        f"| {max(long, default=0):.0f} |"
    )


def play(page: Page, seconds: float) -> None:
    """Paint, pan, zoom and choose, printing a line for each."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def around(radius: float, speed: float = 4.0) -> Callable[[float], None]:
        return lambda t: page.mouse.move(x + radius * math.cos(speed * t), y + radius * 0.6 * math.sin(1.3 * speed * t))

    def during(name: str, what: Callable[[float], None]) -> None:
        frames = measured(page, what, seconds)
        print(row(name, frames, page.evaluate("() => window.seen.long")), flush=True)

    def held(name: str, *, key: str | None = None) -> None:
        page.mouse.move(x + 120, y)
        if key:
            page.keyboard.down(key)
        page.mouse.down()
        during(name, around(120))
        page.mouse.up()
        if key:
            page.keyboard.up(key)

    page.mouse.move(x, y)
    during("pointer moves", around(120))
    held("brush")
    page.keyboard.press("e")
    held("eraser")
    page.keyboard.press("l")
    held("lasso")
    page.keyboard.press("b")
    held("pan", key="Space")
    page.mouse.move(x, y)
    during("zoom with the wheel", lambda t: page.mouse.wheel(0, -40 if t < seconds / 2 else 40))
    page.keyboard.press("f")
    for _ in range(9):
        page.keyboard.press("+")
    held("pan, close", key="Space")
    held("brush, close")
    page.keyboard.press("f")
    page.locator("#count").evaluate("(input) => { input.value = 2; input.dispatchEvent(new Event('input')); }")
    page.locator("#fill").click()
    expect(page.locator("#strip li")).to_have_count(3)
    expect(page.locator("#hint.busy")).to_have_count(0)
    held("pan over a fill", key="Space")
    for _ in range(9):
        page.keyboard.press("+")
    for key in "21":  # their pixels are fetched when they are first looked at closely
        page.keyboard.press(key)
        page.wait_for_timeout(4000)
    held("pan over a fill, close", key="Space")

    def flick(t: float) -> None:
        page.keyboard.press("12"[int(4 * t) % 2])
        page.wait_for_timeout(40)

    during("to and fro between two fills, close", flick)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="4000x3000", help="of the photo")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row of the table")
    asked = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("error: no Chromium on this machine. On Debian: apt install chromium")
    width, height = map(int, asked.size.split("x"))
    data = photo(width, height)

    command = [sys.executable, "-m", "manyfill", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            table(page, url, data, asked)
            browser.close()
    finally:
        server.terminate()
        server.wait()


def table(page: Page, url: str, data: bytes, asked: Any) -> None:
    """All that is measured, with how and where."""
    expect.set_options(timeout=120_000)
    page.set_default_timeout(120_000)
    page.goto(url)
    expect(page.locator("body.ready")).to_be_visible()
    page.evaluate(WATCH)
    page.evaluate("() => { window.seen.on = true; }")
    began = time.monotonic()
    page.set_input_files("#photoFile", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": data})
    expect(page.locator("#editor")).to_be_visible()
    opened = time.monotonic() - began
    longest = max(page.evaluate("() => window.seen.long"), default=0)
    version = page.context.browser.version if page.context.browser else "?"
    print(
        f"`python tools/bench_page.py --size {asked.size} --seconds {asked.seconds:g}`, {date.today()}, "
        f"Chromium {version}, headless, no GPU, window of 1280 x 800, {os.cpu_count()} CPUs ({platform.machine()}). "
        f"The photo of {asked.size} ({len(data) / 2**20:.1f} MiB JPEG) is open after {opened:.1f} s; "
        f"longest task {longest:.0f} ms.\n"
    )
    print("| | frames/s | p50 ms | p95 ms | longest ms | over 34 ms, % | longest task ms |")
    print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
    play(page, asked.seconds)


if __name__ == "__main__":
    main()
