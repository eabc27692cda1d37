"""`make bench-serve BENCH="--soak 600"`: many clients, every tenth request hostile; what the server was like meanwhile.

Told in the end: answers by status, 5xx that are none by design (503, 504), work that nobody waits for and that goes on
nevertheless, the memory of the server's processes together, and how long /healthz took, asked from a process of its
own; beside it, how long a server took that does nothing else: what is slow there, too, the machine is.
"""

from __future__ import annotations

import base64
import http.client
import io
import itertools
import json
import multiprocessing
import random
import socket
import statistics
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image

EVERY = 10  # of how many requests one is hostile
PROBE_SECONDS = 0.1
FREE_SECONDS = 1.0  # until a worker is free after the last client has gone
BY_DESIGN = (503, 504)


# ── hostile requests ──────────────────────────────────────────────────────────────────────────────────────────────────


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    found = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks:
        found += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return found


def header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)


def bombs() -> dict[str, bytes]:
    """Files that cost, or cost somebody once, far more than they weigh."""
    rows = zlib.compress(b"\0" * 400)
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    whole = png(header(10, 10), (b"IDAT", zlib.compress((b"\0" + bytes(30)) * 10)), (b"IEND", b""))
    at = whole.index(b"IDAT") - 4
    thumbnails = b"XML:com.adobe.xmp\0\0\0\0\0" + b"<xmp:Thumbnails " * 65_000
    begun = b"<rdf:RDF " * 1_000_000  # of Adobe's second packet, which lies in many segments
    extension = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32
    parts = [
        extension + struct.pack(">II", len(begun), at) + begun[at : at + 65_000] for at in range(0, len(begun), 65_000)
    ]
    long = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    rdf = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    names = b"".join(b' xmlns:n%d="u"' % number for number in range(2000))
    spoken = (
        rdf + b"<rdf:Description" + names + b">" + b"<n0:b/>" * 150_000 + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    photo = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)).save(photo, "JPEG")
    strips = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", 8)
    tags = [(256, 4, 1, 4000), (257, 4, 1, 10_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 10_000, 200), (278, 4, 1, 1), (279, 4, 10_000, 40_200)]
    strips += b"".join(struct.pack("<HHII", *tag) for tag in tags)
    strips = strips.ljust(200, b"\0") + struct.pack("<I", 8) * 10_000 + struct.pack("<I", 80_000) * 10_000
    return {
        "nothing": b"",
        "rubbish": random.Random(0).randbytes(100_000),
        "half a JPEG": photo.getvalue()[: len(photo.getvalue()) // 2],
        "60000 x 60000": png(header(60_000, 60_000), (b"IDAT", rows), (b"IEND", b"")),
        "49 MP of zeros": png(header(7000, 7000), (b"IDAT", zlib.compress(b"\0" * (7000 * 21_001), 9)), (b"IEND", b"")),
        "200,000 empty IDATs": whole[:at] + empty * 200_000 + whole[at:],
        "1 MB of XMP": whole[:at] + png((b"iTXt", thumbnails))[8:] + whole[at:],
        "JPEG of 9 MB of XMP": photo.getvalue()[:2] + long + photo.getvalue()[2:],
        "XMP of many names": whole[:at] + png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + spoken))[8:] + whole[at:],
        "overlapping strips": strips + bytes(1000),
    }


def multipart(**files: bytes) -> tuple[bytes, dict[str, str]]:
    request = httpx.Request("POST", "http://x", files=files)
    return request.read(), {"Content-Type": request.headers["content-type"]}


