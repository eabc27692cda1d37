"""The completion networks and what they have in common.

A completion network is any module with the members of `CompletionNet`; `families()` maps the family name that a weights
file carries to its config and its module. Images are (B,3,H,W) in [0,1], holes (B,1,H,W) with 1 = missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

if TYPE_CHECKING:
    from manyfill.nets.adapter import AdapterConfig
    from manyfill.nets.dfnet import DFNetConfig
    from manyfill.nets.migan import MIGANConfig
    from manyfill.nets.near import Area
    from manyfill.nets.picnet import PICNetConfig


class Prediction(NamedTuple):
    """What a network drew at one scale; `image` is the fused picture where the scale has a fusion block."""

    image: Tensor  # (B,3,H,W) in [0,1]
    alpha: Tensor | None = None  # (B,1|3,H,W) in [0,1], how much of `raw` went in; fusion blocks only
    raw: Tensor | None = None  # (B,3,H,W) in [0,1], before fusion
    scales: tuple[Tensor, ...] = ()  # coarser pictures (B,3,h,w), small to large


@runtime_checkable
class CompletionNet(Protocol):
    """What the completer needs of a network: encode once per photo, decode once per fill."""

    config: PICNetConfig | DFNetConfig | MIGANConfig | AdapterConfig

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""

    @property
    def working_size(self) -> int:
        """Side in pixels of the squares that the network was made for."""

    def noise_shape(self, height: int, width: int) -> tuple[int, ...] | None:
        """Shape, without the batch, of the standard normal noise for one picture; None for a deterministic network."""

    def encode(self, image: Tensor, hole: Tensor) -> Any:
        """Image (B,3,H,W) in [0,1] and hole (B,1,H,W) to what `decode` needs; never looks under the hole."""

    def decode(self, encoded: Any, noise: Tensor | None) -> Prediction:
        """One fill per picture: draws no random numbers and does not composite."""


class NearNet(CompletionNet, Protocol):
    """A deterministic network that draws a part of a picture, such as a hole's surroundings, in less time."""

    draws_near: bool

    def boxes_near(self, area: Area, height: int, width: int) -> Tensor:
        """What `draw_near` needs to know of an area (top, left, bottom, right) of pictures of this size."""

    def draw_near(self, encoded: Any, near: Tensor) -> Prediction:
        """The area and what surrounds it alone; can be traced for all areas at once."""

    def put_near(self, drawn: Prediction, masked: Tensor, near: Tensor, area: Area) -> Prediction:
        """What `draw_near` drew, as a whole picture: the masked photo around the area."""

    def decode_near(self, encoded: Any, area: Area) -> Prediction:
        """`decode`, right in the area alone."""


MORE: dict[str, tuple[type[Any], type[Any]]] = {}  # families that plug-ins have added (plugins.add_network)


def families() -> dict[str, tuple[type[Any], type[Any]]]:
    """Family name to (config class, network class): one line to add a family."""
    from manyfill.nets.adapter import AdapterConfig, PluralisticTrunk
    from manyfill.nets.dfnet import DFNet, DFNetConfig
    from manyfill.nets.migan import MIGAN, MIGANConfig
    from manyfill.nets.picnet import PICNet, PICNetConfig

    return {
        "picnet": (PICNetConfig, PICNet),
        "dfnet": (DFNetConfig, DFNet),
        "migan": (MIGANConfig, MIGAN),
        "adapter": (AdapterConfig, PluralisticTrunk),
        **MORE,
    }
