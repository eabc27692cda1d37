"""Fill photos in several processes of your own, each with a model of its own.

    python examples/many_processes.py fills/ photo.jpg hole.png [photo.jpg hole.png ...]

Workers that are spawned, or forked by a server that has no model, may use as many threads as they like. A process that
is forked after a model was loaded can fill, too, in one thread.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import manyfill


def begin(model: str) -> None:
    """Called once in each worker."""
    global completer
    completer = manyfill.load(model)


def fill(photo: str, mask: str, out: str) -> str:
    path = Path(out) / f"{Path(photo).stem}_filled.png"
    completer.complete(photo, mask)[0].save(path)
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("pairs", nargs="+", metavar="PHOTO MASK")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--start", choices=["spawn", "forkserver"], default="spawn", help="Windows and macOS: spawn")
    given = parser.parse_args()
    Path(given.out).mkdir(parents=True, exist_ok=True)
    photos, masks = given.pairs[::2], given.pairs[1::2]
    context = multiprocessing.get_context(given.start)
    with ProcessPoolExecutor(given.workers, context, initializer=begin, initargs=(given.model,)) as pool:
        for path in pool.map(fill, photos, masks, [given.out] * len(photos)):
            print(path)


if __name__ == "__main__":  # a spawned worker imports this file
    main()
