"""The page while its server is gone: it opens all the same, says so, and goes on when the server is back."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from browsing import Open, Restartable, Tab, expect, photo_file, restartable
from serving import SECONDS, Running
from starlette.applications import Starlette
from starlette.routing import Mount

from manyfill.server.app import PAGE, Page
from manyfill.server.running import _listen
from manyfill.server.shell import WORKER

READY = "async () => { await navigator.serviceWorker.ready; }"
KEPT = """async () => {
  const kept = {};
  for (const name of await caches.keys()) {
    const files = await (await caches.open(name)).keys();
    kept[name] = files.map((file) => new URL(file.url).pathname).sort();
  }
  return kept;
}"""
REPLACED = """async (old) => {
  for (;;) {
    const now = await caches.keys();
    if (now.length === 1 && !old.includes(now[0])) return;
    await new Promise((done) => setTimeout(done, 50));
  }
}"""


def kept_page(tab: Open, server: Restartable, *, fills: int = 0) -> Tab:
    """A page with a photo, a hole and so many fills, all of which the browser has kept, as it has the page itself."""
    page = tab(server)
    page.page.evaluate(READY)
    page.load(photo_file())
    page.paint()
    if fills:
        page.fill(fills)
    page.page.wait_for_function("() => document.body.dataset.kept === 'true'")
    return page


def test_it_opens_without_its_server_says_so_and_goes_on_when_that_is_back(tab: Open) -> None:
    with restartable() as server:
        page = kept_page(tab, server, fills=1)
        (kept,) = page.page.evaluate(KEPT).values()
        assert {"/", "/main.js", "/style.css", "/tools/select.js", "/words/zh.js", "/manifest.json"} <= set(kept)
        assert not [path for path in kept if path.startswith(("/v1", "/results", "/healthz", "/index.html"))]
        server.stop()
        page.page.reload()
        expect(page.find("#problem")).to_contain_text("has been stopped or cannot be reached")
        expect(page.find("#about")).to_contain_text("lake.png")
        expect(page.find("#strip li")).to_have_count(2)
        page.shot("offline")
        other = page.page.context.new_page()  # another tab, that was never open
        other.goto(server.url)
        expect(other.locator("h1")).to_be_visible()
        expect(other.locator("#problem")).to_contain_text("manyfill serve")
        other.close()
        server.start()
        expect(page.find("#problem")).to_be_hidden()
        expect(page.find("#note")).to_contain_text("there again")
        page.fill_more(2)


def test_a_dismissed_word_does_not_come_again_and_a_fill_meanwhile_can_be_tried_again(tab: Open) -> None:
    with restartable() as server:
        page = kept_page(tab, server)
        server.stop()
        page.page.reload()
        page.find("#dismiss").click()
        page.page.wait_for_timeout(6000)  # two looks for the server
        expect(page.find("#problem")).to_be_hidden()
        page.find("#fill").click()
        expect(page.find("#problem")).to_contain_text("cannot be reached")
        server.start()
        expect(page.find("#note")).to_contain_text("there again")
        page.find("#retry").click()
        page.wait_for_fills(4)


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[int]:
    """The page of a folder alone, at a port."""
    with _listen("127.0.0.1", port) as listener:
        app = Starlette(routes=[Mount("/", Page([], folder))])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(SECONDS)


def test_a_new_version_takes_the_place_of_the_one_before(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    shutil.copytree(PAGE, folder)
    context = browser.new_context()
    context.set_default_timeout(1000 * SECONDS)
    page = context.new_page()
    with serving(folder) as port:
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate(READY)
        before = page.evaluate(KEPT)
    style = folder / "style.css"
    style.write_text(style.read_text(encoding="utf-8") + "\n/* newer */\n", encoding="utf-8")
    (folder / "newer.js").write_text("", encoding="utf-8")
    with serving(folder, port):
        page.reload()
        page.evaluate(REPLACED, list(before))
        (now,) = page.evaluate(KEPT).values()
        assert set(now) - set(*before.values()) == {"/newer.js"}
        text = "async () => (await (await caches.match('/style.css')).text())"
        assert "/* newer */" in page.evaluate(text)
    context.close()


def test_the_worker_names_every_file_of_the_page_and_only_those(sketching: Running) -> None:
    script = sketching.get(f"/{WORKER}")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cache-control"] == "no-cache"
    for path in PAGE.rglob("*"):
        if path.suffix in (".html", ".js", ".css", ".svg", ".png", ".json", ".jpg"):
            name = path.relative_to(PAGE).as_posix()
            assert (f'"{name}"' in script.text) == (name not in ("index.html", WORKER)), name
            assert sketching.get(f"/{name}").status_code == 200, name
    assert "types.d.ts" not in script.text and "CREDITS" not in script.text
