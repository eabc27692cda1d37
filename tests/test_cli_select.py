"""`manyfill select`, and the same options of `manyfill complete`, as people type them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyfill import photos
from manyfill.cli import run

sys.path.insert(0, str(Path(__file__).parent / "selection"))
from networks import put_sam
from pictures import ball, overlap


class Outcome:
    """Exit code and what was printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def manyfill(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Called in a folder with ball.png and ball.jpg."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "cache"))
    pixels, _ = ball()
    Image.fromarray(pixels).save("ball.png")
    Image.fromarray(pixels).save("ball.jpg", quality=95)

    def call(*args: object) -> Outcome:
        code = run([str(arg) for arg in args])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


def test_a_click_makes_a_mask_beside_the_photo_and_says_how(manyfill: Callable[..., Outcome]) -> None:
    done = manyfill("select", "ball.png", "--click", "200,110")
    assert done.code == 0 and done.out.split() == ["ball_hole.png"]
    assert "Selected by GrabCut; `manyfill fetch sam`" in done.err and "% of the photo is selected" in done.err
    mask = np.array(Image.open("ball_hole.png"))
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    assert overlap(mask > 0, ball()[1]) > 0.85  # larger by its rim
    assert manyfill("complete", "ball.png", "--mask", "ball_hole.png", "--model", "telea").code == 0


def test_it_is_said_that_sam_selected(manyfill: Callable[..., Outcome]) -> None:
    put_sam(Path("cache"))
    given = ("select", "ball.png", "--click", "200,110", "--grow", "0", "-o", "out/m.png", "--json")
    ran = subprocess.run(  # a process of its own: each looks for SAM once
        [sys.executable, "-m", "manyfill", *given], capture_output=True, text=True, timeout=300, check=False
    )
    done = Outcome(ran.returncode, ran.stdout, ran.stderr)
    about = json.loads(done.out)
    assert done.code == 0 and about["notes"] == ["Selected by SAM."] and about["mask"] == str(Path("out/m.png"))
    assert (about["width"], about["height"]) == (320, 240)
    found = np.array(Image.open("out/m.png")) > 0
    assert abs(about["hole_ratio"] - found.mean()) < 1e-9 and overlap(found, ball()[1]) > 0.9


def test_feather_softens_the_edge_and_a_file_of_somebody_else_stays(manyfill: Callable[..., Outcome]) -> None:
    Path("mine.png").write_bytes(b"mine")
    given = ("select", "ball.png", "--box", "140,50,262,172", "-o")
    assert "nothing says that manyfill wrote it" in manyfill(*given, "mine.png").err
    assert Path("mine.png").read_bytes() == b"mine"
    assert manyfill(*given, "soft.png", "--feather", 6).code == 0
    soft = np.array(Image.open("soft.png"))
    assert len(np.unique(soft)) > 20
    assert manyfill(*given, "soft.png").code == 0  # ours: replaced
    hard = np.array(Image.open("soft.png")) > 0
    assert overlap(soft >= 128, hard) > 0.97  # soft on both sides of the same edge
    assert manyfill(*given, "mine.png", "--force").code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "nothing says what to select"),
        (("--click", "900,20"), "the click 900,20 is outside the photo, which is 320x240 (width x height)"),
        (("--click", "20"), "--click is '20'; expected x,y in pixels"),
        (("--box", "5,5,5,9"), "is empty"),
        (("--keep", "5,5"), "nothing says what to select beside the points to keep"),
        (("--text",), "manyfill fetch text"),
        (("--colour", "#0000ff"), "nothing in the photo has the colour #0000ff"),
        (("--colour", "blue"), "'blue' is not a colour"),
        (("--click", "200,110", "--grow", "-300"), "nothing is left of the selection"),
        (("--click", "200,110", "-o", "a.jpg"), "masks are written as PNG"),
        (("--click", "200,110", "-o", "ball.png"), "the photo itself"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    manyfill: Callable[..., Outcome], args: tuple[str, ...], message: str
) -> None:
    before = sorted(Path().iterdir())
    done = manyfill("select", "ball.png", *args)
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1 and not done.out
    assert [path for path in sorted(Path().iterdir()) if path.name != "cache"] == [
        path for path in before if path.name != "cache"
    ]


def test_complete_takes_the_same_options_and_replay_the_hole_that_was_found(manyfill: Callable[..., Outcome]) -> None:
    done = manyfill("complete", "ball.png", "--click", "200,110", "--model", "telea", "-o", "out/")
    assert done.code == 0, done.err
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"ball_1.png", "ball_hole.png", "ball_sheet.png", "ball.json"}
    assert "note: ball.png: Selected by GrabCut" in done.err
    filled, (pixels, truth) = photos.read("out/ball_1.png").pixels, ball()
    assert not np.array_equal(filled[truth], pixels[truth])
    reddish = (filled[..., 0].astype(int) - filled[..., 1])[truth]
    assert reddish.mean() < 0  # green now
    hole = np.array(Image.open("out/ball_hole.png")) > 0
    assert np.array_equal(filled[~hole], pixels[~hole])
    again = manyfill("replay", "out/ball.json", "-o", "again/")
    assert again.code == 0 and "byte for byte" in again.err
    one = manyfill("complete", "ball.png", "--box", "140,50,262,172", "--grow", 2, "--model", "telea")
    assert one.code == 0 and one.out.split() == ["ball_filled.png"] and not Path("ball_hole.png").exists()


def test_a_selection_beside_a_mask_is_refused(manyfill: Callable[..., Outcome]) -> None:
    Image.new("L", (320, 240)).save("m.png")
    for other in (("--mask", "m.png"), ("--polarity", "alpha"), ("--mask-colour", "#ff00ff")):
        done = manyfill("complete", "ball.png", "--click", "200,110", *other)
        assert done.code == 2 and "both say where the hole is" in done.err


@pytest.mark.parametrize(
    ("args", "size", "place"),
    [
        (("--extend", "0,25%,10,5"), (405, 250), (0, 5)),
        (("--extend-to", "16:9"), (427, 240), (0, 53)),
        (("--extend", "8"), (336, 256), (8, 8)),
    ],
)
def test_a_canvas_is_extended_and_the_photo_lies_in_it_exactly(
    manyfill: Callable[..., Outcome], args: tuple[str, ...], size: tuple[int, int], place: tuple[int, int]
) -> None:
    done = manyfill("complete", "ball.png", *args, "--model", "telea", "-o", "out/", "--json")
    assert done.code == 0, done.err
    about = json.loads(done.out)
    assert (about["width"], about["height"]) == size
    filled = photos.read("out/ball_1.png").pixels
    top, left = place
    assert filled.shape[:2] == size[::-1] and np.array_equal(filled[top : top + 240, left : left + 320], ball()[0])
    assert manyfill("replay", "out/ball.json", "-o", "again/").code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--extend", "1,2"), "expected top,right,bottom,left"),
        (("--extend=-5"), "expected top,right,bottom,left"),
        (("--extend", "9999999%"), "expected top,right,bottom,left"),
        (("--extend", "40000"), "million pixels; the limit is"),
        (("--extend-to", "wide"), "such as 16:9"),
        (("--extend", "5", "--extend-to", "1:1"), "Give one"),
    ],
)
def test_a_canvas_that_cannot_be_meant_is_one_line(
    manyfill: Callable[..., Outcome], args: tuple[str, ...] | str, message: str
) -> None:
    given = (args,) if isinstance(args, str) else args
    done = manyfill("complete", "ball.png", *given, "--model", "telea", "--max-memory", "900G")
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1
