"""Weights files and the import of the authors' checkpoints. Equality of the imported networks: tests/nets."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import dfnet_weights, picnet_weights, released
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.testing import assert_close

from manyfill import fetchables, weights
from manyfill.errors import BadWeights, UnknownModel
from manyfill.nets.blocks import settle
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.discriminators import Critic, CriticConfig
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.weights import importing
from manyfill.weights import released as names

TINY_PICNET = PICNetConfig(
    size=32, width=4, max_width=8, latent=4, levels=3, scales=2, infer_blocks=1, fusion_scales=1, spectral_norm=False
)
TINY_DFNET = DFNetConfig(size=32, width=4, max_width=8, kernels=(7, 5, 3), fusion_levels=(0, 1), upsampling="deconv")
TINY_CRITIC = CriticConfig(width=4, max_width=8, levels=4)


def tiny(config: PICNetConfig | DFNetConfig = TINY_PICNET) -> nn.Module:
    torch.manual_seed(0)
    net = PICNet(config) if isinstance(config, PICNetConfig) else DFNet(config)
    settle(net)
    return net.eval()


def sample() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 4:12, 4:12] = 1
    return torch.rand(1, 3, 16, 16), hole


# ── our own files ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("config", [TINY_PICNET, TINY_DFNET], ids=["picnet", "dfnet"])
def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path, config: Any) -> None:
    net, critic = tiny(config), Critic(CriticConfig(width=4, max_width=8, levels=4, spectral_norm=False))
    path = weights.save(net, tmp_path / "new" / "net.safetensors", critic=critic, metadata={"licence": "CC0-1.0"})
    loaded = weights.load(path)
    assert loaded.net.config == config and loaded.critic is not None and loaded.critic.config == critic.config
    for ours, theirs in ((net, loaded.net), (critic, loaded.critic)):
        state = theirs.state_dict()  # type: ignore[attr-defined]
        assert list(ours.state_dict()) == list(state)
        assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    assert loaded.metadata["licence"] == "CC0-1.0"
    assert loaded.metadata["family"] in ("picnet", "dfnet")
    assert (loaded.sha256, loaded.path) == (hashlib.sha256(path.read_bytes()).hexdigest(), path)
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_a_loaded_network_is_ready_for_use(tmp_path: Path) -> None:
    net = weights.load(weights.save(tiny(), tmp_path / "net.safetensors")).net
    assert isinstance(net, PICNet) and not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert net(*sample()).image.shape == (1, 3, 16, 16)


def test_half_precision_is_for_storage_only(tmp_path: Path) -> None:
    net = tiny(TINY_DFNET)
    path = weights.save(net, tmp_path / "net.safetensors", dtype=torch.float16)
    assert {value.dtype for value in load_file(path).values()} == {torch.float16, torch.int64}
    state = weights.load(path).net.state_dict()  # type: ignore[attr-defined]
    for name, value in net.state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(state[name], expected)


def test_spectral_norm_is_folded_and_the_picture_stays(tmp_path: Path) -> None:
    """To 1e-5: saving makes one more power iteration, of which a settled network has no need."""
    torch.manual_seed(0)
    net = tiny(PICNetConfig(**{**vars(TINY_PICNET), "spectral_norm": True}))
    critic = Critic(TINY_CRITIC).eval()
    settle(net, 100), settle(critic, 100)
    path = weights.save(net, tmp_path / "net.safetensors", critic=critic)
    with safe_open(path, framework="pt") as file:
        assert not [name for name in file.keys() if name.endswith((".u", ".v"))]  # noqa: SIM118
    loaded = weights.load(path)
    assert loaded.critic is not None and not loaded.net.config.spectral_norm  # type: ignore[union-attr]
    image, hole = sample()
    big = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        assert_close(
            loaded.net.decode(loaded.net.encode(image, hole), None).image, net(image, hole).image, atol=1e-5, rtol=0
        )
        assert_close(loaded.critic(big), critic(big), atol=1e-5, rtol=0)


def test_a_model_that_is_not_installed_is_unknown() -> None:
    with pytest.raises(UnknownModel, match="no model 'pluralistik'"):
        weights.load("pluralistik")


def rewritten(path: Path, change: Callable[[dict[str, Tensor], dict[str, str]], None]) -> Path:
    """The same file with its tensors or its metadata changed."""
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    state = load_file(path)
    change(state, metadata)
    save_file(state, path, metadata=metadata)
    return path


def other_config(metadata: dict[str, str], **changes: Any) -> None:
    metadata["config"] = json.dumps({**json.loads(metadata["config"]), **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, m: s.pop("net.generator.entry.conv1.bias"), "missing generator.entry.conv1.bias"),
        (lambda s, m: s.update({"net.extra": torch.zeros(1)}), "left over extra"),
        (lambda s, m: s.update({"net.encoder.prior.conv1.bias": torch.zeros(3)}), r"bias is \(3,\), expected \(8,\)"),
        (lambda s, m: m.pop("family"), "does not say which network"),
        (lambda s, m: m.update(family="gan"), "is for a network 'gan', and there are: picnet, dfnet"),
        (lambda s, m: other_config(m, depth=3), "another version of PICNetConfig.*depth"),
        (lambda s, m: other_config(m, width=8), "does not fit PICNet"),
        (lambda s, m: m.update(config="{"), "another version"),
        (lambda s, m: m.update(critic="{}"), "does not fit Critic: missing"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_says_what_is_wrong(tmp_path: Path, change: Any, message: str) -> None:
    path = rewritten(weights.save(tiny(), tmp_path / "net.safetensors"), change)
    with pytest.raises(BadWeights, match=message) as caught:
        weights.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "empty", "cut", "text", "folder"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = weights.save(tiny(), tmp_path / "net.safetensors")
    whole = path.read_bytes()
    if kind in ("missing", "folder"):
        path.unlink()
    if kind == "folder":
        path.mkdir()
    if kind in ("empty", "cut", "text"):
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello, world" * 9}[kind])
    with pytest.raises(BadWeights, match=r"net\.safetensors"):
        weights.load(path)


# ── the authors' checkpoints ──────────────────────────────────────────────────────────────────────────────────────────

Change = Callable[[dict[str, Tensor]], Any]


def hollow(shapes: dict[str, Any]) -> dict[str, Tensor]:
    """Zeros of those shapes that take no room in a file."""
    return {name: torch.zeros((), dtype=torch.float32).expand(tuple(shape)) for name, shape in shapes.items()}


def hollow_picnet(folder: Path, changes: dict[str, Change]) -> dict[str, Path]:
    paths = {}
    for net in "EGD":
        state = hollow(json.loads((picnet_weights.FOLDER / f"keys_{net}.json").read_text()))
        changes.get(net, lambda state: None)(state)
        paths[net] = folder / f"latest_net_{net}.pth"
        torch.save({f"module.{name}": value for name, value in state.items()}, paths[net])
    return paths


def drop(*names: str) -> Change:
    return lambda state: [state.pop(name) for name in names]


def put(name: str, *shape: int) -> Change:
    return lambda state: state.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("net", "change", "message"),
    [
        ("E", drop("prior.conv1.module.bias", "prior.model.1.module.bias"), r"missing prior\.conv1\.module\.bias"),
        ("E", drop("block0.conv2.module.weight_u", "block0.model.2.module.weight_u"), r"missing block0\..*weight_u"),
        ("E", put("encoder4.conv1.module.bias", 128), r"left over encoder4\.conv1\.module\.bias"),
        ("G", drop("decoder3.model.3.weight"), r"missing decoder3\.model\.3\.weight"),
        ("G", drop("attn1.gamma"), r"missing attn1\.gamma"),
        ("G", put("attn1.query_conv.bias", 16), r"attn1\.query_conv\.bias is \(16,\), expected \(32,\)"),
        ("D", drop("conv.module.weight_bar"), r"missing conv\.module\.weight_bar"),
        ("D", put("blocks.0.extra", 1), r"left over .*extra"),
        ("G", put("out4.conv1.module.bias", 4), r"two different tensors for heads\.3\.conv1\.bias .*out4\.model\.2"),
    ],
)  # fmt: skip
def test_a_picnet_checkpoint_that_does_not_fit_is_refused_and_the_tensor_named(
    tmp_path: Path, net: str, change: Change, message: str
) -> None:
    files = hollow_picnet(tmp_path, {net: change})
    with pytest.raises(BadWeights, match=message) as caught:
        weights.import_picnet(files["E"], files["G"], files["D"], tmp_path / "out.safetensors")
    assert f"latest_net_{net}.pth" in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()


def test_swapped_encoder_and_generator_are_refused(tmp_path: Path) -> None:
    files = hollow_picnet(tmp_path, {})
    with pytest.raises(BadWeights, match="does not fit PICNet"):
        weights.import_picnet(files["G"], files["E"], None, tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("en_3.encode.0.conv.1.weight"), r"missing en_3\.encode\.0\.conv\.1\.weight"),
        (drop("de_0.decode.0.conv.weight"), r"missing de_0\.decode\.0\.conv\.weight"),
        (drop("fuse_3.blend.blend.6.conv.bias"), r"missing fuse_3\.blend\.blend\.6\.conv\.bias"),
        (drop("fuse_0.blend.blend.6.conv.bias"), r"fuse_0\.blend\.blend\.6\.conv\.bias"),
        (drop("de_7.decode.1.running_mean"), r"missing de_7\.decode\.1\.running_mean"),
        (put("en_0.encode.1.weight", 64), r"left over en_0\.encode\.1\.weight"),
        (put("en_0.encode.0.conv.1.weight", 64, 3, 7, 7), r"1\.weight is \(64, 3, 7, 7\), expected \(64, 4"),
        (put("en_0.encode.0.conv.1.weight"), r"conv\.1\.weight is \(\), expected"),
        (put("fuse_9.map2img.0.conv.bias", 3), "fusion_levels"),
        (put("unheard", 1), "left over unheard"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", ["bgr", "rgb"])
def test_a_dfnet_checkpoint_that_does_not_fit_is_refused_and_the_tensor_named(
    tmp_path: Path, channels: str, change: Change, message: str
) -> None:
    state = hollow(dfnet_weights.published_shapes())
    change(state)
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(BadWeights, match=message) as caught:
        weights.import_dfnet(tmp_path / "model.pth", tmp_path / "out.safetensors", channels=channels)
    assert "model.pth" in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()


class Payload:
    """Unpickles as a call of `Path.touch`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["missing", "text", "picture", "list", "numbers", "empty", "folder", "code"])
