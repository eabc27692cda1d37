"""Make a deterministic inpainter pluralistic and seam-free: PICNet's dual path and DFNet's fusion on a frozen trunk.

The trunk draws; only what stands here is trained and shipped. A latent z, whose prior p(z | I_m) and posterior
q(z | I_c) are read off the trunk's own features of the visible and of the hidden pixels, modulates the coarse levels
of its synthesis; fusion blocks on its finest levels join the drawn picture to the photo. Modulations begin at zero, so
that an untrained adapter is the trunk. The latent is that of Zheng et al. 2019, the blend that of Hong et al. 2019.

    photo -> trunk's encoder -> prior / posterior -> z -> modulate the trunk's coarse levels -> trunk -> fusion -> fill
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill.nets import Prediction
from manyfill.nets.blocks import ResBlock
from manyfill.nets.fusion import shrink
from manyfill.nets.latent import Normal
from manyfill.nets.migan import MIGAN, MIGANConfig, Modulation
from manyfill.nets.migan import Encoded as Seen
from manyfill.nets.traits import Traits

NARROW = 0.1  # standard deviation that the posterior begins with: the synthesis can hear the latent at once
RIM = 8  # pixels of the network's picture, how deep into a hole fusion reaches
SURE = 4.0  # alpha's logit before training: 98 % of what the trunk drew, 2 % of the photo continued


class Trunk(Protocol):
    """What an adapter needs of a frozen network: another one is one file with these members."""

    config: MIGANConfig

    def encode(self, image: Tensor, hole: Tensor) -> Seen:
        """Visible pixels of image (B,3,H,W) in [0,1] to features, level by level."""

    def draw_level(
        self, k: int, x: Tensor, picture: Tensor | None, encoded: Seen, modulate: Modulation | None = None
    ) -> tuple[Tensor, Tensor]:
        """Features and picture, in [-1,1], of level k from those of level k + 1; `modulate` changes the features."""


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Enough to rebuild the adapter; the trunk comes from a file of its own."""

    trunk: MIGANConfig = field(default_factory=lambda: MIGANConfig(working=256))
    latent: int = 32  # channels of z
    latent_level: int = 5  # of the trunk's pyramid: z has 1/32 of the picture's side
    width: int = 96  # channels inside the adapter
    infer_blocks: int = 2  # residual blocks between the features of the visible pixels and the prior
    modulated: tuple[int, ...] = (4, 5, 6)  # levels of the synthesis that hear z: layout is theirs, detail the trunk's
    scales: int = 4  # output pictures, the finest at full size
    fusion_scales: int = 1  # how many of the finest end in the fusion block
    trained_from: int = 1  # the finest level that gradients pass: below it the trunk draws, and fusion alone learns
    alpha_channels: int = 3
    temperature: float = 1.0  # factor on the noise of a fill; training samples at 1
    views: bool = True  # fills of other seeds see the photo in other ways, too (views.py), as the trunk has one answer

    def __post_init__(self) -> None:
        if isinstance(self.trunk, dict):  # as a weights file's metadata holds it
            object.__setattr__(self, "trunk", MIGANConfig(**self.trunk))
        object.__setattr__(self, "modulated", tuple(self.modulated))
        levels = self.trunk.levels
        if not all(0 <= level < levels for level in (*self.modulated, self.latent_level)):
            raise ValueError(f"modulated {self.modulated} and latent_level {self.latent_level}: the trunk has {levels}")
        if not 1 <= self.fusion_scales <= self.scales <= levels or not 0 <= self.trained_from < self.scales:
            raise ValueError(f"fusion_scales {self.fusion_scales} and scales {self.scales}: expected 1 to {levels}")

    @property
    def size(self) -> int:
        """Side in pixels of the squares that it works on."""
        return self.trunk.working

    @property
    def traits(self) -> Traits:
        """Those of its trunk; in scenes half of the photo's texture is better than all or none (docs/adapters.md)."""
        return replace(self.trunk.traits, views=self.views, scene_texture=0.5)


class Encoded(NamedTuple):
    """What the synthesis needs of a photo."""

    prior: Normal  # p(z | I_m)
    skips: list[Tensor]
    deepest: Tensor
    masked: Tensor  # (B,3,H,W) in [0,1], black holes
    hole: Tensor  # (B,1,H,W)

    def rows(self, rows: slice) -> Encoded:
        """Those of some photos of the batch."""
        prior = Normal(self.prior.mean[rows], self.prior.std[rows])
        skips = [skip[rows] for skip in self.skips]
        return Encoded(prior, skips, self.deepest[rows], self.masked[rows], self.hole[rows])

    def twice(self) -> Encoded:
        """The batch two times over, for two latents of each photo; the prior as it is."""
        deepest, masked, hole = (torch.cat([x, x]) for x in (self.deepest, self.masked, self.hole))
        return Encoded(self.prior, [torch.cat([x, x]) for x in self.skips], deepest, masked, hole)


def at_level(x: Tensor, level: int) -> Tensor:
    """Means of squares: (B,C,H,W) at 1/2^level of its side."""
    return F.avg_pool2d(x, 2**level) if level else x


