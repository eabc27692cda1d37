"""What a run shows: `stats.jsonl`, one object a line, TensorBoard, curves, grids of fixed val photos."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from manyfill import files, objectives
from manyfill.objectives import Terms
from manyfill.training.processes import share


class Stats:
    """Appends to RUN/stats.jsonl and to RUN/tensorboard; terms are averaged between lines, and over processes.

    Every process collects; only one that `writes` leaves anything on disk.
    """

    def __init__(self, run_dir: Path, images_seen: int, *, writes: bool = True) -> None:
        self.path = run_dir / "stats.jsonl"
        self.writes = writes
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self.board = _board(run_dir / "tensorboard", images_seen) if writes else None
        if writes and self.path.exists():  # after a crash, lines past the checkpoint would be told twice
            lines = [line for line in self.path.read_text().splitlines() if _clock(line) <= images_seen]
            files.write_atomic(self.path, "".join(line + "\n" for line in lines).encode())

    def add(self, terms: Terms) -> None:
        """One step's terms, wherever they are: nothing waits for a GPU here."""
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def flush(self, images_seen: int, **extra: float) -> dict[str, float]:
        """Write the mean since the last line and return it."""
        means: dict[str, float] = {}
        if self._sums:
            stacked = torch.stack([value / self._counts[name] for name, value in self._sums.items()])
            share([stacked])
            means = dict(zip(self._sums, stacked.tolist(), strict=True))
        line = means | extra
        if self.writes:
            rounded = {name: round(value, 6) for name, value in line.items()}
            files.append(self.path, json.dumps({"images_seen": images_seen, **rounded}))
        if self.board is not None:
            for name, value in line.items():
                self.board.add_scalar(name, value, images_seen)
        self._sums, self._counts = {}, {}
        return line

    def numbers(self, images_seen: int, numbers: Mapping[str, float]) -> None:
        """A separate line, of numbers that one process has taken."""
        if not self.writes:
            return
        rounded = {name: round(value, 6) for name, value in numbers.items()}
        files.append(self.path, json.dumps({"images_seen": images_seen, **rounded}))
        if self.board is not None:
            for name, value in numbers.items():
                self.board.add_scalar(name.replace(" ", "/").replace("%", ""), value, images_seen)

    def picture(self, images_seen: int, picture: np.ndarray) -> None:
        """A grid, to RUN/pictures and to TensorBoard."""
        if self.writes:
            write_picture(self.path.parent / "pictures" / f"{images_seen:09d}.jpg", picture)
        if self.board is not None:
            self.board.add_image("val", picture, images_seen, dataformats="HWC")


def _board(folder: Path, images_seen: int) -> Any:
    """TensorBoard's writer, where TensorBoard is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=images_seen + 1)


def _clock(line: str) -> float:
    try:
        return float(json.loads(line)["images_seen"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


@torch.no_grad()
def grid(net: nn.Module, image: Tensor, hole: Tensor, *, fills: int = 3) -> np.ndarray:
    """uint8 (H,W,3) RGB: one row per photo: photo | hole | mean fill | sampled fills | alpha (where there is one)."""
    encoded = net.encode(image, hole)  # type: ignore[operator]
    shape = net.noise_shape(*image.shape[-2:])  # type: ignore[operator]
    columns = [image, image * (1 - hole) + 0.5 * hole]
    first = net.decode(encoded, None)  # type: ignore[operator]
    columns.append(objectives.complete(first.image, image, hole))
    if shape is not None:
        for seed in range(fills):
            noise = torch.randn(image.shape[0], *shape, generator=torch.Generator().manual_seed(seed)).to(image.device)
            columns.append(objectives.complete(net.decode(encoded, noise).image, image, hole))  # type: ignore[operator]
    if first.alpha is not None:
        columns.append(first.alpha.expand(-1, 3, -1, -1))
    rows = torch.cat([column.float().cpu() for column in columns], 3)  # (B, 3, H, columns * W)
    picture = rows.permute(0, 2, 3, 1).reshape(-1, rows.shape[3], 3).clamp(0, 1)
    return np.asarray((picture * 255).round().to(torch.uint8).numpy())


def write_picture(path: Path, picture: np.ndarray) -> None:
    """RGB uint8 to a JPEG or PNG file."""
    with files.in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(path.suffix, picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    files.write_atomic(path, data.tobytes())


def curves(runs: Mapping[str, Path], out: Path, terms: tuple[str, ...] = ()) -> Path | None:
    """Draw the terms of runs (label -> stats.jsonl) over images seen; all terms unless named.

    Faint: every value; the line: means over nine neighbours, fewer at the ends. None without matplotlib or values.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    stats = {
        label: [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        for label, path in runs.items()
    }
    found = {name for lines in stats.values() for line in lines for name in line} - {"images_seen"}
    shown = [name for name in terms if name in found] or sorted(found)
    if not shown:
        return None
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    width, height = 3.6 * columns, 2.5 * rows  # inches
    room = {  # fixed: to have matplotlib look for it takes as long again as drawing
        "left": 0.65 / width, "right": 1 - 0.15 / width, "bottom": 0.4 / height, "top": 1 - 0.3 / height,
        "wspace": 0.25, "hspace": 0.35,
    }  # fmt: skip
    figure = Figure(figsize=(width, height))
    for axis, name in zip(figure.subplots(rows, columns, squeeze=False, gridspec_kw=room).flat, shown, strict=False):
        for label, lines in stats.items():
            points = [(line["images_seen"], line[name]) for line in lines if name in line]
            if points:
                seen, values = np.array(points).T
                few = {"marker": "."} if len(values) < 20 else {}
                (drawn,) = axis.plot(seen, _smooth(values), label=label, **few)
                axis.plot(seen, values, color=drawn.get_color(), alpha=0.25, linewidth=0.8)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.locator_params(nbins=5)
        for line in (axis.xaxis, axis.yaxis):
            line.get_offset_text().set_fontsize(7)
        if len(stats) > 1:
            axis.legend(fontsize=7)
    for axis in figure.axes[len(shown) :]:
        axis.set_visible(False)
    memory = io.BytesIO()
    figure.savefig(memory, dpi=80, format=out.suffix[1:])
    files.write_atomic(out, memory.getvalue())
    return out


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean of each value and its neighbours: four on either side, or as many as there are on the nearer one."""
    reach = [min(4, i, len(values) - 1 - i) for i in range(len(values))]
    return np.array([values[i - k : i + k + 1].mean() for i, k in enumerate(reach)])
