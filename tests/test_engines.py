"""Engines: each gives the torch picture, at any size; what is compiled is kept; what cannot be had says so."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import OURS, wake
from torch import nn
from torch.testing import assert_close

from manyfill import engines, openvinocore, weights
from manyfill.cli import run
from manyfill.completer import Completer
from manyfill.engines import OpenVinoNet, engine_of, fold, start
from manyfill.errors import ManyfillError
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.migan import MIGAN, MIGANConfig
from manyfill.nets.picnet import PICNet, PICNetConfig

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed (the extra 'fast')"
)

SMALL: dict[str, Any] = {"size": 32, "width": 4, "max_width": 8}
PICNETS: dict[str, Any] = {**SMALL, "latent": 4, "levels": 3, "scales": 2, "infer_blocks": 1, "spectral_norm": False}
CONFIGS: dict[str, Any] = {
    "picnet": PICNetConfig(**PICNETS),
    "flagship": PICNetConfig(**PICNETS, sees_hole=True, fusion_scales=2, instance_norm=False),
    "noise": PICNetConfig(**PICNETS, sees_hole=True, fusion_scales=2, instance_norm=False, noise=True),
    "ours": PICNetConfig(**PICNETS, **OURS),
    "no attention": PICNetConfig(**PICNETS, attention="none"),
    "contextual": PICNetConfig(**PICNETS, attention="contextual"),
    "dfnet": DFNetConfig(**SMALL, kernels=(7, 5, 3), fusion_levels=(0, 1)),
    "deconv": DFNetConfig(**SMALL, kernels=(5, 3), fusion_levels=(0,), upsampling="deconv", alpha_channels=1),
    "bilinear": DFNetConfig(**SMALL, kernels=(5, 3), fusion_levels=(0, 1), upsampling="bilinear"),
}
SIZES = [(32, 32), (64, 24), (40, 96)]


def build(name: str, **changes: Any) -> Any:
    """A network whose batch norms have seen something, and whose attention is switched on."""
    torch.manual_seed(0)
    config = CONFIGS[name] if not changes else type(CONFIGS[name])(**{**vars(CONFIGS[name]), **changes})
    net: nn.Module = PICNet(config) if isinstance(config, PICNetConfig) else DFNet(config)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in (
                (part.running_mean, -0.5, 0.5),
                (part.running_var, 0.5, 2),
                (part.weight, 0.5, 2),
            ):
                assert tensor is not None
                nn.init.uniform_(tensor, low, high)
    for parameter_name, parameter in net.named_parameters():
        if parameter_name.endswith(("attention.gamma", "attention.alpha")) or ".strengths." in parameter_name:
            nn.init.constant_(parameter, 0.7)
    wake(net)
    return net.eval()


def inputs(net: Any, height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    draw = torch.Generator().manual_seed(height)
    image = torch.rand(batch, 3, height, width, generator=draw)
    hole = torch.zeros(batch, 1, height, width)
    hole[..., height // 3 :, 4 : width // 2] = 1
    shape = net.noise_shape(height, width)
    return image, hole, None if shape is None else torch.randn(batch, *shape, generator=draw)


def assert_same_pictures(engine: Any, net: Any, *, atol: float) -> None:
    for size, batch in zip(SIZES, (1, 2, 1), strict=True):
        image, hole, noise = inputs(net, *size, batch)
        with torch.inference_mode():
            drawn, expected = (
                engine.decode(engine.encode(image, hole), noise),
                net.decode(net.encode(image, hole), noise),
            )
        assert len(drawn.scales) == len(expected.scales)
        for mine, theirs in zip([*drawn[:3], *drawn.scales], [*expected[:3], *expected.scales], strict=True):
            assert (mine is None) == (theirs is None)
            if theirs is not None:
                assert_close(mine, theirs, atol=atol, rtol=0)


# ── every engine draws the torch picture ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_folding_changes_no_picture_and_leaves_no_batch_norm(name: str) -> None:
    lean: Any = fold(build(name))
    assert not any(isinstance(part, nn.BatchNorm2d) for part in lean.modules())
    assert_same_pictures(lean, build(name), atol=1e-5)


def test_a_folded_network_keeps_its_weights_channels_last() -> None:
    lean: Any = fold(build("picnet"))
    kernels = [part.weight for part in lean.modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)]
    assert kernels and all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


@needs_openvino
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_openvino_draws_the_torch_picture_at_any_size(name: str) -> None:
    net = build(name)
    assert_same_pictures(OpenVinoNet(build(name)), net, atol=engines.TOLERANCE["f32"])


@needs_openvino
@pytest.mark.parametrize("name", ["dfnet", "deconv", "bilinear"])
def test_openvino_draws_a_part_of_the_picture_as_torch_does(name: str) -> None:
    net, engine = build(name), OpenVinoNet(build(name))
    assert engines.draws_near(engine) and engines.draws_near(net)
    for (height, width), area in zip(SIZES, [(9, 3, 20, 25), (0, 0, 64, 24), (39, 90, 40, 96)], strict=True):
        image, hole, _ = inputs(net, height, width)
        with torch.inference_mode():
            expected = net.decode_near(net.encode(image, hole), area)
        drawn = engine.decode_near(engine.encode(image, hole), area)
        for mine, theirs in zip([*drawn[:3], *drawn.scales], [*expected[:3], *expected.scales], strict=True):
            assert mine is not None
            assert_close(mine, theirs, atol=engines.TOLERANCE["f32"], rtol=0)


@needs_openvino
def test_without_noise_openvino_draws_the_most_likely_fill() -> None:
    net = build("picnet")
    engine = OpenVinoNet(build("picnet"))
    image, hole, _ = inputs(net, 32, 40)
    with torch.inference_mode():
        expected = net.decode(net.encode(image, hole), None).image
    assert_close(engine.decode(engine.encode(image, hole), None).image, expected, atol=1e-5, rtol=0)


@needs_openvino
def test_a_photo_is_encoded_once_and_decoded_often_without_mixing_fills_up() -> None:
    net = build("flagship")
    engine = OpenVinoNet(net)
    image, hole, noise = inputs(net, 32, 40)
    assert noise is not None
    encoded = engine.encode(image, hole)
    first = engine.decode(encoded, noise).image
    kept = first.clone()
    engine.encode(1 - image, hole)
    other = engine.decode(encoded, -noise).image
    assert torch.equal(first, kept) and not torch.equal(first, other)
    assert torch.equal(engine.decode(encoded, noise).image, kept)


@needs_openvino
def test_bfloat16_is_near_or_refused() -> None:
    net = build("dfnet")
    try:
        engine = OpenVinoNet(build("dfnet"), "bf16")
    except ManyfillError as error:
        assert "does not compute in bfloat16" in str(error)
        return
    image, hole, _ = inputs(net, 32, 40)
    with torch.inference_mode():
        expected = net.decode(net.encode(image, hole)).image
    difference = (engine.decode(engine.encode(image, hole), None).image - expected).abs()
    assert 0 < float(difference.mean()) < engines.TOLERANCE["bf16"]


@needs_openvino
def test_the_weights_are_not_kept_twice() -> None:
    net = build("flagship")
    OpenVinoNet(net)
    assert all(parameter.is_meta for parameter in net.parameters())


class Frozen(DFNet):
    """Computes a number outside of torch's sight: a trace keeps the one of its example."""

    def encode(self, image: torch.Tensor, hole: torch.Tensor) -> Any:
        return super().encode(image * float(image[..., 0, 0].mean()), hole)


