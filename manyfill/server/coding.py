"""Strangers' files become photos in processes that may be ended: some are kept warm, a dead one is replaced."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from manyfill.checking import Check
from manyfill.errors import BadImage, BadMask, ManyfillError, TooLarge
from manyfill.photos import Photo
from manyfill.server.coder import LEAVES, STAYS, Order
from manyfill.server.errors import Refusal

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1  # between looks whether anybody still waits
LINE_BYTES = 1 << 20  # of an answer's first line at most
START = (  # -m would let a file in the working directory stand in for a module
    "import sys; sys.path[:] = sys.argv[1:]; from manyfill.server.coder import main; main()"
)
SMALL = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # threads take addresses
ERRORS: dict[str, type[ManyfillError]] = {"BadImage": BadImage, "BadMask": BadMask, "TooLarge": TooLarge}


def program() -> list[str]:
    """The command that starts a coder."""
    return [sys.executable, "-c", START, *sys.path]


class Died(Exception):
    """The process is no more, or talks nonsense."""


@dataclass(frozen=True)
class Opened:
    """What became of a request."""

    photos: tuple[Photo | None, ...]
    fields: dict[str, Any] | None  # of a JSON body, those that hold no picture; None: it was no JSON object


class Coder:
    """One process, for one file after the other."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **SMALL},
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self.usable = True

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can take an order."""
        return self.usable and self._process.poll() is None

    def open(self, order: Order, data: bytes, check: Check) -> Opened:
        """Have a file opened. `check` raises where nobody waits any more; then the process is ended, and so it raises.

        Raises BadImage, BadMask and TooLarge, also where the file was the end of the process.
        """
        over = threading.Event()
        stopped: list[BaseException] = []

        def watch() -> None:
            while not over.wait(LOOK_SECONDS):
                try:
                    check()
                except BaseException as error:
                    stopped.append(error)
                    self.kill()
                    return

        watcher = threading.Thread(target=watch, name="coder-watch", daemon=True)
        watcher.start()
        try:
            found = self._exchange(order, data)
        except Exception as error:  # whatever a process says that is not itself any more
            self.usable = False
            self.kill()
            found = self._cause(order, error)
        finally:
            over.set()
            watcher.join()
        if stopped:
            raise stopped[0]
        if isinstance(found, ManyfillError):
            raise found
        return found

    def kill(self) -> None:
        """End it at once."""
        with suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self.usable = False
        self.kill()
        self._process.wait()
        for stream in (self._orders, self._answers):
            with suppress(OSError):
                stream.close()

    def _exchange(self, order: Order, data: bytes) -> Opened | ManyfillError:
        self._orders.write(json.dumps(asdict(order)).encode("ascii") + b"\n")
        self._orders.write(data)
        self._orders.flush()
        answer = json.loads(self._line(LINE_BYTES))
        if "error" in answer:
            found: Opened | ManyfillError = ERRORS.get(answer["error"], BadImage)(str(answer["words"]))
        else:
            photos = tuple(None if one is None else self._photo(one, order) for one in answer["photos"])
            found = Opened(photos, answer.get("fields"))
        last = self._line(len(STAYS))
        if last not in (STAYS, LEAVES):
            raise Died
        self.usable = last == STAYS
        return found

    def _photo(self, described: dict[str, Any], order: Order) -> Photo:
        height, width = int(described["height"]), int(described["width"])
        if not (0 < height * width <= order.pixels and min(height, width) > 0):
            raise Died
        beside = _Plain(io.BytesIO(self._bytes(int(described["state"])))).load()
        dtype = np.dtype(np.uint8 if described["depth"] == 8 else np.uint16)
        pixels = self._plane((height, width) if described["grey"] else (height, width, 3), dtype)
        if described["grey"]:
            pixels = np.broadcast_to(pixels[..., None], (height, width, 3))
        alpha = self._plane((height, width), dtype) if described["alpha"] else None
        return Photo(pixels=pixels, alpha=alpha, **beside)

    def _plane(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        array: NDArray[Any] = np.empty(shape, dtype)
        self._fill(array.data.cast("B"))
        return array

    def _bytes(self, count: int) -> bytes:
        held = bytearray(count)
        self._fill(memoryview(held))
        return bytes(held)

    def _fill(self, view: memoryview) -> None:
        while len(view):
            count = self._answers.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise Died
            view = view[count:]

    def _line(self, most: int) -> bytes:
        line = self._answers.readline(most)
        if not line.endswith(b"\n"):
            raise Died
        return line

    def _cause(self, order: Order, error: Exception) -> ManyfillError:
        """Why it is no more, in words for who sent the file."""
        code = self._process.wait()
        log.warning("a coder ended with %d (%s): it is replaced", code, type(error).__name__)
        if code == -getattr(signal, "SIGXCPU", 0):
            return BadImage(
                f"the photo takes more than {order.seconds:g} seconds of processor time to open. "
                "Open it in another program, save it and send that."
            )
        return BadImage(
            "the photo cannot be opened: its decoder broke down over it. Open it in another program, save it and send "
            "that."
        )


class _Plain(pickle.Unpickler):
    """Plain values, and the dataclasses that photos are made of."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module.startswith("manyfill.photos.") else None
        if not isinstance(found, type) or found.__module__ != module:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found


