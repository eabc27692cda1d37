"""What is minimised: networks, image and hole in; named, unweighted terms out.

An objective runs the networks once (`forward`), then gives the critics' terms and the generator's terms of that run.
Whatever is random comes in as `noise`, so that a step can be repeated exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from manyfill import losses
from manyfill.nets import Prediction
from manyfill.nets.dfnet import DFNet
from manyfill.nets.perceptual import Features
from manyfill.nets.picnet import Encoded, Normal, PICNet

Terms = dict[str, Tensor]


class Nets(nn.Module):
    """Everything that a training run holds: the completion network, its critics by name, frozen features."""

    def __init__(self, net: nn.Module, critics: Mapping[str, nn.Module], features: Features | None = None) -> None:
        super().__init__()
        self.net = net
        self.critics = nn.ModuleDict(critics)
        self.features = features


class Objective(Protocol):
    """What the training step needs."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Factor of every generator term; terms of weight 0 are not computed."""

    @property
    def critics(self) -> tuple[str, ...]:
        """Names of the critics that it trains."""

    def noise_shape(self, net: Any, size: int) -> tuple[int, ...] | None:
        """Shape of the noise that one picture consumes."""

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Any:
        """Run the networks once."""

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Any) -> Terms:
        """The critics' losses on detached completions; empty without critics."""

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Any) -> Terms:
        """The network's losses."""


