"""Holes: what is read from a user's mask, what the generators draw, and how holes are measured and grown."""

import io
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from manyfill import masks, photos
from manyfill.errors import BadMask

SOME_SIZES = [(64, 64), (37, 91), (128, 40), (8, 8)]
TINY_SIZES = [(1, 1), (1, 7), (5, 2), (3, 3)]


def draw(kind: str, height: int, width: int, seed: int) -> torch.Tensor:
    return masks.KINDS[kind](height, width, np.random.default_rng([seed, 0]))


def ratios(kind: str, size: int, count: int) -> np.ndarray:
    return np.array([masks.ratio(masks.KINDS[kind](size, size, np.random.default_rng([5, i]))) for i in range(count)])


def painted(height: int = 12, width: int = 16) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[3:7, 4:9] = 255
    return mask


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


# ── generators ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", masks.KINDS)
@pytest.mark.parametrize(("height", "width"), SOME_SIZES)
def test_every_kind_draws_a_hole_of_zeros_and_ones(kind, height, width):
    hole = draw(kind, height, width, 0)
    assert hole.shape == (1, 1, height, width)
    assert hole.dtype == torch.float32
    assert set(hole.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("kind", [kind for kind in masks.KINDS if not kind.startswith("bin")])
@pytest.mark.parametrize(("height", "width"), TINY_SIZES)
def test_tiny_pictures_are_drawn_on_too(kind, height, width):
    for seed in range(20):
        assert draw(kind, height, width, seed).shape == (1, 1, height, width)


@pytest.mark.parametrize("kind", masks.KINDS)
def test_the_same_seed_draws_the_same_hole_and_another_seed_another(kind):
    assert torch.equal(draw(kind, 48, 64, 3), draw(kind, 48, 64, 3))
    if kind != "center":
        assert len({masks.set_hash([draw(kind, 48, 64, seed)]) for seed in range(8)}) > 1


@pytest.mark.parametrize("kind", masks.KINDS)
def test_drawing_does_not_touch_the_global_random_state(kind):
    np.random.seed(1)
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    draw(kind, 32, 32, 0)
    assert np.array_equal(before, np.random.get_state()[1])
    assert torch.equal(torch_before, torch.get_rng_state())


# Mean hole ratios measured on independent code for the sources' generators; the tolerance is three standard errors of
# our sample and theirs.
@pytest.mark.parametrize(
    ("kind", "size", "mean", "tolerance"),
    [
        ("boxes", 256, 0.297, 0.035),
        ("lines", 256, 0.525, 0.035),
        ("strokes", 256, 0.152, 0.025),
        ("strokes_and_box", 256, 0.307, 0.025),
        ("free_form", 512, 0.083, 0.010),
        ("thin", 256, 0.29, 0.04),
        ("medium", 256, 0.25, 0.04),
        ("thick", 256, 0.40, 0.06),
        ("thin", 512, 0.29, 0.05),
        ("medium", 512, 0.31, 0.06),
        ("thick", 512, 0.45, 0.08),
        ("thick_training", 256, 0.34, 0.06),
    ],
)
def test_mean_hole_ratio_is_that_of_the_source(kind, size, mean, tolerance):
    measured = ratios(kind, size, 250 if size == 256 else 120)
    assert measured.mean() == pytest.approx(mean, abs=tolerance)


def test_picnet_masks_spread_as_in_the_source():
    regular, irregular = ratios("boxes", 256, 300), ratios("lines", 256, 300)
    assert np.percentile(regular, [5, 50, 95]) == pytest.approx([0.079, 0.272, 0.565], abs=0.06)
    assert regular.std() == pytest.approx(0.149, abs=0.02)
    assert np.percentile(irregular, [5, 50, 95]) == pytest.approx([0.305, 0.537, 0.701], abs=0.06)


@pytest.mark.parametrize("kind", ["boxes", "lines", "strokes", "thin", "medium", "thick", "thick_training", "blobs"])
def test_hole_ratio_hardly_depends_on_size_below_256(kind):
    # fine lines gain from being drawn in whole pixels
    assert ratios(kind, 64, 200).mean() == pytest.approx(ratios(kind, 256, 200).mean(), abs=0.1)


def test_between_256_and_512_parameters_are_interpolated():
    at_256, at_384, at_512 = (ratios("medium", size, 100).mean() for size in (256, 384, 512))
    assert at_256 - 0.03 < at_384 < at_512 + 0.03


def test_center_is_the_middle_half():
    hole = draw("center", 8, 12, 0)[0, 0]
    expected = torch.zeros(8, 12)
    expected[2:6, 3:9] = 1
    assert torch.equal(hole, expected)


def test_box_is_one_rectangle_of_deepfill_size():
    for seed in range(30):
        hole = draw("box", 256, 256, seed)[0, 0].numpy()
        rows, columns = hole.any(axis=1), hole.any(axis=0)
        assert 96 <= rows.sum() <= 128
        assert 96 <= columns.sum() <= 128
        assert hole.sum() == rows.sum() * columns.sum()


def test_free_form_starts_near_the_middle_and_is_thin():
    for seed in range(10):
        hole = draw("free_form", 256, 256, seed)[0, 0].numpy()
        assert hole[64:192, 64:192].any()
        assert ndimage.distance_transform_edt(hole).max() < 20  # several lines may lie side by side


def test_blobs_are_few_smooth_pieces():
    for seed in range(30):
        hole = draw("blobs", 128, 128, seed)[0, 0].numpy().astype(bool)
        assert ndimage.label(hole)[1] <= 3
        opened = ndimage.binary_opening(hole, np.ones((3, 3)))
        assert opened.sum() > 0.9 * hole.sum()
    measured = ratios("blobs", 64, 300)
    assert measured.min() > 0.005
    assert measured.max() < 0.7


def test_border_holes_hang_on_the_border_and_leave_the_middle():
    seen = set()
    for seed in range(60):
        hole = draw("border", 40, 60, seed)[0, 0]
        sides = (hole[0].all(), hole[-1].all(), hole[:, 0].all(), hole[:, -1].all())
        assert any(sides)
        assert hole[20, 30] == 0
        seen.add(sum(bool(side) for side in sides))
        assert 0.01 < masks.ratio(hole) <= 0.65
    assert seen == {1, 2, 3, 4}


@pytest.mark.parametrize("index", range(6))
@settings(max_examples=25, deadline=None)
@given(height=st.integers(12, 150), width=st.integers(12, 150), seed=st.integers(0, 10**6))
def test_binned_holes_are_always_inside_their_bin(index, height, width, seed):
    low, high = masks.BINS[index]
    hole = masks.binned(index)(height, width, np.random.default_rng(seed))
    assert low < masks.ratio(hole) <= high


@pytest.mark.parametrize("index", range(6))
def test_binned_holes_fill_their_bin_and_half_keep_off_the_border(index):
    low, high = masks.BINS[index]
    measured, guarded = [], 0
    for seed in range(120):
        hole = masks.binned(index)(102, 102, np.random.default_rng(seed))[0, 0].numpy()
        measured.append(hole.mean())
        edge = np.ones((102, 102), bool)
        edge[9:-9, 9:-9] = False
        guarded += not hole[edge].any()
    assert np.mean(measured) == pytest.approx((low + high) / 2, abs=0.2 * (high - low))
    assert np.std(measured) > 0.2 * (high - low)
    assert 0.3 < guarded / 120 < (0.7 if index > 1 else 0.9)  # small holes keep off the border by chance, too


def test_a_bin_that_a_tiny_picture_cannot_have_is_refused():
    with pytest.raises(BadMask, match="2x2 pixels cannot have a hole ratio"):
        masks.binned(0)(2, 2, np.random.default_rng(0))


# ── mixtures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_mixture_draws_each_kind_by_its_weight():
    draw_one = masks.mixture({"center": 3, "border": 1, "lines": 0})
    rng = np.random.default_rng(0)
    centers = sum(torch.equal(draw_one(16, 16, rng), draw("center", 16, 16, 0)) for _ in range(400))
    assert centers / 400 == pytest.approx(0.75, abs=0.07)


def test_mixture_survives_pickling_for_data_workers():
    draw_one = masks.mixture({"strokes": 1, "bin3": 2})
    again = pickle.loads(pickle.dumps(draw_one))
    assert torch.equal(draw_one(32, 32, np.random.default_rng(4)), again(32, 32, np.random.default_rng(4)))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"strokess": 1}, "Did you mean 'strokes'"),
        ({"center": -1}, "weight -1"),
        ({"center": 0}, "weights are zero"),
        ({}, "weights are zero"),
    ],
)
def test_a_wrong_mixture_says_what_is_wrong(weights, message):
    with pytest.raises(BadMask, match=message):
        masks.mixture(weights)


