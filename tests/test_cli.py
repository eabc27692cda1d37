"""The command line as people and programs use it: every command, what it writes, exit codes, one-line errors."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from limited import Limited
from PIL import Image

from manyfill import cli, fetchables, masks, photos, plugins, weights, zoo
from manyfill.cli import COMMANDS, run
from manyfill.cli.options import parse_size, parse_texture
from manyfill.completer.drawing import DRAWERS
from manyfill.errors import ManyfillError
from manyfill.fillers import FILLERS
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.picnet import PICNet, PICNetConfig

TINY = PICNetConfig(size=32, width=8, max_width=8, latent=4, levels=4, scales=2, infer_blocks=1)
TINY_DFNET = DFNetConfig(size=32, width=4, max_width=8, kernels=(3, 3, 3), fusion_levels=(0, 1))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return weights.save(PICNet(TINY), tmp_path_factory.mktemp("models") / "tiny.safetensors")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photo.jpg, photo.png and hole.png, where the command is run."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((40, 28), Image.Resampling.BICUBIC)
    photo.save("photo.jpg", quality=90)
    photo.save("photo.png")
    hole = np.zeros((28, 40), dtype=np.uint8)
    hole[8:18, 10:24] = 255
    Image.fromarray(hole).save("hole.png")
    return tmp_path


class Outcome:
    """Exit code and what was printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def manyfill(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*args: object) -> Outcome:
        code = run([str(arg) for arg in args])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture
def fill(manyfill: Callable[..., Outcome], model: Path) -> Callable[..., Outcome]:
    """`manyfill complete` with the tiny model, or another one that is named."""

    def call(*args: object) -> Outcome:
        named = () if "--model" in args else ("--model", model)
        return manyfill("complete", *args, *named, "--texture", "net", "--device", "cpu")

    return call


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# ── complete: one photo ──────────────────────────────────────────────────────────────────────────────────────────────


def test_one_fill_goes_beside_the_photo_and_the_photo_stays(here: Path, fill: Callable[..., Outcome]) -> None:
    before = Path("photo.jpg").read_bytes()
    done = fill("photo.jpg", "--mask", "hole.png")
    assert done.code == 0
    assert names_in(here) == {"photo.jpg", "photo.png", "hole.png", "photo_filled.jpg"}
    assert Path("photo.jpg").read_bytes() == before
    assert done.out.split() == ["photo_filled.jpg"]
    assert photos.read("photo_filled.jpg").pixels.shape == (28, 40, 3)
    first = Path("photo_filled.jpg").read_bytes()
    assert fill("photo.jpg", "--mask", "hole.png").code == 0  # an output of ours is replaced
    assert Path("photo_filled.jpg").read_bytes() == first


def test_several_fills_go_to_a_folder_with_sheet_and_sidecar(here: Path, fill: Callable[..., Outcome]) -> None:
    done = fill("photo.png", "--mask", "hole.png", "-n", 3, "-o", "out/", "--seed", 7, "--uncertainty", "--explain")
    assert done.code == 0, done.err
    assert names_in(here / "out") == {
        "photo_1.png", "photo_2.png", "photo_3.png", "photo_sheet.png", "photo_uncertainty.png", "photo_explain.png",
        "photo.json",
    }  # fmt: skip
    hole = np.asarray(Image.open("hole.png")) > 0
    known = [np.asarray(Image.open(f"out/photo_{rank}.png"))[~hole] for rank in (1, 2, 3)]
    assert all((pixels == np.asarray(Image.open("photo.png"))[~hole]).all() for pixels in known)
    fills = {np.asarray(Image.open(f"out/photo_{rank}.png"))[hole].tobytes() for rank in (1, 2, 3)}
    assert len(fills) == 3
    assert json.loads(Path("out/photo.json").read_text())["options"]["seed"] == 7


def test_without_o_several_fills_go_to_the_folder_fills(here: Path, fill: Callable[..., Outcome]) -> None:
    assert fill("photo.png", "--mask", "hole.png", "-n", 2, "--no-sheet").code == 0
    assert names_in(here / "fills") == {"photo_1.png", "photo_2.png", "photo.json"}


