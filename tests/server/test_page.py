"""The page, in a real browser before the real server: what a stranger does with it."""

from __future__ import annotations

import io

import numpy as np
from browsing import PHOTO, Open, alike, exif_of, expect, photo_file
from numpy.typing import NDArray
from PIL import Image
from serving import Running, file_of, pixels_of


def test_the_pages_files_come_at_once(server: Running) -> None:
    for path in ("/", "/main.js", "/style.css", "/samples/beach.jpg"):
        answer = server.get(path)
        assert answer.status_code == 200 and answer.elapsed.total_seconds() < 4, path


# ── a stranger ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stranger_has_fills_of_a_sample_after_three_clicks(server: Running, tab: Open) -> None:
    page = tab(server)
    page.shot("welcome")
    page.find("#samples button").nth(1).click()
    expect(page.find("#hint")).to_contain_text("A hole is painted for you")
    page.shot("sample")
    page.fill(2)
    assert page.chosen() == "1"  # the best is shown without being asked for
    page.shot("fills")
    name, data = page.download()
    assert name == "beach_filled.jpg" and Image.open(io.BytesIO(data)).size == (1024, 512)


def test_downloads_keep_known_pixels_and_exif(server: Running, tab: Open) -> None:
    page = tab(server)
    page.load(photo_file(exif=exif_of(artist="Somebody"), dpi=(300, 300)))
    page.paint()
    page.fill(2)
    name, data = page.download()
    picture, hole = Image.open(io.BytesIO(data)), page.hole()
    filled = np.asarray(picture)
    assert name == "lake_filled.png" and picture.format == "PNG"
    assert (filled[~hole] == PHOTO[~hole]).all() and (filled[hole] != PHOTO[hole]).any()
    assert picture.getexif()[315] == "Somebody" and round(picture.info["dpi"][0]) == 300
    assert 0.002 < hole.mean() < 0.2


def test_a_jpeg_comes_back_as_a_jpeg_or_exact(server: Running, tab: Open) -> None:
    page = tab(server)
    data = photo_file("JPEG", quality=90, exif=exif_of(orientation=6, artist="Somebody"))  # to be turned by 90 degrees
    upright = np.rot90(pixels_of(data), -1)
    page.load(data, "lake.jpeg")
    expect(page.find("#about")).to_contain_text("180 × 240")
    page.paint(-150, -60)
    page.fill(2)
    hole = page.hole()
    rows, columns = np.nonzero(hole)
    assert hole.shape == (240, 180) and rows.mean() < 110 and columns.mean() < 80  # where it was painted

    name, same = page.download()
    picture = Image.open(io.BytesIO(same))
    assert name == "lake_filled.jpeg" and picture.format == "JPEG" and picture.size == (180, 240)
    assert picture.getexif()[315] == "Somebody" and picture.getexif().get(274, 1) == 1
    page.find("#downloadMore").click()
    name, exact = page.download("[data-save=png]")
    filled = pixels_of(exact)
    assert name == "lake_filled.png" and (filled[~hole] == upright[~hole]).all()
    assert np.abs(filled.astype(int) - pixels_of(same)).mean() < 9  # the same fill


def test_photos_that_browsers_do_not_open_are_shown_by_the_server(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file("TIFF"), "lake.tif")
    expect(page.find("#about")).to_contain_text("240 × 180")
    assert page.look().std() > 10  # not an empty canvas
    page.paint()
    page.fill(1)
    name, data = page.download()
    hole, filled = page.hole(), pixels_of(data)
    assert name == "lake_filled.tif" and Image.open(io.BytesIO(data)).format == "TIFF"
    assert (filled[~hole] == PHOTO[~hole]).all() and (filled[hole] != PHOTO[hole]).any()


# ── choosing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_looking_through_fills_and_back(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    empty = page.look()
    page.paint()
    painted = page.look()
    assert not alike(painted, empty)
    page.fill(3)
    first = page.look()
    page.page.keyboard.press("2")
    assert page.chosen() == "2"
    second = page.look()
    pictures = (empty, painted, first, second)
    assert sum(alike(one, other) for one in pictures for other in pictures) == 4  # each is like itself alone
    page.find("#strip button").nth(1).hover()  # resting on it shows it
    assert alike(page.canvas(), first)
    page.find("#stage").focus()

    page.page.keyboard.down("Tab")  # held: the original
    assert alike(page.look(), empty)
    page.page.wait_for_timeout(350)
    page.page.keyboard.up("Tab")
    assert alike(page.look(), second)

    page.page.keyboard.press("c")
    half = page.look()
    assert not alike(half, second) and not alike(half, empty)
    page.find("#handle").focus()
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
    expect(page.find("#handle")).to_have_attribute("aria-valuenow", "56")
    page.page.keyboard.press("c")
    page.page.keyboard.press("u")
    expect(page.find("#legend")).to_be_visible()
    assert not alike(page.look(), second)
    page.page.keyboard.press("u")

    for expected in (first, painted, empty):  # looking through fills is one step
        page.page.keyboard.press("Control+z")
        assert alike(page.look(), expected)
    for expected in (painted, first, second):
        page.page.keyboard.press("Control+Shift+z")
        assert alike(page.look(), expected)


