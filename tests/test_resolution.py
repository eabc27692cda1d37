"""Names of before mean what they meant."""

from __future__ import annotations

from manyfill import boxes, resolution, scaling, seams, windows


def test_every_name_is_that_of_its_new_room() -> None:
    rooms = [vars(room) for room in (boxes, windows, scaling, seams)]
    for name in resolution.__all__:
        assert any(room.get(name) is getattr(resolution, name) for room in rooms), name
