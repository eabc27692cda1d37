"""What networks want of those who run them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from manyfill.completer import NetDrawer
from manyfill.nets.adapter import AdapterConfig
from manyfill.nets.dfnet import DFNetConfig
from manyfill.nets.migan import MIGANConfig
from manyfill.nets.picnet import PICNetConfig
from manyfill.nets.traits import Traits, traits_of

TRUNK = MIGANConfig(size=32, width=8, max_width=16, working=32)
ADAPTER = AdapterConfig(trunk=TRUNK, latent_level=2, modulated=(1, 2), scales=3)
TAKES = {"torch": 1 << 20, "openvino-f32": 3 << 20, "openvino-bf16": 2 << 20}  # of 32 pixels


class Net:
    def __init__(self, config: Any) -> None:
        self.config = config


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PICNetConfig(), Traits()),
        (DFNetConfig(), Traits()),
        (None, Traits()),
        (TRUNK, Traits(square=True, bf16=True, takes=TAKES)),
        (ADAPTER, Traits(square=True, bf16=True, views=True, scene_texture=0.5, takes=TAKES)),
        (replace(ADAPTER, views=False), Traits(square=True, bf16=True, scene_texture=0.5, takes=TAKES)),
    ],
)
def test_each_family_says_what_it_wants_and_the_papers_want_nothing(config: Any, expected: Traits) -> None:
    net: Any = Net(config)
    assert traits_of(net) == expected
    drawer = NetDrawer(net)
    assert drawer.traits == expected and drawer.scene_texture == expected.scene_texture


def test_a_config_that_calls_something_else_traits_is_found_at_once() -> None:
    @dataclass(frozen=True)
    class Other:
        traits: tuple[str, ...] = ("square",)

    with pytest.raises(TypeError, match=r"Other\.traits is a tuple; expected Traits"):
        traits_of(Net(Other()))  # type: ignore[arg-type]


def test_what_a_large_network_takes_is_in_the_estimate_and_counted_once_where_it_is_kept() -> None:
    drawer = NetDrawer(Net(replace(ADAPTER, trunk=MIGANConfig())))  # type: ignore[arg-type]
    assert drawer.takes == 300 << 20 and NetDrawer(Net(PICNetConfig())).takes == 0  # type: ignore[arg-type]
    drawer.drew = True
    assert drawer.takes == 300 << 20  # torch hands it back