class LatentHead(nn.Module):
    """The trunk's features at the latent's level (and the hole there) to a Gaussian."""

    def __init__(self, channels: int, width: int, latent: int, blocks: int, level: int) -> None:
        super().__init__()
        self.level = level
        self.enter = nn.Conv2d(channels + 1, width, 1)
        self.blocks = nn.ModuleList(ResBlock(width, width, width, spectral=False) for _ in range(blocks))
        self.leave = nn.Conv2d(width, 2 * latent, 1)
        with torch.no_grad():
            self.leave.weight[latent:] = 0
            assert self.leave.bias is not None
            self.leave.bias.zero_()

    def forward(self, features: Tensor, hole: Tensor) -> Normal:
        """(B,C,h,w) and the hole (B,1,H,W) to N(mean, std^2), (B,latent,h,w) each."""
        x = self.enter(torch.cat([features, at_level(hole, self.level).to(features.dtype)], 1))
        for block in self.blocks:
            x = block(x)
        mean, spread = self.leave(x).float().chunk(2, 1)
        return Normal(mean, F.softplus(spread))


class Modulate(nn.Module):
    """features * (1 + scale) + shift, both from the features, the hole, and how far z is from the prior's mean.

    At the mean both are zero, whatever was learned: the trunk's own answer is the most likely one, and z says how
    others differ from it. Before training they are zero everywhere.
    """

    def __init__(self, channels: int, latent: int, width: int, level: int, latent_level: int) -> None:
        super().__init__()
        self.level, self.deeper = level, latent_level - level
        self.see = nn.Conv2d(channels + 1, width, 1)
        self.hear = nn.Conv2d(latent, width, 3, padding=1, bias=False)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, 2 * channels, 1, bias=False)
        nn.init.zeros_(self.leave.weight)

    def forward(self, features: Tensor, away: Tensor, hole: Tensor) -> Tensor:
        """Features (B,C,h,w), z less the prior's mean (B,latent,h',w') and the hole (B,1,H,W) to features."""
        missing = at_level(hole, self.level).to(features.dtype)
        heard = self.hear(away.to(features.dtype))
        if self.deeper > 0:
            heard = F.interpolate(heard, scale_factor=2**self.deeper, mode="bilinear", align_corners=False)
        elif self.deeper < 0:
            heard = F.avg_pool2d(heard, 2**-self.deeper)
        seen = self.see(torch.cat([features, missing], 1))
        told, untold = (F.leaky_relu(self.middle(F.leaky_relu(x, 0.1)), 0.1) for x in (seen + heard, seen))
        scale, shift = self.leave(told - untold).chunk(2, 1)
        modulated: Tensor = features * (1 + scale) + shift
        return modulated


