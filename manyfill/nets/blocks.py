"""Building blocks of PICNet (Zheng et al. 2019): spectral-normalised convolutions and residual blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.1  # slope of PICNet's main activation; its attention block has the framework's default, 0.01


def _normalise(v: Tensor) -> Tensor:
    unit: Tensor = v / (v.norm() + 1e-12)
    return unit


class _Spectral(nn.Module):
    """Weight divided by its largest singular value (Miyato et al. 2018), one power iteration per training call.

    The matrix is the weight reshaped to (shape[0], rest), as in the authors' release; for a transposed convolution axis
    0 is the input channel, unlike `torch.nn.utils.spectral_norm`. In eval mode u and v stand still, so that the same
    input always gives the same output (the release iterates at every call; `fold` reproduces its first call).
    """

    weight: Tensor
    u: Tensor
    v: Tensor

    def _add_vectors(self) -> None:
        rows = self.weight.shape[0]
        self.register_buffer("u", _normalise(torch.randn(rows)))
        self.register_buffer("v", _normalise(torch.randn(self.weight.numel() // rows)))

    @torch.no_grad()
    def iterate(self) -> None:
        """One power iteration: v from u, then u from v; new tensors, as a backward pass may still hold the old ones."""
        matrix = self.weight.flatten(1)
        self.v = _normalise(torch.mv(matrix.t(), self.u))
        self.u = _normalise(torch.mv(matrix, self.v))

    def normalised_weight(self) -> Tensor:
        """The weight over its spectral norm u' W v; gradient flows through the norm, u and v are constants."""
        with torch.autocast(self.weight.device.type, enabled=False):
            if self.training:
                self.iterate()
            return self.weight / torch.dot(self.u, torch.mv(self.weight.flatten(1), self.v))


class SpectralConv2d(_Spectral, nn.Conv2d):
    """Convolution with spectral norm; `fold` gives the plain one."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0
    ) -> None:
        nn.Conv2d.__init__(self, in_channels, out_channels, kernel_size, stride, padding)
        self._add_vectors()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.normalised_weight(), self.bias, self.stride, self.padding)


class SpectralConvTranspose2d(_Spectral, nn.ConvTranspose2d):
    """Transposed convolution with spectral norm."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, padding: int, output_padding: int
    ) -> None:
        nn.ConvTranspose2d.__init__(self, in_channels, out_channels, kernel_size, stride, padding, output_padding)
        self._add_vectors()

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        weight = self.normalised_weight()
        return F.conv_transpose2d(
            x,
            weight,
            self.bias,
            self.stride,
            self.padding,  # type: ignore[arg-type]
            self.output_padding,
        )