def test_what_is_no_checkpoint_is_refused_by_name_and_no_code_in_it_runs(tmp_path: Path, kind: str) -> None:
    path, traces = tmp_path / "model.pth", tmp_path / "traces"
    contents = {"list": [torch.zeros(1)], "numbers": {"en_0": 1.0}, "empty": {}, "code": {"en_0": Payload(traces)}}
    if kind in contents:
        torch.save(contents[kind], path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"text": b"not a checkpoint", "picture": b"\x89PNG\r\n\x1a\n" + bytes(99)}[kind])
    with pytest.raises(BadWeights, match=r"model\.pth") as caught:
        weights.import_dfnet(path, tmp_path / "out.safetensors")
    assert "\n" not in str(caught.value)
    assert not traces.exists()


def test_a_channel_order_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match=r"'bgr'.*'rgb'"):
        weights.import_dfnet(tmp_path / "model.pth", tmp_path / "out.safetensors", channels="hsv")


def test_every_released_name_is_understood_and_can_be_told_back() -> None:
    rules = {
        "E": (names.ENCODER_NAMES, names.RELEASED_PICNET, "encoder."),
        "G": (names.GENERATOR_NAMES, names.RELEASED_PICNET, "generator."),
        "D": (names.CRITIC_NAMES, names.RELEASED_CRITIC, ""),
    }
    for net, (there, back, prefix) in rules.items():
        canonical = json.loads((picnet_weights.FOLDER / f"aliases_{net}.json").read_text())
        for name in json.loads((picnet_weights.FOLDER / f"keys_{net}.json").read_text()):
            assert names.rename(prefix + names.rename(name, there), back) == canonical.get(name, name)
    for tag in ("blend07", "deconv"):
        for name in dfnet_weights.variant_shapes(tag):
            assert names.rename(names.rename(name, names.DFNET_NAMES), names.RELEASED_DFNET) == name


