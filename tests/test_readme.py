"""What the README shows runs as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyfill.cli import run

REPOSITORY = Path(__file__).parent.parent
ENGLISH = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CHINESE = (REPOSITORY / "README.zh-CN.md").read_text(encoding="utf-8")

# Not run here: installing, fetching, a training run, and checkpoints that only their authors may hand out.
ELSEWHERE = ("pip ", "git ", "make ", "manyfill train ", "manyfill serve", "manyfill import ", "manyfill fetch ")
ELSEWHERE += ("mine.safetensors", "runs/mine", "pluralistic-migan")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Every shell line, then every command that a sentence names in full; without its comment."""
    lines = [line.partition(" #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    lines += re.findall(r"`(manyfill replay [^`]*)`", page)
    return [line for line in lines if line]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photos and masks that the README's examples name."""
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))  # 96 x 128
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[30:60, 40:80] = 255
    for folder in ("photos", "masks", "examples/photos"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("farm.jpg", "farm_hole.png"):
        shutil.copy(REPOSITORY / "examples/photos" / name, tmp_path / "examples/photos")
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        Image.fromarray(pixels).save(tmp_path / name)
    for name in ("hole.png", "masks/a.png", "masks/b.png"):
        Image.fromarray(mask).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_shell_lines_of_the_readme_run(desk: Path) -> None:
    for line in commands(ENGLISH):
        if any(word in line for word in ELSEWHERE):
            continue
        line = line.replace("--count 100 --size 512", "--count 3 --size 64")
        line = re.sub(r"-n \d+", "-n 2", line)  # the same, sooner
        assert run(shlex.split(line)[1:]) == 0, line
    assert (desk / "photo_filled.jpg").is_file()
    assert len(list((desk / "fills").glob("photo_[12].jpg"))) == 2
    assert (desk / "again" / "photo_1.jpg").read_bytes() == (desk / "fills" / "photo_1.jpg").read_bytes()


def test_the_python_lines_of_the_readme_run(desk: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(ENGLISH, "python"):
        exec(compile(block, "README.md", "exec"), names)
    assert (desk / "out.jpg").is_file()
    assert np.shape(names["heat"]) == (96, 128)


def test_both_languages_show_the_same_commands() -> None:
    def code(page: str) -> list[str]:
        lines = commands(page)
        lines += [line.partition("#")[0].strip() for block in blocks(page, "python") for line in block.splitlines()]
        return lines

    assert code(ENGLISH) == code(CHINESE)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md"])
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    page = REPOSITORY / name
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]