class Coders:
    """`count` processes, ready; each opens one file at a time."""

    def __init__(self, count: int, *, pixels: int, seconds: float, command: Sequence[str] | None = None) -> None:
        self.count, self._pixels, self._seconds = count, pixels, seconds
        self._command = command
        self._idle: queue.LifoQueue[Coder | None] = queue.LifoQueue()
        self._all: list[Coder] = []
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Start them; they load what they need while the models load."""
        for _ in range(self.count):
            self._idle.put(self._fresh())

    def close(self) -> None:
        """End them all."""
        with self._lock:
            self._closed = True
            for coder in self._all:
                coder.close()

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        with self._lock:
            return [coder.pid for coder in self._all]

    def photo(self, data: bytes, *, memory: int, check: Check, mask: bool = False) -> Photo:
        """A photo, by a process that may grow by so many bytes of memory for it. Raises as `Coder.open`."""
        try:
            (photo,) = self._open("photo", data, memory, check).photos
        except BadImage as error:
            if not mask:
                raise
            raise BadMask(str(error).replace("the photo", "the mask", 1)) from None
        assert photo is not None
        return photo

    def iopaint(self, body: bytes, *, memory: int, check: Check) -> Opened:
        """A JSON body: its pictures, and its other fields."""
        return self._open("iopaint", body, memory, check)

    def _open(self, kind: str, data: bytes, memory: int, check: Check) -> Opened:
        order = Order(kind, len(data), self._pixels, memory, self._seconds)
        coder = self._taken(check)
        try:
            return coder.open(order, data, check)
        finally:
            if not coder.alive:
                self._forget(coder)
            self._idle.put(coder if coder.alive else self._spare())

    def _taken(self, check: Check) -> Coder:
        """The next that is free. Raises Refusal 503 where no process can be started."""
        while True:
            check()
            with suppress(queue.Empty):
                coder = self._idle.get(timeout=LOOK_SECONDS)
                break
        if coder is not None and coder.alive:
            return coder
        if coder is not None:
            self._forget(coder)
        try:
            return self._fresh()
        except OSError as error:
            self._idle.put(None)
            log.error("no process can be started to open photos: %s", error)
            raise Refusal(503, "The server has no room to open photos. Try again in a moment.", retry_after=5) from None

    def _spare(self) -> Coder | None:
        """A fresh one; None where that fails now: it will be tried when it is needed."""
        try:
            return self._fresh()
        except OSError:
            return None

    def _forget(self, coder: Coder) -> None:
        with self._lock:
            if coder in self._all:
                self._all.remove(coder)
        coder.close()

    def _fresh(self) -> Coder:
        with self._lock:
            coder = Coder(self._command or program())
            self._all.append(coder)
            if self._closed:
                coder.close()
            return coder
