"""The page when something goes wrong: nothing that was there is lost, and words say what to do."""

from __future__ import annotations

import io

import numpy as np
from browsing import Open, alike, expect, held, photo_file, restartable
from PIL import Image
from serving import Running, Sketch, file_of, photo_of, pixels_of, running

from manyfill.server.settings import Limits, Settings


def test_stop_frees_the_server_and_loses_nothing(sketching: Running, tab: Open) -> None:
    net = sketching.net
    assert net is not None
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    painted = page.look()
    with held(net):
        page.find("#fill").click()
        expect(page.find("#fill")).to_have_text("Stop")
        page.find("#fill").click()
        expect(page.find("#fill")).to_have_text("Fill")
    assert page.find("#problem").is_hidden() and alike(page.look(), painted)
    page.fill(2)


def test_errors_are_told_in_plain_words_and_tried_again(sketching: Running, tab: Open) -> None:
    net = sketching.net
    assert net is not None
    page = tab(sketching)
    page.page.set_input_files("#photoFile", {"name": "x.png", "mimeType": "image/png", "buffer": b"not a photo"})
    expect(page.find("#problem")).to_contain_text("not a photo that can be opened")
    page.load(photo_file())
    expect(page.find("#problem")).to_be_hidden()
    page.paint()
    painted = page.look()

    net.crashes_at = net.drawn + 1
    page.find("#fill").click()
    expect(page.find("#problem")).to_contain_text("The server failed at this")
    page.shot("error")
    page.page.route("**/v1/**", lambda route: route.abort())
    page.find("#retry").click()
    expect(page.find("#problem")).to_contain_text("cannot be reached")
    assert page.chosen() == "Photo"
    page.page.unroute("**/v1/**")
    page.find("#retry").click()
    page.wait_for_fills(4)
    page.page.keyboard.press("Control+z")
    assert alike(page.look(), painted)


def test_limits_and_the_token_are_explained(tab: Open) -> None:
    limits = Limits(pixels=240 * 180)
    with running(Settings(models=("sketch",), token="s3cret", limits=limits), Sketch()) as server:
        page = tab(server)
        for given, wrong in (("guess", False), ("s3cret", True)):
            expect(page.find("#tokenDialog")).to_be_visible()
            expect(page.find("[data-wrong]")).to_be_visible(visible=wrong)
            page.find("#tokenDialog input").fill(given)
            page.page.keyboard.press("Enter")
        expect(page.find("#tokenDialog")).to_be_hidden()
        page.page.set_input_files(
            "#photoFile", {"name": "big.png", "mimeType": "image/png", "buffer": file_of(photo_of(200, 240))}
        )
        expect(page.find("#problem")).to_contain_text("million pixels")
        page.load(photo_file())
        page.paint()
        page.fill(1)


def test_fills_outlive_the_server_by_photo_hole_and_seed(tab: Open) -> None:
    with restartable() as server:
        page = tab(server)
        network = page.page.context.new_cdp_session(page.page)
        network.send("Network.enable")
        network.send("Network.setCacheDisabled", {"cacheDisabled": True})  # the browser would still have them
        page.load(photo_file("JPEG", quality=95), "lake.jpg")
        page.paint()
        page.fill(2)
        page.page.keyboard.press("2")
        page.paint(10, 0, length=20)  # a part of fill 2, taken from fill 1
        page.find("#takes button").click()
        page.wait_for_fills(3)
        page.paint(0, 8, length=15)  # and a part of that, filled again
        page.find("#fill").click()
        page.wait_for_fills(2)
        expect(page.find("#holes li")).to_have_count(2)
        before = page.download()[1]
        sent = len(page.forms)
        server.restart()
        again = page.download()[1]  # by way of all that came before it: the photo is sent once
        assert again == before
        assert [("image" in form) for form in page.forms[sent:]].count(True) == 1
        server.restart()
        page.open()
        page.wait_for_fills(2)
        assert page.download()[1] == before


