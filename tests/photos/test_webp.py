"""What a WebP's chunks say."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from manyfill.photos.webp import webp_is_lossless, webp_size


def picture(format: str, size: tuple[int, int] = (7, 5), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA" if options.pop("clear", False) else "RGB", size, 77).save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (300, 2), (2, 300)])
def test_the_size_of_a_webp_stands_in_each_of_its_three_headers(size: tuple[int, int]) -> None:
    for lossless, more in ((True, {}), (False, {}), (True, {"clear": True}), (False, {"xmp": b"<x/>"})):
        data = picture("WEBP", size, lossless=lossless, **more)
        assert webp_size(data) == size
        assert webp_is_lossless(data) == lossless
