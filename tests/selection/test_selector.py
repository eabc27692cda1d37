"""All kinds of selections together, without fetched networks."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from networks import put_sam
from pictures import ball, overlap
from PIL import Image
from stopping import steps_of

from manyfill import photos
from manyfill.checking import Check
from manyfill.errors import BadMask
from manyfill.selection import Selection, Selector, as_mask, select
from manyfill.selection.sam import Sam, available

BARE = Selector(lambda: None)


def painted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """The ball, with a stroke of paint beside it: the photo, where the ball is, and where the paint."""
    pixels, truth = ball()
    paint = np.zeros_like(truth)
    paint[20:30, 10:80] = True
    pixels[paint] = (255, 0, 255)
    return pixels, truth, paint


def test_what_is_wanted_together_is_united() -> None:
    pixels, truth, paint = painted()
    photo, click = photos.read(pixels), ((200, 110),)
    alone = BARE.select(photo, Selection(colour="#ff00ff", grow=0))
    assert np.array_equal(alone.hole, paint) and alone.notes == ()
    both = BARE.select(photo, Selection(colour="#ff00ff", clicks=click, grow=0))
    assert np.array_equal(both.hole, paint | BARE.select(photo, Selection(clicks=click, grow=0)).hole)
    assert overlap(both.hole, paint | truth) > 0.95 and len(both.notes) == 1


def test_it_is_grown_for_rims_unless_asked_otherwise() -> None:
    pixels, _ = ball()
    photo = photos.read(pixels)
    exact, usual, less = (
        BARE.select(photo, Selection(clicks=((200, 110),), grow=grow)).hole.sum() for grow in (0, None, -5)
    )
    assert less < exact < usual
    with pytest.raises(BadMask, match="nothing is left of the selection"):
        BARE.select(photo, Selection(clicks=((200, 110),), grow=-200))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Selection(dust=True), "no dust and no scratches were found"),
        (Selection(colour="#0000ff"), "nothing in the photo has the colour #0000ff"),
        (Selection(clicks=((900, 20),)), "is outside the photo, which is 320x240"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_so(wanted: Selection, message: str) -> None:
    with pytest.raises(BadMask, match=message):
        BARE.select(photos.read(ball()[0]), wanted)


def test_networks_are_looked_for_when_an_object_is_wanted_until_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    looked = []

    def load() -> Sam | None:
        looked.append(1)
        return available()

    selector, photo = Selector(load), photos.read(painted()[0])
    selector.select(photo, Selection(colour="#ff00ff"))
    assert not looked
    click = Selection(clicks=((200, 110),))
    assert "GrabCut" in selector.select(photo, click).notes[0]
    put_sam(tmp_path)  # as a fetch does while a server runs
    notes = [selector.select(photo, click).notes[0] for _ in range(3)]
    assert notes == ["Selected by SAM."] * 3 and len(looked) == 2


def test_python_gets_the_mask_that_the_command_line_would_write() -> None:
    pixels, _, paint = painted()
    hole = select(pixels, colour="#ff00ff", grow=0)
    assert hole.dtype == bool and np.array_equal(hole, paint)
    written = np.array(Image.open(io.BytesIO(as_mask(hole))))
    assert np.array_equal(written, np.where(paint, 255, 0))
    soft = np.array(Image.open(io.BytesIO(as_mask(hole, feather=3))))
    assert len(np.unique(soft)) > 5 and overlap(soft >= 128, paint) > 0.95


@pytest.mark.parametrize(
    "wanted",
    [Selection(clicks=((200, 110),)), Selection(box=(100, 40, 300, 180)), Selection(dust=True)],
)
def test_what_check_raises_stops_a_selection_at_every_step(wanted: Selection) -> None:
    pixels, _ = ball()
    photo = photos.read(pixels)

    def work(check: Check) -> None:
        with suppress(BadMask):  # there is no dust
            BARE.select(photo, wanted, check=check)

    assert steps_of(work) >= 2
