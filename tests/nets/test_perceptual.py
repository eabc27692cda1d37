"""Frozen features; parity of the pools with the stand-in VGG16 whose numbers the authors' DFNet fixture has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from parity import released
from safetensors.torch import save_file
from torch import Tensor
from torch.testing import assert_close

from manyfill import imagenet, losses
from manyfill.errors import BadWeights
from manyfill.nets.perceptual import (
    FEATURES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    VGG16,
    VGG16_INDICES,
    Chosen,
    Features,
    VGG16Pools,
    _Strided,
    vgg16_file,
)

WIDTHS = (4, 6, 5, 7, 8)  # of the stages of a tiny VGG16


def state(scale: float = 1.0) -> dict[str, Tensor]:
    """A tiny VGG16 in torchvision's layout, its classifier and all; the map of each layer is `scale` times larger."""
    generator = torch.Generator().manual_seed(0)
    tensors, channels, larger = {"classifier.0.weight": torch.zeros(2, 2)}, 3, 1.0
    for width, indices in zip(WIDTHS, VGG16_INDICES, strict=True):
        for index in indices:
            larger *= scale  # what comes in is larger already
            weight = torch.randn(width, channels, 3, 3, generator=generator)
            tensors[f"features.{index}.weight"] = scale * weight / (9 * channels) ** 0.5
            tensors[f"features.{index}.bias"] = larger * 0.3 * torch.rand(width, generator=generator)
            channels = width
    return tensors


