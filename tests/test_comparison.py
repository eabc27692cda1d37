"""Each comparison end to end with tiny networks on generated photos, and what is measured and drawn by hand."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn import small_photos
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from manyfill import cli, comparison, weights
from manyfill.comparison import BASES, attention_of_photo, attention_picture, compare, figures, scores, variants
from manyfill.errors import ManyfillError
from manyfill.nets.attention import ATTENTIONS
from manyfill.nets.dfnet import DFNet, DFNetConfig
from manyfill.nets.picnet import PICNet, PICNetConfig
from manyfill.objectives import CVAE, Deterministic, DualPath, InstanceBlind, StructureTexture
from manyfill.recipes import RECIPES, Recipe

TINY = replace(
    RECIPES["tiny"],
    net=PICNetConfig(size=48, width=4, max_width=8, latent=4, levels=4, scales=3, infer_blocks=1),
    size=48,
    masks={"center": 1.0},
)
TINY_DFNET = replace(
    TINY,
    net=DFNetConfig(size=48, width=4, max_width=8, kernels=(3, 3, 3), fusion_levels=(0,)),
    objective=StructureTexture(weights={"reconstruction": 1.0}),
)
BASE: dict[str, Recipe] = {"strategies": TINY, "attention": TINY, "fusion-blocks": TINY_DFNET}
NAMES = {
    "strategies": ["deterministic", "cvae", "instance-blind", "dual-path"],
    "attention": ["short-long", "contextual", "none"],
    "fusion-blocks": ["0-blocks", "1-block", "3-blocks"],
}

pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def compared(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every comparison on four images."""
    folder = tmp_path_factory.mktemp("compared")
    for kind, base in BASE.items():
        compare(kind, [photos], folder / kind, budget=4, val=[photos], base=base)
    return {kind: folder / kind for kind in BASE}


# ── what is compared ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", sorted(BASES))
def test_a_variant_differs_from_the_base_in_one_field(kind: str) -> None:
    base = BASES[kind]
    for recipe in variants(kind, base).values():
        changed = {name for name, value in asdict(recipe).items() if value != asdict(base)[name]} - {"name"}
        assert changed <= ({"objective"} if kind == "strategies" else {"net"})
        if kind != "strategies":
            fields = asdict(recipe.net).items() - asdict(base.net).items()
            assert {name for name, _ in fields} <= {"attention", "fusion_levels"}


def test_the_strategies_take_over_the_dual_paths_weights() -> None:
    weights = {"kl_rec": 1.0, "kl_gen": 2.0, "appearance_rec": 3.0, "appearance_gen": 4.0, "adversarial_gen": 5.0}
    dual = DualPath(weights=weights, gan="hinge", kl_as_in_paper=True)
    found = {name: recipe.objective for name, recipe in variants("strategies", replace(TINY, objective=dual)).items()}
    none = {"hole": 0.0, "feature": 0.0}
    assert found == {
        "deterministic": Deterministic(weights={"appearance": 3.0, "adversarial": 5.0, **none}, gan="hinge"),
        "cvae": CVAE(weights={"kl": 2.0, "appearance": 3.0, "adversarial": 5.0, **none}, gan="hinge"),
        "instance-blind": InstanceBlind(
            weights={"kl": 1.0, "appearance": 4.0, "adversarial": 5.0}, gan="hinge", kl_as_in_paper=True
        ),
        "dual-path": dual,
    }