def test_within_redraws_until_the_ratio_fits():
    inside = masks.within(masks.free_form, 0.1, 0.2)
    assert all(0.1 <= masks.ratio(inside(128, 128, np.random.default_rng(i))) < 0.2 for i in range(10))
    with pytest.raises(BadMask, match=r"no hole with a ratio of 0\.9 to 1"):
        masks.within(masks.center, 0.9, 1.0, tries=3)(16, 16, np.random.default_rng(0))


# ── measuring and growing ───────────────────────────────────────────────────────────────────────────────────────────


def test_ratio_is_the_share_of_ones():
    assert masks.ratio(torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])) == 0.25
    assert masks.ratio(torch.zeros(1, 1, 3, 3)) == 0
    assert masks.ratio(torch.ones(2, 1, 3, 3)) == 1
    assert masks.ratio(np.eye(4, dtype=bool)) == 0.25


@settings(max_examples=40, deadline=None)
@given(pixels=st.integers(0, 12), seed=st.integers(0, 1000), height=st.integers(1, 40), width=st.integers(1, 40))
def test_grow_is_dilation_by_a_disc(pixels, seed, height, width):
    hole = np.random.default_rng(seed).random((height, width)) < 0.02
    # scipy's exact distance transform; of a picture without a hole it is undefined
    expected = ndimage.distance_transform_edt(~hole) <= pixels + 1e-6 if hole.any() else hole
    before = hole.copy()
    assert np.array_equal(masks.grow(hole, pixels), expected)
    assert np.array_equal(hole, before)


