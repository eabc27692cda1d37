"""The program that opens what strangers send, and writes what takes long: a process that may be ended at any moment.

`coding` starts it and talks to it through its standard input and output. A request is a line of JSON (`Order`) and the
bytes of a file, or a photo that is to become one (`packing`). An answer is a line of JSON, then photos, or a file; then
a line that says whether the process stays. A file that makes a coder crash, grow or run on ends this process and its
own request, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from manyfill import memory, photos
from manyfill.errors import BadImage, BadMask, ManyfillError, TooLarge
from manyfill.photos import Photo
from manyfill.server.packing import packed, unpacked

SWOLLEN = 100 << 20  # bytes that a process may have grown by before it gives its place to a fresh one
STAYS, LEAVES = b"+\n", b"-\n"
CPUS = 4  # that a coder may use: libraries start a thread for each, and a thread takes addresses
PICTURES = ("image", "mask")  # keys of IOPaint's request that hold files

Parts = Iterable[bytes | memoryview]


@dataclass(frozen=True)
class Order:
    """What is asked for."""

    kind: str  # "photo"; "iopaint": a JSON body with photos in base64; "write": a photo that is to become a file
    length: int  # bytes of the file that follows
    pixels: int  # most of a photo
    memory: int | None  # bytes that this process may grow by; None: our own work, whose cost is known
    seconds: float | None  # of processor time; None: until nobody waits any more
    photo: dict[str, Any] | None = None  # that follows, to be written
    format: str = ""  # to write it in
    quality: int | None = None


def main() -> None:
    """Serve orders until there is no more input."""
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the server, which finishes what it began
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "sched_setaffinity") and len(ours := sorted(os.sched_getaffinity(0))) > CPUS:
        os.sched_setaffinity(0, random.sample(ours, CPUS))
    orders, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    small = memory.resident()
    while line := orders.readline():
        order = Order(**json.loads(line))
        try:
            given = orders.read(order.length) if order.photo is None else unpacked(order.photo, orders)
        except EOFError:
            return
        if isinstance(given, bytes) and len(given) < order.length:
            return
        with Bounds(order):
            parts = _answered(order, given)
        del given
        for part in parts:
            answers.write(part)
        del parts
        stays = memory.resident() <= small + SWOLLEN
        answers.write(STAYS if stays else LEAVES)
        answers.flush()
        if not stays:
            return


class Bounds:
    """Memory and processor time of one order; beyond the one Python raises MemoryError, beyond the other it is over."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def __enter__(self) -> None:
        try:
            import resource
        except ImportError:  # Windows has neither
            return
        self._resource = resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if self._order.seconds is not None:
            self._limit(resource.RLIMIT_CPU, int(time.process_time() + self._order.seconds) + 1)
        if self._order.memory is not None and (size := memory.virtual()) is not None:
            self._limit(resource.RLIMIT_AS, size + self._order.memory)

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_resource"):
            for which in (self._resource.RLIMIT_CPU, self._resource.RLIMIT_AS):
                self._resource.setrlimit(which, (self._hard(which), self._hard(which)))

    def _limit(self, which: int, value: int) -> None:
        hard = self._hard(which)
        self._resource.setrlimit(which, (value if hard < 0 else min(value, hard), hard))

    def _hard(self, which: int) -> int:
        return int(self._resource.getrlimit(which)[1])


def _answered(order: Order, given: bytes | Photo) -> Parts:
    """The answer's parts."""
    try:
        return _written(given, order) if isinstance(given, Photo) else _KINDS[order.kind](given, order)
    except ManyfillError as error:
        if isinstance(error, TooLarge) and isinstance(error.__context__, MemoryError):
            return [_line({"error": "TooLarge", "words": _too_much(order)})]
        return [_line({"error": type(error).__name__, "words": str(error)})]
    except MemoryError:
        return [_line({"error": "TooLarge", "words": _too_much(order)})]
    except RecursionError:
        return [_line({"error": "BadImage", "words": "the photo is nested too deeply. Save or download it again."})]


def _too_much(order: Order) -> str:
    if order.memory is None:
        return "the photo does not fit into memory as it is written. Make it smaller."
    return (
        f"to open the photo takes more memory than the {order.memory >> 20} MiB that there are for it. Make it smaller."
    )


def _read(data: bytes, order: Order) -> Photo:
    return photos.read(data, max_pixels=order.pixels)


def _photo(data: bytes, order: Order) -> Parts:
    described, samples = packed(_read(data, order))
    return chain([_line({"photos": [described]})], samples)


def _written(photo: Photo, order: Order) -> Parts:
    parts = list(photos.encode_parts(photo, format=order.format, quality=order.quality))
    return [_line({"length": sum(len(memoryview(part).cast("B")) for part in parts)}), *parts]


def _iopaint(data: bytes, order: Order) -> Parts:
    """The request's other keys, and its pictures in the order of PICTURES, None for those that are not there."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    del data
    if not isinstance(body, dict):
        return [_line({"fields": None, "photos": []})]
    found: list[dict[str, Any] | None] = []
    samples: list[Parts] = []
    for name in PICTURES:
        text = body.get(name)
        if not isinstance(text, str):
            found.append(None)
            continue
        body[name] = ""
        described, parts = packed(_picture(text, name, order))
        found.append(described)
        samples.append(parts)
    plain = {name: value for name, value in body.items() if value is None or isinstance(value, str | int | float)}
    short = {name: value[:1000] if isinstance(value, str) else value for name, value in islice(plain.items(), 1000)}
    return chain([_line({"fields": short, "photos": found})], *samples)


_KINDS: dict[str, Callable[[bytes, Order], Parts]] = {"photo": _photo, "iopaint": _iopaint}


def _picture(text: str, name: str, order: Order) -> Photo:
    """A picture in base64, bare or after the comma of a data URL. Raises BadImage and BadMask."""
    kind = BadMask if name == "mask" else BadImage
    if text.startswith("data:"):
        text = text[text.find(",") + 1 :] if "," in text else ""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise kind(f"{name} is not base64 of a picture, nor a data URL. No URL and no path is ever opened.") from None
    if not data:
        raise kind(f"{name} is empty.")
    try:
        return _read(data, order)
    except BadImage as error:
        if kind is BadMask:
            raise BadMask(str(error).replace("the photo", "the mask", 1)) from error
        raise


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode("ascii") + b"\n"
