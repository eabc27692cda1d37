"""What to fill and how, as one value that checks itself: the command line, Python, servers and jobs all pass it on."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import BadMask, ManyfillError, TooLarge

MOST_FILLS = 64  # per call
MOST_SEED = 2**63 - 1
POLARITIES = ("white", "black", "alpha")
TEXTURES = ("auto", "net", "photo")


@dataclass(frozen=True, kw_only=True)
class FillOptions:
    """How one photo's hole is filled.

    Raises ManyfillError for a value that makes no sense: BadMask for `polarity`, TooLarge for too many fills.
    """

    n: int = 1  # fills, best first
    seed: int = 0  # 0 .. 2^63 - 1, of the first fill; the next ones count up
    polarity: str = "white"  # what means "fill" in the mask: white, black, alpha (transparent), or a colour: "#ff00ff"
    grow: int = 0  # pixels to enlarge the hole by
    band: int = 0  # the blend may change known pixels this near the hole; 0 keeps all of them exact
    diversity: float = 1.0  # 0, the single most likely fill, .. 2
    near: int | None = None  # a fill's seed: fills that resemble that one
    step: float = 0.5  # how far they may differ from it: 0, that fill, .. 1, any fill
    texture: str | float = "auto"  # how much detail is the photo's own patches: "auto", "net" (0), "photo" (1), 0 .. 1
    max_memory: int | None = None  # bytes that the process may hold; None: half of the free memory more
    strict: bool = False  # refuse a photo or mask that is cut off near its end, instead of noting it
    keep_video: bool = False  # of a motion photo, behind JPEG fills; it still shows what was removed
    extend: str | None = None  # a larger canvas, its border filled: "top,right,bottom,left" in pixels or per cent
    extend_to: str | None = None  # or as much as makes this shape: "16:9", width to height

    def __post_init__(self) -> None:
        """Check each value; numbers of numpy become Python's, so that they can be written as JSON."""
        n = self._whole("n")
        if n < 1:
            raise ManyfillError(f"n is {n}; ask for at least one fill.")
        if n > MOST_FILLS:
            raise TooLarge(
                f"n is {n}; at most {MOST_FILLS} fills per call. Call again with seed={MOST_FILLS} for more."
            )
        for name in ("seed", "near"):
            if getattr(self, name) is not None and not 0 <= self._whole(name) <= MOST_SEED:
                raise ManyfillError(f"{name} is {getattr(self, name)}; expected 0 to {MOST_SEED}.")
        if self.seed is None:
            raise ManyfillError("seed is None; expected a whole number.")
        if self._whole("grow") < 0 or self._whole("band") < 0:
            raise ManyfillError(f"grow is {self.grow} and band {self.band}; both are pixels and cannot be negative.")
        if not 0 <= self._number("diversity") <= 2:
            raise ManyfillError(f"diversity is {self.diversity}; expected 0 (the most likely fill) to 2 (the wildest).")
        if not 0 <= self._number("step") <= 1:
            raise ManyfillError(f"step is {self.step}; expected 0 (the same fill) to 1 (as different as any other).")
        if self.texture not in TEXTURES and (isinstance(self.texture, str) or not 0 <= self._number("texture") <= 1):
            raise ManyfillError(
                f"texture is {self.texture!r}; expected 'auto', 'net', 'photo' or a number from 0 to 1."
            )
        if self.max_memory is not None and self._whole("max_memory") < 1:
            raise TooLarge(f"max_memory is {self.max_memory}; expected bytes, such as {4 << 30} for 4 GiB.")
        for name in ("strict", "keep_video"):
            if not isinstance(getattr(self, name), bool):
                raise ManyfillError(f"{name} is {getattr(self, name)!r}; expected True or False.")
        if not isinstance(self.polarity, str) or not (self.polarity.startswith("#") or self.polarity in POLARITIES):
            raise BadMask(
                f"mask polarity is {self.polarity!r}; expected 'white', 'black', 'alpha' or a colour such as '#ff00ff'"
                " (what the hole looks like)."
            )
        if self.polarity.startswith("#"):
            parse_colour(self.polarity)
        if self.extend is not None:
            object.__setattr__(self, "extend", read_margins(self.extend))
        if self.extend_to is not None:
            object.__setattr__(self, "extend_to", read_shape(self.extend_to))
        if self.extend is not None and self.extend_to is not None:
            raise ManyfillError("extend and extend_to both say how large the canvas is to be. Give one.")

    @property
    def extends(self) -> bool:
        """Whether the canvas is enlarged."""
        return self.extend is not None or self.extend_to is not None

    def strength(self, default: str) -> float:
        """`texture` as a number; `default` is what "auto" means for the model: "net" or "photo"."""
        texture = default if self.texture == "auto" else self.texture
        return {"net": 0.0, "photo": 1.0}[texture] if isinstance(texture, str) else texture

    def _whole(self, name: str) -> int:
        value: Any = getattr(self, name)
        try:
            number = operator.index(value)
        except TypeError:
            raise ManyfillError(f"{name} is {value!r}; expected a whole number.") from None
        object.__setattr__(self, name, number)
        return number

    def _number(self, name: str) -> float:
        value: Any = getattr(self, name)
        if isinstance(value, int | float):  # 1 stays 1: it is written into sidecars, and hashed
            return float(value)
        try:
            number = float("not a number" if isinstance(value, str) else value)
        except (TypeError, ValueError):
            raise ManyfillError(f"{name} is {value!r}; expected a number.") from None
        object.__setattr__(self, name, number)
        return number


