"""What a user asks of a fill: every value that cannot be meant is refused, whoever passes it on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict
from typing import Any

import numpy as np
import pytest

from manyfill.errors import BadMask, ManyfillError, TooLarge
from manyfill.options import MOST_FILLS, MOST_SEED, FillOptions, margins


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"n": 0}, ManyfillError, "n is 0; ask for at least one fill"),
        ({"n": MOST_FILLS + 1}, TooLarge, "n is 65; at most 64"),
        ({"n": 1.5}, ManyfillError, "n is 1.5; expected a whole number"),
        ({"seed": -1}, ManyfillError, f"seed is -1; expected 0 to {MOST_SEED}"),
        ({"seed": MOST_SEED + 1}, ManyfillError, "expected 0 to"),
        ({"seed": None}, ManyfillError, "seed is None"),
        ({"seed": "7"}, ManyfillError, "seed is '7'; expected a whole number"),
        ({"near": -3}, ManyfillError, "near is -3; expected 0 to"),
        ({"grow": -1}, ManyfillError, "grow is -1 and band 0"),
        ({"band": -2}, ManyfillError, "cannot be negative"),
        ({"diversity": 2.1}, ManyfillError, "diversity is 2.1"),
        ({"diversity": float("nan")}, ManyfillError, "diversity is nan"),
        ({"diversity": "1"}, ManyfillError, "diversity is '1'; expected a number"),
        ({"step": -0.1}, ManyfillError, "step is -0.1"),
        ({"texture": "much"}, ManyfillError, "texture is 'much'"),
        ({"texture": 1.01}, ManyfillError, "texture is 1.01"),
        ({"texture": None}, ManyfillError, "texture is None"),
        ({"max_memory": 0}, TooLarge, "max_memory is 0"),
        ({"polarity": "grey"}, BadMask, "mask polarity is 'grey'"),
        ({"polarity": "#12345"}, BadMask, "'#12345' is not a colour"),
        ({"polarity": None}, BadMask, "mask polarity is None"),
        ({"extend": "1,2,3"}, ManyfillError, "expected top,right,bottom,left"),
        ({"extend": "-1,0,0,0"}, ManyfillError, "expected top,right,bottom,left"),
        ({"extend": (1, 2.5, 3, 4)}, ManyfillError, "expected top,right,bottom,left"),
        ({"extend": None, "extend_to": "wide"}, ManyfillError, "such as 16:9"),
        ({"extend_to": "16:0"}, ManyfillError, "such as 16:9"),
        ({"extend": 5, "extend_to": "16:9"}, ManyfillError, "Give one"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message.replace("(", r"\(")):
        FillOptions(**given)


def test_bounds_themselves_are_allowed_and_nothing_can_be_changed_afterwards() -> None:
    options = FillOptions(n=64, seed=MOST_SEED, diversity=0, step=1, texture=0, near=0, polarity="#f0f", max_memory=1)
    with pytest.raises(FrozenInstanceError):
        options.n = 1  # type: ignore[misc]


def test_numbers_of_numpy_can_be_written_as_json() -> None:
    options = FillOptions(n=np.int64(2), seed=np.uint32(2**32 - 1), diversity=np.float32(0.5), texture=np.float64(0.25))
    again = json.loads(json.dumps(asdict(options)))
    assert (again["n"], again["seed"], again["diversity"], again["texture"]) == (2, 2**32 - 1, 0.5, 0.25)
    assert FillOptions(**again) == options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"extend": "0,25%,10px, 5"}, (0, 50, 10, 5)),
        ({"extend": 7}, (7, 7, 7, 7)),
        ({"extend": (1, "50%", np.int64(3), "4")}, (1, 100, 3, 4)),
        ({"extend": "10%"}, (10, 20, 10, 20)),
        ({"extend_to": "4:1"}, (0, 100, 0, 100)),
        ({"extend_to": "1:1"}, (50, 0, 50, 0)),
        ({"extend_to": "2.0:1"}, (0, 0, 0, 0)),
        ({"extend_to": "201:100"}, (0, 1, 0, 0)),
        ({}, (0, 0, 0, 0)),
    ],
)
def test_canvases_are_as_large_as_was_said(given: dict[str, Any], expected: tuple[int, ...]) -> None:
    options = FillOptions(**given)
    assert margins(options, 100, 200) == expected and options.extends == bool(given)
    assert FillOptions(**json.loads(json.dumps(asdict(options)))) == options


def test_auto_texture_is_what_the_model_says() -> None:
    assert [FillOptions().strength(default) for default in ("net", "photo")] == [0.0, 1.0]
    assert [FillOptions(texture=one).strength("net") for one in ("net", "photo", 0.3)] == [0.0, 1.0, 0.3]


def test_options_are_checked_without_torch_or_numpy() -> None:
    program = "import sys, manyfill.options; assert not {'torch', 'numpy', 'cv2', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
