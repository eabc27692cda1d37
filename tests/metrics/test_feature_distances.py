"""Feature distances by hand and against torchmetrics' LPIPS on random weights; crops around holes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.testing import assert_close
from torchmetrics.functional.image import lpips as theirs

from manyfill import imagenet
from manyfill.errors import BadWeights
from manyfill.metrics.perceptual import Lpips, feature_distance, hole_crop, lpips, unit

ALEX = [
    (0, 3, 64, 11, 4, 2),
    (3, 64, 192, 5, 1, 2),
    (6, 192, 384, 3, 1, 1),
    (8, 384, 256, 3, 1, 1),
    (10, 256, 256, 3, 1, 1),
]
VGG = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512]  # 0: pooling


def torchvisions(kind: str) -> nn.Sequential:
    """`features` of torchvision's alexnet and vgg16, written from their papers' tables, with random weights."""
    layers: list[nn.Module] = []
    if kind == "alex":
        for index, *shape in ALEX:
            layers += [nn.Conv2d(*shape), nn.ReLU()]
            if index in (0, 3, 10):
                layers.append(nn.MaxPool2d(3, 2))
    else:
        channels = 3
        for width in VGG:
            layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU()] if width else [nn.MaxPool2d(2, 2)]
            channels = width or channels
    return nn.Sequential(*layers)


def state_of(features: nn.Sequential) -> dict[str, Tensor]:
    """As torchvision's file names them, classifier and all."""
    return {f"features.{name}": tensor for name, tensor in features.state_dict().items()} | {
        "classifier.1.weight": torch.zeros(2, 2)
    }


def two_maps(picture: Tensor) -> Sequence[Tensor]:
    """A stand-in for a network: the picture, and its 2 x 2 means less a half."""
    return picture, F.avg_pool2d(picture, 2) - 0.5


def rounded(*shape: int, seed: int = 0) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 255).round() / 255


def test_the_distance_by_hand() -> None:
    """Unit vectors at right angles are 2 apart, opposite ones 4, equal ones 0, a zero vector and a unit one 1."""
    a, b = torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 4)
    a[0, 0] = torch.tensor([5.0, 2.0, 0.1, 0.0])
    b[0, 0], b[0, 1, 0, 1] = torch.tensor([3.0, 0.0, -0.7, 4.0]), 1.0

    def features(picture: Tensor) -> list[Tensor]:
        return [picture, 2 * picture]

    assert feature_distance(features, a, b).item() == pytest.approx(2 * (0 + 2 + 4 + 1) / 4)
    hole = torch.tensor([0.0, 1, 1, 0]).view(1, 1, 1, 4)
    assert feature_distance(features, a, b, hole).item() == pytest.approx(2 * (2 + 4) / 2)
    weights = [torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 10.0, 0.0])]
    assert feature_distance(features, a, b, hole, weights=weights).item() == pytest.approx((1 + 4) / 2 + (10 + 0) / 2)


def test_places_at_the_rim_count_as_far_as_the_hole_covers_them() -> None:
    a, b = rounded(1, 3, 4, 4), rounded(1, 3, 4, 4, seed=1)
    hole = torch.zeros(1, 1, 4, 4)
    hole[..., :3] = 1  # covers the coarse map's left places whole and its right ones by half
    apart = (unit(two_maps(a)[1]) - unit(two_maps(b)[1])).square().sum(1)[0]
    coarse = (apart[:, 0] * 1 + apart[:, 1] * 0.5).sum() / 3
    fine = (unit(a) - unit(b)).square().sum(1)[0, :, :3].mean()
    assert feature_distance(two_maps, a, b, hole).item() == pytest.approx(float(coarse + fine), rel=1e-5)


def test_empty_full_and_batched_holes() -> None:
    a, b = rounded(3, 3, 6, 10), rounded(3, 3, 6, 10, seed=1)
    hole = torch.ones(3, 1, 6, 10)
    hole[0] = 0
    hole[1, :, :, 5:] = 0
    found = feature_distance(two_maps, a, b, hole)
    assert found.dtype == torch.float64 and found.isnan().tolist() == [True, False, False]
    assert_close(found[2], feature_distance(two_maps, a, b)[2])
    alone = [feature_distance(two_maps, a[k : k + 1], b[k : k + 1], hole[k : k + 1]) for k in (1, 2)]
    assert_close(torch.cat(alone), found[1:])
    assert feature_distance(two_maps, a, a).tolist() == [0, 0, 0]


