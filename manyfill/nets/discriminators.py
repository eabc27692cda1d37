"""Critics: PICNet's residual discriminator (Zheng et al. 2019), used for both of its paths; one on frozen features."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets.attention import ShortTermAttention
from manyfill.nets.blocks import LEAK, FirstBlock, ResBlock, conv
from manyfill.nets.projected import ProjectedCritic

KINDS = ("residual", "projected")


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """Enough to rebuild the critic; the defaults are the published one."""

    kind: str = "residual"  # or "projected": on frozen features (ours), `width` to `max_width` channels on four scales
    width: int = 32
    max_width: int = 128
    levels: int = 5
    spectral_norm: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; expected one of {', '.join(KINDS)}")
        assert self.levels >= 4, f"attention stands at 1/8 of the side: at least 4 levels, not {self.levels}"

    @property
    def smallest(self) -> int:
        """Side in pixels of the smallest picture that gets a score: a 3x3 convolution without padding comes last."""
        return 32 if self.kind == "projected" else int(3 * 2**self.levels)


class Critic(nn.Module):
    """D (and D_rec): residual blocks down to 1/32, self-attention at 1/8, raw scores without padding at the end."""

    def __init__(self, config: CriticConfig | None = None) -> None:
        super().__init__()
        self.config = config or CriticConfig()
        assert self.config.kind == "residual", f"a {self.config.kind} critic is built by `critic`"
        spectral = self.config.spectral_norm
        widths = [min(self.config.width * 2**level, self.config.max_width) for level in range(self.config.levels)]
        self.first = FirstBlock(3, widths[0], spectral=spectral)
        self.blocks = nn.ModuleList(
            ResBlock(narrow, wide, narrow, down=True, spectral=spectral) for narrow, wide in pairwise(widths)
        )
        self.attention_after = 1  # index of the block whose output has 1/8 of the side, however many levels follow
        self.attention = ShortTermAttention(widths[self.attention_after + 1])
        self.last = ResBlock(widths[-1], widths[-1], widths[-1], spectral=spectral)
        self.score = conv(widths[-1], 1, 3, spectral=spectral)
        self.attention.start_as_released()

    def seen(self, hole: Tensor) -> Tensor:
        """The hole (B,1,H,W) in the picture as it is looked at: the same."""
        return hole

    def forward(self, image: Tensor) -> Tensor:
        """Picture (B,3,H,W) in [0,1] to raw scores (B,1,H/32-2,W/32-2); higher is more like a photo."""
        x = self.first(2 * image - 1)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index == self.attention_after:
                x = self.attention(x)
        out: Tensor = self.score(F.leaky_relu(self.last(x), LEAK))
        return out


def critic(config: CriticConfig) -> Critic | ProjectedCritic:
    """A fresh critic of the config's kind."""
    return ProjectedCritic(config) if config.kind == "projected" else Critic(config)
