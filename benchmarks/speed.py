"""How long a fill takes and how much memory: each model and filler alone in a process of its own, size by size.

`measure` starts the processes; run as a script it is one of them: python benchmarks/speed.py MODEL TEXTURE HEIGHT WIDTH
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PHOTO = Path(__file__).parent / "photos" / "farm.jpg"
SIZES = {"256": (256, 256), "512": (512, 512), "1024": (1024, 1024), "2048": (2048, 2048), "12 MP": (3000, 4000)}
FILLS = 4
PATIENCE = 30.0  # seconds for a process; larger sizes are then left out
SHORT = 8.0  # seconds of a first fill up to which it is done again, warm, and with several fills


@dataclass(frozen=True)
class Timing:
    """One model at one size."""

    cold: float  # seconds from the process's start to a loaded model
    first: float  # seconds of the first fill
    warm: float | None  # of a second one
    each: float | None  # per fill where several are asked for, the ranking included
    memory: float  # MiB, the most that the process held


def measure(
    models: Sequence[tuple[str, str]],
    sizes: Sequence[str],
    *,
    patience: float = PATIENCE,
    say: Callable[[str], None] = print,
) -> dict[tuple[str, str], dict[str, Timing | None]]:
    """(model, texture) -> size -> timing; None where it took longer than `patience`, nothing beyond that size."""
    found: dict[tuple[str, str], dict[str, Timing | None]] = {}
    for model, texture in models:
        rows = found[model, texture] = {}
        for size in sizes:
            rows[size] = timing = _in_a_process(model, texture, *SIZES[size], patience=patience)
            took = f"over {patience:.0f} s" if timing is None else f"{timing.warm or timing.first:.2f} s"
            say(f"  {model} ({texture}) at {size}: {took}")
            if timing is None:
                break
    return found


def _in_a_process(model: str, texture: str, height: int, width: int, *, patience: float) -> Timing | None:
    command = [sys.executable, __file__, model, texture, str(height), str(width)]
    started = time.time()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1:]}")
    told = json.loads(done.stdout)
    return Timing(told["loaded"] - started, told["first"], told["warm"], told["each"], told["memory"])


def _here(model: str, texture: str, height: int, width: int) -> dict[str, float | None]:
    """The process: load, fill, fill again, fill several."""

    import manyfill

    completer = manyfill.load(model)
    loaded = time.time()
    import cv2
    import numpy as np

    from manyfill import masks, photos

    pixels = photos.read(PHOTO).pixels
    side = min(pixels.shape[:2])
    cut = pixels[:side, (pixels.shape[1] - side) // 2 :][:, :side]
    photo = cv2.resize(cut, (width, height), interpolation=cv2.INTER_CUBIC)
    hole = masks.center(height, width, np.random.default_rng(0))

    def seconds(n: int, seed: int) -> float:
        start = time.perf_counter()
        made = completer.complete(photo, hole, n=n, seed=seed, texture=texture)
        return (time.perf_counter() - start) / len(made)

    first = seconds(1, 0)
    memory = _peak()
    warm = seconds(1, 1) if first < SHORT else None
    each = seconds(FILLS, 2) if warm is not None and warm < SHORT / FILLS and completer.varied else None
    return {"loaded": loaded, "first": first, "warm": warm, "each": each, "memory": memory}


def _peak() -> float:
    """The most memory that this process held, in MiB; Linux's ru_maxrss would count the process that started it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps(_here(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
