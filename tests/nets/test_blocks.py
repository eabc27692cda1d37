from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.testing import assert_close

from manyfill.nets.blocks import (
    ChannelNorm,
    FirstBlock,
    ResBlock,
    ResizeBlock,
    SpectralConv2d,
    SpectralConvTranspose2d,
    ToPicture,
    UpBlock,
    conv,
    fold_spectral_norm,
    up_conv,
)


def spectral_layers() -> list[nn.Module]:
    torch.manual_seed(0)
    return [SpectralConv2d(4, 6, 3, padding=1), SpectralConvTranspose2d(4, 6, 3, 2, 1, 1)]


@pytest.mark.parametrize("kind", [0, 1], ids=["conv", "transposed"])
def test_the_power_iteration_finds_the_largest_singular_value(kind: int) -> None:
    layer = spectral_layers()[kind]
    for _ in range(200):
        layer.iterate()
    layer.eval()
    norm = torch.linalg.matrix_norm(layer.normalised_weight().flatten(1), 2)
    assert_close(norm, torch.ones(()), atol=1e-4, rtol=0)
    assert_close(layer.u.norm(), torch.ones(())), assert_close(layer.v.norm(), torch.ones(()))


def test_a_transposed_convolution_is_flattened_along_its_input_channels() -> None:
    conv_layer, transposed = spectral_layers()
    assert (conv_layer.u.shape, conv_layer.v.shape) == ((6,), (4 * 9,))
    assert (transposed.u.shape, transposed.v.shape) == ((4,), (6 * 9,))


@pytest.mark.parametrize("kind", [0, 1], ids=["conv", "transposed"])
def test_training_iterates_once_a_call_and_evaluation_stands_still(kind: int) -> None:
    layer, x = spectral_layers()[kind], torch.randn(1, 4, 5, 5)
    before = layer.u
    with torch.no_grad():
        layer(x)
        matrix = layer.weight.flatten(1)
        v = F.normalize(matrix.T @ before, dim=0)
        assert_close(layer.v, v)
        assert_close(layer.u, F.normalize(matrix @ v, dim=0))
        assert not torch.equal(layer.u, before), "the old vector is kept: a backward pass may still need it"
        layer.eval()
        after = layer.u
        assert torch.equal(layer(x), layer(x)) and layer.u is after


@pytest.mark.parametrize("dim", [0, 1], ids=["conv", "transposed"])
def test_output_and_gradient_are_those_of_torchs_own_spectral_norm(dim: int) -> None:
    """With u and v given, torch computes the same; its axis for transposed convolutions is another, so it is turned."""
    ours = spectral_layers()[dim].eval()
    plain = conv(4, 6, 3, 1, spectral=False) if dim == 0 else up_conv(4, 6, spectral=False)
    plain.load_state_dict({"weight": ours.weight.detach(), "bias": ours.bias.detach()})
    theirs = spectral_norm(plain, dim=0)
    theirs.parametrizations.weight[0]._u.copy_(ours.u)
    theirs.parametrizations.weight[0]._v.copy_(ours.v)
    theirs.eval()
    x = torch.randn(2, 4, 5, 7)
    a, b = ours(x), theirs(x)
    assert_close(a, b, atol=1e-6, rtol=0)
    a.square().sum().backward()
    b.square().sum().backward()
    assert_close(ours.weight.grad, theirs.parametrizations.weight.original.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [0, 1], ids=["conv", "transposed"])
def test_folding_gives_what_the_next_training_call_computes(kind: int) -> None:
    layer, x = spectral_layers()[kind], torch.randn(1, 4, 5, 5)
    state = {f"layer.{name}": value for name, value in layer.state_dict().items()}
    kept = {name: value.clone() for name, value in state.items()}
    folded = fold_spectral_norm(state)
    assert set(folded) == {"layer.weight", "layer.bias"}
    assert state.keys() == kept.keys() and all(torch.equal(state[name], kept[name]) for name in kept)
    plain = conv(4, 6, 3, 1, spectral=False) if kind == 0 else up_conv(4, 6, spectral=False)
    nn.ModuleDict({"layer": plain}).load_state_dict(folded)
    with torch.no_grad():
        assert_close(plain(x), layer.train()(x), atol=1e-6, rtol=0)


