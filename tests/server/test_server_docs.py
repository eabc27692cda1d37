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
            timeout=180,
            env={**os.environ, "PATH": path},
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    urls, merged, operation = told
    assert [set(one) for one in json.loads(urls)["data"]] == [{"url", "preview_url", "seed", "score"}] * 2
    assert len(json.loads(merged)["data"]) == 1
    assert '"ready"' in operation and "manyfill_queue_waiting 0.0" in operation


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    (unit,) = examples("ini")
    command = "/opt/manyfill/bin/manyfill"
    assert unit.count(command) == 1
    file = tmp_path / "manyfill.service"
    file.write_text(unit.replace(command, str(Path(sys.executable).parent / "manyfill")))  # it has to be there
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_dockerfile_starts_what_the_page_says() -> None:
    text = (PAGE.parents[1] / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    words = {line.split()[0] for line in lines}
    assert words <= {
        "FROM",
        "ARG",
        "ENV",
        "WORKDIR",
        "RUN",
        "COPY",
        "USER",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
    }
    user = next(line for line in lines if line.startswith("USER "))
    assert user != "USER root" and lines.index(user) > max(lines.index(one) for one in lines if one.startswith("RUN"))
    allowed = (PAGE.parents[1] / ".dockerignore").read_text(encoding="utf-8").split()
    copied = {name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]}
    assert {f"!{name}" for name in copied} <= set(allowed) and all((PAGE.parents[1] / name).exists() for name in copied)
    check = json.loads(next(line for line in lines if line.startswith("HEALTHCHECK")).partition("CMD ")[2])
    assert "/healthz" in check[-1] and check[:2] == ["python", "-c"]
    compile(check[-1], "HEALTHCHECK", "exec")
    entry = json.loads(next(line for line in lines if line.startswith("ENTRYPOINT")).partition(" ")[2])
    assert entry[:2] == ["manyfill", "serve"]


def test_every_route_of_the_server_is_on_the_page(server: Running) -> None:
    page = PAGE.read_text(encoding="utf-8")
    paths = {path.partition("/{")[0] for path in server.get("/openapi.json").json()["paths"]}
    assert not {path for path in paths - {"/api/v1/samplers"} if path not in page}
    fields = server.get("/openapi.json").json()["paths"]["/v1/images/edits"]["post"]["requestBody"]["content"]
    names = fields["multipart/form-data"]["schema"]["properties"]
    assert not {name for name in names if name not in page}
