"""The fills of one photo: a sequence, best first, that shows itself in a notebook and saves itself to a folder."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manyfill import photos, sheet
from manyfill.boxes import Box
from manyfill.completer.completion import Completion, uncertainty
from manyfill.errors import ManyfillError

STRIP = 320  # pixels: width of a fill in a notebook's strip
ALONE = 1024  # pixels: width of a fill that is shown alone


class Fills(Sequence[Completion]):
    """Finished fills of one photo and hole, best first."""

    def __init__(self, fills: Iterable[Completion]) -> None:
        self._fills = tuple(fills)

    def __len__(self) -> int:
        return len(self._fills)

    @overload
    def __getitem__(self, index: int) -> Completion: ...
    @overload
    def __getitem__(self, index: slice) -> Fills: ...
    def __getitem__(self, index: int | slice) -> Completion | Fills:
        return Fills(self._fills[index]) if isinstance(index, slice) else self._fills[index]

    def __repr__(self) -> str:
        return f"Fills({', '.join(map(repr, self._fills))})"

    def _repr_html_(self) -> str:
        """A strip of pictures for notebooks."""
        figures = []
        for rank, fill in enumerate(self._fills, start=1):
            data = base64.b64encode(_encoded(small(fill, STRIP))).decode()
            text = html.escape(f"{rank} · {label(fill)}")
            figures.append(
                f'<figure style="margin:0"><img alt="{text}" title="{text}" style="width:100%;max-width:{STRIP}px" '
                f'src="data:image/png;base64,{data}"><figcaption style="font-size:small">{text}</figcaption></figure>'
            )
        columns = f"repeat(auto-fill,minmax(min(100%,{STRIP // 2}px),{STRIP}px))"
        return f'<div style="display:grid;gap:8px;grid-template-columns:{columns}">{"".join(figures)}</div>'

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of `Completion.notes`; they are the same for all fills of a photo."""
        return self._fills[0].notes if self._fills else ()

    @property
    def uncertainty(self) -> NDArray[np.float32]:
        """Where the fills disagree: (H,W) in [0,1], 0 outside the hole."""
        return uncertainty(self._fills)

    def sheet(self, *, title: str = "") -> Image.Image:
        """The contact sheet: photo, hole, fills."""
        if not self._fills:
            raise ManyfillError("there are no fills here to show.")
        first = self._fills[0]
        before = Shown(Completion(first.source, 0, None, first.hole))
        shown = [Shown(fill) for fill in self._fills]
        return sheet.contact_sheet(before, first.hole, shown, title=title, labels=[label(fill) for fill in self._fills])

    def save(self, folder: str | Path, *, format: str = "same", quality: int | None = None) -> list[Path]:
        """Write every fill into a folder, as PHOTO_1, PHOTO_2 ..., best first; the folder is made where it is missing.

        `format`: "same" is the photo's own; else "png", "jpeg", "webp", "tiff". Returns the files' paths.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for rank, fill in enumerate(self._fills, start=1):
            path = fill.source.path
            stem = "fill" if path is None else Path(path).stem
            kind = {"jpg": "jpeg", "tif": "tiff"}.get(format, format)
            suffix = fill.source.suffix if kind == "same" else {"jpeg": ".jpg"}.get(kind, f".{kind}")
            written.append(fill.save(folder / f"{stem}_{rank}{suffix}", format=kind, quality=quality))
        return written


def label(fill: Completion) -> str:
    """Seed and score, for people."""
    return f"seed {fill.seed}" + ("" if fill.score is None else f" · score {fill.score:.3f}")


def small(fill: Completion, width: int) -> Image.Image:
    """The fill in 8 bits, at most twice as wide as this."""
    picture = Shown(fill).part(sheet.Box(0, 0, *fill.hole.shape), width)
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) // 257).astype(np.uint8))
    return picture if picture.width <= width else picture.resize(
        (width, max(1, round(picture.height * width / picture.width))), Image.Resampling.BOX
    )  # fmt: skip


def png(fill: Completion) -> bytes:
    """The fill as a notebook shows it alone."""
    return _encoded(small(fill, ALONE))


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Shown:
    """A fill for a sheet, a part at a time: four of 48 MP would be as many as 0.8 GB as pictures."""

    completion: Completion

    @property
    def width(self) -> int:
        """Columns."""
        return self.completion.source.width

    @property
    def height(self) -> int:
        """Rows."""
        return self.completion.source.height

    def part(self, box: sheet.Box, width: int) -> Image.Image:
        """Means of blocks, as whole as they come: what is left over at the right and below is not shown."""
        factor = max(1, (box.right - box.left) // max(1, 2 * width))
        rows, columns = (box.bottom - box.top) // factor, (box.right - box.left) // factor
        parts = []
        step = max(1, 2**20 // (columns * factor * factor))  # rows of the picture
        for top in range(0, rows, step):
            count = min(step, rows - top)
            parts.append(self.strip(Box(box.top + top * factor, box.left, count * factor, columns * factor), factor))
        if len(parts) == 1:
            return parts[0]
        whole = Image.new(parts[0].mode, (columns, rows))
        for number, part in enumerate(parts):
            whole.paste(part, (0, number * step))
        return whole

    def strip(self, box: Box, factor: int) -> Image.Image:
        """A part whose sides are multiples of the factor, at 1/factor."""
        source = self.completion.source
        alpha = None if source.alpha is None else source.alpha[box.part]
        strip = photos.to_pil(replace(source, pixels=self.completion.pixels(box), alpha=alpha))
        return strip.reduce(factor) if factor > 1 else strip
