"""How much of a photo is decoded, changed or encoded at a time."""

from __future__ import annotations

STRIP_BYTES = 1 << 20
