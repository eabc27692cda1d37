"""Folder jobs: pairing, names, resume, failures; sidecars and replay. A tiny untrained net completes real files."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manyfill import batch, photos, sheet, weights
from manyfill.batch import Done, Failed, Job, Manifest, Options, Sidecar, Skipped, Target, Task
from manyfill.completer import Completer, Completion, uncertainty
from manyfill.errors import BadImage, BadMask, ManyfillError
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1)


@pytest.fixture(scope="module")
def completer(tmp_path_factory: pytest.TempPathFactory) -> Completer:
    torch.manual_seed(0)
    path = weights.save(PICNet(TINY), tmp_path_factory.mktemp("model") / "tiny.safetensors")
    return Completer.from_pretrained(path, device="cpu")


def write_photo(path: Path, *, width: int = 40, height: int = 28, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    small.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def write_mask(path: Path, *, width: int = 40, height: int = 28) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width), dtype=np.uint8)
    pixels[8:18, 10:24] = 255
    Image.fromarray(pixels).save(path)
    return path


def small_job(folder: Path, names: tuple[str, ...] = ("a.png", "sub/b.jpg"), **options: object) -> Job:
    for number, name in enumerate(names):
        write_photo(folder / "photos" / name, seed=number)
        write_mask((folder / "masks" / name).with_suffix(".png"))
    plain = {"texture": "net", "sheet": False, **options}
    return Job(folder / "photos", folder / "masks", folder / "out", Options(**plain))


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fates(completer: Completer, job: Job) -> list[Done | Skipped | Failed]:
    seen: list[Done | Skipped | Failed] = []
    batch.complete_folder(completer, job, report=seen.append)
    return seen


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_keeps_its_sub_folders_and_its_formats(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, n=2)
    summary = batch.complete_folder(completer, job)
    assert (summary.done, summary.skipped, summary.failed) == (2, 0, [])
    assert set(files_in(job.out)) == {
        "a_1.png", "a_2.png", "a.json", "sub/b_1.jpg", "sub/b_2.jpg", "sub/b.json", "manifest.jsonl",
    }  # fmt: skip


def test_the_same_job_again_skips_what_is_done(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path)
    batch.complete_folder(completer, job)
    before = files_in(job.out)
    assert fates(completer, job) == [Skipped("a.png"), Skipped("sub/b.jpg")]
    assert files_in(job.out) == before


@pytest.mark.parametrize("change", ["options", "photo", "mask", "output gone"])
def test_what_changed_is_done_anew(completer: Completer, tmp_path: Path, change: str) -> None:
    job = small_job(tmp_path, ("a.bmp", "sub/b.jpg"))  # two BMPs of one size have one length
    batch.complete_folder(completer, job)
    expected: list[type] = [Done, Skipped]
    if change == "options":
        job = dataclasses.replace(job, options=dataclasses.replace(job.options, seed=9))
        expected = [Done, Done]
    elif change == "photo":
        write_photo(job.photos / "a.bmp", seed=99)
    elif change == "mask":
        pixels = np.zeros((28, 40), dtype=np.uint8)
        pixels[2:5, 2:6] = 255
        Image.fromarray(pixels).save(tmp_path / "masks/a.png")
    else:
        (job.out / "a_1.bmp").unlink()
    assert [type(fate) for fate in fates(completer, job)] == expected


def test_a_touched_file_of_the_same_content_is_not_done_again(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png",))
    batch.complete_folder(completer, job)
    os.utime(job.photos / "a.png", (1, 1))
    assert fates(completer, job) == [Skipped("a.png")]


def test_an_interrupted_job_ends_as_one_that_was_not(
    completer: Completer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a.png", "b.png", "c.png")
    whole, cut = small_job(tmp_path / "whole", names), small_job(tmp_path / "cut", names)
    batch.complete_folder(completer, whole)

    def stop(fate: Done | Skipped | Failed) -> None:
        if fate.name == "b.png":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.complete_folder(completer, cut, report=stop)
    with (cut.out / "manifest.jsonl").open("a") as file:  # what a power cut leaves
        file.write('{"photo": "c.png", "status": "do')
    assert fates(completer, cut)[:2] == [Skipped("a.png"), Skipped("b.png")]
    assert fates(completer, cut) == [Skipped("a.png"), Skipped("b.png"), Skipped("c.png")]
    for name in ("a_1.png", "b_1.png", "c_1.png"):
        assert (cut.out / name).read_bytes() == (whole.out / name).read_bytes()


def test_what_is_wrong_with_one_photo_stops_no_other_and_is_tried_again(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png", "c.png", "d.png"))
    (job.photos / "a.png").write_bytes(b"no picture")
    (tmp_path / "masks/b.png").unlink()
    write_mask(tmp_path / "masks/c.png", width=10, height=10)
    summary = batch.complete_folder(completer, job)
    assert summary.done == 1
    assert [failed.name for failed in summary.failed] == ["a.png", "b.png", "c.png"]
    assert all("\n" not in failed.error for failed in summary.failed)
    assert "no mask b.*" in summary.failed[1].error
    assert "10x10" in summary.failed[2].error
    write_photo(job.photos / "a.png")
    write_mask(tmp_path / "masks/b.png")
    again = fates(completer, job)
    assert [type(fate) for fate in again] == [Done, Done, Failed, Skipped]


def test_an_unexpected_fault_in_one_photo_is_a_failure_too(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png"))
    job.out.mkdir()
    (job.out / "a_1.png").mkdir()  # the output's name is taken by a folder
    summary = batch.complete_folder(completer, job)
    assert summary.done == 1
    assert [failed.name for failed in summary.failed] == ["a.png"]


def test_one_mask_serves_all_and_may_lie_among_the_photos(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path)
    mask = write_mask(job.photos / "hole.png")
    assert [fate.name for fate in fates(completer, dataclasses.replace(job, masks=mask))] == ["a.png", "sub/b.jpg"]


def test_without_masks_each_photos_own_transparency_is_the_hole(completer: Completer, tmp_path: Path) -> None:
    pixels = np.full((28, 40, 4), 255, dtype=np.uint8)
    pixels[8:18, 10:24, 3] = 0
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels, "RGBA").save(tmp_path / "photos/a.png")
    job = Job(tmp_path / "photos", None, tmp_path / "out", Options(polarity="alpha", texture="net", sheet=False))
    assert batch.complete_folder(completer, job).done == 1
    assert Sidecar.read(job.out / "a.json").hole_ratio == pytest.approx(140 / (28 * 40))
    assert np.asarray(Image.open(job.out / "a_1.png"))[..., 3].min() == 255


def test_photos_of_the_same_stem_are_kept_apart(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.jpg", "a.png"))
    write_mask(tmp_path / "masks/a.png")
    batch.complete_folder(completer, job)
    assert {"a_jpg_1.jpg", "a_jpg.json", "a_png_1.png", "a_png.json"} < set(files_in(job.out))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "x", "x/y"]), st.sampled_from(["a", "A", "a_png", "a_jpg", "b.c"]),
            st.sampled_from([".png", ".jpg", ".JPG", ".webp"]),
        ),
        unique=True,
    )
)  # fmt: skip
def test_no_two_photos_share_their_outputs_names(parts: list[tuple[str, str, str]]) -> None:
    names = [Path(folder) / f"{stem}{suffix}" for folder, stem, suffix in parts]
    stems = batch.output_stems(names)
    assert len({(name.parent, stem.casefold()) for name, stem in stems.items()}) == len(names)


def test_masks_pair_by_stem_and_prefer_the_very_name(tmp_path: Path) -> None:
    names = ("a.jpg", "a.png", "b.jpg", "c.jpg")
    for name in names:
        write_photo(tmp_path / "photos" / name)
    for name in ("a.jpg", "a.png", "b.jpg.png", "b.png", "c.png", "c.webp"):
        write_mask(tmp_path / "masks" / name)
    job = Job(tmp_path / "photos", tmp_path / "masks", tmp_path / "out", Options())
    found = {task.name: task for task in batch.tasks(job)}
    paired = {name: task.mask.name for name, task in found.items() if isinstance(task, Task) and task.mask}
    assert paired == {"a.jpg": "a.jpg", "a.png": "a.png", "b.jpg": "b.jpg.png"}
    failed = found["c.jpg"]
    assert isinstance(failed, Failed) and "2 masks fit" in failed.error


def test_outputs_and_masks_inside_the_folder_are_not_taken_for_photos(completer: Completer, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/a.png")
    write_photo(tmp_path / "photos/.hidden/b.png")
    write_mask(tmp_path / "photos/masks/a.png")
    photos = tmp_path / "photos"
    job = Job(photos, photos / "masks", photos / "fills", Options(texture="net"))
    for _ in range(2):
        assert [fate.name for fate in fates(completer, job)] == ["a.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda job: dataclasses.replace(job, out=job.photos), "folder of the photos"),
        (lambda job: dataclasses.replace(job, out=job.masks), "folder of the masks"),
        (lambda job: dataclasses.replace(job, masks=job.photos), "a folder of their own"),
    ],
)
def test_a_job_that_would_mix_things_up_is_refused(
    completer: Completer, tmp_path: Path, change: Callable[[Job], Job], message: str
) -> None:
    with pytest.raises(ManyfillError, match=message):
        batch.complete_folder(completer, change(small_job(tmp_path)))


def test_a_folder_without_photos_is_refused(completer: Completer, tmp_path: Path) -> None:
    with pytest.raises(ManyfillError, match="no photos in"):
        batch.complete_folder(completer, Job(tmp_path, None, tmp_path / "out", Options(polarity="alpha")))


def test_a_damaged_manifest_costs_work_and_nothing_else(tmp_path: Path) -> None:
    lines = ["{", "[1]", '"text"', '{"status": "done"}', '{"photo": "a.png", "status": "done", "key": "k"}', "\ufffd"]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    manifest = Manifest(tmp_path, "k")
    task = Task("a.png", write_photo(tmp_path / "a.png"), None, Target(tmp_path, "a"))
    assert not manifest.has(task)
    manifest.add_failure(Failed("b.png", "why"))
    assert Manifest(tmp_path, "k").finished["b.png"]["error"] == "why"


def test_several_workers_write_the_same_bytes_and_one_line_for_each_photo(completer: Completer, tmp_path: Path) -> None:
    names = tuple(f"{letter}.png" for letter in "abcdefg")
    alone, together = small_job(tmp_path / "alone", names, n=2), small_job(tmp_path / "together", names, n=2)
    (together.photos / "c.png").write_bytes(b"no picture")
    batch.complete_folder(completer, alone)
    summary = batch.complete_folder(completer, together, workers=3)
    assert (summary.done, [failed.name for failed in summary.failed]) == (6, ["c.png"])
    lines = [json.loads(line) for line in (together.out / "manifest.jsonl").read_text().splitlines()]
    assert sorted(line["photo"] for line in lines) == sorted(names)
    pictures = {name: data for name, data in files_in(together.out).items() if name.endswith(".png")}
    assert len(pictures) == 12
    assert pictures == {name: files_in(alone.out)[name] for name in pictures}


def test_workers_are_in_work_at_the_same_time(tmp_path: Path) -> None:
    tasks = [Task(name, tmp_path / name, None, Target(tmp_path, name)) for name in "abcd"]
    both = threading.Barrier(2, timeout=10)  # breaks where the second never comes

    def work(task: Task) -> Failed:
        both.wait()
        return Failed(task.name, "")

    assert sorted(task.name for task, _ in batch._in_threads(work, iter(tasks), 2)) == ["a", "b", "c", "d"]


def test_an_interrupted_job_of_several_workers_is_resumed(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, tuple(f"{letter}.png" for letter in "abcdef"))

    def stop(fate: Done | Skipped | Failed) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.complete_folder(completer, job, workers=2, report=stop)
    seen: list[Done | Skipped | Failed] = []
    summary = batch.complete_folder(completer, job, workers=2, report=seen.append)
    assert (summary.done, summary.skipped) == (5, 1)
    assert sorted(fate.name for fate in seen) == [f"{letter}.png" for letter in "abcdef"]


def test_by_default_workers_fit_the_machine_and_one_keeps_a_ceiling() -> None:
    assert 1 <= batch.default_workers() <= min(os.cpu_count() or 1, batch.MOST_WORKERS)
    assert batch.default_workers(max_memory=2**30) == 1


def test_a_colour_painted_onto_the_photos_is_the_hole(completer: Completer, tmp_path: Path) -> None:
    path = write_photo(tmp_path / "photos/a.png")
    pixels = np.asarray(Image.open(path)).copy()
    pixels[8:18, 10:24] = 255, 0, 255
    Image.fromarray(pixels).save(path)
    job = Job(tmp_path / "photos", None, tmp_path / "out", Options(polarity="#ff00ff", texture="net", sheet=False))
    assert batch.complete_folder(completer, job).done == 1
    assert Sidecar.read(job.out / "a.json").hole_ratio == pytest.approx(140 / (28 * 40))
    filled = np.asarray(Image.open(job.out / "a_1.png"))
    assert not np.all(filled[8:18, 10:24] == (255, 0, 255), axis=-1).any()


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (("*.png",), ["a.png", "sub/c.png"]),
        (("sub/*",), ["sub/b.jpg", "sub/c.png"]),
        (("a.*", "*/b.jpg"), ["a.png", "sub/b.jpg"]),
    ],
)
def test_only_photos_that_fit_a_pattern_are_taken(tmp_path: Path, only: tuple[str, ...], expected: list[str]) -> None:
    job = dataclasses.replace(small_job(tmp_path, ("a.png", "sub/b.jpg", "sub/c.png")), only=only)
    assert [task.name for task in batch.tasks(job)] == expected


def test_a_pattern_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    job = dataclasses.replace(small_job(tmp_path), only=("*.tif",))
    with pytest.raises(ManyfillError, match=r"none of the 2 photos .* fits --only \*\.tif"):
        list(batch.tasks(job))


def test_a_preview_tells_what_would_be_done_and_writes_nothing(completer: Completer, tmp_path: Path) -> None:
    job = small_job(tmp_path, ("a.png", "b.png", "c.png"))
    batch.complete_folder(completer, dataclasses.replace(job, only=("a.png",)))
    (tmp_path / "masks/b.png").unlink()
    before = files_in(tmp_path)
    assert [type(fate) for fate in batch.preview(job, completer.sha256)] == [Skipped, Failed, Task]
    assert files_in(tmp_path) == before


# ── one photo, sidecar, replay ───────────────────────────────────────────────────────────────────────────────────────


def one(folder: Path, name: str = "photo.png", mask: str = "hole.png", stem: str | None = None) -> Task:
    photo, hole = write_photo(folder / name), write_mask(folder / mask)
    return Task(name, photo, hole, Target(folder / "out", stem or photo.stem))


def test_a_sidecar_holds_what_replay_needs_and_reads_back(completer: Completer, tmp_path: Path) -> None:
    done = batch.complete_photo(completer, one(tmp_path), Options(n=3, seed=5, texture=0.0, uncertainty=True))
    sidecar = Sidecar.read(tmp_path / "out/photo.json")
    assert sidecar == done.sidecar
    raw = json.loads((tmp_path / "out/photo.json").read_text())
    assert raw["photo"]["file"] == "../photo.png" and raw["mask"]["file"] == "../hole.png"
    assert raw["model"]["sha256"] == completer.sha256
    assert raw["hole_ratio"] == 140 / (28 * 40)
    assert (raw["height"], raw["width"], raw["options"]["n"]) == (28, 40, 3)
    assert [fill["file"] for fill in raw["fills"]] == ["photo_1.png", "photo_2.png", "photo_3.png"]
    assert [fill["score"] for fill in raw["fills"]] == sorted((fill["score"] for fill in raw["fills"]), reverse=True)
    assert len({fill["seed"] for fill in raw["fills"]}) == 3
    assert (raw["sheet"], raw["uncertainty"]) == ("photo_sheet.png", "photo_uncertainty.png")
    assert {path.name for path in done.files} == set(files_in(tmp_path / "out"))


@pytest.mark.parametrize(("texture", "words"), [("photo", "blue"), ("net", "orange")])
def test_an_explanation_shows_what_was_copied_and_what_the_net_drew(
    completer: Completer, tmp_path: Path, texture: str, words: str
) -> None:
    done = batch.complete_photo(completer, one(tmp_path), Options(n=2, texture=texture, explain=True, sheet=False))
    assert done.sidecar.explain == "photo_explain.png"
    drawn = np.asarray(Image.open(tmp_path / "out/photo_explain.png")).astype(int)
    red, blue = drawn[..., 0], drawn[..., 2]
    tinted = np.abs(red - blue) > 60
    hole_tile = (red > 120) & (blue > 60) & (drawn[..., 1] < 100)  # the marked hole on the second tile
    assert (tinted & ~hole_tile).any()
    more = "blue" if (blue > red)[tinted & ~hole_tile].mean() > 0.5 else "orange"
    assert more == words
    again = dataclasses.replace(one(tmp_path), target=Target(tmp_path / "again", "photo"))
    assert batch.replay(completer, Sidecar.read(tmp_path / "out/photo.json"), again)[1] == []
    assert files_in(tmp_path / "again") == files_in(tmp_path / "out")


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg"])
def test_replay_makes_the_same_bytes_of_every_file(completer: Completer, tmp_path: Path, name: str) -> None:
    task = one(tmp_path, name)
    done = batch.complete_photo(completer, task, Options(n=3, texture="net", uncertainty=True))
    again = dataclasses.replace(task, target=Target(tmp_path / "again", "photo"))
    _, differing = batch.replay(completer, Sidecar.read(tmp_path / "out/photo.json"), again)
    assert differing == []
    assert files_in(tmp_path / "again") == files_in(tmp_path / "out")
    assert len(files_in(tmp_path / "again")) == len(done.files) == 6


def test_replay_names_the_fills_whose_bytes_differ(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    batch.complete_photo(completer, task, Options(n=2, texture="net"))
    sidecar = Sidecar.read(tmp_path / "out/photo.json")
    first, second = sidecar.fills
    other = dataclasses.replace(sidecar, fills=(first, dataclasses.replace(second, sha256="0" * 64)))
    _, differing = batch.replay(completer, other, dataclasses.replace(task, target=Target(tmp_path / "again", "photo")))
    assert differing == ["photo_2.png"]


def test_replay_refuses_what_is_not_what_was_used(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    batch.complete_photo(completer, task, Options(texture="net"))
    sidecar = Sidecar.read(tmp_path / "out/photo.json")
    again = dataclasses.replace(task, target=Target(tmp_path / "again", "photo"))
    other = dataclasses.replace(sidecar, model=dataclasses.replace(sidecar.model, sha256="f" * 64))
    with pytest.raises(ManyfillError, match="model 'tiny' has changed"):
        batch.replay(completer, other, again)
    write_mask(tmp_path / "hole.png", width=12)
    with pytest.raises(BadMask, match="has changed"):
        batch.replay(completer, sidecar, again)
    (tmp_path / "photo.png").unlink()
    with pytest.raises(BadImage, match="not there any more"):
        batch.replay(completer, sidecar, again)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"photo": 1}'])
def test_what_is_not_a_sidecar_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ManyfillError, match=r"x\.json is not a sidecar"):
        Sidecar.read(tmp_path / "x.json")
    with pytest.raises(ManyfillError, match="there is no sidecar"):
        Sidecar.read(tmp_path / "missing.json")


def test_the_photo_itself_is_never_overwritten(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    before = task.photo.read_bytes()
    target = Target(tmp_path, "photo", numbered=False, suffix=".png")
    with pytest.raises(ManyfillError, match="never overwritten"):
        batch.complete_photo(completer, dataclasses.replace(task, target=target), Options(texture="net"))
    assert task.photo.read_bytes() == before


def test_a_photo_with_the_wrong_suffix_gets_the_right_one(completer: Completer, tmp_path: Path) -> None:
    task = one(tmp_path)
    task.photo.rename(tmp_path / "photo.jpg")  # a PNG by content
    done = batch.complete_photo(
        completer, dataclasses.replace(task, photo=tmp_path / "photo.jpg"), Options(texture="net", sheet=False)
    )
    assert [path.name for path in done.files] == ["photo_1.png", "photo.json"]


# ── pictures for people, without a whole one in memory ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_sheet_and_heat_map_are_drawn_strip_by_strip_as_at_once(
    completer: Completer, channels: int, dtype: type, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    pixels = (rng.random((90, 1800, channels)) * np.iinfo(dtype).max).astype(dtype)
    hole = np.zeros((90, 1800), bool)
    hole[20:60, 300:380] = True
    source = photos.read(pixels[..., 0] if channels == 1 else pixels)
    photos.write(source, tmp_path / "photo.png")
    Image.fromarray(hole).save(tmp_path / "hole.png")
    task = batch.Task("photo", tmp_path / "photo.png", tmp_path / "hole.png", batch.Target(tmp_path / "fills", "photo"))
    batch.complete_photo(completer, task, batch.Options(n=2, uncertainty=True, texture="net"))
    fills = completer.complete(source, hole, n=2, texture="net")
    heat = np.asarray(sheet.heat_map(photos.to_pil(source), uncertainty(fills)))
    if channels != 4:  # the checkerboard under what is transparent begins anew in each strip
        assert np.array_equal(np.asarray(Image.open(tmp_path / "fills" / "photo_uncertainty.png")), heat)
    at_once = sheet.contact_sheet(photos.to_pil(source), hole, [fill.image for fill in fills], labels=["a", "b"])
    ours = sheet.contact_sheet(
        batch._Shown(Completion(source, 0, None, hole)), hole, [batch._Shown(fill) for fill in fills], labels=["a", "b"]
    )
    assert ours.size == at_once.size
    assert np.abs(np.asarray(ours, np.float32) - np.asarray(at_once)).mean() < 4  # noise, shrunk in another way
