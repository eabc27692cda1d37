"""Who fills: models seed by seed, folders of files by stem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyfill.completer import Completer
from manyfill.errors import BadImage, ManyfillError
from manyfill.evaluation.cases import Case
from manyfill.evaluation.sources import Filling, Folder
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1, fusion_scales=2)


@pytest.fixture
def case() -> Case:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    hole = np.zeros((32, 40), bool)
    hole[8:20, 10:26] = True
    return Case(0, "deep/a", np.asarray(small.resize((40, 32), Image.Resampling.BICUBIC)), hole)


@pytest.fixture
def completer() -> Completer:
    torch.manual_seed(0)
    return Completer.of_net(PICNet(TINY).eval(), name="tiny", sha256="0" * 64)


def test_fill_i_is_what_seed_i_gives_alone(case: Case, completer: Completer) -> None:
    source = Filling(completer, texture="net")
    answer = source.answer(case, n=3, seed=5)
    assert answer.seeds == [5, 6, 7] and len(answer.seconds) == 3
    assert len({fill.tobytes() for fill in answer.fills}) == 3
    (alone,) = completer.complete(case.pixels, case.hole, seed=6, texture="net")
    assert (alone.array == answer.fills[1]).all()


def test_a_filler_without_a_seed_answers_once(case: Case) -> None:
    answer = Filling(Completer.from_pretrained("telea")).answer(case, n=4, seed=0)
    assert len(answer.fills) == len(answer.scores) == 1


def test_labels_and_identities_tell_textures_apart(case: Case, completer: Completer) -> None:
    auto, net = Filling(completer), Filling(completer, texture="net")
    assert (auto.label, net.label) == ("tiny", "tiny, texture net")
    assert auto.identity(case) != net.identity(case)


def test_alpha_is_a_share_inside_the_hole(case: Case, completer: Completer) -> None:
    source = Filling(completer, texture="net")
    alpha = source.alpha(case, source.answer(case, n=1, seed=0).fills[0])
    assert alpha is not None and alpha.shape == case.hole.shape
    assert (alpha[~case.hole] == 0).all() and 0 < alpha[case.hole].mean() <= 1
    assert Filling(Completer.from_pretrained("mean")).alpha(case, case.pixels) is None


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_one_file_or_numbered_files_answer_a_photo(case: Case, tmp_path: Path) -> None:
    write(tmp_path / "one" / "deep" / "a.png", case.pixels)
    one = Folder(tmp_path / "one")
    one.prepare(["deep/a"])
    assert len(one.answer(case, n=8, seed=0).fills) == 1
    for number in (1, 2, 10):
        write(tmp_path / "many" / "deep" / f"a_{number}.png", np.full_like(case.pixels, number))
    many = Folder(tmp_path / "many")
    many.prepare(["deep/a"])
    answer = many.answer(case, n=8, seed=0)
    assert [int(fill[0, 0, 0]) for fill in answer.fills] == [1, 2, 10] and not answer.seconds
    assert len(many.answer(case, n=2, seed=0).fills) == 2


def test_all_missing_results_are_listed(case: Case, tmp_path: Path) -> None:
    write(tmp_path / "a.png", case.pixels)
    with pytest.raises(ManyfillError, match=r"no result for 2 of 3 photos: b, deep/c\."):
        Folder(tmp_path).prepare(["a", "b", "deep/c"])


def test_a_result_of_another_size_says_how_to_get_it_right(case: Case, tmp_path: Path) -> None:
    write(tmp_path / "deep" / "a.png", case.pixels[:-1])
    source = Folder(tmp_path)
    source.prepare(["deep/a"])
    with pytest.raises(BadImage, match=r"is 40x31 but the photo is 40x32 as it is measured. --write-set"):
        source.answer(case, n=1, seed=0)


def test_identity_follows_the_files_content(case: Case, tmp_path: Path) -> None:
    write(tmp_path / "deep" / "a.png", case.pixels)
    source = Folder(tmp_path)
    source.prepare(["deep/a"])
    before = source.identity(case)
    write(tmp_path / "deep" / "a.png", 255 - case.pixels)
    assert source.identity(case) != before
