"""`make bench-serve`: fills per second with 1, 4 and 16 clients, how long each waits, and what a crash costs.

Starts `manyfill serve` on a free port of this machine, sends the same photo with other seeds, one request after the
other per client. Then kills the server with SIGKILL in the middle of a run, starts it again at the same port, and tells
how long nobody was served. Printed, and written to the end of docs/benchmarks.md, which `make bench` leaves as it is.
"""

from __future__ import annotations

import argparse
import base64
import io
import itertools
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import torch
from PIL import Image
from soak import soak

from manyfill import __version__
from manyfill.completer import Completer, NetDrawer
from manyfill.zoo import DEFAULT

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT / "examples" / "photos"
MARK = "<!-- from here on written by make bench-serve -->"  # benchmarks/bench.py keeps what follows it
WAIT_SECONDS = 600.0  # of a client for its answer


@dataclass
class Server:
    """The process under test; a new one takes the same port."""

    options: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = None
    peak_mib: float = 0.0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Returns the seconds until it could fill."""
        began = time.monotonic()
        command = [sys.executable, "-m", "manyfill", "serve", "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            if self.process.poll() is not None:
                raise SystemExit(f"error: the server ended with {self.process.returncode}: {' '.join(command)}")
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return time.monotonic() - began
            except httpx.TransportError:
                pass
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it has ended."""
        if self.process is not None and self.process.poll() is None:
            self.look()
            self.process.send_signal(number)
            self.process.wait()

    def look(self) -> None:
        """Peak resident memory so far, where the system tells it."""
        status = Path(f"/proc/{self.process.pid}/status") if self.process else Path()
        if status.is_file():
            peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            self.peak_mib = max(self.peak_mib, int(peak.split()[1]) / 1024)


@dataclass
class Run:
    """What the clients of one run saw."""

    done: list[tuple[float, float]] = field(default_factory=list)  # (when, seconds it took)
    errors: list[tuple[float, str]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)


def load(server: Server, clients: int, form: dict[str, str], going: Callable[[], bool]) -> Run:
    """Each client sends one request after the other as long as it is `going`; begun ones are waited for."""
    run, numbers = Run(), itertools.count()
    files = {"image": (PHOTOS / "beach.jpg").read_bytes(), "mask": (PHOTOS / "beach_hole.png").read_bytes()}

    def client() -> None:
        with httpx.Client(timeout=WAIT_SECONDS) as http:
            while going():
                began = time.monotonic()
                try:
                    data = {**form, "seed": str(next(numbers))}
                    answer = http.post(f"{server.url}/v1/images/edits", files=files, data=data)
                    now = time.monotonic()
                    if answer.status_code == 200 and base64.b64decode(answer.json()["data"][0]["b64_json"]):
                        run.done.append((now, now - began))
                    else:
                        run.errors.append((now, str(answer.status_code)))
                except httpx.TransportError as error:
                    run.errors.append((time.monotonic(), type(error).__name__))
                    time.sleep(0.1)  # as a client that tries again would

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.look()
    return run


def for_seconds(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


def row(clients: int, run: Run, seconds: float, peak_mib: float) -> str:
    took = sorted(duration for _, duration in run.done)
    in_time = sum(when <= run.began + seconds for when, _ in run.done)
    cuts = statistics.quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
    p50, p95, p99 = (cuts[at - 1] if cuts else float("nan") for at in (50, 95, 99))
    cells = [clients, len(run.done), f"{in_time / seconds:.2f}", f"{p50:.2f}", f"{p95:.2f}", f"{p99:.2f}",
             len(run.errors), f"{peak_mib:.0f}"]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def crash(server: Server, seconds: float, form: dict[str, str]) -> str:
    """Kill the server half-way and start it again."""
    moments: dict[str, float] = {}

    def kill() -> None:
        moments["killed"] = time.monotonic()
        server.stop(signal.SIGKILL)
        moments["start"] = server.start()
        moments["back"] = time.monotonic()

    timer = threading.Timer(seconds / 2, kill)
    timer.start()
    run = load(server, 4, form, lambda: "back" not in moments or time.monotonic() < moments["back"] + seconds / 2)
    timer.join()
    again = min(when for when, _ in run.done if when > moments["killed"])
    kinds = sorted({kind for _, kind in run.errors})
    late = [when for when, _ in run.errors if when > again]
    return (
        f"kill -9 with 4 clients after {seconds / 2:g} s: ready again in {moments['start']:.1f} s, first fill "
        f"{again - moments['killed']:.1f} s after the kill. Until {seconds / 2:g} s after that: {len(run.done)} fills, "
        f"{len(run.errors)} failed tries ({', '.join(kinds) or 'none'}), {len(late)} of them after the first new fill."
    )


class Timed:
    """A network that counts the processor time spent in it."""

    def __init__(self, net: Any) -> None:
        self._net, self.seconds = net, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._net, name)

    def _timed(self, name: str, *given: Any) -> Any:
        began = time.thread_time()
        found = getattr(self._net, name)(*given)
        self.seconds += time.thread_time() - began
        return found

    def encode(self, *given: Any) -> Any:
        """As the network does."""
        return self._timed("encode", *given)

    def decode(self, *given: Any) -> Any:
        """As the network does."""
        return self._timed("decode", *given)