def test_a_nearer_picture_has_a_smaller_distance_and_no_graph_is_kept() -> None:
    truth = rounded(1, 3, 12, 16)
    other = rounded(1, 3, 12, 16, seed=1)
    pictures = [torch.lerp(truth, other, share).requires_grad_() for share in (0.2, 0.5, 1.0)]
    numbers = torch.cat([feature_distance(two_maps, picture, truth) for picture in pictures])
    assert (numbers.diff() > 0).all() and not numbers.requires_grad


@pytest.mark.parametrize("kind", ["alex", "vgg"])
def test_lpips_is_that_of_torchmetrics_on_the_same_random_backbone_and_its_heads(
    kind: Literal["alex", "vgg"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its network with its own heads; only torchvision, which it would take the layers from, is stood in for."""
    torch.manual_seed(0)
    backbone = torchvisions(kind)
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda net, pretrained=False: backbone)
    network = theirs._LPIPS(pretrained=True, net=kind, pnet_rand=True)
    heads = torch.load(Path(theirs.__file__).with_name("lpips_models") / f"{kind}.pth", map_location="cpu")
    ours = Lpips(kind, state_of(backbone), heads)
    a, b = rounded(2, 3, 70, 64), rounded(2, 3, 70, 64, seed=1)
    expected = network(a, b, normalize=True).flatten().double()
    assert (expected > 0).all()
    # torchmetrics adds 1e-8 to squared lengths, the release and we 1e-10 to lengths: it shows where maps are tiny
    assert_close(ours(a, b), expected, rtol=1e-5, atol=0)
    assert_close(ours(a, b, torch.ones(2, 1, 70, 64)), ours(a, b), rtol=1e-6, atol=0)
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_lpips_takes_the_published_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published file is not at hand here: another one is declared to be it."""
    with pytest.raises(BadWeights, match=r"lpips-alex\.safetensors, is not in the cache.*manyfill fetch lpips"):
        lpips("alex")
    heads = torch.load(Path(theirs.__file__).with_name("lpips_models") / "alex.pth", map_location="cpu")
    state = state_of(torchvisions("alex")) | heads
    save_file(state, imagenet.kept("alex"))
    with pytest.raises(BadWeights, match="does not hold the published numbers"):
        lpips("alex")
    monkeypatch.setitem(imagenet.PUBLISHED, "alex", imagenet.fingerprint(state))
    picture, other = rounded(1, 3, 70, 64), rounded(1, 3, 70, 64, seed=1)
    assert torch.equal(lpips("alex")(picture, other), Lpips("alex", state, state)(picture, other))
    imagenet.kept("alex").write_bytes(b"cut")
    with pytest.raises(BadWeights, match=r"cannot be read \(.*\)\. Fetch it again"):
        lpips("alex")


def test_a_tensor_that_is_missing_or_misshapen_is_named() -> None:
    state = state_of(torchvisions("alex"))
    with pytest.raises(BadWeights, match=r"'lin0\.model\.1\.weight', expected \(1, 64, 1, 1\), is missing"):
        Lpips("alex", state, {})
    state["features.3.bias"] = torch.zeros(3)
    with pytest.raises(BadWeights, match=r"'features\.3\.bias', expected \(192,\), has the shape \(3,\)"):
        Lpips("alex", state, {})


def test_a_crop_is_the_box_around_the_hole_as_pillow_resizes_it() -> None:
    picture = rounded(2, 3, 60, 90)
    hole = torch.zeros(2, 1, 60, 90)
    hole[0, :, 20:40, 30:50], hole[1, :, 0:10, 80:90] = 1, 1
    found = hole_crop(picture, hole, 15)
    assert found.shape == (2, 3, 15, 15)
    for k, box in enumerate([(25, 15, 55, 45), (75, 0, 90, 15)]):
        pixels = (picture[k] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        expected = np.asarray(Image.fromarray(pixels).crop(box).resize((15, 15), Image.Resampling.BICUBIC))
        assert np.abs(found[k].permute(1, 2, 0).numpy() * 255 - expected).max() < 1.5  # Pillow rounds after each axis
    assert_close(found[1], picture[1, :, :15, 75:])  # of that size already: nothing is resampled


def test_crops_of_empty_full_and_long_holes_are_whole() -> None:
    picture, hole = rounded(3, 3, 20, 40), torch.zeros(3, 1, 20, 40)
    hole[1], hole[2, :, 10] = 1, 1
    found = hole_crop(picture, hole, 8)
    whole = F.interpolate(picture, (8, 8), mode="bicubic", antialias=True).clamp(0, 1)
    assert_close(found, whole)