def test_what_was_filled_is_outlined_while_the_pointer_is_on_a_fill(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    photo = page.look()
    page.paint(length=80)
    hole = np.abs(page.look() - photo).sum(2) > 30  # on the screen
    page.fill(1)
    fill = page.look()
    box = page.find("#stage").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] / 2 - 150, box["y"] + box["height"] / 2 - 90)
    outlined = np.abs(page.canvas() - fill).sum(2) > 30
    outlined[: hole.shape[0] // 2 - 45] = False  # the pointer's own ring
    assert outlined.any()
    rows, columns = np.nonzero(outlined)
    down, across = np.nonzero(hole)
    found, wanted = (np.array([y.min(), y.max(), x.min(), x.max()]) for y, x in ((rows, columns), (down, across)))
    assert np.abs(found - wanted).max() < 8
    assert outlined[hole].mean() < 0.5  # around it, not over it


def test_more_like_one_and_more_different(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    page.page.keyboard.press("2")
    before = page.keys()
    page.find("#like").click()
    page.wait_for_fills(4)
    near, step = int(page.forms[-1]["near"]), float(page.forms[-1]["step"])
    assert page.chosen_key() not in before and set(before) < set(page.keys())
    page.find(f"#strip [data-key='{before[2]}'] button").click()
    page.find("#unlike").click()
    page.wait_for_fills(6)
    assert int(page.forms[-1]["near"]) == near and float(page.forms[-1]["step"]) > 2 * step > 0


def test_a_part_is_filled_again_and_a_part_taken_from_another_fill(server: Running, tab: Open) -> None:
    page = tab(server)
    page.load(photo_file())
    page.find("[data-tool=rectangle]").click()
    box = page.find("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(left: int, top: int, right: int, bottom: int) -> None:
        page.page.mouse.move(x + left, y + top)
        page.page.mouse.down()
        page.page.mouse.move(x + right, y + bottom, steps=3)
        page.page.mouse.up()

    drag(-120, -60, 120, 60)
    page.fill(2)
    hole = page.hole()
    first = pixels_of(page.download()[1])
    page.page.keyboard.press("2")
    second = pixels_of(page.download()[1])
    page.page.keyboard.press("1")

    drag(20, -90, 160, 90)  # the right part of the hole and more
    page.shot("region")
    page.find("#takes button").click()
    page.wait_for_fills(3)
    region = pixels_of(page.forms[-1]["mask"]).astype(bool)
    mixed = pixels_of(page.download()[1])
    assert (mixed[~region] == first[~region]).all() and (mixed[~hole] == PHOTO[~hole]).all()
    deep = region & hole & np.roll(region & hole, 20, 1)
    assert np.abs(mixed[deep].astype(int) - second[deep]).mean() < np.abs(mixed[deep].astype(int) - first[deep]).mean()

    drag(-100, -40, -40, 40)
    page.find("#fill").click()
    page.wait_for_fills(2)
    part, again = page.hole(), pixels_of(page.download()[1])
    assert 0 < part.sum() < hole.sum() and (again[~part] == mixed[~part]).all() and (again[part] != mixed[part]).any()
    page.page.keyboard.press("Control+z")
    page.page.keyboard.press("Control+z")
    expect(page.find("#strip li")).to_have_count(4)  # all three are there again


# ── painting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_tool_changes_the_hole_and_a_mask_can_be_loaded(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    assert page.find("#fill").is_disabled()

    def sent() -> NDArray[np.bool_]:
        page.fill(1)
        page.page.keyboard.press("0")
        return page.hole()

    page.paint()
    brush = sent()
    page.page.keyboard.press("e")
    page.paint(30, 0, length=5)
    erased = sent()
    assert erased.sum() < brush.sum() and not (erased & ~brush).any()
    page.find("#clear").click()
    page.page.keyboard.press("r")
    page.paint()  # without height: nothing
    assert page.find("#fill").is_disabled()
    page.page.keyboard.press("b")
    page.page.keyboard.press("]")
    page.paint()
    assert sent().sum() > brush.sum()
    page.find("#clear").click()

    mask = np.zeros((180, 240), np.uint8)
    mask[20:61, 30:101] = 255
    files = {"name": "mask.png", "mimeType": "image/png", "buffer": file_of(mask)}
    page.page.set_input_files("#maskFile", files)
    expect(page.find("#fill")).to_be_enabled()
    assert (sent() == (mask > 0)).all()
    page.page.set_input_files("#maskFile", files | {"buffer": file_of(mask[:90])})
    expect(page.find("#problem")).to_contain_text("another shape")


def test_everything_is_there_again_after_a_reload(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    page.page.keyboard.press("2")
    before = page.look()
    expect(page.find("body")).to_have_attribute("data-kept", "true")  # a moment after the last change
    page.open()
    page.wait_for_fills(2)
    assert page.chosen() == "2" and alike(page.look(), before)
    assert page.download()[0] == "lake_filled.png"


def test_what_changes_while_it_is_being_kept_is_kept_too(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    page.page.evaluate(
        """() => {
          const put = IDBObjectStore.prototype.put;
          IDBObjectStore.prototype.put = function (...given) {  // once: fill 2 is chosen after fill 1 went to the disk
            IDBObjectStore.prototype.put = put;
            queueMicrotask(() => document.querySelectorAll("#strip button")[2].click());
            return put.apply(this, given);
          };
        }"""
    )
    page.page.keyboard.press("0")
    page.page.keyboard.press("1")
    expect(page.find("#strip li:nth-child(3) button")).to_have_attribute("aria-pressed", "true")
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    page.open()
    page.wait_for_fills(2)
    assert page.chosen() == "2"


def test_a_reload_right_after_a_change_does_not_lose_it(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    page.page.keyboard.press("2")
    page.open()
    page.wait_for_fills(2)
    assert page.chosen() == "2"