def shares(model: str) -> str:
    """What part of a request's processor time the network has: all that computing it in batches could save."""
    torch.set_num_threads(1)
    completer = Completer.from_pretrained(model, device="cpu")
    assert isinstance(completer.drawer, NetDrawer)
    net = Timed(completer.drawer.net)
    completer.drawer.net = net
    found = {}
    for texture in ("auto", "net"):
        for _ in range(2):  # the first is slower
            net.seconds, began = 0.0, time.process_time()
            (fill,) = completer.complete(PHOTOS / "beach.jpg", PHOTOS / "beach_hole.png", texture=texture)
            fill.image.save(io.BytesIO(), "PNG")
        found[texture] = (net.seconds, time.process_time() - began)
    told = [f"{1000 * part:.0f} of {1000 * whole:.0f} ms ({part / whole:.0%})" for part, whole in found.values()]
    return f"Of a request's processor time the network has {told[0]}, without texture {told[1]}; one thread."


def lines(arguments: argparse.Namespace, server: Server) -> Iterator[str]:
    """The section of docs/benchmarks.md, as it comes about."""
    form = {"n": str(arguments.fills), "texture": arguments.texture}
    load_before = os.getloadavg()[0]
    ready = server.start()
    load(server, 1, form, for_seconds(0.1))  # one request: the first is slower
    given = f' BENCH="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else ""
    count = len(arguments.device)
    yield "## Serving"
    yield ""
    yield (
        f"`make bench-serve{given}`, {date.today()}, Manyfill {__version__}, {machine()}. `manyfill serve "
        f"{' '.join(server.options)}`, {count} worker{'s' if count > 1 else ''}, clients on the same machine; "
        f"n = {arguments.fills}, texture {arguments.texture}, photo of 1024 x 512 with a hole of 7 %, answers in PNG, "
        f"{arguments.seconds:g} s each. Ready {ready:.1f} s after the start. "
        f"Load average of the machine before that: {load_before:.1f}."
    )
    yield ""
    yield "| clients | answers | answers/s | p50 s | p95 s | p99 s | errors | peak RSS MiB |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|"
    for clients in arguments.clients:
        yield row(
            clients, load(server, clients, form, for_seconds(arguments.seconds)), arguments.seconds, server.peak_mib
        )
    yield ""
    yield crash(server, arguments.seconds, form)
    server.stop()
    yield ""
    yield shares(arguments.model)


def soaked(server: Server, arguments: argparse.Namespace) -> None:
    """Print how the server is while it is attacked; nothing is written."""
    photo, mask = (half(PHOTOS / name) for name in ("beach.jpg", "beach_hole.png"))
    form = {"n": str(arguments.fills), "texture": arguments.texture}
    server.start()
    try:
        load(server, 1, form, for_seconds(0.1))
        assert server.process is not None
        print(f"load average of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
        for line in soak(
            server.url, server.process.pid, clients=max(arguments.clients), seconds=arguments.soak, form=form,
            photo=photo, mask=mask,
        ):  # fmt: skip
            print(line, flush=True)
    finally:
        server.stop()


def half(path: Path) -> bytes:
    """A picture at half its size: what is attacked is the server, not the processor."""
    file, image = io.BytesIO(), Image.open(path)
    image.resize((image.width // 2, image.height // 2), Image.Resampling.NEAREST).save(file, image.format)
    return file.getvalue()


def machine() -> str:
    """Processor and cores, without names."""
    info, model = Path("/proc/cpuinfo"), platform.machine()
    if info.is_file():
        named = (line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line)
        model = next(named, model)
    return f"{os.cpu_count()} cores of {model}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="per number of clients")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--device", action="append", default=[], help="as of `manyfill serve`; repeated: more workers")
    parser.add_argument("--texture", default="auto", help="net: network and server alone")
    parser.add_argument("-n", "--fills", type=int, default=1, help="fills per request")
    parser.add_argument(
        "--soak", type=float, metavar="SECONDS", help="instead: 16 clients, every tenth request hostile"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md", help="where the section goes")
    arguments = parser.parse_args()
    arguments.device = arguments.device or ["auto"]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--model", arguments.model, *(part for name in arguments.device for part in ("--device", name))]
    server = Server(options, port)
    if arguments.soak is not None:
        soaked(server, arguments)
        return
    section = []
    try:
        for line in lines(arguments, server):
            print(line, flush=True)
            section.append(line)
    finally:
        server.stop()
    page = arguments.page.read_text(encoding="utf-8") if arguments.page.is_file() else ""
    before = page.partition(MARK)[0].rstrip()
    arguments.page.write_text("\n".join([before, "", MARK, "", *section]).lstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
