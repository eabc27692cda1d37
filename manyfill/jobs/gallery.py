"""Pictures for people beside the fills: contact sheet, explanation, heat map; no photo is in memory as a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manyfill import photos, sheet
from manyfill.boxes import Box
from manyfill.completer import Completion, spread
from manyfill.completer.fills import Shown
from manyfill.completer.origins import arrows, copied_share
from manyfill.jobs.records import Sidecar


def contact_sheet(photo: photos.Photo, completions: Sequence[Completion], sidecar: Sidecar) -> bytes:
    """Photo, hole and fills with their seeds and scores, as a PNG."""
    labels = [
        f"seed {fill.seed}" + ("" if fill.score is None else f" · score {fill.score:.3f}") for fill in sidecar.fills
    ]
    hole = completions[0].hole
    shown = [Shown(completion) for completion in completions]
    return _png(sheet.contact_sheet(_before(photo, hole), hole, shown, title=_title(sidecar), labels=labels))


def explanation(photo: photos.Photo, completions: Sequence[Completion]) -> bytes:
    """What in each fill is copied from the photo and what the network drew, as a PNG."""
    hole = completions[0].hole
    drawn = sheet.contact_sheet(
        _before(photo, hole),
        hole,
        [Explained(completion) for completion in completions],
        title="blue: copied from elsewhere in the photo, along the arrows · orange: drawn by the network",
        labels=[f"{100 * copied_share(completion):.0f} % copied" for completion in completions],
    )
    return _png(drawn)


def heat_map(photo: photos.Photo, completions: Sequence[Completion]) -> Iterator[bytes | memoryview]:
    """`sheet.heat_map` of the fills as a PNG's bytes, coloured strip by strip."""
    before = _before(photo, completions[0].hole)

    def lay(rows: NDArray[Any], top: int) -> None:
        box = Box(top, 0, *rows.shape[:2])
        rows[...] = np.asarray(sheet.heat_map(before.strip(box, 1), spread(completions, box)))

    paper = np.broadcast_to(np.uint8(0), photo.pixels.shape)
    return photos.encode_parts(photos.Photo(paper), format="png", lay=lay)


ARROWS = 8  # in a fill of an explanation


@dataclass(frozen=True)
class Explained(Shown):
    """A fill coloured by where it comes from, with arrows from places that it was copied from."""

    def part(self, box: sheet.Box, width: int) -> Image.Image:
        """As of `Shown`."""
        drawn = super().part(box, width)
        scale = drawn.width / (box.right - box.left)
        places = arrows(self.completion.origins, ARROWS).astype(np.float64) - [box.top, box.left, box.top, box.left]
        return sheet.arrowed(drawn, places * scale)

    def strip(self, box: Box, factor: int) -> Image.Image:
        """As of `Shown`; shares and hole are means of the same blocks."""
        drawn = super().strip(box, factor)
        share, hole = self.completion.copied(box), self.completion.hole[box.part].astype(np.float32)
        copied, filled = (
            np.asarray(cv2.resize(x, drawn.size, interpolation=cv2.INTER_AREA), np.float32) for x in (share, hole)
        )
        return sheet.origins(drawn, copied / np.maximum(filled, np.float32(1e-6)), filled)


def _before(photo: photos.Photo, hole: NDArray[np.bool_]) -> Shown:
    return Shown(Completion(photo, 0, None, hole))


def _title(sidecar: Sidecar) -> str:
    fills = f"{len(sidecar.fills)} fill{'s' if len(sidecar.fills) != 1 else ''}"
    name = PurePosixPath(sidecar.photo.file).name
    return f"{name} · {sidecar.width}x{sidecar.height} · {sidecar.model.name} · {fills} in {sidecar.seconds:.1f} s"


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
