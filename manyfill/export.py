"""A model as one ONNX file that needs no Python: any height and width, compared with torch before it is kept.

Two kinds. The plain one is the network: image and hole to picture, in floats. With `uint8` the file takes and gives
bytes as they come out of picture files, of any size: it looks at the mask, pads, fills, rounds and pastes by itself.
"""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manyfill import __version__, engines, photos, weights
from manyfill.errors import ManyfillError
from manyfill.nets import CompletionNet
from manyfill.zoo import ZOO

OPSETS = range(14, 21)  # of ONNX; below there is no tensor-valued step that attention needs, above torch's tracer ends
OPSET = 18  # what every runtime of the last years reads
TOLERANCE = 1e-4  # of 1, greatest difference to torch; 1 of 255 with uint8, where rounding may tip
NOISES = (0, 1)  # seeds that the file is compared with torch for


@dataclass(frozen=True)
class Exported:
    """An ONNX file, and how far it is from torch at worst."""

    path: Path
    difference: float  # of 1; of 255 with uint8
    sizes: tuple[tuple[int, int], ...]  # heights and widths that it was compared at


def export(
    model: str | Path, out: Path | str, *, uint8: bool = False, opset: int = OPSET, tolerance: float | None = None
) -> Exported:
    """Write an installed model or a .safetensors file as ONNX.

    Inputs of the plain file: `image` (B,3,H,W) in [0,1], `hole` (B,1,H,W) with 1 = missing, both sides multiples of the
    network's `multiple`, and `noise` (B,C,H/multiple,W/multiple) where the network draws different fills; output
    `picture` (B,3,H,W), what the network drew, known pixels included. With `uint8`: `photo` (H,W,3), `mask` (H,W) with
    128 or more = fill, `noise` (1,C,ceil(H/multiple),ceil(W/multiple)); output `picture` (H,W,3), known pixels exact.

    Raises ManyfillError where the network cannot be exported, or where onnxruntime and torch differ by more
    than `tolerance` (of 1, of 255 with uint8; None: TOLERANCE and 1): then no file is written.
    """
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise ManyfillError(f"export needs {' and '.join(missing)}. Install them: pip install 'manyfill[export]'.")
    if opset not in OPSETS:
        raise ManyfillError(f"opset is {opset}; expected {OPSETS[0]} to {OPSETS[-1]}.")
    found = weights.load(model)
    net = engines.fold(found.net)
    module = (_Bytes if uint8 else _Floats)(net).eval()
    installed = ZOO.get(str(model))
    licence = installed.licence if installed else found.metadata.get("licence", "unknown")
    name = installed.name if installed else found.path.stem
    data = _with_metadata(_traced(module, opset), _metadata(net, name, found.sha256, licence, uint8=uint8))
    sizes = tuple(_sizes(net, uint8=uint8))
    difference = _difference(module, data, sizes)
    allowed = tolerance if tolerance is not None else 1.0 if uint8 else TOLERANCE
    if not difference <= allowed:
        raise ManyfillError(
            f"'{name}' as ONNX differs from torch by up to {difference:.2g} of {255 if uint8 else 1};"
            f" the limit is {allowed:g}. No file was written. Another --opset may help."
        )
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    photos.write_atomic(path, data)
    return Exported(path, difference, sizes)


