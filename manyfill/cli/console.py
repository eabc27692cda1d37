"""What a terminal shows: results on stdout, remarks on stderr, bars on stderr and only where it is a terminal."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # of Unicode: from here on from right to left


def prepare() -> None:
    """Let stdout and stderr print any file name.

    Bytes that are not UTF-8 go out as they are, so that other programs find the file; letters that the console does not
    have (Windows' cp1252, a C locale) as `\\u4e2d`.
    """
    codecs.register_error("manyfill", _print_anyway)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="manyfill")


def _print_anyway(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    code = ord(letter)
    return (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"), error.start + 1


def out_json(value: object) -> None:
    """An object for programs, on one line of stdout: in ASCII where stdout does not take every letter."""
    import json

    text = json.dumps(value, ensure_ascii=True)
    if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8":
        from manyfill.jobs.records import json_text

        text = json_text(value)
    out(text)


def out(line: str) -> None:
    """A result, on stdout: as it is for other programs, harmless on a terminal."""
    print(harmless(line) if sys.stdout.isatty() else line, flush=True)


def say(line: str) -> None:
    """A remark, on stderr."""
    print(harmless(line), file=sys.stderr, flush=True)


def harmless(line: str) -> str:
    r"""A line without what would command a terminal, or turn its letters around: a file's name may hold it.

    Escapes as `\x1b`; line ends and tabs stay.
    """
    return "".join(
        letter.encode("unicode_escape").decode()
        if letter not in "\n\t" and (unicodedata.category(letter) == "Cc" or letter in TURNING)
        else letter
        for letter in line
    )


def count(number: int, noun: str) -> str:
    """`1 fill`, `2 fills`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextmanager
def status(what: str) -> Iterator[None]:
    """What is going on, on a terminal, for as long as it takes."""
    if not sys.stderr.isatty():
        yield
        return
    print(f"{what} ...", end="", file=sys.stderr, flush=True)  # at once: a spinner would first load its library
    try:
        yield
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def bar(what: str) -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar fed with (stage, done, total), gone when it is full; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)

        def advance(stage: str, done: int, total: int) -> None:
            progress.update(
                task, description=f"{what}: {stage}" if stage != what else what, completed=done, total=total
            )

        yield advance


@contextmanager
def log(what: str, noun: str = "images") -> Iterator[Callable[[int, int, Mapping[str, float]], None]]:
    """For hours of work, fed with (done, in all, numbers): a bar on a terminal, lines in a log file.

    Of the numbers `NOUN_per_second` and `seconds_left` say how it goes. On a terminal those without `seconds_left`, of
    photos held back for one, stay on the screen.
    """
    if not sys.stderr.isatty():

        def line(done: int, total: int, numbers: Mapping[str, float]) -> None:
            say(f"{what}: {done:,} of {total:,} {noun}{_numbers(numbers, noun)}")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"{what}: reading photos", total=None, numbers="")

        def advance(done: int, total: int, numbers: Mapping[str, float]) -> None:
            description, told = f"{what}: {done:,} of {total:,} {noun}", _numbers(numbers, noun)
            if numbers and "seconds_left" not in numbers:
                progress.console.print(f"{description}{told}", highlight=False)
                return
            progress.update(task, description=description, completed=done, total=total, numbers=told)

        yield advance


def _numbers(numbers: Mapping[str, float], noun: str) -> str:
    """Speed, time left, then the others; those by bin are for the files."""
    text, speed = "", f"{noun}_per_second"
    if speed in numbers:
        text += f", {numbers[speed]:.3g} {noun}/s"
    if "seconds_left" in numbers:
        text += f", {_time(numbers['seconds_left'])} left"
    own = (speed, "seconds_left")
    others = [f"{name} {value:.4g}" for name, value in numbers.items() if name not in own and " " not in name]
    return f"{text}  {'  '.join(others)}" if others else text


def _time(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`, `5 d 2 h`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
