"""Peak memory of finding plain answers (manyfill/plain) beside what `ceiling.check_mending` allows for it. Markdown.

    python tools/bench_mending.py

Each case is a process of its own: the system's peak (VmHWM, Linux) is reset before the work begins.
"""

from __future__ import annotations

import subprocess
import sys

CASES = {  # name: height, width, bits, photo, hole
    "specks": (4000, 5000, 8, "photo", "specks"),
    "specks, 16 bits": (4000, 5000, 16, "photo", "specks"),
    "a line": (800, 20000, 8, "photo", "line"),
    "a clear sky": (4000, 5000, 8, "sky", "middle"),
    "a large hole": (4000, 5000, 8, "photo", "middle"),
    "a hole of 1 MP": (1200, 1250, 8, "photo", "middle"),
    "a hole of 1 MP, 16 bits": (1200, 1250, 16, "photo", "middle"),
    "many parts": (1200, 1250, 8, "photo", "parts"),
}
CHILD = """
import sys
import numpy as np
from manyfill import memory, photos, plain
from manyfill.completer import ceiling
height, width, bits, kind, holes = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
rng = np.random.default_rng(0)
pixels = np.empty((height, width, 3), np.uint8 if bits == 8 else np.uint16)
for row in range(height):
    noise = rng.integers(-40, 40, (width, 3)) if kind == "photo" else 0
    pixels[row] = (np.clip(90 + row * 80 // height + noise, 0, 255)).astype(pixels.dtype) * (1 if bits == 8 else 257)
hole = np.zeros((height, width), bool)
if holes == "specks":
    hole[rng.integers(0, height, 20000), rng.integers(0, width, 20000)] = True
if holes == "line":
    hole[height // 2] = True
if holes == "middle":
    hole[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = True
if holes == "parts":
    hole[100::200, :] = False
    for y in range(50, height - 100, 160):
        for x in range(50, width - 100, 160):
            hole[y : y + 80, x : x + 80] = True
list(plain.mend(pixels[:64, :64], np.eye(64, dtype=bool)))  # machine code
before = memory.resident()
open("/proc/self/clear_refs", "w").write("5")
answers = [(part.box, np.rint(part.fill * 255).astype(np.uint8), part.painted) for part in plain.mend(pixels, hole)]
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
print(peak - before, ceiling.mending(hole.size, pixels.itemsize), len(answers))
"""


def main() -> None:
    print("| case | photo | answers | taken, MiB | allowed for, MiB |\n|---|---|--:|--:|--:|")
    for name, case in CASES.items():
        done = subprocess.run([sys.executable, "-c", CHILD, *map(str, case)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        taken, allowed, answers = map(int, done.stdout.split())
        photo = f"{case[1]}x{case[0]}, {case[2]} bits"
        print(f"| {name} | {photo} | {answers} | {taken / 2**20:.0f} | {allowed / 2**20:.0f} |", flush=True)


if __name__ == "__main__":
    main()
