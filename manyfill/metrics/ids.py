"""Can a linear classifier tell fills from photos? P-IDS and U-IDS, Zhao et al. 2021 (CoModGAN)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from manyfill.errors import MissingExtra


class Ids(NamedTuple):
    """Both in percent, higher is better."""

    paired: float  # P-IDS: fills that look more real than their own photo; 50 is as good as photos
    unpaired: float  # U-IDS: pictures on the wrong side; 50 at most


def ids(fills: Tensor, truths: Tensor) -> Ids:
    """P-IDS and U-IDS of features (N,D); row i of both is the same photo. Published with Inception's features only.

    A linear support vector machine is fitted to tell the two apart (scikit-learn's LinearSVC with its defaults and
    dual=False: squared hinge loss, C = 1, as the release) and is then asked about the pictures it was fitted to. With
    fewer pictures than features they can nearly always be parted, and both are 0: this needs thousands of photos. NaN
    without photos. Raises MissingExtra without scikit-learn, which comes with the evaluate extra.
    """
    assert fills.ndim == 2 and fills.shape == truths.shape, f"features {tuple(fills.shape)} and {tuple(truths.shape)}"
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise MissingExtra("P-IDS and U-IDS need the evaluate extra: pip install 'manyfill[evaluate]'") from error
    if not len(fills):
        return Ids(float("nan"), float("nan"))
    drawn, real = (rows.detach().cpu().double().numpy() for rows in (fills, truths))
    rows, labels = np.concatenate([real, drawn]), np.repeat([1, 0], len(real))
    machine = LinearSVC(dual=False).fit(rows, labels)
    wins = machine.decision_function(drawn) > machine.decision_function(real)
    return Ids(100 * float(wins.mean()), 100 * (1 - float(machine.score(rows, labels))))
