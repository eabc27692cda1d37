"""One cache of decoded photos for the processes of a machine; threads stand for them here."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manyfill.data import PhotoSet, open_photos
from manyfill.errors import BadImage
from manyfill.pool import Fellows, one_of_us


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for index in range(9):
        Image.fromarray(rng.integers(0, 256, (20 + index, 30, 3), np.uint8)).save(photos / f"{index}.png")
    (photos / "4.png").write_bytes(b"no photo")
    return photos


def together(folder: Path, tmp_path: Path, count: int = 2, **options: Any) -> list[PhotoSet]:
    """The sets of all processes, each after its preload."""
    barrier = threading.Barrier(count, timeout=180)

    def one(number: int) -> PhotoSet:
        photos = open_photos(folder, **options)
        photos.preload(fellows=Fellows(number, count, tmp_path / "shared", lambda: barrier.wait() and None))
        return photos

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("count", [2, 3, 12])
def test_every_photo_is_decoded_once_on_a_machine_and_all_see_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    decoded: list[bytes] = []
    usual = Image.open

    def watched(source: io.BytesIO) -> Any:
        decoded.append(source.getvalue())
        return usual(source)

    monkeypatch.setattr(Image, "open", watched)
    sets = together(folder, tmp_path, count)
    assert sorted(decoded) == sorted(path.read_bytes() for path in folder.iterdir())
    alone = open_photos(folder)
    alone.preload()
    before = len(decoded)
    for photos in sets:
        assert photos.cached == 8 and photos.skipped == alone.skipped and len(photos.skipped) == 1
        for index in range(9):
            if index == 4:
                with pytest.raises(BadImage):
                    photos[index]
                continue
            assert np.array_equal(photos[index], alone[index])
            assert not photos[index].flags.writeable
    assert len(decoded) == before, "a photo of the cache was decoded again"


def test_the_pixels_are_in_one_file_for_all_and_nothing_is_left_behind(folder: Path, tmp_path: Path) -> None:
    one, two = together(folder, tmp_path)
    for photos in (one, two):
        files = {base.filename for index in (0, 1) if isinstance(base := _root(photos[index]), np.memmap)}
        assert files == {tmp_path / "shared/pixels-0", tmp_path / "shared/pixels-1"}
    assert not (tmp_path / "shared").exists()


def _root(array: Any) -> Any:
    while not (isinstance(array, np.memmap) and not isinstance(array.base, np.memmap)):
        array = array.base
    return array


def test_the_cache_is_bounded_over_all_and_what_does_not_fit_is_decoded_when_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    room = 4 * 22 * 30 * 3
    sets = together(folder, tmp_path, cache_bytes=room)
    alone = open_photos(folder)
    for photos in sets:
        assert 2 <= photos.cached <= 4 and sum(photos._cache[k].nbytes for k in photos._cache) <= room
        for index in (0, 5, 8):
            assert np.array_equal(photos[index], alone[index])
        assert photos.cached <= 4


def test_a_full_disk_ends_the_cache_and_not_the_run(folder: Path, tmp_path: Path) -> None:
    """A limit of a file's size, which is of two photos, stands for it."""
    resource = pytest.importorskip("resource", reason="this system has no limit of a file's size")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4500, hard))
    try:
        sets = together(folder, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    alone = open_photos(folder)
    for photos in sets:
        assert photos.cached == 4
        assert all(np.array_equal(photos[index], alone[index]) for index in (0, 3, 8))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_disk_without_any_room_leaves_what_the_others_have(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/pixels-1").symlink_to("/dev/full")
    for photos in together(folder, tmp_path):
        assert photos.cached == 4
        assert photos[1].shape == (21, 30, 3)


def test_what_one_finds_all_have_and_what_it_raises_all_raise(tmp_path: Path) -> None:
    barrier = threading.Barrier(3, timeout=180)
    asked: list[int] = []

    def one(number: int, mistake: bool) -> Any:
        fellows = Fellows(number, 3, tmp_path / "shared", lambda: barrier.wait() and None)

        def find() -> dict[str, int]:
            asked.append(number)
            if mistake:
                raise BadImage("no photos")
            return {"found by": number}

        try:
            return one_of_us(fellows, find)
        except BadImage as error:
            return str(error)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(3), [False] * 3)) == [{"found by": 0}] * 3
        assert list(pool.map(one, range(3), [True] * 3)) == ["no photos"] * 3
    assert asked == [0, 0] and not (tmp_path / "shared").exists()
    assert one_of_us(None, lambda: 5) == 5
