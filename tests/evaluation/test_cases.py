"""Which photos and which holes: seeded by name, hashed, binned, paired by stem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyfill import masks
from manyfill.errors import BadImage, BadMask, ManyfillError
from manyfill.evaluation.cases import Case, Cases, Setup, bin_of


def photo(path: Path, width: int = 60, height: int = 40, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed, name in enumerate(["a.png", "b.jpg", "deep/c.png", "d.png", "e.png", "f.png", "g.png"]):
        photo(tmp_path / "data" / name, seed=seed)
    return tmp_path / "data"


def test_names_are_paths_without_suffix(data: Path) -> None:
    assert sorted(Cases(data, Setup()).names) == ["a", "b", "d", "deep/c", "e", "f", "g"]


def test_photos_are_reduced_to_the_short_side_and_never_enlarged(data: Path) -> None:
    photo(data / "large.png", 90, 60)
    cases = Cases(data, Setup(size=40))
    sizes = {case.name: case.pixels.shape for case in (cases[k] for k in range(len(cases)))}
    assert sizes["large"] == (40, 60, 3) and sizes["a"] == (40, 60, 3)
    assert Cases(data, Setup(size=512))[0].pixels.shape == (40, 60, 3)


def test_a_multiple_is_cropped_about_the_centre(data: Path) -> None:
    whole, part = Cases(data, Setup())[0], Cases(data, Setup(multiple=16))[0]
    assert part.pixels.shape == (32, 48, 3) and part.hole.shape == (32, 48)
    assert (part.pixels == whole.pixels[4:36, 6:54]).all()


def test_bins_come_in_turn_and_hold_their_ratio(data: Path) -> None:
    cases = Cases(data, Setup(masks="bins"))
    assert [bin_of(cases[k].ratio) for k in range(7)] == [0, 1, 2, 3, 4, 5, 0]


def test_further_rounds_put_every_photo_into_another_bin(data: Path) -> None:
    cases = Cases(data, Setup(masks="bins", rounds=2))
    assert len(cases) == 14 and cases.names[7] == f"{cases.names[0]}@2"
    assert [bin_of(cases[k].ratio) for k in (0, 7, 5, 12)] == [0, 1, 5, 0]
    assert (cases[7].pixels == cases[0].pixels).all()


def test_a_bin_has_its_upper_end_and_not_its_lower() -> None:
    assert [bin_of(x) for x in (0.005, 0.01, 0.0101, 0.1, 0.1001, 0.6, 0.61)] == [None, None, 0, 0, 1, 5, None]


def test_a_hole_depends_on_seed_name_and_size_alone(data: Path) -> None:
    before = {case.name: case.hole for case in map(Cases(data, Setup(masks="strokes")).__getitem__, range(7))}
    photo(data / "0_new.png", seed=9)
    cases = Cases(data, Setup(masks="strokes"))
    after = {case.name: case.hole for case in map(cases.__getitem__, range(8))}
    assert all((after[name] == hole).all() for name, hole in before.items())
    other = Cases(data, Setup(masks="strokes", seed=1))
    assert any((other[k].hole != after[other.names[k]]).any() for k in range(8))
    assert len({hole.tobytes() for hole in after.values()}) == 8


def test_lamas_masks_leave_half_of_the_photo(data: Path) -> None:
    cases = Cases(data, Setup(masks="thick"))
    assert all(cases[k].ratio < 0.5 for k in range(7))


def test_the_set_hash_is_that_of_masks(data: Path) -> None:
    cases = Cases(data, Setup(masks="center"))
    holes = [masks.read_hole(cases[k].hole) for k in range(3)]
    assert cases.set_hash([(k, 40, 60) for k in range(3)]) == masks.set_hash(holes)


def test_a_limit_takes_the_first(data: Path) -> None:
    assert Cases(data, Setup(limit=2)).names == Cases(data, Setup()).names[:2]


def hole(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((height, width), np.uint8)
    picture[height // 4 : height // 2, width // 4 : width // 2] = 255
    Image.fromarray(picture).save(path)


def test_masks_of_a_folder_pair_by_stem_at_either_size(data: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "d", "e", "f", "deep/c"):
        hole(tmp_path / "masks" / f"{name}.png", 60, 40)
    hole(tmp_path / "masks" / "g.png", 60, 40)
    cases = Cases(data, Setup(masks=str(tmp_path / "masks"), size=20))
    assert all(cases[k].hole.shape == (20, 30) and cases[k].hole[5:10, 7:15].all() for k in range(7))
    assert Cases(data, Setup(masks=str(tmp_path / "masks")))[0].hole.sum() == 10 * 15


def test_photos_without_a_mask_are_listed(data: Path, tmp_path: Path) -> None:
    hole(tmp_path / "masks" / "a.png", 60, 40)
    with pytest.raises(BadMask, match=r"6 of 7 photos have no mask in .*: b, d, e, f, g, deep/c\."):
        Cases(data, Setup(masks=str(tmp_path / "masks")))


def test_a_mask_of_another_shape_says_both_sizes(data: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "d", "e", "f", "deep/c", "g"):
        hole(tmp_path / "masks" / f"{name}.png", 40, 60)
    with pytest.raises(BadMask, match="is 40x60 but the photo is 60x40"):
        Cases(data, Setup(masks=str(tmp_path / "masks")))[0]


def test_a_kind_that_does_not_exist_gets_a_hint(data: Path) -> None:
    with pytest.raises(ManyfillError, match="Did you mean 'strokes'"):
        Cases(data, Setup(masks="stroke"))


def test_a_corrupt_photo_raises_and_the_others_stay(data: Path) -> None:
    (data / "broken.png").write_bytes(b"no picture")
    cases = Cases(data, Setup())
    at = cases.names.index("broken")
    with pytest.raises(BadImage):
        cases[at]
    assert isinstance(cases[at - 1], Case)


def test_two_photos_of_one_name_are_refused(data: Path) -> None:
    photo(data / "a.jpg")
    with pytest.raises(ManyfillError, match="same name without suffix: a"):
        Cases(data, Setup())