def post(place: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(place, timeout=600)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def cut_off(place: str, sent: bytes, *, wait: float) -> int:
    """Send something that is no whole request, wait, and leave."""
    host, port = place.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection, suppress(OSError):
        connection.sendall(sent)
        time.sleep(wait)
    return 0


def hostile(place: str, photo: bytes, mask: bytes) -> Iterator[tuple[str, Callable[[], int]]]:
    """Each kind in turn, for ever; a call gives the status that it was answered with, 0 where it did not wait."""
    edit, merge, inpaint = "/v1/images/edits", "/v1/images/merge", "/api/v1/inpaint"
    calls: dict[str, Callable[[], int]] = {}

    def add(name: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        calls[name] = lambda: post(place, path, body, headers)

    for name, data in bombs().items():
        add(f"photo: {name}", edit, *multipart(image=data, mask=mask))
        add(f"mask: {name}", edit, *multipart(image=photo, mask=data))
        add(f"merge: {name}", merge, *multipart(image=photo, other=data, mask=mask))
        body = json.dumps({"image": base64.b64encode(data).decode(), "mask": ""}).encode()
        add(f"IOPaint: {name}", inpaint, body, {})
    add("JSON: 30 MB of lists", inpaint, b"[" + b"[]," * 10_000_000 + b"[]]", {})
    add("JSON: deep", inpaint, b"[" * 1_000_000, {})
    add("60 MB of rubbish", edit, *multipart(image=bytes(60 << 20), mask=mask))
    body, headers = multipart(image=photo, mask=mask)
    head = f"POST {edit} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {headers['Content-Type']}\r\n"
    whole = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    calls |= {
        "half a line": lambda: cut_off(place, b"POST /v1/im", wait=1),
        "half a body": lambda: cut_off(place, whole[:5000], wait=1),
        "leaves at once": lambda: cut_off(place, whole, wait=0),
        "leaves while it is filled": lambda: cut_off(place, whole, wait=2),
        "tiny chunks": lambda: cut_off(place, chunked + b"1\r\nx\r\n" * 100_000, wait=1),
        "another method": lambda: post(place, "/healthz", b"", {}),
        "another site": lambda: post(place, edit, b"", {"Origin": "http://evil.example"}),
    }
    names = list(calls)
    random.Random(0).shuffle(names)
    for name in itertools.cycle(names):
        yield name, calls[name]


# ── the soak ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def stand_in(place: Any) -> None:
    """A server that does nothing but answer, in a process of its own: what it takes is what the machine takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place.send(f"127.0.0.1:{listener.getsockname()[1]}")
        connection, _ = listener.accept()
        while connection.recv(1 << 16):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def probe(place: str, over: Event, found: Any) -> None:
    """Ask for /healthz again and again; in a process of its own, which is busy with nothing else."""
    took, connection = [], http.client.HTTPConnection(place, timeout=60)
    while not over.wait(PROBE_SECONDS):
        began = time.monotonic()
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
        took.append(time.monotonic() - began)
    found.put(took)


@dataclass
class Probe:
    """One that asks, in a process of its own, until it is `over`."""

    place: str

    def __post_init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.over, self._answers = spawn.Event(), spawn.Queue()
        self.process = spawn.Process(target=probe, args=(self.place, self.over, self._answers), daemon=True)
        self.process.start()

    def said(self) -> str:
        """How long it waited, in words."""
        self.over.set()
        waits = sorted(self._answers.get())
        self.process.join()
        p50, p99 = (1000 * statistics.quantiles(waits, n=100, method="inclusive")[at - 1] for at in (50, 99))
        late = sum(wait > 0.1 for wait in waits)
        worst = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, worst {1000 * waits[-1]:.0f} ms"
        return f"{len(waits)} asked, {worst}, {late} over 100 ms"


def tree_mib(pid: int) -> float:
    """Resident memory of a process and its children, MiB; what they share is counted once for each."""
    total, pids = 0.0, [pid]
    while pids:
        one = Path(f"/proc/{pids.pop()}")
        with suppress(OSError, StopIteration):
            lines = (one / "status").read_text().splitlines()
            total += int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
            for thread in (one / "task").iterdir():
                pids += map(int, (thread / "children").read_text().split())
    return total


@dataclass
class Seen:
    """What the clients saw."""

    good: Counter[int] = field(default_factory=Counter)  # status
    bad: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)  # what should not be
    took: list[float] = field(default_factory=list)  # seconds of a good answer
    peak_mib: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


def soak(
    url: str, pid: int, *, clients: int, seconds: float, form: dict[str, str], photo: bytes, mask: bytes
) -> Iterator[str]:
    """Load the server, then say how it was, line by line."""
    place, seen, numbers = urlsplit(url).netloc, Seen(), itertools.count()
    attacks, until = hostile(place, photo, mask), time.monotonic() + seconds
    spawn = multiprocessing.get_context("spawn")
    told, tells = spawn.Pipe(duplex=False)
    control = spawn.Process(target=stand_in, args=(tells,), daemon=True)
    control.start()
    probes = {"/healthz": Probe(place), "the same of a server that does nothing else": Probe(told.recv())}

    def one(http_client: httpx.Client, number: int) -> None:
        if number % EVERY == EVERY - 1:
            with seen.lock:
                name, attack = next(attacks)
            try:
                status = attack()
            except (OSError, http.client.HTTPException):
                status = 0  # cut off: so are they
            seen.bad[status] += 1
            if (status >= 500 and status not in BY_DESIGN) or (status == 200 and not name.startswith("photo: 49")):
                seen.wrong[f"{name}: {status}"] += 1
            return
        began = time.monotonic()
        try:
            answer = http_client.post(
                f"{url}/v1/images/edits", files={"image": photo, "mask": mask}, data={**form, "seed": str(number)}
            )
        except httpx.TransportError as error:
            seen.wrong[type(error).__name__] += 1
            return
        seen.good[answer.status_code] += 1
        if answer.status_code == 200:
            seen.took.append(time.monotonic() - began)
        elif answer.status_code not in (429, *BY_DESIGN):
            seen.wrong[f"good request: {answer.status_code}"] += 1

    def client() -> None:
        with httpx.Client(timeout=600) as http_client:
            while time.monotonic() < until:
                one(http_client, next(numbers))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.peak_mib = max(seen.peak_mib, tree_mib(pid))
        time.sleep(0.2)
    waited = {name: probe.said() for name, probe in probes.items()}
    control.terminate()
    time.sleep(FREE_SECONDS)
    stuck = _metric(url, "queue_running") + _metric(url, "queue_waiting")
    yield f"{clients} clients, {seconds:g} s, every {EVERY}th request hostile."
    yield f"good requests by status: {_counted(seen.good)}; p50 {statistics.median(seen.took):.1f} s"
    yield f"hostile requests by status (0: cut off, or did not wait): {_counted(seen.bad)}"
    yield f"what should not be (5xx but 503 and 504, wrong answers): {_counted(seen.wrong) or 'nothing'}"
    yield f"busy or queued {FREE_SECONDS:g} s after the last client: {stuck:g}"
    uploads, files = _metric(url, "upload_bytes"), _metric(url, "answer_bytes")
    yield f"held for nobody: {uploads:g} B of uploads, {files:g} B of answers"
    yield f"memory of the process tree: peak {seen.peak_mib:.0f} MiB, after it {tree_mib(pid):.0f} MiB"
    for name, words in waited.items():
        yield f"{name}: {words}"


def _counted(found: Counter[Any]) -> str:
    return ", ".join(f"{key} x {count}" for key, count in sorted(found.items()))


def _metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics", timeout=60).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"manyfill_{name} "))
