"""PICNet (Zheng, Cham and Cai, Pluralistic Image Completion, CVPR 2019), with plain heads or with fusion blocks.

With plain heads (`fusion_scales=0`) it is the published network, numerically. With fusion blocks as heads it is
Manyfill's flagship: each scale's `fused` picture is what goes up to the next scale. Inside, pictures are in [-1,1] and
`known` = 1 - hole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets import Prediction
from manyfill.nets.attention import ATTENTIONS, ShortTermAttention
from manyfill.nets.blocks import FirstBlock, ResBlock, ResizeBlock, ToPicture, UpBlock, channel_norm, initialise
from manyfill.nets.fusion import FusionBlock
from manyfill.nets.latent import Normal as Normal
from manyfill.nets.mixing import Mixer


@dataclass(frozen=True, kw_only=True)
class PICNetConfig:
    """Enough to rebuild the network; the defaults are the published one."""

    size: int = 256  # side in pixels it is trained for
    width: int = 32  # channels after the first block
    max_width: int = 128
    latent: int = 128  # channels of z
    levels: int = 5  # halvings
    scales: int = 4  # output pictures, the finest at full size
    infer_blocks: int = 6  # residual blocks between the features of the masked photo and the prior
    attention: str = "short-long"  # a key of attention.ATTENTIONS
    spectral_norm: bool = True  # off once folded
    instance_norm: bool = True  # in the decoder blocks
    layer_norm: bool = False  # over the channels of each place, in every residual block and after it (ours)
    resize: bool = False  # decoder blocks resize where the published ones have transposed convolutions (ours)
    sees_hole: bool = False  # encoder and fusion blocks also get the hole (the published encoder sees RGB only)
    skips: bool = False  # features of the known pixels go to every decoder stage, as in DFNet (ours; off as published)
    mixers: int = 0  # transformer blocks after the attention, so that lines run across a hole (ours; none as published)
    noise: bool = False  # on the decoder's finer maps, too, with a learned strength (ours; off as published)
    fusion_scales: int = 0  # how many of the finest scales end in a fusion block
    alpha_channels: int = 3

    def __post_init__(self) -> None:
        if not 2 <= self.scales <= self.levels:
            raise ValueError(f"scales is {self.scales}; expected 2 to levels = {self.levels}")
        if not 0 <= self.fusion_scales <= self.scales:
            raise ValueError(f"fusion_scales is {self.fusion_scales}; expected 0 to scales = {self.scales}")
        if self.attention not in ATTENTIONS:
            raise ValueError(f"attention is {self.attention!r}; expected one of {', '.join(ATTENTIONS)}")

    @property
    def long_term_level(self) -> int:
        """The encoder feature with the resolution of the coarsest output picture: f_e."""
        return self.scales - 2

    @property
    def fine_channels(self) -> tuple[int, ...]:
        """Channels of the noise, beyond the latent's, that a map for each output picture is unfolded from."""
        return tuple(4 ** (stage + 1) for stage in range(self.levels - self.scales, self.levels) if self.noise)

    def encoder_width(self, level: int) -> int:
        """Channels of encoder feature `level`, whose side is 1 / 2^(level+1) of the picture's."""
        return int(min(self.width * 2**level, self.max_width))

    def skip_width(self, stage: int) -> int:
        """Channels of what goes to decoder block `stage` directly; to the finest, the photo and its hole."""
        level = self.levels - 2 - stage
        return self.encoder_width(level) if level >= 0 else 4

    def decoder_width(self, stage: int) -> int:
        """Channels after decoder block `stage`, whose side is 1 / 2^(levels-1-stage) of the picture's."""
        return int(min(self.width * 2 ** (self.levels - 1 - stage), self.max_width))


