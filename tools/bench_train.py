"""Images per second of our training step beside the plain one, in one run: python tools/bench_train.py [RECIPE ...].

Plain: the same networks, objective and batch in fp32, NCHW, eager, with an optimiser and a running average that go
tensor by tensor and a feature network as it was published. Ours: Step as training uses it (channels_last, one call per
group of tensors, frozen batch norms folded) in fp32 and bf16; on a CPU also in one process per core, as torchrun starts
them, whose gradients are averaged while the backward pass runs, and, as before, after it; compiled with --compile.
Blocks of steps take turns, so that other load falls on all alike; medians are compared. CPU seconds are those of all
processes and threads, which other load disturbs least. On a GPU the fraction of its peak comes along, from torch's own
count of floating-point operations.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from manyfill import masks
from manyfill.data import Samples, open_photos
from manyfill.nets.perceptual import EfficientNetLite0, vgg16_file
from manyfill.recipes import Recipe, find
from manyfill.training import step as step_module
from manyfill.training.processes import Together
from manyfill.training.step import Step, build

PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12, "T4": 65e12}  # dense bf16 or fp16, per second


class Plain(Step):
    """The step as one writes it first."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        nets = build(recipe)
        if recipe.features == EfficientNetLite0.name:
            nets.features = EfficientNetLite0(fold=False)
        super().__init__(replace(recipe, precision="fp32", compile=None), nets, device)
        self.nets.to(memory_format=torch.contiguous_format)
        for optimiser in (self.optimiser, self.critic_optimiser):
            for group in optimiser.param_groups if optimiser is not None else ():
                group.update(foreach=False, fused=None)

    def _parts(self, image: Tensor, hole: Tensor, noise: Tensor | None) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        return [(image.to(self.device), hole.to(self.device), None if noise is None else noise.to(self.device))]

    @torch.no_grad()
    def _average(self, images_seen: int) -> None:
        for mean, value in zip(self.average.state_dict().values(), self.nets.net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 0.01)


class Spent(NamedTuple):
    """What a block of steps took, by the clock, of processors, and of waiting for other processes' gradients."""

    seconds: float
    cpu: float
    waited: float = 0.0


class Watched(Together):
    """Knows how long it waited."""

    waited = 0.0

    def finish(self) -> None:  # noqa: D102
        began = time.perf_counter()
        super().finish()
        Watched.waited += time.perf_counter() - began


class Afterwards(Watched):
    """Sends nothing before the backward pass is over."""

    def _arrived(self, parameter: Tensor) -> None:
        pass


class Fellows:
    """Our step in one process per core, which average their gradients over gloo; each takes its share of the batch."""

    def __init__(self, recipe: Recipe, count: int, together: type[Together]) -> None:
        context = multiprocessing.get_context("spawn")
        with tempfile.NamedTemporaryFile(delete=False) as file:
            meeting = f"file://{file.name}-meeting"
        self.pipes = []
        for rank in range(count):
            ours, theirs = context.Pipe()
            arguments = (recipe, rank, count, meeting, theirs, together)
            context.Process(target=_fellow, args=arguments, daemon=True).start()
            self.pipes.append(ours)

    def steps(self, count: int) -> Spent:
        """Do so many and wait for all."""
        began = time.perf_counter()
        for pipe in self.pipes:
            pipe.send(count)
        spent = [pipe.recv() for pipe in self.pipes]
        seconds = time.perf_counter() - began
        return Spent(seconds, sum(cpu for cpu, _ in spent), sum(waited for _, waited in spent) / len(spent))

    def leave(self) -> None:
        """End them."""
        for pipe in self.pipes:
            pipe.send(0)