def test_fusion_blocks_sit_on_the_finest_levels() -> None:
    found = [recipe.net.fusion_levels for recipe in variants("fusion-blocks", BASES["fusion-blocks"]).values()]  # type: ignore[union-attr]
    assert found == [(), (0,), (0, 1, 2), (0, 1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("kind", "base", "says"),
    [
        ("strategies", TINY_DFNET, "DualPath objective"),
        ("attention", TINY_DFNET, "PICNet recipe"),
        ("fusion-blocks", TINY, "DFNet recipe"),
    ],
)
def test_a_base_without_the_field_is_refused(kind: str, base: Recipe, says: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ManyfillError, match=says):
        compare(kind, [photos], tmp_path / "out", budget=2, base=base)
    assert not (tmp_path / "out").exists()


# ── whole comparisons ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", sorted(BASE))
def test_a_comparison_has_a_row_and_a_run_for_each_variant(kind: str, compared: dict[str, Path]) -> None:
    out = compared[kind]
    report = json.loads((out / "table.json").read_text())
    assert [row["variant"] for row in report["rows"]] == NAMES[kind]
    page = (out / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0][2:] for line in page if line.startswith("| ") and line[2] != "|"] == NAMES[kind]
    for row in report["rows"]:
        assert (row["images_seen"], row["diverged"]) == (4, None)
        assert row["scores"].keys() >= {"psnr_hole", "l1_hole", "ssim_hole"}
        assert weights.load(out / row["variant"] / "model.safetensors").metadata["images_seen"] == "4"
    with Image.open(out / "figure.png") as figure:
        shown = 2  # photos
        assert figure.height > shown * len(NAMES[kind]) * 128 and figure.width > 6 * 128


def test_only_strategies_that_sample_are_scored_for_diversity(compared: dict[str, Path]) -> None:
    rows = {
        row["variant"]: row["scores"] for row in json.loads((compared["strategies"] / "table.json").read_text())["rows"]
    }
    assert "diversity_l1_hole" not in rows["deterministic"] and "best_psnr_hole" not in rows["deterministic"]
    for name in NAMES["strategies"][1:]:
        assert rows[name]["diversity_l1_hole"] > 0
        assert rows[name]["diversity_l1"] == pytest.approx(rows[name]["diversity_l1_hole"] / 4)  # the hole is a quarter
        assert rows[name]["best_psnr_hole"] > rows[name]["psnr_hole"]


def test_attention_is_measured_where_there_is_some(compared: dict[str, Path]) -> None:
    rows = {
        row["variant"]: row["scores"] for row in json.loads((compared["attention"] / "table.json").read_text())["rows"]
    }
    assert rows["contextual"]["on_known"] == pytest.approx(100)
    assert 1 <= rows["short-long"]["places"] <= 12 * 12
    assert "places" not in rows["none"]


def with_forward(recipe: Recipe, forward: Callable[..., Any]) -> Recipe:
    """The recipe with an objective of the same kind and values, whose forward pass is this one."""
    objective = recipe.objective
    kind = type(objective.__class__.__name__, (objective.__class__,), {"forward": forward})
    return replace(recipe, objective=kind(**vars(objective)))


