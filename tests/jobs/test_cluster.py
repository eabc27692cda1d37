"""Folder jobs on a Ray cluster of this machine: a killed worker, resume, what cannot be worked with."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyfill import photos, weights
from manyfill.completer import Completer
from manyfill.errors import ManyfillError
from manyfill.jobs import cluster, folder
from manyfill.jobs.addresses import NOTES, Addresses, Errand, errands
from manyfill.jobs.folder import Job
from manyfill.jobs.records import Done, Failed, Fate, Options, Sidecar, Skipped, Task
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1)


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    """Ray with two cores, whatever the machine has; a process of its own, so two test runs do not meet."""
    ray = pytest.importorskip("ray", reason="needs the ray extra: pip install 'manyfill[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=80 * 2**20, _node_ip_address="127.0.0.1",
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> cluster.Model:
    torch.manual_seed(0)
    path = weights.save(PICNet(TINY), tmp_path_factory.mktemp("model") / "tiny.safetensors")
    return cluster.Model(str(path), "cpu", "torch", Completer.from_pretrained(path, device="cpu").sha256)


def small_job(place: Path, count: int) -> Job:
    rng = np.random.default_rng(0)
    mask = np.zeros((28, 40), np.uint8)
    mask[8:18, 10:24] = 255
    (place / "photos").mkdir(parents=True)
    Image.fromarray(mask).save(place / "hole.png")
    for number in range(count):
        pixels = rng.integers(0, 256, (28, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"photos/{number:02}.png")
    return Job(place / "photos", place / "hole.png", place / "out", Options(n=2, texture="net", sheet=False))


def workers() -> list[int]:
    """Process ids of this Ray's workers that hold a model: grandchildren of this process."""
    parents, found = {}, []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if (process / "cmdline").read_text().startswith("ray::Worker"):
                found.append(int(process.name))
        except OSError:  # gone meanwhile
            continue
    return [pid for pid in found if parents.get(parents[pid]) == os.getpid()]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker to kill in /proc")