# ── what is exported ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Floats(nn.Module):
    """The network itself."""

    inputs = ("image", "hole", "noise")
    axes: Mapping[str, Mapping[int, str]] = {
        "image": {0: "batch", 2: "height", 3: "width"},
        "hole": {0: "batch", 2: "height", 3: "width"},
        "noise": {0: "batch", 2: "noise_height", 3: "noise_width"},
        "picture": {0: "batch", 2: "height", 3: "width"},
    }

    def __init__(self, net: CompletionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, hole: Tensor, noise: Tensor | None = None) -> Tensor:
        return self.net.decode(self.net.encode(image, hole), noise).image

    def example(self, height: int, width: int, seed: int) -> tuple[Tensor, ...]:
        draw = torch.Generator().manual_seed(seed)
        image = torch.rand(1, 3, height, width, generator=draw)
        hole = torch.zeros(1, 1, height, width)
        hole[..., height // 4 : height // 2, width // 3 :] = 1
        return image, hole, *_noise(self.net, height, width, draw)


class _Bytes(nn.Module):
    """The network between bytes and bytes: mask cut, edges repeated up to the multiple, fill rounded and pasted."""

    inputs = ("photo", "mask", "noise")
    axes: Mapping[str, Mapping[int, str]] = {
        "photo": {0: "height", 1: "width"},
        "mask": {0: "height", 1: "width"},
        "noise": {2: "noise_height", 3: "noise_width"},
        "picture": {0: "height", 1: "width"},
    }

    def __init__(self, net: CompletionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, photo: Tensor, mask: Tensor, noise: Tensor | None = None) -> Tensor:
        height, width, multiple = photo.shape[0], photo.shape[1], self.net.multiple
        missing = (mask >= 128)[..., None]  # (H, W, 1)
        pads = (0, (multiple - width % multiple) % multiple, 0, (multiple - height % multiple) % multiple)
        image = F.pad(photo.permute(2, 0, 1)[None].float() / 255, pads, mode="replicate")
        hole = F.pad(missing.permute(2, 0, 1)[None].float(), pads, mode="replicate")
        drawn = self.net.decode(self.net.encode(image, hole), noise).image[0, :, :height, :width]
        fill = (drawn.clamp(0, 1) * 255).round().permute(1, 2, 0)  # (H, W, 3)
        return torch.where(missing, fill, photo.float()).to(torch.uint8)

    def example(self, height: int, width: int, seed: int) -> tuple[Tensor, ...]:
        draw = torch.Generator().manual_seed(seed)
        photo = torch.randint(0, 256, (height, width, 3), generator=draw).to(torch.uint8)
        mask = torch.zeros(height, width, dtype=torch.uint8)
        mask[height // 4 : height // 2, width // 3 :] = 255
        step = self.net.multiple
        return photo, mask, *_noise(self.net, -(-height // step) * step, -(-width // step) * step, draw)


def _noise(net: CompletionNet, height: int, width: int, draw: torch.Generator) -> list[Tensor]:
    shape = net.noise_shape(height, width)
    return [] if shape is None else [torch.randn(1, *shape, generator=draw)]


def _sizes(net: CompletionNet, *, uint8: bool) -> Iterator[tuple[int, int]]:
    """Three sizes: the working size, and two small ones that are no squares; bytes may be of any size."""
    step = net.multiple
    side, small = (-(-least // step) * step for least in (net.working_size, 64))
    odd = 3 if uint8 else 0
    yield side, side
    yield small, small + step - odd
    yield small + 2 * step - odd, small + odd


# ── how ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _traced(module: _Floats | _Bytes, opset: int) -> bytes:
    """The module as ONNX; traced at a size that is not compared."""
    step = module.net.multiple
    small = -(-64 // step) * step
    example = module.example(small + step, small, seed=9)
    names = list(module.inputs[: len(example)])
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
            path = Path(folder) / "model.onnx"
            warnings.simplefilter("ignore")  # on sizes that become numbers: the comparison is the judge of that
            torch.onnx.export(
                module,
                example,
                path,
                input_names=names,
                output_names=["picture"],
                dynamic_axes={name: dict(module.axes[name]) for name in [*names, "picture"]},
                opset_version=opset,
                dynamo=False,  # a tenth of the other exporter's time, and needs one package less
            )
            return path.read_bytes()
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise ManyfillError(f"this {type(module.net).__name__} cannot be exported at opset {opset}: {why}.") from error


def _metadata(net: CompletionNet, name: str, sha256: str, licence: str, *, uint8: bool) -> dict[str, str]:
    """What a program that gets nothing but the file has to know."""
    step = net.multiple
    shape = net.noise_shape(step, step)
    about = {"model": name, "sha256": sha256, "licence": licence, "manyfill": __version__}
    about |= {"multiple": str(step), "working_size": str(net.working_size)}
    if shape is not None:
        batch, rounded = (1, "ceil(%s/%d)") if uint8 else ("batch", "%s/%d")
        sides = ", ".join(rounded % (side, step) for side in ("height", "width"))
        about["noise_shape"] = f"({batch}, {shape[0]}, {sides})"
    about["hole"] = "mask >= 128 is filled" if uint8 else "hole 1 is filled, 0 is kept"
    return about


def _with_metadata(data: bytes, metadata: Mapping[str, str]) -> bytes:
    import onnx

    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    onnx.helper.set_model_props(model, dict(metadata))
    return cast(bytes, model.SerializeToString())


def _difference(module: _Floats | _Bytes, data: bytes, sizes: tuple[tuple[int, int], ...]) -> float:
    """Greatest difference between onnxruntime and torch, over all sizes and NOISES."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    worst = 0.0
    try:
        session: Any = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        for (height, width), seed in product(sizes, NOISES):
            example = module.example(height, width, seed)
            with torch.inference_mode():
                expected = module(*example)
            inputs = {name: each.numpy() for name, each in zip(module.inputs, example, strict=False)}
            (drawn,) = session.run(["picture"], inputs)
            apart = (torch.from_numpy(drawn).float() - expected.float()).abs()
            worst = max(worst, float(apart.max()) if torch.isfinite(apart).all() else float("inf"))
    except Exception as error:  # onnxruntime has a dozen kinds
        why = " ".join(str(error).split())[:200]
        raise ManyfillError(f"onnxruntime cannot run this {type(module.net).__name__} ({why}).") from error
    return worst
