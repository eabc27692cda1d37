"""Plot the losses of training runs over each other: python tools/curves.py OUT.png RUN [RUN ...]."""

from __future__ import annotations

import sys
from pathlib import Path

from manyfill.training.report import curves

TERMS = ("hole_rec", "mean", "spread", "reconstruction", "feature_mean", "perceptual", "kl_gen", "critic_gen")

if __name__ == "__main__":
    out, *runs = map(Path, sys.argv[1:])
    curves({run.name: run / "stats.jsonl" for run in runs}, out, TERMS)