def test_all_variants_are_trained_on_the_same_samples(photos: Path, tmp_path: Path) -> None:
    base = replace(TINY, masks={"boxes": 1.0, "strokes": 1.0})
    seen: dict[str, list[Any]] = {}

    def watched(name: str, recipe: Recipe) -> Recipe:
        def forward(self: Any, nets: Any, image: Any, hole: Any, noise: Any) -> Any:
            seen.setdefault(name, []).append((image.clone(), hole.clone()))
            return recipe.objective.forward(nets, image, hole, noise)

        return with_forward(recipe, forward)

    recipes = {name: watched(name, recipe) for name, recipe in variants("strategies", base).items()}
    report = compare("strategies", [photos], tmp_path, budget=4, val=[photos], base=base, recipes=recipes, seed=7)
    assert list(seen) == NAMES["strategies"] and len(seen["cvae"]) == 2
    for name in seen:
        for ours, theirs in zip(seen[name], seen["cvae"], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    other = comparison.fingerprint(replace(base, seed=8), [photos])
    assert report.about["samples"] == comparison.fingerprint(replace(base, seed=7), [photos]) != other


def test_the_same_call_goes_on_and_changes_nothing_where_all_is_done(
    compared: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    at_once, in_two = tmp_path / "a", tmp_path / "b"
    shutil.copytree(compared["fusion-blocks"], in_two)  # four images of eight
    started: list[str] = []

    def watch(name: str) -> Any:
        started.append(name)
        return comparison._silence(name)

    compare("fusion-blocks", [photos], at_once, budget=8, val=[photos], base=TINY_DFNET)
    second = compare("fusion-blocks", [photos], in_two, budget=8, val=[photos], base=TINY_DFNET, watch=watch)
    assert [row.images_seen for row in second.rows] == [8, 8, 8]
    assert started == NAMES["fusion-blocks"]
    for name in NAMES["fusion-blocks"]:
        ours, theirs = (weights.load(out / name / "model.safetensors").net for out in (at_once, in_two))
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):  # type: ignore[attr-defined]
            assert torch.equal(a, b)

    def written() -> dict[Path, int]:
        return {
            path: path.stat().st_mtime_ns for name in NAMES["fusion-blocks"] for path in (in_two / name).rglob("*.*t*")
        }

    before = written()
    assert {path.suffix for path in before} >= {".pt", ".safetensors"}
    again = compare("fusion-blocks", [photos], in_two, budget=8, val=[photos], base=TINY_DFNET)
    assert written() == before
    assert [row.scores for row in again.rows] == [row.scores for row in second.rows]


def test_a_folder_of_another_comparison_is_refused(compared: dict[str, Path], photos: Path) -> None:
    out = compared["fusion-blocks"]
    with pytest.raises(ManyfillError, match=r"another comparison \(kind: fusion-blocks there, attention here\)"):
        compare("attention", [photos], out, budget=4, base=TINY)
    with pytest.raises(ManyfillError, match="another comparison"):
        compare("fusion-blocks", [photos], out, budget=4, base=TINY_DFNET, seed=1)


def test_a_comparison_out_of_time_tells_what_it_has(photos: Path, tmp_path: Path) -> None:
    report = compare("fusion-blocks", [photos], tmp_path, budget=4, base=TINY_DFNET, max_minutes=0.0)
    assert not report.finished and [row.images_seen for row in report.rows] == [0, 0, 0]
    assert "| 0-blocks | – |" in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "figure.png").exists()


def test_a_variant_that_diverges_is_a_result(photos: Path, tmp_path: Path) -> None:
    steps = 0
    base = replace(TINY, checkpoint_every=4, workers=0)
    recipes = {name: recipe for name, recipe in variants("strategies", base).items() if name in ("cvae", "dual-path")}
    usual = recipes["cvae"].objective

    def forward(self: Any, *given: Any) -> Any:
        nonlocal steps
        steps += 1
        out = usual.forward(*given)
        if steps == 3:  # after the checkpoint at 4 images
            out.pictures[0].image.mul_(math.nan)
        return out

    recipes["cvae"] = with_forward(recipes["cvae"], forward)
    options: dict[str, Any] = {"budget": 8, "val": [photos], "base": base, "recipes": recipes}
    report = compare("strategies", [photos], tmp_path, **options)
    rows = {row.variant: row for row in report.rows}
    assert rows["cvae"].diverged is not None and "nan" in rows["cvae"].diverged
    assert rows["cvae"].images_seen == 4 and "psnr_hole" in rows["cvae"].scores
    assert rows["dual-path"].diverged is None and rows["dual-path"].images_seen == 8
    assert report.finished
    assert "**cvae diverged.** Stopped after 4 images" in (tmp_path / "table.md").read_text()
    again = compare("strategies", [photos], tmp_path, **options)
    assert again.rows[0].diverged == rows["cvae"].diverged, "what diverged is not trained again"
    assert steps == 3


# ── what is measured ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_scores_are_those_of_skimage_and_of_the_best_fill() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 16, 16, generator=generator)
    hole = torch.zeros(2, 1, 16, 16)
    hole[:, :, 4:12, 4:12] = 1
    fills = torch.stack([image + step * hole for step in (0.1, 0.2)])
    found = scores.measure(fills, image, hole)
    part = (slice(None), slice(4, 12), slice(4, 12))
    psnr = [peak_signal_noise_ratio(image[0][part].numpy(), fill[0][part].numpy(), data_range=1) for fill in fills]
    assert found["psnr_hole"] == pytest.approx(sum(psnr) / 2, rel=1e-5)
    assert found["best_psnr_hole"] == pytest.approx(max(psnr), rel=1e-5)
    assert found["l1_hole"] == pytest.approx(0.15 * 255, rel=1e-5) and found["best_l1_hole"] == pytest.approx(25.5)
    assert found["diversity_l1_hole"] == pytest.approx(25.5, rel=1e-5)
    assert found["diversity_l1"] == pytest.approx(25.5 / 4, rel=1e-5)


