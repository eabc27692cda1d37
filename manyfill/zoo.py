"""The models that come with the package, and what is known of each: origin, licence, size, measured results.

Facts only: nothing here needs torch. `weights.load` turns an entry into a network.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from . import fetchables
from .errors import UnknownModel

MODELS = Path(__file__).parent / "models"

DEFAULT = "pluralistic-fusion"  # of those that come with the package
AUTO = "auto"  # stands for the best that is installed: `default()`


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """One set of weights, by name."""

    name: str
    file: str  # under manyfill/models/
    sha256: str  # of the file, lower-case hex
    family: str  # the network's name in nets.families()
    licence: str  # SPDX, of the weights
    trained_on: str  # the photos, in words
    images_seen: int  # the training clock
    size: int  # of the file, bytes
    trunk: str | None = None  # one of `fetchables.FETCHABLES` that the file cannot do without
    measured: Mapping[str, float] = field(default_factory=dict)  # network alone on the val photos; docs/weights.md

    @property
    def path(self) -> Path:
        """Where the weights lie in this installation."""
        return MODELS / self.file

    @property
    def installed(self) -> bool:
        """Whether the file is there and, where it has a trunk, that was fetched and can be read (package onnx)."""
        readable = self.trunk is None or (fetchables.find(self.trunk).fetched and find_spec("onnx") is not None)
        return self.path.is_file() and readable


_DATA = "931 photos and textures of Debian packages, each under a free licence (docs/data/manifest.csv)"
_MORE_DATA = (
    "1,770 photos and textures, each under a free licence (docs/data/manifest.csv, manifest_more.csv, credits_more.csv)"
)

_MODELS = (
    Pretrained(
        name="fusion",
        file="fusion.safetensors",
        sha256="22a612955725fa4bd80226fe72c4479e4f01ffb88bf1a57c5ba41cf03ac4ae79",
        family="dfnet",
        licence="Apache-2.0",
        trained_on=_DATA,
        images_seen=26_368,
        size=9_412_144,
        measured={"hole_psnr": 19.77, "hole_l1": 20.27},
    ),
    Pretrained(
        name="pluralistic",
        file="pluralistic.safetensors",
        sha256="92aff3a3eb7943291302e7661c5d0915245b3f84bc3496439bdcba47a7914763",
        family="picnet",
        licence="Apache-2.0",
        trained_on=_DATA,
        images_seen=180_936,
        size=11_874_056,
        measured={"hole_psnr": 19.45, "hole_l1": 21.11, "hole_between_fills": 5.51},
    ),
    Pretrained(
        name="pluralistic-fusion",
        file="pluralistic-fusion.safetensors",
        sha256="680abc0163182a12d38d391ccb5e7880dd715333e11f65876a3acb650cc9e916",
        family="picnet",
        licence="Apache-2.0",
        trained_on=_DATA,
        images_seen=168_936,
        size=11_891_480,
        measured={"hole_psnr": 19.84, "hole_l1": 20.02, "hole_between_fills": 4.35},
    ),
    Pretrained(
        name="pluralistic-migan",
        file="pluralistic-migan.safetensors",
        sha256="9f3a4d3f2a7a3491c39c9638c0bc2da495b6ca3b784b54c1b1207b33f49347c6",
        family="adapter",
        licence="Apache-2.0",
        trained_on=_MORE_DATA,
        images_seen=5_928,
        size=2_848_404,
        trunk="migan",
        measured={},
    ),
)

ZOO: dict[str, Pretrained] = {model.name: model for model in _MODELS}


SUFFIXES = (".safetensors", ".onnx")  # of the files that can be models
PREFERRED = ("pluralistic-migan", DEFAULT)  # what "auto" takes: the first that is installed


def default(zoo: Mapping[str, Pretrained] = ZOO) -> str:
    """The name of the model that "auto" stands for on this machine."""
    return next((name for name in PREFERRED if name in zoo and zoo[name].installed), DEFAULT)


def file_of(model: str) -> Path | None:
    """The file that a model's name is; None for the name of one that is installed or fetched, and for fillers."""
    return Path(model) if Path(model).suffix.lower() in SUFFIXES else None


def find(name: str, zoo: Mapping[str, Pretrained] = ZOO) -> Pretrained:
    """Look a model up by its name; "auto" is `default()`.

    Raises UnknownModel, with the nearest name where one is near.
    """
    if name == AUTO:
        name = default(zoo)
    if name in zoo:
        return zoo[name]
    near = difflib.get_close_matches(name.lower(), [*zoo, *fetchables.models()], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise UnknownModel(f"no model '{name}'.{hint} All: manyfill models")
