"""How many processes train together, and on what: as Accelerate sees it, whatever launched us."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from manyfill.errors import MissingExtra
from manyfill.pool import Fellows

MESSAGE_MIB = 4  # of gradients in one message: the last one leaves when the backward pass is over


@dataclass(frozen=True)
class World:
    """This process among its fellows."""

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether it is the one that writes files and talks."""
        return self.rank == 0

    def fellows(self) -> Fellows | None:
        """The processes of this machine, which share decoded photos; None where we are alone on it."""
        count = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of torchrun
        if self.size == 1 or count == 1:
            return None
        folder = Path(tempfile.gettempdir(), f"manyfill-photos-{self.agree(secrets.token_hex(8))}")
        return Fellows(int(os.environ["LOCAL_RANK"]), count, folder, dist.barrier)

    def agree(self, value: Any) -> Any:
        """What the main process says, in all of them; each waits until it has said so."""
        if self.size == 1:
            return value
        said = [value]
        dist.broadcast_object_list(said)
        return said[0]

    def any(self, *here: bool) -> tuple[bool, ...]:
        """Whether each holds in any process: all get the same answers at the same time."""
        if self.size == 1:
            return here
        flags = torch.tensor([float(flag) for flag in here], device=self.device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in flags)


def join(device: str | None = None) -> World:
    """Find our place: alone, or among the processes of torchrun, accelerate launch, SLURM or MPI.

    `device` ("cpu", "cuda", "mps"): None takes the best that is there. Raises MissingExtra without the train extra.
    """
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise MissingExtra("training needs the train extra: pip install 'manyfill[train]'") from error
    cpu = device == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    state = PartialState(cpu=cpu, **_store_of_this_start())
    alone = state.num_processes == 1 and device is not None
    where = torch.device(str(device)) if alone else state.device
    if where.type == "cpu":  # Accelerate's is "cpu:0" among several processes, which torch.load knows nothing of
        where = torch.device("cpu")
    return World(state.process_index, state.num_processes, where)


def _store_of_this_start() -> dict[str, Any]:
    """How processes find each other under torchrun, as keywords of `init_process_group`; nothing without it.

    torchrun keeps one store over all its restarts, and a process that is quick would find there the address of one
    that is dead ("Gloo connectFullMesh failed: connection refused"). So each start has names of its own.
    """
    found = os.environ
    if found.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return {}
    rank, world = int(found["RANK"]), int(found["WORLD_SIZE"])
    store = dist.TCPStore(found["MASTER_ADDR"], int(found["MASTER_PORT"]), world, is_master=False)  # type: ignore[attr-defined]
    own = dist.PrefixStore(f"start-{found['TORCHELASTIC_RESTART_COUNT']}", store)  # type: ignore[attr-defined]
    return {"store": own, "rank": rank, "world_size": world}


def rank() -> int:
    """Our number among the processes; 0 where we are alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def share(tensors: list[Tensor]) -> None:
    """Mean over processes, in place, in one message per type; nothing where there is one process."""
    if size() == 1:
        return
    for dtype in {tensor.dtype for tensor in tensors}:
        group = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.flatten() for tensor in group]) / size()
        dist.all_reduce(flat)
        for tensor, part in zip(group, torch.split(flat, [tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(part.view_as(tensor))


class Together:
    """Averages the gradients of one update over all processes while the backward pass still runs.

    Gradients go in messages of some megabytes, in the reverse order of the parameters, which is roughly that of the
    backward pass; each is on its way as soon as its gradients are there and the one before it has left. What is in a
    message depends on the network alone, so that a resumed run adds up in the same order. Not
    DistributedDataParallel, which wants one forward call of one module before each backward pass: a step here runs
    parts of a network several times, and its two updates share a forward pass.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.messages: list[list[nn.Parameter]] = []
        self._message: dict[nn.Parameter, int] = {}
        if size() == 1:
            return
        room = 0
        for parameter in reversed([each for each in parameters if each.requires_grad]):
            bytes_ = parameter.numel() * parameter.element_size()
            if not self.messages or bytes_ > room or parameter.dtype != self.messages[-1][-1].dtype:
                self.messages.append([])
                room = int(MESSAGE_MIB * 2**20)
            self.messages[-1].append(parameter)
            self._message[parameter] = len(self.messages) - 1
            room -= bytes_
            parameter.register_post_accumulate_grad_hook(self._arrived)  # type: ignore[no-untyped-call]
        self._used = set(self._message)  # what had a gradient the last time is waited for
        self._waiting: list[set[nn.Parameter]] | None = None
        self._sent: list[_Message] = []

    def expect(self) -> None:
        """Before the backward pass after which all gradients of an update are there."""
        if self.messages:
            self._waiting = [self._used.intersection(message) for message in self.messages]
            self._sent = []

    def finish(self) -> None:
        """After it: every gradient is the mean over the processes."""
        if not self.messages:
            return
        assert self._waiting is not None, "finish without expect"
        self._waiting = None
        for message in self.messages[len(self._sent) :]:
            self._sent.append(_Message(message))
        for sent in self._sent:
            sent.arrive()
        self._used = {parameter for parameter in self._message if parameter.grad is not None}

    def _arrived(self, parameter: Tensor) -> None:
        if self._waiting is None:
            return
        assert isinstance(parameter, nn.Parameter), "a hook of a parameter"
        number = self._message[parameter]
        assert number >= len(self._sent), "a gradient after its message: a network that changes its graph"
        self._waiting[number].discard(parameter)
        while len(self._sent) < len(self.messages) and not self._waiting[len(self._sent)]:
            self._sent.append(_Message(self.messages[len(self._sent)]))


class _Message:
    """Gradients on their way, divided by the number of processes; zeros where there is none here."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        sizes = [parameter.numel() for parameter in parameters]
        flat = torch.zeros(sum(sizes), dtype=parameters[0].dtype, device=parameters[0].device)
        parts = torch.split(flat, sizes)  # each as its parameter lies in memory
        self.parameters = parameters
        self.parts = [part.as_strided(p.shape, p.stride()) for p, part in zip(parameters, parts, strict=True)]
        for parameter, part in zip(parameters, self.parts, strict=True):
            if parameter.grad is not None:
                part.copy_(parameter.grad)
        flat /= size()
        self.work = dist.all_reduce(flat, async_op=True)

    def arrive(self) -> None:
        """Wait for it; the gradients are then parts of the message."""
        assert self.work is not None, "we are one of the processes"
        self.work.wait()
        for parameter, part in zip(self.parameters, self.parts, strict=True):
            if parameter.grad is not None:
                parameter.grad = part
