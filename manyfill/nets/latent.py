"""The latent's distribution, as encoders infer it and decoders sample it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Normal(NamedTuple):
    """An element-wise Gaussian over the latent, (B,latent,h,w) each."""

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """The reparametrised sample for standard normal noise of the same shape; channels beyond it are left alone."""
        return self.mean + self.std * noise[:, : self.mean.shape[1]]
