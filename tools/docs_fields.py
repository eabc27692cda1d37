"""Extension of griffe, which reads our code for the API reference: a field's comment is its description.

`n: int = 1  # fills, best first` has no docstring, but says all that a reader needs.
"""

from __future__ import annotations

import io
import tokenize
from typing import Any

import griffe


class Fields(griffe.Extension):  # type: ignore[misc, unused-ignore]
    """Gives attributes without a docstring the comment at the end of their line, those of private names excepted."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Called for each attribute as it is read."""
        if attr.docstring is not None or attr.name.startswith("_") or attr.lineno is None or attr.endlineno is None:
            return
        text = comment(attr.lines_collection[attr.filepath][attr.endlineno - 1])
        if text:
            attr.docstring = griffe.Docstring(text, lineno=attr.lineno, endlineno=attr.endlineno, parent=attr)


def comment(line: str) -> str:
    """The comment at the end of a line of code, "" where there is none; `noqa` and types are none."""
    try:
        found = [t.string for t in tokenize.generate_tokens(io.StringIO(line).readline) if t.type == tokenize.COMMENT]
    except (tokenize.TokenError, IndentationError):  # a line of a longer expression
        return ""
    text = found[0].lstrip("# ") if found else ""
    return "" if text.startswith(("noqa", "type:")) else text