def test_a_fill_depends_on_its_seed_and_not_on_how_many_or_on_its_neighbours() -> None:
    torch.manual_seed(0)
    net = PICNet(replace(TINY.net, attention="none")).eval()  # type: ignore[arg-type]
    image, hole = torch.rand(3, 3, 32, 32), torch.ones(3, 1, 32, 32)
    three = scores.draw(net, image, hole, fills=3)
    torch.testing.assert_close(scores.draw(net, image[1:2], hole[1:2], fills=2), three[:2, 1:2], atol=1e-5, rtol=0)
    assert not torch.allclose(three[0], three[1])
    assert scores.draw(net, image, hole, fills=0).shape == (1, 3, 3, 32, 32)


def test_stability_is_that_of_the_second_half(tmp_path: Path) -> None:
    stats = tmp_path / "stats.jsonl"
    values = [(100, 9.0, 9.0), (200, 9.0, 9.0), (300, 1.0, 2.0), (400, 3.0, 2.0)]
    lines = [{"images_seen": n, "critic_gen": c, "appearance": a, "images_per_second": 10.0} for n, c, a in values]
    stats.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = scores.stability(stats)
    assert found == pytest.approx({"critic": 2.0, "critic_varies": 100 * math.sqrt(2) / 2, "appearance_varies": 0.0})
    assert scores.minutes(stats) == pytest.approx(40 / 60)
    assert scores.stability(tmp_path / "none.jsonl") == {}


def test_attention_on_one_place_of_the_known_part_is_one_place_there() -> None:
    class Stare(PICNet):
        def attention_map(self, encoded: Any, noise: Any, row: int, column: int) -> torch.Tensor:
            seen = torch.zeros(1, 32, 32)
            seen[:, :8, :8] = 0.75  # two places of 8 x 8 pixels, one of them in the hole
            seen[:, 16:24, 16:24] = 0.25
            return seen

    hole = torch.zeros(1, 1, 32, 32)
    hole[:, :, 16:, 16:] = 1
    found = scores.measure_attention(Stare(TINY.net).eval(), torch.rand(1, 3, 32, 32), hole, [(20, 20)])  # type: ignore[arg-type]
    assert found["on_known"] == pytest.approx(75)
    assert found["places"] == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))


# ── attention as pictures ─────────────────────────────────────────────────────────────────────────────────────────────


