"""The models that come with the package, and what is known of each: origin, licence, size, measured results.

Facts only: nothing here needs torch. `weights.load` turns an entry into a network.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import UnknownModel

MODELS = Path(__file__).parent / "models"

DEFAULT = "pluralistic-fusion"


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """One set of weights, by name."""

    name: str
    file: str  # under manyfill/models/
    sha256: str  # of the file, lower-case hex
    family: str  # the network's entry in nets.FAMILIES
    licence: str  # SPDX, of the weights
    trained_on: str  # the photos, in words
    images_seen: int  # the training clock
    size: int  # of the file, bytes
    measured: Mapping[str, float] = field(default_factory=dict)  # network alone on the val photos; docs/weights.md

    @property
    def path(self) -> Path:
        """Where the weights lie in this installation."""
        return MODELS / self.file


_DATA = "931 photos and textures of Debian packages, each under a free licence (docs/data/manifest.csv)"

_MODELS = (
    Pretrained(
        name="fusion",
        file="fusion.safetensors",
        sha256="633eae741da04c728b0dbc76a8a4a0704fbdf2c736674cd2543c17aa6883040a",
        family="dfnet",
        licence="Apache-2.0",
        trained_on=_DATA,
        images_seen=14_368,
        size=9_412_032,
        measured={"hole_psnr": 19.84, "hole_l1": 20.22},
    ),
    Pretrained(
        name="pluralistic",
        file="pluralistic.safetensors",
        sha256="d1d20622d3c227f6c3b1447d36290c41a6af1ff0a5f22e19f5edd387246f4c24",
        family="picnet",
        licence="Apache-2.0",
        trained_on=_DATA,
        images_seen=54_936,
        size=11_248_288,
        measured={"hole_psnr": 19.84, "hole_l1": 20.31, "hole_between_fills": 2.03},
    ),
    Pretrained(
        name="pluralistic-fusion",
        file="pluralistic-fusion.safetensors",
        sha256="12a65a45a608d13dc746f98f9152ef4515595aed3cdb6ac75ee308847c26e8b0",
        family="picnet",
        licence="Apache-2.0",
        trained_on=_DATA,
        images_seen=128_936,
        size=11_265_800,
        measured={"hole_psnr": 19.88, "hole_l1": 20.07, "hole_between_fills": 2.67},
    ),
)

ZOO: dict[str, Pretrained] = {model.name: model for model in _MODELS}


def find(name: str) -> Pretrained:
    """Look a model up by its name.

    Raises UnknownModel, with the nearest name where one is near.
    """
    if name in ZOO:
        return ZOO[name]
    near = difflib.get_close_matches(name.lower(), ZOO, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise UnknownModel(f"no model '{name}'.{hint} All: manyfill models")
