"""`tools/gpu_day.py`: the commands that it prints, given one after the other, on this machine's CPU."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tooling
from PIL import Image

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists() or os.name == "nt", reason="needs git's archive and bash")


@pytest.fixture
def gpu_day() -> ModuleType:
    return tooling.load("gpu_day")


def shard(path: Path) -> Path:
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for index in range(3):
            out = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (80, 96, 3), np.uint8)).save(out, "PNG")
            member = tarfile.TarInfo(f"{index}.png")
            member.size = out.tell()
            tar.addfile(member, io.BytesIO(out.getvalue()))
    return path


def test_the_printed_commands_train_and_a_second_machine_goes_on(
    gpu_day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "day"

    def commands(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["gpu_day.py", str(folder), *arguments])
        gpu_day.main()
        return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]

    def run(lines: list[str], machine: str) -> dict[str, str]:
        """What comes back of the last command; each begins with an empty folder."""
        out = tmp_path / f"out-{machine}"
        for line in lines:
            out.mkdir(exist_ok=True)
            for old in out.iterdir():
                old.unlink()
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
            environment = {**os.environ, "GPU_DAY": str(tmp_path / machine), "OUT": str(out), "PATH": path}
            done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        return {path.name: str(path) for path in out.iterdir()}

    data = str(shard(tmp_path / "a.tar"))  # 70 kB
    lines = commands(
        "--recipe", "tiny", "--data", data, "--device", "cpu", "--images", "4", "--minutes", "1", "--part", "0.03"
    )
    assert (
        len(lines) == 5
        and lines[0].startswith("bash day/stage.sh parts/01")
        and lines[-2].startswith("bash day/train.sh 1")
    )
    assert max(path.stat().st_size for path in (folder / "parts").rglob("*.[0-9][0-9]")) <= round(0.03 * 2**20)
    assert not list(folder.rglob("*.safetensors")) and (folder / "code/manyfill/recipes.py").is_file()
    back = run(lines[:-1], "first")
    assert set(back) == {"log.txt", "stats.jsonl", "model.safetensors.00"}
    assert "000000000004.pt: 1 pieces, all of them by: bash fetch.sh checkpoint 0" in Path(back["log.txt"]).read_text()
    assert set(run(lines[-1:], "first")) == {"stats.jsonl", "000000000004.pt.00"}

    script = folder / "train.sh"
    script.write_text(script.read_text().replace("--images 4", "--images 8"))
    back = run(commands("--resume", str(tmp_path / "out-first"), "--minutes", "1")[:-1], "second")
    seen = [json.loads(line)["images_seen"] for line in Path(back["stats.jsonl"]).read_text().splitlines()]
    assert seen[0] <= 4 and seen[-1] == 8
    assert "nothing to do" not in Path(back["log.txt"]).read_text()


def test_a_part_that_was_not_brought_is_named(
    gpu_day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shard(tmp_path / "a.tar")
    monkeypatch.setattr(sys, "argv", ["gpu_day.py", str(tmp_path / "day"), "--recipe", "tiny", "--data", str(data)])
    gpu_day.main()
    environment = {**os.environ, "GPU_DAY": str(tmp_path / "machine"), "OUT": str(tmp_path)}
    done = subprocess.run(["bash", "day/train.sh", "1"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0 and "data/a.tar is not whole" in done.stderr and "stage.sh parts/" in done.stderr
