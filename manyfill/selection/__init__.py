"""What is to go, found in the photo: an object from clicks, a scribble or a box; text; dust and scratches; a colour.

asked     what is wanted: Selection
selector  finds it: Selector
cut       an object without any weights: GrabCut
sam       an object by SAM, where it was fetched
text      all writing, by networks that are fetched
networks  runs what was fetched
dust      dust and scratches of a scan
shapes    outlines at the photo's edges; grown, shrunk, feathered

What only says what is wanted loads neither torch nor OpenCV: names are resolved on first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from manyfill.selection.asked import Point, Selection

if TYPE_CHECKING:
    from manyfill.selection.selector import Selected, Selector, as_mask, find, select

__all__ = ["Point", "Selected", "Selection", "Selector", "as_mask", "find", "select"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'manyfill.selection' has no attribute {name!r}")
    return getattr(import_module("manyfill.selection.selector"), name)
