"""Attention inside the completion networks: short+long-term (Zheng et al. 2019) and its rivals.

Every kind is called with the decoder's features x (B,C,h,w), the encoder's (B,L,h,w) and the soft hole (B,1,h,w), and
can tell where a place looks: `look`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets.blocks import ResBlock

ATTENTION_LEAK = 0.01  # the published block keeps the framework's default slope here
SHARPNESS = 10.0  # of contextual attention's softmax (Yu et al. 2018, release)
BARRED = -1e4  # added to a score that must not count: its share is 0 in every precision


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

    @torch.no_grad()
    def start_as_released(self) -> None:
        """The release's initial query: orthogonal with gain 0.02, no bias; all else has PyTorch's default."""
        if not self.query.weight.is_meta:  # else it is about to be filled from a file
            nn.init.orthogonal_(self.query.weight, 0.02)
            nn.init.zeros_(self.query.bias)  # type: ignore[arg-type]

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

    def look(self, x: Tensor, hole: Tensor, row: int, column: int) -> Tensor:
        """Where the place (row, column) looks: its row of the attention matrix as a map (B,h,w) that sums to 1."""
        query = self.query(x)
        scores = torch.einsum("bchw,bc->bhw", query, query[:, :, row, column])
        return torch.softmax(scores.flatten(1), -1).reshape(scores.shape)

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


class ContextualAttention(nn.Module):
    """Patches of the hole are pieced together from known ones (Yu et al. 2018, sec. 4.1).

    For 3x3 patches f_i of x around the hole's places and b_j of x around known ones,
    s_ij = <f_i / |f_i|, b_j / |b_j|>,   A_ij = softmax_j(10 s_ij),   c = sum_ij A_ij paste(e_j at i) / coverage,
    with e_j the encoder's patch at j: a transposed convolution whose kernels are the known patches. Known places keep
    their encoder features, and a block as behind the short+long-term attention joins both with x.

    Like there, x alone says what is alike and the encoder's features are carried (Zheng et al. compare the two so). A
    place belongs to the hole where `hole` > 0; b_j are patches without any hole, where there are none those with a
    known centre, else nothing is carried. Borders are zero padded, as in the release. Its attention propagation and its
    matching at half the resolution are left out. Which places may be taken is a term of the scores, so that any hole is
    the same few steps: N x N scores a picture for N places, 4 MB for 32 x 32 and 64 MB for 64 x 64.
    """

    def __init__(self, channels: int, long_channels: int, *, spectral: bool = True) -> None:
        super().__init__()
        self.model = ResBlock(channels + long_channels, channels, channels, leak=ATTENTION_LEAK, spectral=spectral)

    def carry(self, x: Tensor, encoder_features: Tensor, hole: Tensor) -> Tensor:
        """Encoder features (B,L,h,w) pieced together in the hole, 0 elsewhere."""
        missing, source = self._places(hole)
        patches, like = _patches(encoder_features), _unit_patches(x).to(encoder_features.dtype)
        barred = patches.new_zeros(source.shape).masked_fill(~source, BARRED)
        carried = F.scaled_dot_product_attention(like, like, patches, barred[:, None], scale=SHARPNESS)
        into = (missing & source.any(1, keepdim=True)).to(patches.dtype)[..., None]  # (B,N,1)
        height, width = encoder_features.shape[-2:]
        coverage = _pasted(into.expand(-1, -1, 9), height, width).clamp(min=1)
        inside = into.reshape(-1, 1, height, width)
        return _pasted(carried * into, height, width) / coverage * inside

    def look(self, x: Tensor, hole: Tensor, row: int, column: int) -> Tensor:
        """Where the place (row, column) is taken from, (B,h,w): sums to 1; a known place is its own source."""
        like, place = _unit_patches(x), row * x.shape[3] + column
        missing, source = self._places(hole)
        scores = SHARPNESS * torch.einsum("bnd,bd->bn", like, like[:, place])
        found = torch.nan_to_num(torch.softmax(scores.masked_fill(~source, -torch.inf), -1))  # nothing known: zeros
        itself = F.one_hot(torch.tensor(place, device=x.device), like.shape[1]).to(found.dtype)
        return torch.where(missing[:, place, None], found, itself).reshape(x.shape[0], *x.shape[2:])

    @staticmethod
    def _places(hole: Tensor) -> tuple[Tensor, Tensor]:
        """Bool (B,N) each: which places are to be filled, and which may be taken."""
        soft = (hole > 0).to(torch.float32)
        whole = F.max_pool2d(soft, 3, stride=1, padding=1).flatten(1) == 0
        missing = soft.flatten(1) > 0
        return missing, whole | ~(missing | whole.any(1, keepdim=True))

    def forward(self, x: Tensor, encoder_features: Tensor, hole: Tensor) -> Tensor:
        """x (B,C,h,w), encoder_features (B,L,h,w), soft hole (B,1,h,w), to (B,C,h,w)."""
        known = (hole <= 0).to(encoder_features.dtype)
        long = known * encoder_features + self.carry(x, encoder_features, hole)
        out: Tensor = self.model(torch.cat([x, long], 1))
        return out


def _patches(x: Tensor) -> Tensor:
    """The 3x3 patch around each place of x (B,C,h,w), zero padded, as rows (B,N,9C), channels innermost."""
    height, width = x.shape[-2:]
    around = F.pad(x, (1, 1, 1, 1))
    moved = [around[..., dy : dy + height, dx : dx + width].flatten(2) for dy in range(3) for dx in range(3)]
    return torch.cat(moved, 1).transpose(1, 2)


def _pasted(rows: Tensor, height: int, width: int) -> Tensor:
    """Patches (B,N,9C) put down around their places and added up, to (B,C,h,w): the transpose of `_patches`."""
    planes = rows.transpose(1, 2).reshape(rows.shape[0], -1, height, width)
    moved = [
        F.pad(part, (place % 3, 2 - place % 3, place // 3, 2 - place // 3))
        for place, part in enumerate(planes.chunk(9, 1))
    ]
    return torch.stack(moved).sum(0)[..., 1:-1, 1:-1]


def _unit_patches(x: Tensor) -> Tensor:
    """3x3 patches of length 1, in float32: their products are cosines."""
    return F.normalize(_patches(x.float()), dim=-1, eps=1e-4)


class NoAttention(nn.Module):
    """The ablation: known encoder features are put beside the decoder's, nothing is carried into the hole."""

    def __init__(self, channels: int, long_channels: int, *, spectral: bool = True) -> None:
        super().__init__()
        self.model = ResBlock(channels + long_channels, channels, channels, leak=ATTENTION_LEAK, spectral=spectral)

    def forward(self, x: Tensor, encoder_features: Tensor, hole: Tensor) -> Tensor:
        """x (B,C,h,w), encoder_features (B,L,h,w), soft hole (B,1,h,w), to (B,C,h,w)."""
        out: Tensor = self.model(torch.cat([x, (1 - hole) * encoder_features], 1))
        return out

    def look(self, x: Tensor, hole: Tensor, row: int, column: int) -> Tensor:
        """Nowhere: zeros (B,h,w)."""
        return x.new_zeros(x.shape[0], *x.shape[2:])


ATTENTIONS: dict[str, type[nn.Module]] = {
    "short-long": ShortLongTermAttention,
    "contextual": ContextualAttention,
    "none": NoAttention,
}
