"""What a change of the texture stage brings, pair by pair: fields of `texture.search.Search` set to other values.

python tools/texture_trials.py --data VAL --data TRAIN --count 30 "edges=2.0" "finest=2 rebate=0.5"
python tools/texture_trials.py --data TRAIN --size 1024 --least 1024 --enlarge 2 --metrics psnr_hole    # at 2048

The first --count photos of each --data, short side 512, one hole each of the six ratio bins in turn, drawn from
--seed: not the holes of `manyfill evaluate`, so that what is chosen here can be measured there. Printed: each pair's
numbers as it is and by each trial, then the means as it is, and for each trial the change with its standard error, of
all pairs and by bin. Lower is better but for PSNR. Energy: fine-scale energy in the hole over that of the ring around
it, median.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import manyfill
from manyfill import Completer
from manyfill.evaluation.cases import Case, Cases, Setup
from manyfill.evaluation.measuring import Ruler
from manyfill.evaluation.sources import Answer
from manyfill.texture.search import Search

RING = 32  # pixels around the hole whose fine detail its own is compared with


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="*", type=trial_of, help='"FIELD=VALUE FIELD=VALUE ...", fields of Search')
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--least", type=int, default=0, help="only photos whose short side has so many pixels")
    parser.add_argument("--enlarge", type=int, default=1, help="photos and holes, so many times, where none is larger")
    parser.add_argument("--model", default="pluralistic-fusion")
    parser.add_argument("--metrics", default="psnr_hole,pd_vgg,pd_eff", help="of each pair alone; pd_vgg takes longest")
    asked = parser.parse_args(arguments)

    sets = [Cases(source, Setup(seed=asked.seed, size=asked.size)) for source in asked.data]
    cases = [enlarged(case, asked.enlarge) for one in sets for case in islice(large(one, asked.least), asked.count)]
    if not cases:
        parser.error(f"no photo has a short side of {asked.least} pixels. Give other --data, or a smaller --least.")
    ruler = Ruler(asked.metrics.split(","))
    if ruler.left_out:
        parser.error("; ".join(f"{name} cannot be measured: {why}" for name, why in ruler.left_out.items()))
    report(cases, scores(manyfill.load(asked.model), ruler, cases, asked.trials), asked.metrics, asked.trials)


@dataclass(frozen=True)
class Trial:
    """Fields of the search, set to other values."""

    text: str
    search: Search


def trial_of(text: str) -> Trial:
    """Of "FIELD=VALUE FIELD=VALUE ..."."""
    usual = {field.name: field.default for field in fields(Search)}
    changed: dict[str, Any] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if name not in usual:
            raise argparse.ArgumentTypeError(f"Search has no field '{name}'; it has {', '.join(usual)}.")
        kind = type(usual[name])
        try:
            changed[name] = kind(value)
        except ValueError:
            said = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{name} is {said}, but '{word}' was given.") from None
    return Trial(text, replace(Search(), **changed))


def report(cases: list[Case], found: np.ndarray, metrics: str, trials: Sequence[Trial]) -> None:
    """`found`: what `scores` returns."""
    turn = np.array([case.index % 6 for case in cases])  # its bin
    true = np.median([energy(case.pixels, case.hole) for case in cases])
    base = found[:, 0]
    print(f"{len(cases)} pairs: {metrics}")
    print(f"as it is: {show(base.mean(0)[:-1])}, energy {np.median(base[:, -1]):.2f} (true photos {true:.2f})")
    for number, trial in enumerate(trials, start=1):
        own = found[:, number]
        change = own - base
        error = change.std(0, ddof=1) / len(cases) ** 0.5 if len(cases) > 1 else np.full(change.shape[1], np.nan)
        told = ", ".join(f"{c:+.3f} ± {e:.3f}" for c, e in zip(change.mean(0)[:-1], error, strict=False))
        bins = "; ".join(show(change[turn == k].mean(0)[:-1]) for k in sorted(set(turn)))
        print(f"{trial.text}: {told}, energy {np.median(own[:, -1]):.2f}; by bin: {bins}")


def large(cases: Cases, least: int) -> Iterator[Case]:
    every = (cases[index] for index in range(len(cases)))
    return (case for case in every if min(case.hole.shape) >= least)


def enlarged(case: Case, times: int) -> Case:
    if times == 1:
        return case
    pixels = cv2.resize(case.pixels, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    return replace(case, pixels=pixels, hole=case.hole.repeat(times, 0).repeat(times, 1))


def scores(completer: Completer, ruler: Ruler, cases: list[Case], trials: Sequence[Trial]) -> np.ndarray:
    """(cases, 1 + trials, metrics and energy): as it is, then by each trial."""
    found = []
    for case in cases:
        rows = []
        for search in [None, *(trial.search for trial in trials)]:
            fill = Completer(completer.drawer, search=search).complete(case.pixels, case.hole)[0].array
            measured = ruler.measure(case, Answer([fill], [0], [None], [])).fills[0]
            rows.append([*measured.values(), energy(fill, case.hole)])
        found.append(rows)
        print(f"{case.name} ({case.ratio:.0%}): {'; '.join(map(show, rows))}", flush=True)
    return np.array(found)


def energy(pixels: np.ndarray, hole: np.ndarray) -> float:
    luma = pixels.astype(np.float32).mean(2)
    detail = (luma - cv2.GaussianBlur(luma, (0, 0), 1.5)) ** 2
    ring = cv2.dilate(hole.astype(np.uint8), np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)).astype(bool) & ~hole
    return float(detail[hole].mean() / (detail[ring].mean() + 1e-6)) if ring.any() else 1.0


def show(values: np.ndarray) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


if __name__ == "__main__":
    main()
