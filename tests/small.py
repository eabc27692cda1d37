"""What tests of several engines and formats share about our own parts of PICNet."""

from __future__ import annotations

from typing import Any

from torch import nn

OURS: dict[str, Any] = {
    "sees_hole": True,
    "fusion_scales": 2,
    "instance_norm": False,
    "layer_norm": True,
    "resize": True,
    "skips": True,
    "mixers": 2,
}


def wake(net: nn.Module) -> None:
    """Give skips and mixers, which change nothing before they have learned, something to say."""
    for name, parameter in net.named_parameters():
        if ".skips." in name or name.endswith(("answer.weight", "narrow.weight")):
            nn.init.normal_(parameter, std=0.3)