def other_size(name: str, mask: tuple[int, int], photo: tuple[int, int]) -> BadMask:
    """The error for a mask of another size than its photo; both (height, width), shown as people say it: W x H."""
    theirs, ours = (f"{width}x{height}" for height, width in (mask, photo))
    what = "Rotate or resize" if mask == photo[::-1] else "Resize"
    return BadMask(f"{name} is {theirs} but the photo is {ours} (width x height). {what} the mask.")


def parse_colour(text: str) -> tuple[float, float, float]:
    """`#ff00ff` or `#f0f` as RGB in [0,1]. Raises BadMask for anything else."""
    if re.fullmatch(r"#([0-9a-fA-F]{3}){1,2}", text) is None:
        raise BadMask(f"{text!r} is not a colour; expected six hexadecimal digits, such as '#ff00ff'.")
    digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
    red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return red, green, blue


# ── a larger canvas ───────────────────────────────────────────────────────────────────────────────────────────────────


class Margins(NamedTuple):
    """Pixels by which a canvas is larger than its photo, in the order of CSS."""

    top: int
    right: int
    bottom: int
    left: int

    def around(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the canvas of a photo of that size."""
        return height + self.top + self.bottom, width + self.left + self.right


def read_margins(value: Any) -> str:
    """`extend` as one text: "0,25%,0,25%", from such a text, one number for all sides, or four numbers and texts.

    Raises ManyfillError for anything else.
    """
    parts = value.split(",") if isinstance(value, str) else [value] * 4 if isinstance(value, int) else value
    try:
        texts = [str(operator.index(each)) if not isinstance(each, str) else each.strip() for each in parts]
    except TypeError:
        texts = []
    if len(texts) == 1:
        texts = texts * 4
    if len(texts) != 4 or any(re.fullmatch(r"\d{1,6}(px)?|\d{1,4}(\.\d{1,6})?%", each) is None for each in texts):
        raise ManyfillError(
            f"extend is {value!r}; expected top,right,bottom,left in pixels or per cent of the photo, such as"
            " 0,25%,0,25%, or one for all sides."
        )
    return ",".join(each.removesuffix("px") for each in texts)


def read_shape(value: Any) -> str:
    """`extend_to` as a text: "16:9", width to height. Raises ManyfillError."""
    found = re.fullmatch(r"\s*(\d{1,5}(?:\.\d{1,4})?)\s*[:x/]\s*(\d{1,5}(?:\.\d{1,4})?)\s*", str(value))
    if found is None or not float(found[1]) or not float(found[2]):
        raise ManyfillError(f"extend_to is {value!r}; expected a shape, width to height, such as 16:9.")
    return f"{found[1]}:{found[2]}"


def margins(options: FillOptions, height: int, width: int) -> Margins:
    """By how much the canvas of a photo of that size is enlarged."""
    if options.extend is not None:
        sides = options.extend.split(",")
        along = (height, width, height, width)
        return Margins(
            *(
                round(float(side[:-1]) / 100 * length) if side.endswith("%") else int(side)
                for side, length in zip(sides, along, strict=True)
            )
        )
    if options.extend_to is not None:
        across, down = map(float, options.extend_to.split(":"))
        more_width = max(0, round(height * across / down) - width)
        more_height = max(0, round(width * down / across) - height)
        top, left = more_height // 2, more_width // 2
        return Margins(top, more_width - left, more_height - top, left)
    return Margins(0, 0, 0, 0)
