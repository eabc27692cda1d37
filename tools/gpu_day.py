"""What a GPU that is lent for half an hour needs, as one folder, and the commands to give there, in order.

    python tools/gpu_day.py DIR --recipe NAME --data SHARD ... [--labels SHARD ...] [--val SHARD ...] [--from FILE]

DIR then holds the code of HEAD without weights, pages and tests (`code`), and everything else in parts that are small
enough to travel one at a time (`parts/01` ...). The machine is taken to be bare, unconnected, and given back soon: each
call brings one part to /tmp/gpu_day there (`stage.sh`), then each call trains for some minutes and hands back the model
(`train.sh`). `fetch.sh` hands back the newest checkpoint, some pieces a call, from which another machine can go on:
`python tools/gpu_day.py DIR --resume OUT` puts them into parts of their own. The same commands run on a CPU; that is
how they are tested.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from manyfill.recipes import find

MIB = 1 << 20
PART = 36.0  # MiB of data that travel in one call, beside the code
PIECE = 15 * MIB  # of a file that comes back
PIECES = 4  # that come back in a call, beside the log and the numbers
STAGED = "/tmp/gpu_day"  # on the lent machine

STAGE = """\
#!/bin/bash
# Bring parts to their place: bash stage.sh parts/01 ...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
place=${GPU_DAY:-@staged}
mkdir -p "$place/pieces"
for part in "$@"; do cp "$here/$part"/* "$place/pieces/"; done
ls -l "$place/pieces"
"""

TRAIN = """\
#!/bin/bash
# Train for some minutes and leave the model in $OUT, in pieces: bash train.sh MINUTES
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
place=${GPU_DAY:-@staged}
python3 "$here/join.py" "$place" "$here/manifest.json"
wheels=$(find "$place/files/wheels" -name '*.whl' 2>/dev/null || true)
if [ -n "$wheels" ] && [ ! -d "$place/site" ]; then
  python3 -m pip install -q --no-index --no-deps --no-compile --target "$place/site" $wheels
fi
export PYTHONPATH="$here/code:$place/site" PYTHONUNBUFFERED=1
cd "$place/files"
python3 -m manyfill train @arguments --out "$place/run" --force --max-minutes "$1" 2>&1 | tee "$OUT/log.txt"
python3 "$here/split.py" "$place/run" "$OUT" model 0 2>&1 | tee -a "$OUT/log.txt"
"""

FETCH = """\
#!/bin/bash
# Leave pieces of the model or of the newest checkpoint in $OUT: bash fetch.sh model|checkpoint FIRST
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python3 "$here/split.py" "${GPU_DAY:-@staged}/run" "$OUT" "$1" "$2"
"""

JOIN = '''\
"""Put pieces together again: join.py PLACE MANIFEST. Says which are missing, or damaged."""
import hashlib, json, pathlib, sys

place, manifest = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
for name, about in manifest.items():
    target = place / ("run" if name.startswith("run/") else "files") / name.removeprefix("run/")
    if target.exists():
        continue
    missing = [piece for piece in about["pieces"] if not (place / "pieces" / piece).is_file()]
    if missing:
        sys.exit(f"{name} is not whole: {', '.join(missing)} missing. Bring its parts first: bash stage.sh parts/NN")
    data = b"".join((place / "pieces" / piece).read_bytes() for piece in about["pieces"])
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        sys.exit(f"{name} came damaged")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
'''

SPLIT = '''\
"""Some pieces of what a run left, and its numbers: split.py RUN OUT model|checkpoint FIRST."""
import pathlib, shutil, sys

run, out, what, first = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
newest = max((run / "checkpoints").glob("*.pt"))
for name, path in (("model", run / "model.safetensors"), ("checkpoint", newest)):
    data = path.read_bytes()
    starts = range(0, len(data), @piece)
    if name == what:
        for number in range(first, min(first + @pieces, len(starts))):
            (out / f"{path.name}.{number:02d}").write_bytes(data[starts[number] : starts[number] + @piece])
    calls = ", ".join(f"bash fetch.sh {name} {k}" for k in range(0, len(starts), @pieces))
    print(f"{path.name}: {len(starts)} pieces, all of them by: {calls}")
shutil.copy(run / "stats.jsonl", out)
'''


def sources(root: Path) -> bytes:
    """The package of HEAD as a tar, without weights and the page's samples."""
    paths = ["manyfill", "pyproject.toml", ":(exclude)*.safetensors", ":(exclude)manyfill/server/page"]
    return subprocess.run(["git", "archive", "HEAD", "--", *paths], cwd=root, check=True, capture_output=True).stdout


class Folder:
    """DIR while it is filled: files go into pieces, pieces into parts."""

    def __init__(self, path: Path, most: int) -> None:
        self.path, self.most = path, most  # bytes of a part
        self.manifest: dict[str, dict[str, object]] = {}
        self.part, self.room = 0, 0

    def add(self, name: str, data: bytes) -> None:
        """One file, under the name that it has on the lent machine."""
        digest, pieces = hashlib.sha256(data).hexdigest(), []
        for number, start in enumerate(range(0, max(len(data), 1), self.most)):
            piece = data[start : start + self.most]
            if len(piece) > self.room:
                self.part, self.room = self.part + 1, self.most
                (self.path / f"parts/{self.part:02d}").mkdir(parents=True)
            pieces.append(f"{digest[:12]}.{number:02d}")
            (self.path / f"parts/{self.part:02d}" / pieces[-1]).write_bytes(piece)
            self.room -= len(piece)
        self.manifest[name] = {"pieces": pieces, "sha256": digest}


def _files(given: list[Path]) -> Iterator[Path]:
    for path in given:
        yield from sorted(path.glob("*.tar")) if path.is_dir() else [path]


def pack(asked: argparse.Namespace) -> None:
    """Fill DIR."""
    folder = Folder(asked.dir, round(asked.part * MIB))
    asked.dir.mkdir(parents=True)
    root = Path(__file__).parents[1]
    with tarfile.open(fileobj=io.BytesIO(sources(root))) as tar:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.10.12 and 3.11.4 on
        tar.extractall(asked.dir / "code", **safe)  # type: ignore[arg-type]
    arguments = ["--recipe", asked.recipe]
    if ".py:" in asked.recipe:
        own = Path(asked.recipe.rpartition(":")[0])
        folder.add(own.name, own.read_bytes())
        arguments[1] = f"{own.name}:{asked.recipe.rpartition(':')[2]}"
    for flag in ("data", "labels", "val"):
        for path in _files(getattr(asked, flag)):
            name = f"{flag}/{path.name}"
            folder.add(name, path.read_bytes())
            arguments += [f"--{flag}", name]
    if asked.start is not None:
        folder.add("start.safetensors", asked.start.read_bytes())
        arguments += ["--from", "start.safetensors"]
    for wheel in sorted(asked.wheels.glob("*.whl")) if asked.wheels is not None else ():
        folder.add(f"wheels/{wheel.name}", wheel.read_bytes())
    if asked.device is not None:
        arguments += ["--device", asked.device]
    if asked.images is not None:
        arguments += ["--images", str(asked.images)]
    known = {"@staged": STAGED, "@arguments": shlex.join(arguments), "@pieces": str(PIECES), "@piece": str(PIECE)}
    scripts = {"stage.sh": STAGE, "train.sh": TRAIN, "fetch.sh": FETCH, "join.py": JOIN, "split.py": SPLIT}
    for name, script in scripts.items():
        for word, value in known.items():
            script = script.replace(word, value)
        (asked.dir / name).write_text(script)
    _finish(folder, asked)


def resume(asked: argparse.Namespace) -> None:
    """Add what an earlier machine handed back: a checkpoint's pieces and the numbers."""
    folder = Folder(asked.dir, round(asked.part * MIB))
    folder.manifest = json.loads((asked.dir / "manifest.json").read_text())
    folder.manifest = {name: about for name, about in folder.manifest.items() if not name.startswith("run/")}
    folder.part = len(list((asked.dir / "parts").iterdir()))
    pieces = sorted(asked.resume.glob("*.pt.[0-9][0-9]"))
    if not pieces:
        sys.exit(f"error: {asked.resume} holds no pieces of a checkpoint (NUMBER.pt.00 ...)")
    folder.add(f"run/checkpoints/{pieces[0].stem}", b"".join(piece.read_bytes() for piece in pieces))
    folder.add("run/stats.jsonl", (asked.resume / "stats.jsonl").read_bytes())
    _finish(folder, asked)


def _finish(folder: Folder, asked: argparse.Namespace) -> None:
    (folder.path / "manifest.json").write_text(json.dumps(folder.manifest, indent=1))
    code = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file() and "parts" not in path.parts)
    print(f"# {folder.path}: code {code / MIB:.1f} MiB beside each part, parts of at most {asked.part:g} MiB")
    print(
        f"# one machine, one call after the other; $OUT of each call of train.sh comes back ({asked.minutes} minutes)"
    )
    for part in sorted((folder.path / "parts").iterdir()):
        size = sum(path.stat().st_size for path in part.iterdir())
        print(f"bash {folder.path.name}/stage.sh parts/{part.name}  # takes along {part.name}: {size / MIB:.1f} MiB")
    print(f"bash {folder.path.name}/train.sh {asked.minutes}  # again and again, as long as there is time")
    print(f"bash {folder.path.name}/fetch.sh checkpoint 0  # and more, as it says: before the machine goes back")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path, help="a new folder")
    parser.add_argument("--recipe", help="a recipe's name, or FILE.py:NAME")
    for flag in ("data", "labels", "val"):
        parser.add_argument(f"--{flag}", type=Path, nargs="+", default=[], help="shards, or folders of them")
    parser.add_argument(
        "--from", dest="start", type=Path, help="a model to start from: a file, or a name of the package's"
    )
    parser.add_argument("--wheels", type=Path, help="a folder of wheels that the machine lacks")
    parser.add_argument("--images", type=int)
    parser.add_argument("--device", help="as manyfill train's; for a rehearsal: cpu")
    parser.add_argument("--minutes", type=float, default=9, help="of training in a call")
    parser.add_argument("--part", type=float, default=PART, metavar="MIB", help="of data in a call, at most")
    parser.add_argument("--resume", type=Path, metavar="OUT", help="what an earlier machine handed back")
    asked = parser.parse_args()
    if asked.resume is not None:
        resume(asked)
        return
    if asked.recipe is None or not asked.data:
        parser.error("--recipe and --data are needed")
    recipe = find(asked.recipe)
    if recipe.starts_from is not None and asked.start is None:
        parser.error(f"recipe '{recipe.name}' goes on from a trained model: --from {recipe.starts_from}")
    if asked.start is not None and not asked.start.is_file():
        asked.start = Path(__file__).parents[1] / f"manyfill/models/{asked.start.name}.safetensors"
    if asked.dir.exists():
        parser.error(f"{asked.dir} is there already")
    pack(asked)


if __name__ == "__main__":
    main()
