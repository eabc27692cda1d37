"""What runs a network: torch, or OpenVINO on CPUs. An engine is a `CompletionNet` again, so nothing else changes.

`start` turns a loaded network into one of ENGINES:

torch          the network itself with its batch norms folded into the convolutions, channels last on CPUs
openvino-f32   converted once, compiled for this CPU and kept in the cache; within TOLERANCE of torch, checked
openvino-bf16  the same in half the bits, for CPUs that compute in bfloat16: faster where networks are large

A picture's bytes may depend on the engine, so the sidecar records its name. Numbers: docs/engines.md.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from manyfill import openvinocore, photos
from manyfill.download import cache_folder
from manyfill.errors import ManyfillError
from manyfill.nets import CompletionNet, NearNet, Prediction
from manyfill.nets.near import Area
from manyfill.nets.traits import traits_of

log = logging.getLogger(__name__)

ENGINES = ("torch", "openvino-f32", "openvino-bf16")
CHOICES = ("auto", "torch", "openvino", "openvino-f32", "openvino-bf16")  # what a user may ask for

LARGE = 256  # working size in pixels from which OpenVINO gives back what loading it costs; docs/engines.md
TOLERANCE = {"f32": 2e-4, "bf16": 1e-2}  # difference to torch, of 1: greatest of any pixel for f32, mean for bf16


def start(
    net: CompletionNet, *, engine: str = "auto", device: str | torch.device = "cpu", sha256: str = ""
) -> CompletionNet:
    """The network on the engine that was asked for; `engine_of` tells which one that is.

    `net` is taken over: folded in place, or emptied of its weights where OpenVINO has its own; use the result instead.
    "auto" takes OpenVINO where it is installed, the device is the CPU and the network works at LARGE pixels or more,
    in bfloat16 where the network draws as well in it (`Traits.bf16`) and the CPU computes in it; else torch.
    "openvino" is "openvino-f32". `sha256` of the weights file names the compiled network in the cache;
    without it nothing is cached. Raises ManyfillError where an engine that was asked for by name cannot be had.
    """
    if engine == "onnxruntime":
        raise ManyfillError("engine 'onnxruntime' runs ONNX files only. For this model take auto, torch or openvino.")
    if engine not in CHOICES:
        raise ManyfillError(f"engine '{engine}' is unknown; expected {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.")
    on_cpu = torch.device(device).type == "cpu"
    wanted = "openvino-f32" if engine == "openvino" else engine
    if wanted == "auto":
        if not (on_cpu and net.working_size >= LARGE and _openvino_is_installed()):
            return fold(net)
        try:
            half = traits_of(net).bf16 and _computes_in_bf16()
            return OpenVinoNet(net, "bf16" if half else "f32", sha256=sha256)
        except ManyfillError as error:
            log.debug("torch instead of OpenVINO: %s", error)
            return fold(net)
    if wanted == "torch":
        return fold(net)
    if not on_cpu:
        raise ManyfillError(f"engine '{engine}' runs on the CPU, but the device is {device}. Use torch, or device cpu.")
    if not _openvino_is_installed():
        raise ManyfillError(f"engine '{engine}' needs OpenVINO. Install it: pip install 'manyfill[fast]'.")
    return OpenVinoNet(net, wanted.removeprefix("openvino-"), sha256=sha256)


def engine_of(net: CompletionNet) -> str:
    """Which of ENGINES runs a network."""
    return net.engine if isinstance(net, OpenVinoNet) else "torch"


def draws_near(net: CompletionNet) -> bool:
    """Whether a network, on whatever engine, draws a part of a picture in less time: a NearNet."""
    return bool(getattr(net, "draws_near", False))


def _openvino_is_installed() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _computes_in_bf16() -> bool:
    """Whether the CPU itself does: others are made to, and are slower so."""
    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


# ── torch ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def fold(net: CompletionNet) -> CompletionNet:
    """Make the network compute the same with less, in place: batch norms into convolutions, channels last on CPUs."""
    module = cast(nn.Module, net).eval().requires_grad_(False)
    for part in list(module.modules()):
        before: tuple[str, nn.Module] | None = None
        for name, child in list(part.named_children()):
            if isinstance(child, nn.BatchNorm2d) and before is not None and isinstance(before[1], nn.Conv2d):
                setattr(part, before[0], fuse_conv_bn_eval(before[1], child).requires_grad_(False))
                setattr(part, name, nn.Identity())
            before = name, child
    if all(parameter.device.type == "cpu" for parameter in module.parameters()):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


# ── OpenVINO ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Photo(NamedTuple):
    """What `OpenVinoNet.encode` hands to `decode`."""

    arrays: list[Any]  # the encoder's outputs; image and hole themselves where encoder and decoder are one model
    size: tuple[int, int]


class OpenVinoNet:
    """A network compiled by OpenVINO, for any height and width: an encoder and a decoder, or both in one model.

    A network without noise has one fill per photo: it is one model, so that its features need not leave it.
    """

    def __init__(self, net: CompletionNet, precision: str = "f32", *, sha256: str = "") -> None:
        """Takes `net` over. Raises ManyfillError where the CPU lacks the precision or `net` cannot be converted."""
        self.engine = f"openvino-{precision}"
        self.config = net.config
        self._net = net
        self._varied = net.noise_shape(net.multiple, net.multiple) is not None
        self.draws_near = draws_near(net)
        self._lock = threading.Lock()
        core = openvinocore.core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ManyfillError("this CPU does not compute in bfloat16. Use engine openvino-f32.")
        settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        names = ("encode", "decode") if self._varied else ("decode",)
        paths = {name: _cached(core, sha256, precision, name) for name in names} if sha256 else {}
        self._models = _from_cache(core, paths, settings) if paths else {}
        if not self._models:
            try:
                with torch.no_grad():
                    self._models = {
                        name: core.compile_model(model, "CPU", settings)
                        for name, model in _converted(net, self._varied)
                    }
                    self._compare(net, precision)
            except ManyfillError:
                raise
            except Exception as error:
                kind, why = type(net).__name__, " ".join(str(error).split())[:200]
                raise ManyfillError(f"OpenVINO cannot run this {kind} ({why}). Use engine torch.") from error
            _to_cache(self._models, paths)
        cast(nn.Module, net).to("meta")  # from here on it tells sizes and shapes only; its memory is free

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return self._net.multiple

    @property
    def working_size(self) -> int:
        """Side in pixels of the squares that the network was made for."""
        return self._net.working_size

    def noise_shape(self, height: int, width: int) -> tuple[int, ...] | None:
        """Shape, without the batch, of the noise for one picture; None for a deterministic network."""
        return self._net.noise_shape(height, width)

    def encode(self, image: Tensor, hole: Tensor) -> _Photo:
        """Image (B,3,H,W) in [0,1] and hole (B,1,H,W) to what `decode` needs."""
        arrays = [image.numpy(), hole.numpy()]
        if self._varied:
            arrays = list(self._run("encode", arrays).values())
        return _Photo(arrays, (image.shape[2], image.shape[3]))

    def decode(self, encoded: _Photo, noise: Tensor | None) -> Prediction:
        """One fill per picture; without noise the most likely one."""
        arrays = encoded.arrays
        shape = self.noise_shape(*encoded.size)
        if shape is not None:
            noise = torch.zeros(len(arrays[0]), *shape) if noise is None else noise
            arrays = [*arrays, noise.numpy()]
        elif self.draws_near:  # near all of it
            arrays = [*arrays, cast(NearNet, self._net).boxes_near((0, 0, *encoded.size), *encoded.size).numpy()]
        return self._drawn(arrays)

    def decode_near(self, encoded: _Photo, area: Area) -> Prediction:
        """`decode` of an area alone, where the network `draws_near`: nets.NearNet."""
        net, (image, hole) = cast(NearNet, self._net), map(torch.from_numpy, encoded.arrays)
        near = net.boxes_near(area, *encoded.size)
        return net.put_near(self._drawn([*encoded.arrays, near.numpy()]), image * (1 - hole), near, area)

    def _drawn(self, arrays: list[Any]) -> Prediction:
        drawn = {name: torch.from_numpy(array) for name, array in self._run("decode", arrays).items()}
        scales = tuple(drawn[f"scale{k}"] for k in range(sum(name.startswith("scale") for name in drawn)))
        return Prediction(drawn["image"], drawn.get("alpha"), drawn.get("raw"), scales)

    def _run(self, name: str, arrays: list[Any]) -> dict[str, Any]:
        """Name to output; copies, so that a later call writes into nothing that an earlier one returned."""
        with self._lock:
            found = self._models[name](arrays, share_inputs=True, share_outputs=False)
        return {output.any_name: array for output, array in found.items()}

    def _compare(self, net: CompletionNet, precision: str) -> None:
        """With torch, at another size than the conversion saw: what was frozen at conversion shows here."""
        height, width = reversed(_example_size(net))
        image, hole, noise = _example(net, height, width, seed=1)
        expected = net.decode(net.encode(image, hole), noise).image
        apart = (self.decode(self.encode(image, hole), noise).image - expected).abs()
        difference = float(apart.max() if precision == "f32" else apart.mean())
        log.debug("%s differs from torch by %.2g", self.engine, difference)
        if not difference <= TOLERANCE[precision]:
            raise ManyfillError(
                f"{self.engine} draws this {type(net).__name__} differently from torch, by {difference:.2g} of 1;"
                f" the limit is {TOLERANCE[precision]:.2g}. Use engine torch."
            )


class _Whole(nn.Module):
    """Photo to picture in one call."""

    def __init__(self, net: CompletionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, hole: Tensor) -> tuple[Tensor, ...]:
        return tuple(_named(self.net.decode(self.net.encode(image, hole), None)).values())


class _Near(nn.Module):
    """Photo to a part of the picture in one call."""

    def __init__(self, net: CompletionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, hole: Tensor, near: Tensor) -> tuple[Tensor, ...]:
        return tuple(_named(cast(NearNet, self.net).draw_near(self.net.encode(image, hole), near)).values())


class _Encode(nn.Module):
    """Photo to the tensors that the decoder needs, as a flat tuple."""

    def __init__(self, net: CompletionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, hole: Tensor) -> tuple[Tensor, ...]:
        return tuple(_leaves(self.net.encode(image, hole)))


class _Decode(nn.Module):
    """Those tensors and noise to a picture; `encoded` shows how they belong together."""

    def __init__(self, net: CompletionNet, encoded: Any) -> None:
        super().__init__()
        self.net = net
        self.encoded = encoded

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        *leaves, noise = tensors
        return tuple(_named(self.net.decode(_regrown(self.encoded, iter(leaves)), noise)).values())


def _converted(net: CompletionNet, varied: bool) -> Iterator[tuple[str, Any]]:
    """(part, model in OpenVINO's representation), traced at a small size; every side stays free."""
    image, hole, noise = _example(net, *_example_size(net), seed=0)
    encoded = net.encode(image, hole)
    drawn = list(_named(net.decode(encoded, noise)))
    if not varied:
        if draws_near(net):
            height, width = image.shape[-2:]
            near = cast(NearNet, net).boxes_near((height // 4, width // 4, height // 2, width // 2), height, width)
            yield "decode", _as_openvino(_Near(net), [image, hole, near], drawn)
        else:
            yield "decode", _as_openvino(_Whole(net), [image, hole], drawn)
        return
    leaves = list(_leaves(encoded))
    yield "encode", _as_openvino(_Encode(net), [image, hole], [f"leaf{k}" for k in range(len(leaves))])
    assert noise is not None, "a varied network has noise"
    yield "decode", _as_openvino(_Decode(net, encoded), [*leaves, noise], drawn)


def _as_openvino(module: nn.Module, example: Sequence[Tensor], outputs: Sequence[str]) -> Any:
    """Straight through OpenVINO's frontend: `openvino.convert_model` would report its use to a server."""
    from openvino import PartialShape
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, on sizes that become numbers: `_compare` is the judge of that
        traced = torch.jit.trace(module.eval(), tuple(example), check_trace=False)  # type: ignore[no-untyped-call]
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # named, so that it outlives the conversion
        model = frontend.convert(frontend.load(decoder))
    shapes = ([-1, each.shape[1], -1, -1] if each.ndim == 4 else list(each.shape) for each in example)
    model.reshape({model.input(k): PartialShape(shape) for k, shape in enumerate(shapes)})
    for number, source in enumerate(model.inputs):
        source.set_names({f"input{number}"})  # no name may be an input's and an output's
    for output, name in zip(model.outputs, outputs, strict=True):
        output.set_names({name})
    return model


def _example_size(net: CompletionNet) -> tuple[int, int]:
    """Height and width, small and unlike."""
    height = -(-64 // net.multiple) * net.multiple
    return height, height + net.multiple


def _example(net: CompletionNet, height: int, width: int, *, seed: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Image, hole and noise to trace or compare with."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 3, height, width, generator=draw)
    hole = torch.zeros(1, 1, height, width)
    hole[..., height // (4 + seed) : height // 2, width // 4 : -width // (4 + seed)] = 1
    shape = net.noise_shape(height, width)
    return image, hole, None if shape is None else torch.randn(1, *shape, generator=draw)


def _leaves(tree: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples and lists, in order."""
    if isinstance(tree, Tensor):
        yield tree
    else:
        for branch in tree:
            yield from _leaves(branch)


def _regrown(tree: Any, leaves: Iterator[Tensor]) -> Any:
    """The same nested tuples and lists with other tensors."""
    if isinstance(tree, Tensor):
        return next(leaves)
    branches = [_regrown(branch, leaves) for branch in tree]
    return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)


def _named(drawn: Prediction) -> dict[str, Tensor]:
    """What a prediction holds, by name."""
    found = {"image": drawn.image, "alpha": drawn.alpha, "raw": drawn.raw}
    found |= {f"scale{k}": scale for k, scale in enumerate(drawn.scales)}
    return {name: value for name, value in found.items() if value is not None}


# ── compiled networks on disk ─────────────────────────────────────────────────────────────────────────────────────────


def _cached(core: Any, sha256: str, precision: str, name: str) -> Path:
    """Where a compiled network is kept: under another name for other weights, code, OpenVINO or CPU."""
    import openvino

    about = (sha256, openvino.get_version(), core.get_property("CPU", "FULL_DEVICE_NAME"))
    digest = hashlib.sha256(" ".join(about).encode())
    for source in (Path(__file__), *sorted((Path(__file__).parent / "nets").glob("*.py"))):
        digest.update(source.read_bytes())
    return cache_folder() / "engines" / f"{sha256[:12]}-{precision}-{name}-{digest.hexdigest()[:12]}.blob"


def _from_cache(core: Any, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Part to compiled model; empty where one is missing or cannot be read."""
    try:
        return {name: core.import_model(path.read_bytes(), "CPU", dict(settings)) for name, path in paths.items()}
    except FileNotFoundError:
        return {}
    except Exception as error:  # damaged, or not for this machine: compiled again, and written over
        log.debug("compiled network passed over: %s", error)
        return {}


def _to_cache(models: Mapping[str, Any], paths: Mapping[str, Path]) -> None:
    """Where the cache cannot be written the next start is slower, and that is all."""
    try:
        for name, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = io.BytesIO()
            models[name].export_model(stream)
            photos.write_atomic(path, stream.getvalue())
    except OSError as error:
        log.debug("compiled network not kept: %s", error)
