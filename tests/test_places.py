"""The index of photos gives back what was put in, and takes tens of bytes a photo."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from manyfill.errors import BadImage
from manyfill.places import Place, Places

GIVEN = [
    Place("photos/a.jpg", "photos/a.jpg"),
    Place("photos/deep/b c.png", "photos/deep/b c.png"),
    Place("shards/0.tar/x/y.jpg", "shards/0.tar", 512, 10_000),
    Place("shards/0.tar/z.jpg", "shards/0.tar", 12_288, 7),
    Place("shards/1.tar", "shards/1.tar", broken="it is cut off"),
    Place("shards/1.tar/\udce4.jpg", "shards/1.tar", 1 << 40, 3),  # a name that is not UTF-8
    Place("shards/1.tar/huge.tif", "shards/1.tar", 5, 1 << 33),
    Place("lonely.jpg", "lonely.jpg"),
]


def test_what_is_put_in_comes_out_also_after_a_pickle() -> None:
    places = Places(GIVEN)
    assert list(places) == GIVEN and len(places) == len(GIVEN)
    assert list(pickle.loads(pickle.dumps(places))) == GIVEN
    assert [places[2], places[7]] == [GIVEN[2], GIVEN[7]]
    with pytest.raises(IndexError):
        places[len(GIVEN)]
    assert list(Places()) == [] and len(Places().shards) == 0


def test_photos_of_one_shard_have_one_number() -> None:
    assert Places(GIVEN).shards.tolist()[2:4] == [2, 2] and len(set(Places(GIVEN).shards.tolist())) == 5


def test_a_million_photos_take_tens_of_megabytes() -> None:
    count = 20_000
    members = (Place(f"{k // 1000:06d}.tar/{k:08d}.jpg", f"{k // 1000:06d}.tar", 512 * k, 40_000) for k in range(count))
    assert Places(members).nbytes == count * (4 + 4 + 8 + 4 + 12)  # 32 bytes: 1.8 million photos are 58 MB


def test_a_whole_file_and_a_part_of_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"0123456789")
    path = str(tmp_path / "a.bin")
    whole, part = Places([Place(path, path), Place(f"{path}/x", path, 3, 4)])
    assert (whole.read(), part.read()) == (b"0123456789", b"3456")
    with pytest.raises(BadImage, match="it is cut off"):
        GIVEN[4].read()
