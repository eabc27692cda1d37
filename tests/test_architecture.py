"""The plan of the house (docs/design.md) holds: direction of imports, cheap start, vocabulary, packaging."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import manyfill
from manyfill.options import FillOptions
from manyfill.zoo import AUTO

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "manyfill"
HEAVY = {"torch", "numpy", "PIL", "cv2", "safetensors", "scipy", "openvino", "fastapi", "onnx", "ray", "accelerate"}


def imported_by(*arguments: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded when it has run `python ARGUMENTS`, and exits with 0."""
    command = [sys.executable, "-X", "importtime", *arguments]
    environment = {**os.environ, "COLUMNS": "120", "TERM": "dumb"}
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, env=environment)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 0, "\n".join(said)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_imports_go_downwards_only() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "import manyfill; manyfill.__version__; dir(manyfill); manyfill.load; manyfill.complete"),
        ("-m", "manyfill", "--help"),
        ("-m", "manyfill", "--version"),
        ("-m", "manyfill", "complete", "--help"),
        ("-m", "manyfill", "models", "--help"),
        ("-m", "manyfill", "masks", "--help"),
        ("-m", "manyfill", "import", "--help"),
        ("-m", "manyfill", "replay", "--help"),
        ("-m", "manyfill", "serve", "--help"),
        ("-m", "manyfill", "compare", "attention", "--help"),
    ],
    ids=" ".join,
)
def test_what_needs_no_picture_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = imported_by(*arguments)
    assert "manyfill" in modules
    assert not modules & HEAVY


def test_no_module_is_called_after_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "base", "types", "manager", "misc", "core"}
    names = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert not {name for name in names if vague & set(name.removesuffix(".py").split("/"))}


def test_every_source_file_has_a_test_file_of_its_name() -> None:
    """nets/picnet.py: tests/test_picnet.py or tests/nets/test_picnet.py; small packages may share tests/test_cli.py."""
    tests = {path.name for path in (REPOSITORY / "tests").rglob("test_*.py")}
    sources = [path for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py", "errors.py")]
    untested = {
        path.relative_to(PACKAGE).as_posix()
        for path in sources
        if not tests & {f"test_{path.name}", f"test_{path.parent.name}.py", f"test_{path.parent.name}_{path.name}"}
    }
    assert not untested


def test_the_design_page_shows_every_module() -> None:
    page = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    tree = page[page.index("## 2. The tree") : page.index("## 3. ")]
    shown = set(re.findall(r"[├└] (\w+(?:\.py|/))", tree))
    there = {path.name for path in PACKAGE.glob("*.py")} | {path.parent.name + "/" for path in PACKAGE.glob("*/*.py")}
    assert there - {"__main__.py"} <= shown, "docs/design.md, section 2, misses a module"
    assert not {name for name in shown if not list(PACKAGE.rglob(name.rstrip("/")))}, "it shows one that is not there"


def test_the_design_page_names_every_file_of_a_room() -> None:
    page = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    tree = page[page.index("## 2. The tree") : page.index("## 3. ")]
    rooms = {block.partition("/")[0]: block for block in re.split(r"^[├└] ", tree, flags=re.MULTILINE)}
    missing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.glob("*/*.py")
        if path.name != "__init__.py" and not re.search(rf"\b{path.stem}\b", rooms.get(path.parent.name, ""))
    }
    assert not missing, "docs/design.md, section 2, does not name them in their room's lines"
    modules = page[page.index("## 7. The page") :]
    unnamed = {
        path.relative_to(PACKAGE).as_posix()
        for path in (PACKAGE / "server" / "page").glob("*.js")
        if not re.search(rf"`{path.stem}(\.js)?`", modules)
    }
    assert not unnamed, "docs/design.md, section 7, does not name them"


def test_names_of_the_package_resolve_on_first_use() -> None:
    for name in manyfill.__all__:
        assert getattr(manyfill, name) is not None
    assert set(manyfill.__all__) <= set(dir(manyfill))
    with pytest.raises(AttributeError, match="module 'manyfill' has no attribute 'inpaint'"):
        _ = manyfill.inpaint


def test_the_short_way_takes_what_the_long_way_takes() -> None:
    def options(function: Callable[..., Any]) -> dict[str, Any]:
        parameters = inspect.signature(function).parameters
        return {name: one.default for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}

    short, long = options(manyfill.complete), options(manyfill.Completer.complete)
    assert {name: short[name] for name in long} == long
    assert set(short) - set(long) == {"model", "device", "engine"}
    assert {**dataclasses.asdict(FillOptions()), "progress": None} == long
    assert short["model"] == AUTO
    assert inspect.signature(manyfill.load).parameters["name_or_path"].default == AUTO
    assert options(manyfill.load) == options(manyfill.Completer.from_pretrained)


def test_dependencies_say_why_they_are_there() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    wanted = [line.strip() for line in block.splitlines() if line.startswith("    ")]
    assert len(wanted) > 10
    assert not [line for line in wanted if not re.fullmatch(r'"[^"]+",\s+# (\S+ ){1,}\S+', line)]


def test_the_plan_lists_the_layers_of_the_contract() -> None:
    contract = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.findall(r'^    "([^"]+)"', contract[contract.index("layers = [") :].split("]")[0], re.MULTILINE)
    plan = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    listed = plan[plan.index("## 3. Direction of imports") :].split("```")[1].split("\n")[1:-1]
    assert [re.sub(r"[()]", "", layer) for layer in layers if layer != "(__main__)"] == listed


def test_versions_agree() -> None:
    assert f"version: {manyfill.__version__}" in (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{manyfill.__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_wheel_holds_weights_samples_and_types(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    shipped = {"manyfill/py.typed"} | {
        path.relative_to(REPOSITORY).as_posix()
        for folder in ("models", "samples")
        for path in (PACKAGE / folder).rglob("*")
        if path.is_file()
    }
    assert shipped <= packed
    assert not {name for name in packed if name.startswith(("tests/", "docs/", "examples/")) or "__pycache__" in name}


def test_the_repository_names_no_machine() -> None:
    """Paths of one machine in a tracked text file would break everybody else's."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    words = [f"/{name}/" for name in ("root", "work")] + ["../" + "shared", "/" + "home/"]
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = REPOSITORY / name
        if not path.is_file() or path.stat().st_size > 2_000_000:
            continue
        text = path.read_bytes()
        if b"\0" in text:
            continue
        hits = [word for word in words if word.encode() in text]
        if hits:
            found[name] = hits
    assert not found, json.dumps(found, indent=1)
