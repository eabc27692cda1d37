"""Writing that can be stopped: between strips, or, where an encoder takes the whole picture, by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import features

from manyfill import photos
from manyfill.errors import BadImage
from manyfill.photos import JpegCoding, Photo
from manyfill.photos.strips import STRIP_BYTES

PLAIN = JpegCoding(tables=((1,) * 64,), subsampling=0)
PROGRESSIVE = JpegCoding(tables=((1,) * 64,), subsampling=0, progressive=True)
STOPPED = """
import signal, sys
import numpy as np
from manyfill import photos
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts work in the background deaf to it
pixels = np.random.default_rng(0).integers(0, 255, (3000, 4000, 3), dtype=np.uint8)
def lay(rows, top):
    print("begun", flush=True)
try:
    photos.write(photos.Photo(pixels), sys.argv[1], lay=lay)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("format", "depth", "jpeg"), [("png", 8, None), ("png", 16, None), ("tiff", 8, None), ("tiff", 16, None),
                                  ("jpeg", 8, None), ("jpeg", 8, PLAIN)],
)  # fmt: skip
def test_who_writes_in_strips_is_asked_after_each(format: str, depth: int, jpeg: Any) -> None:
    pixels = np.zeros((4000, 4000, 3), np.uint8 if depth == 8 else np.uint16)
    photo, laid = Photo(pixels, format=format, jpeg=jpeg), [0]

    def lay(rows: Any, top: int) -> None:
        laid[0] += rows.nbytes

    assert photos.in_strips(photo)
    steps = []
    for _ in photos.encode_parts(photo, lay=lay):
        steps.append(laid[0])
        laid[0] = 0
    assert sum(steps) + laid[0] == pixels.nbytes
    assert max(*steps, laid[0]) <= 10 * STRIP_BYTES < pixels.nbytes


def test_what_an_encoder_takes_whole_is_known() -> None:
    pixels = np.zeros((9, 9, 3), np.uint8)
    whole = [name for name in photos.FORMATS if not photos.in_strips(Photo(pixels, format=name))]
    assert whole == ["webp", "bmp", "heic", "avif"]
    progressive = Photo(pixels, format="jpeg", jpeg=PROGRESSIVE)
    assert not photos.in_strips(progressive) and photos.in_strips(progressive, "png")
    assert not photos.in_strips(progressive, "jpg") and not photos.in_strips(progressive, "WebP")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_ctrl_c_does_not_wait_for_an_encoder_and_leaves_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STOPPED, str(tmp_path / "photo.avif")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert used.ru_utime < 8, "it was written to its end, which takes 28 seconds"


def test_what_an_encoder_says_is_said_though_it_works_in_a_thread() -> None:
    short = JpegCoding(tables=((1,) * 63,), subsampling=0, progressive=True)
    with pytest.raises(BadImage, match=r"cannot be written as JPEG .*quantization table"):
        photos.encode(Photo(np.zeros((9, 9, 3), np.uint8), format="jpeg", jpeg=short))
