"""Blocks that carry structure across a hole: each place hears every other, wherever it lies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets.blocks import LEAK

HEAD = 32  # channels of an attention head, where there are as many
SLOWEST = 64.0  # places in which the slowest rotation turns by one radian


class Mixer(nn.Module):
    """A transformer block (Vaswani et al. 2017) whose queries and keys are turned by row and column (Su et al. 2021).

    At first it changes nothing: both of its branches end in a layer of zeros.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = min(HEAD, channels)
        if channels % self.head or self.head % 4:
            raise ValueError(f"mixers need a multiple of {HEAD} channels, or 4 to 28 in steps of 4, not {channels}")
        self.norm1 = nn.LayerNorm(channels)
        self.ask = nn.Linear(channels + 1, 3 * channels)
        self.answer = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels + 1, 2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)
        for last in (self.answer, self.narrow):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        """Features (B,C,h,w) and the soft hole (B,1,h,w), 1 = missing."""
        height, width = x.shape[-2:]
        places, missing = (part.flatten(2).transpose(1, 2) for part in (x, hole.to(x.dtype)))
        asked = self.ask(torch.cat([self.norm1(places).to(x.dtype), missing], -1))
        places = places + self.answer(self._attend(asked, height, width))
        wide = self.widen(torch.cat([self.norm2(places).to(x.dtype), missing], -1))
        places = places + self.narrow(F.leaky_relu(wide, LEAK))
        mixed: Tensor = places.transpose(1, 2).view(*x.shape[:2], height, width)
        return mixed

    def _attend(self, asked: Tensor, height: int, width: int) -> Tensor:
        """Queries, keys and values (B,places,3 C) to answers (B,places,C)."""
        batch, places, channels = asked.shape
        heads = (batch, places, 3, channels // (3 * self.head), self.head)
        query, key, value = asked.view(heads).permute(2, 0, 3, 1, 4)  # (B,heads,places,head)
        turns = SLOWEST ** -torch.linspace(0, 1, self.head // 4, device=asked.device)
        row, column = (torch.arange(side, device=asked.device)[:, None] * turns for side in (height, width))
        angle = torch.cat([row[:, None].expand(-1, width, -1), column.expand(height, -1, -1)], -1).flatten(0, 1)
        cos, sin = angle.cos().to(asked.dtype), angle.sin().to(asked.dtype)  # (places, head / 2)
        mixed = F.scaled_dot_product_attention(_turned(query, cos, sin), _turned(key, cos, sin), value)
        return mixed.transpose(1, 2).flatten(2)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Channels k and k + head / 2 as a point of a plane, turned by the place's angle."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