@needs_openvino
def test_a_network_that_is_converted_wrongly_is_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(ManyfillError, match="draws this Frozen differently from torch, by 0"):
        OpenVinoNet(Frozen(CONFIGS["dfnet"]).eval())


# ── the choice ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_auto_runs_small_networks_on_torch() -> None:
    net: Any = start(build("picnet"), engine="auto")
    assert engine_of(net) == "torch" and isinstance(net, PICNet)


@needs_openvino
def test_auto_runs_large_networks_on_openvino_and_on_torch_what_openvino_cannot() -> None:
    assert engine_of(start(build("dfnet", size=engines.LARGE))) == "openvino-f32"
    assert engine_of(start(Frozen(dataclasses.replace(CONFIGS["dfnet"], size=engines.LARGE)).eval())) == "torch"


@needs_openvino
@pytest.mark.parametrize("native", [True, False])
def test_auto_runs_a_trunk_in_bfloat16_only_where_the_cpu_computes_in_it(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native}, raising=False)
    large = {"size": engines.LARGE, "width": 4, "max_width": 8}
    trunk = MIGAN(MIGANConfig(**large, working=engines.LARGE)).eval()  # type: ignore[arg-type]
    found = engine_of(start(trunk))
    able = "BF16" in openvinocore.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert found == ("openvino-f32" if not native else "openvino-bf16" if able else "torch")
    assert engine_of(start(build("dfnet", size=engines.LARGE))) == "openvino-f32"  # the papers' stay as published