def test_folding_leaves_plain_layers_as_they_are() -> None:
    state = nn.Conv2d(2, 2, 1).state_dict()
    assert fold_spectral_norm(state).keys() == state.keys()


def plain_conv(layer: nn.Module, x: Tensor, padding: int = 1) -> Tensor:
    return F.conv2d(x, layer.weight, layer.bias, padding=padding)


@pytest.mark.parametrize("leak", [0.1, 0.01])
@pytest.mark.parametrize("down", [False, True])
def test_a_residual_block_is_two_convolutions_and_a_bypass(down: bool, leak: float) -> None:
    block = ResBlock(3, 5, 4, down=down, leak=leak, spectral=False)
    x = torch.randn(2, 3, 6, 8)
    main = plain_conv(block.conv2, F.leaky_relu(plain_conv(block.conv1, F.leaky_relu(x, leak)), leak))
    want = main + plain_conv(block.bypass, x, 0)
    assert_close(block(x), F.avg_pool2d(want, 2) if down else want, atol=1e-6, rtol=1e-5)


def test_the_first_block_does_not_squash_the_picture() -> None:
    block = FirstBlock(3, 5, spectral=False)
    x = torch.randn(2, 3, 6, 8)
    main = F.avg_pool2d(plain_conv(block.conv2, F.leaky_relu(plain_conv(block.conv1, x), 0.1)), 2)
    assert_close(block(x), main + plain_conv(block.bypass, F.avg_pool2d(x, 2), 0), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (3, 5)])
def test_the_up_block_doubles_height_and_width(height: int, width: int, spectral: bool) -> None:
    block = UpBlock(3, 5, spectral=spectral)
    assert block(torch.randn(2, 3, height, width)).shape == (2, 5, 2 * height, 2 * width)


def test_the_up_block_is_the_same_in_training_and_evaluation_and_for_each_picture() -> None:
    block = UpBlock(3, 5, spectral=False)
    x = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        assert torch.equal(block.train()(x), block.eval()(x))
        assert_close(block(x)[1:], block(x[1:]), atol=1e-6, rtol=0)


def test_the_output_head_mirrors_the_picture_at_its_border() -> None:
    head = ToPicture(2, spectral=False)
    x = torch.randn(1, 2, 4, 6)
    padded = F.pad(F.leaky_relu(x, 0.1), (1, 1, 1, 1), mode="reflect")
    assert_close(head(x), F.conv2d(padded, head.conv1.weight, head.conv1.bias), atol=1e-6, rtol=0)
    assert head(x).shape == (1, 3, 4, 6)


def test_channel_norm_is_of_each_place_by_itself() -> None:
    x = 3 * torch.randn(2, 16, 4, 5) + 2
    normal = ChannelNorm(16)(x)
    assert_close(normal.mean(1), torch.zeros(2, 4, 5), atol=1e-5, rtol=0)
    assert_close(normal.var(1, correction=0), torch.ones(2, 4, 5), atol=1e-4, rtol=0)


def test_a_resizing_block_draws_no_grid() -> None:
    """Of a plain map it makes a plain map, but for the rim; transposed convolutions make a pattern of two pixels."""
    torch.manual_seed(0)
    plain = torch.randn(1, 8, 1, 1).expand(1, 8, 10, 10)
    for block, flat in (
        (ResizeBlock(8, 6, 6, spectral=False, layer_norm=True), True),
        (ResizeBlock(8, 6, 6, spectral=False), True),
        (UpBlock(8, 6, spectral=False, norm=False), False),
    ):
        middle = block(plain)[..., 4:-4, 4:-4]
        assert middle.shape == (1, 6, 12, 12)
        assert bool(middle.std((2, 3)).max() < 1e-5) == flat


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_residual_block_with_layer_norm_keeps_its_bypass_plain(layer_norm: bool) -> None:
    torch.manual_seed(0)
    block = ResBlock(8, 6, 4, spectral=False, layer_norm=layer_norm)
    nn.init.zeros_(block.conv2.weight)
    assert block.conv2.bias is not None
    nn.init.zeros_(block.conv2.bias)
    x = torch.randn(2, 8, 5, 5)
    assert_close(block(x), block.bypass(x))
    assert len([module for module in block.modules() if isinstance(module, ChannelNorm)]) == 2 * layer_norm