def _fellow(recipe: Recipe, rank: int, count: int, meeting: str, pipe: Connection, together: type[Together]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    step_module.Together = together  # type: ignore[attr-defined, misc]
    step = Step(recipe, build(recipe), torch.device("cpu"))
    sample = _sample(recipe, step, recipe.batch // count)
    while count := pipe.recv():
        cpu, Watched.waited = time.process_time(), 0.0
        for _ in range(count):
            step(*sample, 0)
        pipe.send((time.process_time() - cpu, Watched.waited))
    dist.destroy_process_group()


def _sample(recipe: Recipe, step: Step, batch: int) -> tuple[Tensor, Tensor, Tensor | None]:
    image = torch.rand(batch, 3, recipe.size, recipe.size)
    hole = torch.zeros(batch, 1, recipe.size, recipe.size)
    hole[..., recipe.size // 4 : 3 * recipe.size // 4, recipe.size // 4 : 3 * recipe.size // 4] = 1
    shape = recipe.objective.noise_shape(step.nets.net, recipe.size)
    return image, hole, None if shape is None else torch.randn(batch, *shape)


class _Everything(contextlib.nullcontext[None]):
    """Counts operations of no module in particular: torch's tracker wants a gradient of every input."""

    parents = frozenset({"Global"})


def measure(
    recipe: Recipe, device: torch.device, blocks: int, steps: int, *, compiled: bool, processes: bool
) -> list[str]:
    """Rows of the table; with `processes` those of one thread, one process and several, alone."""
    cores = torch.get_num_threads()
    if processes:
        torch.set_num_threads(1)
    kinds: dict[str, Step] = {} if processes else {"plain fp32, NCHW, eager": Plain(recipe, device)}
    for precision in ("fp32",) if processes else ("fp32", "bf16"):
        kinds[f"ours, {precision}"] = Step(replace(recipe, precision=precision), build(recipe), device)
        if compiled:
            fast = replace(recipe, precision=precision, compile="inductor")
            kinds[f"ours, {precision}, compiled"] = Step(fast, build(recipe), device)
    sample = _sample(recipe, kinds["ours, fp32"], recipe.batch)

    def run(step: Step) -> Callable[[int], Spent]:
        def go(count: int) -> Spent:
            began, cpu = time.perf_counter(), time.process_time()
            for _ in range(count):
                step(*sample, 0)
            if device.type == "cuda":
                torch.cuda.synchronize()
            return Spent(time.perf_counter() - began, time.process_time() - cpu)

        return go

    runs: dict[str, Callable[[int], Spent]] = {name: run(step) for name, step in kinds.items()}
    fellows = []
    if device.type == "cpu" and cores > 1 and recipe.batch % cores == 0:
        ways: dict[str, type[Together]] = {"averaged meanwhile": Watched, "averaged afterwards": Afterwards}
        for way, together in ways.items():
            fellows.append(Fellows(replace(recipe, precision="fp32"), cores, together))
            runs[f"ours, fp32, {cores} processes, {way}"] = fellows[-1].steps

    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _Everything()  # type: ignore[assignment]
    with counter:
        kinds["ours, fp32"](*sample, 0)
    for go in runs.values():
        go(steps)  # warm
    spent: dict[str, list[Spent]] = {name: [] for name in runs}
    for _ in range(blocks):
        for name, go in runs.items():
            spent[name].append(go(steps))
    for each in fellows:
        each.leave()
    rows = []
    first = next(iter(spent.values()))
    for name, found in spent.items():
        ratio = statistics.median(p.seconds / t.seconds for p, t in zip(first, found, strict=True))
        took = statistics.median(t.seconds for t in found) / steps
        cpu = statistics.median(t.cpu for t in found) / steps / recipe.batch
        waited = statistics.median(t.waited / t.seconds for t in found)
        rate = counter.get_total_flops() / took
        peak = next((value for key, value in PEAK.items() if key in _device_name(device)), None)
        share = f"{rate / peak:.0%}" if peak is not None else f"{rate / 1e9:.0f} GFLOP/s"
        rows.append(
            f"| `{recipe.name}` | {recipe.size}, {recipe.batch} | {name} | {recipe.batch / took:.1f} | {ratio:.2f} x | "
            f"{1000 * cpu:.0f} | {f'{waited:.0%}' if waited else ''} | {share} |"
        )
    return rows


def data_rate(recipe: Recipe, photos: list[Path], seconds: float = 10.0) -> float:
    """Images per second that the recipe's data processes make, when nobody trains."""
    found = open_photos(photos, short_side=recipe.cache_side)
    samples = Samples(found, size=recipe.size, masks=masks.mixture(recipe.masks), seed=0, scale=recipe.scale)
    found.preload()
    batches = (list(range(i, i + recipe.batch)) for i in itertools.count(0, recipe.batch))
    loader = iter(DataLoader(samples, batch_sampler=batches, num_workers=recipe.workers))
    next(loader)
    started, seen = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        seen += len(next(loader)[0])
    return seen / (time.perf_counter() - started)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["open-pluralistic-fusion", "open-fusion", "picnet-random"])
    parser.add_argument("--blocks", type=int, default=7, help="how often the kinds take turns")
    parser.add_argument("--steps", type=int, default=2, help="steps in a block")
    parser.add_argument("--batch", type=int, help="images in a step; default: the recipe's, at most 16")
    photos = Path(__file__).parents[1] / "examples" / "photos"
    parser.add_argument("--data", type=Path, nargs="+", default=[photos], help="photos for the data path")
    parser.add_argument("--processes", action="store_true", help="one process of one thread beside several, alone")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile: minutes to start on a CPU")
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{_device_name(device)}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| recipe | pixels, batch | step | images/s | beside the first | CPU ms/image | waits | of peak, or rate |")
    print("|---|---|---|---|---|---|---|---|")
    for name in asked.recipes:
        recipe = find(name)
        recipe = replace(recipe, batch=asked.batch or min(recipe.batch, 16))
        if recipe.features == "vgg16-pools" or recipe.features == "vgg16":
            vgg16_file()  # says at once what to do where it is missing
        made = data_rate(recipe, asked.data)
        print(
            f"| `{name}` | {recipe.size}, {recipe.batch} | data alone, {recipe.workers} process | {made:.1f} | | | | |"
        )
        for row in measure(
            recipe, device, asked.blocks, asked.steps, compiled=asked.compile, processes=asked.processes
        ):
            print(row, flush=True)


if __name__ == "__main__":
    main()
