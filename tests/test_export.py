"""The ONNX file: the torch picture at any size, in onnxruntime and in a browser; nothing is kept that differs."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import OURS, wake
from torch import nn

from manyfill import export as exporting
from manyfill import weights, zoo
from manyfill.cli import run
from manyfill.errors import ManyfillError
from manyfill.export import export
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.picnet import PICNet, PICNetConfig

pytest.importorskip("onnx", reason="onnx is not installed (the extra 'export')")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the extra 'export')")

REPOSITORY = Path(__file__).parent.parent
PAGE = (REPOSITORY / "docs" / "export.md").read_text(encoding="utf-8")

SMALL: dict[str, Any] = {"size": 32, "width": 4, "max_width": 8}
PICNETS: dict[str, Any] = {**SMALL, "latent": 4, "levels": 3, "scales": 2, "infer_blocks": 1}
CONFIGS: dict[str, Any] = {
    "picnet": PICNetConfig(**PICNETS),
    "flagship": PICNetConfig(**PICNETS, sees_hole=True, fusion_scales=2, instance_norm=False, alpha_channels=1),
    "noise": PICNetConfig(**PICNETS, sees_hole=True, fusion_scales=2, instance_norm=False, noise=True),
    "ours": PICNetConfig(**PICNETS, **OURS),
    "no attention": PICNetConfig(**PICNETS, attention="none"),
    "contextual": PICNetConfig(**PICNETS, attention="contextual"),
    "dfnet": DFNetConfig(**SMALL, kernels=(7, 5, 3), fusion_levels=(0, 1)),
    "deconv": DFNetConfig(**SMALL, kernels=(5, 3), fusion_levels=(0,), upsampling="deconv", alpha_channels=1),
    "bilinear": DFNetConfig(**SMALL, kernels=(5, 3), fusion_levels=(0, 1), upsampling="bilinear"),
}


def saved(folder: Path, config: Any) -> Path:
    """A model file whose attention is switched on and whose batch norms have seen something."""
    torch.manual_seed(0)
    net: nn.Module = PICNet(config) if isinstance(config, PICNetConfig) else DFNet(config)
    for name, tensor in net.state_dict().items():
        if name.endswith(("attention.gamma", "attention.alpha", "running_var")) or ".strengths." in name:
            tensor.fill_(0.7)
    wake(net)
    return weights.save(net, folder / "net.safetensors", metadata={"licence": "CC0-1.0"})


def metadata(session: Any) -> dict[str, str]:
    found: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return found


# ── the same picture ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(CONFIGS))
@torch.inference_mode()
def test_floats_are_the_torch_picture_at_any_multiple_of_any_batch(tmp_path: Path, name: str) -> None:
    model = saved(tmp_path, CONFIGS[name])
    done = export(model, tmp_path / "net.onnx")
    assert 0 <= done.difference <= exporting.TOLERANCE
    session = onnxruntime.InferenceSession(done.path)
    net = weights.load(model).net
    draw = torch.Generator().manual_seed(1)
    for batch, height, width in ((1, 24, 40), (2, 32, 16), (1, 72, 64)):
        image = torch.rand(batch, 3, height, width, generator=draw)
        hole = (torch.rand(batch, 1, height, width, generator=draw) > 0.6).float()
        shape = net.noise_shape(height, width)
        for _ in range(2):
            noise = None if shape is None else torch.randn(batch, *shape, generator=draw)
            inputs = {"image": image, "hole": hole} | ({} if noise is None else {"noise": noise})
            (drawn,) = session.run(["picture"], {key: value.numpy() for key, value in inputs.items()})
            expected = net.decode(net.encode(image, hole), noise).image.numpy()
            np.testing.assert_allclose(drawn, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["flagship", "dfnet"])
@torch.inference_mode()
def test_bytes_are_cut_padded_rounded_and_pasted_inside(tmp_path: Path, name: str) -> None:
    """Against the same steps by numpy, around the network."""
    model = saved(tmp_path, CONFIGS[name])
    session = onnxruntime.InferenceSession(export(model, tmp_path / "net.onnx", uint8=True).path)
    net = weights.load(model).net
    rng = np.random.default_rng(0)
    for height, width in ((24, 40), (21, 33), (9, 70)):
        photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        mask = rng.choice(np.array([0, 127, 128, 255], np.uint8), (height, width))
        down, right = -height % net.multiple, -width % net.multiple
        padded = np.pad(photo, ((0, down), (0, right), (0, 0)), "edge")
        hole = np.pad(mask, ((0, down), (0, right)), "edge") > 127
        image = torch.from_numpy(padded.transpose(2, 0, 1)[None] / np.float32(255))
        missing = torch.from_numpy(hole)[None, None].float()
        shape = net.noise_shape(height + down, width + right)
        noise = None if shape is None else torch.from_numpy(rng.standard_normal((1, *shape), dtype=np.float32))
        drawn = net.decode(net.encode(image, missing), noise).image[0, :, :height, :width].permute(1, 2, 0).numpy()
        expected = np.where(mask[..., None] > 127, np.rint(drawn * 255), photo)
        inputs = {"photo": photo, "mask": mask} | ({} if noise is None else {"noise": noise.numpy()})
        (picture,) = session.run(None, inputs)
        assert picture.dtype == np.uint8
        assert (picture[mask < 128] == photo[mask < 128]).all()
        assert np.abs(picture - expected).max() <= 1


def test_the_file_tells_what_a_program_must_know(tmp_path: Path) -> None:
    model = saved(tmp_path, CONFIGS["flagship"])
    plain = metadata(onnxruntime.InferenceSession(export(model, tmp_path / "a.onnx").path))
    assert plain["model"] == "net" and plain["licence"] == "CC0-1.0"
    assert plain["sha256"] == weights.load(model).sha256
    assert (plain["multiple"], plain["working_size"]) == ("8", "32")
    assert plain["noise_shape"] == "(batch, 4, height/8, width/8)"
    small = metadata(onnxruntime.InferenceSession(export(model, tmp_path / "b.onnx", uint8=True).path))
    assert small["noise_shape"] == "(1, 4, ceil(height/8), ceil(width/8))"
    without = saved(tmp_path, CONFIGS["deconv"])
    assert "noise_shape" not in metadata(onnxruntime.InferenceSession(export(without, tmp_path / "c.onnx").path))


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_differs_from_torch_is_not_kept(tmp_path: Path) -> None:
    model = saved(tmp_path, CONFIGS["dfnet"])
    with pytest.raises(ManyfillError, match=r"'net' as ONNX differs from torch by up to .* No file was written"):
        export(model, tmp_path / "net.onnx", tolerance=-1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize(("kind", "allowed"), [(exporting._Floats, exporting.TOLERANCE), (exporting._Bytes, 1)])
def test_the_comparison_sees_other_weights_and_files_that_do_not_run(kind: Any, allowed: float) -> None:
    torch.manual_seed(0)  # whatever ran before: two that differ by enough
    one, other = (kind(DFNet(CONFIGS["dfnet"])).eval() for _ in range(2))
    data = exporting._traced(one, exporting.OPSET)
    assert exporting._difference(one, data, ((32, 40),)) <= allowed
    assert exporting._difference(other, data, ((32, 40),)) > 10 * allowed
    with pytest.raises(ManyfillError, match="onnxruntime cannot run"):
        exporting._difference(one, b"nonsense", ((32, 40),))


def test_an_opset_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManyfillError, match="opset is 99; expected 14 to 20"):
        export(saved(tmp_path, CONFIGS["dfnet"]), tmp_path / "net.onnx", opset=99)


def test_the_command_writes_the_file_and_says_how_near_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = saved(tmp_path, CONFIGS["picnet"]), tmp_path / "new" / "net.onnx"
    assert run(["export", str(model), "-o", str(out), "--uint8", "--opset", "17"]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(out) and out.is_file()
    assert re.search(r"differs from torch by at most [01] of 255 at 32x32, 69x64, 67x77 ", printed.err)
    assert run(["export", str(model), "-o", str(tmp_path / "net.bin")]) == 2
    assert "must end in .onnx" in capsys.readouterr().err


def test_the_command_replaces_its_own_file_and_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "net.onnx"
    command = ["export", str(saved(tmp_path, CONFIGS["dfnet"])), "-o", str(out)]
    out.write_bytes(b"mine")
    assert run(command) == 2 and out.read_bytes() == b"mine"
    assert "net.onnx is there already" in capsys.readouterr().err
    assert run([*command, "--force"]) == 0 and out.stat().st_size > 1000
    assert run(command) == 0
    out.write_bytes(out.read_bytes() + b"edited")
    assert run(command) == 2 and out.read_bytes().endswith(b"edited")


# ── the pages' examples ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def flagship(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.onnx, photo.png and hole.png as docs/export.md has them; no multiples of 32."""
    folder = tmp_path_factory.mktemp("page")
    export(zoo.DEFAULT, folder / "model.onnx", uint8=True)
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    small.resize((90, 70), Image.Resampling.BICUBIC).save(folder / "photo.png")
    hole = np.zeros((70, 90), np.uint8)
    hole[20:50, 30:66] = 255
    Image.fromarray(hole).save(folder / "hole.png")
    return folder


