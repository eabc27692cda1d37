"""What several commands read alike: models, sizes, texture; and what can be seen to be wrong before torch is loaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from manyfill import fetchables, zoo
from manyfill.cli import console
from manyfill.errors import BadImage, BadMask, BadWeights, ManyfillError, TooLarge
from manyfill.fillers import FILLERS

if TYPE_CHECKING:
    from manyfill.completer import Completer


def model_names() -> list[str]:
    """Names that --model takes, for shells to complete."""
    return [*zoo.ZOO, *fetchables.models(), *FILLERS]


def check_model(model: str) -> None:
    """Raises what `Completer.from_pretrained` would raise for a name or file that is not there, but at once."""
    drawing = sys.modules.get("manyfill.completer.drawing")  # loaded only where a plug-in may have added drawers
    if model in FILLERS or (drawing is not None and model in drawing.DRAWERS):
        return
    file = zoo.file_of(model)
    if file is not None:
        if not file.is_file():
            raise BadWeights(f"there is no model file {file}.")
    elif model in fetchables.models():
        fetchables.path_of_model(model)
    else:
        zoo.find(model)


def check_pictures(photo: Path, mask: Path | None) -> None:
    """Raises what reading a photo and its mask would raise for a file that is no picture, or two that do not fit.

    Nothing is decoded. What only decoding tells is left to the reader itself.
    """
    sizes = []
    for path in (photo, mask):
        if path is None:
            return
        try:
            size = _size(path)
        except BadImage as error:
            raise error if path is photo else BadMask(f"mask {error}") from None
        if size is None:
            return
        sizes.append(size)
    if sizes[0] != sizes[1]:
        from manyfill.options import other_size

        raise other_size(f"mask {mask}", sizes[1], sizes[0])


def _size(path: Path) -> tuple[int, int] | None:
    """Height and width as it is shown, upright; None where only the reader itself can tell."""
    from manyfill import photos

    return photos.size_of(path)


def load(model: str, *, device: str = "auto", engine: str = "auto") -> tuple[Completer, Path | None]:
    """The completer of a model, and its weights file where it is not an installed model."""
    if "GOMP_SPINCOUNT" not in os.environ:
        # Torch's threads sleep between two layers. Else each spins for the next one, which on a busy machine takes
        # the processor from whoever has work to do: more than half of a small photo's CPU time (docs/engines.md).
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with console.status("loading the model"):
        from manyfill.completer import Completer

        completer = Completer.from_pretrained(model, device=None if device == "auto" else device, engine=engine)
    if model == zoo.AUTO and completer.name != zoo.DEFAULT:
        console.say(f"model: {completer.name}, as its trunk was fetched (--model {zoo.DEFAULT} for the other)")
    return completer, zoo.file_of(model)


def is_deterministic(completer: Completer) -> bool:
    """Whether the model has one answer only."""
    return not completer.varied


def parse_size(text: str, *, option: str = "--max-memory") -> int:
    """`4G`, `512M`, `1.5GB`, `2GiB` or plain bytes, as bytes; K, M, G, T are powers of 1024."""
    letters = text.strip().upper().removesuffix("B").removesuffix("I")
    power = "KMGT".find(letters[-1:]) + 1 if letters[-1:].isalpha() else 0
    try:
        size = int(float(letters[:-1] if letters[-1:].isalpha() else letters) * 1024**power)
        if size <= 0 or (letters[-1:].isalpha() and power == 0):
            raise ValueError
    except (ValueError, OverflowError):
        raise TooLarge(f"{option} {text!r} is not a size. Write it as 4G or 512M.") from None
    return size


def parse_texture(text: str) -> str | float:
    """`auto`, `net`, `photo`, or a number from 0 (net) to 1 (photo)."""
    if text in ("auto", "net", "photo"):
        return text
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ManyfillError(f"--texture is {text!r}; expected auto, net, photo or a number from 0 to 1.")
    return share
