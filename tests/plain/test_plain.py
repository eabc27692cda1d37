"""Plain answers: which parts of a hole have one, each pixel once, and what they may cost."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from drawn import holes
from hypothesis import given, settings
from numpy.typing import NDArray

from manyfill.boxes import Bools
from manyfill.plain import mend


def textured(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def mended(pixels: NDArray[Any], hole: Bools, blind: Bools | None = None) -> tuple[NDArray[np.float64], Bools]:
    """The photo with every plain answer, and where they are; each place once."""
    out = pixels / np.float64(np.iinfo(pixels.dtype).max)
    done = np.zeros_like(hole)
    for part in mend(pixels, hole, blind):
        assert not (done[part.box.part] & part.painted).any()
        done[part.box.part] |= part.painted
        out[part.box.part][part.painted] = part.fill[part.painted]
    return out, done


@given(holes())
@settings(max_examples=25, deadline=None)
def test_only_the_hole_is_painted_and_every_pixel_once(hole: Bools) -> None:
    pixels = textured(*hole.shape)
    out, done = mended(pixels, hole)
    assert (done <= hole).all()
    assert (out >= 0).all() and (out <= 1).all()


def test_nothing_is_read_under_the_hole() -> None:
    pixels, hole = textured(90, 110), np.zeros((90, 110), bool)
    hole[::11, ::7] = hole[40] = True
    pixels[60:] = 90
    hole[70:85, 30:60] = True
    other = pixels.copy()
    other[hole] = 255 - other[hole]
    (one, done), (two, _) = mended(pixels, hole), mended(other, hole)
    assert done.all() == hole.all()
    assert (one[done] == two[done]).all()


def test_an_empty_hole_has_nothing_to_mend_and_a_full_one_no_plain_answer() -> None:
    pixels = textured(40, 50)
    assert not list(mend(pixels, np.zeros((40, 50), bool)))
    assert not mended(pixels, np.ones((40, 50), bool))[1].any()


def test_what_is_transparent_is_neither_read_nor_filled() -> None:
    pixels = np.full((80, 100, 3), 120, np.uint8)
    hole, blind = np.zeros((80, 100), bool), np.zeros((80, 100), bool)
    hole[20:50, 30:60] = True
    blind[:, :40] = True
    pixels[:, :40] = 255
    out, done = mended(pixels, hole & ~blind, blind)
    assert (done == (hole & ~blind)).all()
    assert np.abs(out[done] * 255 - 120).max() < 0.01


SPECKS = """
for _ in range(1500):
    at = (int(rng.integers(hole.shape[1])), int(rng.integers(hole.shape[0])))
    cv2.circle(hole, at, int(rng.integers(1, 3)), 1, -1)
"""
LINE = "cv2.line(hole, (0, 20), (hole.shape[1], hole.shape[0] - 20), 1, 1)"


@pytest.mark.parametrize(
    ("shape", "paint"),
    [
        pytest.param((500, 700), SPECKS + LINE, id="specks"),
        pytest.param((800, 2000), SPECKS + LINE, id="specks of a wide photo"),
        pytest.param((150, 200), "hole[::9, ::9] = 1", id="391 pixels"),
        pytest.param((800, 20000), LINE, id="line across a panorama"),
    ],
)
def test_what_is_thin_is_cheap(shape: tuple[int, int], paint: str) -> None:
    """Dust all over a scan, hair-lines: seconds of a core, and little memory."""
    program = f"""
import resource
import cv2, numpy as np
from manyfill.plain import mend
rng = np.random.default_rng(0)
pixels = rng.integers(0, 255, ({shape[0]}, {shape[1]}, 3), dtype=np.uint8)
hole = np.zeros(pixels.shape[:2], np.uint8)
{paint}
hole = hole > 0
done = np.zeros_like(hole)
list(mend(pixels[:64, :64], hole[:64, :64]))
before = resource.getrusage(resource.RUSAGE_SELF)
for part in mend(pixels, hole):
    done[part.box.part] |= part.painted
after = resource.getrusage(resource.RUSAGE_SELF)
assert (done == hole).mean() > 0.999, (done != hole).sum()
print(after.ru_utime - before.ru_utime, (after.ru_maxrss - before.ru_maxrss) / 1024)
"""
    limits = (resource.RLIMIT_CPU, (120, 120))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(*limits),
        check=False,
    )
    assert not done.returncode, done.stderr
    seconds, grown = map(float, done.stdout.split())
    assert seconds < 20  # some 1.5 on a quiet core
    assert grown < 100 + 3 * shape[0] * shape[1] / 2**20  # MiB


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_looking_for_repeats_stays_within_its_estimate() -> None:
    """A lively hole of 1 MP: the shifts of all of it are tried at once."""
    program = (
        "import numpy as np; from manyfill import memory, plain; from manyfill.completer import ceiling;"
        "pixels = np.random.default_rng(0).integers(60, 140, (1200, 1250, 3)).astype(np.uint8);"
        "hole = np.zeros((1200, 1250), bool); hole[300:900, 300:900] = True;"
        "assert not list(plain.mend(pixels[:200, :200], hole[250:450, 250:450]));"
        "before = memory.resident(); open('/proc/self/clear_refs', 'w').write('5');"
        "assert not list(plain.mend(pixels, hole));"
        "peak = int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024;"
        "print((peak - before) / ceiling.mending(hole.size, 1))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0.1 < float(done.stdout) < 1


def nested(side: int, period: int = 28, thick: int = 11) -> Bools:
    """Square rings in each other: each is a part of the hole of its own, whose box holds all that are inside it."""
    y, x = np.mgrid[:side, :side]
    return np.asarray((np.maximum(abs(y - side // 2), abs(x - side // 2)) % period < thick)[:side, :side])


def test_parts_that_lie_in_each_other_cost_what_they_cover_and_not_their_boxes() -> None:
    hole = nested(700)
    checks = painted = covered = 0

    def check() -> None:
        nonlocal checks
        checks += 1

    for part in mend(np.full((*hole.shape, 3), 120, np.uint8), hole, check=check):
        painted, covered = painted + int(part.painted.sum()), covered + part.painted.size
    assert painted > 0.9 * hole.sum(), "on one ground all has a plain answer"
    assert covered < 4 * painted  # boxes of rings hold more than ten times as much
    assert checks > 100


def test_what_check_raises_ends_it_at_once() -> None:
    hole = nested(300)

    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(mend(textured(300, 300), hole, check=check))
