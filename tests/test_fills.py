"""Fills as a sequence: seen in a notebook, saved to a folder, and short when printed."""

from __future__ import annotations

import base64
import io
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import manyfill
from manyfill import photos, weights
from manyfill.completer import Completer, Completion, FillerDrawer, Fills
from manyfill.completer.drawing import DRAWERS
from manyfill.errors import ManyfillError
from manyfill.fillers import FILLERS
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=64, width=4, max_width=8, latent=4, infer_blocks=1)


@pytest.fixture(scope="module")
def completer() -> Completer:
    torch.manual_seed(0)
    return Completer.of_net(PICNet(TINY).eval(), name="tiny")


def photo_of(mode: str = "RGB", dtype: type = np.uint8, size: tuple[int, int] = (60, 90)) -> NDArray[np.uint8]:
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (*size, *channels)).astype(dtype)
    if mode == "RGBA":
        pixels[..., 3] = np.iinfo(dtype).max
    return pixels


def hole_of(size: tuple[int, int] = (60, 90)) -> NDArray[np.bool_]:
    hole = np.zeros(size, bool)
    hole[20:40, 30:60] = True
    return hole


@pytest.fixture(scope="module")
def fills(completer: Completer) -> Fills:
    return completer.complete(photo_of(), hole_of(), n=3, texture="net")


def test_fills_are_a_sequence_best_first(fills: Fills) -> None:
    assert isinstance(fills, manyfill.Fills) and len(fills) == 3
    scores = [fill.score for fill in fills]
    assert scores == sorted(scores, reverse=True)
    assert isinstance(fills[0], Completion) and fills[-1] is list(fills)[2]
    assert isinstance(fills[:2], Fills) and len(fills[:2]) == 2 and fills[1] in fills
    assert (fills.uncertainty == manyfill.uncertainty(fills)).all() and fills.uncertainty.any()
    assert fills.notes == fills[0].notes


def test_a_photo_prints_its_size_and_not_its_pixels(tmp_path: Path) -> None:
    photos.write(photos.read(np.zeros((32, 40), np.uint16)), tmp_path / "a.png")
    assert repr(photos.read(tmp_path / "a.png")) == "<photo 40x32, 16 bits, L, png, a.png>"


def test_what_is_printed_is_short(fills: Fills) -> None:
    assert re.fullmatch(r"<fill 90x60, seed \d, score -?\d\.\d{3}>", repr(fills[0]))
    assert repr(fills) == f"Fills({', '.join(repr(fill) for fill in fills)})" and len(repr(fills)) < 200


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_notebook_shows_a_fill_and_a_strip(completer: Completer, mode: str, dtype: type) -> None:
    photo = photo_of(mode, dtype)
    fills = completer.complete(photo, hole_of(), n=2, texture="net")
    shown = Image.open(io.BytesIO(fills[0]._repr_png_()))
    assert shown.size == (90, 60) and shown.mode == mode
    expected = np.asarray(fills[0].array) // (257 if dtype is np.uint16 else 1)
    if mode == "L":
        expected = expected[..., 0]
    assert np.abs(np.asarray(shown).astype(int) - expected).max() <= 1
    strip = fills._repr_html_()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', strip)
    assert len(pictures) == 2
    assert [Image.open(io.BytesIO(base64.b64decode(one))).size for one in pictures] == [(90, 60)] * 2
    assert strip.index("1 · seed") < strip.index("2 · seed")


def test_large_photos_are_shown_small(completer: Completer) -> None:
    size = (700, 3000)
    hole = np.zeros(size, bool)
    hole[300:320, 1000:1030] = True
    fills = completer.complete(photo_of(size=size), hole, texture="net")
    assert Image.open(io.BytesIO(fills[0]._repr_png_())).size == (1024, 239)
    assert len(fills._repr_html_()) < 500_000


def test_tensor_array_and_image_hold_the_same(fills: Fills) -> None:
    fill = fills[0]
    assert fill.tensor.shape == (1, 3, 60, 90) and fill.tensor.dtype == torch.float32
    assert (np.rint(fill.tensor[0].permute(1, 2, 0).numpy() * 255) == fill.array).all()
    assert (np.asarray(fill.image) == fill.array).all()


def test_a_mask_that_marks_nothing_is_noted(completer: Completer) -> None:
    photo = np.zeros((32, 40, 3), np.uint8)
    (fill,) = completer.complete(photo, np.zeros((32, 40), bool))
    assert fill.notes == ("The mask marks nothing to fill; the photo comes back as it was.",)


def test_a_sheet_shows_photo_hole_and_fills(fills: Fills) -> None:
    assert fills.sheet(title="three").size[0] > 3 * 90


def test_fills_are_saved_by_rank_under_the_photos_name(completer: Completer, tmp_path: Path) -> None:
    Image.fromarray(photo_of()).save(tmp_path / "beach.png")
    fills = completer.complete(tmp_path / "beach.png", hole_of(), n=2, texture="net")
    paths = fills.save(tmp_path / "new" / "fills")
    assert [path.name for path in paths] == ["beach_1.png", "beach_2.png"]
    assert all((np.asarray(Image.open(path)) == fill.array).all() for path, fill in zip(paths, fills, strict=True))
    for format, suffix in (("jpg", ".jpg"), ("webp", ".webp"), ("tiff", ".tiff")):
        assert [path.suffix for path in fills.save(tmp_path / format, format=format)] == [suffix] * 2
    unnamed = completer.complete(photo_of(), hole_of(), texture="net").save(tmp_path / "unnamed")
    assert [path.name for path in unnamed] == ["fill_1.png"]


def test_the_short_way_keeps_the_model_that_it_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, str | None]] = []
    for name, filler in (("one", "mean"), ("other", "telea")):

        def load(device: str | None, name: str = name, filler: str = filler) -> FillerDrawer:
            loaded.append((name, device))
            return FillerDrawer(FILLERS[filler])

        monkeypatch.setitem(DRAWERS, name, load)
    for model in ("one", "one", "other", "one"):
        manyfill.complete(photo_of(), hole_of(), model=model)
    manyfill.complete(photo_of(), hole_of(), model="one", device="cpu")
    assert loaded == [("one", None), ("other", None), ("one", None), ("one", "cpu")]


def test_a_completer_goes_to_another_process_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (40, 48, 3)).astype(np.uint8)
    hole = np.zeros((40, 48), bool)
    hole[10:20, 10:24] = True
    file = weights.save(PICNet(TINY), tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    for completer in (manyfill.load("telea"), manyfill.load("mine.safetensors", engine="torch")):
        packed = pickle.dumps(completer)
        monkeypatch.chdir(file.parent.parent)  # a relative path means the same file there
        again = pickle.loads(packed)
        assert (again.name, again.sha256, again.engine) == (completer.name, completer.sha256, completer.engine)
        one, two = (each.complete(photo, hole, seed=5)[0].array for each in (completer, again))
        assert len(packed) < 2000 and (one == two).all()
        monkeypatch.chdir(tmp_path)
    with pytest.raises(ManyfillError, match="of_net"):
        pickle.dumps(Completer.of_net(PICNet(TINY)))


def test_no_fills_have_no_sheet() -> None:
    with pytest.raises(ManyfillError, match="no fills"):
        Fills([]).sheet()
    assert Fills([]).notes == () and "<div" in Fills([])._repr_html_()
