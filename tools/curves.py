"""Plot the losses of training runs: python tools/curves.py OUT.png RUN/stats.jsonl [...]   (needs matplotlib)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

TERMS = ("hole_rec", "mean", "spread", "reconstruction", "feature_mean", "perceptual", "kl_gen", "critic_gen")


def main(out: Path, sources: list[Path]) -> None:
    runs = [[json.loads(line) for line in source.read_text().splitlines()] for source in sources]
    terms = [term for term in TERMS if any(term in run[-1] for run in runs)]
    figure, axes = plt.subplots(2, -(-len(terms) // 2), figsize=(14, 6))
    for axis, term in zip(axes.flat, terms, strict=False):
        for source, run in zip(sources, runs, strict=True):
            lines = [(line["images_seen"], line[term]) for line in run if term in line]
            if lines:
                seen, values = np.array(lines).T
                width = min(9, len(values))
                axis.plot(
                    seen[width - 1 :], np.convolve(values, np.ones(width) / width, "valid"), label=source.parent.name
                )
        axis.set_title(term)
        axis.set_xlabel("images")
        axis.legend()
    figure.tight_layout()
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(source) for source in sys.argv[2:]])
