"""Honest numbers: any source of fills on the same photos with the same holes, measured in one pass.

    cases = Cases("photos/", Setup(masks="bins"))
    report = evaluate(["pluralistic-fusion", "telea", Path("theirs/")], cases, n=8, out="report/")
    writing.write(report, "report/")

cases.py says which photos and holes, sources.py who fills, measuring.py what is measured, journal.py keeps results as
they come, report.py the numbers, tables.py makes tables of them, page.py and plots.py a page, writing.py the files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import torch

from manyfill import files
from manyfill.completer import Completer
from manyfill.errors import BadImage, BadMask, CannotWrite, ManyfillError, TooLarge
from manyfill.evaluation import pictures
from manyfill.evaluation.bare import Bare
from manyfill.evaluation.cases import Case, Cases, Setup
from manyfill.evaluation.journal import Journal, Row
from manyfill.evaluation.measuring import SIDE, Ruler
from manyfill.evaluation.published import PROTOCOLS, Choose, Published
from manyfill.evaluation.report import Report
from manyfill.evaluation.sources import Answer, Filling, Folder, Source

__all__ = [
    "PROTOCOLS",
    "Bare",
    "Cases",
    "Filling",
    "Folder",
    "Published",
    "Report",
    "Setup",
    "Source",
    "evaluate",
    "source_of",
    "write_set",
]

Progress = Callable[[str, int, int], None]  # (stage, done, total)
PACKAGE = Path(__file__).parent.parent
PATIENCE = timedelta(days=7)  # that processes wait for the slowest of them


def evaluate(
    sources: Any,
    cases: Cases | Path | str | Sequence[Path | str],
    *,
    n: int = 1,
    metrics: Iterable[str] | None = None,
    perceptual_size: int = SIDE,
    texture: str | float = "auto",
    device: str | None = None,
    inception: Path | None = None,
    published: Published | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure one source or several on the same photos with the same holes.

    `sources`: a model's name or file, a filler's name, a folder of somebody's results, a `Completer`, a `Source`, or a
    list of these; differences are measured against the first. `cases`: photos with holes, or just where photos are, for
    the usual `Setup`. `n`: fills per photo, from the setup's seed, seed + 1 ... `metrics`: names of `METRICS`, all
    unless given; those whose network cannot be had are left out and noted. `perceptual_size`: short side at which
    feature maps are compared.

    `inception`: FID's network as a file. `published`: one of `PROTOCOLS`; the tables are of the fill that it chooses.

    With `out` results are kept there as they come: the same call goes on where an earlier one was interrupted, and the
    processes of a torchrun share the photos and give the same numbers as one. Photos that cannot be read are skipped
    and named in the report. Raises ManyfillError where the whole makes no sense: no photos, masks or results missing.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and out is None:
        raise ManyfillError("several processes need a folder to share results in: out=...")
    if n < 1:
        raise ManyfillError(f"n is {n}; ask for at least one fill.")
    given = list(sources) if isinstance(sources, list | tuple) else [sources]
    columns = [source_of(source, texture=texture, device=device) for source in given]
    _name_apart(columns)
    cases = cases if isinstance(cases, Cases) else Cases(cases, Setup())
    seed = cases.setup.seed
    for source in columns:
        source.prepare(cases.names)
    ruler = Ruler(metrics, device=_device_of(columns), side=perceptual_size, inception=inception)
    settings = {**asdict(cases.setup), "n": n, "perceptual_size": perceptual_size}
    if published is not None:
        settings |= {"protocol": published.name, "shown": published.shown.format(n=n)}
    names = [metric.name for metric in ruler.metrics]
    folder = None if out is None else Path(out)
    journal = Journal(folder, rank=rank)
    used: list[str] = []
    for index in range(rank, len(cases), world):
        if progress is not None:
            progress("photos", index, len(cases))
        try:
            case = cases[index]
        except (BadImage, BadMask, TooLarge) as error:
            journal.skip(cases.names[index], _one_line(error))
            continue
        for source in columns:
            key = _key(_code(PACKAGE), settings, names, ruler.origins, source, case)
            used.append(key)
            if key in journal.rows:
                continue
            try:
                answer = source.answer(case, n=n, seed=seed)
            except BadImage as error:  # one bad file of somebody's
                journal.skip(f"{source.label}: {case.name}", _one_line(error))
                continue
            row = _measure(ruler, source, case, answer, key, None if published is None else published.choose)
            if folder is not None:
                pictures.keep(folder, source, case, answer)
            journal.add(row)  # last: what the journal knows is whole
    if world > 1:
        used = _together(used)
        journal.read()
    if progress is not None:
        progress("photos", len(cases), len(cases))
    mine = set(used)
    place = {name: index for index, name in enumerate(cases.names)}
    rows = sorted((row for key, row in journal.rows.items() if key in mine), key=lambda row: place[row.photo])
    if not rows:
        raise BadImage(f"none of the {len(cases)} photos could be measured: {_reasons(journal.skipped)}")
    return Report(
        settings={**settings, "data": cases.data},
        mask_hash=cases.set_hash(list(dict.fromkeys((place[row.photo], row.height, row.width) for row in rows))),
        sources={source.label: source.facts for source in columns},
        rows=rows,
        over_all={s.label: ruler.over_all([row.features for row in rows if row.source == s.label]) for s in columns},
        metrics=ruler.metrics,
        networks=ruler.origins,
        skipped={name: why for name, why in journal.skipped.items() if _concerns(name, cases, columns)},
        left_out=ruler.left_out,
    )


def source_of(given: Any, *, texture: str | float = "auto", device: str | None = None) -> Source:
    """What somebody may name as a source, as one."""
    if isinstance(given, Completer):
        return Filling(given, texture=texture)
    if isinstance(given, str | Path):
        if Path(given).is_dir():
            return Folder(Path(given))
        return Filling(Completer.from_pretrained(given, device=device), texture=texture)
    source: Source = given
    return source


def write_set(
    data: Path | str | Sequence[Path | str],
    out: Path,
    setup: Setup,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> tuple[int, dict[str, str]]:
    """Write photos and masks as they are measured, for other programs to fill: out/photos/, out/masks/ (white = fill).

    Returns how many, and what was skipped and why. Raises CannotWrite where another file lies in the way of one, but
    for `force`: the photos themselves may.
    """
    from PIL import Image

    cases, skipped, written = Cases(data, setup), {}, 0
    for index, name in enumerate(cases.names):
        if progress is not None:
            progress("photos", index, len(cases))
        try:
            case = cases[index]
        except (BadImage, BadMask, TooLarge) as error:
            skipped[name] = _one_line(error)
            continue
        for folder, pixels in (("photos", case.pixels), ("masks", case.hole)):
            path = out / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = io.BytesIO()
            Image.fromarray(pixels).save(picture, "PNG")
            _put(path, picture.getvalue(), force=force)
        written += 1
    return written, skipped


def _put(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file where there is none, or these very bytes."""
    if os.path.lexists(path) and not force:
        if path.is_symlink() or not path.is_file() or files.read(path).data != data:
            raise CannotWrite(f"{path} is there already. Say where else to: --write-set DIR; or replace it: --force.")
        return
    files.write_atomic(path, data)


