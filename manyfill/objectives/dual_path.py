"""PICNet's two paths: the flagship's objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from torch import Tensor

from manyfill import losses
from manyfill.nets import Prediction
from manyfill.nets.latent import Normal
from manyfill.nets.picnet import PICNet
from manyfill.objectives.objective import Nets, Terms, complete
from manyfill.objectives.terms import critic_terms, kl_to_size_prior, share_missing, take_mix


@dataclass(frozen=True)
class DualPathOutputs:
    """One run of both paths."""

    prior: Normal  # p_phi(z | I_m)
    posterior: Normal  # q_psi(z | I_c)
    reconstructive: list[Prediction]  # coarse to fine, from the posterior's sample
    generative: list[Prediction]  # coarse to fine, from the prior's sample
    is_mean: Tensor  # (B,1,1,1), 1 where the generative path decoded the prior's mean; those come first
    centre: list[Tensor] | None = None  # what the mean would have given the others, without gradient, coarse to fine
    mix: Tensor | None = None  # (B,1,1,1) in [0,1], for wgan-gp
    truths: Tensor | None = None  # (B,truths,3,S,S), what the hole may have held; the target first


@dataclass(frozen=True, kw_only=True)
class DualPath:
    """PICNet's objective (Zheng et al. 2019, eq. 5), both paths; terms beyond the paper have weight 0 by default.

    Appearance terms are in the paper's [-1,1] units. The first KL follows the release, KL(N_m || q); `kl_as_in_paper`
    turns it round. Ours, for the flagship: `hole_rec` is the reconstruction's error in the hole alone, so that the
    latent has much to say; `mean_share` of the pictures decode the prior's mean on the generative path, where `mean`
    compares the hole with the truth (samples stay free); `feature_rec` and `feature_mean` are perceptual terms of the
    reconstruction and of the mean; `style_gen` compares Gram statistics only, so that it cannot collapse the samples;
    `spread` asks samples to differ and `palette` to do so in the photo's own colours (see `_spread`, `_palette`).
    `truths` of each hole, more than one with labels of `manyfill label`: `mean` then compares with all of them, and
    `spread` asks samples to differ as the truths do; of holes that bring one alone it is a guess.
    `least_std` is added to both distributions' deviations in the KL terms (root of the sum of squares): a latent that
    is surer than that makes the KL of an unusual crop astronomic.
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
    critic_inside: bool = False  # the critic's scores count where the hole is; as published: everywhere alike
    mean_share: float = 0.0
    spread_share: float = 0.4
    least_std: float = 0.0
    plain_resize: bool = False  # targets of the coarser scales by pixel areas; as published: corner to corner
    truths: int = 1  # of each hole, that a step is shown
    samples: ClassVar[bool] = True
    feature_terms: ClassVar[tuple[str, ...]] = ("feature_rec", "feature_mean", "style_gen")
    terms: ClassVar[tuple[str, ...]] = (
        *("kl_rec", "kl_gen", "appearance_rec", "appearance_gen", "adversarial_rec", "adversarial_gen"),
        *("hole_rec", "mean", "spread", "palette", *feature_terms),
    )

    @property
    def critics(self) -> tuple[str, ...]:
        """The critics whose adversarial term has a weight."""
        pairs = {"gen": "adversarial_gen", "rec": "adversarial_rec"}
        return tuple(name for name, term in pairs.items() if self.weights.get(term))

    def noise_shape(self, net: PICNet, size: int) -> tuple[int, ...]:
        """Noise of the posterior, then of the prior, stacked on the channel axis; for wgan-gp one channel more."""
        channels, height, width = net.noise_shape(size, size)
        return (2 * channels + (self.gan == "wgan-gp"), height, width)

    def forward(
        self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None, truths: Tensor | None = None
    ) -> DualPathOutputs:
        """Both paths in one pass of the encoder and one of the generator."""
        noise, mix = take_mix(noise, self.gan)
        assert noise is not None, "the dual path samples: it needs noise"
        net = cast(PICNet, nets.net)
        posterior_noise, prior_noise = noise.chunk(2, 1)
        batch = image.shape[0]
        means = round(self.mean_share * batch)
        is_mean = (torch.arange(batch, device=image.device) < means).to(image.dtype).view(-1, 1, 1, 1)

        encoded, posterior = net.infer(image, hole)
        prior_noise = prior_noise * (1 - is_mean)
        z = torch.cat([posterior.sample(posterior_noise), encoded.prior.sample(prior_noise)])
        # noise of finer maps is for fills alone: what is compared with its truth pixel by pixel would silence it
        pictures = net.generate(z, encoded.twice(), torch.cat([torch.zeros_like(prior_noise), prior_noise]))
        centre = None
        if self.weights.get("spread"):
            with torch.no_grad():
                sampled = encoded.rows(slice(means, None))
                centre = [picture.image for picture in net.generate(sampled.prior.mean, sampled)]
        return DualPathOutputs(
            encoded.prior,
            posterior,
            [_rows(p, slice(None, batch)) for p in pictures],
            [_rows(p, slice(batch, None)) for p in pictures],
            is_mean,
            centre,
            mix,
            truths,
        )

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        """img_d and img_d_rec."""
        terms: Terms = {}
        counted = hole if self.critic_inside else None
        for name, picture in self._judged(image, hole, out).items():
            terms |= critic_terms(name, nets.critics[name], image, picture, self.gan, out.mix, counted)
        return terms

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        """KL, appearance and adversarial terms of both paths, and ours where they have a weight."""
        known = 1 - hole
        q, p = (self._unsure(normal) for normal in (out.posterior, out.prior))
        fixed = (q.mean.detach(), q.std.detach())
        terms = {
            "kl_rec": kl_to_size_prior(q, hole, as_in_paper=self.kl_as_in_paper),
            "kl_gen": losses.kl_normal(*fixed, p.mean, p.std).mean(),
            "appearance_rec": torch.zeros((), device=image.device),
            "appearance_gen": torch.zeros((), device=image.device),
        }
        for rec, gen in zip(out.reconstructive, out.generative, strict=True):
            size = rec.image.shape[-2:]
            target, visible = self._resized(image, *size), self._resized(known, *size)
            terms["appearance_rec"] = terms["appearance_rec"] + 2 * losses.l1(rec.image, target)
            terms["appearance_gen"] = terms["appearance_gen"] + 2 * losses.l1(gen.image, target, visible)
            if self.weights.get("hole_rec"):
                terms["hole_rec"] = terms.get("hole_rec", 0) + 2 * losses.l1_inside(rec.image, target, 1 - visible)
            if self.weights.get("mean"):
                inside = (1 - visible) * out.is_mean
                terms["mean"] = terms.get("mean", 0) + 2 * self._beside_truths(gen.image, target, inside, out.truths)
        judged = self._judged(image, hole, out)
        if "gen" in judged:
            critic = nets.critics["gen"]
            scores = critic(judged["gen"])
            counted = share_missing(critic, hole if self.critic_inside else None, scores)
            terms["adversarial_gen"] = losses.gan_generator(scores, self.gan, counted)
        if "rec" in judged:  # feature matching on the critic's last map
            critic = nets.critics["rec"]
            terms["adversarial_rec"] = ((critic(judged["rec"]) - critic(image)) ** 2).mean()
        if out.centre is not None:
            terms["spread"] = self._spread(image, hole, out)
        if self.weights.get("palette"):
            terms["palette"] = self._palette(image, hole, out)
        return terms | self._feature_terms(nets, image, hole, out)

    def _resized(self, x: Tensor, height: int, width: int) -> Tensor:
        return (losses.resize_plain if self.plain_resize else losses.resize_corners)(x, height, width)

    def _unsure(self, normal: Normal) -> Normal:
        return (
            Normal(normal.mean, torch.hypot(normal.std, normal.std.new_tensor(self.least_std)))
            if self.least_std
            else normal
        )

    def _beside_truths(self, picture: Tensor, target: Tensor, inside: Tensor, truths: Tensor | None) -> Tensor:
        """L1 of the hole to its truth, or the mean of it over several, whose least is their median."""
        if truths is None:
            return losses.l1_inside(picture, target, inside)
        others = [self._resized(truth, *picture.shape[-2:]) for truth in truths.unbind(1)]
        return torch.stack([losses.l1_inside(picture, other, inside) for other in others]).mean()

    def _spread(self, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Tensor:
        """How far samples are from straying from the mean as far as the truths do, on the two coarsest scales.

        After mode seeking (Mao et al. 2019), but calibrated, so that samples differ where the answer is open and agree
        where it is not: the goal is the truths' own distance from their mean, or, of a hole with one truth alone,
        `spread_share` of the mean's error.
        """
        assert out.centre is not None, "the spread term needs the mean's pictures"
        sampled = out.is_mean.flatten() == 0
        total = torch.zeros((), device=image.device)
        for centre, picture in list(zip(out.centre, out.generative, strict=True))[:2]:
            size = centre.shape[-2:]
            truth = self._resized(image, *size)[sampled]
            inside = self._resized(hole, *size)[sampled]
            area = 3 * inside.sum((1, 2, 3)).clamp(min=1)
            strayed = ((picture.image[sampled] - centre).abs() * inside).sum((1, 2, 3)) / area
            wanted = self.spread_share * ((truth - centre).abs() * inside).sum((1, 2, 3)) / area
            if out.truths is not None:
                several = out.truths[sampled]
                shrunk = self._resized(several.flatten(0, 1), *size).view(*several.shape[:3], *size)
                own, distinct = losses.own_spread(shrunk, inside)
                wanted = torch.where(distinct > 1, own, wanted)
            total = total + 2 * (wanted - strayed).abs().mean()
        return total

    def _palette(self, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Tensor:
        """Mean distance of each sampled colour in the hole to its photo's nearest known one, on two coarse scales.

        What stands in a hole may be anything, but rarely in a colour that the photo has nowhere.
        """
        total = torch.zeros((), device=image.device)
        sampled = out.is_mean.flatten() == 0
        image, hole = image[sampled], hole[sampled]
        for picture in out.generative[:2]:
            size = picture.image.shape[-2:]
            colours = self._resized(image, *size).flatten(2).transpose(1, 2)  # (B, N, 3)
            unknown = self._resized(hole, *size).flatten(1)  # (B, N)
            drawn = picture.image[sampled].flatten(2).transpose(1, 2)
            with torch.no_grad():
                apart = torch.cdist(drawn.float(), colours.float(), p=1).add_(12 * (unknown > 0.01).float()[:, None])
                least, place = apart.min(2, keepdim=True)
            like = colours.gather(1, place.expand(-1, -1, 3))
            nearest = (drawn.float() - like.float()).abs().mean(2)
            weight = unknown * (least[..., 0] < 12).float()  # else nothing is known
            total = total + 2 * (nearest * weight).sum() / weight.sum().clamp(min=1)
        return total

    def _judged(self, image: Tensor, hole: Tensor, out: DualPathOutputs) -> dict[str, Tensor]:
        finest = {"gen": out.generative[-1].image, "rec": out.reconstructive[-1].image}
        if self.composite_for_critic:
            finest = {name: complete(picture, image, hole) for name, picture in finest.items()}
        return {name: finest[name] for name in self.critics}

    def _feature_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: DualPathOutputs) -> Terms:
        wanted = [name for name in self.feature_terms if self.weights.get(name)]
        if not wanted:
            return {}
        assert nets.features is not None, f"{wanted} need a feature network"
        with torch.no_grad():
            truth = nets.features(losses.resize_plain(image, *out.generative[-1].image.shape[-2:]))
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


def _rows(prediction: Prediction, rows: slice) -> Prediction:
    return Prediction(*(None if x is None else x[rows] for x in prediction[:3]))  # type: ignore[arg-type]