class Encoded(NamedTuple):
    """What the decoder needs of a photo."""

    prior: Normal  # p(z | I_m)
    features: Tensor  # f_m (B,C,h,w), the deepest map of the masked photo
    long_term: Tensor  # f_e (B,L,8h,8w), carried into the hole by attention
    masked: Tensor  # (B,3,H,W) in [0,1], black holes
    hole: Tensor  # (B,1,H,W)
    skips: tuple[Tensor, ...] = ()  # one per decoder stage, coarse to fine, zero in the hole; where the config has them

    def rows(self, rows: slice) -> Encoded:
        """Those of some photos of the batch."""
        prior = Normal(self.prior.mean[rows], self.prior.std[rows])
        return self._with(prior, lambda x: x[rows])

    def twice(self) -> Encoded:
        """The batch two times over, for two latents of each photo; the prior as it is."""
        return self._with(self.prior, lambda x: torch.cat([x, x]))

    def _with(self, prior: Normal, change: Callable[[Tensor], Tensor]) -> Encoded:
        features, long_term, masked, hole = map(change, (self.features, self.long_term, self.masked, self.hole))
        return Encoded(prior, features, long_term, masked, hole, tuple(map(change, self.skips)))


class Encoder(nn.Module):
    """Representation net shared by both paths, and the two heads that infer the latent's distribution."""

    def __init__(self, config: PICNetConfig) -> None:
        super().__init__()
        spectral = config.spectral_norm
        widths = [config.encoder_width(level) for level in range(config.levels)]
        blocks: list[nn.Module] = [FirstBlock(4 if config.sees_hole else 3, widths[0], spectral=spectral)]
        for narrow, wide in pairwise(widths):
            blocks.append(ResBlock(narrow, wide, narrow, down=True, spectral=spectral, layer_norm=config.layer_norm))
        self.blocks = nn.ModuleList(blocks)
        self.norms = nn.ModuleList(channel_norm(width, on=config.layer_norm) for width in widths)
        deep = widths[-1]
        block = partial(ResBlock, deep, hidden=deep, spectral=spectral, layer_norm=config.layer_norm)
        self.infer = nn.ModuleList(block(deep) for _ in range(config.infer_blocks))
        self.prior = block(2 * config.latent)
        self.posterior = block(2 * config.latent)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Picture (B,3|4,H,W) in [-1,1] to its feature pyramid, the finest (H/2) first."""
        features = []
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = norm(block(x))
            features.append(x)
        return features

    def infer_prior(self, deepest: Tensor) -> Normal:
        """p_phi(z | I_m) from the deepest features of the visible pixels."""
        for block in self.infer:
            deepest = block(deepest)
        return self._normal(self.prior(deepest))

    def infer_posterior(self, deepest: Tensor) -> Normal:
        """q_psi(z | I_c) from the deepest features of the hidden pixels; training only."""
        return self._normal(self.posterior(deepest))

    @staticmethod
    def _normal(x: Tensor) -> Normal:
        mean, spread = x.float().chunk(2, 1)
        return Normal(mean, F.softplus(spread))


class Generator(nn.Module):
    """Latent and features of the visible pixels to pictures at `scales` resolutions, each fed to the next."""

    def __init__(self, config: PICNetConfig) -> None:
        super().__init__()
        spectral = config.spectral_norm
        deep = config.encoder_width(config.levels - 1)
        self.first_scale = config.levels - config.scales
        self.entry = ResBlock(config.latent, deep, deep, spectral=spectral)
        decoders: list[nn.Module] = []
        heads = []
        channels = deep
        for stage in range(config.levels):
            wide = config.decoder_width(stage)
            if config.resize:
                decoders.append(ResizeBlock(channels, wide, wide, spectral=spectral, layer_norm=config.layer_norm))
            else:
                decoders.append(UpBlock(channels, wide, spectral=spectral, norm=config.instance_norm))
            channels = wide
            if stage >= self.first_scale:
                head: nn.Module = ToPicture(wide, spectral=spectral)
                if stage >= config.levels - config.fusion_scales:
                    head = FusionBlock(head, alpha_channels=config.alpha_channels, sees_hole=config.sees_hole)
                heads.append(head)
                channels += 3
        self.decoders = nn.ModuleList(decoders)
        self.norms = nn.ModuleList(
            channel_norm(config.decoder_width(stage), on=config.layer_norm) for stage in range(config.levels)
        )
        self.heads = nn.ModuleList(heads)
        self.skips = nn.ModuleList(
            nn.Conv2d(config.skip_width(stage), config.decoder_width(stage), 1)
            for stage in range(config.levels if config.skips else 0)
        )
        for skip in self.skips:  # at first the network is the one without
            nn.init.zeros_(skip.weight)  # type: ignore[arg-type]
            nn.init.zeros_(skip.bias)  # type: ignore[arg-type]
        self.mixers = nn.ModuleList(Mixer(config.decoder_width(self.first_scale)) for _ in range(config.mixers))
        self.strengths = nn.ParameterList(  # of the noise: at first there is none
            nn.Parameter(torch.zeros(config.decoder_width(self.first_scale + k), 1, 1))
            for k in range(len(config.fine_channels))
        )
        self.attention = ATTENTIONS[config.attention](
            config.decoder_width(self.first_scale), config.encoder_width(config.long_term_level), spectral=spectral
        )

    def before_attention(self, z: Tensor, encoded: Encoded, fine: Sequence[Tensor] = ()) -> Tensor:
        """The decoder's features that attention works on, at f_e's resolution."""
        x: Tensor = self.entry(z) + encoded.features
        for stage in range(self.first_scale + 1):
            x = self._decode(x, stage, encoded, fine)
        return x

    def _decode(self, x: Tensor, stage: int, encoded: Encoded, fine: Sequence[Tensor]) -> Tensor:
        """Twice the side, what the known pixels have there, and noise."""
        x = self.decoders[stage](x)
        if len(self.skips):
            x = x + self.skips[stage](encoded.skips[stage])
        x = self.norms[stage](x)
        scale = stage - self.first_scale
        return x + (self.strengths[scale] * fine[scale]).to(x.dtype) if fine and scale >= 0 else x

    def forward(
        self, z: Tensor, encoded: Encoded, attention_hole: Tensor, fine: Sequence[Tensor] = ()
    ) -> list[Prediction]:
        """Pictures in [0,1], coarse to fine; attention_hole (B,1,h,w) is the soft hole at f_e's resolution.

        `fine`: noise (B,1,h,w) at the size of each picture, where the config has it; none is the most likely fill.
        """
        x = self.entry(z) + encoded.features  # (B, 128, H/32, W/32)
        pictures = []
        for stage in range(len(self.decoders)):
            x = self._decode(x, stage, encoded, fine)  # twice the side
            if stage == self.first_scale:
                x = self.attention(x, encoded.long_term, attention_hole)
                for mixer in self.mixers:
                    x = mixer(x, attention_hole)
            if stage >= self.first_scale:
                head = self.heads[stage - self.first_scale]
                if isinstance(head, FusionBlock):
                    picture = head(x, encoded.masked, encoded.hole)
                else:
                    picture = Prediction((torch.tanh(head(x)) + 1) / 2)
                pictures.append(picture)
                x = torch.cat([x, (2 * picture.image - 1).to(x.dtype)], 1)
        return pictures


class PICNet(nn.Module):
    """Encoder and generator behind the interface of `CompletionNet`."""

    def __init__(self, config: PICNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or PICNetConfig()
        self.encoder = Encoder(self.config)
        self.generator = Generator(self.config)
        if not (self.config.spectral_norm or self.config.instance_norm):
            initialise(self)
        else:
            for module in self.modules():
                if isinstance(module, ShortTermAttention):
                    module.start_as_released()

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return int(2**self.config.levels)

    @property
    def working_size(self) -> int:
        """Side in pixels of the squares that the network was made for."""
        return self.config.size

    def noise_shape(self, height: int, width: int) -> tuple[int, ...]:
        """(latent, height/32, width/32) for the published network; with `noise` more channels, for finer maps."""
        channels = self.config.latent + sum(self.config.fine_channels)
        return (channels, height // self.multiple, width // self.multiple)

    def see(self, image: Tensor, hole: Tensor) -> Tensor:
        """The encoder's input: visible pixels in [-1,1], holes at 0 (mid-grey); and the hole if the config says so."""
        masked = (2 * image - 1) * (1 - hole)
        return torch.cat([masked, hole], 1) if self.config.sees_hole else masked

    def gather(self, features: list[Tensor], image: Tensor, hole: Tensor) -> Encoded:
        """What the generator needs, from the feature pyramid of the visible pixels."""
        long_term = features[self.config.long_term_level]
        prior, masked = self.encoder.infer_prior(features[-1]), image * (1 - hole)
        return Encoded(prior, features[-1], long_term, masked, hole, self._skips(features, masked, hole))

    def _skips(self, features: list[Tensor], masked: Tensor, hole: Tensor) -> tuple[Tensor, ...]:
        """The encoder's features times the share of known pixels; at full size the masked photo and the hole."""
        if not self.config.skips:
            return ()
        known = [F.avg_pool2d(1 - hole, 2 ** (level + 1)) for level in range(len(features) - 1)]
        skips = [x * share.to(x.dtype) for x, share in zip(features[:-1], known, strict=True)]
        return (*reversed(skips), torch.cat([masked, hole], 1))

    def encode(self, image: Tensor, hole: Tensor) -> Encoded:
        """Visible pixels of image (B,3,H,W) in [0,1] to features and the prior p(z | I_m)."""
        return self.gather(self.encoder(self.see(image, hole)), image, hole)

    def infer(self, image: Tensor, hole: Tensor) -> tuple[Encoded, Normal]:
        """Both paths' inference in one pass of the encoder: `encode`, and the posterior q(z | I_c)."""
        batch = image.shape[0]
        both = torch.cat([self.see(image, hole), self.see(image, 1 - hole)])  # I_m, then I_c
        features = self.encoder(both)
        encoded = self.gather([f[:batch] for f in features], image, hole)
        return encoded, self.encoder.infer_posterior(features[-1][batch:])

    def generate(self, z: Tensor, encoded: Encoded, noise: Tensor | None = None) -> list[Prediction]:
        """Pictures at every scale, coarse to fine, for a latent z (B,latent,h,w).

        `noise` (B,*noise_shape): what lies beyond the latent's channels goes to the finer maps; None: nothing does.
        """
        pictures: list[Prediction] = self.generator(z, encoded, self._soft_hole(encoded), self._fine(noise))
        return pictures

    def _fine(self, noise: Tensor | None) -> list[Tensor]:
        """The maps (B,1,h,w) of noise, coarse to fine, each unfolded from its channels."""
        if noise is None or not self.config.noise:
            return []
        channels = self.config.fine_channels
        parts = torch.split(noise[:, self.config.latent :], list(channels), 1)
        return [F.pixel_shuffle(part, math.isqrt(count)) for part, count in zip(parts, channels, strict=True)]

    @staticmethod
    def _soft_hole(encoded: Encoded) -> Tensor:
        height, width = encoded.long_term.shape[-2:]
        return F.interpolate(encoded.hole, size=(height, width), mode="bilinear", align_corners=True)

    def attention_map(self, encoded: Encoded, noise: Tensor | None, row: int, column: int) -> Tensor:
        """Where the place under the pixel (row, column) looks while a fill is drawn: (B,H,W), for pictures.

        Each pixel has the weight of its place on the attention's coarser grid, whose weights sum to 1; see `look` in
        attention.py.
        """
        prior = encoded.prior
        z = prior.mean if noise is None else prior.sample(noise)
        x = self.generator.before_attention(z, encoded, self._fine(noise))
        height, width = encoded.hole.shape[-2:]
        place = (row * x.shape[2] // height, column * x.shape[3] // width)
        seen = self.generator.attention.look(x, self._soft_hole(encoded), *place)  # type: ignore[operator]
        return F.interpolate(seen[:, None], size=(height, width), mode="nearest")[:, 0]

    def decode(self, encoded: Encoded, noise: Tensor | None) -> Prediction:
        """One fill per picture: z = mean + std * noise, the mean alone where noise is None."""
        prior = encoded.prior
        pictures = self.generate(prior.mean if noise is None else prior.sample(noise), encoded, noise)
        return pictures[-1]._replace(scales=tuple(picture.image for picture in pictures[:-1]))

    def forward(self, image: Tensor, hole: Tensor, noise: Tensor | None = None) -> Prediction:
        """encode, then decode."""
        return self.decode(self.encode(image, hole), noise)
