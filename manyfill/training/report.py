"""What a run shows: `stats.jsonl`, one object a line, and grids photo | hole | fills | alpha of fixed val photos."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from manyfill import objectives


class Stats:
    """Appends to RUN/stats.jsonl; terms are averaged between lines."""

    def __init__(self, path: Path, images_seen: int) -> None:
        self.path = path
        self._sums: dict[str, float] = {}
        self._count = 0
        if path.exists():  # after a crash, lines past the checkpoint would be told twice, and the last one may be cut
            lines = [line for line in path.read_text().splitlines() if _clock(line) <= images_seen]
            path.write_text("".join(line + "\n" for line in lines))

    def add(self, terms: dict[str, float]) -> None:
        """One step's terms."""
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def flush(self, images_seen: int, **extra: float) -> dict[str, float]:
        """Write the mean since the last line and return it."""
        line = {name: value / max(self._count, 1) for name, value in self._sums.items()} | extra
        with self.path.open("a") as file:
            file.write(json.dumps({"images_seen": images_seen, **{k: round(v, 6) for k, v in line.items()}}) + "\n")
        self._sums, self._count = {}, 0
        return line


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
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
