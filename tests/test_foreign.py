"""Models from ONNX files go through windows, seams, ranking, texture, sidecars and replay as our own do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxfiles
import pytest
from numpy.typing import NDArray
from PIL import Image

from manyfill import memory
from manyfill.cli import run
from manyfill.completer import Completer, Completion, OnnxDrawer, foreign
from manyfill.errors import BadWeights, ManyfillError, TooLarge, UnknownModel
from manyfill.evaluation.sources import Filling
from manyfill.options import FillOptions
from manyfill.views import view_of
from manyfill.windows import plan


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("onnx")
        patch.setenv("MANYFILL_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module", params=["pipeline", "network"])
def completer(request: pytest.FixtureRequest, kept: Path) -> Completer:
    make = onnxfiles.pipeline if request.param == "pipeline" else onnxfiles.network
    return Completer.from_pretrained(make(kept / f"{request.param}.onnx"))


def photo_of(height: int = 120, width: int = 200, *, dtype: type = np.uint8) -> NDArray[np.uint8]:
    small = np.random.default_rng(0).random((5, 7, 3)).astype(np.float32)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return np.rint(smooth * np.iinfo(dtype).max).astype(dtype)


def hole_in(photo: NDArray[np.uint8]) -> NDArray[np.bool_]:
    hole = np.zeros(photo.shape[:2], bool)
    hole[45:75, 90:120] = True
    return hole


def same(one: Completion, two: Completion) -> bool:
    return bool((one.photo.pixels == two.photo.pixels).all())


def test_the_file_is_the_model(completer: Completer) -> None:
    assert isinstance(completer.drawer, OnnxDrawer) and completer.varied
    assert completer.name in ("pipeline", "network") and len(completer.sha256) == 64
    assert completer.engine in ("openvino-f32", "onnxruntime")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("texture", ["auto", "net"])
def test_known_pixels_are_never_changed(completer: Completer, dtype: type, texture: str) -> None:
    photo = photo_of(dtype=dtype)
    hole = hole_in(photo)
    for fill in completer.complete(photo, hole, n=2, texture=texture):
        assert fill.photo.pixels.dtype == dtype
        assert (fill.photo.pixels[~hole] == photo[~hole]).all()
        assert (fill.photo.pixels[hole] != photo[hole]).any()


def test_in_scenes_half_of_the_detail_is_the_models_own_and_in_textures_none(completer: Completer) -> None:
    for unlike, most in ((False, 1.0), (True, 0.5)):
        photo = np.random.default_rng(0).integers(60, 200, (120, 200, 3), np.uint8)
        if unlike:
            photo[:, :100] //= 4
        (fill,) = completer.complete(photo, hole_in(photo))
        assert fill.confidence is not None
        assert most - 0.1 < fill.confidence[fill.hole].max() <= most


def test_several_fills_differ_and_each_comes_again_from_its_seed_alone(completer: Completer) -> None:
    photo = photo_of()
    hole = hole_in(photo)
    fills = completer.complete(photo, hole, n=4, seed=0, texture="net")
    assert len(fills) == 4 and len({fill.photo.pixels.tobytes() for fill in fills}) >= 2
    for fill in fills:
        assert same(completer.complete(photo, hole, seed=fill.seed, texture="net")[0], fill)
    (likely,) = completer.complete(photo, hole, n=4, seed=9, diversity=0, texture="net")
    assert same(likely, completer.complete(photo, hole, seed=0, texture="net")[0])  # the plain view
    near = completer.complete(photo, hole, n=2, seed=70, near=3, step=0, texture="net")
    assert len(near) == 1 and same(near[0], completer.complete(photo, hole, seed=3, texture="net")[0])


@pytest.mark.parametrize("trait", ["mirrored", "turned", "halved", "grown", "down", "right"])
def test_every_view_comes_back_in_its_place(completer: Completer, trait: str) -> None:
    """Each row of the photo has a colour of its own, and the file takes what it draws from the same row."""
    y = np.mgrid[:120, :200][0].astype(np.float32)
    photo = np.rint(np.stack([40 + 1.5 * y, 230 - 1.5 * y, 60 + y], -1)).astype(np.uint8)
    hole = hole_in(photo)
    seed = next(seed for seed in range(1, 100) if abs(getattr(view_of(seed), trait)) > 0.3)
    (fill,) = completer.complete(photo, hole, seed=seed, texture="net")
    apart = (fill.photo.pixels.astype(int) - photo)[hole]
    assert np.abs(apart).max() <= 5 and np.abs(apart.mean(0)).max() < 0.6  # a row off would be 1.5


def test_long_strokes_are_filled_window_by_window_in_squares_of_the_models_side(completer: Completer) -> None:
    photo = photo_of(150, 900)
    hole = np.zeros((150, 900), bool)
    hole[70:84, 20:880] = True
    windows = completer.drawer.plan(hole)
    side = 512 if completer.name == "pipeline" else 64
    assert {window.padded for window in windows} == {(side, side)}
    assert all(max(window.inner) == side for window in windows)
    assert [window.core for window in windows] == [w.core for w in plan(hole, working_size=side, multiple=1)]
    stages: list[tuple[str, int, int]] = []
    shown: list[int] = []
    fills = completer.stream(
        photo,
        hole,
        FillOptions(n=2, texture="net"),
        progress=lambda *stage: stages.append(stage),
        preview=lambda fill, step, steps: shown.append(fill.seed),
    )
    assert all((fill.photo.pixels[~hole] == photo[~hole]).all() for fill in fills)
    drawn = 4
    assert [stage for stage in stages if stage[0] == "fill"][-1] == ("fill", drawn * len(windows), drawn * len(windows))
    assert shown == [0, 1, 2, 3]


def test_what_an_onnx_file_cannot_do_is_said(completer: Completer, kept: Path) -> None:
    photo = photo_of()
    with pytest.raises(ManyfillError, match=r"does not blend into the photo around the hole\. Leave --band at 0"):
        completer.complete(photo, hole_in(photo), band=3)
    with pytest.raises(ManyfillError, match="ONNX files run on the CPU here"):
        Completer.from_pretrained(kept / "network.onnx", device="cuda")
    with pytest.raises(BadWeights, match=r"there is no model file .*missing\.onnx"):
        Completer.from_pretrained("missing.onnx")
    with pytest.raises(UnknownModel, match=r"model 'migan' is not in the cache.* manyfill fetch migan"):
        Completer.from_pretrained("migan")


def test_the_command_line_fills_records_and_replays(
    completer: Completer, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = photo_of()
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.fromarray(hole_in(photo)).save(tmp_path / "hole.png")
    file = kept / f"{completer.name}.onnx"
    out = tmp_path / "fills"
    code = run(["complete", str(tmp_path / "photo.png"), "--mask", str(tmp_path / "hole.png"), "--model", str(file),
                "-n", "2", "--texture", "net", "--no-sheet", "-o", str(out)])  # fmt: skip
    assert code == 0
    record = json.loads((out / "photo.json").read_text())
    assert record["model"]["name"] == completer.name and record["model"]["sha256"] == completer.sha256
    assert (out / record["model"]["file"]).resolve() == file.resolve()
    assert record["made_with"]["engine"] == completer.engine
    assert run(["replay", str(out / "photo.json"), "-o", str(tmp_path / "again")]) == 0
    assert "byte for byte as recorded" in capsys.readouterr().err


def test_evaluate_takes_it_as_any_model(completer: Completer) -> None:
    source = Filling(completer, texture="net")
    assert source.facts["kind"] == "model" and source.facts["engine"] == completer.engine


def test_views_of_a_batch_are_those_of_single_seeds(completer: Completer) -> None:
    photo = photo_of()
    hole = hole_in(photo)
    options = FillOptions(n=3, seed=5, texture="net", diversity=0.6)
    seeds = [fill.seed for fill in completer.stream(photo, hole, options)]
    assert len({view_of(seed, diversity=0.6) for seed in seeds}) == 3


def test_what_the_runtime_takes_is_in_the_estimate_until_it_is_held(kept: Path) -> None:
    completer = Completer.from_pretrained(onnxfiles.network(kept / "fresh.onnx"))
    photo = photo_of()
    assert completer.drawer.takes == 2 * foreign.SIZE_TAKES
    with pytest.raises(TooLarge, match="would take"):
        completer.complete(photo, hole_in(photo), max_memory=memory.resident() + foreign.SIZE_TAKES)
    completer.complete(photo, hole_in(photo), texture="net")
    assert completer.drawer.takes == foreign.SIZE_TAKES
