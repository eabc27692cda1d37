"""Whether tensors are those of a network, by name and shape."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from manyfill.errors import BadWeights
from manyfill.weights.released import Rules, rename


def load_strict(module: nn.Module, state: Mapping[str, Tensor], source: str, released: Rules = ()) -> None:
    """Fill a module; `released` turns our names back into those of the file for the message."""
    compare(module, {name: tuple(value.shape) for name, value in state.items()}, source, released)
    module.load_state_dict(dict(state), assign=True)


def compare(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], source: str, released: Rules = ()) -> None:
    """Raise BadWeights where names or shapes of tensors are not the module's."""
    wanted = module.state_dict()
    problems = [f"missing {rename(name, released)}" for name in wanted if name not in shapes]
    problems += [f"left over {rename(name, released)}" for name in shapes if name not in wanted]
    problems += [
        f"{rename(name, released)} is {shapes[name]}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in shapes and shapes[name] != tuple(value.shape)
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise BadWeights(f"{source} does not fit {type(module).__name__}: {'; '.join(problems[:5])}{more}.")
