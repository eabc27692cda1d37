"""The documentation site: its navigation, and what its two extensions make of a page and of a field."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tooling
import yaml
from mkdocs.config import load_config

REPOSITORY = Path(__file__).parent.parent
DOCS = REPOSITORY / "docs"


def leaves(nav: Any) -> Iterator[str]:
    """The pages that a navigation names, in its order."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(part)


def test_the_navigation_names_every_page_once_and_no_other() -> None:
    named = list(leaves(load_config(str(REPOSITORY / "mkdocs.yml"))["nav"]))
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def test_the_first_page_leads_to_every_other() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)\)", (DOCS / "index.md").read_text(encoding="utf-8")))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"index.md"}


def test_every_name_of_the_reference_exists() -> None:
    names = re.findall(r"^::: ([\w.]+)$", (DOCS / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 20
    for name in names:
        pkgutil.resolve_name(name)


def test_a_link_out_of_the_docs_leads_into_the_repository_or_is_text(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    replaced = tooling.load("docs_links").replaced
    page = "See [`a`](../src/a.py#L3), [src](../src), [b](b.md), ![c](../src/a.py) and [gone](../src/gone.py)."
    kept = "[b](b.md), ![c](../src/a.py) and [gone](../src/gone.py)."  # the strict build fails at the last two
    assert replaced(page, tmp_path / "docs", tmp_path, "") == f"See `a`, src, {kept}"
    host = "https://host.example/it"
    linked = f"See [`a`]({host}/blob/main/src/a.py#L3), [src]({host}/tree/main/src), {kept}"
    assert replaced(page, tmp_path / "docs", tmp_path, f"{host}/") == linked


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("    n: int = 1  # fills, best first", "fills, best first"),
        ('    colour: str = "#ff00ff"', ""),
        ('    colour: str = "#ff00ff"  # of "#rrggbb"', 'of "#rrggbb"'),
        ("    x = old  # type: ignore[misc]", ""),
        ("    ),  # the end of a longer one", ""),
    ],
)
def test_a_field_is_described_by_its_comment(line: str, text: str) -> None:
    assert tooling.load("docs_fields").comment(line) == text


def test_the_public_ci_begins_with_the_oldest_python_that_the_package_claims() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    pythons = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    claimed = re.search(r'requires-python = ">=3\.(\d+)"', (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert claimed is not None
    assert pythons == [f"3.{minor}" for minor in range(int(claimed[1]), int(claimed[1]) + len(pythons))]


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_the_workflows_call_targets_and_files_that_exist(name: str) -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / name).read_text(encoding="utf-8"))
    runs = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = set(re.findall(r"^ *make ([a-z-]+)", runs, re.MULTILINE))
    assert called <= targets
    assert name != "ci.yml" or called >= {"lint", "docs", "demo"}
    files = re.findall(r"(?<![\w/$\"}])(?:tests|examples|manyfill)/[\w/]+(?:\.py)?", runs)
    assert files
    assert not [file for file in files if not (REPOSITORY / file).exists()]