def complete(prediction: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """completed = hole * prediction + known * image."""
    return hole * prediction + (1 - hole) * image


@dataclass(frozen=True)
class DualPathOutputs:
    """One run of both paths."""

    prior: Normal  # p_phi(z | I_m)
    posterior: Normal  # q_psi(z | I_c)
    reconstructive: list[Prediction]  # coarse to fine, from the posterior's sample
    generative: list[Prediction]  # coarse to fine, from the prior's sample
    is_mean: Tensor  # (B,1,1,1), 1 where the generative path decoded the prior's mean


@dataclass(frozen=True, kw_only=True)
class DualPath:
    """PICNet's objective (Zheng et al. 2019, eq. 5), both paths; terms beyond the paper have weight 0 by default.

    Appearance terms are in the paper's [-1,1] units. The first KL follows the release, KL(N_m || q); `kl_as_in_paper`
    turns it round. Ours, for the flagship: `hole_rec` is the reconstruction's error in the hole alone, so that the
    latent has much to say; `mean_share` of the pictures decode the prior's mean on the generative path, where `mean`
    compares the hole with the truth (samples stay free); `feature_rec` and `feature_mean` are perceptual terms of the
    reconstruction and of the mean; `style_gen` compares Gram statistics only, so that it cannot collapse the samples.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: {
            "kl_rec": 80.0,  # alpha_KL = 20, times 4 scales
            "kl_gen": 80.0,
            "appearance_rec": 20.0,
            "appearance_gen": 20.0,
            "adversarial_rec": 1.0,
            "adversarial_gen": 1.0,
        }
    )
    gan: str = "lsgan"
    kl_as_in_paper: bool = False
    composite_for_critic: bool = False  # the paper's critic sees the raw output; ours the completed picture
    mean_share: float = 0.0

    @property
    def critics(self) -> tuple[str, ...]:
        """The critics whose adversarial term has a weight."""
        pairs = {"gen": "adversarial_gen", "rec": "adversarial_rec"}
        return tuple(name for name, term in pairs.items() if self.weights.get(term))

    def noise_shape(self, net: PICNet, size: int) -> tuple[int, ...]:
        """Noise of the posterior, then of the prior, stacked on the channel axis."""
        channels, height, width = net.noise_shape(size, size)
        return (2 * channels, height, width)

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> DualPathOutputs:
        """Both paths in one pass of the encoder and one of the generator."""
        assert noise is not None, "the dual path samples: it needs noise"
        net = cast(PICNet, nets.net)
        posterior_noise, prior_noise = noise.chunk(2, 1)
        batch = image.shape[0]
        means = round(self.mean_share * batch)
        is_mean = (torch.arange(batch, device=image.device) < means).to(image.dtype).view(-1, 1, 1, 1)

        both = torch.cat([net.see(image, hole), net.see(image, 1 - hole)])  # I_m, then I_c
        features = net.encoder(both)
        encoded = net.gather([f[:batch] for f in features], image, hole)
        posterior = net.encoder.infer_posterior(features[-1][batch:])
        z = torch.cat([posterior.sample(posterior_noise), encoded.prior.sample(prior_noise * (1 - is_mean))])
        twice = Encoded(encoded.prior, *(torch.cat([x, x]) for x in encoded[1:]))
        pictures = net.generate(z, twice)
        return DualPathOutputs(
            encoded.prior,
            posterior,
            [_rows(p, slice(None, batch)) for p in pictures],
            [_rows(p, slice(batch, None)) for p in pictures],
            is_mean,
        )

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        """img_d and img_d_rec."""
        terms = {}
        for name, picture in self._judged(image, hole, out).items():
            critic = nets.critics[name]
            terms[f"critic_{name}"] = losses.gan_discriminator(critic(image), critic(picture.detach()), self.gan)
        return terms

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        """KL, appearance and adversarial terms of both paths, and ours where they have a weight."""
        known = 1 - hole
        q, p = out.posterior, out.prior
        std = losses.latent_prior_std(known.mean((1, 2, 3))).view(-1, 1, 1, 1).expand_as(q.std)
        zero = torch.zeros_like(std)
        to_prior = (q.mean, q.std, zero, std) if self.kl_as_in_paper else (zero, std, q.mean, q.std)
        fixed = (q.mean.detach(), q.std.detach())
        terms = {
            "kl_rec": losses.kl_normal(*to_prior).mean(),
            "kl_gen": losses.kl_normal(*fixed, p.mean, p.std).mean(),
            "appearance_rec": torch.zeros((), device=image.device),
            "appearance_gen": torch.zeros((), device=image.device),
        }
        for rec, gen in zip(out.reconstructive, out.generative, strict=True):
            size = rec.image.shape[-2:]
            target, visible = losses.resize_corners(image, *size), losses.resize_corners(known, *size)
            terms["appearance_rec"] = terms["appearance_rec"] + 2 * losses.l1(rec.image, target)
            terms["appearance_gen"] = terms["appearance_gen"] + 2 * losses.l1(gen.image, target, visible)
            if self.weights.get("hole_rec"):
                terms["hole_rec"] = terms.get("hole_rec", 0) + 2 * losses.l1_inside(rec.image, target, 1 - visible)
            if self.weights.get("mean"):
                inside = (1 - visible) * out.is_mean
                terms["mean"] = terms.get("mean", 0) + 2 * losses.l1_inside(gen.image, target, inside)
        judged = self._judged(image, hole, out)
        if "gen" in judged:
            terms["adversarial_gen"] = losses.gan_generator(nets.critics["gen"](judged["gen"]), self.gan)
        if "rec" in judged:  # feature matching on the critic's last map
            critic = nets.critics["rec"]
            terms["adversarial_rec"] = ((critic(judged["rec"]) - critic(image)) ** 2).mean()
        return terms | self._feature_terms(nets, image, hole, out)

    def _judged(self, image: Tensor, hole: Tensor, out: DualPathOutputs) -> dict[str, Tensor]:
        finest = {"gen": out.generative[-1].image, "rec": out.reconstructive[-1].image}
        if self.composite_for_critic:
            finest = {name: complete(picture, image, hole) for name, picture in finest.items()}
        return {name: finest[name] for name in self.critics}

    def _feature_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        wanted = [name for name in ("feature_rec", "feature_mean", "style_gen") if self.weights.get(name)]
        if not wanted:
            return {}
        assert nets.features is not None, f"{wanted} need a feature network"
        with torch.no_grad():
            truth = nets.features(image)
        terms: Terms = {}
        if "feature_rec" in wanted:
            rec = nets.features(complete(out.reconstructive[-1].image, image, hole))
            terms["feature_rec"] = losses.perceptual(rec, truth)
        if "feature_mean" in wanted or "style_gen" in wanted:
            gen = nets.features(complete(out.generative[-1].image, image, hole))
            if "style_gen" in wanted:
                terms["style_gen"] = losses.style(gen, truth)
            if "feature_mean" in wanted:
                mean = int(out.is_mean.sum())
                terms["feature_mean"] = losses.perceptual([f[:mean] for f in gen], [f[:mean] for f in truth])
        return terms


@dataclass(frozen=True, kw_only=True)
class Deterministic:
    """The rival without sampling (Zheng et al. 2019, fig. 2a): the prior's mean is decoded and compared with the truth.

    `appearance` is over the whole picture, `hole` over the hole alone, in [-1,1] units, both summed over scales;
    `feature` is a perceptual term of the completed picture. A quick start for the encoder and decoder of the sampling
    networks.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"appearance": 20.0, "adversarial": 1.0})
    gan: str = "lsgan"
    composite_for_critic: bool = False

    @property
    def critics(self) -> tuple[str, ...]:
        """One critic, where its term has a weight."""
        return ("gen",) if self.weights.get("adversarial") else ()

    def noise_shape(self, net: PICNet, size: int) -> None:
        """None: deterministic."""

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> list[Prediction]:
        """Predictions, coarse to fine."""
        net = cast(PICNet, nets.net)
        encoded = net.encode(image, hole)
        return net.generate(encoded.prior.mean, encoded)

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: list[Prediction]) -> Terms:
        """The critic's loss."""
        if not self.critics:
            return {}
        critic, fake = nets.critics["gen"], self._judged(image, hole, out).detach()
        return {"critic_gen": losses.gan_discriminator(critic(image), critic(fake), self.gan)}

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: list[Prediction]) -> Terms:
        """Appearance on every scale, and what else has a weight."""
        whole, inside = [], []
        for picture in out:
            size = picture.image.shape[-2:]
            target = losses.resize_corners(image, *size)
            whole.append(2 * losses.l1(picture.image, target))
            inside.append(2 * losses.l1_inside(picture.image, target, losses.resize_corners(hole, *size)))
        terms = {"appearance": torch.stack(whole).sum(), "hole": torch.stack(inside).sum()}
        if self.critics:
            terms["adversarial"] = losses.gan_generator(nets.critics["gen"](self._judged(image, hole, out)), self.gan)
        if self.weights.get("feature"):
            assert nets.features is not None, "the feature term needs a feature network"
            with torch.no_grad():
                truth = nets.features(image)
            drawn = nets.features(complete(out[-1].image, image, hole))
            terms["feature"] = losses.perceptual(drawn, truth)
        return terms

    def _judged(self, image: Tensor, hole: Tensor, out: list[Prediction]) -> Tensor:
        return complete(out[-1].image, image, hole) if self.composite_for_critic else out[-1].image


