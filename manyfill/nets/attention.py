"""Attention inside the completion networks: short+long-term (Zheng et al. 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets.blocks import ResBlock

ATTENTION_LEAK = 0.01  # the published block keeps the framework's default slope here


class ShortTermAttention(nn.Module):
    """Self-attention with one shared projection for query and key, values unprojected, no 1/sqrt(d).

    y_i = gamma * sum_j softmax_j(q_i . q_j) x_j + x_i                       (Zheng et al. 2019, eq. of y_d)

    Attention goes through `scaled_dot_product_attention`: with as many heads as the values have groups of query width,
    every head repeats the same scores, and no N x N matrix is kept.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, max(channels // 4, 1), 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def attend(self, x: Tensor, values: Tensor) -> Tensor:
        """Values (B,V,H,W) averaged for each place of x (B,C,H,W) by the likeness of its places; C/4 divides V."""
        query = self.query(x).flatten(2).transpose(1, 2)  # (B, N, C/4)
        batch, places, depth = query.shape
        heads = values.shape[1] // depth
        value = values.reshape(batch, heads, depth, places).transpose(2, 3)  # (B, heads, N, C/4)
        query = query.to(value.dtype).unsqueeze(1).expand(batch, heads, places, depth)
        out = F.scaled_dot_product_attention(query, query, value, scale=1.0)
        return out.transpose(2, 3).reshape(values.shape)

    def map(self, x: Tensor) -> Tensor:
        """The attention matrix itself (B,N,N), row i = where place i looks; only for pictures and tests."""
        query = self.query(x).flatten(2)
        return torch.softmax(query.transpose(1, 2) @ query, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * self.attend(x, x) + x


class ShortLongTermAttention(ShortTermAttention):
    """PICNet's attention: the decoder's own map also carries encoder features into the hole.

    c_i = alpha * hole * sum_j A_ij f_e,j + known * f_e,i; result = model([y, c])   (Zheng et al. 2019, eq. of y_e)
    """

    def __init__(self, channels: int, long_channels: int, *, spectral: bool = True) -> None:
        super().__init__(channels)
        self.alpha = nn.Parameter(torch.zeros(1))
        self.model = ResBlock(channels + long_channels, channels, channels, leak=ATTENTION_LEAK, spectral=spectral)

    def forward(self, x: Tensor, encoder_features: Tensor, hole: Tensor) -> Tensor:  # type: ignore[override]
        """x (B,C,h,w), encoder_features (B,L,h,w), soft hole (B,1,h,w), to (B,C,h,w)."""
        carried = self.attend(x, torch.cat([x, encoder_features], 1))
        short, long = torch.split(carried, [x.shape[1], encoder_features.shape[1]], 1)
        short = self.gamma * short + x
        long = self.alpha * hole * long + (1 - hole) * encoder_features
        out: Tensor = self.model(torch.cat([short, long], 1))
        return out


class NoAttention(nn.Module):
    """The ablation: known encoder features are put beside the decoder's, nothing is carried into the hole."""

    def __init__(self, channels: int, long_channels: int, *, spectral: bool = True) -> None:
        super().__init__()
        self.model = ResBlock(channels + long_channels, channels, channels, leak=ATTENTION_LEAK, spectral=spectral)

    def forward(self, x: Tensor, encoder_features: Tensor, hole: Tensor) -> Tensor:
        """x (B,C,h,w), encoder_features (B,L,h,w), soft hole (B,1,h,w), to (B,C,h,w)."""
        out: Tensor = self.model(torch.cat([x, (1 - hole) * encoder_features], 1))
        return out


ATTENTIONS: dict[str, type[nn.Module]] = {"short-long": ShortLongTermAttention, "none": NoAttention}
