"""The papers' protocols, run by their word on a handful of photos with checkpoints that know nothing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from manyfill import imagenet, weights
from manyfill.cli import run
from manyfill.errors import ManyfillError
from manyfill.evaluation.published import PROTOCOLS, find, nearest_of_ten
from manyfill.metrics import METRICS
from manyfill.metrics.perceptual import BACKBONES
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.discriminators import Critic, CriticConfig
from manyfill.nets.picnet import PICNet, PICNetConfig

PHOTOS = 10  # the least for IS: one a split


class Scripted(nn.Module):
    """Stands in for the Inception file: the mean colour."""

    def forward(self, picture: Tensor, return_features: bool = False, no_output_bias: bool = False) -> Tensor:
        mean = picture.float().mean((2, 3))
        return mean if return_features else (mean / 64).softmax(1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for seed in range(PHOTOS):
        small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((90, 70), Image.Resampling.BICUBIC).save(tmp_path / "data" / f"p{seed}.png")
    return tmp_path / "data"


@pytest.fixture
def picnet(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = PICNetConfig(
        size=64, width=4, max_width=4, latent=2, levels=3, scales=2, infer_blocks=1, attention="none"
    )  # attention would see 16,384 places
    net = PICNet(config)
    return weights.save(net.eval(), tmp_path / "picnet.safetensors", critic=Critic(CriticConfig(width=4, levels=4)))


@pytest.fixture
def lpips_of_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers of LPIPS' shapes, declared to be the published ones."""
    tensors: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    for index, (channels, width, kernel, _, _) in BACKBONES["alex"].convs.items():
        shape = (width, channels, kernel, kernel)
        tensors[f"features.{index}.weight"] = torch.randn(shape, generator=generator) / (channels * kernel**2) ** 0.5
        tensors[f"features.{index}.bias"] = torch.zeros(width)
    for number, (_, width, *_) in enumerate(BACKBONES["alex"].convs.values()):
        tensors[f"lin{number}.model.1.weight"] = torch.full((1, width, 1, 1), 0.1)
    save_file(tensors, imagenet.kept("alex"))
    monkeypatch.setitem(imagenet.PUBLISHED, "alex", imagenet.fingerprint(tensors))


def measured(arguments: list[str], out: Path, capsys: pytest.CaptureFixture[str]) -> dict:  # type: ignore[type-arg]
    assert run(["evaluate", *arguments, "-o", str(out)]) == 0, capsys.readouterr().err
    found: dict = json.loads((out / "report.json").read_text())  # type: ignore[type-arg]
    return found


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the network is published that way
def test_picnet_imagenet(data: Path, picnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.jit.save(torch.jit.script(Scripted()), str(tmp_path / "inception.pt"))
    arguments = [
        "--protocol",
        "picnet-imagenet",
        "--model",
        str(picnet),
        "--data",
        str(data),
        "--size",
        "64",
        "-n",
        "12",
    ]
    report = measured([*arguments, "--inception", str(tmp_path / "inception.pt")], tmp_path / "out", capsys)
    (results,) = report["results"].values()
    numbers = results["per_photo"]["all"]
    assert set(numbers) == {"l1", "psnr", "tv"} and set(results["over_all_photos"]) == {"is"}
    assert numbers["l1"]["first"]["photos"] == PHOTOS and results["known_pixels_exact"] == PHOTOS
    assert 1 <= results["over_all_photos"]["is"] <= 3
    assert (report["settings"]["fit"], report["settings"]["masks"], report["settings"]["n"]) == (
        "squeeze",
        "center",
        12,
    )
    text = (tmp_path / "out" / "report.md").read_text()
    assert "Of 12 fills the ten that the critic scores highest" in text
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "report.csv").read_text())))
    for photo in {row["photo"] for row in table}:
        fills = [row for row in table if row["photo"] == photo]
        liked = sorted(fills, key=lambda row: -float(row["score"]))[:10]
        cost = [float(row["l1"]) - float(row["psnr"]) + float(row["tv"]) for row in liked]
        first = next(row for row in fills if row["fill"] == "1")
        assert float(first["l1"]) - float(first["psnr"]) + float(first["tv"]) == pytest.approx(min(cost), abs=1e-3)
    assert "Protocol picnet-imagenet: the quantitative table of Zheng et al. 2019" in text and "Differs: " in text


def test_picnet_diversity(
    data: Path, picnet: Path, lpips_of_noise: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--protocol", "picnet-diversity", "--model", str(picnet), "--data", str(data), "--size", "128"]
    report = measured([*arguments, "-n", "4", "--photos", "2"], tmp_path / "out", capsys)
    (results,) = report["results"].values()
    assert set(results["between_fills"]) == {"lpips_pairs", "lpips_pairs_hole"}
    whole, hole = (results["between_fills"][name]["mean"] for name in ("lpips_pairs", "lpips_pairs_hole"))
    assert 0 < whole < hole, "what differs is in the hole alone"


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_dfnet(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    net = DFNet(DFNetConfig(size=64, width=4, max_width=4, kernels=(3, 3, 3), fusion_levels=(0, 1)))
    path = weights.save(net.eval(), tmp_path / "dfnet.safetensors")
    torch.jit.save(torch.jit.script(Scripted()), str(tmp_path / "inception.pt"))
    arguments = ["--protocol", "dfnet", "--model", str(path), "--data", str(data), "--size", "64"]
    arguments += ["--inception", str(tmp_path / "inception.pt")]
    report = measured(arguments, tmp_path / "out", capsys)
    (results,) = report["results"].values()
    assert len(results["per_photo"]) > 4, "by hole ratio"
    assert {"l1", "boundary_1"} <= set(results["per_photo"]["all"]) and results["over_all_photos"]["fid"] >= 0
    (tmp_path / "masks").mkdir()
    mask = np.zeros((35, 45), np.uint8)
    mask[10:20, 10:25] = 255
    for index in range(PHOTOS):
        Image.fromarray(mask).save(tmp_path / "masks" / f"p{index}.png")
    report = measured([*arguments, "--masks", str(tmp_path / "masks"), "--photos", "2"], tmp_path / "grey", capsys)
    assert report["settings"]["grey_masks"] is True


def test_the_nearest_of_the_ten_that_the_critic_likes() -> None:
    fills = [{"l1": 10.0, "psnr": 20.0, "tv": float(k)} for k in range(12)]
    scores: list[float | None] = [float(k) for k in range(12)]  # the critic likes the later ones
    assert nearest_of_ten(scores, fills) == 2, "0 and 1 are nearer, but not among the ten"
    assert nearest_of_ten([None] * 12, fills) == 0, "without a critic all are candidates"
    fills[7]["psnr"] = 40.0
    assert nearest_of_ten(scores, fills) == 7


def test_every_protocol_says_what_it_is_and_has_metrics_that_exist() -> None:
    for name, published in PROTOCOLS.items():
        assert find(name) is published and published.says and published.differs
        assert set(published.metrics) <= set(METRICS)
    with pytest.raises(ManyfillError, match=r"no protocol 'picnet'\. .*There are: picnet-imagenet"):
        find("picnet")
