"""Engines side by side, in one run: ms per fill, ratio to the published code's way, difference to torch. Markdown.

    python tools/bench_engines.py                            published PICNet and DFNet at 256 and 512 pixels
    python tools/bench_engines.py --models pluralistic-fusion fusion     installed models at their working size

The published networks have random weights: speed does not depend on them. Engines take turns, round by round, so that
other load on the machine falls on all of them alike: trust the ratios, not the milliseconds. On a busy machine
--cpu-time --threads 1 counts the processor's time instead of the clock's.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from manyfill import engines, weights
from manyfill.errors import ManyfillError
from manyfill.nets.blocks import fold_spectral_norm, settle
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.picnet import PICNet, PICNetConfig

PUBLISHED = ("PICNet", "DFNet")
HOLE = 0.5  # side of the square hole, of the picture's
MARGIN = 20  # pixels around it that the completer looks at: joining.MARGIN, and what resampling reads

Fills = Callable[[Tensor, Tensor, list[Tensor | None]], list[Tensor]]  # image, hole, noises -> pictures

Clock = Callable[[], float]  # seconds


def published(name: str) -> tuple[Any, Any]:
    """The published network as released, and the same with its spectral norm folded."""
    torch.manual_seed(0)
    if name == "DFNet":
        net = DFNet(DFNetConfig()).eval()
        return net, net
    net, lean = PICNet(PICNetConfig()).eval(), PICNet(PICNetConfig(spectral_norm=False)).eval()
    settle(net)
    lean.load_state_dict(fold_spectral_norm(net.state_dict()))
    return net, lean


def one_by_one(net: Any) -> Fills:
    """As the published code: each fill alone, spectral norm with its power iteration and the encoder every time."""

    def fills(image: Tensor, hole: Tensor, noises: list[Tensor | None]) -> list[Tensor]:
        pictures = []
        for noise in noises:
            settle(net, 1)
            pictures.append(net.decode(net.encode(image, hole), noise).image)
        return pictures

    return fills


def shared(net: Any) -> Fills:
    """As the completer: the photo is encoded once."""

    def fills(image: Tensor, hole: Tensor, noises: list[Tensor | None]) -> list[Tensor]:
        encoded = net.encode(image, hole)
        return [net.decode(encoded, noise).image for noise in noises]

    return fills


def near_the_hole(net: Any) -> Fills:
    """As the completer where the network can: the hole's surroundings alone."""

    def fills(image: Tensor, hole: Tensor, noises: list[Tensor | None]) -> list[Tensor]:
        size, edge = hole.shape[-1], int(hole.shape[-1] * (1 - HOLE) / 2) - MARGIN
        area = edge, edge, size - edge, size - edge
        encoded = net.encode(image, hole)
        return [net.decode_near(encoded, area).image for _ in noises]

    return fills


def contenders(released: Any, lean: Any, clock: Clock) -> tuple[dict[str, Fills], dict[str, tuple[float, float]]]:
    """Row title to what it does; engine to seconds of its first start and of one from the cache."""
    rows = {"published: eager fp32 NCHW, all again for each fill": one_by_one(released)}
    if released is not lean:
        rows["the same, spectral norm folded, encoded once"] = shared(lean)
    folded = engines.fold(copy.deepcopy(lean))
    rows["`torch`"] = shared(folded)
    if engines.draws_near(folded):
        rows["`torch`, near the hole"] = near_the_hole(folded)
    starts = {}
    for engine in engines.ENGINES[1:]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MANYFILL_CACHE"] = folder
            try:
                seconds = []
                for _ in range(2):
                    start = clock()
                    started = engines.start(copy.deepcopy(lean), engine=engine, sha256="bench")
                    seconds.append(clock() - start)
            except ManyfillError as error:
                print(f"({engine}: {error})\n", file=sys.stderr)
                continue
        rows[f"`{engine}`"] = shared(started)
        if engines.draws_near(started):
            rows[f"`{engine}`, near the hole"] = near_the_hole(started)
        starts[engine] = (seconds[0], seconds[1])
    return rows, starts


@torch.inference_mode()
def compare(
    rows: dict[str, Fills], net: Any, size: int, clock: Clock, *, fills: int, repeats: int
) -> dict[str, tuple[float, float]]:
    """Row title to its median ms per fill and its greatest difference to the network, of 255; the baseline first."""
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, size // 8, size // 8, generator=draw)
    image = torch.nn.functional.interpolate(image, size=(size, size), mode="bicubic").clamp(0, 1)
    hole, edge = torch.zeros(1, 1, size, size), int(size * (1 - HOLE) / 2)
    hole[..., edge:-edge, edge:-edge] = 1
    shape = net.noise_shape(size, size)
    noises = [None] if shape is None else [torch.randn(1, *shape, generator=draw) for _ in range(fills)]
    expected = shared(net)(image, hole, noises)
    pictures = {name: run(image, hole, noises) for name, run in rows.items()}  # also the warm-up
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(repeats):
        for name, run in rows.items():
            start = clock()
            run(image, hole, noises)
            times[name].append((clock() - start) / len(noises))
    missing = hole.bool().expand(1, 3, -1, -1)
    apart = {
        name: max(float((a - b)[missing].abs().max()) for a, b in zip(each, expected, strict=True))
        for name, each in pictures.items()
    }
    return {name: (1000 * statistics.median(each), 255 * apart[name]) for name, each in times.items()}


def show(title: str, size: int, fills: int, repeats: int, found: dict[str, tuple[float, float]]) -> None:
    print(f"{title}, {size} x {size}, {fills} fill{'s' * (fills > 1)} of a photo, {repeats} rounds\n")
    print("| | ms per fill | times as fast | greatest difference in the hole, of 255 |\n|---|---:|---:|---:|")
    baseline, _ = next(iter(found.values()))
    for name, (median, apart) in found.items():
        print(f"| {name} | {median:.1f} | {baseline / median:.2f} | {apart:.3f} |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(PUBLISHED), help="PICNet, DFNet, or as --model takes them")
    parser.add_argument("--sizes", nargs="*", type=int, default=[256, 512], help="of the published networks")
    parser.add_argument("--fills", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--json", action="store_true", help="a line for each network and size, for programs")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    where = f"{platform.machine()} with {os.cpu_count()} cores, {options.threads} in use"
    say = (lambda *_, **__: None) if options.json else print
    say(f"{where}; torch {torch.__version__}; load of the machine {os.getloadavg()[0]:.1f}\n")
    for name in options.models:
        if name in PUBLISHED:
            released, lean = published(name)
            sizes = options.sizes
        else:
            released = lean = weights.load(name).net
            sizes = [lean.working_size]
        rows, starts = contenders(released, lean, clock)
        for engine, (first, cached) in starts.items():
            say(f"{name}: {engine} starts in {first:.2f} s for the first time, in {cached:.2f} s from the cache\n")
        for size in sizes:
            fills = 1 if lean.noise_shape(size, size) is None else options.fills
            found = compare(rows, lean, size, clock, fills=options.fills, repeats=options.repeats)
            if options.json:
                print(json.dumps({"net": name, "size": size, "rows": found}), flush=True)
            else:
                show(name, size, fills, options.repeats, found)


if __name__ == "__main__":
    main()
