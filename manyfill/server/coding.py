"""Processes that may be ended open strangers' files and write what takes long; they are kept warm, and replaced."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, Any

from manyfill.checking import Check
from manyfill.errors import BadImage, BadMask, ManyfillError, TooLarge
from manyfill.photos import Lay, Photo
from manyfill.server.coder import LEAVES, STAYS, Order
from manyfill.server.errors import Refusal
from manyfill.server.packing import packed, unpacked

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1  # between looks whether anybody still waits
LINE_BYTES = 1 << 20  # of an answer's first line at most
PIECE = 1 << 20  # bytes of a written file that are passed on at once
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


class _Refused(Exception):
    """The process says what is wrong with the file."""

    def __init__(self, why: ManyfillError) -> None:
        super().__init__(why)
        self.why = why


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
        with self._at_work(order, check):
            answer = self._asked(order, [data])
            photos = [None if one is None else self._photo(one, order) for one in answer["photos"]]
            self._finish()
        return Opened(tuple(photos), answer.get("fields"))

    def write(
        self, order: Order, parts: Iterable[bytes | memoryview], check: Check
    ) -> Generator[bytes | memoryview, None, None]:
        """Have a photo written, whose `parts` follow the order: the file, piece by piece. Raises as `open`.

        The process is ended, too, where the pieces are not asked for to the end.
        """
        with self._at_work(order, check):
            left = int(self._asked(order, parts)["length"])
            while left:
                piece = self._answers.read(min(left, PIECE))
                if not piece:
                    raise Died
                left -= len(piece)
                yield piece
            self._finish()

    @contextmanager
    def _at_work(self, order: Order, check: Check) -> Iterator[None]:
        """While it answers: it is ended where `check` raises, and where it says anything that is no answer."""
        over = threading.Event()
        stopped: list[BaseException] = []
        failure: ManyfillError | None = None

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
            yield
        except _Refused as refused:
            failure = refused.why
        except Exception as error:  # whatever a process says that is not itself any more
            self._break()
            failure = self._cause(order, error)
        except BaseException:  # nobody reads the rest
            self._break()
            raise
        finally:
            over.set()
            watcher.join()
        if stopped:
            self._break()
            raise stopped[0]
        if failure is not None:
            raise failure

    def _break(self) -> None:
        self.usable = False
        self.kill()

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

    def _asked(self, order: Order, parts: Iterable[bytes | memoryview]) -> dict[str, Any]:
        """Give an order and what goes with it; the first line of the answer."""
        self._orders.write(json.dumps(asdict(order)).encode("ascii") + b"\n")
        for part in parts:
            self._orders.write(part)
        self._orders.flush()
        answer: dict[str, Any] = json.loads(self._line(LINE_BYTES))
        if "error" in answer:
            self._finish()
            raise _Refused(ERRORS.get(answer["error"], BadImage)(str(answer["words"])))
        return answer

    def _photo(self, described: dict[str, Any], order: Order) -> Photo:
        return unpacked(described, self._answers, pixels=order.pixels)

    def _finish(self) -> None:
        """Read whether it stays."""
        last = self._line(len(STAYS))
        if last not in (STAYS, LEAVES):
            raise Died
        self.usable = last == STAYS

    def _line(self, most: int) -> bytes:
        line = self._answers.readline(most)
        if not line.endswith(b"\n"):
            raise Died
        return line

    def _cause(self, order: Order, error: Exception) -> ManyfillError:
        """Why it is no more, in words for who sent the file."""
        code = self._process.wait()
        log.warning("a coder ended with %d (%s): it is replaced", code, type(error).__name__)
        if order.photo is not None:
            return BadImage(
                f"the photo cannot be written as {order.format.upper()}: its encoder broke down. Choose png or tiff."
            )
        if code == -getattr(signal, "SIGXCPU", 0):
            return BadImage(
                f"the photo takes more than {order.seconds:g} seconds of processor time to open. "
                "Open it in another program, save it and send that."
            )
        return BadImage(
            "the photo cannot be opened: its decoder broke down over it. Open it in another program, save it and send "
            "that."
        )


class Coders:
    """`count` processes, ready; each has one file at a time."""

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

    def written(
        self, photo: Photo, *, format: str, quality: int | None, lay: Lay | None, check: Check
    ) -> Generator[bytes | memoryview, None, None]:
        """`photos.encode_parts`, by a process that is ended where `check` raises.

        Close it, or read it to its end. Raises BadImage, TooLarge, and what `check` raises.
        """
        described, parts = packed(photo, lay)
        order = Order("write", 0, self._pixels, None, None, described, format, quality)
        with self._one(check) as coder:
            yield from coder.write(order, parts, check)

    def _open(self, kind: str, data: bytes, memory: int, check: Check) -> Opened:
        with self._one(check) as coder:
            return coder.open(Order(kind, len(data), self._pixels, memory, self._seconds), data, check)

    @contextmanager
    def _one(self, check: Check) -> Iterator[Coder]:
        """A process, for one order."""
        coder = self._taken(check)
        try:
            yield coder
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