def test_o_names_a_file_or_a_folder(here: Path, fill: Callable[..., Outcome]) -> None:
    assert fill("photo.png", "--mask", "hole.png", "-o", "new/out.jpg").code == 0
    assert photos.read("new/out.jpg").format == "jpeg"
    assert fill("photo.png", "--mask", "hole.png", "-o", "some", "--no-sheet").code == 0
    assert names_in(here / "some") == {"photo_1.png", "photo.json"}


@pytest.mark.parametrize(("format", "kind"), [("png", "png"), ("jpg", "jpeg"), ("webp", "webp"), ("tiff", "tiff")])
def test_format_decides_suffix_and_content(here: Path, fill: Callable[..., Outcome], format: str, kind: str) -> None:
    assert fill("photo.png", "--mask", "hole.png", "--format", format).code == 0
    assert photos.read(f"photo_filled.{format}").format == kind


def test_the_photos_own_transparency_can_be_the_hole(here: Path, fill: Callable[..., Outcome]) -> None:
    pixels = np.full((28, 40, 4), 255, dtype=np.uint8)
    pixels[8:18, 10:24] = 0
    Image.fromarray(pixels, "RGBA").save("cut.png")
    done = fill("cut.png", "--polarity", "alpha")
    assert done.code == 0, done.err
    assert np.asarray(Image.open("cut_filled.png"))[..., 3].min() == 255


def test_jpeg_output_is_remarked_once_a_run_and_png_not(here: Path, fill: Callable[..., Outcome]) -> None:
    done = fill("photo.jpg", "--mask", "hole.png", "-n", 2)
    assert done.err.count("JPEG re-encodes") == 1
    assert "JPEG" not in fill("photo.jpg", "--mask", "hole.png", "--format", "png").err


def test_a_deterministic_net_makes_one_fill_and_says_so(here: Path, fill: Callable[..., Outcome]) -> None:
    weights.save(DFNet(TINY_DFNET), here / "net.safetensors")
    done = fill("photo.png", "--mask", "hole.png", "-n", 3, "--model", "net.safetensors")
    assert done.code == 0, done.err
    assert "photo_1.png" in names_in(here / "fills") and "photo_2.png" not in names_in(here / "fills")
    assert "3 fills were asked for and 1 fill made: 'net' is deterministic" in done.err


def test_an_empty_mask_gives_the_photo_back_and_a_remark(here: Path, fill: Callable[..., Outcome]) -> None:
    Image.new("L", (40, 28)).save("nothing.png")
    done = fill("photo.png", "--mask", "nothing.png")
    assert done.code == 0
    assert "marks nothing to fill" in done.err
    assert (np.asarray(Image.open("photo_filled.png")) == np.asarray(Image.open("photo.png"))).all()


def test_json_prints_one_object_per_fill_and_nothing_else_on_stdout(here: Path, fill: Callable[..., Outcome]) -> None:
    done = fill("photo.png", "--mask", "hole.png", "-n", 2, "-o", "out", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["rank"] for line in lines] == [1, 2]
    for line in lines:
        assert Path(line["file"]).is_file()
        assert set(line) > {"photo", "seed", "score", "model", "model_sha256", "hole_ratio", "height", "width"}