@dataclass(frozen=True, kw_only=True)
class StructureTexture:
    """DFNet's objective (Hong et al. 2019).

    Reconstruction on the structure levels; perceptual, style and TV on the texture levels. TV acts on the prediction;
    `tv_as_released` computes it on the target instead, a constant without gradient, as the release does.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: {"reconstruction": 6.0, "perceptual": 0.1, "style": 240.0, "tv": 0.1}
    )
    structure_levels: tuple[int, ...] = (0, 1, 2, 3, 4, 5)  # 0 = finest
    texture_levels: tuple[int, ...] = (0, 1, 2)
    tv_as_released: bool = False
    critics: tuple[str, ...] = ()

    def noise_shape(self, net: DFNet, size: int) -> None:
        """None: deterministic."""

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> list[Prediction]:
        """Predictions, finest first."""
        net = cast(DFNet, nets.net)
        return net.generate(net.encode(image, hole))[::-1]

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: list[Prediction]) -> Terms:
        """No critics in DFNet."""
        return {}

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: list[Prediction]) -> Terms:
        """L_rec over structure levels, L_per, L_sty and L_tv over texture levels; whole picture, no hole weighting."""
        targets = [losses.resize_plain(image, *p.image.shape[-2:]) for p in out]
        rec = [losses.l1(out[k].image, targets[k]) for k in self.structure_levels if k < len(out)]
        terms = {"reconstruction": torch.stack(rec).mean()}
        texture = [k for k in self.texture_levels if k < len(out)]
        if self.weights.get("perceptual") or self.weights.get("style"):
            assert nets.features is not None, "perceptual and style terms need a feature network"
            per, sty = [], []
            for k in texture:
                with torch.no_grad():
                    truth = nets.features(targets[k])
                drawn = nets.features(out[k].image)
                per.append(losses.perceptual(drawn, truth))
                sty.append(losses.style(drawn, truth))
            terms |= {"perceptual": torch.stack(per).mean(), "style": torch.stack(sty).mean()}
        if self.weights.get("tv"):
            tv = []
            for k in texture:
                picture = targets[k] if self.tv_as_released else out[k].image
                tv.append(losses.total_variation(picture, losses.resize_plain(1 - hole, *picture.shape[-2:])))
            terms["tv"] = torch.stack(tv).mean()
        return terms


def _rows(prediction: Prediction, rows: slice) -> Prediction:
    return Prediction(*(None if x is None else x[rows] for x in prediction[:3]))  # type: ignore[arg-type]
