"""Distances between two sets of pictures by their features: Fréchet, kernel, and Inception's score.

Features are (N,D), one row a picture, from any network. With Inception's (`inception`) the three are FID, KID and IS;
with any other network they are other numbers and carry its name (`fd_eff`, `kd_eff`).
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from manyfill.download import cache_folder
from manyfill.errors import BadWeights

INCEPTION = "inception-2015-12-05.pt"  # FID's network as one TorchScript file, as NVlabs' StyleGAN2-ADA publishes it


class Frechet:
    """Count, mean and scatter of features, in float64, gathered batch by batch.

    Batches in any order, of any size, gathered in any number of processes and merged, give the same up to float64's
    rounding (Chan, Golub and LeVeque 1983). D features need D x D numbers, whatever the number of pictures.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self.scatter = torch.zeros(0, 0, dtype=torch.float64)  # sum of (x - mean)(x - mean)^T

    def update(self, features: Tensor) -> None:
        """Add the rows of (B,D)."""
        assert features.ndim == 2, f"features have the shape {tuple(features.shape)}, expected (B,D)"
        if not len(features):
            return
        rows = features.detach().cpu().double()
        mean = rows.mean(0)
        self._add(len(rows), mean, (rows - mean).T @ (rows - mean))

    def merge(self, other: Frechet) -> None:
        """Add what another one has gathered, in another process perhaps."""
        if other.count:
            self._add(other.count, other.mean, other.scatter)

    @property
    def covariance(self) -> Tensor:
        """(D,D), unbiased; NaN below two pictures."""
        if self.count < 2:
            return torch.full_like(self.scatter, torch.nan)
        return self.scatter / (self.count - 1)

    def _add(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if not self.count:
            self.count, self.mean, self.scatter = count, mean, scatter
            return
        assert mean.shape == self.mean.shape, f"{len(mean)} features, but those before had {len(self.mean)}"
        both = self.count + count
        apart = mean - self.mean
        self.scatter = self.scatter + scatter + torch.outer(apart, apart) * (self.count * count / both)
        self.mean = self.mean + apart * (count / both)
        self.count = both


def frechet_distance(a: Frechet, b: Frechet) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), Heusel et al. 2017; never negative, NaN below two pictures.

    With fewer pictures than features the covariances are singular: the number is still defined (the root is taken by
    eigenvalues, none below 0), but far too large, as either set misses most directions of the other. It is biased by
    the count at any count: compare only numbers from equal numbers of pictures, and prefer `kernel_distance` for few.
    """
    if a.count < 2 or b.count < 2:
        return float("nan")
    assert a.mean.shape == b.mean.shape, f"{len(a.mean)} and {len(b.mean)} features"
    # tr (A B)^(1/2) = sum of the singular values of A^(1/2) B^(1/2): symmetric roots, no complex numbers
    root = torch.linalg.svdvals(_root(a.covariance) @ _root(b.covariance)).sum()
    spread = a.covariance.trace() + b.covariance.trace() - 2 * root
    return max(float((a.mean - b.mean).square().sum() + spread), 0.0)


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def kernel_distance(x: Tensor, y: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> float:
    """Squared MMD with the kernel (x.y / D + 1)^3, unbiased, mean over subsets: KID's formula, Binkowski et al. 2018.

    x (N,D), y (M,D). Each of the seeded subsets draws `subset_size` rows of either side without putting back; where
    there are no more rows than that, all rows are taken, once. Unbiased, so it may be slightly negative, and sets of
    other sizes can be compared. NaN below two rows.
    """
    assert x.ndim == y.ndim == 2 and x.shape[1] == y.shape[1], f"features {tuple(x.shape)} and {tuple(y.shape)}"
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    size = min(subset_size, len(x), len(y))
    if size < 2:
        return float("nan")
    if subset_size >= max(len(x), len(y)):
        return _mmd(x, y)
    generator = torch.Generator().manual_seed(seed)
    draws = [
        _mmd(*(rows[torch.randperm(len(rows), generator=generator)[:size]] for rows in (x, y))) for _ in range(subsets)
    ]
    return sum(draws) / len(draws)


def _mmd(x: Tensor, y: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of (n,D) and (m,D), Gretton et al. 2012, eq. 3."""
    own = [(k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (_kernel(x, x), _kernel(y, y))]
    return float(own[0] + own[1] - 2 * _kernel(x, y).mean())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


class InceptionScore(NamedTuple):
    """Mean and standard deviation over the splits."""

    mean: float
    std: float


def inception_score(probabilities: Tensor, splits: int = 10) -> InceptionScore:
    """exp of the mean KL(p(y|x) || p(y)) per split, Salimans et al. 2016; mean and (population) deviation over splits.

    `probabilities` (N,K), rows adding up to 1, in the pictures' order: as the release does, consecutive pictures make a
    split. From 1 (all alike) to K. It knows nothing of the truth. Fewer pictures than splits: NaN.
    """
    assert probabilities.ndim == 2, f"probabilities have the shape {tuple(probabilities.shape)}, expected (N,K)"
    p = probabilities.detach().cpu().double()
    count = len(p)
    if count < splits:
        return InceptionScore(float("nan"), float("nan"))
    scores = []
    for k in range(splits):
        part = p[k * count // splits : (k + 1) * count // splits]
        entropy_all = torch.special.entr(part.mean(0)).sum()
        scores.append((entropy_all - torch.special.entr(part).sum(1).mean()).exp())
    found = torch.stack(scores)
    return InceptionScore(float(found.mean()), float(found.std(correction=0)))


class Inception:
    """FID's Inception-v3 (TensorFlow's of 2015-12-05) from its TorchScript file: features and classes.

    Takes pictures (B,3,H,W) in [0,1] of any size; the file's own code resizes them as TensorFlow did.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with warnings.catch_warnings():  # torch advises against TorchScript: it is how this network is published
                warnings.simplefilter("ignore", DeprecationWarning)
                self.net = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever a damaged archive raises
            raise BadWeights(
                f"{path} is not a TorchScript file ({type(error).__name__}). FID needs {INCEPTION} of StyleGAN2-ADA."
            ) from error

    @torch.no_grad()
    def features(self, picture: Tensor) -> Tensor:
        """(B,2048): the last pooling's, for `Frechet` and `kernel_distance`."""
        found: Tensor = self.net(_bytes(picture), return_features=True)
        return found

    @torch.no_grad()
    def probabilities(self, picture: Tensor) -> Tensor:
        """(B,1008): the classes', without the last bias, as the release's Inception score takes them."""
        found: Tensor = self.net(_bytes(picture), no_output_bias=True)
        return found


def inception(file: Path | str | None = None) -> Inception:
    """The network behind FID, KID, IS, P-IDS and U-IDS. Raises BadWeights, which says where to put its file.

    `file`; else $MANYFILL_INCEPTION; else inception-2015-12-05.pt in manyfill's cache folder.
    """
    own = file or os.environ.get("MANYFILL_INCEPTION")
    path = Path(own).expanduser() if own else cache_folder() / INCEPTION
    if not path.is_file():
        raise BadWeights(
            f"FID, KID and the Inception score need {INCEPTION} (TorchScript, published with StyleGAN2-ADA), and "
            f"{path} is not there. Put it there, or set MANYFILL_INCEPTION to it. Without it: fd_eff and kd_eff."
        )
    return Inception(path)


def _bytes(picture: Tensor) -> Tensor:
    return (picture * 255).round().clamp(0, 255).to(torch.uint8)