def test_grow_in_bands_is_grow_at_once_and_can_be_stopped():
    hole = np.random.default_rng(0).random((2600, 2000)) < 1e-5
    hole[1200:2400, 5:40] = True
    expected = ndimage.distance_transform_edt(~hole) <= 30 + 1e-6
    bands = []
    assert np.array_equal(masks.grow(hole, 30, check=lambda: bands.append(1)), expected)
    assert len(bands) > 1

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        masks.grow(hole, 30, check=stop)


def test_set_hash_changes_with_one_pixel_with_order_and_with_shape():
    one, other = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    other[0, 0, 1, 2] = 1
    hashes = [
        masks.set_hash(holes) for holes in ([one, other], [other, one], [one], [one.reshape(1, 1, 2, 8)], [other])
    ]
    assert len(set(hashes)) == len(hashes)
    assert masks.set_hash([one, other.clone()]) == hashes[0]
    assert masks.set_hash([one[0, 0].numpy() > 0, other[0, 0].numpy() > 0]) == hashes[0]


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "convert",
    [
        lambda mask: mask,
        lambda mask: mask > 0,
        lambda mask: mask / 255.0,
        lambda mask: (mask / 255).astype(np.float16),
        lambda mask: mask.astype(np.uint16) * 257,
        lambda mask: (mask > 0).astype(np.int64),
        lambda mask: (mask > 0).astype(np.uint8),
        lambda mask: mask[..., None],
        lambda mask: np.stack([mask] * 3, axis=2),
        lambda mask: torch.from_numpy(mask),
        lambda mask: torch.from_numpy(mask > 0)[None],
        lambda mask: torch.from_numpy(mask / 255.0)[None, None],
        lambda mask: torch.from_numpy(np.stack([mask] * 3)),
        lambda mask: Image.fromarray(mask),
        lambda mask: Image.fromarray(mask).convert("1"),
        lambda mask: Image.fromarray(mask).convert("RGB"),
        lambda mask: Image.fromarray(mask).convert("P"),
        png,
    ],
)
def test_every_kind_of_mask_gives_the_same_hole(convert):
    hole = masks.read_hole(convert(painted()), size=(12, 16))
    assert hole.dtype == bool
    assert np.array_equal(hole, painted() > 0)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), edge=st.integers(0, 255))
def test_polarity_flipped_twice_is_the_same(seed, edge):
    rng = np.random.default_rng(seed)
    mask = np.where(rng.random((9, 11)) < 0.4, 255, 0).astype(np.uint8)
    mask[rng.random((9, 11)) < 0.1] = edge
    assert np.array_equal(masks.read_hole(mask), masks.read_hole(255 - mask, polarity="black"))
    assert np.array_equal(masks.read_hole(mask), ~masks.read_hole(mask, polarity="black"))
    transparent = np.stack([np.zeros_like(mask)] * 3 + [255 - mask], axis=2)
    assert np.array_equal(masks.read_hole(mask), masks.read_hole(transparent, polarity="alpha"))


def test_the_cut_is_at_half():
    mask = painted()
    mask[0, :2] = (127, 128)
    assert masks.read_hole(mask)[0, :2].tolist() == [False, True]


