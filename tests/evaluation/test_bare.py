"""The paper's composite by hand: the network once over the whole picture, known pixels copied, nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from manyfill.completer import Completer
from manyfill.errors import ManyfillError
from manyfill.evaluation import Bare, Cases, Setup
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1)


class Brightness(nn.Module):
    """A critic that likes bright pictures."""

    def forward(self, image: Tensor) -> Tensor:
        return image.mean((1, 2, 3), keepdim=True)


@pytest.fixture
def net() -> PICNet:
    torch.manual_seed(0)
    return PICNet(TINY).eval()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "data" / "a.png")
    return tmp_path / "data"


def source(net: PICNet) -> Bare:
    return Bare(Completer.of_net(net, critic=Brightness(), name="tiny", sha256="0" * 64))


@torch.no_grad()
def test_the_composite_is_the_networks_own_picture_in_the_hole(net: PICNet, data: Path) -> None:
    case = Cases(data, Setup(masks="center", size=32, fit="squeeze"))[0]
    answer = source(net).answer(case, n=2, seed=5)
    image = torch.from_numpy(case.pixels.transpose(2, 0, 1).copy()).float()[None] / 255
    hole = torch.from_numpy(case.hole).float()[None, None]
    for own, fill, score in zip((5, 6), answer.fills, answer.scores, strict=True):
        noise = torch.randn(1, *net.noise_shape(32, 32), generator=torch.Generator().manual_seed(own))
        drawn = net.decode(net.encode(image, hole), noise).image
        cut = (drawn[0] * 255).to(torch.uint8).permute(1, 2, 0).numpy()  # cut, not rounded
        assert np.array_equal(fill[case.hole], cut[case.hole])
        assert np.array_equal(fill[~case.hole], case.pixels[~case.hole])
        assert score == pytest.approx(float((hole * drawn + (1 - hole) * image).mean()), abs=1e-5)
    assert answer.seeds == [5, 6] and not np.array_equal(*answer.fills)


@torch.no_grad()
def test_a_soft_mask_is_fed_and_composited_as_it_is(net: PICNet, data: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    mask = np.zeros((20, 30), np.uint8)
    mask[5:12, 8:20] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    case = Cases(data, Setup(masks=str(tmp_path / "masks"), size=32, fit="squeeze", grey_masks=True))[0]
    assert case.soft is not None and 0 < case.soft[case.soft > 0].min() < 1, "its rim is grey"
    assert np.array_equal(case.hole, case.soft > 0)
    (fill,) = source(net).answer(case, n=1, seed=0).fills
    image = torch.from_numpy(case.pixels.transpose(2, 0, 1).copy()).float()[None] / 255
    soft = torch.from_numpy(case.soft)[None, None]
    noise = torch.randn(1, *net.noise_shape(32, 32), generator=torch.Generator().manual_seed(0))
    mixed = soft * net.decode(net.encode(image, soft), noise).image + (1 - soft) * image
    expected = (mixed[0] * 255).to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(fill[case.hole], expected[case.hole])


def test_a_picture_that_the_network_cannot_take_says_what_to_do(net: PICNet, data: Path) -> None:
    case = Cases(data, Setup(masks="center", size=40))[0]
    with pytest.raises(ManyfillError, match=r"a is 60x40 .*takes multiples of 16\. Add --fit squeeze --size 32"):
        source(net).answer(case, n=1, seed=0)


def test_a_filler_is_no_network() -> None:
    with pytest.raises(ManyfillError, match="of a network, and telea is not one"):
        Bare(Completer.from_pretrained("telea"))
