"""What every objective is: networks, image and hole in; named, unweighted terms out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from manyfill import losses
from manyfill.nets.perceptual import Features

Terms = dict[str, Tensor]


class Nets(nn.Module):
    """Everything that a training run holds: the completion network, its critics by name, frozen features."""

    def __init__(self, net: nn.Module, critics: Mapping[str, nn.Module], features: Features | None = None) -> None:
        super().__init__()
        self.net = net
        self.critics = nn.ModuleDict(critics)
        self.features = features


class Objective(Protocol):
    """What the training step needs.

    One with a field `truths` above 1 is shown that many truths of each hole: `forward` gets them as a fifth argument,
    (B,truths,3,S,S), the one of `image` first.
    """

    @property
    def weights(self) -> Mapping[str, float]:
        """Factor of every generator term; terms of weight 0 are not computed."""

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of all generator terms that it knows: a weight of another name is a mistake."""

    @property
    def samples(self) -> bool:
        """Whether it trains networks that sample; else those that give one fill."""

    @property
    def critics(self) -> tuple[str, ...]:
        """Names of the critics that it trains."""

    @property
    def feature_terms(self) -> tuple[str, ...]:
        """Names of the terms that need the feature network."""

    def noise_shape(self, net: Any, size: int) -> tuple[int, ...] | None:
        """Shape of the noise that one picture consumes."""

    def forward(self, nets: Nets, image: Tensor, hole: Tensor, noise: Tensor | None) -> Any:
        """Run the networks once."""

    def discriminator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Any) -> Terms:
        """The critics' losses on detached completions; empty without critics."""

    def generator_terms(self, nets: Nets, image: Tensor, hole: Tensor, out: Any) -> Terms:
        """The network's losses."""


def complete(prediction: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """completed = hole * prediction + known * image, at the prediction's size."""
    size = prediction.shape[-2:]
    image, hole = losses.resize_plain(image, *size), losses.resize_plain(hole, *size)
    return hole * prediction + (1 - hole) * image
