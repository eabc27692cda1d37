"""Labels: shards there and back, and samples from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyfill import masks
from manyfill.data import Samples, open_photos
from manyfill.errors import BadImage
from manyfill.labels import Label, LabelSamples, LabelSet, write_shard


def labels(count: int = 3, side: int = 32) -> list[Label]:
    rng = np.random.default_rng(0)
    made = []
    for k in range(count):
        photo = np.full((side, side, 3), 60 + 20 * k, np.uint8)
        hole = np.zeros((side, side), bool)
        hole[4 : 11 + k, 7:20] = True
        truths = tuple(np.where(hole[..., None], rng.integers(100, 255, 3, np.uint8), photo) for _ in range(k))
        made.append(Label(f"{k:04d}", photo, hole, truths, {"index": k}))
    return made


def test_labels_come_back_from_a_shard(tmp_path: Path) -> None:
    made = labels()
    write_shard(tmp_path / "a.tar", made)
    found = LabelSet([tmp_path])
    assert len(found) == 3
    for one, other in zip(made, (found[k] for k in range(3)), strict=True):
        assert one.key == other.key and one.facts == other.facts and len(one.truths) == len(other.truths)
        assert np.array_equal(one.hole, other.hole)
        for truth, again in zip(one.truths, other.truths, strict=True):
            assert np.abs(truth.astype(int) - again)[one.hole].mean() < 4  # JPEG
            assert np.array_equal(again[~one.hole], other.photo[~one.hole])
    write_shard(tmp_path / "b.tar", made)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_sample_is_one_truth_of_its_hole_and_depends_on_its_number_alone(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", labels())
    samples = LabelSamples(LabelSet(tmp_path / "a.tar"), size=16, seed=5, photo_share=0.0)
    again = LabelSamples(LabelSet(tmp_path / "a.tar"), size=16, seed=5, photo_share=0.0)
    seen = set()
    for k in (7, 0, 3, 12, 30):
        image, hole = samples[k]
        assert image.shape == (3, 16, 16) and hole.shape == (1, 16, 16) and set(hole.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(image, again[k][0])
        seen.add(round(float(image[0][hole[0] > 0].median()), 2))
    assert len(seen) > 1


def test_a_place_that_a_missing_pixel_touches_is_missing_at_half_size(tmp_path: Path) -> None:
    label = labels(1)[0]
    write_shard(tmp_path / "a.tar", [label])
    _, hole = LabelSamples(LabelSet(tmp_path / "a.tar"), size=16, seed=0)[0]
    expected = label.hole.reshape(16, 2, 16, 2).any((1, 3))
    assert np.array_equal(hole[0].numpy() > 0, expected) or np.array_equal(hole[0].numpy() > 0, expected[:, ::-1])


def test_labels_and_plain_photos_are_mixed_by_their_share(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", labels())
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(tmp_path / "white.png")
    plain = Samples(open_photos(tmp_path / "white.png"), size=16, masks=masks.KINDS["center"], seed=0)
    mixed = LabelSamples(LabelSet(tmp_path / "a.tar"), size=16, seed=0, plain=plain, share=0.25)
    plain_ones = sum(torch.equal(mixed[k][0], plain[k][0]) for k in range(80))
    assert 45 <= plain_ones <= 75


def test_labels_that_do_not_fit_or_are_none_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", labels())
    with pytest.raises(BadImage, match="Make `size` 32"):
        LabelSamples(LabelSet(tmp_path / "a.tar"), size=24, seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadImage, match="manyfill label"):
        LabelSet(tmp_path / "empty")
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    with pytest.raises(BadImage, match="cannot be read as a shard"):
        LabelSet(tmp_path / "broken.tar")


def test_a_sample_brings_as_many_truths_as_are_asked_for_the_drawn_one_first(tmp_path: Path) -> None:
    """Those of labels with fewer come again; a plain photo is its own only truth; one truth is as it always was."""
    write_shard(tmp_path / "a.tar", labels(4))
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(tmp_path / "white.png")
    plain = Samples(open_photos(tmp_path / "white.png"), size=16, masks=masks.KINDS["center"], seed=0)
    found = LabelSet(tmp_path / "a.tar")
    one = LabelSamples(found, size=16, seed=0, plain=plain, share=0.7)
    three = LabelSamples(found, size=16, seed=0, plain=plain, share=0.7, truths=3)
    distinct = set()
    for k in range(60):
        (image, hole), (truths, missing) = one[k], three[k]
        assert truths.shape == (3, 3, 16, 16) and torch.equal(hole, missing) and torch.equal(truths[0], image)
        known = (1 - hole).expand_as(image) > 0
        assert all(torch.equal(truth[known], image[known]) for truth in truths)
        distinct.add(len({tuple(truth[:, hole[0] > 0].mean(1).tolist()) for truth in truths}))
    assert distinct == {1, 2, 3}
