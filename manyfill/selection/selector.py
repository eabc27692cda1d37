"""All kinds of selections together: what is wanted, found in a photo."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manyfill import masks, photos
from manyfill.boxes import Bools
from manyfill.checking import Check, go_on
from manyfill.errors import BadMask
from manyfill.photos import Photo
from manyfill.selection import sam as sams
from manyfill.selection.asked import Point, Selection
from manyfill.selection.cut import cut
from manyfill.selection.dust import find_dust
from manyfill.selection.sam import Sam
from manyfill.selection.shapes import feathered, grown, refined, rim
from manyfill.selection.text import find_text

# Shares of the photo's longer side that a selection is grown by, so that rims and shadows go, too.
OBJECT_RIM, TEXT_RIM, DUST_RIM, COLOUR_RIM = 0.006, 0.002, 0.0006, 0.003


@dataclass(frozen=True, eq=False)
class Selected:
    """What was found."""

    hole: NDArray[np.bool_]  # (H,W), True = fill
    notes: tuple[str, ...]  # how, for people


class Selector:
    """Selects in photos. Models are loaded once, and a photo is looked at once, whatever is then clicked in it."""

    def __init__(self, load: Callable[[], Sam | None] = sams.available) -> None:
        self._load = load
        self._sam: Sam | None = None
        self._lock = threading.Lock()

    def select(self, photo: Photo, wanted: Selection, *, check: Check = go_on) -> Selected:
        """What is wanted, united. Raises BadMask where it lies outside the photo or nothing is found.

        `check()` is called between small steps of the work; what it raises ends it and comes out.
        """
        wanted.check_inside(photo.height, photo.width)
        hole = np.zeros((photo.height, photo.width), bool)
        notes: list[str] = []
        if wanted.of_object:
            hole |= self._grown(self._object(photo, wanted, notes, check), wanted, OBJECT_RIM, check)
        if wanted.text:
            found = find_text(photo.pixels, check=check)
            if not found.any():
                raise BadMask("no text was found in the photo. Mark it by --box, or by a mask.")
            hole |= self._grown(found, wanted, TEXT_RIM, check)
        if wanted.dust:
            found = find_dust(photo.pixels, check=check)
            if not found.any():
                raise BadMask("no dust and no scratches were found in the photo. Mark them by --click, or by a mask.")
            hole |= self._grown(found, wanted, DUST_RIM, check)
        if wanted.colour is not None:
            found = masks.read_hole(photo, polarity=wanted.colour)
            if not found.any():
                raise BadMask(f"nothing in the photo has the colour {wanted.colour}. Look up the paint's exact colour.")
            hole |= self._grown(found, wanted, COLOUR_RIM, check)
        if not hole.any():
            raise BadMask("nothing is left of the selection. Shrink it less: --grow.")
        return Selected(hole, tuple(notes))

    def _object(self, photo: Photo, wanted: Selection, notes: list[str], check: Check) -> Bools:
        sam = self._sam_once()
        if sam is not None:
            found = refined(photo.pixels, sam.select(photo.pixels, wanted), check=check)
            notes.append("Selected by SAM.")
        else:
            found = refined(photo.pixels, cut(photo.pixels, wanted, check=check), check=check)
            notes.append(f"Selected by GrabCut; {sams.missing() or 'SAM is not used here'}.")
        if not found.any():
            raise BadMask(
                "no object was found there. Click in its middle, add a second click, or draw a box around it."
            )
        return found

    def _grown(self, found: Bools, wanted: Selection, share: float, check: Check) -> Bools:
        pixels = rim(max(found.shape), share) if wanted.grow is None else wanted.grow
        return grown(found, pixels, check=check)

    def _sam_once(self) -> Sam | None:
        with self._lock:
            if self._sam is None:  # it may be fetched while a server runs
                self._sam = self._load()
            return self._sam


_SELECTOR = Selector()


def find(photo: Photo, wanted: Selection, *, check: Check = go_on) -> Selected:
    """What is wanted, by this process's one Selector: SAM is loaded once, whoever asks. As its `select`."""
    return _SELECTOR.select(photo, wanted, check=check)


def as_mask(hole: Bools, *, feather: int = 0) -> bytes:
    """A selection as a PNG: white = fill, soft over `feather` pixels on either side of its edge."""
    _, data = cv2.imencode(".png", feathered(hole, feather))
    return data.tobytes()


def select(
    photo: Any,
    *,
    clicks: tuple[Point, ...] | list[Point] = (),
    keep: tuple[Point, ...] | list[Point] = (),
    scribbles: Any = (),
    box: tuple[int, int, int, int] | None = None,
    text: bool = False,
    dust: bool = False,
    colour: str | None = None,
    grow: int | None = None,
) -> NDArray[np.bool_]:
    """What is to go in a photo, as a mask (H,W), True = fill, for `complete`.

    `photo`: path, bytes, PIL image, array or tensor. `clicks`: points (x, y) of an object, `keep` of what stays,
    `scribbles` lines of such points, `box` left, top, right, bottom around it. `text`: all writing. `dust`: dust and
    scratches of a scan. `colour`: what was painted, as "#ff00ff". What is named together is united. `grow`: pixels to
    enlarge by, negative shrinks; None: enough for rims and shadows. Raises BadMask where nothing is found.
    """
    wanted = Selection(
        clicks=tuple(clicks),
        keep=tuple(keep),
        scribbles=tuple(map(tuple, scribbles)),
        box=box,
        text=text,
        dust=dust,
        colour=colour,
        grow=grow,
    )
    return find(photos.read(photo), wanted).hole
