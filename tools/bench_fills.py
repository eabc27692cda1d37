"""When a waiting person sees something: first sketch, first fill, all fills of a photo, and the processor time of each.

    python tools/bench_fills.py [photo.jpg] [--pixels 12e6] [--hole 0.02] [--rounds 2]

Starts `manyfill serve` and asks as the page does. The first round warms the server up; the others are reported.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import httpx
import numpy as np
from PIL import Image

SAMPLE = Path(__file__).parents[1] / "examples/photos"


def photo_of(path: Path | None, pixels: float) -> bytes:
    """A JPEG of so many pixels."""
    picture = Image.open(path or sorted(SAMPLE.glob("*.jpg"))[0]).convert("RGB")
    scale = (pixels / (picture.width * picture.height)) ** 0.5
    array = cv2.resize(np.asarray(picture), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 4, array.shape[:2])[..., None]  # an enlarged photo has none
    file = io.BytesIO()
    Image.fromarray(np.clip(array + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()


def hole_of(photo: bytes, share: float) -> bytes:
    """A person's place: an upright ellipse of this share of the photo, white."""
    width, height = Image.open(io.BytesIO(photo)).size
    mask = np.zeros((height, width), np.uint8)
    radius = (share * width * height / np.pi / 2) ** 0.5
    cv2.ellipse(mask, (width // 2, height // 2), (round(radius), round(2 * radius)), 0, 0, 360, 255, -1)
    file = io.BytesIO()
    Image.fromarray(mask).convert("1").save(file, "PNG")
    return file.getvalue()


def processor_seconds(pid: int) -> float:
    """Of a process and its children that live."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if pid in (int(stat.parent.name), int(fields[1])):
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def asked(url: str, pid: int, photo: bytes, mask: bytes, seed: int) -> dict[str, tuple[float, float]]:
    """Seconds and processor seconds until each thing is seen."""
    fields = {"n": "4", "seed": str(seed), "stream": "true", "partial_images": "1", "uncertainty": "true"}
    fields |= {"progress": "true", "response_format": "url", "output_format": "png"}
    began, spent = time.monotonic(), processor_seconds(pid)
    seen: dict[str, tuple[float, float]] = {}
    sketches = fills = 0
    with httpx.stream("POST", f"{url}/v1/images/edits", data=fields, timeout=900,
                      files={"image": photo, "mask": mask}) as answer:  # fmt: skip
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            kind = json.loads(line.removeprefix("data: "))["type"]
            sketches += kind.endswith("partial_image")
            fills += kind.endswith("completed")
            for name, now in (("first sketch", sketches == 1), ("first fill", fills == 1), ("all four", fills == 4)):
                if now and name not in seen:
                    seen[name] = (time.monotonic() - began, processor_seconds(pid) - spent)
    return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?")
    parser.add_argument("--pixels", type=float, default=12e6)
    parser.add_argument("--hole", type=float, default=0.02, help="share of the photo")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model")
    options = parser.parse_args()
    photo = photo_of(options.photo, options.pixels)
    mask = hole_of(photo, options.hole)
    more = ["--model", options.model] if options.model else []
    command = [sys.executable, "-m", "manyfill", "serve", "--port", "0", *more]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and server.stderr is not None
        url = None
        for stream in (server.stdout, server.stderr):
            for line in stream:
                if (found := re.search(r"http://[0-9.]+:\d+", line)) is not None:
                    url = found[0]
                    break
            if url:
                break
        assert url, "the server printed no address"
        while httpx.get(f"{url}/healthz").status_code != 200:
            time.sleep(0.2)
        model = httpx.get(f"{url}/v1/models").json()["data"][0]["id"]
        print(f"{model}, {options.pixels / 1e6:g} megapixels, a hole of {100 * options.hole:g} %", flush=True)
        for number in range(options.rounds + 1):
            seen = asked(url, server.pid, photo, mask, 100 * number)
            words = [f"{name} {wall:.1f} s ({spent:.1f} CPU-s)" for name, (wall, spent) in seen.items()]
            print("warm-up:" if number == 0 else f"round {number}:", ", ".join(words), flush=True)
    finally:
        server.kill()  # nothing waits for it
        server.wait()


if __name__ == "__main__":
    main()