@torch.no_grad()
def test_a_dfnet_that_was_trained_on_bgr_speaks_rgb_once_imported(tmp_path: Path) -> None:
    """The default, as the authors' programs read pictures with OpenCV."""
    file = released.dfnet_file(tmp_path)
    ours = weights.load(weights.import_dfnet(file, tmp_path / "bgr.safetensors")).net
    theirs = released.dfnet()
    assert isinstance(ours, DFNet)
    image, hole = released.dfnet_inputs(256)
    for a, b in zip(ours(image, hole)[:3], theirs(image.flip(1), hole)[:3], strict=True):
        assert_close(a, b.flip(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("alpha_channels", [1, 3])
@torch.no_grad()
def test_colours_are_swapped_at_every_level(alpha_channels: int) -> None:
    config = DFNetConfig(
        size=32, width=4, max_width=8, kernels=(5, 3), fusion_levels=(0, 1), alpha_channels=alpha_channels
    )
    theirs, ours = tiny(config), DFNet(config).eval()
    ours.load_state_dict(importing.bgr_to_rgb(theirs.state_dict(), config.fusion_levels))
    image, hole = sample()
    a, b = ours.generate(ours.encode(image, hole)), theirs.generate(theirs.encode(image.flip(1), hole))
    for mine, other in zip(a, b, strict=True):
        assert_close(mine.image, other.image.flip(1), atol=1e-6, rtol=0)
        assert_close(mine.raw, other.raw.flip(1), atol=1e-6, rtol=0)


def test_a_checkpoint_inside_a_training_state_is_found(tmp_path: Path) -> None:
    state = hollow(dfnet_weights.published_shapes())
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "a.pth"
    )
    assert importing.read_pth(tmp_path / "a.pth").keys() == {f"module.{name}" for name in state}


def test_loading_a_model_does_not_start_the_compiler() -> None:
    """torch._dynamo costs more than torch itself; random values on the meta device would import it."""
    code = "import sys; from manyfill import weights, zoo; weights.load(zoo.DEFAULT); print(list(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert "'torch.nn'" in done.stdout and "'torch._dynamo'" not in done.stdout


def test_weights_that_stand_on_a_trunk_say_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    mine = tmp_path / "mine.safetensors"
    assert weights.trunk_of({"family": "picnet"}, mine) is None
    with pytest.raises(BadWeights, match=r"mine.safetensors needs the weights of 'migan'.*manyfill fetch migan"):
        weights.trunk_of({"trunk": "migan"}, mine)
    (trunk,) = fetchables.find("migan").paths
    trunk.write_bytes(b"trunk")
    digest = hashlib.sha256(b"trunk").hexdigest()
    assert weights.trunk_of({"trunk": "migan", "trunk_sha256": digest}, mine) == trunk
    with pytest.raises(BadWeights, match="not the file that mine"):
        weights.trunk_of({"trunk": "migan", "trunk_sha256": "0" * 64}, mine)


# ── files that mean harm, or are damaged ──────────────────────────────────────────────────────────────────────────────


def tampered(path: Path, *, config: str | None = None, critic: str | None = None, **tensors: Tensor) -> Path:
    """A good file with another config or with some tensors changed or added."""
    good = weights.save(tiny(), path.with_name("good.safetensors"))
    with safe_open(good, framework="pt") as file:
        metadata = dict(file.metadata())
    metadata |= {} if config is None else {"config": config}
    metadata |= {} if critic is None else {"critic": critic}
    save_file({**load_file(good), **tensors}, path, metadata=metadata)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"levels": 10**9}, "levels is 1000000000"),
        ({"levels": 11}, "levels is 11; expected 0 to 10"),
        ({"infer_blocks": 10**9}, "infer_blocks is"),
        ({"infer_blocks": -1}, "infer_blocks is -1"),
        ({"width": 10**9, "max_width": 10**9}, "width is"),
        ({"width": -4}, "width is -4"),
        ({"latent": 1e300}, "latent is"),
        ({"latent": float("nan")}, "latent is nan"),
        ({"latent": 4.5}, "expected a whole number"),
        ({"size": 60_000}, "size is 60000; expected 0 to 4096"),
        ({"levels": "5"}, "levels is '5'; expected a whole number"),
        ({"levels": True}, "expected a whole number"),
        ({"levels": None}, "expected a whole number"),
        ({"attention": ["short-long"]}, "attention is"),
        ({"attention": "x" * 10_000}, "attention is"),
        ({"spectral_norm": "no"}, "expected true or false"),
        ({"__class__": 1}, "unknown entry '__class__'"),
    ],
)
def test_a_config_that_cannot_be_is_refused_before_anything_is_built(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    config = json.loads(json.dumps({**TINY_PICNET.__dict__, **changes}))
    path = tampered(tmp_path / "hostile.safetensors", config=json.dumps(config))
    with pytest.raises(BadWeights, match=re.escape(words)) as caught:
        weights.load(path)
    assert "hostile.safetensors" in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"text"', "[" * 100_000, '{"levels": {}}'])
@pytest.mark.parametrize("which", ["config", "critic"])
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str, which: str) -> None:
    with pytest.raises(BadWeights):
        weights.load(tampered(tmp_path / "hostile.safetensors", **{which: text}))