def fold_spectral_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without u and v: each spectral weight over its norm after one power iteration from the stored u.

    This is what the authors' release computes at its first call after loading.
    """
    folded = dict(state)
    for name in [key for key in state if key.endswith(".u")]:
        stem = name.removesuffix("u")
        u, _, weight = folded.pop(name), folded.pop(stem + "v"), state[stem + "weight"]
        matrix = weight.flatten(1)
        v = _normalise(torch.mv(matrix.t(), u))
        u = _normalise(torch.mv(matrix, v))
        folded[stem + "weight"] = weight / torch.dot(u, torch.mv(matrix, v))
    return folded


def settle(module: nn.Module, iterations: int = 50) -> None:
    """Power iterations of every spectral layer until u and v fit weights that were put in without them."""
    for layer in module.modules():
        if isinstance(layer, _Spectral):
            for _ in range(iterations):
                layer.iterate()


def conv(in_channels: int, out_channels: int, kernel_size: int, padding: int = 0, *, spectral: bool) -> nn.Conv2d:
    """A stride-1 convolution with bias, with or without spectral norm."""
    kind = SpectralConv2d if spectral else nn.Conv2d
    return kind(in_channels, out_channels, kernel_size, padding=padding)


def up_conv(in_channels: int, out_channels: int, *, spectral: bool) -> nn.ConvTranspose2d:
    """A 3x3 transposed convolution that doubles height and width."""
    kind = SpectralConvTranspose2d if spectral else nn.ConvTranspose2d
    return kind(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)


@torch.no_grad()
def initialise(module: nn.Module) -> None:
    """Initial values for residual blocks without any normalisation (after He et al. 2015): every block keeps the scale.

    PyTorch's default shrinks a signal to about 0.6 of itself at each bypass; five levels down next to nothing is left
    of the photo's layout and of the latent, and a decoder that no instance norm lifts learns to do without them.
    """
    if any(parameter.is_meta for parameter in module.parameters()):
        return  # about to be filled from a file; normal_ on the meta device imports the compiler: 2 s of start-up
    for name, child in module.named_modules():
        if isinstance(child, nn.Conv2d | nn.ConvTranspose2d) and name.endswith(("conv1", "conv2", "bypass")):
            taps = child.weight[0].numel() if isinstance(child, nn.Conv2d) else child.weight.shape[0] * 9 / 4
            gain = {"conv1": 2**0.5, "conv2": 0.5**0.5, "bypass": 1.0}[name.rpartition(".")[2]]
            child.weight.normal_(0, gain / taps**0.5)
            if child.bias is not None:
                child.bias.zero_()


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each place of (B,C,h,w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def channel_norm(channels: int, *, on: bool) -> nn.Module:
    """Layer norm over channels, or nothing."""
    return ChannelNorm(channels) if on else nn.Identity()


class FirstBlock(nn.Module):
    """The residual block on the picture itself: no activation before the first convolution; halves the resolution."""

    def __init__(self, in_channels: int, out_channels: int, *, spectral: bool = True) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, out_channels, 3, 1, spectral=spectral)
        self.conv2 = conv(out_channels, out_channels, 3, 1, spectral=spectral)
        self.bypass = conv(in_channels, out_channels, 1, spectral=spectral)

    def forward(self, x: Tensor) -> Tensor:
        main = self.conv2(F.leaky_relu(self.conv1(x), LEAK))
        out: Tensor = F.avg_pool2d(main, 2) + self.bypass(F.avg_pool2d(x, 2))
        return out


class ResBlock(nn.Module):
    """Pre-activation residual block with a 1x1 bypass; `down` averages 2x2 at its end."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden: int,
        *,
        down: bool = False,
        leak: float = LEAK,
        spectral: bool = True,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = channel_norm(in_channels, on=layer_norm)
        self.conv1 = conv(in_channels, hidden, 3, 1, spectral=spectral)
        self.norm2 = channel_norm(hidden, on=layer_norm)
        self.conv2 = conv(hidden, out_channels, 3, 1, spectral=spectral)
        self.bypass = conv(in_channels, out_channels, 1, spectral=spectral)
        self.down = down
        self.leak = leak

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.leaky_relu(self.norm1(x), self.leak))
        y = self.conv2(F.leaky_relu(self.norm2(y), self.leak))
        if self.down:  # pooling and a 1x1 convolution commute: bypass on the small map
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        out: Tensor = y + self.bypass(x)
        return out


class UpBlock(nn.Module):
    """PICNet's decoder block: instance-normalised main path and plain bypass, both doubling the resolution.

    Without `norm` the main path keeps its means: instance norm forgets the photo's colours where maps are small.
    """

    def __init__(self, in_channels: int, out_channels: int, *, spectral: bool = True, norm: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.InstanceNorm2d(in_channels, affine=True) if norm else nn.Identity()
        self.conv1 = conv(in_channels, out_channels, 3, 1, spectral=spectral)
        self.norm2 = nn.InstanceNorm2d(out_channels, affine=True) if norm else nn.Identity()
        self.conv2 = up_conv(out_channels, out_channels, spectral=spectral)
        self.bypass = up_conv(in_channels, out_channels, spectral=spectral)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.leaky_relu(self.norm1(x), LEAK))
        y = self.conv2(F.leaky_relu(self.norm2(y), LEAK))
        out: Tensor = y + self.bypass(x)
        return out


class ResizeBlock(ResBlock):
    """A decoder block without a transposed convolution, whose uneven overlaps draw a grid (Odena et al. 2016).

    The main path is doubled by repeating pixels between its two convolutions, the bypass bilinearly.
    """

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.leaky_relu(self.norm1(x), self.leak))
        y = F.interpolate(F.leaky_relu(self.norm2(y), self.leak), scale_factor=2.0, mode="nearest")
        doubled = F.interpolate(self.bypass(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        out: Tensor = self.conv2(y) + doubled
        return out


class ToPicture(nn.Module):
    """PICNet's output head without its last squashing: activation, reflection pad, 3x3 convolution to RGB."""

    def __init__(self, in_channels: int, *, spectral: bool = True) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, 3, 3, spectral=spectral)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(F.leaky_relu(x, LEAK), (1, 1, 1, 1), mode="reflect")
        out: Tensor = self.conv1(padded)
        return out
