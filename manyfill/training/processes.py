"""How many processes train together, and on what: Accelerate's word for it, whatever launched us."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from manyfill.errors import MissingExtra


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
    state = PartialState(cpu=device == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available()))
    alone = state.num_processes == 1 and device is not None
    where = torch.device(str(device)) if alone else state.device
    if where.type == "cpu":  # Accelerate's is "cpu:0" among several processes, which torch.load knows nothing of
        where = torch.device("cpu")
    return World(state.process_index, state.num_processes, where)


def share(tensors: list[Tensor]) -> None:
    """Mean over processes, in place, in one message per type; nothing where there is one process."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    for dtype in {tensor.dtype for tensor in tensors}:
        group = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.flatten() for tensor in group]) / dist.get_world_size()
        dist.all_reduce(flat)
        for tensor, part in zip(group, torch.split(flat, [tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(part.view_as(tensor))
