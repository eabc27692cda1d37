"""The papers' comparisons, each on an equal budget: strategies and attention (PICNet), fusion blocks (DFNet).

`compare` trains the variants one after the other with `training.train`, then scores and draws them. Every variant
sees the same samples: item i of the data depends on the seed and i alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from manyfill import __version__, files, masks, photos, training, weights
from manyfill.comparison import figures, scores
from manyfill.comparison.figures import Query, attention_of_photo, attention_picture
from manyfill.comparison.variants import BASES, variants
from manyfill.data import NO_AUGMENTATION, Samples, open_photos
from manyfill.errors import ManyfillError
from manyfill.metrics import METRICS
from manyfill.nets import CompletionNet
from manyfill.nets.picnet import PICNet
from manyfill.objectives import Deterministic
from manyfill.recipes import Recipe
from manyfill.training.step import Diverged

__all__ = ["BASES", "FILES", "Query", "Report", "Row", "attention_of_photo", "attention_picture", "compare", "variants"]

Watch = Callable[[str], AbstractContextManager[Callable[[int, int, Mapping[str, float]], None]]]

FILES = ("comparison.json", "table.md", "table.json", "figure.png")
FILLS = 8  # per photo, where a variant samples
PHOTOS = 64  # scored at most
SHOWN = 2  # photos in the figure, where none are named
SEED = 1  # of the holes and squares that are scored and shown: the same for all, whatever the training seed


@dataclass(frozen=True)
class Row:
    """What came of one variant."""

    variant: str
    images_seen: int  # of the weights that were scored; 0 where there are none
    minutes: float  # in training steps
    diverged: str | None  # why training stopped early, in a sentence
    scores: Mapping[str, float]  # column -> number; see HEADINGS


@dataclass(frozen=True)
class Report:
    """One comparison, as table.json holds it."""

    kind: str
    budget: int  # images for each variant
    rows: tuple[Row, ...]
    about: Mapping[str, Any]  # seed, recipe, data, versions, hardware

    @property
    def finished(self) -> bool:
        """Whether every variant had its budget, or diverged on the way."""
        return all(row.diverged or row.images_seen >= self.budget for row in self.rows)


def _heading(name: str) -> str:
    metric = METRICS[name.removeprefix("best_")]
    return f"best of {FILLS}: {metric.header}" if name.startswith("best_") else metric.header


_FIDELITY = {name: _heading(name) for name in scores.FIDELITY}
_BEST = {f"best_{name}": _heading(f"best_{name}") for name in scores.FIDELITY}
_BETWEEN = {name: _heading(name) for name in scores.BETWEEN}
HEADINGS: dict[str, dict[str, str]] = {  # kind -> column -> heading
    "strategies": {
        **_BETWEEN,
        **_FIDELITY,
        **_BEST,
        "critic": "critic's loss",
        "critic_varies": "critic varies [%]",
        "appearance_varies": "appearance varies [%]",
    },
    "attention": {
        **_BETWEEN,
        **_FIDELITY,
        **_BEST,
        "places": "places looked at",
        "on_known": "weight on known [%]",
        "appearance_varies": "appearance varies [%]",
    },
    "fusion-blocks": {**{name: _heading(name) for name in scores.SEAM}, **_FIDELITY},
}


@contextmanager
def _silence(_: str) -> Iterator[Callable[[int, int, Mapping[str, float]], None]]:
    yield lambda done, total, numbers: None


def compare(
    kind: str,
    data: Sequence[Path],
    out: Path,
    *,
    budget: int,
    val: Sequence[Path] = (),
    show: Sequence[Path] = (),
    base: Recipe | None = None,
    recipes: Mapping[str, Recipe] | None = None,
    seed: int = 0,
    query: Query | None = None,
    start_from: str | None = None,
    max_minutes: float | None = None,
    device: str | None = None,
    watch: Watch = _silence,
) -> Report:
    """Train the variants of a comparison for `budget` images each; write OUT/table.md, table.json and figure.png.

    Each variant's run is OUT/VARIANT, as `train` writes it; the same call again goes on where it stopped. `val` are
    the photos that are scored (default: those of `data`, which flatters), `show` those in the figure (default: the
    first of `val`). `recipes`: variants of your own by name, in place of `variants(kind, base)`, with the comparison's
    seed and budget. A run whose loss stops being a number is a result: its row says so, with the scores of its last
    checkpoint; remove its folder to try it again. After `max_minutes` in all, what is there is scored.

    Raises ManyfillError for an unknown kind, a base without the field that is varied, and an OUT that holds another
    comparison; and whatever `train` raises, but for Diverged.
    """
    if kind not in BASES:
        raise ManyfillError(f"there is no comparison '{kind}'. There are: {', '.join(BASES)}.")
    base = replace(base or BASES[kind], seed=seed, images=budget)
    recipes = {
        name: replace(recipe, seed=seed, images=budget) for name, recipe in (recipes or variants(kind, base)).items()
    }
    about = _about(kind, base, data, val, device)
    _claim(out, about)
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    diverged = {}
    for name, recipe in recipes.items():
        left = None if deadline is None else max((deadline - time.monotonic()) / 60, 0.0)
        with watch(name) as progress:
            diverged[name] = _run(recipe, data, out / name, val, start_from, left, device, progress)

    image, hole = _samples(base, val or data, PHOTOS)
    nets, rows = {}, []
    for name, recipe in recipes.items():
        stats, trained = out / name / "stats.jsonl", _weights(out / name)
        found: scores.Scores = {}
        if trained is not None:
            nets[name] = trained.net
            fills = scores.draw(trained.net, image, hole, fills=_fills(recipe))
            found = scores.measure(fills, image, hole) | scores.stability(stats)
            if kind == "attention":
                found |= scores.measure_attention(cast(PICNet, trained.net), image, hole, _points(hole, query))
        rows.append(Row(name, _images_seen(trained), scores.minutes(stats), diverged[name], found))
    report = Report(kind, budget, tuple(rows), about)
    if nets:
        shown = _samples(base, show, len(show)) if show else (image[:SHOWN], hole[:SHOWN])
        photos.write_atomic(out / "figure.png", _png(_figure(kind, nets, recipes, *shown, query)))
    photos.write_atomic(out / "table.json", (json.dumps(_as_json(report), indent=1) + "\n").encode())
    photos.write_atomic(out / "table.md", table(report).encode())
    return report


def table(report: Report) -> str:
    """The report as a Markdown page."""
    headings = {
        name: heading
        for name, heading in HEADINGS[report.kind].items()
        if any(name in row.scores for row in report.rows)
    }
    about = report.about
    lines = [
        f"# {report.kind}: {report.budget:,} images each, seed {about['seed']}",
        "",
        f"{about['scored']} photos, one hole each; everything is measured in the hole unless it says otherwise.",
        "",
        "| | images | minutes | " + " | ".join(headings.values()) + " |",
        "|---|" + "---:|" * (2 + len(headings)),
    ]
    for row in report.rows:
        cells = [_number(name, row.scores.get(name)) for name in headings]
        seen = f"{row.images_seen:,}" if row.images_seen else "–"
        lines.append(f"| {row.variant} | {seen} | {row.minutes:.1f} | " + " | ".join(cells) + " |")
    lines.append("")
    lines += [f"**{row.variant} diverged.** {row.diverged}\n" for row in report.rows if row.diverged]
    lines.append(
        f"Recipe `{about['recipe']['name']}`, samples `{about['samples'][:12]}`; manyfill {about['manyfill']}, "
        f"torch {about['torch']}, {about['hardware']}, {about['date']}."
    )
    return "\n".join(lines) + "\n"


# ── one variant ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _run(
    recipe: Recipe,
    data: Sequence[Path],
    run_dir: Path,
    val: Sequence[Path],
    start_from: str | None,
    minutes: float | None,
    device: str | None,
    progress: Callable[[int, int, Mapping[str, float]], None],
) -> str | None:
    """Train, or go on; returns why the run diverged, where it did.

    A run that diverged would do so again, so it is left alone as long as its diverged.txt is there.
    """
    told = run_dir / "diverged.txt"
    if told.is_file():
        return told.read_text().strip()
    if _images_seen(_weights(run_dir)) >= recipe.images or minutes == 0:
        return None
    try:
        training.train(
            recipe,
            data,
            run_dir,
            start_from=start_from,
            max_minutes=minutes,
            val=val,
            device=device,
            progress=progress,
        )
    except Diverged as error:
        seen = scores.read_stats(run_dir / "stats.jsonl")
        where = f"after {seen[-1]['images_seen']:,} images or a little later" if seen else "within the first images"
        message = f"Stopped {where}: {error}"
        photos.write_atomic(told, (message + "\n").encode())
        return message
    return None


def _weights(run_dir: Path) -> weights.Weights | None:
    """What the run has come to; None before its first checkpoint."""
    path = run_dir / "model.safetensors"
    return weights.load(path) if path.is_file() else None


def _images_seen(trained: weights.Weights | None) -> int:
    return 0 if trained is None else int(trained.metadata.get("images_seen", 0))


def _fills(recipe: Recipe) -> int:
    """Per photo; 0: the likeliest alone, as a network that samples has been trained to give one."""
    return 0 if isinstance(recipe.objective, Deterministic) else FILLS


def _figure(
    kind: str,
    nets: Mapping[str, CompletionNet],
    recipes: Mapping[str, Recipe],
    image: Tensor,
    hole: Tensor,
    query: Query | None,
) -> Image.Image:
    if kind == "strategies":
        fills = {name: scores.draw(net, image, hole, fills=_fills(recipes[name])) for name, net in nets.items()}
        return figures.strategies(fills, image, hole)
    if kind == "attention":
        return figures.attention(nets, image, hole, _points(hole, query))
    return figures.fusion_blocks(nets, image, hole)


def _points(hole: Tensor, query: Query | None) -> list[tuple[int, int]]:
    return [figures.point_of(one[0].numpy() > 0.5, query) for one in hole]


# ── what they have in common ──────────────────────────────────────────────────────────────────────────────────────────


def _samples(recipe: Recipe, sources: Sequence[Path], count: int) -> tuple[Tensor, Tensor]:
    """The largest square of each photo, with a hole of the recipe's masks."""
    samples = Samples(
        open_photos(list(sources), short_side=recipe.cache_side),
        size=recipe.size,
        masks=masks.mixture(recipe.masks),
        seed=SEED,
        scale=(0.0, 0.0),
        augment=NO_AUGMENTATION,
        shuffle=False,
    )
    pairs = [samples[i] for i in range(min(count, len(samples)))]
    return torch.stack([image for image, _ in pairs]), torch.stack([hole for _, hole in pairs])


