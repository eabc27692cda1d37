"""`manyfill serve` as a process: one address, draining, and what a user sees when it cannot start."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from serving import SECONDS, file_of, photo_of

from manyfill.cli import run
from manyfill.server.running import _listen


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it printed."""
    command = [sys.executable, "-m", "manyfill", "serve", "--port", "0", *arguments]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    try:
        assert started.stdout is not None
        yield started, started.stdout.readline().strip()
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def asking(url: str, **headers: str) -> httpx.Client:
    """Connections to it; certificates are slow to load, and there are none."""
    return httpx.Client(base_url=url, headers=headers, timeout=SECONDS, verify=False)


def wait_until_ready(url: str) -> None:
    until = time.monotonic() + SECONDS
    with asking(url) as client:
        while client.get("/healthz").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.1)


def children(pid: int) -> list[int]:
    """Of a process: where there is no /proc, as if it had none."""
    return [int(each) for file in Path(f"/proc/{pid}/task").glob("*/children") for each in file.read_text().split()]


def is_running(pid: int) -> bool:
    """Not even as a zombie that nobody waits for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for_the_end_of(helpers: list[int]) -> None:
    until = time.monotonic() + SECONDS
    while left := [pid for pid in helpers if Path(f"/proc/{pid}/cmdline").exists() and is_running(pid)]:
        assert time.monotonic() < until, left
        time.sleep(0.05)


def test_it_prints_its_address_and_drains_when_it_is_told_to_stop_and_so_do_its_helpers(model: Path) -> None:
    with process("--model", str(model), MANYFILL_TOKEN="s3cret") as (started, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        wait_until_ready(url)
        helpers = children(started.pid)
        with asking(url) as stranger:
            assert stranger.get("/v1/models").status_code == 401
        hole = photo_of(400, 400, channels=4)
        hole[..., 3] = 255
        hole[100:300, 100:300, 3] = 0
        files = {"image": file_of(photo_of(400, 400)), "mask": file_of(hole)}
        token = {"Authorization": "Bearer s3cret"}
        form = {"n": "10", "texture": "net"}
        with ThreadPoolExecutor() as pool, asking(url, **token) as client, asking(url, **token) as watcher:
            assert watcher.get("/metrics").status_code == 200  # connected: a look takes milliseconds from here on
            answer = pool.submit(client.post, "/v1/images/edits", files=files, data=form)
            while "manyfill_queue_running 1.0" not in watcher.get("/metrics").text:
                assert not answer.done(), "the request was over before it could be interrupted"
            started.send_signal(signal.SIGTERM)
            assert len(answer.result().json()["data"]) == 10
        out, errors = started.communicate(timeout=SECONDS)
        assert (started.returncode, out) == (0, "")
        assert "POST /v1/images/edits 200" in errors and "Traceback" not in errors and "s3cret" not in errors
        wait_for_the_end_of(helpers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_what_it_serves_and_ends_when_it_is_told_to_in_the_first_moment(
    model: Path, number: signal.Signals
) -> None:
    with process("--model", str(model)) as (started, url):
        assert url.startswith("http://")
        started.send_signal(number)
        _, errors = started.communicate(timeout=SECONDS)
        assert started.returncode == 0 and "Traceback" not in errors, errors
        assert errors.splitlines()[0] == f"Serving the page and the API ({url}/docs) with {model}. Stop with Ctrl-C."
        assert "other devices" not in errors and "note:" not in errors


def test_small_answers_are_sent_at_once() -> None:
    """Not after the 40 ms that the other side may take to say that it has the head of an answer."""

    async def option() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with _listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(greet, sock=listener):
                with socket.create_connection(listener.getsockname()):
                    return await found

    assert asyncio.run(option()) != 0


STUCK = """
import atexit, sys, time
from manyfill.server import app, running, settings
app.load_models = lambda *_: time.sleep(600)
atexit.register(print, "torn down")  # which aborts a thread of C++
sys.exit(running.run(settings.Settings(), host="127.0.0.1", port=0, announce=lambda at: print(at.here, flush=True)))
"""


def test_it_ends_at_once_while_a_model_is_loading() -> None:
    started = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stdout is not None
    url = started.stdout.readline().strip()
    until = time.monotonic() + SECONDS
    while True:
        try:
            with asking(url) as client:
                assert client.get("/healthz").status_code == 503
            break
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(0.1)
    started.terminate()
    out, errors = started.communicate(timeout=SECONDS)
    assert "torn down" not in out
    assert started.returncode == 0 and "terminate" not in errors and "Traceback" not in errors, errors


def test_with_open_the_browser_opens_once_the_address_answers(model: Path, tmp_path: Path) -> None:
    browser, seen = tmp_path / "browser.py", tmp_path / "seen"
    browser.write_text(
        "import sys, urllib.request as r\n"
        f"open({str(seen)!r}, 'w').write(sys.argv[1] + ' ' + str(r.urlopen(sys.argv[1]).status))\n"
    )
    with process("--model", str(model), "--open", BROWSER=f"{sys.executable} {browser} %s") as (_, url):
        until = time.monotonic() + SECONDS
        while not (seen.exists() and seen.read_text()):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert seen.read_text() == f"{url} 200"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")
def test_its_helpers_end_with_it_where_it_is_killed(model: Path) -> None:
    with process("--model", str(model)) as (started, url):
        wait_until_ready(url)
        helpers = children(started.pid)
        assert len(helpers) == 3  # the doorman, a coder for the worker and one for the desk
        started.kill()
        started.wait(SECONDS)
        wait_for_the_end_of(helpers)


def test_it_suggests_a_token_to_who_serves_others_and_says_where_no_browser_could_be_opened(model: Path) -> None:
    nowhere = {"BROWSER": "false %s", "PATH": "", "DISPLAY": ""}
    with process("--model", str(model), "--host", "0.0.0.0", "--open", **nowhere) as (started, url):
        port = url.rpartition(":")[2]
        assert url == f"http://127.0.0.1:{port}"  # no browser opens http://0.0.0.0 everywhere
        with asking(url) as client:
            answers = {
                host: client.get("/healthz", headers={"host": host}).status_code != 421
                for host in ("localhost", "192.0.2.7", socket.gethostname(), "evil.example")
            }
        assert answers == {"localhost": True, "192.0.2.7": True, socket.gethostname(): True, "evil.example": False}
        wait_until_ready(url)
        started.terminate()
        _, errors = started.communicate(timeout=SECONDS)
        assert f"note: no browser could be started here. Open {url} yourself." in errors
        assert re.search(r"MANYFILL_TOKEN=[\w-]{24}", errors)
        elsewhere = re.search(r"For other devices in this network: http://([\d.]+):(\d+)", errors)
        if elsewhere is not None:  # a machine may be in no network
            assert elsewhere[2] == port and not elsewhere[1].startswith(("0.", "127."))


def test_what_keeps_it_from_starting_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["serve", "--port", str(port)]) == 2
        assert capsys.readouterr().err == (
            f"error: cannot listen at 127.0.0.1:{port}: Address already in use. Try another: --port 0.\n"
        )
    for arguments, words in (
        (["--token", " "], "the token is empty"),
        (["--max-body", "much"], "--max-body 'much' is not a size"),
        (["--port", "70000"], "65535"),
        (["--host", "203.0.113.7"], "cannot listen at 203.0.113.7"),
        (["--host", "no such host"], "cannot listen at no such host"),
    ):
        assert run(["serve", *arguments]) == 2
        told = capsys.readouterr().err
        assert told.startswith("error: ") and words in told and told.count("\n") == 1
