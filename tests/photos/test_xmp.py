"""XMP agrees with upright pixels."""

from __future__ import annotations

import pytest

from manyfill.photos.xmp import upright_xmp


@pytest.mark.parametrize(
    "form", [b'tiff:Orientation="%d"', b"tiff:Orientation='%d'", b"<tiff:Orientation>%d</tiff:Orientation>"]
)
def test_an_orientation_in_xmp_becomes_1(form: bytes) -> None:
    for number in range(1, 9):
        assert upright_xmp(b"<x " + form % number + b"/>") == b"<x " + form % 1 + b"/>"