@pytest.mark.parametrize("critic", ['{"levels": 3}', '{"levels": 1000000}', '{"width": -1}', "{}"])
def test_a_critic_that_cannot_be_is_refused(tmp_path: Path, critic: str) -> None:
    with pytest.raises(BadWeights):
        weights.load(tampered(tmp_path / "hostile.safetensors", critic=critic))


def one_among_zeros(shape: torch.Size, value: float) -> torch.Tensor:
    tensor = torch.zeros(shape)
    tensor.view(-1)[tensor.numel() // 2] = value
    return tensor


def test_tensors_that_are_not_the_networks_are_refused_before_they_are_read(tmp_path: Path) -> None:
    name = "net.encoder.blocks.0.conv1.weight"
    shape = load_file(weights.save(tiny(), tmp_path / "good.safetensors"))[name].shape
    for tensors, words in (
        ({name: torch.full(shape, torch.nan)}, "not finite"),
        ({name: torch.full(shape, -torch.inf)}, "not finite"),
        ({name: one_among_zeros(shape, torch.nan)}, "not finite"),
        ({name: one_among_zeros(shape, torch.inf)}, "not finite"),
        ({name: torch.zeros(shape, dtype=torch.int32)}, "int32"),
        ({name: torch.zeros(1)}, "is (1,), expected"),
        ({"net.more": torch.zeros(1)}, "left over more"),
        ({"stranger": torch.zeros(1)}, "tensors that belong to none of its networks: stranger"),
    ):
        with pytest.raises(BadWeights, match=re.escape(words)):
            weights.load(tampered(tmp_path / "hostile.safetensors", **tensors))
