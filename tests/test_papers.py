"""docs/papers.md: each element of the papers names a file and a test that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (?P<element>.+) \| `(?P<file>[^`]+)` \| `(?P<test>[^`:]+)::(?P<name>\w+)` \|$")


def test_each_row_names_a_file_and_a_test_that_are_there() -> None:
    lines = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| element")]
    assert len(rows) > 40
    for row in rows:
        found = ROW.match(row)
        assert found is not None, row
        assert (ROOT / found["file"]).is_file(), row
        assert f"def {found['name']}(" in (ROOT / found["test"]).read_text(encoding="utf-8"), row