def test_an_interrupt_leaves_no_half_file_and_exits_130(
    here: Path, fill: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def interrupted(source: str, target: str) -> None:
        if str(target).endswith("_2.png"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    done = fill("photo.png", "--mask", "hole.png", "-n", 3, "-o", "out")
    assert (done.code, done.err.strip().splitlines()[-1]) == (130, "interrupted")
    assert names_in(here / "out") == {"photo_1.png"}


# ── complete: folders ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_completed_resumed_and_its_failures_are_listed(here: Path, fill: Callable[..., Outcome]) -> None:
    for name in ("in/a.png", "in/sub/b.png", "in/sub/c.png", "holes/a.png", "holes/sub/b.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(Path("photo.png" if name.startswith("in") else "hole.png").read_bytes())
    done = fill("in", "--mask", "holes", "-o", "out", "--json")
    assert done.code == 1
    assert "2 done, 1 failed" in done.err
    assert done.err.splitlines()[-1].startswith("failed: sub/c.png: no mask sub/c.* in holes")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert {line.get("file", "error") for line in lines} == {"out/a_1.png", "out/sub/b_1.png", "error"}
    assert names_in(here / "out") == {"a_1.png", "a.json", "sub/b_1.png", "sub/b.json", "manifest.jsonl"}
    Path("holes/sub/c.png").write_bytes(Path("hole.png").read_bytes())
    done = fill("in", "--mask", "holes", "-o", "out")
    assert done.code == 0
    assert "1 done, 2 done before" in done.err
    assert done.out.split() == ["out/sub/c_1.png", "out/sub/c.json"]


def test_a_dry_run_lists_what_would_be_done_and_writes_nothing(here: Path, fill: Callable[..., Outcome]) -> None:
    for name in ("in/a.png", "in/sub/b.png", "in/sub/c.jpg", "holes/a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(Path("photo.png" if name.startswith("in") else "hole.png").read_bytes())
    done = fill("in", "--mask", "holes", "-o", "out", "--dry-run", "--only", "*.png")
    assert done.code == 1
    assert done.out.splitlines() == ["in/a.png  mask holes/a.png  to out/a_*"]
    assert "will fail: sub/b.png: no mask sub/b.* in holes" in done.err
    assert done.err.splitlines()[-1] == "1 to do, 0 done before, 1 that will fail; nothing was written"
    assert not Path("out").exists()


def test_what_was_painted_in_a_colour_is_filled(here: Path, fill: Callable[..., Outcome]) -> None:
    pixels = np.asarray(Image.open("photo.png").convert("RGB")).copy()
    pixels[4:12, 6:20] = 255, 0, 255
    Image.fromarray(pixels).save("painted.png")
    assert fill("painted.png", "--mask-colour", "#ff00ff", "-o", "out.png").code == 0
    changed = (np.asarray(Image.open("out.png")) != pixels).any(axis=-1)
    assert changed[4:12, 6:20].all()
    changed[4:12, 6:20] = False
    assert not changed.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mask-colour", "pink"), "expected six hexadecimal digits"),
        (("--mask-colour", "#ff00ff", "--polarity", "black"), "both say what the hole looks like"),
        (("--mask", "hole.png", "--workers", 2), "--workers is for a folder"),
        (("--mask", "hole.png", "--dry-run"), "--dry-run is for a folder"),
        (("--mask", "hole.png", "--ray", "auto"), "--ray is for a folder"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    here: Path, fill: Callable[..., Outcome], options: tuple[object, ...], message: str
) -> None:
    done = fill("photo.png", *options)
    assert done.code == 2
    assert message in done.err


def test_what_a_photo_lost_is_said_once_and_noted_in_sidecar_and_json(here: Path, fill: Callable[..., Outcome]) -> None:
    Path("in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.open("photo.jpg").convert("CMYK").save(Path("in", name))
    done = fill("in", "--mask", "hole.png", "-n", 2, "-o", "out", "--json")
    assert done.code == 0, done.err
    for name in ("a", "b"):
        assert done.err.count(f"note: {name}.jpg: CMYK was converted") == 1
        (said, again) = json.loads(Path("out", f"{name}.json").read_text())["notes"]
        assert said.startswith("CMYK") and again.startswith("JPEG re-encodes")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) == 4 and all(line["notes"] == [said, again] for line in lines)


def test_a_folder_of_jpegs_is_remarked_once(here: Path, fill: Callable[..., Outcome]) -> None:
    Path("in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Path("in", name).write_bytes(Path("photo.jpg").read_bytes())
    done = fill("in", "--mask", "hole.png", "-o", "out")
    assert done.code == 0
    assert done.err.count("JPEG re-encodes") == 1


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("photo.png", "Give --mask hole.png (white = fill), or --polarity alpha"),
        ("photo.png --polarity alpha", "has no alpha channel"),
        ("missing.png --mask hole.png", "'missing.png' does not exist"),
        ("photo.png --mask missing.png", "'missing.png' does not exist"),
        ("photo.png --mask .", "is a folder"),
        (". --mask hole.png", "say which folder its fills go to: -o DIR"),
        (". --mask hole.png -o hole.png", "-o hole.png is a file"),
        ("photo.png --mask hole.png -n 0", "'-n'"),
        ("photo.png --mask hole.png -n 65", "'-n'"),
        ("photo.png --mask hole.png -n 2 -o out.png", "-n asks for 2 fills"),
        ("photo.png --mask hole.png -o out.gif", "cannot write out.gif"),
        ("photo.png --mask hole.png -o out.png --format jpg", "disagree"),
        ("photo.png --mask hole.png -o photo.png", "never overwritten"),
        ("photo.png --mask hole.png -o hole.png", "never overwritten"),
        ("photo.png --mask hole.png --uncertainty", "at least -n 2"),
        ("photo.png --mask hole.png --diversity 3", "--diversity"),
        ("photo.png --mask hole.png --grow -1", "--grow"),
        ("photo.png --mask hole.png --max-memory much", "Write it as 4G or 512M"),
        ("photo.png --mask hole.png --engine warp", "--engine"),
        ("photo.png --mask hole.png --polarity red", "--polarity"),
        ("photo.png --mask hole.png --nonsense", "No such option: --nonsense"),
        ("photo.png --mask photo.png", "mask photo.png"),
        ("text.png --mask hole.png", "text.png"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do_and_exits_2(
    here: Path, fill: Callable[..., Outcome], args: str, message: str
) -> None:
    Path("text.png").write_text("this is no picture")
    before = names_in(here)
    done = fill(*args.split())
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ") and len(done.err.strip().splitlines()) == 1, done.err
    assert message in done.err
    assert names_in(here) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("nonsense", "No such command 'nonsense'"),
        ("complete", "Missing argument"),
        ("complete photo.png --mask hole.png --model pluralistik-fusion", "no model 'pluralistik-fusion'"),
        ("complete photo.png --mask hole.png --model none.safetensors", "none.safetensors"),
        ("complete photo.png --mask hole.png --model photo.png", "photo.png"),
        ("import", "Missing command"),
        ("import dfnet photo.png -o mine.safetensors", "photo.png"),
        ("import dfnet photo.png -o mine.pth", "must end in .safetensors"),
        ("import dfnet missing.pth -o mine.safetensors", "does not exist"),
        ("masks --kind stroke -o out", "Did you mean 'strokes'?"),
        ("masks --size 0 -o out", "--size"),
        ("masks --size 3by4 -o out", "--size"),
        ("replay missing.json -o again", "there is no sidecar missing.json"),
        ("replay photo.png -o again", "is not a sidecar"),
        ("train --recipe tyny --data . --out r", "Did you mean 'tiny'?"),
    ],
)
def test_mistakes_with_other_commands_are_one_line_too(
    here: Path, manyfill: Callable[..., Outcome], args: str, message: str
) -> None:
    done = manyfill(*args.split())
    assert done.code == 2
    assert done.err.startswith("error: ") and len(done.err.strip().splitlines()) == 1, done.err
    assert message in done.err
    assert not (here / "mine.safetensors").exists()


def test_debug_shows_the_traceback_wherever_it_stands(here: Path, manyfill: Callable[..., Outcome]) -> None:
    mistake = ("complete", "photo.png", "--mask", "hole.png", "--model", "none.safetensors")
    for args in (("--debug", *mistake), (*mistake, "--debug")):
        done = manyfill(*args)
        assert done.code == 2
        assert "Traceback" in done.err and done.err.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in manyfill(*mistake).err


def test_a_fault_of_the_program_is_one_line_that_names_debug(
    here: Path, manyfill: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv(plugins.FILES, "")  # put back afterwards: data processes of other tests would load it again
    request.addfinalizer(lambda: DRAWERS.pop("faulty", None))
    (here / "faulty.py").write_text(
        "from manyfill import plugins\n"
        "def make(device): raise ZeroDivisionError('division\\nby zero')\n"
        "plugins.add_drawer('faulty', make)\n"
    )
    done = manyfill("complete", "photo.png", "--mask", "hole.png", "--plugin", "faulty.py", "--model", "faulty")
    assert done.code == 2
    assert done.err.startswith("error: ZeroDivisionError: division by zero.") and "--debug" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [("4G", 4 << 30), ("512M", 512 << 20), ("1.5gb", 3 << 29), ("2GiB", 2 << 30), ("64k", 1 << 16), ("1000", 1000)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "0", "4X", "4 potatoes", "nan", "inf", "1e999"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ManyfillError, match="--max-memory"):
        parse_size(text)


def test_texture_is_a_word_or_a_share() -> None:
    assert [parse_texture(text) for text in ("auto", "net", "photo", "0", "0.5", "1")] == [
        "auto",
        "net",
        "photo",
        0,
        0.5,
        1,
    ]
    for text in ("", "1.5", "-0.1", "nan", "paint"):
        with pytest.raises(ManyfillError, match="--texture"):
            parse_texture(text)


# ── replay ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_replay_makes_every_file_again_byte_for_byte(
    here: Path, fill: Callable[..., Outcome], manyfill: Callable[..., Outcome]
) -> None:
    assert fill("photo.jpg", "--mask", "hole.png", "-n", 2, "-o", "out", "--uncertainty", "--band", 2).code == 0
    done = manyfill("replay", "out/photo.json", "-o", "again/")
    assert done.code == 0, done.err
    assert "2 fills, byte for byte as recorded" in done.err
    assert {name: (here / "again" / name).read_bytes() for name in names_in(here / "again")} == {
        name: (here / "out" / name).read_bytes() for name in names_in(here / "out")
    }


def test_replay_says_what_is_missing_or_changed_and_takes_new_places(
    here: Path, fill: Callable[..., Outcome], manyfill: Callable[..., Outcome]
) -> None:
    assert fill("photo.png", "--mask", "hole.png", "-o", "out").code == 0
    Path("photo.png").rename("moved.png")
    done = manyfill("replay", "out/photo.json", "-o", "again")
    assert done.code == 2 and "photo.png is no longer there" in done.err and "--photo PATH" in done.err
    record = json.loads(Path("out/photo.json").read_text())
    record["photo"]["file"] = "s3://bucket/photos/photo.png"  # as a cluster's fills have it
    Path("out/far.json").write_text(json.dumps(record))
    done = manyfill("replay", "out/far.json", "-o", "again")
    assert done.code == 2 and "was at s3://bucket/photos/photo.png. Fetch it" in done.err
    assert manyfill("replay", "out/photo.json", "-o", "again", "--photo", "moved.png").code == 0
    Image.new("RGB", (40, 28)).save("photo.png")
    done = manyfill("replay", "out/photo.json", "-o", "again")
    assert done.code == 2 and "photo.png has changed" in done.err
    done = manyfill("replay", "out/photo.json", "-o", "out")
    assert done.code == 2 and "Name another folder" in done.err


def test_replay_exits_1_and_says_why_where_the_bytes_differ(
    here: Path, fill: Callable[..., Outcome], manyfill: Callable[..., Outcome]
) -> None:
    assert fill("photo.png", "--mask", "hole.png", "-o", "out").code == 0
    record = json.loads(Path("out/photo.json").read_text())
    record["fills"][0]["sha256"], record["version"] = "0" * 64, "0.0.1"
    Path("out/photo.json").write_text(json.dumps(record))
    done = manyfill("replay", "out/photo.json", "-o", "again")
    assert done.code == 1
    assert "failed: photo_1.png: not the recorded bytes (manyfill 0.0.1 then" in done.err


@pytest.mark.parametrize("damaged", ["photo.jpg", "hole.jpg"])
def test_strict_refuses_what_is_else_filled_with_a_note(here: Path, fill: Callable[..., Outcome], damaged: str) -> None:
    Image.open("hole.png").save("hole.jpg", quality=95)
    assert fill("photo.jpg", "--mask", "hole.jpg", "--strict", "-o", "whole.jpg").code == 0
    Path(damaged).write_bytes(Path(damaged).read_bytes()[:-2])
    refused = fill("photo.jpg", "--mask", "hole.jpg", "--strict", "-o", "strict.jpg")
    assert refused.code == 2 and damaged in refused.err and "the file is cut off" in refused.err
    assert len(refused.err.splitlines()) == 1 and not Path("strict.jpg").exists()
    filled = fill("photo.jpg", "--mask", "hole.jpg", "-o", "lenient.jpg")
    assert filled.code == 0 and Path("lenient.jpg").exists()
    whose = {"photo.jpg": "The file", "hole.jpg": "The mask's file"}[damaged]
    assert f"note: photo.jpg: {whose} ends too early" in filled.err or f"note: {whose} ends" in filled.err


def test_a_name_that_grows_too_long_is_said_with_what_to_do(here: Path, fill: Callable[..., Outcome]) -> None:
    long = "x" * 250 + ".png"
    Path("photo.png").rename(long)
    done = fill(long, "--mask", "hole.png")
    assert done.code == 2 and "is too long for this disk. Name the output yourself: -o FILE." in done.err
    assert fill(long, "--mask", "hole.png", "-o", "short.png").code == 0


# ── the others ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_masks_are_white_where_filled_and_each_is_drawn_again_by_its_seed(
    here: Path, manyfill: Callable[..., Outcome]
) -> None:
    args = ("masks", "--kind", "thick", "--count", 3, "--size", "64x48", "--seed", 5)
    assert manyfill(*args, "-o", "one").code == 0
    rows = list(csv.DictReader(Path("one/manifest.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == ["thick_0000.png", "thick_0001.png", "thick_0002.png"]
    assert [row["seed"] for row in rows] == ["5", "6", "7"]
    for row in rows:
        hole = masks.read_hole(Path("one") / row["file"], size=(48, 64))
        assert masks.ratio(hole) == pytest.approx(float(row["hole_ratio"]), abs=1e-6)
        drawn = masks.KINDS["thick"](48, 64, np.random.default_rng(int(row["seed"])))
        assert np.array_equal(hole, drawn[0, 0].numpy() > 0)
    assert manyfill(*args, "-o", "two").code == 0
    assert {name: (here / "one" / name).read_bytes() for name in names_in(here / "one")} == {
        name: (here / "two" / name).read_bytes() for name in names_in(here / "two")
    }


def test_masks_spares_what_it_did_not_write(here: Path, manyfill: Callable[..., Outcome]) -> None:
    args = ("masks", "--kind", "box", "--count", 2, "--size", 32, "-o", "out")
    Path("out").mkdir()
    Path("out/manifest.csv").write_text("mine")
    refused = manyfill(*args)
    assert refused.code == 2 and "manifest.csv is there already" in refused.err and "--force" in refused.err
    assert names_in(here / "out") == {"manifest.csv"} and Path("out/manifest.csv").read_text() == "mine"
    Path("out/manifest.csv").unlink()
    Path("out/box_0001.png").write_bytes(b"mine")
    refused = manyfill(*args)
    assert refused.code == 2 and "box_0001.png is there already" in refused.err
    assert names_in(here / "out") == {"box_0001.png"} and Path("out/box_0001.png").read_bytes() == b"mine"
    assert manyfill(*args, "--force").code == 0 and Path("out/box_0001.png").read_bytes()[:4] == b"\x89PNG"

    assert manyfill(*args, "--seed", 9).code == 0  # its own, of another seed
    Path("out/box_0000.png").write_bytes(b"painted on")
    assert manyfill(*args).code == 2 and Path("out/box_0000.png").read_bytes() == b"painted on"
    Path("out/box_0000.png").unlink()
    Path("out/box_0000.png").symlink_to(here / "hole.png")
    assert manyfill(*args).code == 2 and Path("out/box_0000.png").is_symlink()


def test_masks_of_several_runs_share_a_folder_and_its_manifest(here: Path, manyfill: Callable[..., Outcome]) -> None:
    for kind, seed in (("box", 3), ("thin", 4), ("box", 5)):
        assert manyfill("masks", "--kind", kind, "--size", 32, "-o", "out", "--seed", seed).code == 0
    rows = list(csv.DictReader(Path("out/manifest.csv").read_text().splitlines()))
    assert [(row["file"], row["seed"]) for row in rows] == [("box_0000.png", "5"), ("thin_0000.png", "4")]
    for row in rows:
        assert hashlib.sha256(Path("out", row["file"]).read_bytes()).hexdigest() == row["sha256"]


def test_a_killed_run_of_masks_is_made_again(here: Path, manyfill: Callable[..., Outcome]) -> None:
    args = ("masks", "--kind", "box", "--count", 2, "--size", 32, "-o", "out")
    assert manyfill(*args).code == 0
    Path("out/manifest.csv").unlink()  # it is written last
    Path("out/box_0001.png").unlink()
    assert manyfill(*args).code == 0 and len(names_in(here / "out")) == 3


def test_the_help_of_masks_names_every_kind(manyfill: Callable[..., Outcome]) -> None:
    text = manyfill("masks", "--help").out.replace("\n", " ")
    assert not [kind for kind in masks.KINDS if kind not in text and not kind.startswith("bin")]
    assert "bin1 ... bin6" in " ".join(text.split()) and {"bin1", "bin6"} < set(masks.KINDS)


def test_models_lists_what_is_installed(
    manyfill: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = zoo.Pretrained(
        name="some-net", file="some.safetensors", sha256="ab" * 32, family="picnet", licence="CC-BY-4.0",
        trained_on="photos of things", images_seen=12345, size=3_400_000, measured={"psnr": 21.5},
    )  # fmt: skip
    monkeypatch.setitem(zoo.ZOO, entry.name, entry)
    text = manyfill("models").out
    for expected in ("some-net", "3.4 MB", "CC-BY-4.0", "photos of things", "12,345", "psnr 21.5", str(entry.path)):
        assert expected in text
    assert "MISSING" in text
    listing = {model["name"]: model for model in json.loads(manyfill("models", "--json").out)}
    assert set(listing) == {*zoo.ZOO, *FILLERS, *fetchables.models()}
    listed = listing["some-net"]
    assert listed["installed"] is False and listed["path"] == str(entry.path) and listed["measured"] == {"psnr": 21.5}


def test_models_are_measured_in_words(manyfill: Callable[..., Outcome]) -> None:
    text = " ".join(manyfill("models").out.split())
    assert re.search(
        r"PSNR \d\d\.\d\d dB in the hole, mean error \d\d\.\d of 255 in the hole, two fills differ by", text
    )
    assert "hole_" not in text
    assert "migan MI-GAN" in text and "MIT, © 2024 Picsart AI Research" in text


WRONG = {
    "a photo that is not there": (("nope.png", "--mask", "hole.png"), "'nope.png' does not exist"),
    "a mask that is not there": (("photo.png", "--mask", "nope.png"), "'nope.png' does not exist"),
    "a mask of another size": (
        ("photo.png", "--mask", "tall.png"),
        "mask tall.png is 28x40 but the photo is 40x28",
    ),
    "a photo that is none": (("text.jpg", "--mask", "hole.png"), "text.jpg is not a photo of a known format"),
    "a mask that is none": (("photo.png", "--mask", "text.jpg"), "text.jpg is not a photo of a known format"),
    "an empty file": (("empty.png", "--mask", "hole.png"), "empty.png is empty"),
    "a model's name": (("photo.png", "--mask", "hole.png", "--model", "pluralistik"), "Did you mean 'pluralistic'?"),
    "a model not fetched": (("photo.png", "--mask", "hole.png", "--model", "migan"), "manyfill fetch migan"),
    "a model's file": (("photo.png", "--mask", "hole.png", "--model", "x.onnx"), "there is no model file x.onnx"),
    "a texture": (("photo.png", "--mask", "hole.png", "--texture", "2"), "--texture is '2'"),
    "a size": (("photo.png", "--mask", "hole.png", "--max-memory", "big"), "--max-memory 'big' is not a size"),
    "a colour": (("photo.png", "--mask-colour", "#12"), "'#12' is not a colour"),
    "a seed": (("photo.png", "--mask", "hole.png", "--seed", str(2**63)), "seed is 9223372036854775808; expected 0 to"),
}


ANSWER = """
import numpy, PIL.Image
from manyfill import cli
from manyfill.cli import complete

def answer(cache, folder, *args):
    os.environ["MANYFILL_CACHE"] = cache
    os.chdir(folder)
    code = cli.run(["complete", *args])
    print(code, "torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def limited() -> Iterator[Limited]:
    """The command in a process without torch: a fork of it for each question."""
    pytest.importorskip("resource")
    with Limited(ANSWER, seconds=60, memory=2 << 30) as limited:
        yield limited


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_before_torch_is_loaded(what: str, here: Path, limited: Limited) -> None:
    args, message = WRONG[what]
    Image.open("hole.png").rotate(90, expand=True).save("tall.png")
    Path("text.jpg").write_text("no picture at all")
    Path("empty.png").write_bytes(b"")
    said, ended = limited(os.environ["MANYFILL_CACHE"], str(here), *args).splitlines()
    assert said.startswith("error: ") and message in said
    assert ended == "2 False"


def test_a_photo_turned_by_its_exif_fits_the_mask_that_is_seen(fill: Callable[..., Outcome], here: Path) -> None:
    picture = Image.open("photo.png").rotate(90, expand=True)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.convert("RGB").save("turned.jpg", exif=exif)
    assert fill("turned.jpg", "--mask", "hole.png").code == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [("manyfill comp", {"complete", "compare"}), ("manyfill complete --eng", {"--engine"}),
     ("manyfill complete --model pl", {"pluralistic", "pluralistic-fusion", "pluralistic-migan"})],
)  # fmt: skip
def test_a_shell_completes_commands_options_and_models(words: str, expected: set[str]) -> None:
    asked = {"_MANYFILL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    program = "from manyfill.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **asked})
    assert set(done.stdout.split()) == expected


def test_import_names_the_tensor_that_is_missing(here: Path, manyfill: Callable[..., Outcome]) -> None:
    torch.save({"nothing.like.it": torch.zeros(1)}, "net.pth")
    done = manyfill("import", "picnet", "--encoder", "net.pth", "--generator", "net.pth", "-o", "mine.safetensors")
    assert done.code == 2
    assert done.err.startswith("error: ") and len(done.err.splitlines()) == 1
    assert "missing block0.conv1.module.weight_bar" in done.err
    assert not Path("mine.safetensors").exists()


def test_import_spares_a_file_that_it_did_not_write(here: Path, manyfill: Callable[..., Outcome]) -> None:
    torch.save({"nothing.like.it": torch.zeros(1)}, "net.pth")
    Path("mine.safetensors").write_bytes(b"mine")
    for args in (("picnet", "--encoder", "net.pth", "--generator", "net.pth"), ("dfnet", "net.pth")):
        refused = manyfill("import", *args, "-o", "mine.safetensors")
        assert refused.code == 2 and "mine.safetensors is there already" in refused.err and "--force" in refused.err
        assert "is there already" not in manyfill("import", *args, "-o", "mine.safetensors", "--force").err
        assert Path("mine.safetensors").read_bytes() == b"mine"  # the checkpoint is none


def test_train_shows_a_recipe_and_trains_nothing_when_dry(here: Path, manyfill: Callable[..., Outcome]) -> None:
    done = manyfill("train", "--recipe", "tiny", "--data", ".", "--out", "run", "--dry-run", "--images", 4)
    assert done.code == 0, done.err
    recipe = json.loads(done.out)
    assert (recipe["name"], recipe["images"], recipe["objective"]["kind"]) == ("tiny", 4, "DualPath")
    assert "3 photos" in done.err and not Path("run").exists()
    Path("mine.py").write_text(
        "from dataclasses import replace\nfrom manyfill.recipes import RECIPES\n"
        "mine = replace(RECIPES['tiny'], size=60)\n"
    )
    done = manyfill("train", "--recipe", "mine.py:mine", "--data", ".", "--out", "run", "--dry-run")
    assert done.code == 2 and "multiple of 8" in done.err


def test_the_list_of_commands_has_a_file_and_a_one_line_help_for_each(manyfill: Callable[..., Outcome]) -> None:
    text = manyfill("--help").out
    for name, (module, help) in COMMANDS.items():
        assert f"  {name} " in text and help in text
        assert (Path(cli.__file__).with_name(f"{module}.py")).is_file()
        assert manyfill(name, "--help").out.startswith(f"Usage: manyfill {name} ")
    assert manyfill().out == text
    assert manyfill("--version").out.startswith("manyfill 0.")


def test_a_wrong_command_is_asked_about_in_one_sentence(manyfill: Callable[..., Outcome]) -> None:
    done = manyfill("compleet")
    assert done.code == 2 and "Did you mean 'complete', 'compare'? See: manyfill --help" in done.err


def test_a_mask_that_is_no_picture_is_called_the_mask(here: Path, manyfill: Callable[..., Outcome]) -> None:
    Path("notes.txt").write_text("no picture")
    done = manyfill("complete", "photo.png", "--mask", "notes.txt")
    assert done.code == 2 and "mask notes.txt is not a photo of a known format" in done.err
