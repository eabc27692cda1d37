"""What a network wants of those who run it, beyond `CompletionNet`: said once in its config, asked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from manyfill.nets import CompletionNet


@dataclass(frozen=True)
class Traits:
    """A config says them with a member `traits`; one without has these defaults, as the papers' networks do."""

    square: bool = False  # it is shown squares of its working size alone: it has seen nothing else
    views: bool = False  # fills of other seeds see the photo in other ways, too (views.py), as it has one answer
    bf16: bool = False  # it draws as well in bfloat16, measured: engine "auto" may take it
    takes: Mapping[str, int] = field(default_factory=dict)  # engine -> bytes to draw on it, above a small network's
    scene_texture: float = 1.0  # share of the photo's texture in a fill of a scene: 1, or less where its own is nearer


def traits_of(net: CompletionNet) -> Traits:
    """Those of a network; raises TypeError where its config calls something else `traits`."""
    traits = getattr(net.config, "traits", Traits())
    if not isinstance(traits, Traits):
        raise TypeError(f"{type(net.config).__name__}.traits is a {type(traits).__name__}; expected Traits")
    return traits