@pytest.mark.usefixtures("_ray")
def test_where_a_worker_is_killed_nothing_is_lost_and_nothing_done_twice(model: cluster.Model, tmp_path: Path) -> None:
    names = [f"{number:02}.png" for number in range(7)]
    job, alone = small_job(tmp_path / "ray", len(names)), small_job(tmp_path / "alone", len(names))
    (job.photos / "05.png").write_bytes(b"no picture")
    seen: list[Fate] = []
    killed: list[int] = []

    def report(fate: Fate) -> None:
        seen.append(fate)
        if len(seen) == 3:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    summary = cluster.complete_folder(model, job, workers=2, report=report)
    assert killed
    assert (summary.done, [failed.name for failed in summary.failed]) == (6, ["05.png"])
    assert sorted(fate.name for fate in seen) == names
    lines = [json.loads(line) for line in (job.out / "manifest.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["status"] != "begun"]
    assert Counter(line["photo"] for line in lines) == Counter(names)
    for path in job.out.glob("*.png"):  # a kill in mid-write leaves a hidden file, no half one
        photos.read(path)

    completer = Completer.from_pretrained(model.name_or_path, device="cpu", engine="torch")
    again: list[Fate] = []
    folder.complete_folder(completer, job, report=again.append)  # without Ray: the same manifest
    assert Counter(type(fate) for fate in again) == {Skipped: 6, Failed: 1}
    folder.complete_folder(completer, alone)
    for path in job.out.glob("*_?.png"):
        assert path.read_bytes() == (alone.out / path.name).read_bytes()
    assert len(list(job.out.glob("*_?.png"))) == 12


def test_a_worker_with_another_model_does_not_start(model: cluster.Model) -> None:
    with pytest.raises(ManyfillError, match="is another one on machine"):
        cluster.Worker(cluster.Model(model.name_or_path, "cpu", "torch", "f" * 64))


@pytest.mark.usefixtures("_ray")
def test_a_worker_that_does_not_start_ends_the_job(model: cluster.Model, tmp_path: Path) -> None:
    class Unfit:  # takes no time to load; in a function, so that Ray ships it by value
        def __init__(self, model: cluster.Model) -> None:
            raise ManyfillError("no model here")

        def attempt(self, task: Task, options: Options, model_file: Path | None) -> None: ...

    with pytest.raises(ManyfillError, match=r"a worker cannot start: .*no model here"):
        cluster.complete_folder(model, small_job(tmp_path, 2), workers=1, kind=Unfit)
    assert not list((tmp_path / "out").rglob("*.png"))


@pytest.mark.usefixtures("_ray")
def test_a_photo_that_kills_its_workers_fails_and_the_rest_is_done(model: cluster.Model, tmp_path: Path) -> None:
    class Frail:  # takes no time to start; in a function, so that Ray ships it by value
        def __init__(self, model: cluster.Model) -> None: ...

        def attempt(self, task: Task, options: Options, model_file: Path | None) -> Failed:
            if task.name == "00.png":
                os._exit(1)
            return Failed(task.name, "survived")

    summary = cluster.complete_folder(model, small_job(tmp_path, 4), workers=1, kind=Frail, tries=2)
    assert [failed.name for failed in summary.failed] == ["00.png", "01.png", "02.png", "03.png"]
    assert summary.failed[0].error.startswith("2 workers died of it")
    assert [failed.error for failed in summary.failed[1:]] == ["survived"] * 3


def test_relative_paths_mean_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = cluster._everywhere_the_same(Job(Path("in"), Path("masks"), Path("out"), Options(), Path("m.safetensors")))
    assert [job.photos, job.masks, job.out, job.model_file] == [
        tmp_path / name for name in ("in", "masks", "out", "m.safetensors")
    ]


# ── photos behind addresses ───────────────────────────────────────────────────────────────────────────────────────────


def notes_of(out: Path) -> list[str]:
    return sorted(path.relative_to(out / NOTES).as_posix() for path in (out / NOTES).rglob("*.json"))


@pytest.mark.usefixtures("_ray")
def test_photos_behind_addresses_are_completed_as_those_in_folders_and_resumed(
    model: cluster.Model, tmp_path: Path
) -> None:
    pytest.importorskip("fsspec")
    job, alone = small_job(tmp_path / "ray", 5), small_job(tmp_path / "alone", 5)
    for each in (job, alone):
        (each.photos / "sub").mkdir()
        (each.photos / "04.png").rename(each.photos / "sub" / "04.png")
    (job.photos / "03.png").write_bytes(b"no picture")
    options = Options(n=2, texture="net")
    there = Addresses(f"file://{job.photos}", f"file://{job.masks}", f"file://{job.out}", options)
    seen: list[Fate] = []
    summary = cluster.complete_addresses(model, there, workers=1, report=seen.append)
    assert (summary.done, [failed.name for failed in summary.failed]) == (4, ["03.png"])
    assert "file://" in summary.failed[0].error and "manyfill-" not in summary.failed[0].error
    (deep,) = [fate for fate in seen if isinstance(fate, Done) and fate.name == "sub/04.png"]
    assert f"file://{job.out}/sub/04_1.png" in deep.files
    completer = Completer.from_pretrained(model.name_or_path, device="cpu", engine="torch")
    folder.complete_folder(completer, replace(alone, options=options))
    names = {path.relative_to(job.out).as_posix() for path in job.out.rglob("*_?.png")}
    assert len(names) == 8
    for name in names:
        assert (job.out / name).read_bytes() == (alone.out / name).read_bytes()
    sidecar = Sidecar.read(job.out / "sub" / "04.json")
    assert sidecar.photo.file == f"file://{job.photos}/sub/04.png" and sidecar.mask is not None
    assert sidecar.mask.file == f"file://{job.masks}" and sidecar.model.file is None
    assert notes_of(job.out) == ["00.png.json", "01.png.json", "02.png.json", "sub/04.png.json"]

    Image.fromarray(np.zeros((28, 40, 3), np.uint8)).save(job.photos / "01.png")  # changed: done anew
    (job.out / "sub" / "04_2.png").unlink()  # gone: done anew
    plan = list(errands(there, model.sha256))
    assert [type(each).__name__ for each in plan] == ["Skipped", "Errand", "Skipped", "Errand", "Errand"]
    again = cluster.complete_addresses(model, there, workers=1)
    assert (again.done, again.skipped, len(again.failed)) == (2, 2, 1)
    other = replace(there, options=replace(options, n=1))
    assert sum(isinstance(each, Errand) for each in errands(other, model.sha256)) == 5