def by_hand(tensors: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Map after every ReLU and every pooling."""
    maps = {}
    for stage, indices in enumerate(VGG16_INDICES, 1):
        for layer, index in enumerate(indices, 1):
            x = F.conv2d(x, tensors[f"features.{index}.weight"], tensors[f"features.{index}.bias"], padding=1).relu()
            maps[f"relu{stage}_{layer}"] = x
        x = maps[f"pool{stage}"] = F.max_pool2d(x, 2)
    return maps


@pytest.fixture(params=["vgg16-123.pth", "mine.safetensors"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    (torch.save if path.suffix == ".pth" else save_file)(state(), path)
    return path


def test_the_pools_are_those_of_the_picture_as_it_is(file: Path) -> None:
    image = torch.rand(2, 3, 32, 40)
    maps = by_hand(state(), image)
    for ours, name in zip(VGG16Pools(file)(image), ("pool1", "pool2", "pool3"), strict=True):
        assert_close(ours, maps[name])


def test_the_pools_are_those_of_the_authors_losses(tmp_path: Path) -> None:
    """The stand-in's terms equal the fixture's: test_objectives.py."""
    stand_in = released.StandInVGG16()
    convs = [layer for layer in stand_in.modules() if isinstance(layer, torch.nn.Conv2d)]
    tensors = {}
    for index, conv in zip((0, 2, 5, 7, 10, 12, 14), convs, strict=True):
        tensors |= {f"features.{index}.{kind}": value.clone() for kind, value in conv.named_parameters()}
    save_file(tensors, tmp_path / "stand-in.safetensors")
    image = released.dfnet_inputs(256)[0][..., :64, :64]
    with torch.no_grad():
        for ours, theirs in zip(VGG16Pools(tmp_path / "stand-in.safetensors")(image), stand_in(image), strict=True):
            assert torch.equal(ours, theirs)


def test_the_relu_maps_are_the_networks_own_up_to_one_factor_a_layer(file: Path) -> None:
    image = torch.rand(2, 3, 32, 40)
    normalised = (image - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    maps = by_hand(state(), normalised)
    for ours, name in zip(VGG16(file)(image), ("relu1_2", "relu2_2", "relu3_3", "relu4_3"), strict=True):
        assert_close(ours / ours.square().mean().sqrt(), maps[name] / maps[name].square().mean().sqrt())


def test_the_relu_maps_do_not_depend_on_the_size_of_the_weights(tmp_path: Path) -> None:
    image, found = torch.rand(2, 3, 64, 64), []
    for scale in (1.0, 50.0):
        save_file(state(scale), tmp_path / "vgg16.safetensors")
        found.append(VGG16(tmp_path / "vgg16.safetensors")(image))
    for small, large in zip(*found, strict=True):
        assert_close(small, large, rtol=1e-3, atol=1e-4)
        assert 0.2 < small.square().mean().sqrt() < 5


@pytest.mark.parametrize("kind", [VGG16, VGG16Pools])
def test_the_features_are_frozen_and_let_the_gradient_through(kind: type[VGG16], file: Path) -> None:
    features = kind(file).train()
    assert not features.training and not any(p.requires_grad for p in features.parameters())
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    with torch.no_grad():
        truth = features(torch.rand(1, 3, 32, 32))
    losses.perceptual(features(image), truth).backward()
    assert image.grad is not None and torch.isfinite(image.grad).all() and image.grad.any()
    assert all(p.grad is None for p in features.parameters())
    assert features.origin == f"{features.name} ({file.name})" and FEATURES[features.name] is kind


def test_weights_of_the_users_own_come_first_then_torchvisions_then_the_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MANYFILL_VGG16", raising=False)
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(BadWeights, match=r"no VGG16 weights.*manyfill fetch vgg16.*MANYFILL_VGG16"):
        VGG16()
    paths = [imagenet.kept("vgg"), tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth"]
    for path in [*paths, tmp_path / "mine.pth"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if path.name == "mine.pth":
            monkeypatch.setenv("MANYFILL_VGG16", str(path))
        assert vgg16_file() == path
    monkeypatch.setenv("MANYFILL_VGG16", str(tmp_path / "absent.pth"))
    with pytest.raises(BadWeights, match=r"absent\.pth, but there is no such file"):
        vgg16_file()


def test_fetched_weights_are_the_published_ones_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "absent")
    save_file(state(), imagenet.kept("vgg"))
    with pytest.raises(BadWeights, match=r"lpips-vgg\.safetensors does not hold the published numbers"):
        VGG16Pools()
    monkeypatch.setitem(imagenet.PUBLISHED, "vgg", imagenet.fingerprint(state()))
    image = torch.rand(1, 3, 32, 40)
    assert_close(VGG16Pools()(image)[0], by_hand(state(), image)["pool1"])
    assert VGG16Pools().origin == "vgg16-pools (lpips-vgg.safetensors)"


def test_a_file_that_is_no_vgg16_is_refused(tmp_path: Path) -> None:
    for name, content in (("cut.pth", b"PK"), ("cut.safetensors", b"1234"), ("text.pth", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadWeights, match=f"{name} cannot be read"):
            VGG16(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(BadWeights, match=r"list\.pth is not torchvision's vgg16: it holds a list"):
        VGG16(tmp_path / "list.pth")
    spoilt = {
        r"'features\.14\.weight' .* is missing": {k: v for k, v in state().items() if k != "features.14.bias"},
        r"'features\.5\.weight' \(from 4 channels.* has the shape \(6, 3, 3, 3\)": {
            **state(),
            "features.5.weight": torch.zeros(6, 3, 3, 3),
        },
        "nothing but zeros": {name: 0 * value for name, value in state().items()},
    }
    for message, tensors in spoilt.items():
        save_file(tensors, tmp_path / "spoilt.safetensors")
        with pytest.raises(BadWeights, match=message):
            VGG16(tmp_path / "spoilt.safetensors")


class Itself(Features):
    """The picture is its only map."""

    name, count = "itself", 1

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image]


def test_a_shifted_network_looks_from_every_offset_and_says_which() -> None:
    image = torch.arange(7.0 * 9).view(1, 1, 7, 9)
    look = Chosen(Itself(), None, None, shift=3)
    seen = set()
    for number in range(200):
        look.move(5, number)
        (crop,) = look(image)
        top, left = look.offset
        assert_close(crop, image[..., top : top + 4, left : left + 6], atol=0, rtol=0)
        seen.add(look.offset)
    assert seen == {(top, left) for top in range(4) for left in range(4)}
    again = Chosen(Itself(), None, None, shift=3)
    again.move(5, 199)
    assert again.offset == look.offset


@pytest.mark.parametrize(("side", "kernel"), [(16, 3), (15, 3), (16, 5)])
def test_a_strided_convolution_is_the_same_with_and_without_a_gradient(side: int, kernel: int) -> None:
    utils = pytest.importorskip("efficientnet_lite_pytorch.utils")
    conv = utils.Conv2dStaticSamePadding(4, 4, kernel, stride=2, groups=4, image_size=side)
    torch.manual_seed(0)
    image = torch.rand(2, 4, side, side, requires_grad=True)
    straight = image.detach().clone().requires_grad_()
    ours, theirs = _Strided(conv)(image), conv(straight)
    assert_close(ours, theirs)
    assert torch.equal(_Strided(conv)(image.detach()), conv(image.detach()))
    weight = torch.rand_like(theirs)
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    assert_close(image.grad, straight.grad)
