"""Training samples: photos of folders and tars, cuts, and the promise that item i depends only on (seed, i)."""

import io
import json
import os
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset

from manyfill import masks
from manyfill.data import NO_AUGMENTATION, Augmentation, Samples, open_photos
from manyfill.errors import BadImage


def picture(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    """Smooth noise that is nowhere dark, so that a black corner would show."""
    small = np.random.default_rng(seed).integers(100, 256, (5, 7, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).clip(90, 255)


def jpeg(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    (root / "deep" / "deeper").mkdir(parents=True)
    for index, where in enumerate(["b.jpg", "a.JPG", "deep/c.jpeg", "deep/deeper/d.jpg", "deep/my.own.jpg"]):
        (root / where).write_bytes(jpeg(picture(index)))
    (root / "notes.txt").write_text("no photo")
    (root / ".hidden.jpg").write_bytes(b"")
    return root


def pack(folder, path):
    with tarfile.open(path, "w") as tar:
        for file in sorted(folder.rglob("*"), reverse=True):
            if file.is_file():
                tar.add(file, file.relative_to(folder).as_posix())
    return path


def samples(photos, **options):
    given = {"size": 16, "masks": masks.mixture({"strokes": 1, "box": 1}), "seed": 3, **options}
    return Samples(photos, **given)


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# ── photos ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_searched_through_and_sorted(folder):
    photos = open_photos(folder)
    assert [os.path.relpath(name, folder) for name in photos.names] == [
        "a.JPG", "b.jpg", "deep/c.jpeg", "deep/my.own.jpg", "deep/deeper/d.jpg",
    ]  # fmt: skip
    assert photos[0].shape == (40, 56, 3)
    assert photos[0].dtype == np.uint8


def test_a_tar_holds_the_same_photos_as_its_folder(folder, tmp_path):
    from_folder, from_tar = open_photos(folder), open_photos(pack(folder, tmp_path / "s.tar"))
    by_name = {os.path.basename(name): from_folder[i] for i, name in enumerate(from_folder.names)}
    assert len(from_tar) == len(from_folder) == 5
    for index, name in enumerate(from_tar.names):
        assert np.array_equal(from_tar[index], by_name[os.path.basename(name)])


def test_a_tar_in_webdataset_layout_counts_one_photo_per_key(tmp_path):
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w") as tar:
        for key in ("0001", "0002"):
            for field, data in (
                ("jpg", jpeg(picture(1))),
                ("mask.png", b"another field"),
                ("json", json.dumps({"key": key}).encode()),
            ):
                info = tarfile.TarInfo(f"{key}.{field}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    photos = open_photos([path])
    assert photos.names == (f"{path}/0001.jpg", f"{path}/0002.jpg")
    assert photos.preload() == 2


def test_several_sources_and_tars_inside_folders_count(folder, tmp_path):
    pack(folder, folder / "z.tar")
    assert len(open_photos([folder, str(folder / "b.jpg")])) == 11


def test_a_link_back_up_does_not_loop(folder):
    (folder / "deep" / "up").symlink_to(folder, target_is_directory=True)
    assert len(open_photos(folder)) == 5


def test_a_corrupt_file_is_skipped_and_listed(folder):
    good = open_photos(folder)
    whole = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "deep" / "c.jpeg").write_bytes(b"")
    photos = open_photos(folder)
    assert photos.preload() == 3
    assert sorted(os.path.basename(name) for name in photos.skipped) == ["b.jpg", "c.jpeg"]
    assert all("cannot be read" in reason for reason in photos.skipped.values())
    with pytest.raises(BadImage, match=r"b\.jpg"):
        photos[1]
    assert len(photos) == len(good)
    assert all(image.min() > 0.2 for image, _ in samples(photos, length=20, augment=NO_AUGMENTATION))


def test_an_unreadable_photo_is_replaced_alike_whether_it_was_noticed_before_or_not(folder):
    (folder / "b.jpg").write_bytes(b"broken")
    fresh, loaded = samples(open_photos(folder)), samples(open_photos(folder))
    loaded.photos.preload()
    assert all(same(fresh[i], loaded[i]) for i in (7, 0, 3, 4, 1, 2))


def test_a_set_without_any_readable_photo_is_an_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"broken")
    photos = open_photos(tmp_path)
    with pytest.raises(BadImage, match=r"none of the 1 photos .*a\.jpg"):
        photos.preload()
    with pytest.raises(BadImage, match="skipped"):
        samples(photos)[0]


@pytest.mark.parametrize("make", ["folder", "tar"])
def test_an_empty_source_says_what_was_looked_for_and_where(tmp_path, make):
    source = tmp_path / "nothing"
    source.mkdir()
    if make == "tar":
        source = pack(source, tmp_path / "nothing.tar")
    with pytest.raises(BadImage) as error:
        open_photos([source])
    assert str(source) in str(error.value)
    assert ".jpg" in str(error.value)
    assert "subfolders" in str(error.value)


def test_a_source_that_is_missing_or_of_another_kind_is_an_error(tmp_path):
    with pytest.raises(BadImage, match="does not exist"):
        open_photos(tmp_path / "gone")
    (tmp_path / "x.zip").write_bytes(b"")
    with pytest.raises(BadImage, match="neither a folder nor"):
        open_photos(tmp_path / "x.zip")
    (tmp_path / "x.tar").write_bytes(b"this is no tar" * 100)
    with pytest.raises(BadImage, match=r"x\.tar cannot be read"):
        open_photos(tmp_path / "x.tar")
    with pytest.raises(BadImage, match="no photos found"):
        open_photos([])


def test_a_damaged_tar_is_skipped_and_listed_as_a_damaged_photo_is(folder, tmp_path):
    whole = pack(folder, tmp_path / "whole.tar").read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        third = tar.getmembers()[2]
    (folder / "cut.tar").write_bytes(whole[: third.offset + 200])  # in the header of the third
    (folder / "torn.tar").write_bytes(whole[: third.offset] + b"\xff" * 512 + whole[third.offset + 512 :])
    (folder / "no.tar").write_bytes(b"this is no tar" * 100)
    photos = open_photos(folder)
    photos.preload()
    assert len(open_photos(tmp_path / "whole.tar")) == 5
    readable = [name for name in photos.names if name not in photos.skipped]
    assert len(readable) == 5 + 1 + 1  # in front of the third lie a text and a photo
    assert {os.path.basename(name) for name in photos.skipped} == {"cut.tar", "torn.tar", "no.tar"}
    assert "the 2 files in front of it are taken" in photos.skipped[str(folder / "torn.tar")]
    sample = Samples(photos, size=16, masks=masks.mixture({"box": 1}), seed=0)
    assert all(torch.isfinite(sample[i][0]).all() for i in range(30))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes by name")
def test_a_pipe_called_like_a_photo_or_a_tar_is_skipped(folder):
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.tar")
    photos = open_photos(folder)
    assert photos.preload() == 5
    assert all("pipe, not a regular file" in reason for reason in photos.skipped.values()) and len(photos.skipped) == 2


def test_large_photos_are_reduced_to_the_short_side_and_small_ones_left(tmp_path):
    (tmp_path / "large.jpg").write_bytes(jpeg(picture(0, 300, 450)))
    Image.fromarray(picture(0, 450, 300)).save(tmp_path / "large.png")
    (tmp_path / "small.jpg").write_bytes(jpeg(picture(0, 50, 70)))
    shapes = [pixels.shape for pixels in open_photos(tmp_path, short_side=64)]
    assert shapes == [(64, 96, 3), (96, 64, 3), (50, 70, 3)]


def test_reducing_while_reading_gives_the_reduced_picture(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(picture(0, 320, 480)))
    reduced = open_photos(tmp_path, short_side=64)[0].astype(float)
    expected = np.array(Image.fromarray(picture(0, 320, 480)).resize((96, 64), Image.Resampling.BOX)).astype(float)
    assert np.abs(reduced - expected).mean() < 2


def test_orientation_grey_palette_alpha_and_16_bit_become_upright_rgb(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    (tmp_path / "a.jpg").write_bytes(jpeg(picture(0), exif=exif.tobytes()))
    Image.fromarray(picture(0)[..., 0]).save(tmp_path / "b.jpg")
    Image.fromarray(picture(0)).quantize(16).save(tmp_path / "c.png")
    Image.fromarray(np.dstack([picture(0), np.full((40, 56), 9, np.uint8)])).save(tmp_path / "d.png")
    Image.fromarray(picture(0)[..., 0].astype(np.uint16) * 257).save(tmp_path / "e.png")
    photos = open_photos(tmp_path)
    assert photos.preload() == 5, photos.skipped
    assert [pixels.shape for pixels in photos] == [(56, 40, 3)] + [(40, 56, 3)] * 4
    assert np.array_equal(photos[3], picture(0))
    assert np.array_equal(photos[4][..., 1], picture(0)[..., 0])


def test_the_cache_is_bounded_and_does_not_change_a_sample(folder):
    one = 40 * 56 * 3
    bounded, full, empty = (open_photos(folder, cache_bytes=room) for room in (2 * one + 5, 1 << 30, 0))
    for photos in (bounded, full, empty):
        photos.preload()
    assert [photos.cached for photos in (bounded, full, empty)] == [2, 5, 0]
    for i in range(6):
        assert same(samples(bounded)[i], samples(full)[i])
        assert same(samples(bounded)[i], samples(empty)[i])


def test_preload_reports_progress(folder):
    calls = []
    open_photos(folder).preload(threads=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i + 1, 5) for i in range(5)]


def test_cached_photos_cannot_be_written_to(folder):
    with pytest.raises(ValueError, match="read-only"):
        open_photos(folder)[0][0, 0] = 0


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sample_is_an_image_and_a_hole(folder):
    image, hole = samples(open_photos(folder))[0]
    assert (image.shape, image.dtype) == ((3, 16, 16), torch.float32)
    assert (hole.shape, hole.dtype) == ((1, 16, 16), torch.float32)
    assert 0 <= image.min() <= image.max() <= 1
    assert image.is_contiguous()
    assert set(hole.unique().tolist()) <= {0.0, 1.0}


def test_item_i_depends_only_on_seed_and_i(folder):
    forwards, backwards = samples(open_photos(folder)), samples(open_photos(folder))
    there = [forwards[i] for i in range(17)]
    back = [backwards[i] for i in reversed(range(17))][::-1]
    assert all(same(a, b) for a, b in zip(there, back, strict=True))
    assert not any(same(there[0], other) for other in there[1:])
    assert not same(there[0], samples(open_photos(folder), seed=4)[0])


@pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_make_the_same_samples(folder, context, workers):
    dataset = samples(open_photos(folder), length=12)
    dataset.photos.preload()
    loader = DataLoader(
        Subset(dataset, range(4, 12)), batch_size=2, num_workers=workers, multiprocessing_context=context
    )
    batches = list(loader)
    images, holes = (torch.cat([batch[part] for batch in batches]) for part in (0, 1))
    for i in range(8):
        assert same((images[i], holes[i]), dataset[i + 4])


def test_pickling_leaves_the_cache_behind_and_keeps_every_sample(folder):
    dataset = samples(open_photos(folder))
    bare = len(pickle.dumps(dataset))
    dataset.photos.preload()
    packed = pickle.dumps(dataset)
    assert len(packed) == bare
    again = pickle.loads(packed)
    assert again.photos.cached == 0
    assert same(again[5], dataset[5])


def test_each_pass_takes_every_photo_once_in_another_order(tmp_path):
    for index in range(12):
        Image.fromarray(np.full((16, 16, 3), 20 * index, np.uint8)).save(tmp_path / f"{index:02}.png")
    dataset = samples(open_photos(tmp_path), augment=NO_AUGMENTATION)
    passes = [[round(float(dataset[12 * epoch + i][0].mean()) * 255 / 20) for i in range(12)] for epoch in range(3)]
    assert all(sorted(order) == list(range(12)) for order in passes)
    assert len({tuple(order) for order in passes}) == 3
    in_order = samples(open_photos(tmp_path), augment=NO_AUGMENTATION, shuffle=False)
    assert [round(float(image.mean()) * 255 / 20) for image, _ in in_order] == list(range(12))


def test_length_bounds_the_set_and_without_it_the_clock_runs_on(folder):
    assert len(samples(open_photos(folder))) == 5
    samples(open_photos(folder))[10**12]
    bounded = samples(open_photos(folder), length=7)
    assert len(bounded) == len(list(bounded)) == 7
    for outside in (7, -1):
        with pytest.raises(IndexError):
            bounded[outside]


def test_no_augmentation_at_native_scale_copies_pixels(tmp_path):
    Image.fromarray(picture(1)).save(tmp_path / "a.png")
    dataset = samples(open_photos(tmp_path), augment=NO_AUGMENTATION, scale=(1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(picture(1), (16, 16), axis=(0, 1))  # (25, 41, 3, 16, 16)
    for i in range(5):
        cut = np.rint(dataset[i][0].numpy() * 255).astype(np.uint8)
        assert (windows == cut).all(axis=(2, 3, 4)).any()


def test_scale_zero_takes_the_whole_short_side(tmp_path):
    Image.fromarray(picture(1, 32, 32)).save(tmp_path / "a.png")
    image = samples(open_photos(tmp_path), augment=NO_AUGMENTATION, scale=(0, 0))[0][0].numpy()
    expected = picture(1, 32, 32).reshape(16, 2, 16, 2, 3).mean(axis=(1, 3)).transpose(2, 0, 1) / 255
    assert np.abs(image - expected).max() < 1 / 255  # area averaging of 2x2, rounded


def test_a_squeezed_sample_is_the_whole_photo(tmp_path):
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 50:] = 200  # a wide photo, its right half bright
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    photos = open_photos(tmp_path)
    image, _ = samples(photos, size=64, augment=replace(NO_AUGMENTATION, squeeze=1.0))[0]
    assert image.shape == (3, 64, 64)
    assert image[:, :, :31].max() == 0 and image[:, :, 33:].min() == pytest.approx(200 / 255)
    cut = replace(NO_AUGMENTATION, squeeze=1.5, flip=0.5, rotate=3.0, rotate_share=1.0)
    several = samples(photos, size=64, augment=cut)
    edges = {int((several[k][0][0, 32] > 0.4).float().argmax()) for k in range(12)}
    assert len(edges) > 2, "each is cut somewhere else"
    assert same(several[5], samples(photos, size=64, augment=cut)[5])


def test_a_squeezed_and_turned_sample_has_no_black_corners(tmp_path):
    Image.fromarray(np.full((70, 90, 3), 255, np.uint8)).save(tmp_path / "white.png")
    augment = replace(NO_AUGMENTATION, squeeze=266 / 256, rotate=3.0, rotate_share=1.0)
    several = samples(open_photos(tmp_path), size=64, augment=augment)
    assert min(float(several[k][0].min()) for k in range(8)) == 1.0


def test_reducing_is_antialiased(tmp_path):
    stripes = np.where(np.arange(64) % 4 == 0, 255, 0).astype(np.uint8)
    Image.fromarray(np.broadcast_to(stripes[None, :, None], (64, 64, 3)).copy()).save(tmp_path / "a.png")
    image, _ = samples(open_photos(tmp_path), augment=NO_AUGMENTATION, scale=(0.25, 0.25))[0]
    assert (image - 0.25).abs().max() < 0.01  # one column in four is white


@pytest.mark.parametrize("scale", [(0.0, 0.0), (0.25, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("degrees", [3.0, 30.0])
def test_turned_samples_have_no_black_corners(tmp_path, scale, degrees):
    Image.fromarray(picture(2, 48, 80)).save(tmp_path / "a.png")
    turned = Augmentation(rotate=degrees, rotate_share=1.0, exposure=0, contrast=0, colour=0, saturation=0)
    dataset = samples(open_photos(tmp_path), scale=scale, augment=turned)
    assert all(float(dataset[i][0].min()) > 0.25 for i in range(60))


def test_turned_samples_show_the_photo_and_no_mirrored_margin(tmp_path):
    rows, columns = np.mgrid[0:48, 0:48]
    ramp = np.dstack([rows * 5, columns * 5, np.full((48, 48), 128)]).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    turned = Augmentation(flip=0, rotate=20, rotate_share=1.0, exposure=0, contrast=0, colour=0, saturation=0)
    for i in range(20):
        image = samples(open_photos(tmp_path), scale=(1, 1), augment=turned)[i][0].numpy() * 255 / 5
        steps_down, steps_right = np.diff(image[0], axis=0), np.diff(image[1], axis=1)
        # a turned plane is a plane: the same slope cos(angle) everywhere, also in the corners
        assert np.abs(steps_down - np.median(steps_down)).max() < 0.5
        assert np.abs(steps_right - np.median(steps_right)).max() < 0.5
        assert np.median(steps_down) > 0.9


def test_flips_happen_as_often_as_asked(tmp_path):
    ramp = np.repeat(np.arange(0, 256, 16, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    still = Augmentation(flip=0.25, rotate=0, exposure=0, contrast=0, colour=0, saturation=0)
    dataset = samples(open_photos(tmp_path), augment=still)
    flipped = sum(bool(dataset[i][0][0, 0, 0] > 0.5) for i in range(300))
    assert flipped / 300 == pytest.approx(0.25, abs=0.08)


def test_light_varies_mildly_and_about_the_photo(tmp_path):
    Image.fromarray(picture(3, 16, 16) // 2 + 30).save(tmp_path / "a.png")
    photos = open_photos(tmp_path)
    plain = samples(photos, augment=NO_AUGMENTATION)[0][0]
    lit = torch.stack([samples(photos, augment=Augmentation(flip=0, rotate=0))[i][0] for i in range(200)])
    assert (lit.mean(dim=0) - plain).abs().mean() < 0.03
    assert 0.01 < lit.mean(dim=(1, 2, 3)).std() < 0.1
    assert (lit - plain).abs().mean() < 0.1


def test_a_photo_smaller_than_the_sample_is_enlarged(tmp_path):
    Image.fromarray(picture(3, 5, 9)).save(tmp_path / "a.png")
    Image.fromarray(picture(3, 1, 1)).save(tmp_path / "b.png")
    for image, _ in samples(open_photos(tmp_path), length=12):
        assert image.shape == (3, 16, 16)
        assert image.min() > 0.2


def test_shards_are_read_one_after_the_other_and_photos_mixed_nearby(tmp_path):
    for shard in range(4):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for number in range(5):
                data = jpeg(picture(5 * shard + number))
                entry = tarfile.TarInfo(f"{number}.jpg")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    photos = open_photos(tmp_path)
    near = samples(photos, mix=5)
    passes = [near._order(epoch).tolist() for epoch in (0, 1)]
    assert all(sorted(order) == list(range(20)) for order in passes) and passes[0] != passes[1]
    for order in passes:
        shards = [index // 5 for index in order]
        assert [shards[first : first + 5] for first in range(0, 20, 5)] == [[shards[k]] * 5 for k in range(0, 20, 5)]
    assert any(order[k : k + 5] != sorted(order[k : k + 5]) for order in passes for k in range(0, 20, 5))
    assert same(near[7], samples(open_photos(tmp_path), mix=5)[7])
    assert len({index // 5 for index in samples(photos)._order(0).tolist()[:5]}) > 1, "without it all are mixed"


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    Image.fromarray(np.array([[0, 128, 129, 257, 65535 - 128, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert open_photos(tmp_path)[0][0, :, 0].tolist() == [0, 0, 1, 1, 255, 255]