def fingerprint(recipe: Recipe, data: Sequence[Path], count: int = 16) -> str:
    """Sha256 of the first samples that a recipe trains on: equal for all variants of a comparison."""
    samples = Samples(
        open_photos(list(data), short_side=recipe.cache_side),
        size=recipe.size,
        masks=masks.mixture(recipe.masks),
        seed=recipe.seed,
        scale=recipe.scale,
    )
    digest = hashlib.sha256()
    for index in range(count):
        image, hole = samples[index]
        digest.update((255 * image).round().to(torch.uint8).numpy().tobytes() + hole.to(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _about(kind: str, base: Recipe, data: Sequence[Path], val: Sequence[Path], device: str | None) -> dict[str, Any]:
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    machine = torch.cuda.get_device_name() if where.startswith("cuda") else f"{platform.machine()} CPU"
    threads = "" if where.startswith("cuda") else f", {torch.get_num_threads()} thread(s)"
    return {
        "kind": kind,
        "seed": base.seed,
        "recipe": json.loads(json.dumps(dataclasses.asdict(base), default=str)),
        "samples": fingerprint(base, data),
        "data": [str(path) for path in data],
        "val": [str(path) for path in val],
        "scored": min(PHOTOS, len(open_photos(list(val or data)))),
        "fills": FILLS,
        "manyfill": __version__,
        "torch": torch.__version__,
        "hardware": machine + threads,
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def _claim(out: Path, about: Mapping[str, Any]) -> None:
    """Make OUT this comparison's folder. Raises ManyfillError where it is another's: runs of both would be mixed."""
    note = out / "comparison.json"
    recipe = {name: value for name, value in about["recipe"].items() if name != "images"}  # a budget may grow
    ours = {"kind": about["kind"], "samples": about["samples"], **recipe}
    if note.is_file():
        try:
            theirs = dict(json.loads(files.read(note).data))
        except (OSError, ValueError, TypeError, RecursionError):
            raise ManyfillError(f"{note} is damaged, or not of a comparison. Give another -o, or remove it.") from None
        # a later version may have more fields, whose defaults do what the earlier one did
        other = next((name for name in ours if name in theirs and ours[name] != theirs[name]), None)
        if other is not None:
            what = f"{other}: {theirs[other]} there, {ours[other]} here"
            raise ManyfillError(
                f"{out} holds another comparison ({what[:200]}). Give another -o, or remove that folder."
            )
    out.mkdir(parents=True, exist_ok=True)
    photos.write_atomic(note, (json.dumps(ours, indent=1) + "\n").encode())


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    digits = 3 if "ssim" in name or name == "critic" else 1 if name.endswith(("varies", "known", "places")) else 2
    return f"{value:.{digits}f}"


def _as_json(report: Report) -> dict[str, Any]:
    rows = [dataclasses.asdict(row) for row in report.rows]
    return {"kind": report.kind, "budget": report.budget, **report.about, "rows": rows}


def _png(picture: Image.Image) -> bytes:
    memory = io.BytesIO()
    picture.save(memory, "PNG", optimize=True)
    return memory.getvalue()