def _measure(ruler: Ruler, source: Source, case: Case, answer: Answer, key: str, choose: Choose | None) -> Row:
    """The fill that counts comes first."""
    measured = ruler.measure(case, answer, choose)
    order = [measured.chosen, *(k for k in range(len(answer.fills)) if k != measured.chosen)]
    assert measured.known_exact or not source.exact, f"{source.label} changed known pixels of {case.name}"
    return Row(
        key=key,
        source=source.label,
        photo=case.name,
        height=case.pixels.shape[0],
        width=case.pixels.shape[1],
        hole_ratio=case.ratio,
        seeds=[answer.seeds[k] for k in order],
        scores=[answer.scores[k] for k in order],
        seconds=[round(answer.seconds[k], 4) for k in order] if answer.seconds else [],
        known_exact=measured.known_exact,
        fills=[measured.fills[k] for k in order],
        spread=measured.spread,
        features=measured.features,
    )


def _key(
    code: str, settings: dict[str, Any], metrics: list[str], networks: dict[str, str], source: Source, case: Case
) -> str:
    """Names a result: other code, another photo, hole, source or setting gives another one; more photos do not."""
    own = {name: settings.get(name) for name in ("n", "seed", "perceptual_size", "protocol")}
    parts = [code, own, metrics, networks, source.label, source.identity(case), case.name, case.sha256]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@cache
def _code(package: Path) -> str:
    """A hash of all modules: whichever of them changed, fills and measures may be others."""
    files = sorted(package.rglob("*.py"))
    assert files, f"no modules in {package}"
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _together(used: list[str]) -> list[str]:
    """Wait for the other processes; what all of them used."""
    started = not torch.distributed.is_initialized()
    if started:
        torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    gathered: list[list[str] | None] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, used)
    if started:
        torch.distributed.destroy_process_group()
    return [key for part in gathered if part is not None for key in part]


def _name_apart(sources: Sequence[Source]) -> None:
    """Labels head the tables and name folders, so no two may be the same."""
    if not sources:
        raise ManyfillError("nothing to evaluate: name a model, a filler or a folder of results.")
    for k, source in enumerate(sources):
        same = [other for other in sources[:k] if other.label == source.label]
        if same:
            source.label = f"{source.label} ({sum(o.label.split(' (')[0] == source.label for o in sources[:k]) + 1})"


def _device_of(sources: Sequence[Source]) -> torch.device:
    """Where the metrics' networks run: beside the first model."""
    return next((s.completer.device for s in sources if isinstance(s, Filling | Bare)), torch.device("cpu"))


def _concerns(name: str, cases: Cases, sources: Sequence[Source]) -> bool:
    return name in cases.names or any(name == f"{source.label}: {photo}" for source in sources for photo in cases.names)


def _reasons(skipped: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
