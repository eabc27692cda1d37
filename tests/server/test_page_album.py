"""The page with several photos, and what leaves it: archives, the clipboard, masks, the sheet for sharing."""

from __future__ import annotations

import io
import json
import re
import zipfile

import numpy as np
from browsing import PHOTO, Open, expect, photo_file
from PIL import Image
from serving import Running, file_of, photo_of, pixels_of


def files_of(*named: tuple[str, bytes]) -> list[dict[str, object]]:
    return [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in named]


def test_several_photos_are_filled_with_one_hole_and_downloaded_as_one_file(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    other = np.flipud(PHOTO)
    small = file_of(photo_of(90, 120))
    given = files_of(("lake.png", photo_file()), ("sea.png", file_of(other)), ("pond.png", small))
    page.page.set_input_files("#photoFile", given)
    expect(page.find("#photos li")).to_have_count(3)
    expect(page.find("#note")).to_contain_text("3 photos are open")
    expect(page.page).to_have_title(re.compile("lake"))
    page.paint()
    page.find("#fillAll").click()
    expect(page.find("#problem")).to_contain_text("pond.png")  # another size: it needs a hole of its own
    expect(page.find("#photos")).to_contain_text("sea.png ✓")
    page.find("#photos button").nth(2).click()
    expect(page.page).to_have_title(re.compile("pond"))
    page.paint(length=20)
    page.find("#fillAll").click()
    expect(page.find("#photos button:has-text('✓')")).to_have_count(3)
    page.find("#photos button").nth(1).click()
    expect(page.page).to_have_title(re.compile("sea"))
    page.wait_for_fills(4)
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    page.open()  # all of them are kept
    expect(page.find("#photos button:has-text('✓')")).to_have_count(3)
    name, data = page.download("#downloadAll")
    assert name == "manyfill.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["lake_filled.png", "sea_filled.png", "pond_filled.png"]
        for member, photo in (("lake_filled.png", PHOTO), ("sea_filled.png", other)):
            filled = pixels_of(archive.read(member))
            changed = (filled != photo).any(2)
            assert 0.002 < changed.mean() < 0.2  # the hole alone, the same in both
    page.find("#closeAlbum").click()
    expect(page.find("#album")).to_be_hidden()


def test_several_photos_beside_one_that_is_open_are_each_there_once(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.page.set_input_files("#photoFile", files_of(("sea.png", photo_file()), ("pond.png", photo_file())))
    expect(page.find("#note")).to_contain_text("3 photos are open")
    expect(page.page).to_have_title(re.compile("sea"))
    assert page.find("#photos li").all_inner_texts() == ["lake.png", "sea.png", "pond.png"]
    page.find("#photos button").first.click()
    expect(page.find("#fill")).to_be_enabled()  # with its hole
    expect(page.find("#photos li")).to_have_count(3)


def test_a_mask_is_saved_and_loaded_again(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.find("#downloadMore").click()
    name, mask = page.download("[data-save=mask]")
    assert name == "lake_mask.png" and Image.open(io.BytesIO(mask)).size == (240, 180)
    page.find("#clear").click()
    page.page.set_input_files("#maskFile", files_of(("mask.png", mask)))
    expect(page.find("#fill")).to_be_enabled()
    page.fill(1)
    assert (page.hole() == pixels_of(mask).astype(bool)).all()


def test_a_fill_goes_to_the_clipboard(sketching: Running, tab: Open) -> None:
    page = tab(sketching, permissions=["clipboard-read", "clipboard-write"])
    page.load(photo_file())
    page.paint()
    page.fill(1)
    filled = pixels_of(page.download()[1])
    page.find("#stage").focus()
    page.page.keyboard.press("Control+c")
    expect(page.find("#note")).to_contain_text("on the clipboard")
    size = page.page.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          const bitmap = await createImageBitmap(await item.getType("image/png"));
          const { width, height } = bitmap;
          const canvas = Object.assign(document.createElement("canvas"), { width, height });
          const context = canvas.getContext("2d");
          context.drawImage(bitmap, 0, 0);
          return [bitmap.width, bitmap.height, ...context.getImageData(120, 90, 1, 1).data];
        }"""
    )
    assert size[:2] == [240, 180] and size[2:5] == filled[90, 120].tolist()


def test_a_phone_shares_the_file(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.page.add_init_script(
        """
        navigator.canShare = () => true;
        navigator.share = async ({ files }) => { window.shared = [files[0].name, files[0].type, files[0].size]; };
        """
    )
    page.open()
    page.load(photo_file("JPEG"), "lake.jpg")
    page.paint()
    page.fill(1)
    page.find("#downloadMore").click()
    page.find("[data-save=share]").click()
    expect(page.find("#hint.busy")).to_have_count(0)
    assert page.page.evaluate("() => window.shared.slice(0, 2)") == ["lake_filled.jpg", "image/jpeg"]


def test_it_can_be_installed(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    about = json.loads(sketching.get("/manifest.json").text)
    assert page.find("link[rel=manifest]").get_attribute("href") == "manifest.json"
    assert about["start_url"] == "./" and about["display"] == "standalone"
    assert all(sketching.get(f"/{one['src']}").status_code == 200 for one in about["icons"])
    page.page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    errors = page.page.context.new_cdp_session(page.page).send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [one["errorId"] for one in errors if one["errorId"] != "in-incognito"] == []  # as every test's window is