def picnet(attention: str = "contextual") -> PICNet:
    torch.manual_seed(0)
    return PICNet(replace(TINY.net, attention=attention, spectral_norm=False)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", sorted(ATTENTIONS))
def test_an_attention_picture_is_a_picture_with_a_mark_at_the_point(kind: str) -> None:
    image, hole = torch.full((1, 3, 32, 64), 0.5), torch.zeros(1, 1, 32, 64)
    hole[:, :, 8:24, 8:24] = 1
    drawn = attention_picture(picnet(kind), image, hole, 16, 12, side=256)
    assert (drawn.shape, drawn.dtype) == ((128, 256, 3), np.uint8)
    assert attention_picture(picnet(kind), image, hole, 16, 12).shape == (32, 64, 3)
    assert tuple(drawn[66, 50]) == figures.sheet.HOLE
    grey = drawn.astype(int).max(2) - drawn.astype(int).min(2) < 3
    assert grey[:, 128:].mean() == (1.0 if kind == "none" else 0.0), "only attention tints the known part"


def test_the_brightest_place_is_where_attention_looks_most() -> None:
    image, hole = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    hole[:, :, 12:20, 12:20] = 1
    net = picnet()
    seen = net.attention_map(net.encode(image, hole), None, 16, 16)[0]
    drawn = attention_picture(net, image, hole, 16, 16).astype(int)
    row, column = divmod(int(seen.argmax()), 32)
    yellow = drawn[..., 1] - drawn[..., 2]
    known = hole[0, 0].numpy() == 0
    assert yellow[row, column] >= np.quantile(yellow[known], 0.95)


@pytest.mark.parametrize(
    ("query", "expected"), [((0.5, 0.25), (20, 15)), ((1.0, 1.0), (39, 59)), ((0.0, 0.0), (0, 0)), (None, (9, 29))]
)
def test_a_query_is_a_share_of_the_sides_and_by_default_deep_in_the_hole(query: Any, expected: tuple[int, int]) -> None:
    hole = np.zeros((40, 60), bool)
    hole[5:15, 20:40] = True
    hole[39, 0] = True
    assert figures.point_of(hole, query) == expected


def test_a_models_attention_on_a_photo_of_any_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = weights.save(picnet(), tmp_path / "net.safetensors")
    rng = np.random.default_rng(0)
    photo, mask = Image.fromarray(rng.integers(0, 256, (90, 140, 3), dtype=np.uint8)), np.zeros((90, 140), np.uint8)
    mask[30:60, 40:80] = 255
    photo.save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    common = ["compare", "attention-map", str(tmp_path / "photo.png"), "--mask", str(tmp_path / "mask.png")]
    assert cli.run([*common, "--model", str(model)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'photo_attention.png'}\n"
    with Image.open(tmp_path / "photo_attention.png") as drawn:
        assert min(drawn.size) >= figures.MAP_SIDE * 0.6
    assert cli.run([*common, "--model", str(model), "--query", "0.5,2"]) == 2
    assert "--query is '0.5,2'; expected ROW,COL" in capsys.readouterr().err
    with pytest.raises(ManyfillError, match="too far from the hole"):
        attention_of_photo(model, photo.resize((1400, 900)), np.pad(mask, ((0, 810), (0, 1260))) > 0, (1.0, 1.0))
    deep = np.dstack([np.asarray(photo).astype(np.uint16) * 257, np.full((90, 140), 65535, np.uint16)])  # with alpha
    eight = attention_of_photo(model, photo, mask, (0.5, 0.4))
    assert np.abs(attention_of_photo(model, deep, mask, (0.5, 0.4)).astype(int) - eight).mean() < 1
    plain = weights.save(picnet("none"), tmp_path / "none.safetensors")
    deterministic = weights.save(DFNet(TINY_DFNET.net), tmp_path / "dfnet.safetensors")  # type: ignore[arg-type]
    for name in (plain, deterministic):
        with pytest.raises(ManyfillError, match="no attention"):
            attention_of_photo(name, photo, mask)
    with pytest.raises(ManyfillError, match="marks no hole"):
        attention_of_photo(model, photo, np.zeros_like(mask))


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_writes_table_and_figure(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.py"
    recipe.write_text(
        "from dataclasses import replace\nfrom manyfill.recipes import RECIPES\nfrom manyfill.nets.dfnet import "
        "DFNetConfig\nfrom manyfill.objectives import StructureTexture\nmine = replace(RECIPES['tiny'], "
        "net=DFNetConfig(size=48, width=4, max_width=8, kernels=(3, 3), fusion_levels=(0,)), "
        "objective=StructureTexture(weights={'reconstruction': 1.0}))\n"
    )
    out = tmp_path / "out"
    common = ["compare", "fusion-blocks", "--data", str(photos), "--base", f"{recipe}:mine", "-o", str(out)]
    assert cli.run([*common, "--budget", "2", "--show", str(photos / "0.png")]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(out / name) for name in ("table.md", "table.json", "figure.png")]
    assert "no --val" in said.err
    assert cli.run([*common, "--budget", "4", "--max-minutes", "0", "--val", str(photos)]) == 0
    assert "the same command goes on" in capsys.readouterr().err


def test_an_unknown_comparison_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManyfillError, match="There are: strategies, attention, fusion-blocks"):
        compare("losses", [], tmp_path, budget=1)
