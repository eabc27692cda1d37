"""Gradients averaged over processes while the backward pass runs: two gloo processes on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

from manyfill.recipes import RECIPES
from manyfill.training import processes
from manyfill.training.step import Step, build

RECIPE = replace(RECIPES["tiny"], batch=4, net=replace(RECIPES["tiny"].net, fusion_scales=0))
CPU = torch.device("cpu")


def sample(rank: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rank)
    image = torch.rand(batch, 3, 64, 64, generator=generator)
    hole = torch.zeros(batch, 1, 64, 64)
    hole[..., 16:48, 16:48] = 1
    return image, hole, torch.randn(batch, 8, 8, 8, generator=generator)


def gradients(step: Step) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in step.nets.named_parameters() if p.grad is not None}


def one_of_two(rank: int, folder: str) -> None:
    """A process's work: what it found lies in FOLDER/RANK.pt."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    found: dict[str, Any] = {}
    for parts in (1, 2):
        recipe = replace(RECIPE, accumulate=parts)
        step = Step(recipe, build(recipe), CPU)
        step(*sample(rank, 2), 0)
        found[f"in {parts}"] = gradients(step)

    processes.MESSAGE_MIB = 0.01  # else so small a network is one message
    step = Step(RECIPE, build(RECIPE), CPU)
    events: list[str] = []

    class Watched(processes._Message):
        def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
            events.append("message")
            super().__init__(parameters)

    processes._Message = Watched  # type: ignore[misc]
    last = next(step.nets.net.encoder.parameters())  # type: ignore[union-attr, operator]
    last.register_hook(lambda _: events.append("last gradient"))
    step(*sample(rank, 2), 0)
    found["messages"] = [len(part.messages) for part in (step._critics_together, step._together)]
    found["events"] = events
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("together")
    multiprocessing.spawn(one_of_two, (str(folder),), nprocs=2)
    return [torch.load(Path(folder, f"{rank}.pt"), weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("parts", [1, 2])
def test_every_gradient_is_the_mean_over_the_processes(both: list[dict[str, Any]], parts: int) -> None:
    """Equal in both; the critics' are the mean of what each share gives alone, to the rounding of their sum."""
    one, two = (found[f"in {parts}"] for found in both)
    assert one.keys() == two.keys() and any(name.startswith("net.") for name in one)
    assert all(torch.equal(one[name], two[name]) for name in one)
    alone = []
    for rank in range(2):
        step = Step(replace(RECIPE, batch=2, accumulate=parts), build(RECIPE), CPU)
        step(*sample(rank, 2), 0)
        alone.append(gradients(step))
    assert alone[0].keys() == one.keys()
    apart = 0.0
    for name in one:
        if name.startswith("critics."):
            mean = (alone[0][name] + alone[1][name]) / 2
            torch.testing.assert_close(one[name], mean, atol=1e-6, rtol=1e-4)
            apart = max(apart, float((alone[0][name] - alone[1][name]).abs().max()))
    assert apart > 1e-3  # shares whose gradients are alike would show nothing


def test_the_first_message_leaves_while_the_backward_pass_runs(both: list[dict[str, Any]]) -> None:
    for found in both:
        events = found["events"]
        of_critics, of_network = found["messages"]
        assert of_network > 3 and events.count("message") == of_critics + of_network
        before = events[: events.index("last gradient")].count("message") - of_critics
        assert before == of_network - 1  # all but the one that the last gradient is in