def test_a_photo_is_sent_once_and_a_fill_never(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    page.fill_more(4)
    page.paint(10, 0, length=20)
    page.find("#takes button").first.click()
    page.wait_for_fills(5)
    page.paint(0, 8, length=15)
    page.find("#fill").click()
    page.wait_for_fills(2)
    page.download()
    assert [("image" in form, "other" in form) for form in page.forms] == [(True, False)] + [(False, False)] * 3


def test_while_fills_run_only_fill_waits(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    net = sketching.net
    assert net is not None
    with held(net):
        page.find("#fill").click()
        expect(page.find("#fill")).to_have_text("Stop")
        expect(page.find("#strip .waiting")).to_have_count(2)
        assert page.download()[0] == "lake_filled.png"  # a finished one, meanwhile
        page.paint(10, 0, length=20)
        page.find("#takes button").first.click()
        expect(page.find("#strip li:not(:has(.waiting))")).to_have_count(4)  # the mix, too
        page.page.keyboard.press("0")
        page.paint(-40, 20, length=20)  # another hole
        expect(page.find("#fill")).to_have_text("Fill")
        page.load(photo_file("JPEG"), "other.jpg")
        expect(page.find("#hint")).to_contain_text("on their way")
        page.paint()
        expect(page.find("#fill")).to_be_enabled()
    expect(page.find("#hint.busy")).to_have_count(0)
    for _ in range(4):
        page.page.keyboard.press("Control+z")
    expect(page.find("#about")).to_contain_text("lake.png")
    page.page.keyboard.press("1")
    expect(page.find("#strip li")).to_have_count(
        6
    )  # the photo, four fills and the mix: opening a photo stopped nothing


def test_the_place_in_the_queue_the_stage_and_the_time_are_told(sketching: Running, tab: Open) -> None:
    net = sketching.net
    assert net is not None
    first, second = tab(sketching), tab(sketching)
    for page in (first, second):
        page.load(photo_file())
        page.paint()
    with held(net):
        first.find("#fill").click()
        expect(first.find("#hint")).to_contain_text("Sketching 1 of 6")
        second.find("#fill").click()
        expect(second.find("#hint")).to_contain_text("1 before yours in the queue")
        expect(second.find("#strip .waiting")).to_have_count(4)
        expect(second.find("#progress")).to_be_visible()
        second.find("#fill").click()  # cancelled: nobody works for it
        expect(second.find("#fill")).to_have_text("Fill")
        sketching.wait_for("queue_waiting", 0)
    first.wait_for_fills(4)
    first.find("#fill").click()
    first.wait_for_fills(8)
    assert second.find("#strip li").count() == 1


def test_a_duplicated_tab_goes_its_own_way(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    with page.page.context.expect_page() as opened:
        page.page.evaluate("() => { window.open(location.href); }")  # takes sessionStorage along, as duplicating does
    twin = opened.value
    expect(twin.locator("#strip li")).to_have_count(3)
    twin.keyboard.press("0")
    twin.locator("#clear").click()
    expect(twin.locator("body")).to_have_attribute("data-kept", "true")
    page.open()
    page.wait_for_fills(2)
    twin.reload()
    expect(twin.locator("#fill")).to_be_disabled()


def test_a_reload_keeps_undo_holes_and_options(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    page.page.keyboard.press("0")
    page.paint(0, 30)
    page.fill(3)
    expect(page.find("#holes li")).to_have_count(2)
    expect(page.find("body")).to_have_attribute("data-kept", "true")
    page.open()
    page.wait_for_fills(3)
    expect(page.find("#countShown")).to_have_text("3")
    page.find("#holes button").first.click()  # back to the earlier hole
    page.wait_for_fills(2)
    page.page.keyboard.press("Control+z")
    page.wait_for_fills(3)
    for _ in range(3):
        page.page.keyboard.press("Control+z")
    page.wait_for_fills(2)


def test_a_part_outside_the_hole_is_no_part(sketching: Running, tab: Open) -> None:
    page = tab(sketching)
    page.load(photo_file())
    page.paint()
    page.fill(2)
    first = page.look()
    page.paint(-150, -120, length=20)
    page.find("#takes button").first.click()
    expect(page.find("#problem")).to_contain_text("outside the hole")
    page.find("#clear").click()
    page.paint(30, 0, length=60)
    page.find("#takes button").first.hover()
    mixed = page.canvas()
    assert not alike(mixed, first)  # the mix is seen before it is made
    page.find("#takes button").first.click()
    page.wait_for_fills(3)
    expect(page.find("#note")).to_contain_text("only the part inside")


def test_48_megapixels_work_from_end_to_end(sketching: Running, tab: Open) -> None:
    big = np.kron(photo_of(60, 80), np.ones((100, 100, 1), np.uint8))  # 8000 x 6000
    file = file_of(big, "JPEG", quality=90)
    page = tab(sketching)
    page.load(file, "large.jpg")
    expect(page.find("#about")).to_contain_text("8000 × 6000")
    for _ in range(14):
        page.page.keyboard.press("[")
    page.paint(length=3)
    page.fill(2, patience=6)
    page.paint(2, 0, length=3)
    page.find("#takes button").click()
    page.wait_for_fills(3, patience=6)
    name, same = page.download()
    page.find("#downloadMore").click()
    exact, filled = page.download("[data-save=png]")
    assert (name, exact) == ("large_filled.jpg", "large_filled.png")
    assert Image.open(io.BytesIO(same)).size == (8000, 6000)
    pixels, hole = pixels_of(filled), page.hole()
    known = pixels_of(file)
    assert (pixels[~hole] == known[~hole]).all() and 0 < hole.mean() < 0.01
    assert sum(len(form.get("image", b"")) for form in page.forms) < 2 * len(same)  # sent once
