"""Text by networks with the signatures of PP-OCRv4's."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from networks import put_text

from manyfill import photos
from manyfill.errors import BadMask, MissingExtra, UnknownModel
from manyfill.selection import Selection, Selector, text


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    put_text(tmp_path)
    return tmp_path


def signs() -> np.ndarray:  # type: ignore[type-arg]
    """A white line of text, level; one that is turned; and a red bar that the detector takes for one."""
    pixels = np.full((300, 400, 3), 60, np.uint8)
    pixels[40:60, 50:200] = 255
    turned = cv2.boxPoints(((300, 150), (120, 18), 60.0))
    cv2.fillPoly(pixels, [np.rint(turned).astype(np.int32)], (255, 255, 255))
    pixels[250:270, 50:200] = (255, 0, 0)
    return pixels


def test_lines_are_found_with_their_letters_rims_and_what_cannot_be_read_is_not(cache: Path) -> None:
    pixels = signs()
    found = Selector().select(photos.read(pixels), Selection(text=True)).hole
    white = (pixels == 255).all(2)
    assert found[white].all() and not found[245:275].any()
    assert white.sum() < found.sum() < 4 * white.sum()
    large = Selector().select(photos.read(cv2.resize(pixels, (4000, 3000))), Selection(text=True)).hole
    assert abs(large.mean() - found.mean()) < 0.02


def test_none_is_an_error_that_says_so(cache: Path) -> None:
    with pytest.raises(BadMask, match="no text was found in the photo"):
        Selector().select(photos.read(np.full((50, 60, 3), 60, np.uint8)), Selection(text=True))


def test_upside_down_and_downwards_are_laid_level() -> None:
    pixels = np.zeros((200, 200, 3), np.uint8)
    pixels[20:180, 90:110] = (200, 100, 50)
    cut = text._straight(pixels, np.array([[110, 20], [110, 180], [90, 180], [90, 20]], np.float64))
    assert cut.shape[0] == text.HIGH and cut.shape[1] == 8 * text.HIGH
    assert np.abs(cut[4:-4, 4:-4].astype(int) - (200, 100, 50)).max() <= 2


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "empty"))
    monkeypatch.setitem(sys.modules, text.PACKAGE, None)  # as where it is not installed
    with pytest.raises(UnknownModel, match="manyfill fetch text"):
        text.find_text(signs())
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path / "full"))
    put_text(tmp_path / "full")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'manyfill\[text\]'"):
        text.find_text(signs())