def test_an_empty_and_a_full_hole_are_legal():
    assert masks.read_hole(np.zeros((4, 5), np.uint8)).sum() == 0
    assert masks.read_hole(np.full((4, 5), 255, np.uint8)).sum() == 20
    assert masks.read_hole(np.zeros((1, 1), bool)).shape == (1, 1)


def test_what_is_transparent_was_not_painted():
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[..., :3] = 255  # white, but transparent
    mask[2:4, 2:4, 3] = 255
    assert masks.read_hole(mask).sum() == 4
    mask[..., :3] = 0
    assert masks.read_hole(mask, polarity="black").sum() == 4


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(BadMask) as error:
        masks.read_hole(np.zeros((640, 480), np.uint8), size=(480, 640))
    assert str(error.value) == ("mask is 480x640 but the photo is 640x480 (width x height). Rotate or resize the mask.")
    with pytest.raises(BadMask, match=r"16x12 but the photo is 17x12 .*\. Resize the mask"):
        masks.read_hole(painted(), size=(12, 17))


def test_a_file_is_named_in_the_error(tmp_path):
    path = tmp_path / "hole.png"
    path.write_bytes(png(painted()))
    with pytest.raises(BadMask, match=r"hole\.png is 16x12"):
        masks.read_hole(path, size=(4, 4))
    assert masks.read_hole(path).sum() == 20
    path.write_bytes(b"no picture")
    with pytest.raises(BadMask, match=r"hole\.png cannot be read"):
        masks.read_hole(str(path))


@pytest.mark.parametrize("polarity", ["white", "black"])
def test_a_photo_in_place_of_the_mask_is_refused(polarity):
    rng = np.random.default_rng(0)
    colourful = ndimage.gaussian_filter(rng.random((40, 40, 3)), (4, 4, 0))
    colourful = (colourful - colourful.min()) / np.ptp(colourful)
    for photo in (colourful, colourful.mean(axis=2), (colourful * 255).astype(np.uint8)):
        with pytest.raises(BadMask, match="Was the photo handed in"):
            masks.read_hole(photo, polarity=polarity)


def test_a_coloured_brush_is_refused_and_not_taken_for_an_empty_hole():
    mask = np.zeros((20, 20, 3), np.uint8)
    mask[5:10, 5:10, 0] = 255
    with pytest.raises(BadMask, match="coloured"):
        masks.read_hole(mask)


def test_a_picture_that_is_half_transparent_all_over_is_refused_as_alpha_mask():
    with pytest.raises(BadMask, match="neither opaque nor transparent"):
        masks.read_hole(np.full((8, 8, 4), 120, np.uint8), polarity="alpha")


def test_a_mask_of_many_rows_is_read_alike_in_strips():
    mask = np.where(np.random.default_rng(0).random((3000, 700)) < 0.3, 255, 0).astype(np.uint8)
    assert np.array_equal(masks.read_hole(mask), mask > 0)


def test_soft_edges_and_jpeg_noise_are_no_photo():
    mask = ndimage.gaussian_filter(painted(60, 60).astype(float), 1.5).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.kron(painted(), np.ones((8, 8), np.uint8))).convert("RGB").save(file, "JPEG", quality=30)
    masks.read_hole(mask)
    assert masks.ratio(masks.read_hole(file.getvalue())) == pytest.approx(20 / 192, abs=0.01)


def test_alpha_polarity_needs_alpha():
    with pytest.raises(BadMask, match="no alpha channel"):
        masks.read_hole(painted(), polarity="alpha")
    with pytest.raises(BadMask, match="no alpha channel"):
        masks.read_hole(png(painted()), polarity="alpha")


def test_a_transparent_hole_with_the_wrong_polarity_is_refused_and_not_taken_for_empty():
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[..., 3] = 255
    mask[2:4, 2:4, 3] = 0
    with pytest.raises(BadMask, match="use polarity 'alpha'"):
        masks.read_hole(mask)
    assert masks.read_hole(png(mask), polarity="alpha").sum() == 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.full((4, 4), 1.5), "expected \\[0, 1\\]"),
        (np.full((4, 4), np.nan), "expected \\[0, 1\\]"),
        (np.full((4, 4), -3), "expected 0 to"),
        (np.full((4, 4), 300), "expected 0 to 255"),
        (np.zeros((4, 4, 4, 4)), "has the shape"),
        (np.zeros((0, 4)), "has the shape"),
        (np.zeros(4), "has the shape"),
        (np.zeros((4, 4), complex), "complex"),
    ],
)
def test_an_array_that_is_no_mask_is_refused(source, message):
    with pytest.raises(BadMask, match=message):
        masks.read_hole(source)


