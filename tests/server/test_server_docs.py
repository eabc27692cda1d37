"""Every example of docs/serving.md is run against a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from serving import PHOTO, WHITE, Running, file_of

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photo.jpg").write_bytes(file_of(PHOTO, "JPEG"))
    (tmp_path / "hole.png").write_bytes(WHITE)
    region = np.zeros((40, 50), np.uint8)
    region[:, :25] = 255
    (tmp_path / "region.png").write_bytes(file_of(region))
    return tmp_path


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # short examples leave files to Python
@pytest.mark.parametrize("example", examples("python"), ids=["edit", "stream", "iopaint"])
def test_the_python_examples_run(
    server: Running, folder: Path, example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    exec(compile(example.replace("http://127.0.0.1:8765", server.url), str(PAGE), "exec"), {})
    assert capsys.readouterr().out.count("\n") >= 1


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
def test_the_shell_examples_run(server: Running, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = []
    for example in examples("bash"):
        script = "set -euo pipefail\n" + example.replace("http://127.0.0.1:8765", server.url)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PATH": path},
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    urls, merged, operation = told
    assert [set(one) for one in json.loads(urls)["data"]] == [{"url", "preview_url", "seed", "score"}] * 2
    assert len(json.loads(merged)["data"]) == 1
    assert '"ready"' in operation and "manyfill_queue_waiting 0.0" in operation


def test_every_route_of_the_server_is_on_the_page(server: Running) -> None:
    page = PAGE.read_text(encoding="utf-8")
    paths = {path.partition("/{")[0] for path in server.get("/openapi.json").json()["paths"]}
    assert not {path for path in paths - {"/api/v1/samplers"} if path not in page}
    fields = server.get("/openapi.json").json()["paths"]["/v1/images/edits"]["post"]["requestBody"]["content"]
    names = fields["multipart/form-data"]["schema"]["properties"]
    assert not {name for name in names if name not in page}