@torch.inference_mode()
def as_torch_draws_it(folder: Path, noise: Any) -> Any:
    photo, mask = (torch.from_numpy(np.array(Image.open(folder / name))) for name in ("photo.png", "hole.png"))
    return exporting._Bytes(weights.load(zoo.DEFAULT).net)(photo, mask, torch.from_numpy(noise)).numpy()


def test_the_pages_python_example_runs(flagship: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flagship)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    filled = np.asarray(Image.open("filled.png")).astype(int)
    assert np.abs(filled - as_torch_draws_it(flagship, names["noise"])).max() <= 1


def browser() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def runtime() -> Path | None:
    """The dist folder of onnxruntime-web: $ONNXRUNTIME_WEB, or what `npm install onnxruntime-web` put here."""
    folder = Path(os.environ.get("ONNXRUNTIME_WEB", REPOSITORY / "node_modules" / "onnxruntime-web" / "dist"))
    return folder if (folder / "ort.wasm.min.mjs").is_file() else None


@pytest.fixture
def served(flagship: Path) -> Iterator[tuple[str, list[bytes], threading.Event]]:
    """The page of docs/export.md on a local server; it posts its noise and its picture, or what went wrong."""
    (page,) = re.findall(r"```html\n(.*?)```", PAGE, re.DOTALL)
    post = 'await fetch("/result", { method: "POST", body: new Blob([noise, picture.data]) });\n</script>'
    failed = 'addEventListener("unhandledrejection", (e) => fetch("/result", { method: "POST", body: `${e.reason}` }));'
    html = f"<script>{failed}</script>{page.replace('</script>', post)}".encode()
    dist, posted, done = runtime(), [], threading.Event()
    assert dist is not None
    kinds = {".mjs": "text/javascript", ".wasm": "application/wasm", ".png": "image/png"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = Path(self.path).name
            path = dist / name if self.path.startswith("/ort/") else flagship / name
            found = html if self.path == "/" else path.read_bytes() if path.is_file() else None
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "text/html" if self.path == "/" else kinds.get(path.suffix, "text/plain"))
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", posted, done
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(browser() is None, reason="no Chromium (Debian: apt install chromium)")
@pytest.mark.skipif(runtime() is None, reason="no onnxruntime-web (npm install --no-save onnxruntime-web)")
def test_the_pages_browser_example_runs(
    flagship: Path, served: tuple[str, list[bytes], threading.Event], tmp_path: Path
) -> None:
    url, posted, done = served
    command = [str(browser()), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", f"--user-data-dir={tmp_path}", url]
    chromium = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert done.wait(180), "the page never answered"
    finally:
        chromium.terminate()
        chromium.wait(180)
    shape, size = (1, 128, 3, 3), (70, 90, 3)
    assert len(posted[0]) == 4 * 128 * 9 + 70 * 90 * 3, posted[0][:300].decode(errors="replace")
    noise = np.frombuffer(posted[0][: 4 * 128 * 9], "<f4").reshape(shape)
    picture = np.frombuffer(posted[0][4 * 128 * 9 :], np.uint8).reshape(size)
    assert np.abs(noise.mean()) < 0.2 and 0.8 < noise.std() < 1.2
    assert np.abs(picture.astype(int) - as_torch_draws_it(flagship, noise.copy())).max() <= 1