def test_a_file_of_labels_is_refused_and_not_taken_for_black():
    with pytest.raises(BadMask, match="only the values 0 and 1"):
        masks.read_hole(png((painted() > 0).astype(np.uint8)))


def test_an_unknown_polarity_is_refused():
    with pytest.raises(BadMask, match="'white', 'black', 'alpha' or a colour"):
        masks.read_hole(painted(), polarity="grey")


@pytest.mark.parametrize("colour", ["#ff00f", "#gg00ff", "#", "#ff00ff "])
def test_what_is_no_colour_is_refused(colour):
    with pytest.raises(BadMask, match="six hexadecimal digits"):
        masks.read_hole(painted(), polarity=colour)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", ["#ff00ff", "#F0F"])
def test_a_colour_marks_the_hole_in_a_photo(depth, colour):
    top = np.iinfo(depth).max
    photo = np.random.default_rng(0).integers(0, top // 2, (12, 16, 4), dtype=depth)  # nothing of it is magenta
    photo[..., 3] = top
    photo[2:5, 3:9, :3] = top, 0, top
    photo[3, 4, 1] = top // 10  # as JPEG moves it
    photo[4, 8, 3] = 0  # transparent: not painted
    expected = np.zeros((12, 16), bool)
    expected[2:5, 3:9] = True
    expected[4, 8] = False
    assert np.array_equal(masks.read_hole(photo, polarity=colour), expected)
    expected[4, 8] = True
    assert np.array_equal(masks.read_hole(photo[..., :3], polarity=colour), expected)


def test_a_grey_colour_marks_the_hole_in_a_grey_mask():
    mask = np.array([[0, 128, 255]], np.uint8)
    assert masks.read_hole(mask, polarity="#808080").tolist() == [[False, True, False]]


def damaged(polarity: str, lost: int) -> bytes:
    """A mask of 160x64, a JPEG without its last rows; the hole is a square at its top."""
    marked = np.zeros((64, 160), np.uint8)
    marked[8:24, 40:80] = 255
    file = io.BytesIO()
    Image.fromarray(marked if polarity == "white" else 255 - marked).save(
        file, "JPEG", quality=95, restart_marker_rows=1
    )
    data = file.getvalue()
    return data[:-2] if not lost else data[: data.rindex(b"\xff\xd6")]


@pytest.mark.parametrize("polarity", ["white", "black"])
@pytest.mark.parametrize("lost", [0, 8])
def test_of_a_damaged_mask_the_missing_rows_are_not_marked_and_that_is_noted(polarity: str, lost: int) -> None:
    notes: list[str] = []
    hole = masks.read_hole(damaged(polarity, lost), polarity=polarity, notes=notes)
    assert np.argwhere(hole).min(0).tolist() == [8, 40] and np.argwhere(hole).max(0).tolist() == [23, 79]
    (note,) = notes
    assert note.startswith("The mask's file ends too early") and ("last 8 rows" in note) == bool(lost)
    with pytest.raises(BadMask, match="cut off"):
        masks.read_hole(damaged(polarity, lost), polarity=polarity, strict=True)
    photo = photos.read(damaged(polarity, lost))
    assert (masks.read_hole(photo, polarity=polarity) == hole).all()
    with pytest.raises(BadMask, match="cut off"):  # as the server hands it on
        masks.read_hole(photo, polarity=polarity, strict=True)


@pytest.mark.parametrize("white", [255, 65_535])
@pytest.mark.parametrize("form", ["array", "pil I", "pil I;16", "png"])
@pytest.mark.parametrize("polarity", ["white", "black"])
def test_sixteen_bits_that_hold_eight_are_read_as_such(white: int, form: str, polarity: str) -> None:
    marked = np.zeros((12, 16), bool)
    marked[3:7, 4:9] = True
    array = ((marked if polarity == "white" else ~marked) * white).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    source = {
        "array": array,
        "pil I": Image.fromarray(array.astype(np.int32)),
        "pil I;16": Image.fromarray(array),
        "png": file.getvalue(),
    }[form]
    assert (masks.read_hole(source, polarity=polarity) == marked).all()


def test_pil_images_of_floats_are_read_as_arrays_of_floats_are() -> None:
    marked = np.zeros((12, 16), np.float32)
    marked[3:7, 4:9] = 1
    assert (masks.read_hole(Image.fromarray(marked)) == (marked == 1)).all()
    assert (photos.read(Image.fromarray(marked)).pixels[..., 0] == 255 * marked).all()
    with pytest.raises(BadMask, match="255"):
        masks.read_hole(Image.fromarray(255 * marked))
