"""Complete the sample photos: four different fills each, best first, and one sheet of them all.

python examples/demo.py [OUT]        OUT is demo/ unless given
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from PIL import Image

import manyfill
from manyfill.sheet import contact_sheet

PHOTOS = Path(__file__).parent / "photos"
FILLS = 4


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    completer = manyfill.load()
    print(f"{completer.name} loaded in {time.perf_counter() - started:.1f} s")
    rows = []
    for path in sorted(PHOTOS.glob("*.jpg")):
        mask = path.with_name(f"{path.stem}_hole.png")
        started = time.perf_counter()
        fills = completer.complete(path, mask, n=FILLS, seed=0)
        seconds = time.perf_counter() - started
        for number, fill in enumerate(fills, 1):
            fill.save(out / f"{path.stem}_{number}.png")  # PNG: known pixels stay exact
        photo = Image.open(path)
        title = f"{path.stem}  {photo.width}x{photo.height}  {len(fills)} fills in {seconds:.1f} s"
        labels = [f"seed {fill.seed}" for fill in fills]
        rows.append(
            contact_sheet(photo, fills[0].hole, [fill.image for fill in fills], title=title, labels=labels, columns=6)
        )
        print(title)
    sheet = stack(rows)
    sheet.save(out / "sheet.png")
    print(f"photo | hole | fills, best first: {out / 'sheet.png'}")


def stack(rows: list[Image.Image]) -> Image.Image:
    """Rows of one width, one under the other."""
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), (250, 250, 248))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo"))
