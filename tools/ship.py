"""Turn a training run's weights into the file that the package ships, and print its entry for manyfill/zoo.py.

python tools/ship.py RUN/model.safetensors NAME --images N [--measured metric=value ...]

fp16; the metadata carries the recipe (from the run), the commit, the data and the licence. --images is the whole clock,
all stages together.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess

import torch

from manyfill import weights
from manyfill.zoo import MODELS

DATA = (
    "931 photos and textures of Debian packages, and 839 of open textbooks and wallpaper sets, each under a free "
    "licence and named in docs/data/manifest.csv (split train) or manifest_more.csv; credits in credits_more.csv"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("name")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--measured", nargs="*", default=[])
    asked = parser.parse_args()

    found = weights.load(asked.run)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    kept = {key: value for key, value in found.metadata.items() if key in ("recipe", "features")}
    metadata = {
        **kept,
        "name": asked.name,
        "images_seen": str(asked.images),
        "commit": commit.stdout.strip(),
        "data": DATA,
        "licence": "Apache-2.0",
    }
    path = weights.save(
        found.net,  # type: ignore[arg-type]
        MODELS / f"{asked.name}.safetensors",
        critic=found.critic,
        metadata=metadata,
        dtype=torch.float16,
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    measured = ", ".join(f'"{name}": {value}' for name, value in (pair.split("=") for pair in asked.measured))
    print(
        f"""    Pretrained(
        name="{asked.name}",
        file="{path.name}",
        sha256="{digest}",
        family="{found.metadata["family"]}",
        licence="Apache-2.0",
        trained_on=_MORE_DATA,
        images_seen={asked.images:_},
        size={path.stat().st_size:_},
        measured={{{measured}}},
    ),"""
    )


if __name__ == "__main__":
    main()