def test_auto_runs_everything_on_torch_where_openvino_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert engine_of(start(build("picnet", size=engines.LARGE))) == "torch"
    with pytest.raises(ManyfillError, match=r"pip install 'manyfill\[fast\]'"):
        start(build("picnet"), engine="openvino")


def test_engines_that_do_not_exist_or_do_not_fit_the_device_are_refused() -> None:
    with pytest.raises(ManyfillError, match="engine 'tensorrt' is unknown; expected auto, torch, openvino"):
        start(build("picnet"), engine="tensorrt")
    with pytest.raises(ManyfillError, match="runs on the CPU, but the device is cuda"):
        start(build("picnet"), engine="openvino", device="cuda")


# ── the cache ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def blobs(folder: Path) -> set[str]:
    return {path.name for path in (folder / "engines").glob("*")}


@needs_openvino
def test_what_is_compiled_is_kept_by_weights_and_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    net = build("dfnet")
    OpenVinoNet(build("dfnet"), sha256="a" * 64)
    first = blobs(tmp_path)
    assert len(first) == 1
    OpenVinoNet(build("dfnet"), sha256="a" * 63 + "b")
    assert len(blobs(tmp_path)) == 2
    OpenVinoNet(build("dfnet"))
    assert len(blobs(tmp_path)) == 2  # weights without a name are not kept

    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "engines").iterdir()}
    assert_same_pictures(OpenVinoNet(build("dfnet"), sha256="a" * 64), net, atol=engines.TOLERANCE["f32"])
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "engines").iterdir()}, "converted again"


@needs_openvino
def test_a_damaged_cache_or_none_at_all_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    net = build("dfnet")
    OpenVinoNet(build("dfnet"), sha256="aa")
    (path,) = (tmp_path / "engines").iterdir()
    whole = path.stat().st_size
    path.write_bytes(b"nonsense")
    assert_same_pictures(OpenVinoNet(build("dfnet"), sha256="aa"), net, atol=engines.TOLERANCE["f32"])
    assert path.stat().st_size > whole // 2
    (tmp_path / "file").write_text("a file where a folder should be")
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "file"))
    assert_same_pictures(OpenVinoNet(build("dfnet"), sha256="aa"), net, atol=engines.TOLERANCE["f32"])


# ── through the completer and the command line ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photo.png, hole.png and net.safetensors, where the command is run."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48)).save("photo.png")
    hole = np.zeros((48, 64), np.uint8)
    hole[8:30, 10:40] = 255
    Image.fromarray(hole).save("hole.png")
    weights.save(build("flagship"), tmp_path / "net.safetensors")
    return tmp_path


@needs_openvino
def test_openvino_completes_a_photo_as_torch_does_and_each_seed_gives_its_picture_again(here: Path) -> None:
    fills = {}
    for engine in ("torch", "openvino"):
        completer = Completer.from_pretrained("net.safetensors", device="cpu", engine=engine)
        assert completer.engine == {"torch": "torch", "openvino": "openvino-f32"}[engine]
        fills[engine] = completer.complete("photo.png", "hole.png", n=3, texture="net")
        for fill in fills[engine]:
            (again,) = completer.complete("photo.png", "hole.png", seed=fill.seed, texture="net")
            assert (again.photo.pixels == fill.photo.pixels).all()
    for one, other in zip(fills["torch"], fills["openvino"], strict=True):
        assert one.seed == other.seed
        assert np.abs(one.photo.pixels.astype(int) - other.photo.pixels).max() <= 1  # rounding at the border of a step


@needs_openvino
def test_replay_uses_the_engine_that_made_the_fills(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ("--model", "net.safetensors", "--texture", "net", "--no-sheet")
    assert run(["complete", "photo.png", "--mask", "hole.png", "-n", "2", "--engine", "openvino", *model]) == 0
    assert json.loads(Path("fills/photo.json").read_text())["made_with"]["engine"] == "openvino-f32"
    monkeypatch.setenv("MANYFILL_CACHE", str(here / "cache"))  # who compiles leaves a trace there
    assert run(["replay", "fills/photo.json", "-o", "again"]) == 0
    assert len(blobs(here / "cache")) == 2
    for name in ("photo_1.png", "photo_2.png"):
        assert Path("again", name).read_bytes() == Path("fills", name).read_bytes()
