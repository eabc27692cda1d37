"""Completion models from ONNX files: whole pipelines as MI-GAN's, fixed-size networks as exports of LaMa.

Which of the two a file is shows in its inputs; what its mask means and the range of what it draws are found out by a
probe picture, once. What it draws is wanted in the hole alone; known pixels are the completer's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from manyfill import files, openvinocore
from manyfill.download import cache_folder, sha256_of
from manyfill.errors import BadWeights, ManyfillError
from manyfill.seams import fill_smoothly

log = logging.getLogger(__name__)

ENGINES = ("onnxruntime", "openvino-f32")
CHOICES = ("auto", "onnxruntime", "openvino", "openvino-f32")
LARGEST = 4096  # pixels of a fixed side: 200 MB a picture in float
SIDE = 512  # pixels that a file of any size is shown: what MI-GAN and LaMa were trained at
EXPECTED = (
    "expected either a pipeline, 'image' uint8 (1,3,H,W) with 'mask' uint8 (1,1,H,W), 255 = known, as MI-GAN's; or a"
    " network, 'image' float (1,3,S,S) in [0,1] with 'mask' float (1,1,S,S), 1 = hole, as exports of LaMa"
)

Run = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]


class Port(NamedTuple):
    """One input of a file."""

    name: str
    kind: str  # "uint8", "float32", "float16", or what else it is
    shape: tuple[int | None, ...]  # None: any


@dataclass(frozen=True)
class Signature:
    """What a file takes."""

    image: str  # the inputs' names
    mask: str
    kind: str  # of both
    side: int | None  # fixed height and width; None: any


@dataclass(frozen=True)
class Meaning:
    """What its numbers mean, found out by the probe."""

    hole_is: int  # value of the mask, of 0 and 1, where something is missing
    low: float  # value of black in what it draws
    high: float  # and of white
    copies: bool  # whether known pixels come back as they went in


class _DoesNotRun(BadWeights):
    """Another engine may still run it."""


class OnnxModel:
    """An ONNX file, ready to draw."""

    def __init__(self, path: Path, *, engine: str = "auto", name: str | None = None) -> None:
        if engine not in CHOICES:
            raise ManyfillError(f"engine '{engine}' does not run ONNX files; expected {', '.join(CHOICES)}.")
        if not path.is_file():
            raise BadWeights(f"there is no model file {path}.")
        self.path, self.name = path, name or path.stem
        self.sizes: set[tuple[int, int]] = set()  # drawn so far: a runtime keeps memory for each
        self.sha256 = sha256_of(path)
        kinds = _runners(path, engine)
        for number, kind in enumerate(kinds, start=1):
            try:
                self._runner = kind(path)
                self.engine = kind.engine
                self.signature = recognise(self._runner.ports, path.name)
                self.side = self.signature.side or SIDE
                self.meaning = self._meaning()
                return
            except _DoesNotRun as error:
                if number == len(kinds):
                    raise
                log.debug("not %s: %s", kind.engine, error)

    def draw(self, image: Tensor, hole: Tensor) -> Tensor:
        """The whole picture, drawn: image (1,3,h,w) in [0,1], hole (1,1,h,w); (1,3,h,w) in [0,1].

        What lies under the hole is never shown: the file sees a smooth continuation of what is known. A fixed-size
        network is shown smaller pictures with their mirror image around them.
        """
        height, width = image.shape[-2:]
        self.sizes.add((height, width))
        frame = _Frame(height, width, self.signature.side)
        image, hole = frame.put(image), frame.put(hole)
        pixels = image[0].permute(1, 2, 0).cpu().numpy().astype(np.float32)
        missing = hole[0, 0].cpu().numpy() > 0.5
        drawn = self._drawn(fill_smoothly(pixels, missing), missing, self.meaning)
        return frame.cut(torch.from_numpy(np.ascontiguousarray(drawn.transpose(2, 0, 1)))[None])

    def _drawn(self, pixels: NDArray[np.float32], missing: NDArray[np.bool_], meaning: Meaning) -> NDArray[np.float32]:
        raw = self._raw(pixels, missing == bool(meaning.hole_is))
        picture = (raw - np.float32(meaning.low)) / np.float32(meaning.high - meaning.low)
        if not np.isfinite(picture).all():
            raise BadWeights(f"model '{self.name}' drew values that are not numbers: its weights are damaged.")
        return np.asarray(np.clip(picture, 0, 1), np.float32)

    def _raw(self, pixels: NDArray[np.float32], marked: NDArray[np.bool_]) -> NDArray[np.float32]:
        """What the file gives for pixels (h,w,3) in [0,1] and a mask (h,w), True = its highest value: (h,w,3)."""
        image, mask = pixels.transpose(2, 0, 1)[None], marked[None, None]
        if self.signature.kind == "uint8":
            feed = {self.signature.image: np.rint(image * 255).astype(np.uint8)}
            feed[self.signature.mask] = mask.astype(np.uint8) * np.uint8(255)
        else:
            feed = {self.signature.image: image.astype(self.signature.kind)}
            feed[self.signature.mask] = mask.astype(self.signature.kind)
        feed = {name: np.ascontiguousarray(array) for name, array in feed.items()}
        try:
            found = np.asarray(self._runner.run(feed))
        except Exception as error:  # each runtime has its own kinds
            raise _DoesNotRun(
                f"{self.path.name} does not run on {self.engine}: {_first_line(error)}."
                " Another engine may: --engine onnxruntime or openvino."
            ) from error
        if found.ndim != 4 or found.shape != image.shape:
            raise BadWeights(
                f"{self.path.name} draws {found.shape} for a picture of {image.shape}; expected the same shape."
            )
        return np.asarray(found[0].transpose(1, 2, 0), np.float32)

    # ── the probe ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _meaning(self) -> Meaning:
        """From the cache where the same file was probed before on the same engine."""
        version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
        note = cache_folder() / "onnx" / f"{self.sha256[:16]}-{self.engine}-{version}.json"
        try:
            return Meaning(**json.loads(note.read_text()))
        except (OSError, ValueError, TypeError):
            found = self._probed()
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomic(note, json.dumps(asdict(found)).encode())
        except (OSError, ManyfillError) as error:
            log.debug("what the probe found is not kept: %s", error)
        return found

    def _probed(self) -> Meaning:
        """Try both meanings of the mask on a picture whose middle is missing: known pixels come back, the rest changes.

        Raises BadWeights where neither does.
        """
        pixels, missing = probe_picture(self.side)
        seen = pixels * ~missing[..., None]  # black: what is drawn there is not what was shown
        inside = missing.copy()
        inside[: self.side // 2 - self.side // 16] = inside[self.side // 2 + self.side // 16 :] = False
        apart = ~missing
        apart[self.side // 4 : -self.side // 4, self.side // 4 : -self.side // 4] = False  # well away from the rim
        expected = 0 if self.signature.kind == "uint8" else 1
        tried = []
        for hole_is in (expected, 1 - expected):
            raw = self._raw(seen, missing == bool(hole_is))
            for low, high in ((0, 255),) if self.signature.kind == "uint8" else ((0, 1), (0, 255), (-1, 1)):
                picture = (raw - low) / (high - low)
                kept = float(np.abs(picture - pixels)[apart].mean())
                filled = float(np.abs(picture - seen)[inside].mean())
                tried.append((kept, filled, hole_is, low, high, picture))
        kept, filled, hole_is, low, high, picture = min(tried, key=lambda one: (not _right(*one[:2]), one[0]))
        if not _right(kept, filled):
            raise BadWeights(
                f"{self.path.name} takes what a completion model takes, but on a probe picture it changed known pixels"
                f" by {kept:.2f} of 1 and what was missing by {filled:.2f}, however the mask was read; {EXPECTED}."
            )
        copies = bool(np.abs(picture - pixels)[apart].max() < 1.5 / 255)
        return Meaning(hole_is, float(low), float(high), copies)


def _right(kept: float, filled: float) -> bool:
    """Known pixels came back (mean difference, of 1), and what was missing was drawn over (the probe shows black)."""
    return kept < 0.12 and filled > 0.12 and filled > 2 * kept


def probe_picture(side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A soft pattern (S,S,3) in [0.3, 0.9], and a hole in its middle, a quarter of the side."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / np.float32(side)
    channels = [
        0.6 + 0.3 * np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in ((1, 0.5, 0), (0.5, 1, 1), (1, 1, 2))
    ]
    missing = np.zeros((side, side), bool)
    missing[side * 3 // 8 : side * 5 // 8, side * 3 // 8 : side * 5 // 8] = True
    return np.stack(channels, -1).astype(np.float32), missing


def recognise(ports: tuple[Port, ...], name: str) -> Signature:
    """Which input is the picture and which the mask. Raises BadWeights, saying what was found and expected."""
    images = [port for port in ports if len(port.shape) == 4 and port.shape[1] == 3]
    masks = [port for port in ports if len(port.shape) == 4 and port.shape[1] == 1]
    fits = len(ports) == 2 and len(images) == 1 and len(masks) == 1
    if fits:
        image, mask = images[0], masks[0]
        sides = {side for port in (image, mask) for side in port.shape[2:]}
        known = image.kind == mask.kind and image.kind in ("uint8", "float32", "float16")
        if known and len(sides) == 1 and all(port.shape[0] in (1, None) for port in ports):
            side = sides.pop()
            if side is None or 16 <= side <= LARGEST:
                return Signature(image.name, mask.name, image.kind, side)
    found = ", ".join(
        f"'{port.name}' {port.kind} ({','.join('?' if side is None else str(side) for side in port.shape)})"
        for port in ports
    )
    raise BadWeights(
        f"{name} is not a completion model that manyfill can run: it takes {found or 'nothing'}; {EXPECTED}."
    )


@dataclass(frozen=True)
class _Frame:
    """A picture in the middle of what a fixed-size network takes."""

    height: int
    width: int
    side: int | None

    def put(self, picture: Tensor) -> Tensor:
        """With its mirror image around it, as often as it takes."""
        if self.side is None or (self.height, self.width) == (self.side, self.side):
            return picture
        assert max(self.height, self.width) <= self.side, f"{self} is larger than the network"
        while picture.shape[-2:] != (self.side, self.side):
            missing = [self.side - length for length in picture.shape[-2:]]
            rows, columns = (min(m, length - 1) for m, length in zip(missing, picture.shape[-2:], strict=True))
            mode = "reflect" if max(rows, columns) > 0 else "replicate"
            if mode == "replicate":
                rows, columns = missing
            picture = F.pad(picture, (0, columns, 0, rows), mode=mode)
        return picture

    def cut(self, picture: Tensor) -> Tensor:
        """The picture itself again."""
        return picture[..., : self.height, : self.width]


# ── what runs it ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _OnnxRuntime:
    engine = "onnxruntime"

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise _DoesNotRun(f"{path} cannot be read as an ONNX file: {_first_line(error)}.") from error
        self.ports = tuple(
            Port(one.name, _kind(one.type), tuple(side if isinstance(side, int) else None for side in one.shape))
            for one in self.session.get_inputs()
        )

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        return np.asarray(self.session.run(None, dict(feed))[0])


class _OpenVino:
    engine = "openvino-f32"

    def __init__(self, path: Path) -> None:
        self.core = openvinocore.core()
        try:
            self.model = self.core.read_model(str(path))
        except Exception as error:
            raise _DoesNotRun(f"{path} cannot be read as an ONNX file: {_first_line(error)}.") from error
        self.path = path
        self.ports = tuple(
            Port(
                one.get_any_name(),
                _kind(one.get_element_type().get_type_name()),
                tuple(side.get_length() if side.is_static else None for side in one.get_partial_shape()),
            )
            for one in self.model.inputs
        )
        self.compiled: dict[tuple[tuple[int, ...], ...], Any] = {}
        self.lock = threading.Lock()

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        shapes = tuple(array.shape for array in feed.values())
        with self.lock:
            if shapes not in self.compiled:  # each size by itself: with sizes left open parts of a pipeline do not run
                self.model.reshape({name: list(array.shape) for name, array in feed.items()})
                settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
                kept = cache_folder() / "engines" / "onnx"
                self.compiled[shapes] = self.core.compile_model(self.model, "CPU", {**settings, "CACHE_DIR": str(kept)})
            return np.array(next(iter(self.compiled[shapes](dict(feed)).values())))


def _runners(path: Path, engine: str) -> list[type[_OnnxRuntime] | type[_OpenVino]]:
    """Those to try: OpenVINO where it is installed, half the time of onnxruntime on CPUs (docs/models.md)."""
    found: list[type[_OnnxRuntime] | type[_OpenVino]] = []
    if engine != "onnxruntime" and importlib.util.find_spec("openvino") is not None:
        found.append(_OpenVino)
    if engine in ("auto", "onnxruntime") and importlib.util.find_spec("onnxruntime") is not None:
        found.append(_OnnxRuntime)
    if not found and engine in ("auto", "onnxruntime"):
        raise ManyfillError(f"{path.name} needs onnxruntime. Install it: pip install 'manyfill[onnx]'.")
    if not found:
        raise ManyfillError(f"engine '{engine}' needs OpenVINO. Install it: pip install 'manyfill[fast]'.")
    return found


def _kind(text: str) -> str:
    """What onnxruntime and OpenVINO call a type, in numpy's words."""
    text = text.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "f32": "float32", "f16": "float16", "u8": "uint8", "double": "float64"}.get(text, text)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return (lines or [type(error).__name__])[0].rstrip(".")[:300]
