"""The names that tensors have in the authors' checkpoints, and ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Each rule: pattern of a released name -> ours. The release registers most convolutions of PICNet twice; both names are
# read.

Rules = Iterable[tuple[str, str]]
_FIRST_BLOCK = [("model.0", "conv1"), ("model.2", "conv2"), ("shortcut.1", "bypass")]
_RES_BLOCK = [("model.1", "conv1"), ("model.3", "conv2"), ("shortcut.0", "bypass")]
_UP_BLOCK = [("model.0", "norm1"), ("model.2", "conv1"), ("model.3", "norm2"), ("model.5", "conv2"),
             ("shortcut.0", "bypass")]  # fmt: skip
_HEAD = [("model.2", "conv1")]


def _block(theirs: str, ours: str, layers: Rules) -> list[tuple[str, str]]:
    return [(rf"^{theirs}\.{re.escape(a)}\.", rf"{ours}.{b}.") for a, b in layers] + [(rf"^{theirs}\.", f"{ours}.")]


_SPECTRAL = [
    (r"\.module\.weight_bar$", ".weight"),
    (r"\.module\.weight_([uv])$", r".\1"),
    (r"\.module\.bias$", ".bias"),
]
ENCODER_NAMES = [
    *_block("block0", "blocks.0", _FIRST_BLOCK),
    *(rule for i in range(4) for rule in _block(f"encoder{i}", f"blocks.{i + 1}", _RES_BLOCK)),
    *(rule for i in range(6) for rule in _block(f"infer_prior{i}", f"infer.{i}", _RES_BLOCK)),
    *_block("prior", "prior", _RES_BLOCK),
    *_block("posterior", "posterior", _RES_BLOCK),
    *_SPECTRAL,
]
_ATTENTION = _block(r"attn\d\.model", "attention.model", _RES_BLOCK)
_ATTENTION += [(r"^attn\d\.query_conv\.", "attention.query."), (r"^attn\d\.", "attention.")]
GENERATOR_NAMES = [
    *_block("generator", "entry", _RES_BLOCK),
    *(rule for i in range(5) for rule in _block(f"decoder{i}", f"decoders.{i}", _UP_BLOCK)),
    *(rule for i in range(1, 5) for rule in _block(f"out{i}", f"heads.{i - 1}", _HEAD)),
    *_ATTENTION,
    *_SPECTRAL,
]
CRITIC_NAMES = [
    *_block("block0", "first", _FIRST_BLOCK),
    *(rule for i in range(4) for rule in _block(f"encoder{i}", f"blocks.{i}", _RES_BLOCK)),
    *_block("block1", "last", _RES_BLOCK),
    *_ATTENTION,
    (r"^conv\.(\d+\.)?", "score."),
    *_SPECTRAL,
]
DFNET_NAMES = [
    (r"^en_(\d+)\.encode\.0\.conv(\.1)?\.", r"encoder.\1.conv."),
    (r"^en_(\d+)\.encode\.1\.", r"encoder.\1.norm."),
    (r"^de_(\d+)\.decode\.0\.conv\.", r"decoder.\1.conv."),
    (r"^de_(\d+)\.decode\.1\.", r"decoder.\1.norm."),
    (r"^de_(\d+)\.up\.up\.trans_conv\.", r"decoder.\1.up."),
    (r"^fuse_(\d+)\.map2img\.0\.conv\.", r"fusion.\1.to_raw."),
    (r"^fuse_(\d+)\.blend\.blend\.(\d)\.(conv\.)?", r"fusion.\1.to_alpha.\2."),
]

# The way back, for messages: of two released names, the one that says what it is.
_UNSPECTRAL = [
    (r"(conv1|conv2|bypass|^conv)\.weight$", r"\1.module.weight_bar"),
    (r"(conv1|conv2|bypass|^conv)\.([uv])$", r"\1.module.weight_\2"),
    (r"(conv1|conv2|bypass|^conv)\.bias$", r"\1.module.bias"),
]
RELEASED_PICNET = [
    (r"^encoder\.blocks\.0\.", "block0."),
    *((rf"^encoder\.blocks\.{i + 1}\.", f"encoder{i}.") for i in range(4)),
    (r"^encoder\.infer\.(\d)\.", r"infer_prior\1."),
    (r"^encoder\.", ""),
    (r"^generator\.entry\.", "generator."),
    (r"^generator\.decoders\.(\d)\.norm1\.", r"decoder\1.model.0."),
    (r"^generator\.decoders\.(\d)\.norm2\.", r"decoder\1.model.3."),
    (r"^generator\.decoders\.(\d)\.", r"decoder\1."),
    *((rf"^generator\.heads\.{i - 1}\.", f"out{i}.") for i in range(1, 5)),
    (r"^generator\.attention\.query\.", "attn1.query_conv."),
    (r"^generator\.attention\.", "attn1."),
    *_UNSPECTRAL,
]
RELEASED_CRITIC = [
    (r"^first\.", "block0."),
    (r"^blocks\.(\d)\.", r"encoder\1."),
    (r"^last\.", "block1."),
    (r"^attention\.query\.", "attn2.query_conv."),
    (r"^attention\.", "attn2."),
    (r"^score\.", "conv."),
    *_UNSPECTRAL,
]
RELEASED_DFNET = [
    (r"^encoder\.(\d+)\.conv\.", r"en_\1.encode.0.conv.1."),
    (r"^encoder\.(\d+)\.norm\.", r"en_\1.encode.1."),
    (r"^decoder\.(\d+)\.conv\.", r"de_\1.decode.0.conv."),
    (r"^decoder\.(\d+)\.norm\.", r"de_\1.decode.1."),
    (r"^decoder\.(\d+)\.up\.", r"de_\1.up.up.trans_conv."),
    (r"^fusion\.(\d+)\.to_raw\.", r"fuse_\1.map2img.0.conv."),
    (r"^fusion\.(\d+)\.to_alpha\.([036])\.", r"fuse_\1.blend.blend.\2.conv."),
    (r"^fusion\.(\d+)\.to_alpha\.([14])\.", r"fuse_\1.blend.blend.\2."),
]


def rename(name: str, rules: Rules) -> str:
    """A tensor's name after all rules."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
