"""The memory ceiling: what a fill costs, estimated before it is begun, against --max-memory or what is free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from manyfill import memory, photos
from manyfill.boxes import Box
from manyfill.completer.portions import Portions
from manyfill.completer.task import Task
from manyfill.errors import TooLarge
from manyfill.photos import Photo
from manyfill.plain import repeating
from manyfill.scaling import factor_for
from manyfill.windows import Window

MENDING = 12  # bytes a pixel of the photo to find and fill what has a plain answer, beside its pixels
MENDING_TABLES = 48 << 20  # and bytes that do not go with its size: tiles, machine code
REPEATING = 80  # bytes a pixel, of those that are looked at at once, to find what repeats itself
PLANNING = 3  # bytes a pixel of the photo to find windows for its hole
SEAM_BYTES, TEXTURE_BYTES = 160, 255  # a pixel of what these stages work on, measured
AT_ONCE = {"jpeg": 14.0, "bmp": 11.0, "webp": 18.0, "heic": 46.0, "avif": 48.0}
"""Bytes a pixel to write a fill in a format where it is not written in strips, measured; its rows are 3 of them."""
LOSSLESS_WEBP = 37.0


def writing(photo: Photo, format: str = "same", quality: int | None = None) -> float:
    """Bytes to write a fill of the photo in a format."""
    if photos.in_strips(photo, format):
        return 0.0
    name = photo.format if format == "same" else photos.ALIASES.get(format, format)
    lossless = name == "webp" and photos.is_lossless(photo, format=format, quality=quality)
    return (LOSSLESS_WEBP if lossless else AT_ONCE[name]) * photo.height * photo.width


def read_photo(source: Any, max_memory: int | None = None, *, strict: bool = False, keep_video: bool = False) -> Photo:
    """`photos.read`, where a ceiling of memory allows to read photo and mask; else TooLarge before it is decoded."""
    ceiling, held = _ceiling(max_memory), memory.resident()
    if isinstance(source, Photo) or ceiling is None:
        return photos.read(source, strict=strict, keep_video=keep_video)
    if ceiling <= held:
        raise TooLarge(
            f"program and model hold {_mib(held)} MiB of memory before anything is done; the limit is"
            f" {_mib(ceiling)} MiB. Raise it: --max-memory {_mib(held) + 512}M or more."
        )
    each = photos.reading_cost(source)
    room = (ceiling - held) // each
    try:
        return photos.read(source, max_pixels=min(photos.MAX_PIXELS, room), strict=strict, keep_video=keep_video)
    except TooLarge as error:
        if room >= photos.MAX_PIXELS:
            raise
        raise TooLarge(
            f"{str(error).rsplit(';', 1)[0]}: reading it takes {each} bytes of memory for each, beside the"
            f" {_mib(held)} MiB of program and model; the limit is {_mib(ceiling)} MiB. Raise it: --max-memory."
        ) from None


def _ceiling(max_memory: int | None) -> int | None:
    """Bytes that this process may hold; None where nobody knows."""
    if max_memory is not None:
        return max_memory
    free = memory.available()
    return None if free is None else memory.resident() + free // 2


def _limit(max_memory: int | None) -> str:
    return "the limit" if max_memory is not None else "the limit, half of the free memory,"


def check_canvas(photo: Photo, height: int, width: int, max_memory: int | None) -> None:
    """Raises TooLarge where a canvas of that size would take more than allowed, before it is laid out."""
    ceiling = _ceiling(max_memory)
    planes = 1 if photo.pixels.strides[2] == 0 else 3
    each = photo.pixels.itemsize * (planes + (photo.alpha is not None)) + 2
    needed = memory.resident() + height * width * each
    if ceiling is not None and needed > ceiling:
        raise TooLarge(
            f"a canvas of {width}x{height} would take {_mib(needed)} MiB of memory; {_limit(max_memory)} is"
            f" {_mib(ceiling)} MiB. Extend it less, or allow more (--max-memory {_mib(needed * 1.05)}M)."
        )


def mending(pixels: int, depth: int) -> int:
    """Bytes to find and fill what has a plain answer in a photo of so many pixels (tools/bench_mending.py)."""
    return pixels * (MENDING + 3 * depth) + MENDING_TABLES + REPEATING * min(pixels, repeating.MOST)


def check_mending(task: Task, max_memory: int | None) -> None:
    """Raises TooLarge where plain answers alone would take more than allowed."""
    ceiling = _ceiling(max_memory)
    needed = memory.resident() + mending(task.hole.size, task.photo.pixels.itemsize)
    if ceiling is not None and needed > ceiling:
        raise TooLarge(
            f"a fill of a photo of {task.photo.width}x{task.photo.height} would take {_mib(needed)} MiB of memory;"
            f" {_limit(max_memory)} is {_mib(ceiling)} MiB. Raise it"
            f" (--max-memory {_mib(needed * 1.05)}M), or make the photo smaller."
        )


def check_memory(
    task: Task,
    windows: Sequence[Window],
    *,
    drawn: int,
    count: int,
    texture: Sequence[Window],
    max_memory: int | None,
    model: int = 0,
    written: str | None = "same",
) -> int:
    """How many fills may get their texture at once. Raises TooLarge where even one would take more than allowed."""
    portions, most = task.portions, 1
    if texture:
        most = min(
            count, portions.at_once(), portions.texture_pixels // max(_scaled(part, portions) for part in texture)
        )
    ceiling = _ceiling(max_memory)
    if ceiling is None:
        return most
    for at_once in range(most, 0, -1):
        needed = estimate(
            task, windows, drawn=drawn, count=count, texture=texture, at_once=at_once, model=model, written=written
        )
        if needed <= ceiling:
            return at_once
    fills = "A fill" if count == 1 else f"{count} fills"
    error = TooLarge(
        f"{fills} of a photo of {task.photo.width}x{task.photo.height} with this hole would take {_mib(needed)} MiB"
        f" of memory; {_limit(max_memory)} is {_mib(ceiling)} MiB."
        f" Raise it (--max-memory {_mib(needed * 1.05)}M), ask for fewer fills, or make the photo smaller."
    )
    error.needed = needed
    raise error


def estimate(
    task: Task,
    windows: Sequence[Window],
    *,
    drawn: int,
    count: int,
    texture: Sequence[Window] = (),
    at_once: int = 1,
    model: int = 0,
    written: str | None = "same",
) -> float:
    """Bytes that this process will hold at most to fill and to write, beside what it holds: photo, mask, model.

    `texture`: the parts that get texture, in so many fills `at_once`. `model`: bytes that the model takes to run and
    keeps, above what networks of ours take. `written`: the format that fills will be written in; None: later, by
    whoever wants them. Compared with what was measured in
    docs/large_photos.md, by tools/bench_memory.py.
    """
    pixels, depth = task.hole.size, task.photo.pixels.itemsize
    network = task.portions.network + model
    whole = Box(0, 0, *task.hole.shape)
    cores = [window.core.grown(task.band + window.overlap * (len(windows) > 1), whole) for window in windows]
    area = sum(core.height * core.width for core in cores)
    fill = area * (3 * depth + 1)
    doubts = sum(math.prod(window.padded) for window in windows)  # a byte each, of fills that are doubted
    filled = count * (fill + doubts + area * bool(texture))  # texture also notes what it copied
    widest = max(window.box.height * window.box.width for window in windows)
    core = max(core.height * core.width for core in cores)
    part = max((part.box.height * part.box.width for part in texture), default=0)
    small = max((_scaled(part, task.portions) for part in texture), default=0)
    seam = SEAM_BYTES * min(core, task.portions.seam_pixels)
    drawing = drawn * (fill + doubts) + pixels + (3 * depth + 1) * widest + seam + network
    textured = pixels + part + TEXTURE_BYTES * small
    if len(texture) > 1 and part > task.portions.texture_pixels:  # a copy with what other parts made
        textured += 3 * depth * part
    texturing = filled + max(at_once * textured, PLANNING * pixels) + network
    writes = filled + (0 if written is None else writing(task.photo, written)) + network
    return memory.resident() + max(drawing, texturing if texture else 0, writes)


def coarser(part: Window, portions: Portions) -> int:
    """How many pixels of a part of the photo, each way, are one where it gets its texture."""
    return factor_for(part.box, portions.texture_pixels)


def _scaled(part: Window, portions: Portions) -> int:
    """Pixels of a part of the photo at the scale at which it gets its texture."""
    return int(part.box.height * part.box.width // coarser(part, portions) ** 2)


def _mib(size: float) -> int:
    return math.ceil(size / 2**20)
