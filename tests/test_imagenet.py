"""The published networks are told by their numbers, whatever file they are kept in."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from manyfill import imagenet
from manyfill.download import cache_folder
from manyfill.errors import BadWeights


def test_a_fingerprint_covers_names_shapes_and_values() -> None:
    tensors = {"b": torch.tensor([1.0, 2.0]), "a": torch.zeros(1, 2)}
    by_hand = hashlib.sha256(b"a (1, 2)\n" + bytes(8) + b"b (2,)\n" + b"\0\0\x80\x3f\0\0\0\x40").hexdigest()
    assert imagenet.fingerprint(tensors) == by_hand
    assert imagenet.fingerprint(dict(reversed(tensors.items()))) == by_hand
    strided = torch.tensor([1.0, 9.0, 2.0, 9.0])[::2]
    assert imagenet.fingerprint({**tensors, "b": strided}) == by_hand
    others = [
        {**tensors, "b": torch.tensor([1.0, 2.0000002])},
        {**tensors, "a": torch.zeros(2, 1)},
        {"b": tensors["b"], "c": tensors["a"]},
        {"b": tensors["b"]},
    ]
    assert len({by_hand, *map(imagenet.fingerprint, others)}) == 5


def test_only_the_published_numbers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert imagenet.kept("vgg").parent == cache_folder()
    with pytest.raises(BadWeights, match=r"lpips-vgg\.safetensors, is not in the cache.*manyfill fetch lpips"):
        imagenet.read("vgg")
    tensors = {"features.0.bias": torch.arange(3.0)}
    save_file(tensors, imagenet.kept("vgg"))
    with pytest.raises(BadWeights, match=r"does not hold the published numbers\. Delete it"):
        imagenet.read("vgg")
    monkeypatch.setitem(imagenet.PUBLISHED, "vgg", imagenet.fingerprint(tensors))
    assert torch.equal(imagenet.read("vgg")["features.0.bias"], tensors["features.0.bias"])
    imagenet.kept("vgg").write_bytes(b"cut")
    with pytest.raises(BadWeights, match=r"cannot be read \(.*\)\. Fetch it again"):
        imagenet.read("vgg")
