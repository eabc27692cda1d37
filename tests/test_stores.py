"""Folders behind addresses, with the stores that fsspec itself brings."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from manyfill.errors import ManyfillError, MissingExtra
from manyfill.stores import Store, is_address

pytest.importorskip("fsspec", reason="needs the ray extra: pip install 'manyfill[ray]'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/photos", True),
        ("gs://bucket", True),
        ("memory://a", True),
        ("file:///data/photos", True),
        ("dir::file:///data", True),
        ("photos", False),
        ("/data/photos", False),
        ("C:\\photos", False),
        ("C:/photos", False),
        ("photos:2024/a", False),
    ],
)
def test_addresses_are_told_from_paths(text: str, expected: bool) -> None:
    assert is_address(text) is expected


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(f"memory://{tmp_path.name}/fills/" if request.param == "memory" else f"file://{tmp_path}/fills")


def test_what_is_written_is_listed_and_read_back(store: Store) -> None:
    assert store.files() == {} and not store.is_file()
    for name, data in {"a.png": b"12", "sub/deep/b.json": b"345", "sub/ü c.png": b""}.items():
        store.write(name, data)
    assert {name: found.size for name, found in store.files().items()} == {
        "a.png": 2,
        "sub/deep/b.json": 3,
        "sub/ü c.png": 0,
    }
    assert store.read("sub/deep/b.json") == b"345"
    assert store.read_all(["a.png", "sub/deep/b.json", "gone"]) == {"a.png": b"12", "sub/deep/b.json": b"345"}
    assert store.read_all([]) == {}
    assert store.place("a.png") == f"{store.address.rstrip('/')}/a.png"
    one = Store(store.place("a.png"))
    assert one.is_file() and one.read() == b"12"


def test_a_file_that_changed_is_told_from_what_it_was(store: Store) -> None:
    store.write("a.png", b"12")
    before = store.files()["a.png"]
    assert Store(store.address).files()["a.png"] == before
    store.write("a.png", b"21")
    assert Store(store.address).files()["a.png"] != before


def test_a_store_travels_without_its_connection(store: Store) -> None:
    store.write("a.png", b"12")
    there = pickle.loads(pickle.dumps(store))
    assert there == store and "_opened" not in there.__dict__ and there.read("a.png") == b"12"


def test_what_cannot_be_had_is_said_in_one_line(store: Store) -> None:
    with pytest.raises(ManyfillError, match="no-such-scheme://bucket is not an address that can be read"):
        Store("no-such-scheme://bucket").files()
    with pytest.raises(MissingExtra, match="needs one more package"):
        Store("dropbox://photos").files()
    with pytest.raises(ManyfillError, match=r"gone\.png"):
        store.read("gone.png")