class TrunkFusion(nn.Module):
    """DFNet's blend on a picture of the trunk: raw is that picture and a learned correction, alpha is learned.

    Both act near known pixels alone: deep inside the trunk's picture stands, as what smooths a seam blurs texture.
    The block sees pictures alone, so that one serves every scale. The photo under alpha is continued into the hole
    (`continued`): a black hole, as published, leaves alpha no choice there, while colours that continue the photo are
    right at the very rim.
    """

    def __init__(self, alpha_channels: int, width: int = 24) -> None:
        super().__init__()
        self.see = nn.Sequential(
            *(nn.Conv2d(7, width, 3, padding=1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(width, width, 3, padding=2, dilation=2), nn.LeakyReLU(0.2)),
        )
        self.correct = nn.Conv2d(width, 3, 3, padding=1)
        self.to_alpha = nn.Conv2d(width, alpha_channels, 3, padding=1)
        for last, bias in ((self.correct, 0.0), (self.to_alpha, SURE)):
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.constant_(last.bias, bias)

    def forward(self, drawn: Tensor, photo: Tensor, hole: Tensor) -> Prediction:
        """The trunk's picture and the continued photo, (B,3,h,w) in [0,1] each, and the hole (B,1,h,w)."""
        with torch.autocast(
            drawn.device.type, enabled=False
        ):  # bf16's gradients of seven channels are NaN on some CPUs
            seen = self.see(torch.cat([drawn, photo, hole], 1).float())
            near = near_known(hole)
            raw = drawn + near * self.correct(seen)
            alpha = 1 - near * torch.sigmoid(-self.to_alpha(seen))
        return Prediction(alpha * raw + (1 - alpha) * photo, alpha, raw)


def near_known(hole: Tensor) -> Tensor:
    """1 at known pixels and at the rim of the hole (B,1,H,W), down to 0 at RIM pixels from it."""
    known = F.avg_pool2d(1 - hole, 2 * RIM + 1, stride=1, padding=RIM, count_include_pad=False)
    return (2 * known).clamp(max=1)


def continued(masked: Tensor, hole: Tensor, levels: int) -> Tensor:
    """The photo (B,3,H,W) with its hole filled from what is known near by: means of 2x2, level by level, and back.

    H and W must be multiples of 2^levels. Where nothing near is known even on the last level: the mean of all that is.
    """
    known = 1 - hole
    if levels == 0:
        mean = (masked * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1e-6)
        return masked * known + mean * hole
    weight = F.avg_pool2d(known, 2)
    means = F.avg_pool2d(masked * known, 2) / weight.clamp(min=1e-6)
    far = continued(means * (weight > 0), (weight <= 0).to(masked.dtype), levels - 1)
    far = F.interpolate(far, scale_factor=2, mode="bilinear", align_corners=False)
    return masked * known + far * hole


class PluralisticTrunk(nn.Module):
    """A frozen trunk with an adapter, behind the interface of `CompletionNet`; the parts that train are `adapter`."""

    def __init__(self, config: AdapterConfig | None = None) -> None:
        super().__init__()
        self.config = config or AdapterConfig()
        trunk = self.config.trunk
        self.trunk = MIGAN(trunk).requires_grad_(False)
        self.trunk_sha256 = ""  # of the file that its weights came from
        deep, latent, width = trunk.channels(self.config.latent_level), self.config.latent, self.config.width
        self.prior = LatentHead(deep, width, latent, self.config.infer_blocks, self.config.latent_level)
        self.posterior = LatentHead(deep, width, latent, 1, self.config.latent_level)
        spread = self.posterior.leave.bias
        assert spread is not None
        nn.init.constant_(spread[latent:], math.log(math.expm1(NARROW)))
        self.modulations = nn.ModuleDict(
            {
                str(level): Modulate(trunk.channels(level), latent, width, level, self.config.latent_level)
                for level in self.config.modulated
            }
        )
        self.fusion = TrunkFusion(self.config.alpha_channels)

    def adapter_state(self) -> dict[str, Tensor]:
        """The trained tensors alone: what is saved and shipped."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("trunk.")}

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return self.config.trunk.multiple

    @property
    def working_size(self) -> int:
        """Side in pixels of the squares that the network is shown."""
        return self.config.size

    def noise_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(latent, height/32, width/32) for the published sizes."""
        side = 2**self.config.latent_level
        return (self.config.latent, height // side, width // side)

    def encode(self, image: Tensor, hole: Tensor) -> Encoded:
        """Visible pixels of image (B,3,H,W) in [0,1] to the trunk's features and the prior p(z | I_m)."""
        with torch.no_grad():
            seen = self.trunk.encode(image, hole)
        prior = self.prior(seen.skips[self.config.latent_level], hole)
        return Encoded(prior, *seen)

    def infer(self, image: Tensor, hole: Tensor) -> tuple[Encoded, Normal]:
        """Both paths' inference: `encode`, and q(z | I_c) from the trunk's features of the hidden pixels."""
        with torch.no_grad():
            hidden = self.trunk.encode(image, 1 - hole).skips[self.config.latent_level]
        return self.encode(image, hole), self.posterior(hidden, hole)

    def generate(self, z: Tensor, encoded: Encoded, noise: Tensor | None = None) -> list[Prediction]:
        """Pictures at `scales` levels, coarse to fine, for a latent z (B,latent,h,w); all noise is the latent's."""
        hole = encoded.hole
        mean = encoded.prior.mean
        away = z - (mean if len(mean) == len(z) else torch.cat([mean, mean]))  # both paths' latents: `twice`

        def modulate(features: Tensor, level: int) -> Tensor:
            name = str(level)
            if name not in self.modulations:
                return features
            changed: Tensor = self.modulations[name](features, away, hole)
            return changed

        seen = Seen(encoded.skips, encoded.deepest, encoded.masked, hole)
        photo = continued(encoded.masked, hole, self.multiple.bit_length() - 1)
        x, picture, pictures = seen.deepest, None, []
        for level in reversed(range(self.config.trunk.levels)):
            learning = torch.is_grad_enabled() and level >= self.config.trained_from
            with torch.set_grad_enabled(learning):
                x, picture = self.trunk.draw_level(level, x, picture, seen, modulate)
            if level >= self.config.scales:
                continue
            drawn = (picture.float() + 1) / 2  # (B, 3, H/2^level, W/2^level)
            if level < self.config.fusion_scales:
                size = drawn.shape[-2:]
                pictures.append(self.fusion(drawn, shrink(photo, *size), shrink(hole, *size)))
            else:
                pictures.append(Prediction(drawn))
        return pictures

    def decode(self, encoded: Encoded, noise: Tensor | None) -> Prediction:
        """One fill per picture: z = mean + std * noise, the mean alone where noise is None."""
        prior = encoded.prior
        z = prior.mean if noise is None else prior.sample(self.config.temperature * noise)
        pictures = self.generate(z, encoded)
        finest = pictures[-1]
        raw = None if finest.raw is None else finest.raw.clamp(0, 1)
        scales = tuple(picture.image.clamp(0, 1) for picture in pictures[:-1])
        return Prediction(finest.image.clamp(0, 1), finest.alpha, raw, scales)

    def forward(self, image: Tensor, hole: Tensor, noise: Tensor | None = None) -> Prediction:
        """encode, then decode."""
        return self.decode(self.encode(image, hole), noise)
