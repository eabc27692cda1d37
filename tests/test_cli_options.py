"""What the commands that load a model share."""

from __future__ import annotations

import os

import pytest

from manyfill.cli.options import load

WAITING = "OMP_WAIT_POLICY"


@pytest.mark.parametrize("own", [{}, {WAITING: "active"}, {"GOMP_SPINCOUNT": "1000"}])
def test_threads_wait_asleep_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, own: dict[str, str]
) -> None:
    for name in (WAITING, "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    load("telea")
    assert os.environ.get(WAITING) == own.get(WAITING, None if own else "passive")
